"""Tables of a PostgreSQL store: made for shapes, widened when these grow, refused where they do not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pgcharter.db import Connection, queries
from pgcharter.names import MAX_BYTES, quote
from pgcharter.stream.errors import SinkRefusedError
from pgcharter.stream.model import Field, Shape
from pgcharter.stream.values import plain

LSN, ORDINAL = "pgcharter_lsn", "pgcharter_ordinal"
"""Columns of a row's stamp."""
SQL: Final = queries.load("pgcharter.sinks", "postgresql.sql")
_PART = r'(?:"(?:[^"]|"")+"|[^."]+)'
_DOTTED = re.compile(rf"({_PART})\.({_PART})")
_WIDER: Mapping[str, Sequence[str]] = {
    "smallint": ("integer", "bigint", "numeric"), "integer": ("bigint", "numeric"), "bigint": ("numeric",), "real": ("double precision",),
    "bpchar": ("character varying",), '"char"': ("character varying",),
}  # fmt: skip
"""Type → types that take all its values; text takes those of every type."""
_TEXTS = frozenset(("text", "character varying", "bpchar", "name", '"char"', "citext"))
Address = tuple[str, str]


@dataclass(frozen=True)
class Target:
    """A table there, ready for rows of a shape."""

    shape: Shape
    address: Address
    types: Mapping[str, str]
    """Field → type there."""
    new: bool = False
    """Whether it was made just now."""

    @property
    def sql(self) -> str:
        """Its name as SQL."""
        return f"{quote(self.address[0])}.{quote(self.address[1])}"

    def compared(self, name: str) -> str:
        """A key column as it is ordered: text by its bytes."""
        return quote(name) + (' COLLATE "C"' if self.types[name] in _TEXTS else "")


@dataclass(frozen=True)
class _Found:
    kind: str
    columns: Mapping[str, str]
    unique: tuple[frozenset[str], ...]


def address(to: str, schema: str) -> Address:
    """Schema and name of `to`: `orders`, `app.orders`, `"App"."Orders"`."""
    dotted = _DOTTED.fullmatch(to)
    parts = (dotted[1], dotted[2]) if dotted else (schema, to)
    unquoted = [p[1:-1].replace('""', '"') if dotted and p.startswith('"') else p for p in parts]
    return unquoted[0], unquoted[1]


def prepare(conn: Connection, shapes: Iterable[Shape], schema: str) -> list[Target]:
    """Make and widen the tables of shapes, in the transaction of `conn`. Raises SinkRefusedError where one does not fit."""
    addresses = {shape: address(shape.to, schema) for shape in shapes}
    if not addresses:
        return []
    found = _found(conn, list(addresses.values()))
    known = _known_types(conn, {plain(f.type) for shape in addresses for f in shape.fields})
    made = []
    for shape, place in addresses.items():
        _names_fit(shape)
        target = Target(shape, place, {f.name: _type(f, known) for f in shape.fields})
        for statement in _create(target) if place not in found else _widen(target, found[place]):
            conn.execute(statement.encode())
        made.append(Target(shape, place, _types_there(target, found.get(place)), place not in found))
    return made


def there(conn: Connection, shape: Shape, schema: str) -> Target:
    """The table of a shape as it is. Raises SinkRefusedError where there is none, or a column is not there."""
    place = address(shape.to, schema)
    found = _found(conn, [place]).get(place)
    missing = [name for name in (*(f.name for f in shape.fields), LSN) if found is None or name not in found.columns]
    if found is None or missing:
        what = f"column {quote(missing[0])} is" if found else "it is"
        raise SinkRefusedError(f"{shape.to} cannot be read: {what} not there (yet)", hint="pgcharter sync run")
    return Target(shape, place, {f.name: plain(found.columns[f.name]) for f in shape.fields})


def _found(conn: Connection, places: Sequence[Address]) -> dict[Address, _Found]:
    rows = conn.execute(SQL["tables"].encode(), ([p[0] for p in places], [p[1] for p in places]))
    return {(s, t): _Found(kind, dict(columns), tuple(frozenset(json.loads(u)) for u in unique)) for s, t, kind, columns, unique in rows}


def _known_types(conn: Connection, types: set[str]) -> dict[str, bool]:
    return dict(conn.execute(SQL["types"].encode(), (sorted(types),)).fetchall())


