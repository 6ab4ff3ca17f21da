"""Facts → series of numbers, as Prometheus keeps them: bounded in number, whatever comes and goes rolled up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pgcharter.watch.model import Check, Collector, Facts, Kind

PREFIX = "pgcharter_"
PASSING = frozenset({"pid", "blocker", "gid", "holder", "line"})
"""Labels of what comes and goes: a series for each session would never end. Metrics are rolled up over them; `health` names each one."""
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """One metric with all its rows."""

    name: str
    """Whole: `pgcharter_connections_used_percent`; counters end in `_total`."""
    kind: Kind
    help: str
    labels: tuple[str, ...]
    values: Mapping[Labels, float]


@dataclass(frozen=True)
class Shape:
    """What is exported of a collector."""

    collector: Collector
    smallest: frozenset[str] = frozenset()
    """Columns of which the smallest row counts where several are rolled up, not the largest."""
    guards: tuple[str, ...] = ()
    """Columns that say whether checks judge a row."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that stay."""
        return labels(self.collector)


def labels(collector: Collector) -> tuple[str, ...]:
    """Labels of a collector's metrics."""
    return tuple(label for label in collector.all_labels if label not in PASSING)


def name(collector: Collector, column: str) -> str:
    """What the metric of a column is called."""
    return f"{PREFIX}{collector.name}_{column}" + ("_total" if column in collector.counters else "")


def shapes(collectors: Iterable[Collector], checks: Iterable[Check]) -> dict[str, Shape]:
    """What to export of each, by its name."""
    checks = tuple(checks)
    made = {}
    for collector in collectors:
        own = [c for c in checks if c.collector == collector.name]
        smallest = frozenset(c.value for c in own if c.below and not c.over) | frozenset(c.left for c in own if c.left)
        made[collector.name] = Shape(collector, smallest, tuple(dict.fromkeys(c.guard for c in own if c.guard)))
    return made


def series(shape: Shape, facts: Facts) -> Iterator[Series]:
    """The metrics of what one collector answered. A column that is NULL is no sample."""
    one = shape.collector
    for column, text in one.gauges.items():
        roll = min if column in shape.smallest else max
        yield Series(name(one, column), "gauge", text, shape.labels, _rolled(shape, facts, column, roll))
    for column in shape.guards:
        yield Series(
            name(one, column), "gauge", f"1 where there is enough to judge: {column}", shape.labels, _rolled(shape, facts, column, max)
        )
    for column, text in one.counters.items():
        yield Series(name(one, column), "counter", text, shape.labels, _rolled(shape, facts, column, _sum))


def _sum(left: float, right: float) -> float:
    return left + right


def _rolled(shape: Shape, facts: Facts, column: str, roll: Any) -> dict[Labels, float]:
    found: dict[Labels, float] = {}
    kept = shape.labels
    for row in facts.rows:
        number = _number(row.get(column))
        if number is None:
            continue
        key = tuple("" if (value := row.get(label)) is None else str(value) for label in kept)
        found[key] = roll(found[key], number) if key in found else number
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float, Decimal)):
        return float(value)
    return None
