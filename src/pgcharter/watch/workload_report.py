"""What is told of a workload: the most expensive statements with their trend, N+1 shapes, large tables read whole, and what is not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgcharter.db import Connection
from pgcharter.errors import PgcharterError
from pgcharter.findings import Gap
from pgcharter.watch import workload_keep, workload_read, workload_scans
from pgcharter.watch.workload import Counters, Use, Which, largest, summed
from pgcharter.watch.workload_judge import Change, Shape, changes, shapes
from pgcharter.watch.workload_keep import Interval
from pgcharter.watch.workload_read import Source
from pgcharter.watch.workload_scans import Scan

LIVE = 1000
"""Statements that are looked at where no snapshots are kept."""


@dataclass(frozen=True)
class Report:
    """A workload."""

    start: datetime | None
    """From when on it is told."""
    end: datetime
    from_snapshots: bool
    total: Counters
    """Of all statements, also those that are not kept one by one: calls and time."""
    uses: tuple[Use, ...] = ()
    """The most time first."""
    before: Mapping[Which, Counters] | None = None
    """The same in the time before, as long; None: there is nothing of it."""
    shapes: tuple[Shape, ...] = ()
    scans: tuple[Scan, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class Compared:
    """Two times, and what differs."""

    split: datetime
    hours: tuple[float, float]
    changes: tuple[Change, ...]
    gaps: tuple[Gap, ...] = ()


def report(conn: Connection, last: timedelta) -> Report:
    """The workload of the time until now. Raises psycopg.Error."""
    source, gaps, kept = workload_read.look_for(conn)
    now = _now(conn)
    times = workload_keep.intervals(conn, now - last, now) if kept else []
    if times:
        found = _from_snapshots(conn, times, now, last)
    elif source is not None:
        why = "no snapshot of that time is kept: pgcharter advise snapshot, as a job" if kept else _NOT_KEPT
        found = _live(conn, source, Gap("trends, and how much of it is of today", why))
    else:
        found = Report(None, now, from_snapshots=False, total=Counters())
    more = (*gaps, *(source.gaps if source else ()), *found.gaps)
    scans = tuple(workload_scans.scans(conn, found.uses))
    return Report(found.start, found.end, found.from_snapshots, found.total, found.uses, found.before, found.shapes, scans, more)


_NOT_KEPT = "pgcharter.statement_snapshots is not there to be read: write [workload] into the charter, then pgcharter policy apply"


def _now(conn: Connection) -> datetime:
    [(now,)] = conn.execute("SELECT pg_catalog.clock_timestamp()").fetchall()
    found: datetime = now
    return found


def _from_snapshots(conn: Connection, times: Sequence[Interval], now: datetime, last: timedelta) -> Report:
    start, end = min(t.began or t.at for t in times), times[-1].at
    by_interval = workload_keep.used(conn, now - last, now)
    earlier = workload_keep.used(conn, start - last, start)
    before = {u.which: u.counters for u in summed(u for one in earlier.values() for u in one)}
    total = Counters(calls=sum(t.calls for t in times), execution_ms=sum(t.execution_ms for t in times))
    uses = tuple(summed(u for one in by_interval.values() for u in one))
    return Report(start, end, True, total, uses, before or None, tuple(shapes(by_interval)), (), tuple(_incomplete(times)))


def _incomplete(times: Sequence[Interval]) -> list[Gap]:
    resets = sum(t.was_reset for t in times)
    evictions = sum(t.evictions for t in times)
    gaps = []
    if resets:
        gaps.append(
            Gap("all that ran", f"counters were reset {resets} times in that time, by a person or a restart: figures are too small")
        )
    if evictions:
        gaps.append(Gap("all that ran", f"pg_stat_statements forgot statements {evictions} times: raise pg_stat_statements.max"))
    return gaps


def _live(conn: Connection, source: Source, gap: Gap) -> Report:
    """What is counted since counting began."""
    look = workload_read.counted(conn, source)
    total = sum((c.counters for c in look.counted), Counters())
    chosen = set(largest({c.which: c.counters for c in look.counted}, LIVE))
    known = workload_read.texts(conn, source, {w.query for w in chosen})
    uses = tuple(summed(u for u in workload_keep.current(look, known) if u.which in chosen))
    return Report(look.since, look.at, False, total, uses, None, tuple(shapes({look.at: uses})), (), (gap,))


def compare(conn: Connection, split: datetime, span: timedelta) -> Compared:
    """What differs between the time before and after a release. Raises PgcharterError where snapshots are missing; psycopg.Error."""
    _, _, kept = workload_read.look_for(conn)
    if not kept:
        raise PgcharterError(f"two times cannot be compared: {_NOT_KEPT}")
    sides = (workload_keep.intervals(conn, split - span, split), workload_keep.intervals(conn, split, split + span))
    later = [t for t in sides[1] if t.began and t.began >= split]
    for which, found in (("before", sides[0]), ("after", later)):
        if not found:
            raise PgcharterError(
                f"no two snapshots within {span.total_seconds() / 3600:g} h {which} {split:%Y-%m-%d %H:%M %Z} tell of that time alone",
                hint="pgcharter advise snapshot right before a release, and later; or name another --split or --span",
            )
    uses = workload_keep.used(conn, split - span, split), workload_keep.used(conn, later[0].began or split, split + span)
    hours = _hours(sides[0]), _hours(later)
    before, after = ([u for one in side.values() for u in one] for side in uses)
    return Compared(split, hours, tuple(changes(before, after, hours)), tuple(_incomplete([*sides[0], *later])))


def _hours(times: Sequence[Interval]) -> float:
    return max(sum((t.at - (t.began or t.at)).total_seconds() for t in times), 1.0) / 3600
