"""Repositories over a Session or AsyncSession of SQLAlchemy; what each method does is said at `repository.Repository`."""
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import ColumnElement, Select, and_, cast, delete, exists, func, insert, inspect, select, update
from sqlalchemy.dialects.postgresql import REGCONFIG, TSVECTOR
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import MANYTOONE, Mapper, QueryableAttribute, joinedload, raiseload, selectinload
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.filters import Group, unknown
from pgcharter.runtime.filters_fields import names, reader
from pgcharter.runtime.filters_select import condition
from pgcharter.runtime.pages import OFFSET, Page, Pager, too_far
from pgcharter.runtime.pages_coverage import is_async
from pgcharter.runtime.pages_explain import written
from pgcharter.runtime.repository_store import Condition, Named, Path, Several, Wanted, listed

M = TypeVar("M")
_NOW = {"populate_existing": True}


class SessionStore(Generic[M]):
    """Rows of a mapped class as a session sees them."""

    def __init__(self, session: Any, model: type[M], *, lazy: bool = False, config: str = "english") -> None:
        self.session, self.model, self._lazy, self._config = session, model, lazy, config
        self._mapper: Mapper[Any] = inspect(model)
        of: Any = self._mapper.class_
        self._names, self._reader = Named(model, names(of)), reader(of)

    def get(self, key: Any, load: Sequence[Path]) -> Steps[M | None]:
        found: M | None = yield partial(self.session.get, self.model, key, options=self._options(load))
        return found

    def list(self, wanted: Wanted) -> Steps[Several[M]]:
        return (yield from self._all(self._select(wanted)))

    def page(self, pager: Pager, cursor: str | None, wanted: Wanted) -> Steps[Page[M]]:
        statement = select(self.model).where(*self._where(wanted.where)).order_by(*self._order(wanted.order_by))
        return (yield from pager.steps(self.session, statement.options(*self._options(wanted.load)), cursor, wanted.limit))

    def search(self, text: str, wanted: Wanted) -> Steps[Several[M]]:
        found = [a for a in self._mapper.column_attrs if isinstance(a.columns[0].type, TSVECTOR)]
        if not found:
            raise UsageError(f"{self.model.__name__} has no column of type tsvector to search in")
        column = getattr(self.model, found[0].key)
        asked = func.websearch_to_tsquery(cast(self._config, REGCONFIG), text)
        statement = self._select(Wanted(wanted.where, (), wanted.limit, wanted.offset, wanted.load))
        by = self._order(wanted.order_by) if listed(wanted.order_by) else [func.ts_rank_cd(column, asked).desc(), *self._mapper.primary_key]
        return (yield from self._all(statement.where(column.op("@@")(asked)).order_by(None).order_by(*by)))

    def exists(self, where: Sequence[Condition]) -> Steps[bool]:
        return bool((yield partial(self.session.scalar, select(exists(select(self.model).where(*self._where(where)))))))

    def count(self, where: Sequence[Condition], exact: bool) -> Steps[int]:
        conditions = self._where(where)
        if exact:
            return int((yield partial(self.session.scalar, select(func.count()).select_from(self.model).where(*conditions))))
        sql, parameters = written(select(self.model).where(*conditions))
        conn = yield self.session.connection
        result = yield partial(conn.exec_driver_sql, f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        return int(result.scalar_one()[0]["Plan"]["Plan Rows"])

    def aggregate(
        self, where: Sequence[Condition], by: Sequence[str], what: Mapping[str, tuple[str, str]]
    ) -> Steps[Several[dict[str, Any]]]:
        self._names.check([*by, *(field for _, field in what.values() if field)])
        groups = [getattr(self.model, name) for name in by]
        columns = [self._aggregate(function, field).label(name) for name, (function, field) in what.items()]
        statement = select(*groups, *columns).select_from(self.model).where(*self._where(where)).group_by(*groups).order_by(*groups)
        result = yield partial(self.session.execute, statement)
        return [dict(zip([*by, *what], row, strict=True)) for row in result]

    def add(self, items: Sequence[M]) -> Steps[None]:
        self.session.add_all(items)
        yield self.session.flush

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> Steps[Several[M]]:
        for row in rows:
            self._names.check(row)
        if not rows:
            return []
        statement = insert(self.model).returning(self.model, sort_by_parameter_order=True)
        result = yield partial(self.session.scalars, statement, [dict(row) for row in rows], execution_options=_NOW)
        return list(result.all())

    def update(self, key: Any, values: Mapping[str, Any]) -> Steps[M | None]:
        statement = update(self.model).where(self._is(key)).values(self._set(values)).returning(self.model)
        result = yield partial(self.session.scalars, statement, execution_options=_NOW)
        found: M | None = result.one_or_none()
        return found

    def update_where(self, where: Sequence[Condition], values: Mapping[str, Any]) -> Steps[int]:
        statement = update(self.model).where(*self._some(where)).values(self._set(values))
        result = yield partial(self.session.execute, statement)
        return int(result.rowcount)

    def upsert(
        self,
        rows: Sequence[Mapping[str, Any]],
        on: str | Sequence[str],
        conflict: Literal["update", "ignore"],
        update: Sequence[str] | None,
    ) -> Steps[Several[M]]:
        for row in rows:
            self._names.check(row)
        if not rows:
            return []
        statement = upsert(self.model).values([dict(row) for row in rows])
        target: dict[str, Any] = {"constraint": on} if isinstance(on, str) else self._key([self._column(name) for name in on])
        if conflict == "ignore":
            statement = statement.on_conflict_do_nothing(**target)
        else:
            given = dict.fromkeys(name for row in rows for name in row)
            kept = set(on) if not isinstance(on, str) else {a.key for a in self._mapper.column_attrs if a.columns[0].primary_key}
            changed = [name for name in given if name not in kept] if update is None else list(update)
            self._names.check(changed)
            statement = statement.on_conflict_do_update(**target, set_=self._excluded(statement, changed or list(kept)))
        result = yield partial(self.session.scalars, statement.returning(self.model), execution_options=_NOW)
        return list(result.all())

    def delete(self, key: Any) -> Steps[bool]:
        found = yield partial(self.session.get, self.model, key)
        if found is None:
            return False
        yield partial(self.session.delete, found)
        yield self.session.flush
        return True

    def delete_where(self, where: Sequence[Condition]) -> Steps[int]:
        result = yield partial(self.session.execute, delete(self.model).where(*self._some(where)))
        return int(result.rowcount)

    def bulk(self, rows: Any, options: Mapping[str, Any]) -> Steps[Any]:
        from pgcharter.runtime import bulk

        load = bulk.load.aio if is_async(self.session) else bulk.load
        return (yield partial(load, self.session, self.model, rows, **options))

    def stream(self, wanted: Wanted, chunk: int) -> Iterator[M]:
        yield from self.session.scalars(self._select(wanted), execution_options={"yield_per": chunk})

    async def async_stream(self, wanted: Wanted, chunk: int) -> AsyncIterator[M]:
        result = await self.session.stream_scalars(self._select(wanted), execution_options={"yield_per": chunk})
        async for item in result:
            yield item

    def _all(self, statement: Any) -> Steps[Several[M]]:
        result = yield partial(self.session.scalars, statement)
        return list(result.all())

    def _select(self, wanted: Wanted) -> Select[Any]:
        """The statement of a list; what comes first is not left to chance where only some are wanted."""
        if not 0 <= wanted.offset <= OFFSET:
            raise too_far(wanted.offset)
        statement = select(self.model).where(*self._where(wanted.where)).options(*self._options(wanted.load))
        order = self._order(wanted.order_by)
        if order or wanted.limit is not None or wanted.offset:
            down = bool(order) and _descends(order[-1])
            statement = statement.order_by(*order, *(column.desc() if down else column for column in self._mapper.primary_key))
        if wanted.limit is not None:
            statement = statement.limit(wanted.limit)
        return statement.offset(wanted.offset) if wanted.offset else statement

    def _where(self, where: Sequence[Condition]) -> Several[ColumnElement[bool]]:
        read = (self._reader.read(one) if isinstance(one, Mapping) else one for one in where)
        return [
            condition(self.model, one) if isinstance(one, Group) else one for one in read if not (isinstance(one, Group) and not one.parts)
        ]

    def _some(self, where: Sequence[Condition]) -> Several[ColumnElement[bool]]:
        found = self._where(where)
        if not found:
            raise UsageError(
                f"no filter is given, and every {self.model.__name__} would be changed", hint='{"id": {"is_null": False}} says that'
            )
        return found

    def _order(self, order_by: Any) -> Several[Any]:
        return [self._ordered(part) for part in listed(order_by)]

    def _ordered(self, part: Any) -> Any:
        if not isinstance(part, str):
            return part
        name, down = self._names.ordered(part)
        column = getattr(self.model, name)
        return column.desc() if down else column.asc()

    def _options(self, load: Sequence[Path]) -> Several[Any]:
        chosen = [loading(self._mapper, path) for path in load]
        return chosen if self._lazy else [*chosen, raiseload("*", sql_only=True)]

    def _is(self, key: Any) -> ColumnElement[bool]:
        values = key if isinstance(key, tuple) else (key,)
        return and_(*(column == value for column, value in zip(self._mapper.primary_key, values, strict=True)))

    def _set(self, values: Mapping[str, Any]) -> dict[str, Any]:
        self._names.check(values)
        if not values:
            raise UsageError("nothing is to be changed")
        return dict(values)

    def _aggregate(self, function: str, field: str) -> Any:
        if not field:
            return func.count()
        column = getattr(self.model, field)
        return func.count(column.distinct()) if function == "count_distinct" else getattr(func, function)(column)

    def _column(self, name: str) -> Any:
        self._names.check([name])
        return self._mapper.column_attrs[name].columns[0]

    @staticmethod
    def _key(columns: Sequence[Any]) -> dict[str, Any]:
        """The unique key over columns, with its predicate where the model has it for some rows only, as `living_key` does."""
        partial_ones = (
            index.dialect_options["postgresql"]["where"]
            for index in columns[0].table.indexes
            if index.unique and set(index.columns) == set(columns)
        )
        return {"index_elements": columns, "index_where": next((where for where in partial_ones if where is not None), None)}

    def _excluded(self, statement: Any, fields: Sequence[str]) -> dict[Any, Any]:
        """What an update on conflict sets: the new values, and what an update of the ORM would set besides."""
        columns = [self._column(name) for name in fields]
        changed: dict[Any, Any] = {column: statement.excluded[column.name] for column in columns}
        for attribute in self._mapper.column_attrs:
            column: Any = attribute.columns[0]
            if column.onupdate is not None and column not in changed:
                changed[column] = column.onupdate.arg if not column.onupdate.is_callable else column.onupdate.arg(None)
        if self._mapper.version_id_col is not None:
            changed[self._mapper.version_id_col] = self._mapper.version_id_col + 1
        return changed


def loading(mapper: Mapper[Any], path: Path) -> Any:
    """How relationships are loaded: one row of another table by a join, many by a statement of their own.

    Raises UsageError for a relationship that there is not.
    """
    if isinstance(path, QueryableAttribute):
        return _one(path)
    if not isinstance(path, str):
        return path
    option: Any = None
    for step in path.split("."):
        relationship = mapper.relationships.get(step)
        if relationship is None:
            raise UsageError(unknown(f"{mapper.class_.__name__} has no relationship", step, [r.key for r in mapper.relationships]))
        attribute = getattr(mapper.class_, step)
        option = _one(attribute) if option is None else _one(attribute, option)
        mapper = relationship.mapper
    return option


def _descends(clause: Any) -> bool:
    while isinstance(clause, UnaryExpression):
        if clause.modifier is operators.desc_op:
            return True
        clause = clause.element
    return False


def _one(attribute: Any, before: Any = None) -> Any:
    joined = attribute.property.direction is MANYTOONE
    if before is None:
        return joinedload(attribute) if joined else selectinload(attribute)
    return before.joinedload(attribute) if joined else before.selectinload(attribute)
