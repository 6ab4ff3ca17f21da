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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import psycopg

from pgcharter.errors import ConnectError, UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.context import NOTHING, using
from pgcharter.runtime.outcomes import Budget, Retry, UnknownOutcomeError, judge, left
from pgcharter.runtime.placement import Schemas
from pgcharter.runtime.pools import Dsn, Loan, PoolSize, Server, needed
from pgcharter.runtime.routing import Router, Routing, Token
from pgcharter.runtime.served import ID, LSN, AsyncServedConnection, ServedConnection, Terms
from pgcharter.runtime.work import AnyWork, AsyncWork, Work, called, current_work, entered, nested

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
Isolation = Literal["", "read committed", "repeatable read", "serializable"]

_FACTS = """
SELECT pg_backend_pid(), (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery()
"""
_ASK = """
SELECT pg_xact_status(%s::xid8), (SELECT system_identifier::text FROM pg_control_system()),
       substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
"""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of a kind of work, in seconds; None: as the server is set, 0: none."""

    statement: float | None = 30.0
    """Longest that one statement runs (statement_timeout)."""
    lock: float | None = 5.0
    """Longest that a statement waits for a lock (lock_timeout)."""
    idle: float | None = 60.0
    """Longest that the transaction does nothing (idle_in_transaction_session_timeout)."""

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Names and values of PostgreSQL's settings."""
        named = ("statement_timeout", self.statement), ("lock_timeout", self.lock), ("idle_in_transaction_session_timeout", self.idle)
        return tuple((name, f"{round(seconds * 1000)}ms") for name, seconds in named if seconds is not None)


@dataclass(slots=True)
class Counts:
    """What a `Database` has done since it was opened."""

    runs: int = 0
    committed: int = 0
    rolled_back: int = 0
    tried_again: int = 0
    lost: int = 0
    """Tries that ended because the connection was lost before COMMIT was sent."""
    asked: int = 0
    """Commits whose answer was lost, and whose outcome was asked of the server."""
    unknown: int = 0
    """Those of them that nobody could tell."""
    hooks_failed: int = 0


