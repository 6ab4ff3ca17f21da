"""The words of feeds: Log (what is read), Inside and Outside (how messages are handled), Failed, settings; and one message."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pgcharter.errors import PgcharterError, RefusedError, UsageError

M = TypeVar("M")


@dataclass(frozen=True)
class Log(Generic[M]):
    """A table that only grows, and is read in the order of its positions. SQL expressions are over the alias `l`."""

    name: Literal["events", "outbox"]
    """As `pgcharter.settled(name)` knows it; pgcharter.feeds and pgcharter.logs have it."""
    table: str
    """SQL: `pgcharter.events`. It has a column `position bigint`, with an index."""
    key: str
    """What keeps messages in order: text, never NULL. `l.aggregate_id::text`, `COALESCE(l.key, l.position::text)`."""
    columns: tuple[str, ...]
    """What `message` is made of."""
    message: Callable[..., M]
    """Called with the values of the columns in their order. What it raises is a failure of that message alone."""
    id: str = "l.position::text"
    """Names a message for the inbox of whoever handles it: text."""
    time: str = "l.created_at"
    """When it was written."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A message could not be handled: its key is parked, and tried again."""

    error: str
    after: float | None = None
    """Seconds until it is tried again; None: as the settings say."""
    final: bool = False
    """It would fail again: it is dead at once, until a person requeues or skips it."""


class FailedError(PgcharterError):
    """Raised by a handler that knows what is to become of its message: `failed` says so."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.error)
        self.failed = failed


class TargetDownError(PgcharterError):
    """Raised by a handler where it is not a message that fails but the target as a whole: nothing is parked, all of it waits."""


class EndingError(UsageError):
    """Raised by a handler where no worker of this code can go on: nothing is parked, and `run` ends with it."""


class StaleFeedError(RefusedError):
    """What a consumer would read next has been archived, or has positions it has passed: a person sets its position anew."""


class FencedError(PgcharterError):
    """The lease of a slot has gone to another worker, or a person has set its cursor: what was done under it is not written down."""


Outcome = Failed | None
"""What became of a message; None: it is done."""


@dataclass(frozen=True)
class Inside(Generic[M]):
    """Messages are handled in the transaction that moves the cursor: each has its effect once.

    `handle(work, messages)` gets the unit of work and messages in their order, several of a key perhaps. When it raises, all is rolled back
    and they are handled one by one, each in a savepoint; the one that fails is parked. It must do nothing that a rollback does not undo.
    """

    handle: Callable[..., Any]
    single: bool = False
    """`handle(work, message)` is called for each."""


@dataclass(frozen=True)
class Outside(Generic[M]):
    """Messages are delivered, then the cursor is moved: each has its effect at least once.

    `deliver(messages)` gives an outcome for each, or None where all are done. When it raises, they are delivered one by one.
    """

    deliver: Callable[..., Any]
    single: bool = False
    """`deliver(message)` is called for each, in their order."""
    ordered: bool = False
    """It keeps the order of a key by itself: after one that failed it leaves out those of its key that come later, whatever their outcome
    says. Otherwise it never gets two messages of a key in one call."""


@dataclass(frozen=True)
class FeedSettings:
    """Times are seconds."""

    batch: int = 500
    """Most messages that are read, handled and moved past at a time."""
    span: int = 100_000
    """Most positions that one query looks through, where few are of interest; it grows while there are none."""
    lease: float = 15.0
    """A worker that says nothing for so long has lost its slots."""
    patience: float = 600.0
    """The lease of a worker is kept alive for so long while it is in one call of a handler."""
    poll_least: float = 0.002
    poll_most: float = 0.25
    """Pause between looks while nothing comes: it doubles from the one to the other."""
    listen: bool = False
    """Be woken by NOTIFY, on a connection of its own; `poll_most` is 5 s then."""
    attempts: int = 20
    """After so many the message is dead."""
    deadline: float = 86_400.0
    """So long after its first failure it is dead, too."""
    base: float = 0.5
    longest: float = 300.0
    """Pause before the second attempt; it doubles up to the other. Half of it is left to chance."""
    tolerated: int = 10
    """After so many failures in a row, of whatever keys, a slot makes pauses too: more likely than so many bad messages is a target that
    is down and does not say so."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        if min(self.batch, self.span, self.attempts, self.tolerated) < 1 or min(self.lease, self.poll_least, self.base) <= 0:
            raise UsageError(f"{self} makes no sense: numbers of 1 or more, and times above zero")

    def pause(self, attempts: int) -> float:
        """Seconds to wait after so many failures."""
        return min(self.longest, self.base * 2.0 ** min(attempts - 1, 30)) * random.uniform(0.5, 1)  # noqa: S311


Start = Literal["first", "now"] | int | datetime
"""Where a new consumer begins: at the oldest that is kept, after what is settled now, after a position, or at a time."""


@dataclass(slots=True)
class Message(Generic[M]):
    """A row of a log on its way to a handler."""

    position: int
    key: str
    held: bool
    """Its key is parked."""
    body: M | None = None
    unread: Failed | None = None
    """Why there is no body."""
    attempts: int = 0
    age: float = 0.0
    """Seconds since its first failure."""


@dataclass(frozen=True, slots=True)
class Park:
    """A message that is to wait."""

    message: Message[Any]
    state: Literal["waiting", "dead", "behind"]
    attempts: int = 0
    pause: float = 0.0
    error: str | None = None
