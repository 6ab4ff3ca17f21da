"""A few rows in tables that have none, as far as their constraints let plain values in, and what tables hold, to be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.model import Catalog, Column, Table
from pgcharter.names import quote

if TYPE_CHECKING:
    from pgcharter.db import Connection

VALUES = {
    "bool": "true", "date": "current_date", "timestamptz": "now()", "timestamp": "now()", "time": "'12:00'", "interval": "'1 day'",
    "uuid": "'{n:08}-0000-4000-8000-000000000000'", "json": "'{{}}'", "jsonb": "'{{}}'", "inet": "'192.0.2.{n}'",
    "bytea": "'x'", "money": "'{n}.50'",
    "numeric": "{n}.25", "float4": "{n}.25", "float8": "{n}.25", "text": "'v{n}'", "varchar": "'v{n}'", "bpchar": "'v'", "citext": "'v{n}'",
    "int2": "{n}", "int4": "{n}", "int8": "{n}", "oid": "{n}", "regclass": "'pg_class'", "tsvector": "'v'", "point": "'(0,{n})'",
}  # fmt: skip


def fill(conn: Connection, catalog: Catalog) -> None:
    """Put up to two rows into every empty table; those that refuse plain values stay empty."""
    waiting = [t for t in catalog.tables if t.kind != "foreign table" and t.partition_of is None and not _count(conn, t)]
    for _ in range(len(waiting)):
        done = [t for t in waiting if _insert(conn, t, 1)]
        for table in done:
            _insert(conn, table, 2)
        waiting = [t for t in waiting if t not in done]
        if not done:
            return


def _count(conn: Connection, table: Table) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table.id.sql()}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def _insert(conn: Connection, table: Table, n: int) -> bool:
    """Whether a row went in: with all columns filled, with the required ones, or with defaults alone."""
    writable = [c for c in table.columns if not c.identity and not c.generated and (not c.default or c.type.basic == "uuid")]
    required = [c for c in writable if c.not_null]
    return any(_try(conn, _statement(table, columns, n)) for columns in (writable, required, []))


def _try(conn: Connection, sql: str) -> bool:
    try:
        conn.execute(sql.encode())
    except psycopg.Error:
        return False
    return True


def _statement(table: Table, columns: list[Column], n: int) -> str:
    if not columns:
        return f"INSERT INTO {table.id.sql()} DEFAULT VALUES"
    names = ", ".join(quote(c.name) for c in columns)
    return f"INSERT INTO {table.id.sql()} ({names}) VALUES ({', '.join(_value(table, c, n) for c in columns)})"


def _value(table: Table, column: Column, n: int) -> str:
    for fk in table.foreign_keys:
        if column.name in fk.columns and fk.references and (fk.references != table.id or column.not_null):
            other = fk.referenced_columns[fk.columns.index(column.name)]
            return f"(SELECT {quote(other)} FROM {fk.references.sql()} ORDER BY 1 OFFSET {n - 1} LIMIT 1)"
        if column.name in fk.columns:
            return "NULL"
    if column.type.array:
        return "'{}'"
    if column.type.kind == "enum":
        return f"(enum_range(NULL::{column.type.sql}))[1]"
    return VALUES.get(column.type.basic, "NULL").format(n=n)


@dataclass(frozen=True)
class Content:
    """What a table holds, its columns by number so that it is known again under another name."""

    name: str
    types: Mapping[int, str]
    rows: tuple[tuple[str | None, ...], ...]

    def of(self, columns: list[int]) -> Counter[tuple[str | None, ...]]:
        """The rows in these columns."""
        places = [list(self.types).index(c) for c in columns]
        return Counter(tuple(row[p] for p in places) for row in self.rows)


def contents(conn: Connection, catalog: Catalog) -> dict[int, Content]:
    """What every ordinary table holds, by the table's number."""
    return dict(_contents(conn, catalog))


def _contents(conn: Connection, catalog: Catalog) -> Iterator[tuple[int, Content]]:
    for table in catalog.tables:
        if table.kind == "table" and not table.extension:
            columns = [c for c in table.columns if c.generated != "virtual"]
            listed = ", ".join(f"{quote(c.name)}::text" for c in columns)
            rows = conn.execute(f"SELECT {listed} FROM ONLY {table.id.sql()}".encode()).fetchall()
            oid = conn.execute("SELECT %s::regclass::oid", (table.id.sql(),)).fetchone()
            assert oid is not None
            yield oid[0], Content(table.id.sql(), {c.position: c.type.sql for c in columns}, tuple(rows))


def lost(before: Mapping[int, Content], after: Mapping[int, Content]) -> Iterator[str]:
    """What of the rows is gone or altered, a sentence each; values of columns whose type has changed are not compared."""
    for oid, old in before.items():
        new = after.get(oid)
        if new is None:
            if old.rows:
                yield f"{old.name} is gone with {len(old.rows)} rows"
            continue
        if len(old.rows) != len(new.rows):
            yield f"{old.name} had {len(old.rows)} rows and has {len(new.rows)}"
        same = [c for c, type_ in old.types.items() if new.types.get(c) == type_]
        if old.of(same) != new.of(same):
            yield f"rows of {old.name} hold other values"
