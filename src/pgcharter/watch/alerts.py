"""Checks → rules of Prometheus: the same thresholds over the same numbers. Pure.

Growth is asked of counters by increase(), a forecast of a gauge by deriv(): the rate of a gauge says nothing, and a counter's value never
gets smaller again. What is wrong is gone as soon as its series is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter

from pgcharter.measures import seconds
from pgcharter.watch import metrics
from pgcharter.watch.judging import SHORTEST
from pgcharter.watch.model import Check, Collector, Level

OWN = "pgcharter"
"""Family of the rules about the looking itself."""


@dataclass(frozen=True)
class Alert:
    """One rule."""

    name: str
    """`PgcharterConnectionsUsed`; both severities of a check have one name, so that the graver one can silence the other."""
    family: str
    expr: str
    severity: str
    lasting: float = 0.0
    """Seconds for which it must be so."""
    check: Check | None = None
    threshold: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def alerts(checks: Iterable[Check], collectors: Mapping[str, Collector], runbooks: str = "") -> tuple[Alert, ...]:
    """All rules. `runbooks`: address of the folder of pages; empty: rules name the command that says the same."""
    made = [alert for check in checks for alert in _of(check, collectors[check.collector], runbooks)]
    return (*_of_looking(runbooks), *made)


def levels(check: Check) -> dict[Level, float]:
    """The severities that a check can have, each with the threshold that leads there."""
    most = Level[check.level.upper()]
    found: dict[Level, float] = {}
    for level, threshold in ((Level.WARNING, check.warn), (Level.CRITICAL, check.critical)):
        if threshold is not None:
            found.setdefault(min(level, most), threshold)
    return found


def name(check: Check) -> str:
    """What the rules of a check are called."""
    return "Pgcharter" + "".join(word.capitalize() for word in re.split(r"[._]", check.id))


def _of(check: Check, collector: Collector, runbooks: str) -> Iterator[Alert]:
    for level, threshold in levels(check).items():
        labels = {"severity": level.word, "family": check.family, "check": check.id}
        yield Alert(
            name(check), check.family, expression(check, collector, threshold), level.word, seconds(check.lasting), check, threshold,
            labels, _annotations(check, collector, level, threshold, runbooks),
        )  # fmt: skip


def expression(check: Check, collector: Collector, threshold: float) -> str:
    """What is asked of Prometheus."""
    compared = f"{'<' if check.below else '>='} {number(threshold)}"
    value, more = _value(check, collector)
    if check.guard:
        more = [*more, f"{metrics.name(collector, check.guard)} == 1"]
    return " and ".join([f"{value} {compared}", *more])


def judged(check: Check, collector: Collector) -> str:
    """What is compared with thresholds."""
    return _value(check, collector)[0]


def _value(check: Check, collector: Collector) -> tuple[str, list[str]]:
    """What is compared, and what must be so besides."""
    series = metrics.name(collector, check.value)
    if not check.over:
        return series, []
    span = duration(seconds(check.over))
    if check.left:
        pace = "rate" if check.value in collector.counters else "deriv"
        first = duration(SHORTEST * seconds(check.over))
        return f"{metrics.name(collector, check.left)} / ({pace}({series}[{span}]) > 0)", [f"{series} offset {first}"]
    grown = f"increase({series}[{span}])"
    if check.of:
        whole = f"increase({metrics.name(collector, check.of)}[{span}])"
        return f"100 * {grown} / {whole}", [f"{whole} >= {number(check.at_least)}"] if check.at_least else []
    return grown, [f"{grown} >= {number(check.at_least)}"] if check.at_least else []


def duration(value: float) -> str:
    """Seconds as Prometheus writes them: `1h30m`."""
    left, text = round(value), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def number(value: float) -> str:
    """A threshold as text."""
    return f"{value:.0f}" if value == round(value) else repr(value)


_SHOWN = {
    "s": "{{ $value | humanizeDuration }}",
    "bytes": "{{ $value | humanize1024 }}B",
    "%": '{{ $value | printf "%.4g" }} %',
}
PLAIN = '{{ $value | printf "%.4g" }}'


def _annotations(check: Check, collector: Collector, level: Level, threshold: float, runbooks: str) -> dict[str, str]:
    where = "".join(f" {label}={{{{ $labels.{label} }}}}" for label in metrics.labels(collector))
    shown = _SHOWN.get(check.unit, PLAIN)
    side = "below" if check.below else "from"
    unit = f" {check.unit}" if check.unit in ("s", "bytes", "%") else ""
    span = f" in {duration(seconds(check.over))}" if check.over and not check.left else ""
    return {
        "summary": f"{check.id}{where}: {shown}{span}, {level.word} {side} {number(threshold)}{unit}",
        "expected": check.title,
        "why": check.why,
        "remedy": remedy(check, collector),
        "look": f"pgcharter health --only {check.id}",
        "runbook": f"pgcharter health explain {check.id}",
        **({"runbook_url": f"{runbooks.rstrip('/')}/{check.family}.md#{anchor(check.id)}"} if runbooks else {}),
    }


def anchor(id_: str) -> str:
    """The heading of a check on its family's page."""
    return id_.replace(".", "")


