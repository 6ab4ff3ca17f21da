"""Invalid indexes: what an interrupted concurrent build leaves behind is dropped concurrently and built again, never kept."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.db import queries
from pgcharter.errors import PgcharterError
from pgcharter.names import ObjectId, quote

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.sqltext import Statement

_NAME = rb'(?:"(?:[^"]|"")*"|[A-Za-z_\x80-\xff][\w$\x80-\xff]*)'
_RELATION = re.compile(_NAME + rb"(?:\s*\.\s*" + _NAME + rb")*")


@dataclass(frozen=True, slots=True)
class Way:
    """How to go about a statement that allows no transaction, from what is in the database now."""

    statements: tuple[str, ...] = ()
    """What to run, one by one."""
    found: str = ""
    """Why nothing need be run; empty when something must."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table."""

    oid: int
    id: ObjectId
    valid: bool
    kind: str
    builder: int | None
    """Process id of whoever builds it at this moment."""

    @property
    def drop(self) -> str:
        """The statement that takes it away while others work on."""
        return f"DROP INDEX CONCURRENTLY {self.id.sql()}"


def indexes(conn: Connection, statement: Statement) -> tuple[Index, ...]:
    """The indexes of the table on which `statement` builds one; none where there is no such table."""
    rows = conn.execute(_sql("indexes"), (relation(statement.node.relation),)).fetchall()
    return tuple(Index(oid, ObjectId("index", schema, name), valid, kind, pid) for oid, schema, name, valid, kind, pid in rows)


def relation(node: Any) -> str:
    """The name in the parser's RangeVar, quoted, as `to_regclass` takes it."""
    return ".".join(quote(part) for part in (node.schemaname, node.relname) if part)


def build(conn: Connection, statement: Statement, before: Collection[int] | None) -> Way:
    """The way to the index of a CREATE INDEX CONCURRENTLY.

    `before` are the object ids of the table's indexes when an earlier run began this statement; None when none did. Raises
    PgcharterError when somebody else builds that index, or a valid one of that name has another definition.
    """
    there = indexes(conn, statement)
    if statement.node.idxname:
        named = [index for index in there if index.id.name == statement.node.idxname]
    elif before is None:
        named = []
    else:
        named = [index for index in there if index.oid not in before and _same(conn, statement, index)]
    for index in named:
        if index.builder:
            raise PgcharterError(
                f"index {index.id.sql()} is being built by pid {index.builder}, so it cannot be built here",
                hint=f"wait for it, or: SELECT pg_cancel_backend({index.builder})",
            )
        if index.valid:
            return _kept(conn, statement, index)
    broken = tuple(index.drop for index in named if index.kind == "i")
    return Way((*broken, statement.text))


def _kept(conn: Connection, statement: Statement, index: Index) -> Way:
    if _same(conn, statement, index):
        return Way(found=f"index {index.id.sql()} is there, valid and of this definition")
    row = conn.execute(_sql("definition"), (index.oid,)).fetchone()
    raise PgcharterError(
        f"index {index.id.sql()} is there with another definition, so this one cannot be built: {row[0] if row else '?'}",
        hint=f"{index.drop}; or give the new index another name",
    )


def broken(conn: Connection, statement: Statement, before: Collection[int]) -> tuple[str, ...]:
    """The statements that take away what a failed build has left just now."""
    return tuple(
        index.drop
        for index in indexes(conn, statement)
        if index.oid not in before and not index.valid and index.kind == "i" and not index.builder
        and statement.node.idxname in ("", index.id.name)
    )  # fmt: skip


def _same(conn: Connection, statement: Statement, index: Index) -> bool:
    """Whether the statement would build what `index` is: PostgreSQL is asked, on an empty copy of the table. No, where it cannot be."""
    rest = _after_relation(statement)
    if rest is None:
        return False
    unique = "UNIQUE " if statement.node.unique else ""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(f"CREATE TEMP TABLE pgcharter_like (LIKE {relation(statement.node.relation)}) ON COMMIT DROP".encode())
            conn.execute(f"CREATE {unique}INDEX ON pg_temp.pgcharter_like {rest}".encode())
            wanted, found = (conn.execute(_sql(name), given).fetchone() for name, given in (("copied", None), ("definition", (index.oid,))))
    except psycopg.Error as error:
        if conn.closed or isinstance(error, psycopg.errors.QueryCanceled):
            raise
        return False
    return bool(wanted and found) and _kind(wanted) == _kind(found)


def _kind(row: Any) -> tuple[bool, str]:
    head, _, definition = str(row[0]).partition(" USING ")
    return head.startswith("CREATE UNIQUE"), definition


def _after_relation(statement: Statement) -> str | None:
    """What stands behind the table's name in CREATE INDEX; None where a comment stands inside the name."""
    if statement.source is None:
        return None
    text = statement.source.text.encode("utf-8", "surrogatepass")
    begin = statement.base + statement.node.relation.location
    match = _RELATION.match(text, begin)
    end = len(text[:begin].decode("utf-8", "surrogatepass"))
    if match is None:
        return None
    length = len(match[0].decode("utf-8", "surrogatepass"))
    return statement.text[end + length - statement.offset :]


def reindexed(conn: Connection, schema: str | None, name: str | None) -> tuple[str, ...]:
    """The statements that take away what an interrupted REINDEX CONCURRENTLY has left: in a schema, of a relation, or (None) anywhere."""
    rows = conn.execute(_sql("leftovers"), {"schema": schema, "relation": name}).fetchall()
    return tuple(f"DROP INDEX CONCURRENTLY {ObjectId('index', *row).sql()}" for row in rows)


def there(conn: Connection, name: str) -> bool:
    """Whether a relation of that (quoted) name can be seen."""
    row = conn.execute(_sql("there"), (name,)).fetchone()
    return bool(row and row[0])


def detaching(conn: Connection, partition: str, parent: str) -> bool | None:
    """Whether a concurrent detach of the partition was begun and not finished; None when it is no partition of that parent any more."""
    row = conn.execute(_sql("detaching"), (partition, parent)).fetchone()
    return bool(row[0]) if row else None


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.migrate", "invalid.sql")[name].encode()
