"""What the runner tells whoever shows it: events as data, in the order in which things happen. Nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pgcharter.migrate.model import Migration, Unit


@dataclass(frozen=True, slots=True)
class Backend:
    """A session of the server that holds something up."""

    pid: int
    """0: a prepared transaction, which has no session."""
    user: str = ""
    application: str = ""
    state: str = ""
    """PostgreSQL's word: `active`, `idle in transaction`, ...; for a prepared transaction its name."""
    since: datetime | None = None
    """When its transaction began; for the holder of the runner's lock, when it connected."""
    query: str = ""
    """Beginning of its last query, without literals; empty where the role may not see it."""
    lock: str = ""
    """The lock that stands in the way: `ACCESS SHARE on app.orders`."""
    own: bool = False
    """A session of this very run."""
    waits: bool = False
    """It waits itself, behind another."""
    kind: str = "client backend"
    """PostgreSQL's word for the process: `autovacuum worker`, `walsender`, ..."""

    def __str__(self) -> str:
        if not self.pid:
            return f"prepared transaction {self.state}" + (f" with {self.lock}" if self.lock else "")
        who = ", ".join(part for part in (self.user and f"user {self.user}", self.application, self.state) if part)
        since = f" since {self.since:%Y-%m-%d %H:%M:%S}" if self.since else ""
        held = f" with {self.lock}" if self.lock else ""
        return f"pid {self.pid} ({who or self.kind}{since}){held}" + (f": {self.query}" if self.query else "")


@dataclass(frozen=True, slots=True)
class RunnerWaits:
    """Another runner is at work in this database."""

    holders: tuple[Backend, ...]
    waited: float
    """Seconds."""
    limit: float
    """Seconds after which this run gives up."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A migration begins, or goes on where an earlier run ended."""

    migration: Migration
    direction: str
    units: int
    first: int
    """Number of the unit it begins with, from 0."""


@dataclass(frozen=True, slots=True)
class UnitBegun:
    """A unit begins."""

    migration: Migration
    number: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Waits:
    """A statement waits for a lock."""

    migration: Migration
    number: int
    waited: float
    """Seconds of this attempt."""
    blockers: tuple[Backend, ...]


@dataclass(frozen=True, slots=True)
class Retries:
    """An attempt was given up, so that nobody waits behind it; another follows."""

    migration: Migration
    number: int
    attempt: int
    """The one that follows."""
    pause: float
    """Seconds until then."""
    left: float
    """Seconds until the unit is given up."""
    why: str
    blockers: tuple[Backend, ...]


@dataclass(frozen=True, slots=True)
class Terminated:
    """A session was ended because it stood in the way and the terms allow that."""

    session: Backend


@dataclass(frozen=True, slots=True)
class Advances:
    """How far PostgreSQL says a long statement has come."""

    migration: Migration
    number: int
    command: str
    phase: str
    relation: str
    done: int
    total: int
    """0: PostgreSQL does not say."""
    measure: str
    """What is counted: blocks, tuples, lockers, bytes."""


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A batch of a backfill is committed."""

    migration: Migration
    number: int
    table: str
    rows: int
    """Changed so far, in earlier runs too."""
    seen: int
    """Rows passed so far, changed or not."""
    total: int | None
    """Rows of the table, by PostgreSQL's estimate; None where it has none."""
    size: int
    """Rows of this batch."""
    seconds: float
    """What this batch took."""
    rate: float
    """Rows passed in a second, lately."""
    remaining: float | None
    """Seconds, when it goes on like this."""

    @property
    def share(self) -> float | None:
        """Part of the rows that was passed, 0 to 1."""
        return min(self.seen / self.total, 1.0) if self.total else None


@dataclass(frozen=True, slots=True)
class Paused:
    """A backfill waits because the server is strained."""

    migration: Migration
    number: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resumed:
    """It goes on."""

    migration: Migration
    number: int
    paused: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class UnitDone:
    """A unit is done and recorded."""

    migration: Migration
    number: int
    seconds: float
    found: str = ""
    """Why nothing had to be run: `its index is there and valid`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A migration is done and recorded."""

    migration: Migration
    direction: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Planned:
    """A dry run: what would be executed for one unit, in order, with its settings."""

    migration: Migration
    number: int
    unit: Unit
    statements: tuple[str, ...]
    """SQL texts without semicolons; what only the ledger needs stands as a comment."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line."""

    message: str
    hint: str = ""


Event = (
    RunnerWaits | Begun | UnitBegun | Waits | Retries | Terminated | Advances | BatchDone | Paused | Resumed | UnitDone | Finished
    | Planned | Note
)  # fmt: skip
Watch = Callable[[Event], None]


def silent(event: Event) -> None:
    """A Watch that shows nothing."""
