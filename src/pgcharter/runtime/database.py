"""The data layer that an application imports: pools, units of work that are tried again, sessions of SQLAlchemy, sync and async.

db = Database("postgresql://…", application="shop")
total = db.run(lambda work: work.conn.execute("SELECT count(*) FROM orders").fetchone()[0], readonly=True)

db = AsyncDatabase("postgresql://…")
await db.run(place_order)
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import awaited, driven
from pgcharter.runtime.database_counts import Counts, Health, PoolStats
from pgcharter.runtime.database_parts import Isolation
from pgcharter.runtime.database_runs import Runs
from pgcharter.runtime.database_timeouts import Timeouts
from pgcharter.runtime.outcomes import Retry
from pgcharter.runtime.pools import Loan, Server, needed
from pgcharter.runtime.routing import Token
from pgcharter.runtime.served import AsyncServedConnection, ServedConnection, Terms
from pgcharter.runtime.work import AsyncWork, Work, around, entered

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

    from pgcharter.runtime.idempotency import Key

__all__ = ["AsyncDatabase", "Counts", "Database", "Health", "Isolation", "PoolStats", "Timeouts"]

T = TypeVar("T")


class Database(Runs):
    """Pools and units of work for threads. Opens itself when it is first used; `close()` it, or use it as a context manager."""

    _watching: threading.Event | None = None

    @classmethod
    def from_charter(cls, environment: str = "", start: Path | None = None, **more: Any) -> Self:
        """As the charter says that holds for a folder, by default the current one: `[database]`, `[environments]`, `[tenancy]`.

        Without an environment the only one there is, else env DATABASE_URL. `more` are further arguments, which go before the charter's.
        Raises CharterError, UsageError.
        """
        from pgcharter.runtime.database_charter import options

        return cls(**{**options(environment, start), **more})

    def open(self) -> Database:
        """Make the pools. Calling it again changes nothing; after `close` it opens anew."""
        with self._lock:
            if self._phase in ("new", "closed"):
                with needed():
                    from pgcharter.runtime.pools_psycopg import ServedPool
                for server in self.servers:
                    server.pool = self._made_pool(server, ServedPool, ServedConnection)
                    server.pool.open()
                if self.router is not None:
                    self.router.start()
                self._watching = threading.Event()
                watching = (weakref.ref(self), self._watching, min(5.0, self.size.leak / 4))
                threading.Thread(target=_watch, args=watching, name="pgcharter-leaks", daemon=True).start()
                self._phase = "open"
        return self

    def close(self, timeout: float = 30.0) -> tuple[Loan, ...]:
        """Let no new work begin, wait at most `timeout` seconds for what is lent, and close the pools. Gives what was still lent.

        Those connections are closed when they come back. Calling it again changes nothing.
        """
        with self._lock:
            if self._phase != "open":
                return ()
            self._phase = "closing"
        began = time.monotonic()
        lent = driven(self._left_lent(began, timeout))
        if self._watching is not None:
            self._watching.set()
        if self.router is not None:
            self.router.stop()
        for server in self.servers:
            server.pool.close(5.0)
        self._phase = "closed"
        return lent

    def __enter__(self) -> Database:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        fn: Callable[[Work], T],
        *,
        isolation: Isolation = "",
        readonly: bool = False,
        retry: Retry | None = None,
        kind: str = "",
        after: Token | None = None,
        idempotency: Key | None = None,
    ) -> T:
        """Call `fn` with a unit of work and commit; what it returns is returned.

        After a serialization failure, a deadlock or a connection lost before COMMIT was sent, the whole of it is done again: `fn` must do
        nothing that a rollback does not undo, except through `work.after_commit`. Inside another unit of work of this database it is a
        savepoint of that, which alone is tried again.

        With `readonly` it may run on a replica: one that has replayed what this context has committed, and `after`, where that is given.

        With `idempotency` what `fn` returns is kept as the answer to a request: one that comes again gets it, and `fn` is not called.

        Raises what `fn` raises; PoolExhaustedError, ConnectError, ClosedError; UnknownOutcomeError where nobody can tell whether it is
        committed; UsageError where two nested units of work are open at a time.
        """
        if self._phase != "open":
            self._ready()
        value: T = driven(self._run(fn, self.terms(isolation, readonly, kind), retry or self.retry, after, idempotency))
        return value

    @contextmanager
    def begin(self, *, isolation: Isolation = "", readonly: bool = False, kind: str = "") -> Iterator[Work]:
        """A unit of work that is not tried again: `with db.begin() as work: …`. Raises UsageError inside another one."""
        if self._phase != "open":
            self._ready()
        _outermost(self)
        self.counts.add("runs")
        work: Any = driven(self._begun(self.terms(isolation, readonly, kind), 1, None))
        error = None
        try:
            with entered(work):
                yield work
        except BaseException as raised:
            error = raised
        driven(self._finished(work, error, self.retry.settle))

    @property
    def engine(self) -> Engine:
        """An engine of SQLAlchemy on the primary's pool, for what is no unit of work."""
        if self._phase != "open":
            self._ready()
        engine: Engine = self.engine_of(self.primary)
        return engine

    @property
    def sessions(self) -> sessionmaker[Session]:
        """Makes sessions on the primary that are no units of work, `with db.sessions() as session: …`; deleted rows they know."""
        from sqlalchemy.orm import sessionmaker

        return sessionmaker(self.engine, class_=self.session_class, **self.session_options)

    def health(self, seconds: float = 2.0) -> tuple[Health, ...]:
        """How each server is, asked on connections of their own, so that an exhausted pool hides nothing. Never raises for a server."""
        return driven(self._healths(seconds))

    def renew(self) -> None:
        """Replace all connections, lent ones when they come back: after a change of password, say."""
        for server in self.servers:
            if server.pool is not None:
                server.pool.drain()

    def _ready(self) -> None:
        self._check_open()
        if self._phase == "new":
            self.open()

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _dial(self, server: Server, seconds: float) -> Any:
        return psycopg.connect(server.conninfo(), autocommit=True, **self._dial_kwargs(server, seconds))

    def _flow(self, flow: Any) -> Any:
        return flow

    def _configure(self, conn: Any) -> None:
        driven(self._configured(conn))

    def _meet(self, server: Server, conn: Any) -> None:
        from pgcharter.runtime.pools_sqlalchemy import met

        met(self.engine_of(server), conn)

    def _work(self, server: Server, conn: Any, terms: Terms, attempt: int) -> Work:
        return Work(self, server, conn, terms, attempt)

    def _engine(self, server: Server) -> Any:
        with needed():
            from pgcharter.runtime.pools_sqlalchemy import engine_of
        return engine_of(server, self.engine_options)

    def _late(self, server: Server) -> None:
        """SQLAlchemy was imported after the transaction had begun: what it asks first, it asks on another connection."""
        from pgcharter.runtime.pools_sqlalchemy import met

        with self._dial(server, self.size.wait) as conn:
            met(self.engine_of(server), conn)

    def _served_session(self) -> Any:
        from sqlalchemy.orm import Session

        from pgcharter.runtime.models_session import serve_models

        return serve_models(self._session_class or Session)


