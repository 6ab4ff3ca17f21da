"""Rows that are marked as deleted instead of deleted: the mixin, and what a session shows of them.

    class Order(SoftDelete, Base): …

    Sessions = serve_models(sessionmaker(engine))          # or an async_sessionmaker (models_session)
    session.delete(order)                                  # UPDATE app.orders SET deleted_at = …
    session.scalars(select(Order))                         # living orders
    session.scalars(select(Order).options(with_deleted())) # all of them
    restore(session, order)

The criterion is an option of each statement, so it holds for entities, columns, aliases, joins, subqueries, unions, and for loads of
relationships however they are made. A row that somebody holds is refreshed whether it is deleted or not. Statements on tables (Core), text,
and bulk updates of rows named by their keys (`session.execute(update(Order), rows)`) are not looked at.

An object that is in the session already keeps what its first load was told: of it, later statements with `with_deleted()` change nothing.
What refers to a deleted row by `joinedload(…, innerjoin=True)` is not found any more, as its inner join finds nothing: leave innerjoin out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, DateTime, Index, UpdateBase, func, inspect, select, text, update
from sqlalchemy.orm import (
    InstanceState,
    LoaderCriteriaOption,
    Mapped,
    Mapper,
    ORMExecuteState,
    Session,
    mapped_column,
    with_parent,
)
from sqlalchemy.orm import UserDefinedOption as Option
from sqlalchemy.sql.cache_key import HasCacheKey
from sqlalchemy.sql.visitors import InternalTraversal

from pgcharter.names import quote
from pgcharter.runtime.models_declared import declared

P = ParamSpec("P")
T = TypeVar("T")
_EVERYTHING, FOR_GOOD = "pgcharter_with_deleted", "pgcharter_for_good"


class SoftDelete:
    """A mixin: rows are marked by the time of their deletion (the server's, at the start of the transaction), and hidden from then on."""

    @declared
    def deleted_at(cls) -> Mapped[datetime | None]:  # noqa: N805
        """When the row was deleted; None: it is alive."""
        return mapped_column(DateTime(timezone=True), nullable=True, comment="When the row was deleted; NULL: it is alive")


class Shown(HasCacheKey, Option):
    """An option of statements: deleted rows are shown, also by what its rows load later.

    It is part of the key of SQLAlchemy's cache: the options that loads inherit are those of the statement in the cache, one by one.
    """

    propagate_to_loaders = True
    _traverse_internals = [("only", InternalTraversal.dp_plain_obj)]  # noqa: RUF012

    def __init__(self, only: tuple[type[SoftDelete], ...] = ()) -> None:
        super().__init__()
        self.only = only


class ForGood(HasCacheKey, Option):
    """An option of DELETE: rows are really deleted."""

    _traverse_internals = []  # noqa: RUF012


def with_deleted() -> Shown:
    """`select(Order).options(with_deleted())`: deleted rows as well, in relationships too. For `session.get(…, options=[…])` as well."""
    return Shown()


def only_deleted(entity: type[SoftDelete], *entities: type[SoftDelete]) -> Shown:
    """`select(Order).options(only_deleted(Order))`: deleted rows of these classes alone; of all others, and in relationships, all rows."""
    return Shown((entity, *entities))


def for_good() -> ForGood:
    """`delete(Order).where(…).options(for_good())`: a real DELETE, of deleted rows and living ones."""
    return ForGood()


@contextmanager
def showing_deleted(session: Any) -> Iterator[None]:
    """Inside, a Session or AsyncSession shows deleted rows whatever it is asked."""
    info, before = session.info, session.info.get(_EVERYTHING, False)
    info[_EVERYTHING] = True
    try:
        yield
    finally:
        info[_EVERYTHING] = before


def living_key(name: str, *columns: str, deleted_at: str = "deleted_at") -> Index:
    """For `__table_args__`: a unique key of living rows, so that a deleted row's values can be used again.

    An upsert must name the predicate as well: ON CONFLICT (email) WHERE deleted_at IS NULL.
    """
    return Index(name, *columns, unique=True, postgresql_where=text(f"{quote(deleted_at)} IS NULL"))


def _alive(cls: Any) -> ColumnElement[bool]:
    alive: ColumnElement[bool] = cls.deleted_at.is_(None)
    return alive


def _deleted(cls: Any) -> ColumnElement[bool]:
    deleted: ColumnElement[bool] = cls.deleted_at.is_not(None)
    return deleted


class Criterion(LoaderCriteriaOption):
    """One of ours. It is passed on to loads of relationships, as joined ones look for that, and there replaced by what holds by then."""

    _cache_key_traversal = LoaderCriteriaOption._traverse_internals

    def __init__(self, entity: type, of: Callable[[Any], ColumnElement[bool]]) -> None:
        super().__init__(entity, of, include_aliases=True, propagate_to_loaders=True, track_closure_variables=False)
        self._made = (entity, of)

    def __reduce__(self) -> Any:
        """Objects are pickled with what their loads inherit."""
        return Criterion, self._made


_LIVING = Criterion(SoftDelete, _alive)
"""One object for good, made of a function without variables: SQLAlchemy keeps what it has compiled for it."""


def _shown(state: ORMExecuteState) -> Shown | None:
    """What the statement, the object that a load is for, or the session says about deleted rows."""
    found = next((o for o in state.user_defined_options if isinstance(o, Shown)), None)
    if found is not None:
        return Shown() if state.is_relationship_load or state.is_column_load else found
    return Shown() if state.session.info.get(_EVERYTHING) else None


def filtered(state: ORMExecuteState, statement: Any) -> Any:
    """The statement with the options that it needs so that it sees what it is meant to see."""
    shown = _shown(state)
    wanted = (_LIVING,) if shown is None else tuple(Criterion(one, _deleted) for one in shown.only)
    if isinstance(statement, UpdateBase):
        statement = _beside(statement, shown)
    if not wanted and not any(isinstance(o, Criterion) for o in statement._with_options):
        return statement
    made = statement.options(*wanted)
    made._with_options = (*wanted, *(o for o in statement._with_options if not isinstance(o, Criterion)))
    return made


def _beside(statement: Any, shown: Shown | None) -> Any:
    """An UPDATE or DELETE with conditions on the tables that stand in its WHERE beside its own one, which no option reaches."""
    target = inspect(statement.entity_description["entity"])
    for entity in dict.fromkeys(entities(statement._where_criteria)):
        if entity is target or not issubclass(entity.mapper.class_, SoftDelete):
            continue
        if shown is None:
            statement = statement.where(_alive(entity.entity))
        elif issubclass(entity.mapper.class_, shown.only):
            statement = statement.where(_deleted(entity.entity))
    return statement


def entities(criteria: Iterable[Any]) -> list[Any]:
    """The entities of columns in conditions, but not of those in their subqueries, which are compiled for themselves."""
    todo, found = list(criteria), []
    while todo:
        one = todo.pop()
        entity = one._annotations.get("parententity")
        found += [entity] if entity is not None else []
        todo += [] if getattr(one, "is_selectable", False) else list(one.get_children())
    return found


def is_marked(state: ORMExecuteState) -> bool:
    """Whether a DELETE is one of rows that are only marked."""
    mapper = state.bind_mapper
    real = any(isinstance(o, ForGood) for o in state.user_defined_options)
    return mapper is not None and issubclass(mapper.class_, SoftDelete) and not real


def marking(statement: Any, entity: Any) -> Any:
    """The UPDATE in the place of a DELETE: same rows, same RETURNING, same options."""
    made = update(entity).values(deleted_at=func.now()).where(entity.deleted_at.is_(None))
    if statement.whereclause is not None:
        made = made.where(statement.whereclause)
    given = [one["expr"] for one in statement.returning_column_descriptions]
    made = made.returning(*given) if given else made
    return made.options(*statement._with_options).execution_options(**statement.get_execution_options())


def delete_for_good(session: Session, instance: object) -> None:
    """`session.delete`, with a real DELETE when it is flushed."""
    session.info.setdefault(FOR_GOOD, set()).add(inspect(instance))
    session.delete(instance)


def hidden(found: object, session: Session, asking: InstanceState[Any] | None) -> bool:
    """Whether an object of the identity map is not to be found by its key: it is deleted, and neither session nor asking row shows it."""
    if not isinstance(found, SoftDelete) or session.info.get(_EVERYTHING):
        return False
    if asking is not None and any(isinstance(o, Shown) for o in asking.load_options):
        return False
    return found.deleted_at is not None


class OfSession(Generic[P, T]):
    """A function of a Session; `aio` for an AsyncSession."""

    def __init__(self, function: Callable[P, T]) -> None:
        self._function = function
        self.__doc__, self.__name__ = function.__doc__, function.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run on a Session."""
        return self._function(*args, **kwargs)

    async def aio(self, session: Any, *args: Any, **kwargs: Any) -> T:
        """The same on an AsyncSession."""
        found: T = await session.run_sync(self._function, *args, **kwargs)
        return found


@OfSession
def restore(session: Session, instance: SoftDelete) -> int:
    """Bring a deleted object back with what was deleted together with it: by its cascades, in the same transaction. How many rows.

    Nothing is written before the flush, which fails with IntegrityError where another row has taken a unique key meanwhile.
    """
    return _restored(session, instance, instance.deleted_at) if instance.deleted_at is not None else 0


def _restored(session: Session, instance: SoftDelete, when: datetime) -> int:
    instance.deleted_at = None
    mapper: Mapper[Any] = inspect(instance).mapper
    below = [r for r in mapper.relationships if r.cascade.delete and not r.viewonly]
    count = 1
    for relation in below:
        attribute = getattr(mapper.class_, relation.key)
        found: list[Any] = []
        if issubclass(relation.mapper.class_, SoftDelete):
            asked = select(relation.mapper.class_).where(with_parent(instance, attribute), relation.mapper.class_.deleted_at == when)
            found = list(session.scalars(asked.options(with_deleted())).unique())
        count += sum(_restored(session, child, when) for child in found if child.deleted_at == when)
        if found:
            session.expire(instance, [relation.key])
    return count
