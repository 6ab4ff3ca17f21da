"""What statements cost: counters of pg_stat_statements, and their differences between two looks. Values only; nothing is ever reset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from datetime import datetime

from pgcharter.redact import redact_sql

_PLANNED = re.compile(r"\s*(?:/\*.*?\*/\s*)*\(*\s*(?:select|insert|update|delete|merge|with|values|table)\b", re.IGNORECASE | re.DOTALL)
_LITERAL = re.compile(r"(?:[EBXN]|U&)?'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Which:
    """What tells statements apart in pg_stat_statements."""

    role: int
    database: int
    query: int
    top: bool


@dataclass(frozen=True, slots=True)
class Counters:
    """What was counted, or a difference of that. Named like the columns of `pgcharter.statement_snapshots`; times in milliseconds."""

    calls: int = 0
    execution_ms: float = 0.0
    planning_ms: float = 0.0
    row_count: int = 0
    blocks_hit: int = 0
    blocks_read: int = 0
    blocks_dirtied: int = 0
    blocks_written: int = 0
    temp_blocks: int = 0
    io_ms: float = 0.0
    wal_bytes: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Counters) -> Counters:
        return Counters(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def mean_ms(self) -> float:
        """Time of one call."""
        return self.execution_ms / self.calls if self.calls else 0.0

    @property
    def rows_each(self) -> float:
        """Rows of one call."""
        return self.row_count / self.calls if self.calls else 0.0

    @property
    def hit(self) -> float | None:
        """Share of blocks that were in memory; None: no block was touched."""
        touched = self.blocks_hit + self.blocks_read
        return self.blocks_hit / touched if touched else None


NAMES = tuple(f.name for f in fields(Counters))


@dataclass(frozen=True, slots=True)
class Counted:
    """One statement as pg_stat_statements has it now."""

    which: Which
    role: str
    counters: Counters
    since: datetime | None = None
    """When counting it began; None where that is not known (before 17)."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one statement has cost in some time."""

    which: Which
    role: str
    text: str
    counters: Counters


def difference(now: Counted, base: Counters | None, last: datetime, *, was_reset: bool) -> Counters:
    """What a statement has cost since the look at `last`, at least.

    Where it is counted anew (all counters were reset, it alone was, or it was forgotten and came back): what it has counted since. Before
    17, one that came back and has more calls than before is taken for one that stayed: the difference is then too small, never too large.
    """
    anew = was_reset or base is None or (now.since is not None and now.since > last)
    if anew or base is None or any(a < b for a, b in zip(astuple(now.counters), astuple(base), strict=True)):
        return now.counters
    return now.counters - base


def largest(costs: Mapping[Which, Counters], top: int) -> list[Which]:
    """Those with the most time, a tenth of the places for those with the most calls: statements that are quick and run too often."""
    by_calls = sorted(costs, key=lambda w: (-costs[w].calls, w))[: top // 10]
    by_time = [w for w in sorted(costs, key=lambda w: (-costs[w].execution_ms, w)) if w not in set(by_calls)]
    return [*by_calls, *by_time[: top - len(by_calls)]]


def summed(uses: Iterable[Use]) -> list[Use]:
    """Costs by statement, the most time first."""
    found: dict[Which, Use] = {}
    for use in uses:
        before = found.get(use.which)
        found[use.which] = Use(use.which, use.role, use.text, before.counters + use.counters) if before else use
    return sorted(found.values(), key=lambda u: (-u.counters.execution_ms, u.which))


def clean_text(text: str) -> str:
    """A statement without secrets. PostgreSQL puts `$1` for constants of what is planned; of other statements not always, so theirs go."""
    text = redact_sql(text)
    return text if _PLANNED.match(text) else _LITERAL.sub("'***'", text)