class AsyncDatabase(Runs):
    """Pools and units of work for the tasks of one event loop."""

    _loop: asyncio.AbstractEventLoop | None = None
    _gate: asyncio.Lock | None = None
    _watching: asyncio.Task[None] | None = None

    @classmethod
    def from_charter(cls, environment: str = "", start: Path | None = None, **more: Any) -> Self:
        """The async twin of `Database.from_charter`; it is not opened yet."""
        from pgcharter.runtime.database_charter import options

        return cls(**{**options(environment, start), **more})

    async def open(self) -> AsyncDatabase:
        """Make the pools in this event loop. Calling it again changes nothing; after `close` it opens anew.

        Raises UsageError in another loop than it was opened in.
        """
        gate = self._gate = self._gate or asyncio.Lock()
        async with gate:
            if self._phase in ("new", "closed"):
                with needed():
                    from pgcharter.runtime.pools_psycopg import AsyncServedPool
                self._loop = asyncio.get_running_loop()
                for server in self.servers:
                    server.pool = self._made_pool(server, AsyncServedPool, AsyncServedConnection)
                    await server.pool.open()
                if self.router is not None:
                    self.router.start_async()
                self._watching = asyncio.create_task(_watch_async(weakref.ref(self), min(5.0, self.size.leak / 4)), name="pgcharter-leaks")
                self._phase = "open"
        self._here()
        return self

    async def close(self, timeout: float = 30.0) -> tuple[Loan, ...]:
        """The async twin of `Database.close`."""
        if self._phase != "open":
            return ()
        self._here()
        self._phase = "closing"
        lent = await awaited(self._left_lent(time.monotonic(), timeout))
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        if self.router is not None:
            await self.router.stop_async()
        for server in self.servers:
            await server.pool.close(5.0)
        self._phase, self._gate = "closed", None
        return lent

    async def __aenter__(self) -> AsyncDatabase:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(
        self,
        fn: Callable[[AsyncWork], Awaitable[T]],
        *,
        isolation: Isolation = "",
        readonly: bool = False,
        retry: Retry | None = None,
        kind: str = "",
        after: Token | None = None,
        idempotency: Key | None = None,
    ) -> T:
        """The async twin of `Database.run`. Raises UsageError in another event loop than it was opened in, too."""
        if self._phase != "open" or asyncio.get_running_loop() is not self._loop:
            await self._ready()
        value: T = await awaited(self._run(fn, self.terms(isolation, readonly, kind), retry or self.retry, after, idempotency))
        return value

    @asynccontextmanager
    async def begin(self, *, isolation: Isolation = "", readonly: bool = False, kind: str = "") -> AsyncIterator[AsyncWork]:
        """The async twin of `Database.begin`."""
        if self._phase != "open" or asyncio.get_running_loop() is not self._loop:
            await self._ready()
        _outermost(self)
        self.counts.add("runs")
        work: Any = await awaited(self._begun(self.terms(isolation, readonly, kind), 1, None))
        error = None
        try:
            with entered(work):
                yield work
        except BaseException as raised:
            error = raised
        await awaited(self._finished(work, error, self.retry.settle))

    @property
    def engine(self) -> AsyncEngine:
        """An engine of SQLAlchemy on the primary's pool, for what is no unit of work. Open the database first."""
        if self._phase != "open":
            self._check_open()
            raise UsageError("the database is not open, so its engine has no pool yet", hint="await db.open()")
        engine: AsyncEngine = self.engine_of(self.primary)
        return engine

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        """The async twin of `Database.sessions`."""
        from sqlalchemy.ext.asyncio import async_sessionmaker

        return async_sessionmaker(self.engine, class_=self.session_class, **self.session_options)

    async def health(self, seconds: float = 2.0) -> tuple[Health, ...]:
        """The async twin of `Database.health`."""
        return await awaited(self._healths(seconds))

    async def renew(self) -> None:
        """The async twin of `Database.renew`."""
        for server in self.servers:
            if server.pool is not None:
                await server.pool.drain()

    async def _ready(self) -> None:
        self._check_open()
        if self._phase == "new":
            await self.open()
        self._here()

    def _here(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError(
                "the database was opened in another event loop, and its connections cannot be used in this one",
                hint="close it where it was opened; or make an AsyncDatabase for each loop",
            )

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _dial(self, server: Server, seconds: float) -> Any:
        return await psycopg.AsyncConnection.connect(server.conninfo(), autocommit=True, **self._dial_kwargs(server, seconds))

    def _flow(self, flow: Any) -> Any:
        return flow.aio

    async def _configure(self, conn: Any) -> None:
        await awaited(self._configured(conn))

    async def _meet(self, server: Server, conn: Any) -> None:
        from pgcharter.runtime.pools_sqlalchemy import met_async

        await met_async(self.engine_of(server), conn)

    def _work(self, server: Server, conn: Any, terms: Terms, attempt: int) -> AsyncWork:
        return AsyncWork(self, server, conn, terms, attempt)

    def _engine(self, server: Server) -> Any:
        with needed():
            from pgcharter.runtime.pools_sqlalchemy import async_engine_of
        return async_engine_of(server, self.engine_options)

    def _late(self, server: Server) -> None:  # noqa: ARG002
        raise UsageError(
            "SQLAlchemy was imported after the transaction had begun, so it could not get to know the server before",
            hint="import sqlalchemy at the top of the application, as its sessions need it anyway",
        )

    def _served_session(self) -> Any:
        from sqlalchemy.ext.asyncio import AsyncSession

        from pgcharter.runtime.models_session import serve_models

        return serve_models(self._session_class or AsyncSession)


def _watch(watched: weakref.ref[Database], stop: threading.Event, pause: float) -> None:
    """Look for leaks until the database is closed or nobody has it any more."""
    while not stop.wait(pause) and (database := watched()) is not None:
        database._report_leaks()
        del database


async def _watch_async(watched: weakref.ref[AsyncDatabase], pause: float) -> None:
    while (database := watched()) is not None:
        database._report_leaks()
        del database
        await asyncio.sleep(pause)


def _outermost(database: Runs) -> None:
    if around(database) is not None:
        raise UsageError("a unit of work is begun inside another one of the same database", hint="db.run(…) makes a savepoint there")
