"""Rows of a shape as SQL: every column is an expression of the row's number, so that keys are unique and foreign keys lead somewhere.

A foreign key is the key expression of the table it refers to, put at another row's number: no join, no order of filling, and tables that
refer to themselves or in a circle are like all others.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

from pgcharter.catalog.model import Catalog, Constraint, Index, Table
from pgcharter.migrate.shape import TableShape
from pgcharter.migrate.values import Make, Values, values
from pgcharter.names import ObjectId, quote

KEPT = 1000
"""Of a table that has its rows already, how many are referred to."""
_UNIQUE = 0.9
"""Share of distinct values from which a column may be taken for unique: n_distinct is an estimate."""


class Unfillable(Exception):  # noqa: N818
    """Why no rows can be made, in words that follow "because"."""


@dataclass
class Want:
    """What one table is to get."""

    table: Table
    rows: int
    shape: TableShape
    keys: tuple[tuple[str, ...], ...] = ()
    """Columns that must be unique together, also by constraints that are yet to come."""
    foreign_keys: tuple[Constraint, ...] = ()
    """Those yet to come too; first those that matter most."""
    chosen: dict[str, Values] = field(default_factory=dict)
    """Values of columns for which those of the type will not do."""

    def distinct(self, column: str) -> int | None:
        """How many different values a column should have among the rows; None when nobody knows."""
        found = self.shape.columns.get(column)
        if found is None or not found.distinct:
            return None
        return max(1, round(-found.distinct * self.rows) if found.distinct < 0 else min(int(found.distinct), self.rows))

    def sorted(self, column: str) -> bool:
        """Whether rows lie on disk in the order of the column's values."""
        found = self.shape.columns.get(column)
        return found is None or (found.correlation or 0) > 0.5

    def refuted(self, key: Sequence[str]) -> bool:
        """Whether production's statistics say that a column alone is not unique."""
        found = self.distinct(key[0]) if len(key) == 1 else None
        return found is not None and found < _UNIQUE * self.rows


