"""Digests of parts made by PostgreSQL itself, where source and copy are both its tables: only parts that differ are read.

A row's digest is hash_record_extended, 64 bits, of values of types that hash by what they are, and of the text of all others; a part's is
the exclusive or of its rows'. That one damaged row leaves its part as it was has odds of 1 in 2^64. Hashes that differ between servers
cost time and nothing else: what is said to differ is compared value by value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pgcharter.db import Connection
from pgcharter.names import quote
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.stream.mapping_filter import parse
from pgcharter.stream.model import Shape, Stamp, Stored
from pgcharter.stream.reconcile_moment import query
from pgcharter.stream.reconcile_rows import Part, Parts
from pgcharter.stream.reconcile_source import from_
from pgcharter.stream.source import Table
from pgcharter.stream.values import load, plain

_DIRECT = frozenset(
    (
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "boolean",
        "uuid",
        "date",
        "bytea",
        "timestamp without time zone",
        "timestamp with time zone",
    )
)
_TEXT = frozenset(("text", "character varying"))
_ORDERING = ("<", "<=", ">", ">=")


@runtime_checkable
class Relational(Protocol):
    """A copy in PostgreSQL: a sink that says where its rows are."""

    def reader(self) -> Connection:
        """A connection of its own, with settings of stream.values."""

    def table(self, shape: Shape) -> str:
        """The table of a shape, as SQL."""

    stamps: tuple[str, str]
    """Columns of a row's stamp: position and ordinal."""


class There(Protocol):
    """The side of a copy that makes digests itself."""

    def summed(self, fan: int) -> Parts:
        """Digests of all parts."""

    def stored(self, parts: Collection[int], fan: int) -> Iterator[Stored]:
        """Rows of some parts."""


@dataclass(frozen=True, slots=True)
class Digests:
    """A table, and how its rows are hashed."""

    origin: str
    """FROM and WHERE."""
    key: str
    row: str

    def part(self, fan: int) -> str:
        """The part of a row as SQL; `fan` is a power of two."""
        return f"(pg_catalog.hash_record_extended(ROW({self.key}), 0) & {fan - 1})::int"

    def digest(self) -> str:
        """The digest of a row as SQL."""
        return f"pg_catalog.hash_record_extended(ROW({self.key}, {self.row}), 1)"

    def summed(self, conn: Connection, fan: int) -> Parts:
        """Digests of all parts, in one pass over the table."""
        sql = f"SELECT {self.part(fan)}, count(*), bit_xor({self.digest()}) FROM {self.origin} GROUP BY 1"
        conn.execute(b"SELECT set_config('work_mem', '64MB', false), set_config('jit', 'off', false)")
        return {part: Part(rows, digest) for part, rows, digest in conn.execute(sql.encode())}

    def inside(self, parts: Collection[int], fan: int) -> str:
        """The condition that a row falls into one of these parts."""
        return f"{self.part(fan)} = ANY ('{{{','.join(map(str, sorted(parts)))}}}'::int[])"


def of_source(table: Table, mapping: MappingTable, shape: Shape) -> Digests | None:
    """The source's side; None where the mapping does what SQL does not say the same way."""
    filters = [parse(text, "") for text in mapping.filter]
    if mapping.tenant or mapping.lookup or mapping.mask or any(f.op in _ORDERING for f in filters):
        return None
    back = {mapping.rename.get(c.name, c.name): c for c in table.relation.columns}
    types = {name: plain(c.type) for name, c in back.items()}
    columns = {f.name: quote(back[f.name].name) for f in shape.fields}
    where = " AND ".join(f"({text})" for text in mapping.filter)
    return _digests(shape, from_(table, where), columns, types)


@dataclass(frozen=True, slots=True)
class Copy:
    """The side of a copy in PostgreSQL (There)."""

    conn: Connection
    sink: Relational
    shape: Shape
    digests: Digests

    def summed(self, fan: int) -> Parts:
        """Digests of all parts."""
        return self.digests.summed(self.conn, fan)

    def stored(self, parts: Collection[int], fan: int) -> Iterator[Stored]:
        """Rows of some parts."""
        return _stored(self.conn, self.sink, self.shape, self.digests.inside(parts, fan))


def of_copy(conn: Connection, sink: Relational, shape: Shape) -> Copy:
    """The copy's side."""
    there: dict[str, str] = dict(conn.execute(query(conn, "columns"), [sink.table(shape)]).fetchall())
    return Copy(conn, sink, shape, _digests(shape, sink.table(shape), {f.name: quote(f.name) for f in shape.fields}, there))


def _stored(conn: Connection, sink: Relational, shape: Shape, where: str) -> Iterator[Stored]:
    """Rows of a copy that meet a condition in SQL."""
    columns = ", ".join((*(quote(f.name) for f in shape.fields), *sink.stamps))
    loads = [(f.name, load(f.type)) for f in shape.fields]
    with conn.cursor() as cursor, cursor.copy(f"COPY (SELECT {columns} FROM {sink.table(shape)} WHERE {where}) TO STDOUT".encode()) as copy:
        for *fields, lsn, ordinal in copy.rows():
            values = {n: v if v is None or of is None else of(str(v)) for (n, of), v in zip(loads, fields, strict=True)}
            yield Stored(tuple(values[k] for k in shape.key), values, Stamp(int(str(lsn)), int(str(ordinal))))


def _digests(shape: Shape, origin: str, columns: Mapping[str, str], types: Mapping[str, str]) -> Digests:
    made = {f.name: _hashed(columns[f.name], plain(f.type), plain(types[f.name])) for f in shape.fields}
    row = ", ".join(made[f.name] for f in shape.fields if not f.key) or "NULL::text"
    return Digests(origin, ", ".join(made[k] for k in shape.key), row)


def _hashed(column: str, wanted: str, there: str) -> str:
    """A column as it is hashed: alike for equal values, whatever type the copy has for it."""
    if wanted in _DIRECT:
        return column if there == wanted else f"{column}::{wanted}"
    return f'{column}{"" if there in _TEXT else "::text"} COLLATE "C"'
