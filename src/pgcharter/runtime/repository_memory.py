"""Repositories in memory, for tests of what is built on repositories: the same filters, orders, pages and errors, and no server.

    memory = Memory()
    Orders(memory).insert(id=1, state="open")

Honest within bounds: keys, unique constraints and NOT NULL hold (IntegrityError), identities count, defaults of Python and the usual
ones of the server are filled in. There are no transactions, foreign keys, triggers, checks, searches or COPY; conditions of SQLAlchemy are
refused, filters as data are not. Texts are ordered by code point. What each method does is said at `repository.Repository`.
"""
# ruff: noqa: D102, ARG002

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cmp_to_key, wraps
from itertools import count, groupby
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapper

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.cursors import Position
from pgcharter.runtime.filters import Group
from pgcharter.runtime.filters_fields import names, reader
from pgcharter.runtime.filters_python import holds, key
from pgcharter.runtime.pages import OFFSET, Page, Pager, too_far
from pgcharter.runtime.pages_values import fingerprint
from pgcharter.runtime.repository_store import Condition, Named, Path, Several, Wanted, listed

M = TypeVar("M")
P = ParamSpec("P")
T = TypeVar("T")
_SERVER: dict[str, Callable[[], Any]] = {
    "now()": lambda: datetime.now(UTC),
    "current_timestamp": lambda: datetime.now(UTC),
    "gen_random_uuid()": uuid.uuid4,
    "uuidv7()": uuid.uuid4,
    "true": lambda: True,
    "false": lambda: False,
}


class Memory:
    """What stands for a database: objects of all classes. Repositories that share one see the same."""

    def __init__(self, *items: Any) -> None:
        """Objects that are there from the beginning."""
        self.rows: dict[type, list[Any]] = {}
        self.places: list[tuple[Any, ...]] = []
        self.counters: dict[type, count[int]] = {}
        for item in items:
            self.rows.setdefault(type(item), []).append(item)


def _plain(work: Callable[P, T]) -> Callable[P, Steps[T]]:
    """Work without a step, as a generator."""

    @wraps(work)
    def steps(*args: P.args, **kwargs: P.kwargs) -> Steps[T]:
        return work(*args, **kwargs)
        yield  # type: ignore[unreachable]

    return steps


