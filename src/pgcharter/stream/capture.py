"""Where committed transactions come from: the seam between the worker and its source. `of` chooses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from pgcharter.db import Connection
from pgcharter.stream.passed import Passed
from pgcharter.stream.slots import Slot, Snapshot
from pgcharter.stream.source import Table, TypeNames
from pgcharter.stream.transactions import Transaction

if TYPE_CHECKING:
    from pgcharter.stream.worker import Job


class Feed(Protocol):
    """Transactions in order, as long as one connection lasts."""

    @property
    def received(self) -> int:
        """Position before which everything was received."""

    @property
    def bound(self) -> int:
        """Position before which everything that was received has been given out."""

    @property
    def wanted(self) -> bool:
        """Whether a word is wanted from us."""

    def receive(self, wait: float) -> Iterator[Transaction]:
        """What has come; nothing after `wait` seconds without any. Raises ConnectError when the source is gone."""

    def confirm(self, position: int) -> None:
        """Everything before a position is durable with us."""

    def tick(self, conn: Connection) -> None:
        """About once a second: what else there is to do."""


class Capture(Protocol):
    """A kind of source, for one job."""

    passed: Passed
    """What its reader has passed."""

    def look(self, conn: Connection) -> Slot | None:
        """How far it is read, and by whom; None when it was not begun."""

    def usable(self, conn: Connection) -> Slot:
        """The same, when it can be read. Raises SlotLostError, RefusedError."""

    def ready(self, conn: Connection) -> Iterator[str]:
        """Check that it can be begun; yields warnings. Raises UnavailableError or RefusedError with the remedy."""

    def complete(self, conn: Connection, tables: Collection[Table]) -> None:
        """Check that changes of all tables come, out of those that are published. Raises PgcharterError with what is missing."""

    def missing(self, conn: Connection, tables: Iterable[Table]) -> list[str]:
        """Tables whose changes should come and do not, out of those that are published."""

    def begin(self, conn: Connection, *, failover: bool) -> AbstractContextManager[Snapshot]:
        """Begin it, with a snapshot of exactly the moment from which it goes on, held open."""

    def drop(self, conn: Connection) -> None:
        """End it; what was not begun is ended already."""

    def feed(self, conn: Connection, type_name: TypeNames) -> AbstractContextManager[Feed]:
        """Begin to read. Raises SlotBusyError when another does."""

    def now(self, conn: Connection) -> int:
        """Position before which everything was committed that is committed now."""


def of(job: Job) -> Capture:
    """The source of a job."""
    from pgcharter.stream.captured import Captured
    from pgcharter.stream.streamed import Streamed

    return Captured(job) if job.capture == "triggers" else Streamed(job)
