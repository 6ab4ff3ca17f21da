"""What a comparison of a copy with its source is told and tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from pgcharter.stream.model import Row, Shape, Stamp, Stored

Kind = Literal["missing", "extra", "different"]
Reached = Callable[[], int]
"""Gives the position (LSN) up to which every commit of the source is in the store."""
KEPT = 10_000
"""Most differences that a report holds one by one; all are counted, and logged when they are repaired."""
NAMED = 20
"""Most names of what is foreign that a report holds."""
FEW = 100
"""Fewer differences than this are repaired whatever share of the rows they are."""


class Difference(NamedTuple):
    """A key at which copy and source differ."""

    kind: Kind
    """missing: the copy has it not; extra: the source has it not."""
    shape: Shape
    key: tuple[Any, ...]
    wanted: Row | None
    """What the copy should have."""
    stored: Stored | None
    """What it has."""
    fields: tuple[str, ...]
    """Names of the fields that differ; of a missing or extra row none."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a comparison goes about it."""

    repair: bool = False
    """Whether what differs is put right; otherwise it is only reported."""
    share: float = 0.1
    """Largest part of the rows that is repaired: where more differs, something else is wrong. 1: all."""
    rate: float = 0.0
    """Most rows read per second, of both sides together; 0: no limit."""
    fan: int = 1 << 13
    """Number of parts into which keys are spread by their hash, a power of two. With eight times as many the sums take twice as long."""
    batch: int = 1_000
    """Rows of one write."""
    group: int = 200_000
    """Most rows that are held in memory at once, when many parts differ."""
    rounds: int = 4
    """How often what may be in flight is looked at again before it is given up as unsettled."""
    wait: float = 60.0
    """Seconds to wait for transactions that are committing just now, and for the copy to be as far as the source."""


@dataclass
class Report:
    """What was found in one mapping."""

    table: str
    sink: str
    run: UUID = field(default_factory=uuid4)
    rows: int = 0
    """Rows that the copy should have, when all were counted."""
    stored: int = 0
    """Rows that it had."""
    counts: dict[Kind, int] = field(default_factory=lambda: {"missing": 0, "extra": 0, "different": 0})
    differences: list[Difference] = field(default_factory=list)
    repaired: int = 0
    unsettled: int = 0
    """Keys that changed each time they were looked at."""
    future: int = 0
    """Rows of the copy with stamps later than the source's log: the source was restored, or is another one. They cannot be judged."""
    foreign: int = 0
    """What stands there among the rows and was never copied. It is left alone."""
    strangers: list[str] = field(default_factory=list)
    """Names of some of it."""
    scans: int = 0
    seconds: float = 0.0
    stamp: Stamp = field(default_factory=lambda: Stamp(0, 0))
    """Moment of the source that the last verdict is about."""

    @property
    def found(self) -> int:
        """Number of differences."""
        return sum(self.counts.values())

    @property
    def remaining(self) -> int:
        """Differences that are still there, as far as known."""
        return self.found - self.repaired + self.future

    def strange(self, name: str) -> None:
        """Count something that was never copied."""
        self.foreign += 1
        if len(self.strangers) < NAMED:
            self.strangers.append(name)

    def add(self, one: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        self.counts[one.kind] += 1
        if len(self.differences) < KEPT:
            self.differences.append(one)