def remedy(check: Check, collector: Collector) -> str:
    """What to do, with those columns filled in that are labels; `health` knows the others."""
    pieces = list(Formatter().parse(check.remedy))
    if not any(text.strip() for text, *_ in pieces):
        return f"pgcharter health --only {check.id} says what to do"
    kept = set(metrics.labels(collector))
    return "".join(
        _literal(text) + ("" if column is None else f"{{{{ $labels.{column} }}}}" if column in kept else f"<{column}>")
        for text, column, *_ in pieces
    )


def _literal(text: str) -> str:
    return text.replace("{", '{{ "{" }}')


def _of_looking(runbooks: str) -> Iterator[Alert]:
    """What is told of the looking itself."""
    url = {"runbook_url": f"{runbooks.rstrip('/')}/README.md"} if runbooks else {}

    def made(name_: str, expr: str, severity: str, lasting: float, summary: str, why: str, remedy_: str) -> Alert:
        labels = {"severity": severity, "family": OWN}
        notes = {"summary": summary, "why": why, "remedy": remedy_, **url}
        return Alert(name_, OWN, expr, severity, lasting, None, 0.0, labels, notes)

    seen = f"{metrics.PREFIX}collector_up"
    yield made(
        "PgcharterAbsent", f"absent({metrics.PREFIX}up)", "critical", 120, "nobody tells how any server is",
        "Whatever happens now, no rule sees it.", "pgcharter metrics serve, and its target in Prometheus",
    )  # fmt: skip
    yield made(
        "PgcharterBlind", f"{seen} == 0 and max_over_time({seen}[1d]) == 1", "warning", 900, "{{ $labels.collector }} is seen no more",
        "Rules over what it would tell are silent, whatever is the case.", "pgcharter health says why, under what could not be seen",
    )  # fmt: skip
    yield made(
        "PgcharterSlow", f'{metrics.PREFIX}collector_seconds{{collector=~".+"}} > 20', "warning", 900,
        "{{ $labels.collector }} takes " + '{{ $value | printf "%.4g" }} s to answer', "What it tells is old, and the server works for it.",
        "pgcharter health explain shows what it asks; [watch] skip leaves a family out",
    )  # fmt: skip


def files(made: Iterable[Alert]) -> dict[str, str]:
    """Rule files by name: a family each."""
    families: dict[str, list[Alert]] = {}
    for alert in made:
        families.setdefault(alert.family, []).append(alert)
    return {f"{family}.rules.yml": _file(family, some) for family, some in families.items()}


NOTICE = "# Written by `pgcharter metrics alerts --write`: change thresholds in [[watch.check]] of the charter, and write it anew.\n"


def _file(family: str, some: Iterable[Alert]) -> str:
    lines = [NOTICE.rstrip(), "groups:", f"  - name: {family if family == OWN else f'{OWN}.{family}'}", "    rules:"]
    for alert in some:
        lines += [f"      - alert: {alert.name}", f"        expr: {json.dumps(alert.expr)}"]
        lines += [f"        for: {duration(alert.lasting)}"] if alert.lasting else []
        for part, words in (("labels", alert.labels), ("annotations", alert.annotations)):
            lines += [f"        {part}:", *(f"          {k}: {json.dumps(v, ensure_ascii=False)}" for k, v in words.items())]
    return "\n".join(lines) + "\n"