def _type(field: Field, known: Mapping[str, bool]) -> str:
    """The type of a new column: the same without length, text where that type is not known there, or may not be built in, as xml."""
    wanted = plain(field.type)
    return wanted if known[wanted] and wanted not in ("xml", "xml[]") else "text[]" if wanted.endswith("[]") else "text"


def _names_fit(shape: Shape) -> None:
    names = [f.name for f in shape.fields]
    for name in names:
        if len(name.encode()) > MAX_BYTES or name in (LSN, ORDINAL):
            why = f"is longer than {MAX_BYTES} bytes" if name not in (LSN, ORDINAL) else "is the name of a row's stamp there"
            raise SinkRefusedError(
                f"column {quote(name)} of {shape.to} {why}, so no table can be made for it", hint=f'rename = {{ "{name}" = "…" }}'
            )
    if not shape.key:
        raise SinkRefusedError(f"{shape.to} has no key, so its rows cannot be told apart", hint='key = ["…"]')


def _create(target: Target) -> list[str]:
    columns = [
        f"{quote(f.name)} {target.types[f.name]}" + (' COLLATE "C"' if f.key and target.types[f.name] in _TEXTS - {"name"} else "")
        for f in target.shape.fields
    ]
    key = ", ".join(map(quote, target.shape.key))
    return [
        f"CREATE SCHEMA IF NOT EXISTS {quote(target.address[0])}",
        f"CREATE TABLE {target.sql} ({', '.join(columns)}, {_stamps()}, PRIMARY KEY ({key}))",
    ]


def _stamps(add: str = "") -> str:
    return ", ".join(f"{add}{name} bigint NOT NULL DEFAULT 0" for name in (LSN, ORDINAL))


def _widen(target: Target, found: _Found) -> list[str]:
    """Statements that make a table that is there fit. Raises SinkRefusedError where none do."""
    to = target.sql
    if found.kind not in "rp":
        raise SinkRefusedError(f"{to} is no table there, so rows cannot be copied into it", hint=f'to = "{target.address[1]}_copy"')
    if frozenset(target.shape.key) not in found.unique:
        key = ", ".join(map(quote, target.shape.key))
        raise SinkRefusedError(
            f"{to} is there without a unique index on its key ({key}), so rows of {target.shape.source} cannot be told apart in it",
            hint=f"ALTER TABLE {to} ADD PRIMARY KEY ({key})",
        )
    parts = [_stamps("ADD COLUMN ")] if LSN not in found.columns else []
    for name, wanted in target.types.items():
        there = found.columns.get(name)
        if there is None:
            parts.append(f"ADD COLUMN {quote(name)} {wanted}")
        elif not _takes(there, wanted, target.shape, name):
            parts.append(_retype(to, name, there, wanted))
    return [f"ALTER TABLE {to} {', '.join(parts)}"] if parts else []


def _takes(there: str, wanted: str, shape: Shape, name: str) -> bool:
    """Whether a column that is there takes all values, unchanged."""
    of = next(f.type for f in shape.fields if f.name == name)
    bare = plain(there)
    if bare == wanted:
        return there in (of, bare, wanted) or bare in ("character varying", "bit varying") or there == of
    return there == "text" or bare in _WIDER.get(wanted, ()) or (bare == "character varying" and wanted in _TEXTS)


def _retype(to: str, name: str, there: str, wanted: str) -> str:
    column = quote(name)
    if plain(there) == wanted or wanted in _WIDER.get(plain(there), ()) or (wanted in _TEXTS and plain(there) in _TEXTS):
        return f"ALTER COLUMN {column} TYPE {wanted}"
    raise SinkRefusedError(
        f"column {to}.{column} is {there} there, and {wanted} is copied into it, so values would not fit",
        hint=f"ALTER TABLE {to} ALTER COLUMN {column} TYPE {wanted} USING {column}::text::{wanted}",
    )


def _types_there(target: Target, found: _Found | None) -> dict[str, Any]:
    """Field → type of its column now."""
    if found is None:
        return dict(target.types)
    columns = {n: plain(t) for n, t in found.columns.items()}
    return {n: t if n not in columns or t in _WIDER.get(columns[n], ()) else columns[n] for n, t in target.types.items()}
