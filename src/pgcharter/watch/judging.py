"""Facts × checks → readings. Pure: growth comes from samples that somebody keeps, the time from the caller."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from string import Formatter
from typing import Any

from pgcharter.findings import Gap
from pgcharter.measures import seconds
from pgcharter.watch.model import Check, Collector, Facts, Health, Level, Reading

MOST = 20
"""Readings of one check that are told one by one; of the rest there is a number."""
SHORTEST = 0.1
"""Share of `over` that must have passed before nothing wrong means that all is right."""
TIMELINE = "timeline"
"""Counter that tells one server from the next, and so is compared over both."""
LOOSE = 1.5
"""So many times `over` may have passed and growth still count whole; of more only its share does."""
Key = tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Counters as one look saw them: of each collector, by labels, by column."""

    at: datetime
    counters: Mapping[str, Mapping[Key, Mapping[str, float]]]
    server: str = ""
    """Which server it was: counters of another one are not compared."""


@dataclass(frozen=True)
class Past:
    """What earlier looks have left."""

    samples: tuple[Sample, ...] = ()
    """The oldest first."""
    since: Mapping[str, datetime] = field(default_factory=dict)
    """When what is wrong was first seen, by `key`."""


@dataclass(frozen=True)
class _Value:
    """What is judged of one row, and over what time it was seen."""

    number: float
    span: float = 0.0
    """Seconds; 0: it is no growth."""


def judge(
    collectors: Mapping[str, Collector], facts: Mapping[str, Facts], checks: Iterable[Check], past: Past, now: datetime, server: str = ""
) -> Health:
    """Readings of all checks that could be answered, the worst first, and gaps for the others. `server` says which one the facts are of."""
    same = replace(past, samples=tuple(s for s in past.samples if s.server == server))
    readings: list[Reading] = []
    gaps: dict[Gap, None] = {}
    for check in checks:
        found = facts.get(check.collector)
        if found is None or not found.asked:
            continue
        gaps |= dict.fromkeys(Gap(check.id, gap.why) for gap in found.gaps)
        if found.gaps and not found.rows:
            continue
        made, missing = _check(check, collectors[check.collector], found, past if check.value == TIMELINE else same, now)
        readings += made
        gaps |= dict.fromkeys(missing)
    readings.sort(key=lambda r: -r.level)
    return Health(tuple(readings), tuple(gaps), sum(f.seconds for f in facts.values()))


def sample(
    collectors: Mapping[str, Collector], facts: Mapping[str, Facts], checks: Iterable[Check], now: datetime, server: str = ""
) -> Sample:
    """What has to be remembered of facts for those checks that look at growth."""
    columns: dict[str, set[str]] = {}
    for check in checks:
        if check.over:
            columns.setdefault(check.collector, set()).update(check.counters)
    kept = {}
    for name, wanted in columns.items():
        rows = facts[name].rows if name in facts else ()
        kept[name] = {_labels(collectors[name], r): {c: float(r[c]) for c in sorted(wanted) if r.get(c) is not None} for r in rows}
    return Sample(now, kept, server)


def remembered(past: Past, new: Sample, health: Health, longest: timedelta) -> Past:
    """The past with this look: samples closer together the younger they are, and since when what is wrong is so."""
    samples: list[Sample] = []
    for old in reversed(past.samples):
        age = (new.at - old.at).total_seconds()
        last = (new.at - samples[-1].at).total_seconds() if samples else 0.0
        if 0 < age <= longest.total_seconds() and age >= last * 1.1:
            samples.append(old)
    since = {key(r): r.since or new.at for r in health.readings if r.since}
    return Past((*reversed(samples), new), since)


def longest(checks: Iterable[Check]) -> timedelta:
    """For how long samples are worth keeping: twice the longest time that a check looks back."""
    return timedelta(seconds=2 * max((seconds(c.over) for c in checks if c.over), default=0.0))


def key(reading: Reading) -> str:
    """What a reading is about, whatever it says of it."""
    return "\x1f".join((reading.check.id, *(f"{k}={v}" for k, v in reading.labels.items())))


def _check(check: Check, collector: Collector, found: Facts, past: Past, now: datetime) -> tuple[list[Reading], list[Gap]]:
    """Readings of one check: what is wrong row by row, or one that says that nothing is; and what growth could not be told of."""
    wrong: list[Reading] = []
    fine: list[tuple[float, Reading]] = []
    missing: dict[str, None] = {}
    for row in found.rows:
        if row.get(check.value) is None or (check.guard and not row.get(check.guard)):
            continue
        value = _value(check, collector, row, past, now)
        if isinstance(value, str):
            missing[value] = None
            continue
        reading = _reading(check, collector, row, value, past, now)
        if reading.level > Level.OK:
            wrong.append(reading)
        elif value.span and value.span < SHORTEST * seconds(check.over):
            missing[f"{value.span:.0f} s since the last look are too few: look again after {seconds(check.over) * SHORTEST:.0f} s"] = None
        else:
            fine.append((value.number, reading))
    gaps = [Gap(check.id, why) for why in missing]
    if wrong:
        worst = sorted(wrong, key=lambda r: (-r.level, (r.value or 0.0) * (1 if check.below else -1)))
        return _shortened(worst), gaps
    if fine:
        pick = min if check.below else max
        return [pick(fine, key=lambda pair: pair[0])[1]], gaps
    unanswered = found.rows and all(check.value not in row for row in found.rows)
    return ([] if missing or unanswered else [Reading(check, Level.OK, None, check.title)]), gaps


