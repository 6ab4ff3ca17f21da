"""Pages of a query that is SQL text, on psycopg's own connections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from psycopg.sql import Composable

from pgcharter.errors import UsageError
from pgcharter.names import quote
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.cursors import Position
from pgcharter.runtime.pages_after import Compare, Condition, Direction, Equal, after
from pgcharter.runtime.pages_values import Found, Narrow, fingerprint

_WORDS = re.compile(
    r"\s*(?P<expression>.*?)(?:\s+(?P<way>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?(?P<filled>\s+not\s+null)?\s*", re.I | re.S
)
_NAME = re.compile(r"[^\W\d]\w*")
_PLACE, _BY = "pgcharter_place_", "pgcharter_by_"
_NOTHING: Condition = (Compare(0, -1, ">"),)


@dataclass(frozen=True, slots=True)
class Key:
    """One part of an order: an expression over the columns that a query gives."""

    expression: str
    """SQL, such as `lower(name)`: the developer's, never a request's."""
    descending: bool = False
    nulls_first: bool | None = None
    """None: as PostgreSQL does, last when ascending, first when descending."""
    nullable: bool = True
    """Whether it can be NULL. What cannot be makes simpler statements."""

    @property
    def direction(self) -> Direction:
        """Which way it goes."""
        first = self.descending if self.nulls_first is None else self.nulls_first
        return Direction(self.descending, first, self.nullable)


def key(text: str | Key) -> Key:
    """Read `created_at desc nulls last`; `not null` behind it says that it never is."""
    if isinstance(text, Key):
        return text
    found = _WORDS.fullmatch(text)
    expression = found["expression"] if found else ""
    if found is None or not expression:
        raise UsageError(f"{text!r} is no part of an order", hint='"created_at desc nulls last not null", or Key("lower(name)")')
    name = quote(expression) if _NAME.fullmatch(expression) and expression == expression.lower() else expression
    nulls = None if found["nulls"] is None else found["nulls"].lower() == "first"
    return Key(name, (found["way"] or "").lower() == "desc", nulls, not found["filled"])


@dataclass(frozen=True)
class Listing:
    """A query to be read in pages: its text with parameters, its order, and the columns that tell its rows apart.

    `order` and `tie` are over the columns that the query gives. `tie` is never NULL and added to the order where it is not part of it
    already. The query has no ORDER BY or LIMIT of its own.
    """

    sql: str | Composable
    order: Sequence[str | Key]
    tie: Sequence[str]
    parameters: Sequence[Any] | Mapping[str, Any] = ()
    keys: tuple[Key, ...] = field(init=False)
    _text: str = field(init=False)

    def __post_init__(self) -> None:
        given = tuple(key(part) for part in self.order)
        named = {part.expression for part in given}
        last = given[-1] if given else Key("")
        ties = (replace(key(part), descending=last.descending, nullable=False) for part in self.tie)
        if not self.tie:
            raise UsageError("nothing tells rows apart that are equal in their order, and they would be lost", hint='tie=("id",)')
        known = set(self.tie)
        firm = tuple(replace(k, nullable=False) if k.expression in known else k for k in given)
        text = (self.sql if isinstance(self.sql, str) else self.sql.as_string(None)).rstrip().rstrip(";")
        object.__setattr__(self, "keys", (*firm, *(k for k in ties if k.expression not in named)))
        object.__setattr__(self, "_text", text if self.parameters else text.replace("%", "%%"))

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which way each part of the order goes."""
        return tuple(k.direction for k in self.keys)

    @property
    def text(self) -> str:
        """Its SQL and order, whatever the values."""
        return f"{self._text} {self.keys}"

    @property
    def fingerprint(self) -> bytes:
        """What its cursors are bound to: text, values and order."""
        return fingerprint(self.text, self.parameters)

    def statement(self, position: Position | None, limit: int, offset: int = 0) -> tuple[str, Any]:
        """The statement of a page, its parameters with it. The values of the order stand behind the query's columns, as text."""
        backward = position is not None and position.backward
        order = [k.direction.reverse if backward else k.direction for k in self.keys]
        conditions = after(order, position.values, inclusive=position.inclusive) if position else [()]
        values = position.values if position else ()
        named = isinstance(self.parameters, Mapping)
        given: list[Any] = []
        joined = len(conditions) > 1
        shown = f"SELECT *, {self._hidden(typed=joined)} FROM q "
        rest = f"ORDER BY {', '.join(map(_ordered, self.keys, order))} LIMIT {limit:d}" + (f" OFFSET {offset:d}" if offset else "")
        parts = [f"{shown}{self._where(condition, values, given, named=named)}{rest}" for condition in conditions or [_NOTHING]]
        text = f"SELECT * FROM ({' UNION ALL '.join(f'({part})' for part in parts)}) AS p {_joined(order, limit)}" if joined else parts[0]
        sql = f"WITH q AS NOT MATERIALIZED (\n{self._text}\n) {text}"
        if isinstance(self.parameters, Mapping):
            return sql, {**self.parameters, **{f"{_PLACE}{n}": value for n, value in enumerate(values)}}
        return sql, [*self.parameters, *given] or None

    def _hidden(self, *, typed: bool) -> str:
        """Columns behind the query's own: values of the order as text, and as they are where a union is to be ordered by them."""
        texts = [f"({k.expression})::text AS {_PLACE}{n}" for n, k in enumerate(self.keys)]
        return ", ".join([*texts, *(f"{k.expression} AS {_BY}{n}" for n, k in enumerate(self.keys) if typed)])

    def _where(self, condition: Condition, values: Sequence[Any], given: list[Any], *, named: bool) -> str:
        def place(at: int) -> str:
            if named:
                return f"%({_PLACE}{at})s"
            given.append(values[at])
            return "%s"

        def text(part: Any) -> str:
            if isinstance(part, Compare):
                at = range(part.first, part.last + 1)
                if not at:
                    return "false"
                left, right = (", ".join(f"({self.keys[i].expression})" for i in at), ", ".join(map(place, at)))
                return f"{left} {part.operator} {right}" if len(at) == 1 else f"({left}) {part.operator} ({right})"
            if isinstance(part, Equal):
                return f"({self.keys[part.at].expression}) = {place(part.at)}"
            return f"({self.keys[part.at].expression}) IS {'' if part.wanted else 'NOT '}NULL"

        return f"WHERE {' AND '.join(map(text, condition))} " if condition else ""

    def rows(self, conn: Any, position: Position | None, limit: int, offset: int = 0) -> Steps[Found]:
        """The rows of a page, in the order they were asked for, each with its place."""
        sql, parameters = self.statement(position, limit, offset)
        hidden = len(self.keys) * (2 if f" AS {_BY}0" in sql else 1)
        cursor = conn.cursor(row_factory=Narrow(conn.row_factory, len(self.keys), hidden))
        try:
            yield partial(cursor.execute, sql.encode(), parameters)
            made = yield cursor.fetchall
        finally:
            yield cursor.close
        return Found([item for item, _ in made], [place for _, place in made])


def _joined(order: Sequence[Direction], limit: int) -> str:
    return f"ORDER BY {', '.join(_ordered(Key(f'{_BY}{n}'), way) for n, way in enumerate(order))} LIMIT {limit:d}"


def _ordered(part: Key, way: Direction) -> str:
    usual = way.descending == way.nulls_first
    return f"{part.expression}{' DESC' if way.descending else ''}{'' if usual else ' NULLS FIRST' if way.nulls_first else ' NULLS LAST'}"
