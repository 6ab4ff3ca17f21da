"""Pages of a query that is SQL text, on psycopg's own connections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from psycopg.rows import tuple_row
from psycopg.sql import Composable

from pgcharter.errors import UsageError
from pgcharter.names import quote
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.cursors import Position
from pgcharter.runtime.pages_after import Compare, Condition, Direction, Equal, after
from pgcharter.runtime.pages_values import Found, fingerprint, narrowed

_WORDS = re.compile(
    r"\s*(?P<expression>.*?)(?:\s+(?P<way>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?(?P<filled>\s+not\s+null)?\s*", re.I | re.S
)
_NAME = re.compile(r"[^\W\d]\w*")
_PLACE, _BY = "pgcharter_place_", "pgcharter_by_"
_Form = tuple[bool, bool, tuple[bool, ...]]
"""Of a place: whether one goes backward from it, whether it is part of the page, and which of its values are NULL."""
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
    """The whole order, with what breaks its ties."""
    _text: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.tie or isinstance(self.tie, str):
            raise UsageError("no columns tell rows apart that are equal in their order, and they would be lost", hint='tie=("id",)')
        text = (self.sql if isinstance(self.sql, str) else self.sql.as_string(None)).rstrip().rstrip(";")
        object.__setattr__(self, "keys", _keys(tuple(self.order), tuple(self.tie)))
        object.__setattr__(self, "_text", text if self.parameters else text.replace("%", "%%"))

    @property
    def text(self) -> str:
        """Its SQL and order, whatever the values."""
        return f"{self._text} {_told(self.keys)}"

    @property
    def fingerprint(self) -> bytes:
        """What its cursors are bound to: text, values and order."""
        return fingerprint(self.text, self.parameters)

    def statement(self, position: Position | None, limit: int, offset: int = 0) -> tuple[str, Any]:
        """The statement of a page and its parameters; values of the order stand behind the query's columns, as text."""
        written = self._written(position, limit, offset)
        return written.sql, self._values(written, position)

    def _values(self, written: _Written, position: Position | None) -> Any:
        values = position.values if position else ()
        if isinstance(self.parameters, Mapping):
            return {**self.parameters, **{f"{_PLACE}{n}": value for n, value in enumerate(values)}}
        return [*self.parameters, *(values[n] for n in written.places)]

    def _written(self, position: Position | None, limit: int, offset: int) -> _Written:
        form = (position.backward, position.inclusive, tuple(v is None for v in position.values)) if position else None
        return _write(
            self._text, self.keys, isinstance(self.parameters, Mapping), form, f"LIMIT {limit:d}", f" OFFSET {offset:d}" * bool(offset)
        )

    def rows(self, conn: Any, position: Position | None, limit: int, offset: int = 0) -> Steps[Found]:
        """The rows of a page, in the order they were asked for, each with its place."""
        written = self._written(position, limit, offset)
        cursor = conn.cursor(row_factory=tuple_row)
        try:
            yield partial(cursor.execute, written.sql.encode(), self._values(written, position))
            rows = yield cursor.fetchall
            shown = cursor.pgresult.nfields - written.hidden
            return Found(narrowed(rows, cursor, conn.row_factory, shown), rows, slice(shown, shown + len(self.keys)))
        finally:
            yield cursor.close


@lru_cache(maxsize=1000)
def _keys(order: tuple[str | Key, ...], tie: tuple[str, ...]) -> tuple[Key, ...]:
    given, ties = [key(part) for part in order], [key(part) for part in tie]
    firm, named = {k.expression for k in ties}, {k.expression for k in given}
    down = bool(given) and given[-1].descending
    last = (replace(k, descending=down, nullable=False) for k in ties if k.expression not in named)
    return (*(replace(k, nullable=k.nullable and k.expression not in firm) for k in given), *last)


@lru_cache(maxsize=1000)
def _told(keys: tuple[Key, ...]) -> str:
    return ", ".join(_ordered(k, k.direction) for k in keys)


@dataclass(frozen=True, slots=True)
class _Written:
    """A statement, which values of the place go where `%s` stands, and how many columns stand behind the query's own."""

    sql: str
    places: tuple[int, ...]
    hidden: int


@lru_cache(maxsize=1000)
def _write(query: str, keys: tuple[Key, ...], named: bool, form: _Form | None, limit: str, offset: str) -> _Written:
    order = [k.direction.reverse if form and form[0] else k.direction for k in keys]
    conditions = after(order, [None if null else "" for null in form[2]], inclusive=form[1]) if form else [()]
    joined = len(conditions) > 1
    hidden = [f"({k.expression})::text AS {_PLACE}{n}" for n, k in enumerate(keys)]
    if joined:  # a union is ordered by its columns alone
        hidden += [f"{k.expression} AS {_BY}{n}" for n, k in enumerate(keys)]
    rest = f"ORDER BY {', '.join(map(_ordered, keys, order))} {limit}{offset}"
    wheres = [_where(condition, keys, named) for condition in conditions or [_NOTHING]]
    parts = [f"SELECT *, {', '.join(hidden)} FROM q {where}{rest}" for where, _ in wheres]
    text = f"SELECT * FROM ({' UNION ALL '.join(f'({part})' for part in parts)}) AS p {_joined(order, limit)}" if joined else parts[0]
    return _Written(f"WITH q AS NOT MATERIALIZED (\n{query}\n) {text}", tuple(n for _, at in wheres for n in at), len(hidden))


def _where(condition: Condition, keys: Sequence[Key], named: bool) -> tuple[str, list[int]]:
    given: list[int] = []

    def place(at: int) -> str:
        given.append(at)
        return f"%({_PLACE}{at})s" if named else "%s"

    def text(part: Any) -> str:
        if isinstance(part, Compare):
            at = range(part.first, part.last + 1)
            left, right = (", ".join(f"({keys[i].expression})" for i in at), ", ".join(map(place, at)))
            return f"{left} {part.operator} {right}" if len(at) == 1 else f"({left}) {part.operator} ({right})" if at else "false"
        if isinstance(part, Equal):
            return f"({keys[part.at].expression}) = {place(part.at)}"
        return f"({keys[part.at].expression}) IS {'' if part.wanted else 'NOT '}NULL"

    return f"WHERE {' AND '.join(map(text, condition))} " if condition else "", given


def _joined(order: Sequence[Direction], limit: str) -> str:
    return f"ORDER BY {', '.join(_ordered(Key(f'{_BY}{n}'), way) for n, way in enumerate(order))} {limit}"


def _ordered(part: Key, way: Direction) -> str:
    usual = way.descending == way.nulls_first
    return f"{part.expression}{' DESC' if way.descending else ''}{'' if usual else ' NULLS FIRST' if way.nulls_first else ' NULLS LAST'}"