class _Any:
    """What both colours share."""

    def __init__(
        self,
        dsn: Dsn,
        *,
        application: str = "",
        size: PoolSize | None = None,
        timeouts: Timeouts | None = None,
        kinds: dict[str, Timeouts] | None = None,
        retry: Retry | None = None,
        budget: Budget | None = None,
        tenants: bool = False,
        placement: Schemas | None = None,
        tokens: bool = False,
        replicas: Sequence[Dsn] = (),
        routing: Routing | None = None,
        session_class: Any = None,
        session_options: dict[str, Any] | None = None,
        engine_options: dict[str, Any] | None = None,
        connect: dict[str, Any] | None = None,
    ) -> None:
        self.dsn = dsn
        self.application = application
        self.size = size or PoolSize()
        self.timeouts = timeouts or Timeouts()
        self.kinds = {"": self.timeouts, **(kinds or {})}
        self.retry = retry or Retry()
        self.budget = budget or Budget()
        self.tenants = tenants or placement is not None
        self.placement = placement
        self.tokens = tokens or bool(replicas)
        self._session_class = session_class
        self.session_options: dict[str, Any] = {"expire_on_commit": False, **(session_options or {})}
        self.engine_options = engine_options or {}
        self.connect_options = connect or {}
        self.counts = Counts()
        self.pooler = False
        """A pooler such as PgBouncer stands between: the server's process is not the one that greeted us."""
        self.system = ""
        """The server's system identifier."""
        self._engines: dict[str, Any] = {}
        self._terms: dict[tuple[Any, ...], Terms] = {}
        self._opened = False
        self._lock = threading.Lock()
        self.primary = Server("the primary", dsn)
        self.replicas = tuple(Server(f"replica {number}", each) for number, each in enumerate(replicas, 1))
        self.router = Router(self, routing or Routing()) if replicas else None

    # what a transaction is to be

    def terms(self, isolation: Isolation, readonly: bool, kind: str, deferrable: bool = False) -> Terms:
        """Terms of a transaction. Raises UsageError for a kind of work that is not declared."""
        key = (isolation, readonly, kind, deferrable)
        made = self._terms.get(key)
        if made is None:
            if kind not in self.kinds:
                known = ", ".join(sorted(k for k in self.kinds if k)) or "none but the usual"
                raise UsageError(f"there is no kind of work {kind!r}; there are {known}", hint="declare it: kinds={…: Timeouts(…)}")
            limits = self.kinds[kind].settings() if kind else ()
            tells = "" if readonly or not self.tokens else LSN
            made = Terms(isolation, readonly, deferrable, limits, "" if readonly else ID, tells)
            self._terms[key] = made
        return made

    # connections

    @property
    def servers(self) -> tuple[Server, ...]:
        """The primary and the replicas."""
        return self.primary, *self.replicas

    def _made_pool(self, server: Server, kind: Any, connection: Any) -> Any:
        size = self.size
        served: Any = type(connection.__name__, (connection,), {"everyone": not self.tenants, "placement": self.placement})
        return kind(
            server.conninfo, connection_class=served, kwargs=self._connect_kwargs(), min_size=size.min, max_size=size.max, open=False,
            configure=self._configure, check=kind.check_connection if size.check else None, timeout=size.wait, max_waiting=size.waiting,
            max_idle=size.idle, max_lifetime=size.lifetime, name=self.application or "pgcharter",
        )  # fmt: skip

    def _connect_kwargs(self) -> dict[str, Any]:
        named = {"application_name": self.application} if self.application else {}
        return {**named, **self.connect_options}

    def _configured(self, conn: Any) -> Steps[None]:
        """Learn of a new connection where it leads, and set what holds for all its transactions."""
        with using(replace(NOTHING, everybody=True)):
            cursor = yield partial(conn.execute, _FACTS)
            pid, self.system, _standby = yield cursor.fetchone
            if pid != conn.info.backend_pid:
                self.pooler = True
                conn.prepare_threshold = None
                conn.usual = Terms(settings=self.timeouts.settings())
            else:
                for name, value in self.timeouts.settings():
                    yield partial(conn.execute, f"SET {name} = '{value}'")
            yield conn.commit

    # units of work

    def _run(self, fn: Callable[[Any], Any], terms: Terms, retry: Retry, after: Token | None) -> Steps[Any]:
        outer = current_work()
        if outer is not None and outer.database is self:
            return (yield from nested(outer, fn, terms))
        deadline = time.monotonic() + retry.deadline
        self.counts.runs += 1
        self.budget.earn()
        attempt = 1
        while True:
            work: AnyWork | None = None
            try:
                work = yield from self._begun(terms, attempt, after)
                return (yield from self._attempt(work, fn, deadline))
            except BaseException as error:
                broken = work is None or bool(work._conn.closed)
                verdict = judge(error, retry, broken)
                if work is not None and work.held.said.state in ("sent", "committed"):
                    raise
                pause = retry.pause(attempt)
                if verdict == "final" or attempt >= retry.attempts or pause > left(deadline) or not self.budget.take():
                    if attempt > 1:
                        error.add_note(f"pgcharter: tried {attempt} times")
                    raise
                if verdict == "lost":
                    self.counts.lost += 1
            self.counts.tried_again += 1
            attempt += 1
            yield partial(self._sleep, pause)
            if verdict == "lost":
                yield (work.server if work is not None else self.primary).pool.check

    def _begun(self, terms: Terms, attempt: int, after: Token | None) -> Steps[AnyWork]:
        """Begin where the work belongs: what only reads on a replica that is far enough, all else on the primary."""
        if terms.readonly and self.router is not None:
            work = yield from self.router.begun(terms, attempt, after)
            if work is not None:
                return work
        return (yield from self.begun_on(self.primary, terms, attempt))

    def begun_on(self, server: Server, terms: Terms, attempt: int, wait: float | None = None) -> Steps[AnyWork]:
        """Borrow a connection of a server, waiting at most `wait` seconds, and begin on it."""
        conn = yield from server.borrow(wait)
        work = self._work(server, conn, terms, attempt)
        try:
            yield from work._opened()
        except BaseException:
            yield from self._released(work)
            raise
        return work

    def _attempt(self, work: AnyWork, fn: Callable[[Any], Any], deadline: float) -> Steps[Any]:
        value = error = None
        try:
            value = yield from called(work, fn)
        except BaseException as raised:
            error = raised
        yield from self._finished(work, error, deadline)
        return value

    def _finished(self, work: AnyWork, error: BaseException | None, deadline: float) -> Steps[None]:
        """Commit, or roll back after an error; then, with the connection given back, the hooks. Raises what went wrong."""
        state = "committed"
        try:
            if error is not None:
                raise error
            yield from work._ended()
        except BaseException as raised:
            error = raised
            state = yield from self._failed(work, raised, deadline)
        finally:
            yield from self._released(work)
        if state == "committed":
            self.counts.committed += 1
            if self.router is not None:
                self.router.committed(work)
            yield from work._hooks(work._committed)
        else:
            self.counts.rolled_back += 1
            yield from work._hooks(work._undone[::-1])
        if error is not None and not (state == "committed" and isinstance(error, Exception)):
            raise error

    def _failed(self, work: AnyWork, error: BaseException, deadline: float) -> Steps[str]:
        """What became of a transaction whose function or commit raised; undone where it is open. Raises UnknownOutcomeError."""
        said = work.held.said
        if said.state == "sent":
            said.state = yield from self._asked(work, error, deadline)
        if said.state != "committed":
            yield from work._undo()
        return said.state or "rolled back"

    def _asked(self, work: AnyWork, error: BaseException, deadline: float) -> Steps[str]:
        """Ask the server what became of a commit whose answer was lost."""
        self.counts.asked += 1
        said = work.held.said
        pause = 0.01
        while said.id:
            try:
                found = yield partial(self._status, said.id)
            except (psycopg.OperationalError, ConnectError):
                found = None
            if found is not None:
                status, system, timeline = found
                if system != self.system or timeline != said.timeline:
                    break
                if status in ("committed", "aborted"):
                    return "committed" if status == "committed" else "rolled back"
                if status is None:
                    break
            if left(deadline) <= pause:
                break
            yield partial(self._sleep, pause)
            pause = min(1.0, pause * 2)
        self.counts.unknown += 1
        raise UnknownOutcomeError(
            "the connection was lost while a commit was on its way, and what became of it could not be learnt, so it may be done or not",
            hint="look whether its effect is there before doing it again; with db.run(…, idempotency=…) the next call settles it",
        ) from error

    def _released(self, work: AnyWork) -> Steps[None]:
        try:
            yield from work._closed()
        finally:
            work._conn.held = None
            yield from work.server.give_back(work._conn)

    @property
    def session_class(self) -> Any:
        """The class of `work.session`."""
        return self._session_class or self._usual_session()

    def engine_of(self, server: Server) -> Any:
        """The engine of SQLAlchemy on a server's pool."""
        made = self._engines.get(server.name)
        if made is None:
            with self._lock:
                made = self._engines.setdefault(server.name, self._engine(server))
        return made

    def loans(self) -> tuple[Loan, ...]:
        """Who holds connections now, longest first."""
        return tuple(sorted(self.primary.loans.values(), key=lambda loan: loan.since))

    # what each colour says

    def _configure(self, conn: Any) -> Any:
        raise NotImplementedError

    def _sleep(self, seconds: float) -> Any:
        raise NotImplementedError

    def _status(self, xid: str) -> Any:
        raise NotImplementedError

    def _work(self, server: Server, conn: Any, terms: Terms, attempt: int) -> AnyWork:
        raise NotImplementedError

    def _engine(self, server: Server) -> Any:
        raise NotImplementedError

    def _usual_session(self) -> Any:
        raise NotImplementedError


