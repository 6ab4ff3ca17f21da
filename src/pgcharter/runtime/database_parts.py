"""What a database is made of, for both colours: what it was told, its servers and pools, who holds what, how it is."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime import database_watch
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.context import using
from pgcharter.runtime.database_counts import Counts, Health, PoolStats, exposition, pool_stats
from pgcharter.runtime.database_timeouts import Timeouts
from pgcharter.runtime.outcomes import Budget, Retry, left
from pgcharter.runtime.placement import Schemas
from pgcharter.runtime.pools import ClosedError, Dsn, Loan, PoolSize, Server
from pgcharter.runtime.routing import Router, Routing
from pgcharter.runtime.served import EVERYBODY, FACTS, ID, LSN, Terms
from pgcharter.runtime.work import AnyWork, around, log, outside

if TYPE_CHECKING:
    pass

Isolation = Literal["", "read committed", "repeatable read", "serializable"]
Phase = Literal["new", "open", "closing", "closed"]

_BACKEND = "SELECT pg_backend_pid(), pg_is_in_recovery()"
_all: weakref.WeakSet[Parts] = weakref.WeakSet()
_left_behind: list[Any] = []
"""Pools and engines of the process that we were forked from: neither used nor ended here."""


class Parts:
    """What both colours share; what is declared here and not defined each of them says for itself."""

    _configure: Any
    _sleep: Any
    _dial: Any
    _flow: Any
    _late: Any
    _meet: Any
    _work: Any
    _engine: Any
    _served_session: Any

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
        self._served: Any = None
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
        was not written; never the other way round, but for what is written outside units of work. It is told of all of them where the
        server has no counts (track_counts = off), where the answer to COMMIT was lost, and where nobody knows what became of that.
        Partitions count for their table.
        """
        with self._lock:
            self._watches = (*self._watches, database_watch.watched(tables, hook))
            self._watched = tuple(sorted(frozenset().union(*(watch.tables for watch in self._watches))))
            self._asks_watched = database_watch.query(self._watched)
            self._terms = {}

    def _tellings(self, work: AnyWork) -> list[Callable[[], Any]]:
        """What is to be told of the tables that a transaction has written, which is committed or may be."""
        names = self._watched
        if work.terms.readonly or not names:
            return []
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

    @property
    def session_class(self) -> Any:
        """The class of `work.session`: the one given, by default SQLAlchemy's own, knowing of soft delete and versions."""
        if self._served is None:
            self._served = self._served_session()
        return self._served

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
        return exposition(self.counts, list(self.stats()), self.router, self.application)

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
        left_out = self.router.status().get(server.name, "") if self.router is not None else ""
        return Health(server.name, not error, took, standby, error, left_out, pool.connections, pool.lent, pool.waiting, pool.most)

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


def _after_fork() -> None:
    outside()
    for database in list(_all):
        database._forked()


os.register_at_fork(after_in_child=_after_fork)
