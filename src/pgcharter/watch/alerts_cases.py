"""Unit tests for the rules, as promtool runs them: quiet before, not before its time, told, quiet afterwards. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgcharter.measures import seconds
from pgcharter.watch import metrics
from pgcharter.watch.alerts import NOTICE, OWN, Alert, number
from pgcharter.watch.model import Check, Collector

BEFORE = 10
"""Evaluations in which all is right, first."""
LONG, SHORT_STEP, LONG_STEP = 7200.0, 1, 30
"""What takes longer than so many seconds is evaluated every 30 minutes, not every minute."""
START = 1_000_000
"""What counters begin with."""


@dataclass(frozen=True)
class Case:
    """What Prometheus sees, minute by minute, and which rules must be told when."""

    name: str
    series: Mapping[str, str]
    """Values of each series, as promtool writes them."""
    moments: tuple[tuple[int, str, tuple[dict[str, Any], ...]], ...]
    """Minute, name of the rules, and what is told then."""
    step: int = SHORT_STEP
    """Minutes between two evaluations."""


def cases(alerts: Iterable[Alert], collectors: Mapping[str, Collector]) -> Iterator[Case]:
    """A case for each rule."""
    alerts = tuple(alerts)
    for alert in alerts:
        if alert.check is not None:
            same = [a for a in alerts if a.name == alert.name]
            yield (_growth if alert.check.over else _value)(alert, alert.check, collectors[alert.check.collector], same)
    yield from _of_looking([a for a in alerts if a.family == OWN])


def files(alerts: Iterable[Alert], collectors: Mapping[str, Collector]) -> dict[str, str]:
    """Test files by name, one for each file of rules; one more for what takes hours."""
    alerts = tuple(alerts)
    made = {}
    for family in dict.fromkeys(a.family for a in alerts):
        some = list(cases([a for a in alerts if a.family == family], collectors))
        for step, word in ((SHORT_STEP, ""), (LONG_STEP, ".long")):
            if chosen := [case for case in some if case.step == step]:
                made[f"{family}{word}.test.yml"] = _file(f"{family}.rules.yml", step, chosen)
    return made


def _step(check: Check) -> int:
    return LONG_STEP if max(seconds(check.over or "0s"), seconds(check.lasting)) > LONG else SHORT_STEP


def _file(rules: str, step: int, some: Iterable[Case]) -> str:
    tests = [
        {
            "name": case.name, "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
            "alert_rule_test": [{"eval_time": f"{at}m", "alertname": name, "exp_alerts": list(told)} for at, name, told in case.moments],
        }
        for case in some
    ]  # fmt: skip
    lines = [f"  - {json.dumps(test, ensure_ascii=False)}" for test in tests]
    return "\n".join([NOTICE.rstrip(), f"rule_files: [{rules}]", f"evaluation_interval: {step}m", "tests:", *lines]) + "\n"


def _value(alert: Alert, check: Check, collector: Collector, same: list[Alert]) -> Case:
    """A gauge that is right, wrong, and right again."""
    good, bad, step = _good(check), _bad(check, alert.threshold), _step(check)
    before, wait = BEFORE * step, math.ceil(alert.lasting / 60 / step) * step
    wrong = wait + 5 * step
    series = {_series(collector, check.value): f"{good}x{before - 1} {bad}x{wrong - 1} {good}x{10 * step}"}
    if check.guard:
        series[_series(collector, check.guard)] = f"1x{before + wrong + 10 * step}"
    told = _told(same, collector, float(bad))
    moments = [(before - step, ()), *([(before + wait - step, ())] if wait else []), (before + wait, told), (before + wrong, ())]
    return Case(f"{alert.name} {alert.severity}", series, tuple((at, alert.name, told) for at, told in moments), step)


def _good(check: Check) -> str:
    """A value that is far from every threshold."""
    thresholds = [t for t in (check.warn, check.critical) if t is not None]
    edge = max(thresholds) if check.below else min(thresholds)
    return number(edge + max(abs(edge), 1.0) if check.below else edge / 2 if edge > 0 else edge - 1.0)


def _bad(check: Check, threshold: float) -> str:
    """A value that reaches this threshold, and no farther."""
    if not check.below:
        return number(threshold)
    other = check.critical if check.critical is not None and check.critical < threshold else None
    return number((threshold + other) / 2 if other is not None else threshold - max(abs(threshold) / 2, 1.0))


def _growth(alert: Alert, check: Check, collector: Collector, same: list[Alert]) -> Case:
    """A counter that stands, grows evenly for as long as is looked at, and stands again."""
    span = max(round(seconds(check.over) / 60), 1)
    step = _step(check)
    wait, after = math.ceil(alert.lasting / 60 / step) * step, span + 2 * step
    columns, value = (_forecast if check.left else _counted)(alert, check, span)
    series = {_series(collector, c): _steps(start, pace, span, span + wait, after) for c, (start, pace) in columns.items()}
    at = 2 * span + wait
    moments = ((span, ()), (at, _told(same, collector, value)), (at + after, ()))
    return Case(f"{alert.name} {alert.severity}", series, tuple((m, alert.name, told) for m, told in moments), step)


def _counted(alert: Alert, check: Check, span: int) -> tuple[dict[str, tuple[float, float]], float]:
    """For each column what it begins with and grows by in a minute; and what is judged then."""
    if not check.of:
        grown = 1.25 * max(alert.threshold, check.at_least)
        return {check.value: (START, grown / span)}, grown
    percent = min(1.1 * alert.threshold, (alert.threshold + 100) / 2)
    whole = max(2 * check.at_least, 1000.0)
    return {check.of: (START, whole / span), check.value: (START, whole * percent / 100 / span)}, percent


def _forecast(alert: Alert, check: Check, _span: int) -> tuple[dict[str, tuple[float, float]], float]:
    """Growth at an even pace beside room that lasts a known time."""
    until = float(_bad(check, alert.threshold)) + 0.5
    pace = 100.0
    return {check.value: (START, pace * 60), check.left: (until * pace, 0.0)}, until


def _steps(start: float, step: float, before: int, growing: int, after: int) -> str:
    first, top = _plain(start), start + step * growing
    if not step:
        return f"{first}x{before + growing + after + 1}"
    return f"{first}x{before} {_plain(start + step)}+{_plain(step)}x{growing - 1} {_plain(top)}x{after + 1}"


def _plain(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _series(collector: Collector, column: str) -> str:
    labels = ", ".join(f'{label}="some_{label}"' for label in metrics.labels(collector))
    return metrics.name(collector, column) + (f"{{{labels}}}" if labels else "")


def _told(same: list[Alert], collector: Collector, value: float) -> tuple[dict[str, Any], ...]:
    """What all rules of that name say at this value."""
    labels = {label: f"some_{label}" for label in metrics.labels(collector)}
    reached = [a for a in same if a.check and (value < a.threshold if a.check.below else value >= a.threshold)]
    return tuple(_alarm(a, labels, value) for a in reached)


def _alarm(alert: Alert, labels: Mapping[str, str], value: float) -> dict[str, Any]:
    notes = {name: filled(text, labels, value) for name, text in alert.annotations.items()}
    return {"exp_labels": {**labels, **alert.labels}, "exp_annotations": notes}


def filled(text: str, labels: Mapping[str, str], value: float) -> str:
    """A template of ours as Prometheus fills it in."""
    shown = {
        "humanizeDuration": lambda: _duration(value), "humanize1024": lambda: _binary(value), 'printf "%.4g"': lambda: f"{value:.4g}",
    }  # fmt: skip
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: labels.get(m[1], ""), text)
    return re.sub(r"\{\{ \$value \| ([^}]+) \}\}", lambda m: shown[m[1]](), text)


def _duration(value: float) -> str:
    """As humanizeDuration writes it."""
    sign, value = ("-" if value < 0 else ""), abs(value)
    if value == 0:
        return "0s"
    if value < 1:
        power = next(i for i in range(1, 7) if value * 1000**i >= 1)
        return f"{sign}{value * 1000**power:.4g}{('m', 'u', 'n', 'p', 'f', 'a')[power - 1]}s"
    whole = int(value)
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {rest}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {rest}s"
    return f"{sign}{minutes}m {rest}s" if minutes else f"{sign}{value:.4g}s"


def _binary(value: float) -> str:
    """As humanize1024 writes it."""
    prefixes = ("", "ki", "Mi", "Gi", "Ti", "Pi")
    power = 0
    while abs(value) >= 1024 and power < len(prefixes) - 1:
        value, power = value / 1024, power + 1
    return f"{value:.4g}{prefixes[power]}"


def _of_looking(some: list[Alert]) -> Iterator[Case]:
    """The rules about the looking itself."""
    inputs = {
        "PgcharterAbsent": ({f"{metrics.PREFIX}up": "1x9 _x4 1x10"}, {}, 1.0),
        "PgcharterBlind": ({f'{metrics.PREFIX}collector_up{{collector="locks"}}': "1x9 0x19 1x10"}, {"collector": "locks"}, 0.0),
        "PgcharterSlow": ({f'{metrics.PREFIX}collector_seconds{{collector="locks"}}': "1x9 30x19 1x10"}, {"collector": "locks"}, 30.0),
    }
    for alert in some:
        series, labels, value = inputs[alert.name]
        wait = round(alert.lasting / 60)
        if alert.name == "PgcharterAbsent":
            series = dict.fromkeys(series, f"1x9 _x{wait + 10} 1x10")
        begins = BEFORE + (5 if alert.name == "PgcharterAbsent" else 0)  # a series counts for five minutes after its last sample
        told = (_alarm(alert, labels, value),)
        moments = ((BEFORE - 1, ()), (begins + wait - 1, ()), (begins + wait, told), (BEFORE + wait + 19, ()))
        yield Case(f"{alert.name} {alert.severity}", series, tuple((at, alert.name, t) for at, t in moments))
