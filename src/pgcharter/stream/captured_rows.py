"""Rows of the log of triggers made into what pgoutput would have sent, so that all that comes after knows one form of change only."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pgcharter.stream.model import Attribute, Relation
from pgcharter.stream.pgoutput import PLACED
from pgcharter.stream.source import Table

Values = Sequence[str | None]
_FIELD = re.compile(r'("(?:[^"]|"")*"|[^",]*)(?:,|\Z)')
_HEAD = struct.Struct(">BQQ")
_int = struct.Struct(">I").pack
_short = struct.Struct(">H").pack


def fields(row: str, count: int) -> list[str | None]:
    """Fields of a row as its type writes it (documentation, "Composite Type Input and Output Syntax")."""
    inner = row[1:-1]
    if '"' not in inner:
        return [v or None for v in inner.split(",")]
    return [_field(v) for v in _FIELD.findall(inner)[:count]]


def _field(text: str) -> str | None:
    if text[:1] == '"':
        return text[1:-1].replace('""', '"').replace("\\\\", "\\")
    return text or None


@dataclass(frozen=True)
class Shape:
    """How rows of one table looked at one time, and what is told of them."""

    relation: Relation
    """As it is published."""
    count: int
    """Fields that rows have."""
    at: tuple[int, ...] | None
    """Which of them are told, in their order; None: all as they are."""
    keys: tuple[bool, ...]

    def values(self, row: str) -> Values:
        """What is told of a row."""
        found = fields(row, self.count)
        return found if self.at is None else [found[i] for i in self.at]


def shape(
    table: Table, columns: Sequence[str], oids: Sequence[int], modifiers: Sequence[int], types: Sequence[str], generated: Sequence[bool]
) -> Shape:
    """A shape of a published table, or of a partition of it, whose columns may stand in another order."""
    of, order = table.relation, {c.name: i for i, c in enumerate(table.relation.columns)}
    keys = {c.name for c in of.columns if c.key}
    told = sorted((i for i, g in enumerate(generated) if not g), key=lambda i: order.get(columns[i], len(order) + i))
    made = tuple(Attribute(columns[i], oids[i], types[i], of.identity == "full" or columns[i] in keys, modifiers[i]) for i in told)
    relation = of if made == of.columns else Relation(of.oid, of.schema, of.name, of.identity, made)
    whole = told == list(range(len(columns)))
    return Shape(relation, len(columns), None if whole else tuple(told), tuple(a.key for a in made))


def message(position: int, time: int, op: str, of: Shape | int, row: str | None, old: str | None) -> bytes:
    """A change. Of a table whose columns are not known, TRUNCATE only: then `of` is its oid."""
    return _HEAD.pack(PLACED, position, time) + _message(op, of, row, old)


def _message(op: str, of: Shape | int, row: str | None, old: str | None) -> bytes:
    if isinstance(of, int):
        return b"T" + _int(1) + b"\0" + _int(of)
    head = _int(of.relation.oid)
    new = of.values(row) if row is not None else ()
    before = of.values(old) if old is not None else None
    if op == "INSERT":
        return b"I" + head + b"N" + _tuple(new)
    told = _identity(of, before, new if op == "UPDATE" else None) if before is not None else b""
    return b"U" + head + told + b"N" + _tuple(new) if op == "UPDATE" else b"D" + head + told


def _identity(of: Shape, before: Values, new: Values | None) -> bytes:
    """What identified a row before; nothing where it still does."""
    if of.relation.identity == "full":
        return b"O" + _tuple(before)
    if new is not None and all(not key or o == n for key, o, n in zip(of.keys, before, new, strict=True)):
        return b""
    return b"K" + _tuple([v if key else None for key, v in zip(of.keys, before, strict=True)])


def _tuple(values: Values) -> bytes:
    parts = [_short(len(values))]
    add = parts.append
    for value in values:
        if value is None:
            add(b"n")
        else:
            data = value.encode()
            add(b"t")
            add(_int(len(data)))
            add(data)
    return b"".join(parts)
