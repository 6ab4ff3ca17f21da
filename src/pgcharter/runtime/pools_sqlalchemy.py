"""SQLAlchemy on the pools of a `Database`: its engine takes each connection from there and gives it back there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool
from sqlalchemy.util import await_only, greenlet_spawn

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import awaited, driven
from pgcharter.runtime.context import using
from pgcharter.runtime.pools import Server
from pgcharter.runtime.served import EVERYBODY

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

_offered: ContextVar[Any] = ContextVar("pgcharter_offered", default=None)
"""The psycopg connection that the next connection of SQLAlchemy is to stand on."""
_URL = "postgresql+psycopg://"


class LentPool(Pool):
    """Connections of a `Server`; what SQLAlchemy keeps about one lives as long as the connection itself."""

    server: Server

    def _do_get(self) -> ConnectionPoolEntry:
        conn = _offered.get()
        borrowed = conn is None
        if borrowed:
            conn = self._settled(self.server.borrow())
        record = getattr(conn, "record", None)
        if record is None or record.dbapi_connection is None:
            record = self._made(conn)
        record.lent = (conn, borrowed)
        return cast("ConnectionPoolEntry", record)

    def _made(self, conn: Any) -> Any:
        with _offering(conn), using(EVERYBODY):  # SQLAlchemy asks its first connection some things, on behalf of nobody
            conn.record = record = self._create_connection()
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        conn, borrowed = cast("Any", record).lent
        if borrowed:
            self._settled(self.server.give_back(conn))

    def _settled(self, steps: Any) -> Any:
        return await_only(awaited(steps)) if self._dialect.is_async else driven(steps)

    def _invalidate(self, connection: Any, exception: BaseException | None = None, _checkin: bool = True) -> None:
        """Give up one connection alone: SQLAlchemy by itself would then renew all that it has got to know before, healthy ones too."""
        if _checkin and getattr(connection, "is_valid", False):
            connection.invalidate(exception)

    def _close_connection(self, connection: Any, *, terminate: bool = False) -> None:  # noqa: ARG002
        """Hang up, and no more: whoever has lent it sees that it is closed."""
        getattr(connection, "driver_connection", connection).pgconn.finish()

    def recreate(self) -> LentPool:
        """The same: its connections are not SQLAlchemy's to renew."""
        return self

    def dispose(self) -> None:
        """Nothing: `Database.close` closes connections."""

    def status(self) -> str:
        """How many are lent."""
        return f"{len(self.server.loans)} of {self.server.pool.max_size} connections lent"


def _given() -> Any:
    conn = _offered.get()
    if conn is None:
        raise UsageError("this engine makes no connections by itself: they come from its Database")
    return conn


async def _given_async() -> Any:
    return _given()


def engine_of(server: Server, options: dict[str, Any]) -> Engine:
    """An engine on the pool of a server."""
    engine = create_engine(_URL, creator=_given, poolclass=LentPool, pool_reset_on_return=None, **options)
    cast("LentPool", engine.pool).server = server
    return engine


def async_engine_of(server: Server, options: dict[str, Any]) -> AsyncEngine:
    """The async twin of `engine_of`."""
    engine = create_async_engine(_URL, async_creator=_given_async, poolclass=LentPool, pool_reset_on_return=None, **options)
    cast("LentPool", engine.sync_engine.pool).server = server
    return engine


def met(engine: Engine, conn: Any) -> None:
    """Let SQLAlchemy ask what it asks of its first connection, and then roll back: where no transaction is open yet."""
    joined(engine, conn).close()


async def met_async(engine: AsyncEngine, conn: Any) -> None:
    """The async twin of `met`."""
    with _offering(conn):
        async with engine.connect():
            pass


@contextmanager
def _offering(conn: Any) -> Iterator[None]:
    token = _offered.set(conn)
    try:
        yield
    finally:
        _offered.reset(token)


def joined(engine: Engine, conn: Any) -> Connection:
    """A connection of SQLAlchemy on one of psycopg that somebody else gives back."""
    with _offering(conn):
        return engine.connect()


def joined_async(engine: AsyncEngine, conn: Any) -> AsyncConnection:
    """The async twin of `joined`. Nothing has to be waited for, because the connection is there already: one step is the whole of it."""
    with _offering(conn):
        connecting = greenlet_spawn(engine.sync_engine.connect)
        try:
            connecting.send(None)
        except StopIteration as end:
            return AsyncConnection(engine, end.value)
    connecting.close()
    raise UsageError("the connection of psycopg was not ready")
