"""Sessions of SQLAlchemy that know of soft delete and versions: one call, `serve_models(sessionmaker(engine))`.

Sync and async alike: an AsyncSession works through a Session, and that is what is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from psycopg.pq import TransactionStatus
from sqlalchemy import CompoundSelect, Connection, Select, Update, event, inspect, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState, Session, scoped_session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql import visitors
from sqlalchemy.util import immutabledict

from pgcharter.errors import UsageError
from pgcharter.names import quote
from pgcharter.runtime.models import Versioned
from pgcharter.runtime.models_deleting import mark_deleted
from pgcharter.runtime.models_soft_delete import ForGood, SoftDelete, filtered, hidden, is_marked, marking
from pgcharter.runtime.models_sqlalchemy20 import mend
from pgcharter.runtime.models_versions import Conflict, StaleVersionError

F = TypeVar("F")
mend()
Expected = dict[InstanceState[Any], tuple[tuple[Any, ...], int]]
"""Objects that a flush is about, with their keys and the versions that were read."""


class ModelSession(Session):
    """A Session that hides deleted rows, marks instead of deleting, counts versions up, and tells of conflicts what was found."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._named: set[InstanceState[Any]] = set()
        self._expected: Expected = {}
        self._connections: dict[Mapper[Any], Connection] = {}

    def delete(self, instance: object) -> None:
        """Mark an object as deleted, or delete it where it has no soft delete; written with the next flush."""
        super().delete(instance)
        self._named.add(inspect(instance))

    def flush(self, objects: Any = None) -> None:
        """Write what has changed. Raises StaleVersionError where a row is not as it was read any more."""
        try:
            super().flush(objects)
        except StaleDataError as error:
            stale = self._stale()
            if not stale:
                raise
            raise StaleVersionError(stale) from error
        finally:
            self._named, self._expected, self._connections = set(), {}, {}

    def _identity_lookup(self, mapper: Any, primary_key_identity: Any, *args: Any, **kwargs: Any) -> Any:
        """What `get` and many-to-one relationships find without asking the database (overridden as SQLAlchemy's own sharding does)."""
        found = super()._identity_lookup(mapper, primary_key_identity, *args, **kwargs)
        return None if hidden(found, self, kwargs.get("lazy_loaded_from")) else found

    def _remember(self) -> None:
        for one in (*self.dirty, *self.deleted):
            state: InstanceState[Any] = inspect(one)
            if isinstance(one, Versioned) and (one in self.deleted or self.is_modified(one)):
                self._expected[state] = (state.identity or (), one.version)
                if state.mapper not in self._connections:
                    self._connections[state.mapper] = self.connection(bind_arguments={"mapper": state.mapper})

    def _stale(self) -> list[Conflict]:
        """What is there of the rows that the failed flush was about; nothing where it cannot be asked."""
        found: list[Conflict] = []
        for mapper, conn in self._connections.items():
            mine = {key: version for state, (key, version) in self._expected.items() if state.mapper is mapper}
            try:
                there = _versions(conn, mapper, list(mine))
            except SQLAlchemyError:
                continue
            at = f"{quote(str(table.schema))}.{quote(table.name)}" if (table := _table(mapper)).schema else quote(table.name)
            found += [Conflict(at, key, want, there.get(key)) for key, want in mine.items() if there.get(key) != want]
        return found


def _table(mapper: Mapper[Any]) -> Any:
    assert mapper.version_id_col is not None  # noqa: S101  (Versioned sees to it)
    return mapper.version_id_col.table


