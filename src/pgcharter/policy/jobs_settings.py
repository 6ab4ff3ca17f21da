"""`[jobs]` of the charter: what runs when, by itself, and what becomes of runs that meet, fail or were missed."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds
from pgcharter.policy.jobs_schedule import Schedule, parse


def _name(value: Any) -> None:
    if re.fullmatch(r"[a-z0-9](?:[a-z0-9._-]{0,50}[a-z0-9])?", value) is None:
        raise UsageError(f"{value!r} is no name of a job", hint="write small letters, digits, - _ . (at most 52): nightly-backup")


def _count(value: Any) -> None:
    if not 0 <= value <= 100:
        raise UsageError(f"{value} is no number of retries", hint="write 0 to 100")


def _parallel(value: Any) -> None:
    if not 1 <= value <= 100:
        raise UsageError(f"{value} is no number of jobs at the same time", hint="write 1 to 100")


def _lease(value: Any) -> None:
    if not 1 <= seconds(value) <= 3600:
        raise UsageError(f"{value!r} is no lease", hint="write 1s to 1h")


_TIME: dict[str, Any] = {"check": seconds}


@dataclass(frozen=True)
class JobTable:
    """`[[jobs.job]]`: one job."""

    name: str = field(metadata={"check": _name})
    schedule: str
    """`30 3 * * 1-5` (cron), `daily`, or `every 15min`."""
    time_zone: str = ""
    """Zone of cron's times; empty: that of [jobs]."""
    pgcharter: str = ""
    """What runs: words of pgcharter's own command line, `backup take full`."""
    sql: str = ""
    """Or SQL, in one transaction, which commits only while the job is this scheduler's."""
    program: tuple[str, ...] = ()
    """Or a program with its arguments; no shell reads them."""
    transaction: bool = True
    """Whether SQL runs in one transaction; false: statement by statement, for VACUUM and procedures that commit."""
    timeout: str = field(default="1h", metadata=_TIME)
    """After this time it is ended, with all processes that it began."""
    overlap: Literal["skip", "queue", "cancel"] = "skip"
    """When it is due while it runs: leave it out, run once more behind it, or end what runs."""
    missed: Literal["run-once", "skip"] = "run-once"
    """When no scheduler was there, or the one that ran it has gone: make up for it once, or wait for the next time."""
    jitter: str = field(default="0s", metadata=_TIME)
    """It begins up to so much later, a different time each time: many jobs do not begin in one second."""
    retries: int = field(default=0, metadata={"check": _count})
    """How often it is tried again when it failed."""
    backoff: str = field(default="1min", metadata=_TIME)
    """Time before it is tried again; doubles each time, up to an hour."""
    alarm: bool = True
    """Whether `pgcharter health` warns when it fails or is lost; one that does not run is always told."""

    def __post_init__(self) -> None:
        """Raise ValueError for what does not go together."""
        if sum(map(bool, (self.pgcharter, self.sql, self.program))) != 1:
            raise ValueError(f"job {self.name} must have one of pgcharter, sql and program")
        try:
            parse(self.schedule, self.time_zone or "UTC")
            shlex.split(self.pgcharter)
        except (UsageError, ValueError) as wrong:
            said = f"{wrong.message}; {wrong.hint}" if isinstance(wrong, UsageError) else str(wrong)
            raise ValueError(f"job {self.name}: {said}") from None


@dataclass(frozen=True)
class JobsSection:
    """`[jobs]`: the scheduler."""

    time_zone: str = "UTC"
    """Zone of jobs that name none."""
    lease: str = field(default="60s", metadata={"check": _lease})
    """A scheduler that has not been heard of for so long has lost its jobs: another one takes them."""
    keep: str = field(default="90d", metadata=_TIME)
    """How long the history of runs is kept."""
    parallel: int = field(default=4, metadata={"check": _parallel})
    """Jobs that one scheduler runs at the same time."""
    workers: tuple[str, ...] = ()
    """Roles that run the scheduler; the owner may always."""
    readers: tuple[str, ...] = ()
    """Roles that may read states and history."""
    job: tuple[JobTable, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for two jobs of one name, and for a zone that there is not."""
        names = [j.name for j in self.job]
        double = next((n for n in names if names.count(n) > 1), None)
        if double:
            raise ValueError(f"two jobs are called {double}")
        try:
            parse("daily", self.time_zone)
        except UsageError as wrong:
            raise ValueError(f"[jobs]: {wrong.message}") from None

    def schedule(self, job: JobTable) -> Schedule:
        """When a job is due."""
        return parse(job.schedule, job.time_zone or self.time_zone)


SECTION = Section("jobs", JobsSection)
