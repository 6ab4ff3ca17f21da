"""Where a restore is to stop, found in the archived log before anything is unpacked: which backup, which segments, whether it is reached.

What the log says is asked of PostgreSQL's own pg_waldump. Recovery compares a time with those of commits and aborts only (see
`recoveryStopsBefore` in src/backend/access/transam/xlogrecovery.c), and one that ends before its target is refused by the server; so a
time after the last of them is told here, in seconds instead of hours.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.operate import backup_wal
from pgcharter.operate.backup_model import Backup, Until
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_verify import broken_chain
from pgcharter.operate.backup_wal import Branch, Segment, lsn_number, lsn_text
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, folders

_ENDED = re.compile(r"desc: (?:COMMIT|ABORT)(?:_PREPARED)? (?:\w+: )?.*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")
_POINT = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+),.*desc: RESTORE_POINT (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Goal:
    """A restore that can be done."""

    backup: Backup
    until: Until
    segments: tuple[Segment, ...]
    """The log that is needed, in order."""
    histories: tuple[str, ...]
    """Histories of all timelines: a server that is promoted takes the next number of which it finds none."""
    timeline: int
    """Timeline on which it stops."""
    last: datetime | None = None
    """Time of the last transaction that is known to lie before the end."""


def choose(repository: Repository, until: Until) -> Backup:
    """The backup from which `until` is reached soonest. Raises PgcharterError when none can, or log on the way is missing."""
    return goal(repository, until).backup


def goal(repository: Repository, until: Until, backup: Backup | None = None) -> Goal:
    """What a restore needs, all of it there; of `backup` when it is given. Raises PgcharterError with what is missing."""
    if backup and backup.kind == "logical":
        raise RefusedError(
            f"backup {backup.id} is a logical one, which knows no log: it is loaded into a server that runs",
            hint=f"pgcharter backup extract {backup.id} FOLDER, then pg_restore --create --dbname=postgres FOLDER/….dump",
        )
    with Reader(repository) as reader:
        timeline = _timeline(repository, until, backup)
        branches = backup_wal.way(repository, timeline)
        if until.name and not until.lsn:
            until = replace(until, lsn=reader.point(branches, until.name))
        problem: PgcharterError | None = None
        for candidate in [backup] if backup else _candidates(repository, branches, until):
            if why := broken_chain(repository, candidate):
                problem = problem or PgcharterError(f"backup {candidate.id} leads to {spoken(until)}, but cannot be used: {why}")
                continue
            try:
                return _reached(reader, branches, candidate, until)
            except PgcharterError as error:
                problem = problem or error
        raise problem or PgcharterError(*_none(repository, until))


def _none(repository: Repository, until: Until) -> tuple[str]:
    there = [b for b in repository.backups() if b.kind != "logical"]
    if not there:
        return ("there is no backup yet: pgcharter backup take",)
    oldest = min(there, key=lambda b: b.ended)
    return (
        f"no backup ended before {spoken(until)}, so nothing leads there: the oldest, {oldest.id}, ended at "
        f"{oldest.ended:%Y-%m-%d %H:%M:%S} UTC, {oldest.stop_lsn}",
    )


def spoken(until: Until) -> str:
    """Where it stops, as messages say it."""
    if until.name:
        return f"restore point {until.name!r}"
    if until.lsn:
        return f"position {until.lsn}"
    return f"{until.time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC" if until.time else "the end of the log"


def _timeline(repository: Repository, until: Until, backup: Backup | None) -> int:
    if until.timeline.isdigit():
        return int(until.timeline)
    known = backup_wal.timelines(repository)
    if until.timeline == "current" and backup:
        return backup.timeline
    return max(known, default=1)


def _candidates(repository: Repository, branches: Sequence[Branch], until: Until) -> Iterator[Backup]:
    """Backups from which it can be reached, the nearest first."""
    for backup in sorted(repository.backups(), key=lambda b: (lsn_number(b.stop_lsn or "0/0"), b.ended), reverse=True):
        if backup.kind != "logical" and _before(backup, until) and _on_the_way(backup, branches):
            yield backup


def _before(backup: Backup, until: Until) -> bool:
    if until.lsn:
        return lsn_number(backup.stop_lsn) <= lsn_number(until.lsn)
    return until.time is None or backup.ended <= until.time


def _on_the_way(backup: Backup, branches: Sequence[Branch]) -> bool:
    stop = lsn_number(backup.stop_lsn)
    return any(b.timeline == backup.timeline and (b.end is None or stop <= b.end) for b in branches)


def _reached(reader: Reader, branches: Sequence[Branch], backup: Backup, until: Until) -> Goal:
    repository, size = reader.repository, reader.repository.about.segment
    if not _on_the_way(backup, branches):
        raise PgcharterError(
            f"backup {backup.id} is of timeline {backup.timeline}, from which timeline {branches[-1].timeline} does not come",
            hint="choose another backup, or --timeline current",
        )
    if not _before(backup, until):
        raise PgcharterError(f"backup {backup.id} ended after {spoken(until)}, so it cannot lead there", hint="leave --backup out")
    start, stop = lsn_number(backup.start_lsn), max(lsn_number(backup.stop_lsn), lsn_number(until.lsn or "0/0") + 1)
    end = _end(repository, branches, stop) if not until.lsn else stop
    if until.lsn and (known := _end(repository, branches, 0)) < lsn_number(until.lsn):
        raise PgcharterError(f"the log in the repository ends at {lsn_text(known)}, before {spoken(until)}", hint=_LATEST)
    wanted = list(backup_wal.needed(branches, backup.timeline, start, end, size))
    there, missing = _there(repository, wanted)
    last = None
    if until.time:
        kept, last = _until_time(reader, there, backup, until.time, missing)
        there, missing = kept, None
    if missing:
        raise PgcharterError(
            f"segment {missing.name} of the log is missing, so nothing after {lsn_text(missing.start)} can be restored from {backup.id}",
            hint=_time_hint(reader, there),
        )
    histories = tuple(f"{t:08X}.history" for t in backup_wal.timelines(repository) if t > 1)
    return Goal(backup, until, tuple(there), histories, branches[-1].timeline, last)


_LATEST = "restore to the end of the log instead: leave the target out"


def _end(repository: Repository, branches: Sequence[Branch], least: int) -> int:
    """Position behind the newest segment on the way."""
    ends = [s.end for b in branches for s in backup_wal.segments(repository, b.timeline)[-1:] if b.end is None or s.start <= b.end]
    return max([least, *ends])


def _there(repository: Repository, wanted: Sequence[Segment]) -> tuple[list[Segment], Segment | None]:
    """What is there without a gap from the beginning, and the first that is not."""
    have = {t: {s.number for s in backup_wal.segments(repository, t)} for t in {w.timeline for w in wanted}}
    for count, segment in enumerate(wanted):
        if segment.number not in have[segment.timeline]:
            return list(wanted[:count]), segment
    return list(wanted), None


def _until_time(
    reader: Reader, there: list[Segment], backup: Backup, time: datetime, missing: Segment | None
) -> tuple[list[Segment], datetime | None]:
    """The segments up to the first that holds a transaction after `time`. Raises PgcharterError when none does."""
    first = _first_after(reader, there, time)
    if first is not None:
        return there[: min(len(there), first + 2)], None  # a record may go on in the next one
    last = next((t for s in reversed(there) if (t := reader.last(s))), None)
    ends = f"the last transaction in the log before it is of {last:%Y-%m-%d %H:%M:%S.%f} UTC" if last else "the log holds no transaction"
    if missing:
        raise PgcharterError(
            f"segment {missing.name} of the log is missing, so {time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC cannot be reached from backup"
            f" {backup.id}: {ends}",
            hint=f"the nearest that can be: --to '{last:%Y-%m-%d %H:%M:%S.%f}Z'" if last else "",
        )
    raise PgcharterError(f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC is after the end of the log: {ends}", hint=_LATEST)


def _first_after(reader: Reader, there: Sequence[Segment], time: datetime) -> int | None:
    """Index of the first segment with a transaction after `time`: by halving, for times grow with the log."""
    low, high = 0, len(there)
    while low < high:
        middle = (low + high) // 2
        found = next(((i, t) for i in range(middle, high) if (t := reader.last(there[i]))), None)
        if found is None or found[1] > time:
            high = middle
        else:
            low = found[0] + 1
    return next((i for i in range(low, len(there)) if reader.last(there[i])), None)


def _time_hint(reader: Reader, there: Sequence[Segment]) -> str:
    last = next((t for s in reversed(there) if (t := reader.last(s))), None)
    return f"what can be reached is before {last:%Y-%m-%d %H:%M:%S.%f} UTC: --to '{last:%Y-%m-%d %H:%M:%S.%f}Z'" if last else ""


class Reader:
    """Asks pg_waldump what segments hold, each once."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._who = accounts.current()
        self._folder: Path | None = None
        self._last: dict[Segment, datetime | None] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            folders.remove(self._folder)

    def last(self, segment: Segment) -> datetime | None:
        """When the last transaction in it ended; None when none did. Raises PgcharterError for a damaged one."""
        if segment not in self._last:
            times = _ENDED.findall(self._said(segment, "Transaction"))
            self._last[segment] = max((_moment(t) for t in times), default=None)
        return self._last[segment]

    def point(self, branches: Sequence[Branch], name: str) -> str:
        """Position of a restore point, the newest of that name. Raises PgcharterError when there is none."""
        known: set[str] = set()
        for branch in reversed(branches):
            for segment in reversed(backup_wal.segments(self.repository, branch.timeline)):
                found = _POINT.findall(self._said(segment, "XLOG"))
                known |= {n for _, n in found}
                for lsn, called in reversed(found):
                    if called == name and (branch.end is None or lsn_number(lsn) < branch.end):
                        return str(lsn)
        there = f"there are: {', '.join(sorted(known)[:10])}" if known else "SELECT pg_create_restore_point('…') makes one"
        raise PgcharterError(f"there is no restore point {name!r} in the log", hint=there)

    def _said(self, segment: Segment, manager: str) -> str:
        path = self._fetched(segment)
        tool = accounts.readable(self._tools(), self._who).program("pg_waldump")
        environment = {**self._who.options()["env"], "TZ": "UTC"}
        options = {**self._who.options(), "env": environment}

        done = subprocess.run(
            [tool, "--rmgr", manager, path],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **options,
        )
        path.unlink(missing_ok=True)
        return str(done.stdout)

    def _fetched(self, segment: Segment) -> Path:
        self._folder = self._folder or folders.private(self._who)
        path = self._folder / segment.name
        if not backup_wal.fetch(self.repository, segment.name, path):
            raise PgcharterError(f"segment {segment.name} of the log is missing")
        self._who.give(path)
        return path

    def _tools(self) -> binaries.Installation:
        return tools(self.repository)


def tools(repository: Repository) -> binaries.Installation:
    """PostgreSQL's programs of the version that made the backups. Raises UnavailableError."""
    versions = [b.version for b in repository.backups() if b.kind != "logical"]
    return binaries.choose(max(versions) // 10000 if versions else None)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
