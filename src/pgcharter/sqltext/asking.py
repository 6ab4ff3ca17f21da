"""What SQL that others write for us to ask may be: one query that only reads."""

from __future__ import annotations

import re
from typing import Any

from pgcharter.errors import PgcharterError

_WRITES = {"InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}

_ACTS = re.compile(
    r"(?:dblink\w*|pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile|pg_promote|pg_switch_wal|pg_create_restore_point"
    r"|pg_(?:backup|start_backup|stop_backup|wal_replay)\w*|pg_stat\w*_reset\w*|pg_(?:try_)?advisory_(?:lock|unlock)(?:_shared|_all)?"
    r"|pg_notify|pg_logical_(?:emit_message|slot_get_\w+)|pg_(?:create|copy|drop)_\w*replication_slot|pg_replication_(?:slot_advance"
    r"|origin_\w+)|pg_log_backend_memory_contexts|lo_(?:import|export)|pg_file_(?:write|unlink|rename|sync))\Z"
)
"""Functions whose effect a read-only transaction neither forbids nor takes back: on other sessions, the server, other databases, files, and
locks that a pooler would hand on."""


def not_a_query(sql: str) -> str:
    """Why `sql` is something else than one reading query; empty when it is one."""
    from pgcharter.sqltext import parse, walk

    try:
        parsed = parse(sql, "sql")
    except PgcharterError as error:
        return error.message
    if parsed.errors:
        return f"{parsed.errors[0].message} (line {parsed.errors[0].place.line} of it)"
    if parsed.metas:
        return "it holds commands of psql"
    if len(parsed.statements) != 1:
        return f"it holds {len(parsed.statements)} statements"
    statement = parsed.statements[0]
    if statement.kind != "select_stmt":
        return f"it is a {statement.kind.removesuffix('_stmt').replace('_', ' ')} statement"
    return next(filter(None, (_writing(name, m) for name, m in walk(statement.node))), "")


def _writing(name: str, message: Any) -> str:
    if name in _WRITES:
        return f"it holds {_WRITES[name]}"
    if name == "SelectStmt" and message.HasField("into_clause"):
        return "it makes a table (INTO)"
    if name == "FuncCall" and message.funcname and _ACTS.match(called := message.funcname[-1].string.sval):
        return f"it calls {called}, which no rollback takes back"
    return "it locks rows (FOR UPDATE or SHARE)" if name == "LockingClause" else ""
