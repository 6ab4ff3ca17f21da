"""Pools of connections: how big, how long, who holds what. The pool itself is psycopg_pool's."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from pgcharter.errors import ConnectError, PgcharterError, UnavailableError, UsageError
from pgcharter.runtime.colours import Steps

Dsn = str | Callable[[], str]


class PoolExhaustedError(PgcharterError):
    """No connection came free in time: all are lent."""


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


@dataclass(frozen=True, slots=True)
class Loan:
    """A connection that somebody has."""

    place: str
    """File and line of the application that borrowed it."""
    since: float
    """Monotonic clock."""
    thread: str

    @property
    def seconds(self) -> float:
        """How long it is lent."""
        return time.monotonic() - self.since

    def __str__(self) -> str:
        return f"{self.place} ({self.thread}) for {self.seconds:.1f} s"


_OURS = ("pgcharter", "sqlalchemy", "psycopg", "psycopg_pool", "contextlib", "asyncio", "threading", "concurrent", "functools", "greenlet")


@lru_cache(maxsize=4096)
def _foreign(module: str) -> bool:
    return module.partition(".")[0] not in _OURS or module.startswith("pgcharter.examples")


def place() -> str:
    """File and line of the nearest caller that is neither ours nor a library's below us."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if _foreign(frame.f_globals.get("__name__", "")):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "somewhere"


class Server:
    """One PostgreSQL server of a `Database`: its pool, and who has borrowed from it."""

    def __init__(self, name: str, dsn: Dsn) -> None:
        self.name = name
        self.dsn = dsn
        self.pool: Any = None
        self.loans: dict[int, Loan] = {}
        """By the identity of the connection."""

    def conninfo(self) -> str:
        """Where it is: asked for anew with each new connection, so that a password may change."""
        return self.dsn() if callable(self.dsn) else self.dsn

    def borrow(self, timeout: float | None = None) -> Steps[Any]:
        """A connection. Raises PoolExhaustedError naming who holds them all, ConnectError where none can be made."""
        import psycopg_pool

        try:
            conn = yield partial(self.pool.getconn, timeout) if timeout is not None else self.pool.getconn
        except psycopg_pool.TooManyRequests:
            raise self._exhausted("and as many callers wait as may") from None
        except psycopg_pool.PoolTimeout:
            waited = self.pool.timeout if timeout is None else timeout
            if len(self.loans) >= self.pool.max_size:
                raise self._exhausted(f"and none came back in {waited:g} s") from None
            raise ConnectError(
                f"no connection to {self.name} could be made in {waited:g} s", hint="pgcharter doctor says what stands in the way"
            ) from None
        self.loans[id(conn)] = Loan(place(), time.monotonic(), threading.current_thread().name)
        return conn

    def give_back(self, conn: Any) -> Steps[None]:
        """Return a connection that `borrow` gave. One that is broken is replaced by the pool."""
        self.loans.pop(id(conn), None)
        yield partial(self.pool.putconn, conn)

    def _exhausted(self, why: str) -> PoolExhaustedError:
        longest = sorted(self.loans.values(), key=lambda loan: loan.since)[:5]
        held = "; ".join(str(loan) for loan in longest)
        more = f"; and {len(self.loans) - 5} more" if len(self.loans) > 5 else ""
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
