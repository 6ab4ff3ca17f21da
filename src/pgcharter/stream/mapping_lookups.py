"""Lookups of mappings: columns of other tables, read from the source in one query for each lookup and batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pgcharter.db import Connection
from pgcharter.names import literal, quote
from pgcharter.policy.sync_settings import LookupTable
from pgcharter.stream.mapping_table import Mapped
from pgcharter.stream.model import Change, Relation, Stamp, Value
from pgcharter.stream.source import parse, sql_of
from pgcharter.stream.values import load

Key = tuple[str, ...]


def found(conn: Connection, lookup: LookupTable, other: Relation, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """What a lookup gives for keys, which are text of the mapped columns; keys that are not there are left out."""
    types = {c.name: c.type for c in other.columns}
    names = [lookup.prefix + c for c in lookup.columns]
    loads = [load(types[c]) for c in lookup.columns]
    columns = ", ".join(["k.n", *(f"l.{quote(c)}" for c in lookup.columns)])
    tests = " AND ".join(f"l.{quote(c)} = k.k{i}" for i, c in enumerate(lookup.on.values()))
    listed = ", ".join(f"({n}, {_typed(key, lookup, types)})" for n, key in enumerate(keys))
    heads = ", ".join(f"k{i}" for i in range(len(lookup.on)))
    sql = f"SELECT {columns} FROM (VALUES {listed}) k (n, {heads}) JOIN {sql_of(other)} l ON {tests}"
    return {
        keys[int(str(n))]: {name: v if v is None or of is None else of(str(v)) for name, of, v in zip(names, loads, row, strict=True)}
        for n, *row in _copied(conn, sql)
    }


def dependents(
    mapped: Mapped, lookup: LookupTable, other: Relation, keys: Collection[Key | None], stamp: Stamp, conn: Connection
) -> list[Change]:
    """The rows of the mapped table that look up one of these keys (None among them: any), as they are now, as changes of this stamp."""
    types = {c.name: c.type for c in other.columns}
    columns = ", ".join(quote(c.name) for c in mapped.relation.columns)
    on = ", ".join(quote(c) for c in lookup.on)
    listed = ", ".join(f"({_typed(key, lookup, types)})" for key in keys if key is not None)
    where = "" if None in keys else f" WHERE ({on}) IN (VALUES {listed})"
    rows = _copied(conn, f"SELECT {columns} FROM {sql_of(mapped.relation)}{where}")
    return [Change(mapped.relation, "update", row, None, stamp) for row in rows]


def keys_of(changes: Iterable[Change], columns: Sequence[str]) -> set[Key | None]:
    """The values of columns in changes, after and before them, without NULL; None among them for a truncate."""
    keys: set[Key | None] = set()
    for change in changes:
        at = {c.name: i for i, c in enumerate(change.relation.columns)}
        sides = [tuple(side[at[c]] for c in columns) for side in (change.new, change.old) if side is not None]
        keys.update(tuple(map(str, key)) for key in sides if all(isinstance(v, str) for v in key))
        if change.op == "truncate":
            keys.add(None)
    return keys


def _typed(key: Key, lookup: LookupTable, types: Mapping[str, str]) -> str:
    return ", ".join(f"{literal(v)}::{types[c]}" for v, c in zip(key, lookup.on.values(), strict=True))


def _copied(conn: Connection, sql: str) -> Iterator[tuple[Value, ...]]:
    with conn.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT".encode()) as copy:
        yield from map(parse, copy)
