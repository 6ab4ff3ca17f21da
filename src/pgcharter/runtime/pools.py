"""Pools of connections: how big, how long, who holds what. The pool itself is psycopg_pool's."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import CodeType, FrameType
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgcharter.db.refusals import explain, unreadable
from pgcharter.errors import ConnectError, PgcharterError, UnavailableError, UsageError
from pgcharter.redact import SECRET_WORDS
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.repeats_places import is_library

Dsn = str | Callable[[], str]


class PoolExhaustedError(PgcharterError):
    """No connection came free in time: all are lent."""


class ClosedError(PgcharterError):
    """A `Database` is asked for work after it was closed, or while it closes."""


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How many connections a `Database` keeps to each server, and how long. Raises UsageError for what makes no sense."""

    min: int = 2
    """Connections that are always there."""
    max: int = 10
    """Most connections: those above `min` are made when they are needed."""
    wait: float = 5.0
    """Seconds that a caller waits for one."""
    waiting: int = 0
    """Most callers that wait at a time; further ones are refused at once. 0: any number."""
    idle: float = 300.0
    """Seconds after which an unused connection above `min` is closed."""
    lifetime: float = 3600.0
    """Seconds after which a connection is replaced, give or take a tenth."""
    leak: float = 60.0
    """Seconds after which a connection that is still lent is reported, with the place that borrowed it."""
    check: bool = False
    """Ask each connection for a sign of life before it is lent: one round trip more. Units of work do without: they are tried again."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        if not 0 <= self.min <= self.max or self.max < 1:
            raise UsageError(f"a pool of at least {self.min} and at most {self.max} connections cannot be")
        if min(self.wait, self.idle, self.lifetime, self.leak) <= 0 or self.waiting < 0:
            raise UsageError("times of a pool are seconds above zero")


@dataclass(slots=True)
class Loan:
    """A connection that somebody has."""

    code: CodeType | None
    line: int
    since: float
    """Monotonic clock."""
    holder: Any
    """Thread or task."""
    told: bool = False
    """It has been reported as a leak."""

    @property
    def place(self) -> str:
        """File and line of the application that borrowed it."""
        return f"{self.code.co_filename}:{self.line}" if self.code is not None else "somewhere"

    @property
    def seconds(self) -> float:
        """How long it is lent."""
        return time.monotonic() - self.since

    def __str__(self) -> str:
        return f"{self.place} ({self.who}) for {self.seconds:.1f} s"

    @property
    def who(self) -> str:
        """Name of the thread or task."""
        return str(self.holder.name if isinstance(self.holder, threading.Thread) else self.holder.get_name())


def _loan() -> Loan:
    """A loan to the nearest caller that is neither ours nor a library's below us."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    code, line = (frame.f_code, frame.f_lineno) if frame is not None else (None, 0)
    return Loan(code, line, time.monotonic(), _who())


def _who() -> Any:
    loop = asyncio._get_running_loop()
    return (asyncio.current_task(loop) if loop is not None else None) or threading.current_thread()


def _alive(_conn: Any) -> bool:
    return False


class Server:
    """One PostgreSQL server of a `Database`: its pool, and who has borrowed from it."""

    def __init__(self, name: str, dsn: Dsn) -> None:
        self.name = name
        self.dsn = dsn
        self.pool: Any = None
        self.dead: Callable[[Any], bool] = _alive
        """Whether the other end of an unused connection has hung up."""
        self.engine: Any = None
        """Of SQLAlchemy."""
        self.met = False
        """SQLAlchemy has asked what it asks of its first connection."""
        self.renewed = 0.0
        """When its connections were last found to lead to the wrong server; monotonic clock."""
        self.loans: dict[int, Loan] = {}
        """By the identity of the connection."""

    def conninfo(self) -> str:
        """Where it is: asked for anew with each new connection, so that a password may change."""
        return self.dsn() if callable(self.dsn) else self.dsn

    def parameters(self) -> dict[str, Any]:
        """What the DSN says, one by one. Raises ConnectError for what is no DSN."""
        try:
            return dict(conninfo_to_dict(self.conninfo()))
        except psycopg.ProgrammingError as error:
            raise unreadable(error) from None

    def borrow(self, timeout: float | None = None) -> Steps[Any]:
        """A connection that is alive as far as the kernel knows.

        Raises PoolExhaustedError naming who holds them all, ConnectError where none can be made.
        """
        pool, dead = self.pool, self.dead
        until = 0.0
        while True:
            try:
                conn = yield pool.getconn if timeout is None else partial(pool.getconn, timeout)
            except Exception as error:
                raise self._refused(error, pool.timeout if timeout is None else timeout) from None
            if not dead(conn):
                self.loans[id(conn)] = _loan()
                return conn
            conn.let_go()
            yield partial(pool.putconn, conn)
            until = until or time.monotonic() + (pool.timeout if timeout is None else timeout)
            timeout = max(0.001, until - time.monotonic())

    def give_back(self, conn: Any) -> Steps[None]:
        """Return a connection that `borrow` gave. One that is broken is replaced by the pool."""
        self.loans.pop(id(conn), None)
        if conn.joined is not None and conn.closed:
            conn.let_go()
        yield partial(self.pool.putconn, conn)

    def outdated(self, conn: Any) -> Steps[None]:
        """Close the connection, and have the pool replace all that are as old: they lead to what is no primary any more."""
        conn.pgconn.finish()
        if conn.born >= self.renewed:
            self.renewed = time.monotonic()
            yield self.pool.drain

    def _refused(self, error: Exception, waited: float) -> Exception:
        import psycopg_pool

        if isinstance(error, psycopg_pool.TooManyRequests):
            return self._exhausted("and as many callers wait as may")
        if isinstance(error, psycopg_pool.PoolTimeout):
            if len(self.loans) >= self.pool.max_size:
                return self._exhausted(f"and none came back in {waited:g} s")
            return self.unreachable(getattr(self.pool, "trouble", None), waited)
        if isinstance(error, psycopg_pool.PoolClosed):
            return ClosedError("the database is closed, so no work can begin", hint="db.open() opens it again")
        return error

    def unreachable(self, error: BaseException | None, waited: float) -> ConnectError:
        """Why no connection can be made, without a secret."""
        said = f"no connection to {self.name} could be made in {waited:.3g} s"
        if not isinstance(error, psycopg.Error):
            return ConnectError(said, hint="pgcharter doctor says what stands in the way")
        wanted = self.parameters()
        why = explain(error, wanted, [str(wanted[name]) for name in SECRET_WORDS if wanted.get(name)])
        return ConnectError(f"{said}: {why.message}", hint=why.hint)

    def _exhausted(self, why: str) -> PoolExhaustedError:
        longest = list(self.loans.values())
        longest.sort(key=lambda loan: loan.since)
        held = "; ".join(str(loan) for loan in longest[:5])
        more = f"; and {len(longest) - 5} more" if len(longest) > 5 else ""
        return PoolExhaustedError(
            f"all {self.pool.max_size} connections to {self.name} are lent, {why}: {held}{more}",
            hint="shorten what holds them, or raise [database.pool] max",
        )


@contextmanager
def needed() -> Iterator[None]:
    """Around imports of psycopg_pool and SQLAlchemy. Raises UnavailableError with what to install."""
    try:
        yield
    except ImportError as error:
        raise UnavailableError(
            f"{error.name or 'a package'} is not installed, and a Database needs it", hint="pip install 'pgcharter[serve]'"
        ) from None
