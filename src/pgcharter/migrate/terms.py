"""The terms on which migrations are run: how long to wait, when, what is allowed. All times are seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgcharter.errors import UsageError
from pgcharter.migrate.model import Migration

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:[,-][a-z]{3})*)\s+)?(?P<start>\d\d?:\d\d)\s*-\s*(?P<end>\d\d?:\d\d)(?:\s+(?P<zone>\S+))?\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Window:
    """When changes may be made: days, from one time of day to another, in a time zone."""

    start: time
    end: time
    """Earlier than `start`: of the next day."""
    days: frozenset[int] = frozenset(range(7))
    """Days on which the window opens; Monday is 0."""
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str) -> Window:
        """`22:00-04:00`, `sat,sun 22:00-04:00 Europe/Berlin`, `mon-fri 01:00-05:00`. Raises UsageError for anything else."""
        match = _WINDOW.match(text.strip())
        try:
            assert match  # noqa: S101
            start, end = (datetime.strptime(match[name], "%H:%M").time() for name in ("start", "end"))
            zone = match["zone"] or "UTC"
            ZoneInfo(zone)
            return cls(start, end, _days(match["days"]), zone)
        except (AssertionError, ValueError, ZoneInfoNotFoundError):
            raise UsageError(
                f"the maintenance window {text!r} cannot be understood", hint="write it as 'sat,sun 22:00-04:00 Europe/Berlin'"
            ) from None

    def opens(self, now: datetime) -> bool:
        """Whether the window is open at `now` (with a time zone)."""
        here = now.astimezone(ZoneInfo(self.zone))
        at, today = here.time(), here.weekday() in self.days
        if self.start < self.end:
            return today and self.start <= at < self.end
        if at >= self.start:
            return today
        return at < self.end and (here.weekday() - 1) % 7 in self.days

    def __str__(self) -> str:
        days = "" if len(self.days) == 7 else ",".join(_DAYS[day] for day in sorted(self.days)) + " "
        return f"{days}{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"


def _days(text: str | None) -> frozenset[int]:
    found: set[int] = set()
    for piece in (text or "mon-sun").lower().split(","):
        first, *last = [_DAYS.index(name) for name in piece.split("-")]
        end = last[-1] if last else first
        found |= {(first + n) % 7 for n in range((end - first) % 7 + 1)}
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a backfill shares the server with everybody else. A limit of 0 is not watched."""

    batch: float = 0.3
    """How long one batch should take: rows are locked for about that long."""
    first: int = 500
    """Rows of the first batch."""
    largest: int = 200_000
    """Rows of the largest batch."""
    rest: float = 0.0
    """Pause after each batch."""
    every: float = 1.0
    """Between two looks at the server."""
    calm: float = 0.5
    """Part of a limit that must be reached again before it goes on."""
    replica_lag: int = 256 << 20
    """Bytes of WAL that the slowest replica has not replayed."""
    replica_seconds: float = 30.0
    """How far the slowest replica is behind by PostgreSQL's own measure."""
    archive_queue: int = 64
    """WAL files that wait to be archived."""
    wal_rate: int = 0
    """Bytes of WAL a second, written by everybody."""
    lock_waits: int = 5
    """Sessions that wait for a lock on the table or one of its rows."""
    dead_rows: float = 0.0
    """Dead rows as a part of the live ones, where autovacuum is on."""
    vacuums: bool = False
    """Whether to wait while (auto)vacuum works on the table."""
    query: str = ""
    """A query of one value: true, or a number above 0, means wait."""
    longest: float = 3600.0
    """Longest pause; then the run stops, and can be resumed."""


@dataclass(frozen=True)
class Terms:
    """The terms of one run."""

    lock_timeout: float = 2.0
    """Longest wait for locks inside a transaction, hence longest wait of others behind it. A file may ask for less, never for more."""
    statement_timeout: float = 0.0
    """Longest statement inside a transaction; 0: no limit."""
    deadline: float = 600.0
    """How long one unit may try again and again to get its locks."""
    alone_timeout: float = 0.0
    """Longest statement outside of transactions (a concurrent build); 0: no limit."""
    wait: float = 600.0
    """How long to wait for another runner to end."""
    terminate_blockers: bool = False
    """End sessions that stand in the way, from the second attempt on."""
    window: Window | None = None
    gates_passed: frozenset[str] = frozenset()
    """Gates that are open, each by its text or by `version:number`, the number of its unit from 1."""
    production: str = ""
    """Name of the environment when it is production; empty otherwise."""
    confirmed: str = ""
    """Must be the name of the production environment, as somebody typed it."""
    backup_point: str | Callable[[Migration], str] = ""
    """In production, what brings the data back if a lossy step was a mistake: a note, or what makes one. It is recorded."""
    without_backup: str = ""
    """Why a lossy step is run in production without a backup point. It is recorded."""
    repeat_begun: bool = False
    """Run a statement again of which an earlier run cannot tell whether it was done (DO and CALL outside of a transaction)."""
    old_plans: bool = False
    """Run plans although what they change is not as it was when they were made."""
    dry_run: bool = False
    pace: Pace = field(default_factory=Pace)
    interrupted: Callable[[], bool] | None = None
    """Asked all the time, in statements too: whether to end at once, as by Ctrl-C; for runs in other threads than the main one."""
    stop: Callable[[], bool] | None = None
    """Asked between units and batches: whether to end here, to be resumed later."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    settings: Mapping[str, str] = field(default_factory=dict)
    """More settings for every session that runs migrations: `{"work_mem": "256MB"}`."""

    def passed(self, migration: Migration, number: int, gate: str) -> bool:
        """Whether the gate that is unit `number` (from 0) was opened."""
        return gate in self.gates_passed or gate_key(migration, number) in self.gates_passed


def gate_key(migration: Migration, number: int) -> str:
    """How a gate is named on a command line: `20261121:3`, the third unit of that migration."""
    return f"{migration.version or migration.name}:{number + 1}"
