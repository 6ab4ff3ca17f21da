"""Snapshots of pg_stat_statements kept in the database: what each statement has cost since the one before.

A snapshot is one transaction: killed, it has not been. Two at a time: the second does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pgcharter import faults
from pgcharter.db import Connection
from pgcharter.watch.workload import Counters, Use, Which, difference, largest
from pgcharter.watch.workload_read import Look, Source, counted, query, texts
from pgcharter.watch.workload_text import written

POINTS = ("workload costs", "workload commit")
"""Places where tests kill: what it cost is written; everything is."""


@dataclass(frozen=True)
class Interval:
    """The time between two snapshots."""

    at: datetime
    began: datetime | None
    """None: it is the first, and there was nothing to compare with."""
    was_reset: bool
    evictions: int
    statements: int
    """Statements that ran, as far as they are known."""
    calls: int
    execution_ms: float


@dataclass(frozen=True)
class _Base:
    counters: Counters
    has_text: bool


def take(conn: Connection, source: Source, top: int, keep: timedelta) -> Interval | None:
    """Take a snapshot; None: somebody else is taking one. Raises psycopg.Error."""
    with conn.transaction():
        if conn.execute(query("alone")).fetchone() != (True,):
            return None
        last = conn.execute(query("last")).fetchone()
        bases = {Which(*r[:4]): _Base(Counters(**r[4]), r[5]) for r in conn.execute(query("bases")).fetchall()}
        look = counted(conn, source)
        made, costs = _compared(look, last, bases)
        _write(conn, source, look, made, costs, bases, top)
        for name in ("forget_costs", "forget_intervals", "forget_texts"):
            conn.execute(query(name, source, given=True), {"now": look.at, "keep": keep})
        faults.point("workload commit")
    return made


def _compared(look: Look, last: tuple[Any, ...] | None, bases: Mapping[Which, _Base]) -> tuple[Interval, dict[Which, Counters]]:
    """The interval, and what ran in it."""
    if last is None:
        return Interval(look.at, None, False, look.evictions, 0, 0, 0.0), {}
    began, evictions = last
    was_reset = look.since > began
    costs = {}
    for one in look.counted:
        base = bases.get(one.which)
        cost = difference(one, base.counters if base else None, began, was_reset=was_reset)
        if cost.calls:
            costs[one.which] = cost
    total = sum(costs.values(), Counters())
    gone = look.evictions if was_reset else max(look.evictions - evictions, 0)
    return Interval(look.at, began, was_reset, gone, len(costs), total.calls, total.execution_ms), costs


def _write(
    conn: Connection, source: Source, look: Look, made: Interval, costs: Mapping[Which, Counters], bases: Mapping[Which, _Base], top: int
) -> None:
    conn.execute(
        query("interval"),
        {
            "taken_at": made.at, "began_at": made.began, "counted_since": look.since, "was_reset": made.was_reset,
            "evictions": made.evictions, "evictions_in_all": look.evictions, "statements": made.statements, "calls": made.calls,
            "execution_ms": made.execution_ms,
        },
    )  # fmt: skip
    chosen = largest(costs, top)
    conn.execute(query("costs"), {"taken_at": made.at, "all": written([{**_key(w), **_counters(costs[w])} for w in chosen])})
    faults.point("workload costs")
    wanted = {w.query for w in chosen if w not in bases or not bases[w].has_text}
    known = texts(conn, source, wanted) if wanted else {}
    seen = [
        {**_key(c.which), "role_name": c.role, "statement": known.get(c.which.query), "counters": _counters(c.counters)}
        for c in look.counted
        if c.which not in bases or bases[c.which].counters != c.counters
    ]
    conn.execute(query("seen"), {"taken_at": made.at, "all": written(seen)})


def _key(which: Which) -> dict[str, Any]:
    return {"role_id": which.role, "database_id": which.database, "query_id": which.query, "top_level": which.top}


def _counters(counters: Counters) -> dict[str, Any]:
    return {name: getattr(counters, name) for name in Counters.__slots__}


def intervals(conn: Connection, start: datetime, end: datetime) -> list[Interval]:
    """Intervals that ended in that time. Raises psycopg.Error."""
    return [Interval(*row) for row in conn.execute(query("intervals"), {"start": start, "end": end}).fetchall()]


def used(conn: Connection, start: datetime, end: datetime) -> dict[datetime, list[Use]]:
    """What statements have cost, by the ends of intervals. Raises psycopg.Error."""
    found: dict[datetime, list[Use]] = {}
    for row in conn.execute(query("used"), {"start": start, "end": end}).fetchall():
        found.setdefault(row[0], []).append(Use(Which(*row[1:5]), row[5], row[6], Counters(*row[7:])))
    return found


def current(look: Look, known: Mapping[int, str]) -> list[Use]:
    """What is counted now as costs since counting began."""
    return [Use(c.which, c.role, known.get(c.which.query, ""), c.counters) for c in look.counted]
