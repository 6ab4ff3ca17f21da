"""`[migrate.pace]` of the charter, and the words of `--pace`: how a backfill shares the server with everybody else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pgcharter.errors import UsageError
from pgcharter.measures import seconds, size

if TYPE_CHECKING:
    from pgcharter.migrate.terms import Pace


def at_least(least: int) -> dict[str, object]:
    """What a field of a section says of itself when its number must not be below `least`."""

    def check(value: int) -> None:
        if value < least:
            raise UsageError(f"it is {value}, and must not be below {least}")

    return {"check": check}


_TIME, _SIZE, _COUNT = {"check": seconds}, {"check": size}, at_least(0)


@dataclass(frozen=True)
class PaceSection:
    """`[migrate.pace]`: batches of a backfill, and when it waits. A limit of 0 is not watched."""

    batch: str = field(default="300ms", metadata=_TIME)
    """How long one batch should take, hence how long its rows are locked."""
    rest: str = field(default="0", metadata=_TIME)
    """Pause after each batch."""
    largest: int = field(default=200_000, metadata=at_least(1))
    """Rows of the largest batch."""
    replica_lag: str = field(default="256MB", metadata=_SIZE)
    """WAL that the slowest replica may not have replayed."""
    replica_delay: str = field(default="30s", metadata=_TIME)
    """How far the slowest replica may be behind."""
    archive_queue: int = field(default=64, metadata=_COUNT)
    """WAL files that may wait to be archived."""
    wal_rate: str = field(default="0", metadata=_SIZE)
    """WAL that everybody together may write in a second."""
    lock_waits: int = field(default=5, metadata=_COUNT)
    """Sessions that may wait for locks on the table."""
    dead_rows: int = field(default=0, metadata=_COUNT)
    """Dead rows of the table in percent of the live ones."""
    vacuums: bool = False
    """Whether to wait while vacuum works on the table."""
    query: str = ""
    """A query of one value: true, or a number above 0, means wait."""
    longest: str = field(default="1h", metadata=_TIME)
    """Longest pause because the server is strained; then the run stops, and can be resumed."""


def pace(section: PaceSection, word: str = "normal") -> Pace:
    """The pace that the charter asks for; `slow` works a fifth of the time in short batches, `fast` in long ones. Limits hold for all."""
    from pgcharter.migrate.terms import Pace

    made = Pace(
        batch=seconds(section.batch),
        rest=seconds(section.rest),
        largest=section.largest,
        replica_lag=size(section.replica_lag),
        replica_seconds=seconds(section.replica_delay),
        archive_queue=section.archive_queue,
        wal_rate=size(section.wal_rate),
        lock_waits=section.lock_waits,
        dead_rows=section.dead_rows / 100,
        vacuums=section.vacuums,
        query=section.query,
        longest=seconds(section.longest),
    )
    if word == "slow":
        return replace(made, batch=made.batch / 3, rest=max(made.rest, made.batch / 3 * 4))
    return replace(made, batch=made.batch * 3, rest=0.0) if word == "fast" else made