def _versions(conn: Connection, mapper: Mapper[Any], keys: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    """Asked on the connection of the flush: after its savepoint, or where all is rolled back, in a transaction that leaves nothing open.

    For that one a Connection of its own, as the caller's transaction on the other one is closed and has it refuse.
    """
    version: Any = mapper.version_id_col
    key = [version.table.c[c.name] for c in mapper.primary_key]
    statement = select(version, *key).where(tuple_(*key).in_(keys))
    driver: Any = conn.connection.driver_connection
    if driver.info.transaction_status != TransactionStatus.IDLE:
        return {tuple(row[1:]): row[0] for row in conn.execute(statement)}
    own = Connection(conn.engine, conn.connection)
    with _apart(driver), own.begin() as begun:
        found = {tuple(row[1:]): row[0] for row in own.execute(statement)}
        begun.rollback()
    return found


@contextmanager
def _apart(driver: Any) -> Iterator[None]:
    """Beside a unit of work, whose transaction is rolled back by now and which refuses another one."""
    held = getattr(driver, "held", None)
    if held is not None:
        driver.held = None
    try:
        yield
    finally:
        if held is not None:
            driver.held = held


def _statement(state: ORMExecuteState) -> Any:
    if state.is_insert:
        return None
    if not state.is_orm_statement:
        found = _of_orm(state.statement)
        return state.invoke_statement(filtered(state, found)) if found is not None else None
    if state.is_delete and is_marked(state):
        statement: Any = state.statement
        return state.invoke_statement(_counted(filtered(state, marking(statement, statement.entity_description["entity"]))))
    if not any(isinstance(o, ForGood) for o in state.user_defined_options):
        state.statement = filtered(state, state.statement)
    if isinstance(state.statement, Update) and not isinstance(state.parameters, list | tuple):
        state.statement = _counted(state.statement)
    return None


def _look(*_: object) -> None:
    """Have statements looked at, now that there is a class that asks for it: SQLAlchemy prepares for that with each of them."""
    if not event.contains(ModelSession, "do_orm_execute", _statement):
        event.listen(ModelSession, "do_orm_execute", _statement)


for _mixin in (SoftDelete, Versioned):
    event.listen(_mixin, "instrument_class", _look, propagate=True)
    if _mixin.__subclasses__():
        _look()


def _of_orm(statement: Any) -> Any:
    """A statement whose entities are all below its top, `select(exists().where(…))`, as one of the ORM's; None for any other one."""
    if not isinstance(statement, Select | CompoundSelect):
        return None
    for one in visitors.iterate(statement):
        attributes: Any = getattr(one, "_propagate_attrs", None)
        if attributes and attributes.get("compile_state_plugin") == "orm":
            made: Any = statement._generate()
            made._propagate_attrs = attributes
            return made
    return None


def _counted(statement: Any) -> Any:
    """An UPDATE that counts versions up, as whoever has read a row before must learn of it."""
    entity = statement.entity_description["entity"]
    mapper = inspect(entity).mapper
    if not issubclass(mapper.class_, Versioned):
        return statement
    key = mapper.get_property_by_column(mapper.version_id_col).key
    ordered = getattr(statement, "_ordered_values", None)  # up to 2.0; from 2.1 on a flag beside the values
    values = dict(ordered or statement._values or ())
    if key in {getattr(c, "key", c) for c in values}:
        return statement
    if not ordered and not getattr(statement, "_maintain_values_ordering", False):
        return statement.values({key: getattr(entity, key) + 1})
    made, values[mapper.version_id_col] = statement._generate(), getattr(entity, key) + 1
    if ordered:
        made._ordered_values = list(values.items())
    else:
        made._values = immutabledict(values)
    return made


@event.listens_for(ModelSession, "before_flush")
def _flushing(session: ModelSession, _context: object, _instances: object) -> None:
    mark_deleted(session, session._named)
    session._remember()


def serve_models(target: F) -> F:
    """Have sessions know of soft delete and versions: a sessionmaker, async_sessionmaker or scoped_session, which is changed and given
    back, or a class of Session or AsyncSession, of which a subclass is given back. Calling it again changes nothing.

    Raises UsageError for anything else.
    """
    made: Any = target
    if isinstance(made, scoped_session):
        serve_models(made.session_factory)
    elif isinstance(made, sessionmaker):
        made.class_ = served(made.class_)
    elif isinstance(made, async_sessionmaker):
        sync = made.kw.get("sync_session_class") or made.class_.sync_session_class
        made.kw["sync_session_class"] = served(sync)
    elif isinstance(made, type) and issubclass(made, Session):
        return served(made)  # type: ignore[return-value]
    elif isinstance(made, type) and issubclass(made, AsyncSession):
        return type(made.__name__, (made,), {"sync_session_class": served(made.sync_session_class)})  # type: ignore[return-value]
    else:
        raise UsageError(f"{made!r} makes no sessions", hint="Sessions = serve_models(sessionmaker(engine))")
    return target


def served(one: type[Session]) -> type[Session]:
    """The class of Session with what models need; itself where it has that."""
    if issubclass(one, ModelSession):
        return one
    return ModelSession if one is Session else type(one.__name__, (ModelSession, one), {})
