"""Statements that repeat where one would do (N+1): counted, told with the line that did it, refused in tests.

    with watching(engine) as seen:                   # or a connection or session, of SQLAlchemy or psycopg, sync or async
        list_orders(session)
    assert seen.count <= 3
    assert not seen.repeated()

    guard(engine)                                    # for good: raises in tests, warns once a place elsewhere

    with repeats.allowed("one row lock at a time"):  # meant to be
        …

A repeat is the same statement (values left out) from the same line of the application, in one unit of work: the block of
`watching`, or a transaction under `guard`. What a batch, an executemany or the flush of a session sends is counted and no repeat.
Where nothing watches, nothing is paid.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime.repeats_hooks import Heard, attach, transactions
from pgcharter.runtime.repeats_places import fingerprint

LIMIT = 5
"""Times that a statement may run from one line before it is a repeat, where nothing else is said."""
Action = Literal["raise", "warn", "count"]
T = TypeVar("T")
_allowed: ContextVar[str] = ContextVar("pgcharter_repeats_allowed", default="")
_warned: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Repeat:
    """One statement that one line ran again and again."""

    statement: str
    """Its text without values."""
    place: str
    """`file:line` of the application."""
    times: int
    relationship: str = ""
    """`Order.lines`, where it was SQLAlchemy that loaded it lazily."""

    def __str__(self) -> str:
        what = f"{self.relationship} is loaded one by one" if self.relationship else "the same statement runs again and again"
        return f"{what}: {self.times} times in one unit of work, each a round trip: {_short(self.statement)}"

    @property
    def hint(self) -> str:
        """What to write instead."""
        if self.relationship:
            owner = self.relationship.partition(".")[0]
            return f"select({owner}).options(selectinload({self.relationship})), or with repeats.allowed('why'): … where it is meant"
        if self.statement.lstrip("( ").upper().startswith(("SELECT", "WITH")):
            instead = "one statement for all of them: WHERE … = ANY(…), a join, or a LATERAL"
        else:
            instead = "one statement for all rows: executemany, or a list of values"
        return f"{instead}; with repeats.allowed('why'): … where it is meant"


class RepeatedError(PgcharterError):
    """A statement ran again and again in one unit of work; `repeat` is which."""

    def __init__(self, repeat: Repeat) -> None:
        super().__init__(str(repeat), hint=repeat.hint, place=repeat.place)
        self.repeat = repeat


class RepeatedWarning(UserWarning):
    """The same where it does not raise."""


@dataclass
class Seen:
    """What was sent while somebody watched."""

    limit: int = LIMIT
    action: Action = "count"
    count: int = 0
    """Statements; a batch is one."""
    _times: dict[tuple[str, str], int] = field(default_factory=dict)
    _relationships: dict[tuple[str, str], str] = field(default_factory=dict)
    _statements: dict[str, int] = field(default_factory=dict)

    @property
    def statements(self) -> dict[str, int]:
        """Statements without their values, and how many times each ran, from wherever; in the order they came."""
        return dict(self._statements)

    def repeated(self, times: int | None = None) -> tuple[Repeat, ...]:
        """What one line ran at least so many times (`limit` where nothing is said), the most frequent first."""
        least = self.limit if times is None else times
        found = [Repeat(*key, n, self._relationships.get(key, "")) for key, n in list(self._times.items()) if n >= least]
        return tuple(sorted(found, key=lambda r: -r.times))

    def hear(self, heard: Heard) -> None:
        """Take note of one statement about to be sent. Raises RepeatedError or warns as `action` says."""
        self.count += 1
        text = fingerprint(heard.statement)
        self._statements[text] = self._statements.get(text, 0) + 1
        if heard.batch or _allowed.get():
            return
        place, flushed = heard.place()
        if flushed:
            return
        key = (text, place)
        self._times[key] = times = self._times.get(key, 0) + 1
        if heard.relationship:
            self._relationships[key] = heard.relationship
        if times == self.limit and self.action != "count":
            self._tell(Repeat(text, place, times, heard.relationship))

    def _tell(self, repeat: Repeat) -> None:
        if self.action == "raise":
            raise RepeatedError(repeat)
        key = (repeat.statement, repeat.place)
        if key not in _warned:
            _warned.add(key)
            warnings.warn(f"{repeat.place}: {repeat} ({repeat.hint})", RepeatedWarning, stacklevel=2)


@contextmanager
def watching(*targets: object, limit: int = LIMIT, action: Action = "count") -> Iterator[Seen]:
    """Inside, statements of the targets are counted, all of them one unit of work; for sync and async targets alike.

    A target is an engine, connection or session of SQLAlchemy, or a connection of psycopg (which sees what SQLAlchemy sends over it, too:
    watch one of both). With `action` "raise" the statement that is one too many raises RepeatedError before it is sent; "warn" warns
    once a place. Raises UsageError for anything else.
    """
    seen = Seen(_sane(limit), action)
    with ExitStack() as stack:
        for target in targets:
            stack.callback(attach(target, seen.hear))
        yield seen


def guard(target: T, *, limit: int = LIMIT, action: Action | None = None) -> T:
    """Watch a target for good, each of its transactions a unit of work. Gives the target back; `action` as in `watching`.

    Without an action it raises while pytest runs a test, and warns elsewhere.
    """
    limit = _sane(limit)

    def begun() -> Callable[[Heard], None]:
        return Seen(limit, action or ("raise" if "PYTEST_CURRENT_TEST" in os.environ else "warn")).hear

    transactions(target, begun)
    return target


@contextmanager
def allowed(why: str) -> Iterator[None]:
    """Inside, statements may repeat. Raises UsageError where no reason is given."""
    if not why.strip():
        raise UsageError("no reason is given why statements may repeat", hint='with repeats.allowed("one row lock at a time"): …')
    token = _allowed.set(why)
    try:
        yield
    finally:
        _allowed.reset(token)


def _sane(limit: int) -> int:
    if limit < 2:
        raise UsageError(f"limit is {limit}, and nothing repeats before its second time", hint="limit=2 or more")
    return limit


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:299] + "…"