class MemoryStore(Generic[M]):
    """Objects of one mapped class in memory."""

    def __init__(self, memory: Memory, model: type[M]) -> None:
        self.model, self._memory = model, memory
        self._mapper: Mapper[Any] = inspect(model)
        of: Any = self._mapper.class_
        self._names, self._reader = Named(model, names(of)), reader(of)
        self._key = [self._mapper.get_property_by_column(column).key for column in self._mapper.primary_key]

    @property
    def _rows(self) -> Several[M]:
        return self._memory.rows.setdefault(self.model, [])

    @_plain
    def get(self, key: Any, load: Sequence[Path]) -> M | None:
        return self._at(key)

    @_plain
    def list(self, wanted: Wanted) -> Several[M]:
        return self._list(wanted)

    @_plain
    def page(self, pager: Pager, cursor: str | None, wanted: Wanted) -> Page[M]:
        order, limit = self._order(wanted), pager.count(wanted.limit)
        query = fingerprint(self.model.__name__, repr(order), repr([self._read(one) for one in wanted.where]))
        position = pager.cursors.open(cursor, query) if cursor is not None else None
        rows = self._list(Wanted(wanted.where, wanted.order_by or self._key))
        backward = position is not None and position.backward
        if position:
            place = self._memory.places[int(position.values[0] or 0)]
            sign = -1 if backward else 1
            rows = [r for r in rows if (c := sign * _compare(order, _place(order, r), place)) > 0 or (position.inclusive and c == 0)]
        shown = rows[-limit:] if backward else rows[:limit]
        more, came = len(rows) > limit, position is not None
        if not shown:
            turned = pager.cursors.seal(Position(position.values, not backward, not position.inclusive), query) if position else None
            return Page([], turned if backward else None, None if backward else turned)
        forth, back = (came, more) if backward else (more, came)
        ends = [Position((self._keep(_place(order, row)),), way) for row, way in ((shown[-1], False), (shown[0], True))]
        return Page(shown, pager.cursors.seal(ends[0], query) if forth else None, pager.cursors.seal(ends[1], query) if back else None)

    @_plain
    def search(self, text: str, wanted: Wanted) -> Several[M]:
        raise UsageError("full text search is PostgreSQL's, and there is none in memory", hint="test it on a server")

    @_plain
    def exists(self, where: Sequence[Condition]) -> bool:
        return bool(self._list(Wanted(where)))

    @_plain
    def count(self, where: Sequence[Condition], exact: bool) -> int:
        return len(self._list(Wanted(where)))

    @_plain
    def aggregate(self, where: Sequence[Condition], by: Sequence[str], what: Mapping[str, tuple[str, str]]) -> Several[dict[str, Any]]:
        self._names.check([*by, *(field for _, field in what.values() if field)])
        rows = self._list(Wanted(where, by or ()))
        groups = (
            [(k, list(some)) for k, some in groupby(rows, lambda r: tuple(key(getattr(r, name)) for name in by))] if by else [((), rows)]
        )
        return [
            {name: getattr(some[0], name) for name in by} | {name: _aggregate(some, *told) for name, told in what.items()}
            for _, some in groups
        ]

    @_plain
    def add(self, items: Sequence[M]) -> None:
        for item in items:
            self._keep_one(item)

    @_plain
    def insert(self, rows: Sequence[Mapping[str, Any]]) -> Several[M]:
        return self._insert(rows)

    @_plain
    def update(self, key: Any, values: Mapping[str, Any]) -> M | None:
        found = self._at(key)
        self._set([] if found is None else [found], values)
        return found

    @_plain
    def update_where(self, where: Sequence[Condition], values: Mapping[str, Any]) -> int:
        return self._set(self._list(Wanted(self._some(where))), values)

    @_plain
    def upsert(
        self,
        rows: Sequence[Mapping[str, Any]],
        on: str | Sequence[str],
        conflict: Literal["update", "ignore"],
        update: Sequence[str] | None,
    ) -> Several[M]:
        fields = self._constraint(on) if isinstance(on, str) else list(on)
        stored: Several[M] = []
        for row in rows:
            self._names.check(row)
            same = [r for r in self._rows if all(row.get(f) is not None and key(getattr(r, f)) == key(row[f]) for f in fields)]
            if not same:
                stored += self._insert([row])
                continue
            for column in self._mapper.local_table.c:
                if self._mapper.get_property_by_column(column).key not in row:
                    self._default(column)  # the server draws from the sequence before it sees the conflict
            if conflict == "update":
                changed = [f for f in row if f not in fields] if update is None else update
                self._set(same, {f: row[f] for f in changed} or {f: row[f] for f in fields})
                stored += same
        return stored

    @_plain
    def delete(self, key: Any) -> bool:
        found = self._at(key)
        if found is not None:
            self._rows.remove(found)
        return found is not None

    @_plain
    def delete_where(self, where: Sequence[Condition]) -> int:
        gone = self._list(Wanted(self._some(where)))
        for item in gone:
            self._rows.remove(item)
        return len(gone)

    @_plain
    def bulk(self, rows: Any, options: Mapping[str, Any]) -> Any:
        raise UsageError("COPY is PostgreSQL's, and there is none in memory", hint="insert_many, or test it on a server")

    def stream(self, wanted: Wanted, chunk: int) -> Iterator[M]:
        yield from self._list(wanted)

    async def async_stream(self, wanted: Wanted, chunk: int) -> AsyncIterator[M]:
        for item in self._list(wanted):
            yield item

    def _at(self, wanted: Any) -> M | None:
        values = wanted if isinstance(wanted, tuple) else (wanted,)
        return next((r for r in self._rows if tuple(getattr(r, name) for name in self._key) == values), None)

    def _list(self, wanted: Wanted) -> Several[M]:
        if not 0 <= wanted.offset <= OFFSET:
            raise too_far(wanted.offset)
        conditions = [self._read(one) for one in wanted.where]
        rows = [r for r in self._rows if all(holds(one, r) for one in conditions)]
        if listed(wanted.order_by) or wanted.limit is not None or wanted.offset:
            order = self._order(wanted)
            rows.sort(key=cmp_to_key(lambda one, other: _compare(order, _place(order, one), _place(order, other))))
        return rows[wanted.offset : None if wanted.limit is None else wanted.offset + wanted.limit]

    def _read(self, one: Condition) -> Group:
        if isinstance(one, Group):
            return one
        if isinstance(one, Mapping):
            return self._reader.read(one)
        raise UsageError(
            "a condition of SQLAlchemy means nothing in memory", hint='a filter as data: {"total": {"ge": 10}}, or total__ge=10'
        )

    def _some(self, where: Sequence[Condition]) -> Sequence[Condition]:
        if not any(self._read(one).parts for one in where):
            raise UsageError(
                f"no filter is given, and every {self.model.__name__} would be changed", hint='{"id": {"is_null": False}} says that'
            )
        return where

    def _order(self, wanted: Wanted) -> Several[tuple[str, bool]]:
        """The fields of an order with their directions, the key last."""
        given = []
        for part in listed(wanted.order_by):
            if not isinstance(part, str) and not hasattr(part, "key"):
                raise UsageError("an expression of SQLAlchemy orders nothing in memory", hint='"-created_at"')
            given.append(self._names.ordered(part if isinstance(part, str) else part.key))
        down = bool(given) and given[-1][1]
        return [*given, *((name, down) for name in self._key if name not in [g for g, _ in given])]

    def _keep(self, place: tuple[Any, ...]) -> str:
        self._memory.places.append(place)
        return str(len(self._memory.places) - 1)

    def _insert(self, rows: Sequence[Mapping[str, Any]]) -> Several[M]:
        made = []
        for row in rows:
            self._names.check(row)
            item = self.model(**row)
            self._keep_one(item)
            made.append(item)
        return made

    def _keep_one(self, item: M) -> None:
        for attribute in self._mapper.column_attrs:
            column: Any = attribute.columns[0]
            if getattr(item, attribute.key, None) is None and attribute.key not in inspect(item).dict:
                setattr(item, attribute.key, self._default(column))
        others = [r for r in self._rows if r is not item]
        self._hold(item, others)
        if len(others) == len(self._rows):
            self._rows.append(item)

    def _default(self, column: Any) -> Any:
        if column.default is not None:
            return column.default.arg(None) if column.default.is_callable else column.default.arg if column.default.is_scalar else None
        if column.server_default is not None and hasattr(column.server_default, "arg"):
            text = str(column.server_default.arg).strip()
            made = _SERVER.get(text.lower(), lambda: _literal(text, column))
            return made()
        if column is column.table.autoincrement_column or column.identity is not None:
            return next(self._memory.counters.setdefault(self.model, count(1)))
        return None

    def _hold(self, item: M, others: Sequence[M]) -> None:
        """Keys and NOT NULL. Raises IntegrityError as the server's."""
        table: Any = self._mapper.local_table
        for attribute in self._mapper.column_attrs:
            if not attribute.columns[0].nullable and getattr(item, attribute.key) is None:
                raise _broken(f'null value in column "{attribute.columns[0].name}" of relation "{table.name}" violates not-null constraint')
        for name, fields in self._unique():
            values = [getattr(item, field) for field in fields]
            if None not in values and any([key(getattr(o, f)) for f in fields] == [key(v) for v in values] for o in others):
                raise _broken(f'duplicate key value violates unique constraint "{name}"')

    def _unique(self) -> Several[tuple[str, Several[str]]]:
        table: Any = self._mapper.local_table
        found = [c for c in table.constraints if type(c).__name__ in ("PrimaryKeyConstraint", "UniqueConstraint")]
        named = [(c.name or f"{table.name}_{'_'.join(x.name for x in c.columns)}", list(c.columns)) for c in found]
        return [(name, [self._mapper.get_property_by_column(x).key for x in columns]) for name, columns in named if columns]

    def _constraint(self, name: str) -> Several[str]:
        for known, fields in self._unique():
            if known == name:
                return fields
        raise UsageError(f"{self.model.__name__} has no unique constraint {name!r}")

    def _set(self, items: Sequence[M], values: Mapping[str, Any]) -> int:
        self._names.check(values)
        if not values:
            raise UsageError("nothing is to be changed")
        for item in items:
            before = {name: getattr(item, name) for name in values}
            for name, value in values.items():
                setattr(item, name, value)
            try:
                self._hold(item, [r for r in self._rows if r is not item])
            except IntegrityError:
                for name, value in before.items():
                    setattr(item, name, value)
                raise
        return len(items)