class Database(_Any):
    """Pools and units of work for threads. Opens itself when it is first used; `close()` it, or use it as a context manager."""

    def open(self) -> Database:
        """Make the pools. Calling it again changes nothing."""
        with self._lock:
            if not self._opened:
                with needed():
                    import psycopg_pool
                for server in self.servers:
                    server.pool = self._made_pool(server, psycopg_pool.ConnectionPool, ServedConnection)
                    server.pool.open()
                if self.router is not None:
                    self.router.start()
                self._opened = True
        return self

    def close(self, timeout: float = 30.0) -> None:
        """Close the pools: unlent connections at once, lent ones when they come back. Waits at most `timeout` seconds for threads."""
        with self._lock:
            if self._opened:
                if self.router is not None:
                    self.router.stop()
                for server in self.servers:
                    server.pool.close(timeout)
                self._opened = False

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
    ) -> T:
        """Call `fn` with a unit of work and commit; what it returns is returned.

        After a serialization failure, a deadlock or a connection lost before COMMIT was sent, the whole of it is done again: `fn` must do
        nothing that a rollback does not undo, except through `work.after_commit`. Inside another unit of work of this database it is a
        savepoint of that, which alone is tried again.

        With `readonly` it may run on a replica: one that has replayed what this context has committed, and `after`, where that is given.

        Raises what `fn` raises; PoolExhaustedError, ConnectError; UnknownOutcomeError where nobody can tell whether it is committed.
        """
        self._opened or self.open()
        value: T = driven(self._run(fn, self.terms(isolation, readonly, kind), retry or self.retry, after))
        return value

    @contextmanager
    def begin(self, *, isolation: Isolation = "", readonly: bool = False, kind: str = "") -> Iterator[Work]:
        """A unit of work that is not tried again: `with db.begin() as work: …`. Raises UsageError inside another one."""
        self._opened or self.open()
        _outermost(self)
        work: Any = driven(self._begun(self.terms(isolation, readonly, kind), 1, None))
        error = None
        with entered(work):
            try:
                yield work
            except BaseException as raised:
                error = raised
        driven(self._finished(work, error, time.monotonic() + self.retry.deadline))

    @property
    def engine(self) -> Engine:
        """An engine of SQLAlchemy on the primary's pool, for what is no unit of work."""
        self._opened or self.open()
        engine: Engine = self.engine_of(self.primary)
        return engine

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _status(self, xid: str) -> Any:
        with psycopg.connect(self.primary.conninfo(), autocommit=True, **self._connect_kwargs()) as conn:
            return conn.execute(_ASK, (xid,)).fetchone()

    def _configure(self, conn: Any) -> None:
        driven(self._configured(conn))

    def _work(self, server: Server, conn: Any, terms: Terms, attempt: int) -> Work:
        return Work(self, server, conn, terms, attempt)

    def _engine(self, server: Server) -> Any:
        with needed():
            from pgcharter.runtime.pools_sqlalchemy import engine_of
        with psycopg.connect(server.conninfo(), **self._connect_kwargs()) as first:
            return engine_of(server, self.engine_options, first)

    def _usual_session(self) -> Any:
        from sqlalchemy.orm import Session

        return Session


