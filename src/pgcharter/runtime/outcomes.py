"""What an error means for a unit of work: try it again, or do not. What became of a lost COMMIT is asked of the server, never guessed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psycopg

from pgcharter.errors import ConnectError, PgcharterError, UsageError

AGAIN = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: the server asks for the whole transaction again (PostgreSQL, 13.5 and appendix A)."""
GONE = frozenset({"57P01", "57P02", "57P03", "08000", "08001", "08003", "08004", "08006"})
"""The server or the way to it is going or gone: administrator's or crash shutdown, starting up, class 08."""
Verdict = Literal["again", "lost", "final"]


class UnknownOutcomeError(PgcharterError):
    """A commit was sent and its answer lost, and nobody can say what became of it: the work must not be done again unseen."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a unit of work is tried, and how long. Raises UsageError for what makes no sense."""

    attempts: int = 10
    """Most times that the function is called; 1: never again."""
    deadline: float = 30.0
    """Seconds from the first call after which no other try begins."""
    base: float = 0.01
    """Seconds: the longest pause before the second try; it doubles from try to try."""
    longest: float = 1.0
    """Seconds: no pause is longer."""
    on: tuple[str | type[BaseException], ...] = ()
    """SQLSTATEs and classes of errors that are worth another try, beside serialization failure, deadlock and lost connection."""
    away: float = 10.0
    """Seconds from the first call for which a server is tried again that cannot be reached."""
    settle: float = 30.0
    """Seconds for which the outcome of a commit is asked for, whose answer was lost: a server that crashed has to come back first."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        if self.attempts < 1 or min(self.deadline, self.base, self.longest, self.away, self.settle) < 0:
            raise UsageError(f"{self} makes no sense: at least one attempt, and no time below zero")

    def pause(self, attempt: int) -> float:
        """Seconds to wait after a try: anything up to the double of the last, so that those who met do not meet again."""
        return random.uniform(0, min(self.longest, self.base * 2 ** min(attempt - 1, 30)))  # noqa: S311


ONCE = Retry(attempts=1)


class Budget:
    """Keeps tries from multiplying the load of a server in trouble: each run earns a part of a try, each further try takes one.

    With `share` 0.5 there are at most half as many further tries as runs, beyond `reserve`. Safe in threads.
    """

    def __init__(self, reserve: int = 1000, share: float = 0.5) -> None:
        self.reserve = reserve
        self.share = share
        self._left = float(reserve)
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A run begins."""
        if self._left < self.reserve:
            with self._lock:
                self._left = min(self.reserve, self._left + self.share)

    def take(self) -> bool:
        """Whether there is room for a further try; it is taken."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes from: SQLAlchemy's `orig`, then `__cause__`."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = getattr(error, "orig", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__


def judge(error: BaseException, retry: Retry, broken: bool) -> Verdict:
    """Whether a unit of work that raised before its commit was sent is worth another try.

    `broken`: its connection is gone. `again`: the server rolled it back and asks for the whole; `lost`: the connection went, and with it
    the transaction; `final`: it would fail again.
    """
    for cause in causes(error):
        if not isinstance(cause, Exception):
            return "final"
        if any(isinstance(cause, wanted) for wanted in retry.on if isinstance(wanted, type)):
            return "again"
        if isinstance(cause, PgcharterError):
            return "lost" if isinstance(cause, ConnectError) else "final"
        if isinstance(cause, psycopg.Error):
            state = cause.sqlstate or ""
            if state in AGAIN or state in retry.on:
                return "again"
            if state in GONE or (broken and isinstance(cause, psycopg.OperationalError)):
                return "lost"
    return "final"


def left(deadline: float) -> float:
    """Seconds until a moment of the monotonic clock."""
    return deadline - time.monotonic()
