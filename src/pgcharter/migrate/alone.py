"""Statements that PostgreSQL refuses inside a transaction block: which they are, and how each is taken up again after a crash.

Between such a statement and the record of it lies a moment in which everything can die. So a mark is set in the ledger before it; where
the mark stands and the record does not, what the database holds decides: done, to be finished, or to be done again from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError
from pgcharter.migrate import in_transaction, invalid
from pgcharter.migrate.invalid import Way
from pgcharter.sqltext import enum_name, parse

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.sqltext import Statement

Mark = Mapping[str, Any]
"""What the ledger keeps of a statement that was begun: `{"begun": true, "indexes": [oids of the table's indexes then]}`."""

EXISTS = frozenset(("42P07", "42710", "42P04", "42P06"))
"""SQLSTATEs of "it is there already": duplicate table (or index), object, database, schema."""
MISSING = frozenset(("42704", "42P01", "3D000", "3F000"))
"""SQLSTATEs of "there is none": undefined object, table, database, schema."""
_CREATES = frozenset(("createdb_stmt", "create_table_space_stmt", "create_subscription_stmt"))
_DROPS = frozenset(("dropdb_stmt", "drop_table_space_stmt", "drop_subscription_stmt", "drop_stmt"))


def one(sql: str) -> Statement | None:
    """The statement as the parser sees it; None when it is not exactly one."""
    found = parse(sql, "")
    return found.statements[0] if len(found.statements) == 1 and not found.errors else None


def builds(sql: str) -> bool:
    """Whether a statement builds indexes concurrently, which leaves them invalid when it is cut off."""
    statement = one(sql)
    return statement is not None and (_rebuilds(statement) or (statement.kind == "index_stmt" and bool(statement.node.concurrent)))


def refuses_transaction(statement: Statement | None) -> bool:
    """Whether it must run outside of transaction blocks: PostgreSQL refuses it in one, or it may want to end transactions itself."""
    return statement is None or bool(in_transaction.refused(statement)) or in_transaction.stands_alone(statement)


def mark(conn: Connection, statement: Statement | None) -> dict[str, Any]:
    """What is to be kept in the ledger before the statement is begun."""
    if statement is not None and statement.kind == "index_stmt":
        return {"begun": True, "indexes": [index.oid for index in invalid.indexes(conn, statement)]}
    return {"begun": True}


def way(conn: Connection, sql: str, statement: Statement | None, begun: Mark | None, *, repeat: bool) -> Way:
    """How to go about the statement. `begun` is the mark that an earlier run left; None when there is none.

    Raises PgcharterError where nobody can know whether it was done and `repeat` does not allow to run it again.
    """
    if statement is None:
        return Way((sql,))
    if statement.kind == "index_stmt":
        return invalid.build(conn, statement, None if begun is None else begun.get("indexes", ()))
    if _rebuilds(statement):
        return Way((*cleaning(conn, statement), sql))
    if _detached(statement.node) is not None:
        return _detach(conn, sql, statement, begun)
    if begun is None:
        return Way((sql,))
    if unknowable(statement) and not repeat:
        raise PgcharterError(
            "an earlier run began this statement and ended before it could record the end, so nobody can know whether it was done",
            hint="look at what it changes; to run it again: pgcharter migrate up --repeat-begun",
        )
    return Way((sql,))


def unknowable(statement: Statement | None) -> bool:
    """Whether a statement may commit by itself, so that nobody can see from outside whether it was done."""
    return statement is None or statement.kind in ("call_stmt", "do_stmt")


def done_before(statement: Statement | None, sqlstate: str | None) -> bool:
    """Whether an error says that a statement which was begun earlier had been done: the object is there, or gone, already."""
    if statement is None:
        return False
    return (statement.kind in _CREATES and sqlstate in EXISTS) or (statement.kind in _DROPS and sqlstate in MISSING)


def cleaning(conn: Connection, statement: Statement | None, before: Mark | None = None) -> tuple[str, ...]:
    """The statements that take away what a failed or interrupted try has left."""
    if statement is None:
        return ()
    if statement.kind == "index_stmt":
        return invalid.broken(conn, statement, (before or {}).get("indexes", ()))
    if _rebuilds(statement):
        node = statement.node
        if node.relation.relname:
            return invalid.reindexed(conn, None, invalid.relation(node.relation))
        return invalid.reindexed(conn, node.name if enum_name(node, "kind") == "REINDEX_OBJECT_SCHEMA" else None, None)
    return ()


def _rebuilds(statement: Statement) -> bool:
    return statement.kind == "reindex_stmt" and in_transaction.refused(statement) == "REINDEX CONCURRENTLY"


def _detached(node: Any) -> str | None:
    """The partition of ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY; None for anything else."""
    for command in getattr(node, "cmds", ()):
        partition = getattr(command.alter_table_cmd, "def").partition_cmd
        if partition.concurrent:
            return invalid.relation(partition.name)
    return None


def _detach(conn: Connection, sql: str, statement: Statement, begun: Mark | None) -> Way:
    partition, parent = _detached(statement.node) or "", invalid.relation(statement.node.relation)
    pending = invalid.detaching(conn, partition, parent)
    if pending:
        return Way((f"ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE",))
    if pending is None and begun is not None and invalid.there(conn, partition):
        return Way(found=f"{partition} is no partition of {parent} any more")
    return Way((sql,))


def settings(statements: tuple[str, ...]) -> list[str]:
    """Those of `statements` that set something for the session: they are done again when a run goes on after them."""
    found = []
    for sql in statements:
        if not sql.lstrip().lower().startswith(("set", "reset", "select", "--", "/*")):
            continue
        statement = one(sql)
        if statement is not None and (_sets(statement) or _configures(statement)):
            found.append(sql)
    return found


def _sets(statement: Statement) -> bool:
    return statement.kind == "variable_set_stmt" and not statement.node.is_local


def _configures(statement: Statement) -> bool:
    """`SELECT set_config('search_path', '', false)`, as pg_dump writes it."""
    if statement.kind != "select_stmt" or statement.node.from_clause:
        return False
    calls = [target.res_target.val.func_call for target in statement.node.target_list]
    return bool(calls) and all(call.funcname and call.funcname[-1].string.sval == "set_config" for call in calls)
