"""Pages of the checks: the runbook that alarms lead to, and the metrics, one page for each family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pgcharter.measures import seconds
from pgcharter.watch import alerts, metrics, registry
from pgcharter.watch.model import KEEP, LIMIT, Check, Collector
from pgcharter.watch.registry import Family


def pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every page with its text."""
    known = registry.load()
    for family in known.families:
        yield folder / f"{family.name}.md", _family(family)
    yield folder / "README.md", _index(known.families)


def _index(families: tuple[Family, ...]) -> str:
    parts = [
        "# Checks, alarms and metrics\n",
        "`pgcharter health explain CHECK` shows the same in the terminal, with the charter's thresholds.\n",
    ]
    rows = [
        f"| [{f.name}]({f.name}.md) | {_cell(f.title)} | {len(f.checks)} | {sum(len(c.gauges) + len(c.counters) for c in f.collectors)} |"
        for f in families
    ]
    parts.append("| family | about | checks | metrics |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    parts.append("## Alarms about the looking itself\n")
    for alert in alerts.alerts((), {}):
        notes = alert.annotations
        lasting = alerts.duration(alert.lasting)
        parts.append(f"**{alert.name}** ({alert.severity}): `{alert.expr}` for {lasting}. {notes['why']} To do: {notes['remedy']}.\n")
    return "\n".join(parts)


def _family(family: Family) -> str:
    collectors = {c.name: c for c in family.collectors}
    parts = [f"# {family.title}\n"]
    parts += [_check(check, collectors[check.collector]) for check in family.checks]
    rows = [row for collector in family.collectors for row in _metrics(collector)]
    parts.append("## Metrics\n\n| metric | is | labels | asked |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _check(check: Check, collector: Collector) -> str:
    side = "below" if check.below else "from"
    unit = f" {check.unit}" if check.unit else ""
    levels = ", ".join(f"{level.word} {side} {alerts.number(threshold)}{unit}" for level, threshold in alerts.levels(check).items())
    lasting = f", when it lasts {check.lasting}" if alerts.duration(seconds(check.lasting)) != "0s" else ""
    over = f" over {check.over}" if check.over else ""
    return (
        f"## {check.id}\n\nExpected: {check.title}. Judged{over}: {levels}{lasting}.\n\n{check.why}\n\n"
        f"To do: `{check.remedy}`\n\nAlarm `{alerts.name(check)}` over `{alerts.judged(check, collector)}`.\n"
    )


def _metrics(collector: Collector) -> Iterator[str]:
    labels = ", ".join(f"`{label}`" for label in metrics.labels(collector))
    asked = f"every {KEEP[collector.cost]:.0f} s, for {LIMIT[collector.cost]:.0f} s at most"
    for column, text in (*collector.gauges.items(), *collector.counters.items()):
        yield f"| `{metrics.name(collector, column)}` | {_cell(text)} | {labels} | {asked} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
