"""What the costs of statements say: which have become slower, and which are asked once for each row of another (N+1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgcharter.watch.workload import Counters, Use, Which, summed

Verdict = Literal["slower", "faster", "more often", "new", "steady"]
GREW = 1.5
"""A mean time that grew by this factor is a regression, where it matters."""
OFTEN = 3.0
"""Calls in an hour that grew by this factor are one, where they matter."""
CALLS = 10
"""Calls on either side from which a mean says something."""
SHARE = 0.01
"""Share of the time of all statements that a change must cost to be told."""
MANY = 1000
"""Calls from which a statement may be an N+1."""
EACH = 5.0
"""Rows of one call from which a statement may be the parent of one."""
FIT = 1.1
"""By how much the calls of the child may differ from the rows of its parent, altogether; twice that in one interval."""

_SELECT = re.compile(r"\s*(?:/\*.*?\*/\s*)*select\b", re.IGNORECASE | re.DOTALL)
_EQUALS = re.compile(r"=\s*\$\d|=\s*any\s*\(\s*\$\d", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """One statement in two times."""

    use: Use
    """In the later one."""
    before: Counters
    verdict: Verdict
    costs_ms: float
    """Milliseconds that the change costs in an hour; negative: that it saves."""

    @property
    def bad(self) -> bool:
        """Whether it got worse."""
        return self.verdict in ("slower", "more often", "new")


def changes(before: Iterable[Use], after: Iterable[Use], hours: tuple[float, float]) -> list[Change]:
    """What differs between two times of so many hours, the most expensive first. Nothing where one of them is empty."""
    old = {u.which: u.counters for u in summed(before)}
    new = summed(after)
    floor = SHARE * sum(u.counters.execution_ms for u in new) / hours[1]
    found = [_change(u, old.get(u.which, Counters()), hours, floor) for u in new] if old else []
    return sorted((c for c in found if c.verdict != "steady"), key=lambda c: -abs(c.costs_ms))


def _change(use: Use, was: Counters, hours: tuple[float, float], floor: float) -> Change:
    now = use.counters
    an_hour = now.calls / hours[1]
    if not was.calls:
        costs = now.execution_ms / hours[1]
        return Change(use, was, "new" if costs >= floor else "steady", costs)
    by_mean = (now.mean_ms - was.mean_ms) * an_hour
    by_calls = (an_hour - was.calls / hours[0]) * was.mean_ms
    enough = min(now.calls, was.calls) >= CALLS
    if enough and now.mean_ms >= GREW * was.mean_ms and by_mean >= floor:
        return Change(use, was, "slower", by_mean)
    if enough and now.mean_ms * GREW <= was.mean_ms and -by_mean >= floor:
        return Change(use, was, "faster", by_mean)
    if an_hour >= OFTEN * was.calls / hours[0] and by_calls >= floor:
        return Change(use, was, "more often", by_calls)
    return Change(use, was, "steady", 0.0)


@dataclass(frozen=True)
class Shape:
    """A statement that runs once for each row of another."""

    parent: Use
    child: Use

    @property
    def spared(self) -> int:
        """Calls that one statement for all of them would spare."""
        return self.child.counters.calls - self.parent.counters.calls


def shapes(by_interval: Mapping[datetime, Sequence[Use]]) -> list[Shape]:
    """Pairs of SELECTs of one role where one gives many rows, and the other ran as often as those were, with no or one row each, in
    every interval in which it ran often. Numbers that fit by chance in one interval hardly do so in all."""
    uses = [u for u in summed(u for one in by_interval.values() for u in one) if u.which.top and _SELECT.match(u.text)]
    children = [u for u in uses if u.counters.calls >= MANY and u.counters.rows_each <= 1 and _EQUALS.search(u.text)]
    parents = [u for u in uses if u.counters.rows_each >= EACH]
    counted = [{u.which: u.counters for u in one} for one in by_interval.values()]
    found = (_parent_of(child, [p for p in parents if p.which.role == child.which.role], counted) for child in children)
    return sorted(filter(None, found), key=lambda s: -s.spared)


def _parent_of(child: Use, parents: Sequence[Use], counted: Sequence[Mapping[Which, Counters]]) -> Shape | None:
    """The one whose rows fit best, if one does."""
    near = [p for p in parents if p.which != child.which and _ratio(p.counters, child.counters) <= FIT and _always(p, child, counted)]
    return Shape(min(near, key=lambda p: _ratio(p.counters, child.counters)), child) if near else None


def _ratio(parent: Counters, child: Counters) -> float:
    rows, calls = max(parent.row_count, 1), max(child.calls, 1)
    return max(rows / calls, calls / rows)


def _always(parent: Use, child: Use, counted: Sequence[Mapping[Which, Counters]]) -> bool:
    busy = [c for c in counted if c.get(child.which, Counters()).calls >= MANY / 10]
    return all(_ratio(c.get(parent.which, Counters()), c[child.which]) <= 2 * FIT for c in busy)
