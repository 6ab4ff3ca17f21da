"""Health as text, as JSON and as a line for Nagios."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from pgcharter.render.page import Page, Screen, Styled
from pgcharter.render.phrases import plural
from pgcharter.watch import registry
from pgcharter.watch.judging import written
from pgcharter.watch.model import Check, Health, Level, Reading

_STYLES = {Level.CRITICAL: "error", Level.WARNING: "warning", Level.INFO: "info", Level.OK: "good"}
_MARKS = {Level.CRITICAL: "✖ ", Level.WARNING: "▲ ", Level.INFO: "• ", Level.OK: "✔ "}
_FORMS = {"s": "time", "bytes": "bytes", "xids": "count"}
_MANY = 6
"""From so many on, checks that could not be seen are told by their families."""


def page(screen: Screen, called: str, checks: Sequence[Check], found: Health, *, everything: bool) -> Page:
    """What is wrong, the worst first, each with its remedy; how much is fine; what could not be seen."""
    made = Page(screen)
    made.flow(Styled(called, "strong"), f" · {_summary(found)} · {found.seconds:.2f} s")
    shown = [r for r in found.readings if everything or r.level > Level.OK]
    width = max((len(r.check.id) for r in shown), default=0) + 2
    for level in sorted({r.level for r in shown}, reverse=True):
        made.blank()
        for reading in (r for r in shown if r.level is level):
            _write(made, reading, width)
    made.blank()
    fine = len({r.check.id for r in found.readings if r.level is Level.OK})
    elsewhere = len(_not_here(checks, found))
    rest = f", {elsewhere} {'is' if elsewhere == 1 else 'are'} about what is not here" if elsewhere else ""
    made.flow(Styled("✔ ", "good"), f"{plural(fine, 'check')} of {len(checks)} {'is' if fine == 1 else 'are'} fine{rest}")
    for why, ids in _gaps(found):
        made.flow(Styled("not seen: ", "dim"), Styled(_ids(ids), "strong"), Styled(f": {why}", "dim"), hanging=4)
    return made


def _not_here(checks: Sequence[Check], found: Health) -> list[str]:
    """Checks that there was nothing to ask for: of standbys on a primary, of tables that are not there."""
    told = {r.check.id for r in found.readings} | {g.what for g in found.gaps}
    return [c.id for c in checks if c.id not in told]


def _write(made: Page, reading: Reading, width: int) -> None:
    mark = Styled(_MARKS[reading.level], _STYLES[reading.level])
    since = f" (since {reading.since:%Y-%m-%d %H:%M} UTC)" if reading.since and reading.level > Level.INFO else ""
    where = f" [{reading.labels['database']}]" if "database" in reading.labels and "{database}" not in reading.check.says else ""
    name = Styled(reading.check.id.ljust(width), "strong")
    made.flow(mark, name, reading.says, Styled(where, "dim"), Styled(since, "dim"), hanging=width + 2)
    if reading.remedy:
        made.flow(Styled("→ ", "dim"), Styled(reading.remedy, "command"), indent=4, hanging=2)


def _summary(found: Health) -> str:
    counted = [(sum(r.level is level for r in found.readings), level) for level in (Level.CRITICAL, Level.WARNING, Level.INFO)]
    words = {Level.CRITICAL: "critical", Level.WARNING: "warning", Level.INFO: "to know"}
    return ", ".join(f"{n} {words[level]}" for n, level in counted if n) or "all is fine"


def _gaps(found: Health) -> list[tuple[str, list[str]]]:
    grouped: dict[str, list[str]] = {}
    for gap in found.gaps:
        grouped.setdefault(gap.why, []).append(gap.what)
    return list(grouped.items())


def _ids(ids: list[str]) -> str:
    if len(ids) < _MANY:
        return ", ".join(ids)
    families = dict.fromkeys(i.partition(".")[0] for i in ids)
    return f"{len(ids)} checks of {', '.join(families)}"


def data(called: str, checks: Sequence[Check], found: Health) -> dict[str, Any]:
    """The document of `--format json`."""
    return {
        "format": "pgcharter-health",
        "version": 1,
        "database": called,
        "worst": found.worst.word,
        "checks": len(checks),
        "seconds": round(found.seconds, 4),
        "readings": [_reading(r) for r in found.readings],
        "not_seen": [{"check": g.what, "why": g.why} for g in found.gaps],
        "not_here": _not_here(checks, found),
    }


def _reading(reading: Reading) -> dict[str, Any]:
    value = reading.value if reading.value is not None and math.isfinite(reading.value) else None
    return {
        "check": reading.check.id, "level": reading.level.word, "value": value, "unit": reading.check.unit, "says": reading.says,
        "labels": dict(reading.labels), "remedy": reading.remedy, "since": reading.since.isoformat() if reading.since else None,
    }  # fmt: skip


def nagios(found: Health) -> tuple[str, int]:
    """One line of a plugin, and its exit code: unknown only where nothing at all could be seen."""
    bad = [r for r in found.readings if r.level >= Level.WARNING]
    if not found.readings:
        why = found.gaps[0].why if found.gaps else "there was nothing to look at"
        return f"PGCHARTER UNKNOWN - {_one_line(why)}", 3
    word, code = {Level.CRITICAL: ("CRITICAL", 2), Level.WARNING: ("WARNING", 1)}.get(found.worst, ("OK", 0))
    said = "; ".join(f"{r.check.id}: {r.says}" for r in bad[:5]) or f"{len(found.readings)} readings are fine"
    more = f"; {len(bad) - 5} more" if len(bad) > 5 else ""
    unseen = f"; {len(found.gaps)} not seen" if found.gaps else ""
    return f"PGCHARTER {word} - {_one_line(said + more + unseen)}", code


def _one_line(text: str) -> str:
    """Text without what ends a line of a plugin, or begins its figures."""
    from pgcharter.render.page import clean

    return clean(text).replace("|", "/")


def explained(check: Check) -> dict[str, Any]:
    """One check as JSON."""
    collector = registry.load().collectors[check.collector]
    return {
        "format": "pgcharter-health-check", "version": 1, **asdict(check), "scope": collector.scope, "cost": collector.cost,
        "rights": collector.rights, "extension": collector.extension, "since": collector.since, "sql": registry.sql(collector, 18),
    }  # fmt: skip


def explanation(screen: Screen, check: Check) -> Page:
    """One check for people."""
    collector = registry.load().collectors[check.collector]
    made = Page(screen)
    made.flow(Styled(check.id, "strong"), f": {check.title}")
    made.blank()
    made.flow(check.why)
    made.blank()
    for name, text in _facts(check):
        made.flow(Styled(f"{name}:".ljust(12), "dim"), text, hanging=12)
    made.flow(Styled("asked:".ljust(12), "dim"), f"{_SCOPES[collector.scope]}, {collector.cost}", *_needs(check), hanging=12)
    made.flow(Styled("remedy:".ljust(12), "dim"), Styled(check.remedy, "command"), hanging=12)
    made.flow(Styled("source:".ljust(12), "dim"), check.source, hanging=12)
    if sql := registry.sql(collector, 18):
        made.blank()
        for line in sql.splitlines():
            made.line(Styled(line, "code"), indent=2)
    return made


_SCOPES = {
    "server": "once for a server", "database": "in each database", "host": "of the machine", "pooler": "of PgBouncer",
    "backups": "of the repository of backups",
}  # fmt: skip


def _needs(check: Check) -> Iterable[str]:
    collector = registry.load().collectors[check.collector]
    for word, of in (("needs", collector.rights), ("needs extension", collector.extension), ("reads pgcharter.", collector.table)):
        if of:
            yield f"; {word}{'' if word.endswith('.') else ' '}{of}"


def _facts(check: Check) -> Iterable[tuple[str, str]]:
    yield "warning", _threshold(check, check.warn)
    yield "critical", _threshold(check, check.critical)
    if check.level != "critical":
        yield "at most", check.level
    if check.over:
        yield "over", f"{check.over}, which takes a second look"
    if check.lasting != "0s":
        yield "lasting", f"counts when it was so for {check.lasting}"
    yield "says", check.says


def _threshold(check: Check, value: float | None) -> str:
    if value is None:
        return "–"
    number = written(f"{{v:{_FORMS[check.unit]}}}" if check.unit in _FORMS else "{v}", {"v": float(value)})
    return f"{'below' if check.below else 'from'} {number}{'' if check.unit in _FORMS else f' {check.unit}'.rstrip()}"


def table(screen: Screen, checks: Sequence[Check]) -> Page:
    """All checks by family, with their thresholds."""
    made = Page(screen)
    titles = {f.name: f.title for f in registry.load().families}
    width = max((len(c.id) for c in checks), default=0) + 2
    for family in dict.fromkeys(c.family for c in checks):
        made.blank()
        made.line(Styled(titles[family], "heading"))
        for check in (c for c in checks if c.family == family):
            limits = " / ".join((_threshold(check, check.warn), _threshold(check, check.critical)))
            made.flow(Styled(check.id.ljust(width), "strong"), check.title, Styled(f"  {limits}", "dim"), hanging=width)
    return made
