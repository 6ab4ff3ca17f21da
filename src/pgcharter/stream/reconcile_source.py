"""The source's side of a comparison: its rows as the copy should have them, at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Literal

from pgcharter.db import Connection, queries
from pgcharter.errors import UsageError
from pgcharter.names import quote
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.stream import source
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.model import Attribute, Change, Relation, Row
from pgcharter.stream.reconcile_moment import Moment

_AT_ONCE = 1_000


class Source:
    """Rows of one mapping. One thread uses it."""

    def __init__(self, dsn: str, mapping: MappingTable, *, publication: str = "", secret: bytes = b"") -> None:
        self.dsn, self.mapping = dsn, mapping
        self._publication, self._secret = publication, secret
        self._tables: tuple[source.Table, ...] = ()

    @property
    def table(self) -> source.Table:
        """The table that is copied, as it was when `look` was called."""
        return self._tables[0]

    def look(self, conn: Connection) -> None:
        """Read what the tables look like. Raises UsageError where one is not there."""
        published = {name: t for t in source.tables(conn, self._publication) for name in t.names} if self._publication else {}
        names = dict.fromkeys((self.mapping.table, *(look.table for look in self.mapping.lookup)))
        self._tables = tuple(published.get(name) or _table(conn, name) for name in names)

    @contextmanager
    def mapper(self, at: Moment) -> Iterator[Mappings]:
        """The mapping, whose lookups see the moment's snapshot."""
        row = at.conn.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        snapshot = str(row[0]) if row else ""

        def beside() -> Connection:
            conn = source.open_source(self.dsn)
            conn.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            conn.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'".encode())
            return conn

        made = Mappings([self.mapping], beside, self._secret)
        try:
            for table in self._tables:
                made.relation(table.relation)
            yield made
        finally:
            made.close()

    def rows(self, at: Moment, made: Mappings, where: str = "") -> Iterator[Row]:
        """What the copy should have, in no order; `where` narrows the table by a condition in SQL."""
        changes = self.changes(at, where)
        while some := list(islice(changes, _AT_ONCE)):
            for row in made.rows(some):
                if row.op == "put":
                    yield row

    def changes(self, at: Moment, where: str = "", op: Literal["insert", "update"] = "insert") -> Iterator[Change]:
        """Rows as changes of the moment's stamp. As updates they say too which rows the mapping's filter leaves out."""
        table = self.table
        columns = ", ".join(quote(c.name) for c in table.relation.columns)
        with at.conn.cursor() as cursor, cursor.copy(f"COPY (SELECT {columns} FROM {from_(table, where)}) TO STDOUT".encode()) as copy:
            for line in copy:
                yield Change(table.relation, op, source.parse(line), None, at.stamp)


def from_(table: source.Table, where: str = "") -> str:
    """FROM and WHERE of a published table."""
    conditions = " AND ".join(f"({c})" for c in (table.filter, where) if c)
    return ("" if table.partitioned else "ONLY ") + table.sql + (f" WHERE {conditions}" if conditions else "")


def _table(conn: Connection, name: str) -> source.Table:
    """A table that is not published. Its identity is said to be full: nothing is streamed, so what a delete would say does not matter."""
    sql = queries.query("pgcharter.stream", "reconcile.sql", "relation", conn.info.server_version // 10000)
    quoted = name if '"' in name else ".".join(map(quote, name.split(".")))
    row = conn.execute(sql.encode(), [quoted]).fetchone()
    if row is None:
        raise UsageError(f"table {name} is not there, so nothing can be compared with it", hint="write schema.table")
    oid, schema, table, kind, _, rows, condition, keys, *columns = row
    attributes = tuple(Attribute(n, o, t, k, m) for n, o, t, m, k in zip(*columns, strict=True))
    return source.Table(Relation(oid, schema, table, "full", attributes), tuple(keys), kind == "p", rows, condition)
