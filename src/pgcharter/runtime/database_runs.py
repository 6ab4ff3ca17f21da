"""How a unit of work runs, for both colours: begun, called, committed, tried again, and asked about where its commit was not answered."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from pgcharter.errors import ConnectError, PgcharterError, UsageError
from pgcharter.runtime import database_watch
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.context import using
from pgcharter.runtime.database_counts import Counts, Health, PoolStats, exposition, pool_stats
from pgcharter.runtime.database_outcome import Outcomes
from pgcharter.runtime.database_timeouts import Timeouts
from pgcharter.runtime.outcomes import Budget, Retry, judge, left
from pgcharter.runtime.placement import Schemas
from pgcharter.runtime.pools import ClosedError, Dsn, Loan, PoolSize, Server
from pgcharter.runtime.routing import Router, Routing, Token
from pgcharter.runtime.served import EVERYBODY, FACTS, ID, LSN, EndedError, Terms
from pgcharter.runtime.work import AnyWork, Doing, around, called, log, nested, outside

if TYPE_CHECKING:
    from pgcharter.runtime.idempotency import Key

T = TypeVar("T")
Isolation = Literal["", "read committed", "repeatable read", "serializable"]
Phase = Literal["new", "open", "closing", "closed"]

_BACKEND = "SELECT pg_backend_pid(), pg_is_in_recovery()"
_all: weakref.WeakSet[Runs] = weakref.WeakSet()
_left_behind: list[Any] = []
"""Pools and engines of the process that we were forked from: neither used nor ended here."""


class Runs(Outcomes):
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
        self._terms: dict[tuple[Any, ...], Terms] = {}
        self._watches: tuple[database_watch.Watch, ...] = ()
        self._watched: tuple[str, ...] = ()
        self._asks_watched = ""
        self._phase: Phase = "new"
        self._lock = threading.Lock()
        self.primary = Server("the primary", dsn)
        self.replicas = tuple(Server(f"replica {number}", each) for number, each in enumerate(replicas, 1))
        self.router = Router(self, routing or Routing()) if replicas else None
        _all.add(self)

    # what a transaction is to be

    def terms(self, isolation: Isolation, readonly: bool, kind: str, deferrable: bool = False) -> Terms:
        """Terms of a transaction. Raises UsageError for a kind of work that is not declared."""
        key = (isolation, readonly, kind, deferrable)
        made = self._terms.get(key)
        if made is None:
            if isolation not in ("", "read committed", "repeatable read", "serializable"):
                raise UsageError(f"there is no isolation level {isolation!r}", hint="read committed, repeatable read or serializable")
            if kind not in self.kinds:
                known = ", ".join(sorted(k for k in self.kinds if k)) or "none but the usual"
                raise UsageError(f"there is no kind of work {kind!r}; there are {known}", hint="declare it: kinds={…: Timeouts(…)}")
            limits = self.kinds[kind].settings() if kind else ()
            tells = "" if readonly or not self.tokens else LSN
            watches = "" if readonly else self._asks_watched
            made = Terms(isolation, readonly, deferrable, limits, "" if readonly else ID, tells, watches)
            made = self._terms.setdefault(key, made)
        return made

    def watch(self, tables: Iterable[str], hook: Callable[[frozenset[str]], Any]) -> None:
        """Call `hook` after each commit of a unit of work that has written one of these tables, with the names of those written.

        Names are `schema.table`, as in SQL. It runs before the work's own hooks; what it raises is logged. It may be told of a table that
        was not written; never the other way round, but for what is written outside units of work. Where the server has no counts
        (track_counts = off), or the answer to COMMIT was lost, it is told of all. Partitions count for their table.
        """
        with self._lock:
            self._watches = (*self._watches, database_watch.watched(tables, hook))
            self._watched = tuple(sorted(frozenset().union(*(watch.tables for watch in self._watches))))
            self._asks_watched = database_watch.query(self._watched)
            self._terms = {}

    def _tellings(self, work: AnyWork) -> list[Callable[[], Any]]:
        """What is to be told of the tables that a committed transaction has written."""
        names = self._watched
        row = work.held.said.watched if work.held.terms.watches == self._asks_watched else ()
        found = database_watch.written(names, row, work._conn)
        return [partial(watch.hook, watch.tables & found) for watch in self._watches if watch.tables & found]

    # connections

    @property
    def servers(self) -> tuple[Server, ...]:
        """The primary and the replicas."""
        return self.primary, *self.replicas

    def _made_pool(self, server: Server, kind: Any, connection: Any) -> Any:
        from pgcharter.runtime.pools_psycopg import dead

        size = self.size
        server.dead = dead
        served: Any = type(connection.__name__, (connection,), {"everyone": not self.tenants, "placement": self.placement})
        return kind(
            server.conninfo, connection_class=served, kwargs=self._connect_kwargs(server), min_size=size.min, max_size=size.max, open=False,
            configure=self._configure, check=kind.check_connection if size.check else None, timeout=size.wait, max_waiting=size.waiting,
            max_idle=size.idle, max_lifetime=size.lifetime, name=f"{self.application or 'pgcharter'}, {server.name}",
        )  # fmt: skip

    def _connect_kwargs(self, server: Server | None = None) -> dict[str, Any]:
        """Arguments of a connection. A connect_timeout of the DSN stays; psycopg's own would be more than two minutes."""
        named: dict[str, Any] = {"application_name": self.application} if self.application else {}
        if "connect_timeout" not in (server or self.primary).parameters():
            named["connect_timeout"] = max(2, round(self.size.wait))
        return {**named, **self.connect_options}

    def _dial_kwargs(self, server: Server, seconds: float) -> dict[str, Any]:
        return {**self._connect_kwargs(server), "connect_timeout": max(2, round(seconds)), "prepare_threshold": None}

    def _configured(self, conn: Any) -> Steps[None]:
        """Learn of a new connection where it leads, and set what holds for all its transactions."""
        conn.born = time.monotonic()
        try:
            yield from self._learnt(conn)
        except BaseException:
            conn.pgconn.finish()
            raise

    def _learnt(self, conn: Any) -> Steps[None]:
        with using(EVERYBODY):
            cursor = yield partial(conn.execute, _BACKEND)
            pid, standby = yield cursor.fetchone
            if pid != conn.info.backend_pid:
                self.pooler = True
                conn.prepare_threshold = None
                conn.usual = self.timeouts.settings()
            else:
                if not standby:
                    cursor = yield partial(conn.execute, f"SELECT {FACTS}")
                    conn.facts = yield cursor.fetchone
                for name, value in self.timeouts.settings():
                    yield partial(conn.execute, f"SET {name} = '{value}'")
            if self._watched:
                cursor = yield partial(conn.execute, self._asks_watched)
                row = yield cursor.fetchone
                conn.files = tuple(None if each is None else each.encode() for each in row[1:])
            yield conn.commit

    # units of work

    def _run(self, fn: Callable[[Any], Any], terms: Terms, retry: Retry, after: Token | None, key: Key | None) -> Steps[Any]:
        doing = called if key is None else partial(self._once, key)
        inside = around(self)
        if inside is not None:
            return (yield from nested(inside, fn, terms, doing))
        deadline = time.monotonic() + retry.deadline
        self.counts.add("runs")
        self.budget.earn()
        attempt = 1
        while True:
            work: AnyWork | None = None
            try:
                work = yield from self._begun(terms, attempt, after)
                work.key = key
                return (yield from self._attempt(work, fn, retry, doing))
            except BaseException as error:
                verdict = judge(error, retry, work is None or work.broken)
                if work is not None and work.held.said.state in ("sent", "committed"):
                    raise
                pause = retry.pause(attempt)
                if verdict == "final" or attempt >= retry.attempts or pause > left(deadline) or not self.budget.take():
                    if attempt > 1:
                        error.add_note(f"pgcharter: tried {attempt} times")
                    raise
                if verdict == "lost":
                    self.counts.add("lost")
            self.counts.add("tried_again")
            attempt += 1
            yield partial(self._sleep, pause)

    def _begun(self, terms: Terms, attempt: int, after: Token | None) -> Steps[AnyWork]:
        """Begin where the work belongs: what only reads on a replica that is far enough, all else on the primary."""
        if terms.readonly and self.router is not None:
            work = yield from self.router.begun(terms, attempt, after)
            if work is not None:
                return work
        return (yield from self.begun_on(self.primary, terms, attempt))

    def begun_on(
        self, server: Server, terms: Terms, attempt: int, wait: float | None = None, fit: Callable[[Any], Terms] | None = None
    ) -> Steps[AnyWork]:
        """Borrow a connection of a server, waiting at most `wait` seconds, and begin on it; `fit` may have other terms for a connection."""
        conn = yield from server.borrow(wait)
        try:
            if not server.met and "sqlalchemy" in sys.modules:
                yield partial(self._meet, server, conn)
                server.met = True
            work = self._work(server, conn, terms if fit is None else fit(conn), attempt)
        except BaseException:
            yield from server.give_back(conn)
            raise
        try:
            yield work._begin
        except BaseException as error:
            standby = isinstance(error, psycopg.errors.ReadOnlySqlTransaction) and terms.asks == ID
            try:
                if standby:
                    yield from server.outdated(conn)
            finally:
                yield from self._released(work)
            if standby:
                raise ConnectError(f"{server.name} is a standby now, and nothing can be written there") from error
            raise
        return work

    def _attempt(self, work: AnyWork, fn: Callable[[Any], Any], retry: Retry, doing: Doing) -> Steps[Any]:
        value = error = None
        try:
            value = yield from doing(work, fn, 0)
        except BaseException as raised:
            error = raised
        yield from self._finished(work, error, retry.settle)
        return value

    def _once(self, key: Key, work: AnyWork, fn: Callable[[Any], Any], depth: int) -> Steps[Any]:
        """Call the function under an idempotency key; where its request was answered before, give that answer and do not call it."""
        from pgcharter.runtime.idempotency import Answer, answer, claim

        found = yield partial(self._flow(claim), work._conn, key)
        if isinstance(found, Answer):
            return found.value
        value = yield from called(work, fn, depth)
        yield partial(self._flow(answer), work._conn, key, value)
        return value

    def _finished(self, work: AnyWork, error: BaseException | None, settle: float) -> Steps[None]:
        """Commit, or roll back after an error; then, with the connection given back, the hooks. Raises what went wrong."""
        said = work.held.said
        tellings: list[Callable[[], Any]] = []
        try:
            if error is None:
                try:
                    yield from work._ended()
                except BaseException as raised:
                    error = raised
            if error is not None:
                yield from self._failed(work, error, settle)
            if self._watches and said.state == "committed" and not work.terms.readonly:
                tellings = self._tellings(work)
        finally:
            yield from self._released(work)
        if said.state == "committed":
            self.counts.add("committed")
            if self.router is not None:
                try:
                    self.router.committed(work)
                except Exception:
                    log.exception("what a commit has written could not be noted for reads that come after it")
            if tellings or work._committed:
                yield from work._hooks([*tellings, *work._committed])
            if isinstance(error, EndedError):
                raise error
            if isinstance(error, Exception):
                log.info("a unit of work is committed, though what ended it raised %r", error)
                return
        else:
            self.counts.add("rolled_back")
            if work._undone:
                yield from work._hooks(work._undone[::-1])
        if error is not None:
            raise error

    def _failed(self, work: AnyWork, error: BaseException, settle: float) -> Steps[None]:
        """Find out what became of a transaction whose function or commit raised; undo it where it is open. Raises UnknownOutcomeError."""
        said = work.held.said
        if said.state in ("sent", "ended"):
            told = yield from self._asked(work, error, settle)
            said.state = "committed" if told == "committed" else "rolled back"
        if said.state != "committed":
            yield from work._undo()

    def _released(self, work: AnyWork) -> Steps[None]:
        """Give the connection back, whatever happens. What goes wrong here is nothing of the transaction, which has ended."""
        conn = work._conn
        work.over = True
        try:
            yield from work._closed()
        except Exception as error:
            log.debug("a session could not be closed, its connection is given up: %s", error)
            conn.let_go()
            conn.pgconn.finish()
        finally:
            work.broken = bool(conn.closed)
            conn.held = None
            if conn.pgconn.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
                conn.pgconn.finish()
            yield from work.server.give_back(conn)

    @property
    def session_class(self) -> Any:
        """The class of `work.session`."""
        if self._session_class is None:
            self._session_class = self._usual_session()
        return self._session_class

    def engine_of(self, server: Server) -> Any:
        """The engine of SQLAlchemy on a server's pool."""
        if server.engine is None:
            made = self._engine(server)
            with self._lock:
                server.engine = server.engine or made
        return server.engine

    # how it is

    def loans(self) -> tuple[Loan, ...]:
        """Who holds connections now, longest first."""
        return tuple(sorted((loan for server in self.servers for loan in list(server.loans.values())), key=lambda loan: loan.since))

    def stats(self) -> tuple[PoolStats, ...]:
        """The pools as they are now; empty before the first use."""
        return tuple(pool_stats(server) for server in self.servers if server.pool is not None)

    def metrics(self) -> str:
        """Counts and pools as text for Prometheus."""
        return exposition(self.counts, list(self.stats()), self.application)

    def _report_leaks(self) -> None:
        """Report each connection once that is lent for too long, with the place that borrowed it."""
        for server in self.servers:
            for loan in list(server.loans.values()):
                if not loan.told and loan.seconds > self.size.leak:
                    loan.told = True
                    self.counts.add("leaks")
                    log.warning("a connection to %s is lent and not given back: %s", server.name, loan)

    def _health(self, server: Server, seconds: float) -> Steps[Health]:
        began = time.perf_counter()
        error, standby = "", False
        try:
            conn = yield partial(self._dial, server, seconds)
            try:
                cursor = yield partial(conn.execute, "SELECT pg_is_in_recovery()")
                standby = (yield cursor.fetchone)[0]
            finally:
                yield conn.close
        except (psycopg.Error, PgcharterError, OSError, TimeoutError) as raised:
            error = str(server.unreachable(raised, time.perf_counter() - began))
        took = time.perf_counter() - began
        pool = pool_stats(server) if server.pool is not None else PoolStats(server.name, 0, 0, 0, self.size.max, 0, 0, 0.0, 0, 0, 0)
        return Health(server.name, not error, took, standby, error, pool.connections, pool.lent, pool.waiting, pool.most)

    def _healths(self, seconds: float) -> Steps[tuple[Health, ...]]:
        found: tuple[Health, ...] = ()
        for server in self.servers:
            found = (*found, (yield from self._health(server, seconds)))
        return found

    def _left_lent(self, began: float, timeout: float) -> Steps[tuple[Loan, ...]]:
        """Wait until all is given back, at most `timeout` seconds; what is not."""
        while (lent := self.loans()) and left(began + timeout) > 0:
            yield partial(self._sleep, 0.01)
        for loan in lent:
            log.warning("the database closes, and a connection is still lent: %s", loan)
        return lent

    def _check_open(self) -> None:
        """Raise ClosedError where no new work may begin."""
        if self._phase in ("closing", "closed") and around(self) is None:
            raise ClosedError("the database is closed, so no work can begin", hint="db.open() opens it again")

    def _forked(self) -> None:
        """In a child process the pools' threads are gone, and their connections are the parent's."""
        _left_behind.extend((server.pool, server.engine) for server in self.servers if server.pool is not None)
        self._lock = threading.Lock()
        for server in self.servers:
            server.pool = server.engine = None
            server.met = False
            server.loans = {}
        if self._phase in ("open", "closing"):
            self._phase = "new"

    # what each colour says

    def _configure(self, conn: Any) -> Any:
        raise NotImplementedError

    def _sleep(self, seconds: float) -> Any:
        raise NotImplementedError

    def _dial(self, server: Server, seconds: float) -> Any:
        raise NotImplementedError

    def _flow(self, flow: Any) -> Any:
        raise NotImplementedError

    def _late(self, server: Server) -> None:
        raise NotImplementedError

    def _meet(self, server: Server, conn: Any) -> Any:
        raise NotImplementedError

    def _work(self, server: Server, conn: Any, terms: Terms, attempt: int) -> AnyWork:
        raise NotImplementedError

    def _engine(self, server: Server) -> Any:
        raise NotImplementedError

    def _usual_session(self) -> Any:
        raise NotImplementedError


def _after_fork() -> None:
    outside()
    for database in list(_all):
        database._forked()


os.register_at_fork(after_in_child=_after_fork)