class AsyncDatabase(_Any):
    """Pools and units of work for the tasks of one event loop."""

    async def open(self) -> AsyncDatabase:
        """Make the pools in this event loop. Calling it again changes nothing."""
        if not self._opened:
            with needed():
                import psycopg_pool
            for server in self.servers:
                server.pool = self._made_pool(server, psycopg_pool.AsyncConnectionPool, AsyncServedConnection)
                await server.pool.open()
                await self._made_engine(server)
            if self.router is not None:
                self.router.start_async()
            self._opened = True
        return self

    async def close(self, timeout: float = 30.0) -> None:
        """Close the pools: unlent connections at once, lent ones when they come back."""
        if self._opened:
            if self.router is not None:
                await self.router.stop_async()
            for server in self.servers:
                await server.pool.close(timeout)
            self._opened = False

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
    ) -> T:
        """The async twin of `Database.run`."""
        if not self._opened:
            await self.open()
        value: T = await awaited(self._run(fn, self.terms(isolation, readonly, kind), retry or self.retry, after))
        return value

    @asynccontextmanager
    async def begin(self, *, isolation: Isolation = "", readonly: bool = False, kind: str = "") -> AsyncIterator[AsyncWork]:
        """The async twin of `Database.begin`."""
        if not self._opened:
            await self.open()
        _outermost(self)
        work: Any = await awaited(self._begun(self.terms(isolation, readonly, kind), 1, None))
        error = None
        with entered(work):
            try:
                yield work
            except BaseException as raised:
                error = raised
        await awaited(self._finished(work, error, time.monotonic() + self.retry.deadline))

    @property
    def engine(self) -> AsyncEngine:
        """An engine of SQLAlchemy on the primary's pool, for what is no unit of work."""
        engine: AsyncEngine = self.engine_of(self.primary)
        return engine

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _status(self, xid: str) -> Any:
        async with await psycopg.AsyncConnection.connect(self.primary.conninfo(), autocommit=True, **self._connect_kwargs()) as conn:
            return await (await conn.execute(_ASK, (xid,))).fetchone()

    async def _configure(self, conn: Any) -> None:
        await awaited(self._configured(conn))

    def _work(self, server: Server, conn: Any, terms: Terms, attempt: int) -> AsyncWork:
        return AsyncWork(self, server, conn, terms, attempt)

    async def _made_engine(self, server: Server) -> None:
        try:
            from pgcharter.runtime.pools_sqlalchemy import async_engine_of
        except ImportError:
            return
        async with await psycopg.AsyncConnection.connect(server.conninfo(), **self._connect_kwargs()) as first:
            self._engines[server.name] = await async_engine_of(server, self.engine_options, first)

    def _engine(self, server: Server) -> Any:
        with needed():
            import sqlalchemy  # noqa: F401
        raise UsageError(f"the database is not open, so there is no engine on {server.name} yet", hint="await db.open()")

    def _usual_session(self) -> Any:
        from sqlalchemy.ext.asyncio import AsyncSession

        return AsyncSession


def _outermost(database: _Any) -> None:
    outer = current_work()
    if outer is not None and outer.database is database:
        raise UsageError("a unit of work is begun inside another one of the same database", hint="db.run(…) makes a savepoint there")
