"""Which statements PostgreSQL refuses inside a transaction block, as far as their text tells; the tests ask servers."""

from __future__ import annotations

import re
from typing import Any

from pgcharter.sqltext import Statement, enum_name

_ALWAYS = {
    "createdb_stmt": "CREATE DATABASE",
    "dropdb_stmt": "DROP DATABASE",
    "create_table_space_stmt": "CREATE TABLESPACE",
    "drop_table_space_stmt": "DROP TABLESPACE",
    "alter_system_stmt": "ALTER SYSTEM",
}
_NO = ("false", "off", "0", "no")
_ENDS = re.compile(r"\b(?:commit|rollback)\b", re.IGNORECASE)
_SUBSCRIBING = {"ALTER_SUBSCRIPTION_REFRESH", "ALTER_SUBSCRIPTION_SET_PUBLICATION", "ALTER_SUBSCRIPTION_ADD_PUBLICATION",
                "ALTER_SUBSCRIPTION_DROP_PUBLICATION"}  # fmt: skip


def refused(statement: Statement) -> str:
    """What PostgreSQL calls the statement when it refuses it inside a transaction block: `CREATE INDEX CONCURRENTLY`; empty otherwise."""
    node, kind = statement.node, statement.kind
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    match kind:
        case "index_stmt":
            return "CREATE INDEX CONCURRENTLY" if node.concurrent else ""
        case "drop_stmt":
            return "DROP INDEX CONCURRENTLY" if node.concurrent else ""
        case "vacuum_stmt":
            return "VACUUM" if node.is_vacuumcmd else ""
        case "cluster_stmt":
            return "" if node.HasField("relation") else "CLUSTER"
        case "reindex_stmt":
            return _reindex(node)
        case "alter_table_stmt":
            return "ALTER TABLE … DETACH PARTITION CONCURRENTLY" if _detaches(node) else ""
        case "alter_database_stmt":
            return "ALTER DATABASE … SET TABLESPACE" if "tablespace" in _options(node.options) else ""
        case "create_subscription_stmt" | "alter_subscription_stmt":
            return _subscribes(node, kind)
    return ""


def stands_alone(statement: Statement) -> bool:
    """Whether it may end transactions itself, which PostgreSQL allows only outside of a block: CALL, DO with COMMIT, DROP SUBSCRIPTION."""
    if statement.kind == "do_stmt":
        return _ENDS.search(statement.text) is not None
    return statement.kind in ("call_stmt", "drop_subscription_stmt")


def _reindex(node: Any) -> str:
    if _options(node.params).get("concurrently", "false") not in _NO:
        return "REINDEX CONCURRENTLY"
    word = enum_name(node, "kind").removeprefix("REINDEX_OBJECT_")
    return f"REINDEX {word}" if word in ("SCHEMA", "DATABASE", "SYSTEM") else ""


def _detaches(node: Any) -> bool:
    return any(getattr(getattr(c.alter_table_cmd, "def").partition_cmd, "concurrent", False) for c in node.cmds)


def _options(options: Any) -> dict[str, str]:
    """Names of the options with their words; an option without a word is on."""
    found = {}
    for item in options:
        arg = item.def_elem.arg
        found[item.def_elem.defname] = (arg.string.sval or str(arg.boolean.boolval)).lower() if arg.WhichOneof("node") else "true"
    return found


def _subscribes(node: Any, kind: str) -> str:
    options = _options(node.options)
    if kind == "create_subscription_stmt":
        makes_slot = options.get("create_slot", "false" if options.get("connect") in _NO else "true") not in _NO
        return "CREATE SUBSCRIPTION with create_slot" if makes_slot else ""
    asks = enum_name(node, "kind") in _SUBSCRIBING and options.get("refresh") not in _NO
    return "ALTER SUBSCRIPTION with refresh" if asks else ""