def _place(order: Sequence[tuple[str, bool]], item: Any) -> tuple[Any, ...]:
    return tuple(getattr(item, name) for name, _ in order)


def _compare(order: Sequence[tuple[str, bool]], one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
    """As PostgreSQL orders: NULLs last, first where it goes down."""
    for (_, down), x, y in zip(order, one, other, strict=True):
        if (x is None) != (y is None):
            return (-1 if down else 1) if x is None else (1 if down else -1)
        if x is not None and key(x) != key(y):
            return 1 if (key(x) < key(y)) == down else -1
    return 0


def _aggregate(rows: Sequence[Any], function: str, field: str) -> Any:
    values = [v for row in rows if (v := getattr(row, field)) is not None] if field else []
    if function == "count":
        return len(values) if field else len(rows)
    if function == "count_distinct":
        return len({key(v) for v in values})
    if not values:
        return None
    if function in ("min", "max"):
        return (min if function == "min" else max)(values, key=key)
    total = sum(values[1:], values[0])
    if function == "sum":
        return total
    return Decimal(total) / len(values) if isinstance(total, int | Decimal) else total / len(values)


def _literal(text: str, column: Any) -> Any:
    """A server's default that is a plain value."""
    bare = text.split("::")[0].strip("'")
    try:
        return column.type.python_type(bare)
    except (TypeError, ValueError, ArithmeticError, NotImplementedError):
        return None


def _broken(sentence: str) -> IntegrityError:
    return IntegrityError(sentence, None, ValueError(sentence))