def _shortened(worst: list[Reading]) -> list[Reading]:
    rest = worst[MOST:]
    if not rest:
        return worst
    return [*worst[:MOST], replace(rest[0], value=None, says=f"{len(rest)} more like these", labels={}, remedy="")]


def _value(check: Check, collector: Collector, row: Mapping[str, Any], past: Past, now: datetime) -> _Value | str:
    """What is judged of a row; a sentence where growth cannot be told yet."""
    current = float(row[check.value])
    if not check.over:
        return _Value(current)
    over = seconds(check.over)
    old = _before(past.samples, check, _labels(collector, row), now - timedelta(seconds=over))
    if old is None:
        return "it is about growth, which takes a second look: nothing is remembered of an earlier one"
    at, counters = old
    span = (now - at).total_seconds()
    grown = current - counters.get(check.value, current)
    if check.left:
        return _until(row, check, grown, span, over)
    if grown < 0:
        return "its counters were reset since the last look: look again"
    if check.of:
        whole = float(row.get(check.of) or 0.0) - counters.get(check.of, 0.0)
        return _Value(100.0 * grown / whole if whole > 0 and whole >= check.at_least else 0.0, span)
    if span > LOOSE * over:
        grown *= over / span
    return _Value(grown if grown >= check.at_least else 0.0, span)


def _until(row: Mapping[str, Any], check: Check, grown: float, span: float, over: float) -> _Value | str:
    """Seconds until what is left is used up at the pace that was seen; never from a moment's growth."""
    if span < SHORTEST * over:
        return f"a forecast needs looks that are {SHORTEST * over / 60:.0f} min apart: look again"
    return _Value(float(row.get(check.left) or 0.0) * span / grown if grown > 0 else math.inf, span)


def _before(samples: Sequence[Sample], check: Check, labels: Key, wanted: datetime) -> tuple[datetime, Mapping[str, float]] | None:
    """The youngest sample of a row that is as old as wanted, else the oldest there is."""
    oldest = None
    for one in reversed(samples):
        counters = one.counters.get(check.collector, {}).get(labels)
        if counters is None or check.value not in counters:
            continue
        oldest = (one.at, counters)
        if one.at <= wanted:
            break
    return oldest


def _labels(collector: Collector, row: Mapping[str, Any]) -> Key:
    return tuple(str(row.get(label, "")) for label in collector.all_labels)


def _reading(check: Check, collector: Collector, row: Mapping[str, Any], value: _Value, past: Past, now: datetime) -> Reading:
    labels = {name: str(row[name]) for name in collector.all_labels if row.get(name) is not None}
    number = value.number
    span = f" in {_time(value.span)}" if value.span and not check.left else ""
    columns = {**row, "value": number}
    reading = Reading(check, _level(check, number), number, written(check.says, columns) + span, labels)
    if reading.level is Level.OK:
        return replace(reading, says=check.title)
    since = past.since.get(key(reading), now)
    level = reading.level if (now - since).total_seconds() >= seconds(check.lasting) else Level.INFO
    return replace(reading, level=level, remedy=written(check.remedy, columns), since=since)


def _level(check: Check, value: float) -> Level:
    def reached(threshold: float | None) -> bool:
        return threshold is not None and (value < threshold if check.below else value >= threshold)

    level = Level.CRITICAL if reached(check.critical) else Level.WARNING if reached(check.warn) else Level.OK
    return min(level, Level[check.level.upper()])


class _People(Formatter):
    """Numbers as people read them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """A column as text."""
        if value is None:
            return "?"
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if format_spec in _FORMATS:
            return _FORMATS[format_spec](float(value))
        return _plain(float(value)) if isinstance(value, (float, Decimal)) else str(value)


def written(text: str, columns: Mapping[str, Any]) -> str:
    """A sentence with its {columns} filled in."""
    return _People().vformat(text, (), columns)


def _plain(value: float) -> str:
    return f"{value:.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def _time(value: float) -> str:
    if not math.isfinite(value):
        return "no time that could be foreseen"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(value) >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{_plain(value)} s" if abs(value) >= 1 or not value else f"{value * 1000:.0f} ms"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if abs(value) >= size:
            return f"{_plain(value / size)} {unit}"
    return f"{value:.0f} B"


def _count(value: float) -> str:
    return f"{value:,.0f}"


_FORMATS = {"time": _time, "bytes": _bytes, "count": _count}
