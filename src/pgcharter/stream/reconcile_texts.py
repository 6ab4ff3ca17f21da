"""Digests of parts made by a store that is no PostgreSQL, in SQL of its own: MD5 of the same text on both sides.

Each side writes values of a row one after the other, each with its length before it, NULL as `-`. The part of a row is of the MD5 of its
key, its digest the first 64 bits of that of the whole row; a part's is the exclusive or of its rows'. Texts that differ for equal values
cost time and nothing else: what is said to differ is compared value by value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pgcharter.db import Connection
from pgcharter.names import quote
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.stream import reconcile_sql
from pgcharter.stream.model import Shape, Stored
from pgcharter.stream.reconcile_rows import Parts
from pgcharter.stream.source import Table


@runtime_checkable
class Hashing(Protocol):
    """A sink that makes digests in SQL of its own. It was told of the shape by `look` or `open`."""

    def forms(self, shape: Shape) -> Mapping[str, str] | None:
        """Field → SQL of PostgreSQL, with {} for the column, that gives the text which the store hashes; None: it has none for one."""

    def summed(self, shape: Shape, fan: int) -> Parts:
        """Digests of all parts."""

    def inside(self, shape: Shape, parts: Collection[int], fan: int) -> Iterator[Stored]:
        """Rows of some parts."""


@dataclass(frozen=True, slots=True)
class Texts(reconcile_sql.Digests):
    """The source's side: `key` and `row` are one text each."""

    def part(self, fan: int) -> str:
        """The part of a row as SQL; `fan` is a power of two."""
        return f"(('x' || left(md5({self.key}), 8))::bit(32)::int & {fan - 1})"

    def digest(self) -> str:
        """The digest of a row as SQL."""
        return f"('x' || left(md5({self.key} || '|' || {self.row}), 16))::bit(64)::bigint"


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy's side (reconcile_sql.There)."""

    sink: Hashing
    shape: Shape

    def summed(self, fan: int) -> Parts:
        """Digests of all parts."""
        return self.sink.summed(self.shape, fan)

    def stored(self, parts: Collection[int], fan: int) -> Iterator[Stored]:
        """Rows of some parts."""
        return self.sink.inside(self.shape, parts, fan)


def sides(conn: Connection, sink: Hashing, table: Table, mapping: MappingTable, shape: Shape) -> tuple[Texts, Copy] | None:
    """Both sides; None where they cannot be said to be alike in SQL."""
    same, forms = reconcile_sql.of_source(table, mapping, shape), sink.forms(shape)
    if same is None or forms is None or conn.info.parameter_status("server_encoding") != "UTF8":
        return None
    columns = {mapping.rename.get(c.name, c.name): quote(c.name) for c in table.relation.columns}
    texts = {f.name: _framed(forms[f.name].replace("{}", columns[f.name])) for f in shape.fields}
    row = " || ".join(texts[f.name] for f in shape.fields if not f.key) or "''"
    return Texts(same.origin, " || ".join(texts[k] for k in shape.key), row), Copy(sink, shape)


def _framed(text: str) -> str:
    return f"coalesce(octet_length({text}) || ':' || {text}, '-')"