class Generator:
    """Expressions for the rows of several tables that refer to each other."""

    def __init__(self, catalog: Catalog, wants: Mapping[ObjectId, Want], kept: Mapping[ObjectId, int]) -> None:
        self.catalog = catalog
        self.wants = wants
        self.kept = kept
        """Rows of tables that have theirs already."""
        self._numbers: dict[ObjectId, dict[str, Make]] = {}

    def columns(self, want: Want) -> dict[str, Make]:
        """For each column that is to be filled, its value by the row's number (from 1). Raises Unfillable."""
        self._numbers.pop(want.table.id, None)
        made: dict[str, Make] = {}
        for column in want.table.columns:
            if column.generated:
                continue
            make = self._value(want, column.name, frozenset())
            if make is None:
                if column.not_null and not column.default:
                    raise Unfillable(f"no values are known for column {column.name} of type {column.type.sql}")
                continue
            made[column.name] = self._with_nulls(want, column.name, make) if not column.not_null else make
        return made

    def _with_nulls(self, want: Want, column: str, make: Make) -> Make:
        shape = want.shape.columns.get(column)
        share = round((shape.nulls if shape else 0.0) * 10_000)
        if not share:
            return make
        if share >= 10_000:
            return lambda _: "NULL"
        return lambda i: f"CASE WHEN {_mixed(i, want, column + ' null')} % 10000 >= {share} THEN {make(i)} END"

    def _value(self, want: Want, column: str, seen: frozenset[tuple[ObjectId, str]]) -> Make | None:
        """The value of a column, never NULL, by the row's number; None when no value is known."""
        here = (want.table.id, column)
        number = self._number(want)[column]
        reference = self._reference(want, column)
        if reference and here not in seen:
            parent, key, order = reference
            if parent in self.kept:
                keys = ", ".join(map(quote, order))
                rows = f"ARRAY(SELECT {quote(key)} FROM {parent.sql()} ORDER BY {keys} LIMIT {KEPT})"
                return lambda i: f"({rows})[1 + {number(i)}]"
            if parent in self.wants:
                there = self._value(self.wants[parent], key, seen | {here})
                return (lambda i: there(f"(1 + {number(i)})")) if there else None
        found = self.values(want, column)
        return (lambda i: found.make(f"({number(i)} % {found.capacity})")) if found else None

    def values(self, want: Want, column: str) -> Values | None:
        """Values of a column by itself, whatever it refers to."""
        if column in want.chosen:
            return want.chosen[column]
        shape = want.shape.columns.get(column)
        needed = 9 * (want.distinct(column) or want.rows)
        return values(want.table.column[column].type, self.catalog, shape.width if shape else 0, needed)

    def _reference(self, want: Want, column: str) -> tuple[ObjectId, str, tuple[str, ...]] | None:
        """The table and column that a column refers to, with the whole key there."""
        for fk in self._used(want):
            if column in fk.columns and fk.references:
                return fk.references, fk.referenced_columns[fk.columns.index(column)], fk.referenced_columns
        return None

    def _used(self, want: Want) -> list[Constraint]:
        """Foreign keys that can be met together: none shares a column with one before it."""
        taken: set[str] = set()
        found: list[Constraint] = []
        for fk in want.foreign_keys:
            if fk.references and self._rows(fk.references) and not {*taken, *want.chosen} & {*fk.columns}:
                found.append(fk)
                taken.update(fk.columns)
        return found

    def _rows(self, table: ObjectId) -> int:
        return min(self.kept.get(table, 0), KEPT) or (self.wants[table].rows if table in self.wants else 0)

    def _capacity(self, want: Want, unit: Sequence[str]) -> int:
        """How many different values (or tuples, of a foreign key) there are to choose from."""
        reference = self._reference(want, unit[0])
        if reference:
            return self._rows(reference[0])
        found = self.values(want, unit[0])
        return found.capacity if found else 1

    def _number(self, want: Want) -> dict[str, Make]:
        """Which of its values each column has in a row: columns of one foreign key go together."""
        if want.table.id in self._numbers:
            return self._numbers[want.table.id]
        units = {c: tuple(fk.columns) for fk in self._used(want) for c in fk.columns}
        made: dict[str, Make] = {}
        single: set[tuple[str, ...]] = set()
        for key in sorted(want.keys, key=len):
            parts = list(dict.fromkeys(units.get(c, (c,)) for c in key if c in want.table.column and not want.table.column[c].generated))
            if parts and not single & set(parts):
                single |= self._make_unique(want, parts, made)
        for column in want.table.column:
            unit = units.get(column, (column,))
            if column not in made:
                number = self._usual(want, unit)
                made.update(dict.fromkeys(unit, number))
        self._numbers[want.table.id] = made
        return made

    def _make_unique(self, want: Want, parts: list[tuple[str, ...]], made: dict[str, Make]) -> set[tuple[str, ...]]:
        """Number the parts of a key so that no two rows have the same; the parts that are unique by themselves."""
        size = {part: self._capacity(want, part) for part in parts}
        free = [p for p in parts if p[0] not in made]
        able = [p for p in free if size[p] >= want.rows and not want.refuted(p)]
        if len(parts) == 1 or any(not self._reference(want, p[0]) for p in able):
            best = max(able or free or parts, key=lambda p: (not self._reference(want, p[0]), size[p]))
            if best not in able:
                want.rows = min(want.rows, size[best])
            made.update(dict.fromkeys(best, self._straight(want, best, size[best])))
            return {best}
        parts.sort(key=lambda p: (size[p] if p in free else 0, p))
        below = 1
        for part in parts:
            room = max(1, min(size[part], want.distinct(part[0]) or size[part]) if part != parts[-1] else size[part])
            if part in free:
                made.update(dict.fromkeys(part, _digit(below, room)))
                below *= room
        want.rows = min(want.rows, below)
        return set()

    def _straight(self, want: Want, unit: tuple[str, ...], room: int) -> Make:
        """A different number in each row: in order, or thoroughly mixed."""
        if want.sorted(unit[0]) or room < 9 * want.rows:
            return lambda i: f"({i} - 1)"
        modulus, factor = 8 * want.rows + 1, 1_000_003
        while gcd(factor, modulus) > 1:
            modulus += 1
        return lambda i: f"(({i} - 1) * {factor} % {modulus})"

    def _usual(self, want: Want, unit: tuple[str, ...]) -> Make:
        """As many different numbers as the column has values."""
        room = max(1, min(self._capacity(want, unit), want.distinct(unit[0]) or want.rows))
        if want.sorted(unit[0]) and unit[0] in want.shape.columns:
            return lambda i: f"(({i} - 1) * {room} / {max(want.rows, 1)} % {room})"
        return lambda i: f"({_mixed(i, want, unit[0])} % {room})"


def _digit(below: int, room: int) -> Make:
    return lambda i: f"(({i} - 1) / {below} % {room})"


def _mixed(i: str, want: Want, what: str) -> str:
    """A number from 0 on without any order, always the same for the same row."""
    seed = zlib.crc32(f"{want.table.id} {what}".encode())
    return f"(hashint8extended({i}, {seed}) & 9223372036854775807)"


def keys_of(table: Table) -> tuple[tuple[str, ...], ...]:
    """Columns that are unique together: by keys, by unique indexes of all rows, by exclusion constraints."""
    found = [c.columns for c in table.constraints if c.kind in ("primary key", "unique", "exclude")]
    found += [_indexed(i, table) for i in table.indexes if i.unique and not i.predicate]
    return tuple(dict.fromkeys(key for key in found if key))


def partial_keys(table: Table) -> tuple[tuple[str, ...], ...]:
    """Columns that are unique together among some of the rows."""
    return tuple(_indexed(i, table) for i in table.indexes if i.unique and i.predicate)


def _indexed(index: Index, table: Table) -> tuple[str, ...]:
    """The columns of an index, those of its expressions too."""
    return tuple(n for key in index.keys for n in ([key.column] if key.column else named(key.expression, table)))


def named(expression: str, table: Table) -> list[str]:
    """The columns of a table that an expression names, in their order there."""
    text = re.sub(r"'(?:[^']|'')*'", "''", expression)
    words = {w.replace('""', '"') if quoted else b for quoted, w, b in re.findall(r'(")((?:[^"]|"")+)"|([^\W\d][\w$]*)', text)}
    return [c.name for c in table.columns if c.name in words]
