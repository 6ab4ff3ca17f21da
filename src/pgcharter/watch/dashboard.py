"""The registry as one dashboard of Grafana: a row for each family, a panel for each check, with its unit and thresholds. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pgcharter.watch import alerts, metrics
from pgcharter.watch.model import Check, Collector
from pgcharter.watch.registry import Family

UNITS = {"s": "s", "bytes": "bytes", "%": "percent"}
ENDINGS = {"_seconds": "s", "_bytes": "bytes", "_percent": "percent"}
WIDTH, HEIGHT, COLUMNS = 8, 7, 3
MOST = 15
"""Lines in a picture of what has many."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
Panel = dict[str, Any]


def dashboard(families: Iterable[Family], checks: Iterable[Check], collectors: Mapping[str, Collector]) -> dict[str, Any]:
    """The whole of it, to be imported."""
    checks = tuple(checks)
    panels: list[Panel] = [*_first()]
    line = HEIGHT
    for family in families:
        inside = [*(_of_check(c, collectors[c.collector]) for c in checks if c.family == family.name), *_counted(family)]
        if inside:
            panels.append(_row(family.title, line, inside))
            line += 1
    for number, panel in enumerate(_all(panels), 1):
        panel["id"] = number
    return {
        "title": "PostgreSQL: pgcharter", "uid": "pgcharter", "tags": ["postgresql", "pgcharter"], "schemaVersion": 39, "editable": True,
        "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "timezone": "", "graphTooltip": 1, "panels": panels,
        "templating": {"list": [_source(), _instance()]}, "annotations": {"list": []},
    }  # fmt: skip


def _all(panels: Iterable[Panel]) -> Iterator[Panel]:
    for panel in panels:
        yield panel
        yield from panel.get("panels", ())


def _source() -> Panel:
    return {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1}


def _instance() -> Panel:
    query = f"label_values({metrics.PREFIX}up, instance)"
    return {
        "name": "instance", "label": "Server", "type": "query", "datasource": SOURCE, "query": query, "definition": query,
        "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "sort": 1,
    }  # fmt: skip


def chosen(expr: str) -> str:
    """An expression about the servers that are chosen."""
    return re.sub(rf"\b{metrics.PREFIX}\w+", lambda m: f'{m[0]}{{instance=~"$instance"}}', expr)


def _first() -> Iterator[Panel]:
    up = {"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]}
    few = {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "orange", "value": 1}, {"color": "red", "value": 5}]}
    firing = (
        'count(ALERTS{alertname=~"Pgcharter.*", alertstate="firing", severity=~"warning|critical", instance=~"$instance"}) or vector(0)'
    )
    for place, (title, expr, thresholds) in enumerate(
        (
            ("The server answers", f"min({chosen(metrics.PREFIX + 'up')})", up),
            ("Alarms", firing, few),
            ("What could not be seen", f"count({chosen(metrics.PREFIX + 'collector_up')} == 0) or vector(0)", few),
        )
    ):
        yield {
            "type": "stat", "title": title, "datasource": SOURCE, "targets": [_target(expr, "")], "gridPos": _place(place),
            "fieldConfig": {"defaults": {"thresholds": thresholds, "color": {"mode": "thresholds"}}, "overrides": []},
            "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "none"},
        }  # fmt: skip


def _place(number: int, line: int = 0) -> dict[str, int]:
    return {"x": number % COLUMNS * WIDTH, "y": line + number // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT}


def _row(title: str, line: int, inside: list[Panel]) -> Panel:
    placed = [{**panel, "gridPos": _place(number, line + 1)} for number, panel in enumerate(inside)]
    return {"type": "row", "title": title, "collapsed": True, "gridPos": {"x": 0, "y": line, "w": 24, "h": 1}, "panels": placed}


def _target(expr: str, legend: str) -> Panel:
    return {"refId": "A", "datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True}


def _of_check(check: Check, collector: Collector) -> Panel:
    expr = chosen(alerts.judged(check, collector))
    about = f"{check.why}\n\n`pgcharter health explain {check.id}`"
    return _picture(check.title, about, expr, collector, UNITS.get(check.unit, "short"), _thresholds(check))


def _thresholds(check: Check) -> list[Panel]:
    marks = [(value, colour) for value, colour in ((check.warn, "orange"), (check.critical, "red")) if value is not None]
    if not check.below:
        return [{"color": "green", "value": None}, *({"color": colour, "value": value} for value, colour in marks)]
    marks.sort()
    colours = [*(colour for _, colour in marks), "green"]
    return [{"color": colour, "value": value} for colour, value in zip(colours, (None, *(v for v, _ in marks)), strict=True)]


def _picture(title: str, about: str, expr: str, collector: Collector, unit: str, steps: list[Panel]) -> Panel:
    legend = " ".join(f"{{{{{label}}}}}" for label in ("instance", *metrics.labels(collector)))
    return {
        "type": "timeseries", "title": title, "description": about, "datasource": SOURCE, "targets": [_target(expr, legend)],
        "fieldConfig": {
            "defaults": {
                "unit": unit, "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "line" if len(steps) > 1 else "off"}, "fillOpacity": 8, "spanNulls": False},
            },
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
    }  # fmt: skip


def _counted(family: Family) -> Iterator[Panel]:
    """Numbers that no check reads."""
    read = {c.collector for c in family.checks}
    for collector in family.collectors:
        if collector.name in read:
            continue
        for column, text in (*collector.gauges.items(), *collector.counters.items()):
            series = chosen(metrics.name(collector, column))
            expr = f"rate({series}[$__rate_interval])" if column in collector.counters else series
            many = f"topk({MOST}, {expr} > 0)" if collector.labels else expr
            unit = next((u for end, u in ENDINGS.items() if column.endswith(end)), "short")
            per_second = {"bytes": "Bps", "short": "cps", "s": "percentunit"}
            shown = per_second.get(unit, unit) if column in collector.counters else unit
            yield _picture(
                f"{collector.name}: {column}".replace("_", " "), text, many, collector, shown, [{"color": "green", "value": None}]
            )
