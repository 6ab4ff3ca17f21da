"""Rules for Prometheus and the dashboard: the real promtool says that each is quiet, fires and clears."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.watch.ground import until
from tests.watch.test_metrics import promtool

from pgcharter.measures import seconds
from pgcharter.watch import alerts, alerts_cases, dashboard, metrics, registry, settings
from pgcharter.watch.alerts import Alert
from pgcharter.watch.model import Check, Collector, Level

REGISTRY = registry.load()
MADE = alerts.alerts(REGISTRY.checks.values(), REGISTRY.collectors, "https://runbooks.example/checks/")


def written(folder: Path, made: tuple[Alert, ...]) -> list[str]:
    """Files of rules and tests; names of the tests."""
    tests = alerts_cases.files(made, REGISTRY.collectors)
    for name, text in {**alerts.files(made), **tests}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [str(folder / name) for name in tests]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool(), *words], capture_output=True, text=True, check=False, timeout=300)


def test_every_rule_is_quiet_fires_and_clears(tmp_path: Path) -> None:
    tests = written(tmp_path, MADE)
    told = {case.name for case in alerts_cases.cases(MADE, REGISTRY.collectors)}
    assert told == {f"{a.name} {a.severity}" for a in MADE}
    assert {a.check.id for a in MADE if a.check} == set(REGISTRY.checks)
    checked = run("check", "rules", *map(str, tmp_path.glob("*.rules.yml")))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = run("test", "rules", *tests)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("id_", "old", "new"),
    [
        ("connections.used", ">= 75", ">= 76"),
        ("connections.none_left", "< 1", "< 0"),
        ("archive.failing", "for: 2m", "for: 3m"),
        ("host.disk_forecast", "> 0)", "> 1e9)"),
        ("storage.checkpoints", "100 *", "10 *"),
        ("server.role", "increase(pgcharter_server_timeline_total[1h])", "pgcharter_server_timeline_total"),
    ],
)
def test_a_rule_that_is_wrong_does_not_pass(id_: str, old: str, new: str, tmp_path: Path) -> None:
    made = alerts.alerts([REGISTRY.checks[id_]], REGISTRY.collectors)
    tests = written(tmp_path, made)
    path = tmp_path / f"{id_.partition('.')[0]}.rules.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert run("test", "rules", *tests).returncode != 0


def test_growth_is_asked_of_counters_only() -> None:
    for alert in MADE:
        assert not re.search(r"(rate|increase)\(\w+(?<!_total)\[", alert.expr), alert.expr
        assert not re.search(r"deriv\(\w+_total\[", alert.expr), alert.expr
        if alert.check and not alert.check.over:
            assert "_total" not in alert.expr, alert.expr


def test_what_comes_and_goes_is_no_label() -> None:
    for alert in MADE:
        for text in alert.annotations.values():
            assert not re.search(r"\$labels\.(pid|blocker|gid|holder)", text)
            assert "{}" not in text


def test_the_charters_thresholds_are_those_of_the_rules() -> None:
    section = settings.WatchSection(
        check=(
            settings.CheckTable("connections.used", warn=50, critical=60, level="warning"),
            settings.CheckTable("locks.waiting", off=True, reason="a test"),
        )
    )
    checks = settings.effective(REGISTRY.checks.values(), section, date(2026, 1, 1))
    made = {(a.name, a.severity): a for a in alerts.alerts(checks, REGISTRY.collectors)}
    assert made["PgcharterConnectionsUsed", "warning"].expr == "pgcharter_connections_used_percent >= 50"
    assert ("PgcharterConnectionsUsed", "critical") not in made
    assert "PgcharterLocksWaiting" not in {name for name, _ in made}


def test_severity_is_what_a_check_can_be() -> None:
    check = replace(REGISTRY.checks["connections.used"], level="info")
    assert alerts.levels(check) == {Level.INFO: 75}
    assert alerts.levels(replace(check, level="critical")) == {Level.WARNING: 75, Level.CRITICAL: 90}


def test_an_odd_remedy_is_no_template_of_prometheus() -> None:
    check = replace(REGISTRY.checks["connections.limit"], remedy="SELECT '{{{{x}}}}', {name}, {used}")
    assert alerts.remedy(check, REGISTRY.collectors["connection_limits"]) == (
        'SELECT \'{{ "{" }}{{ "{" }}x}}\', {{ $labels.name }}, <used>'
    )


@pytest.mark.parametrize(("value", "text"), [(0, "0s"), (90, "1m30s"), (3600, "1h"), (86400 * 14, "14d"), (5400, "1h30m")])
def test_durations(value: float, text: str) -> None:
    assert alerts.duration(value) == text
    assert not value or sum(seconds(f"{n}{u if u != 'm' else 'min'}") for n, u in re.findall(r"(\d+)([dhms])", text)) == value


def test_every_picture_is_understood_by_promtool(tmp_path: Path) -> None:
    board = dashboard.dashboard(REGISTRY.families, REGISTRY.checks.values(), REGISTRY.collectors)
    panels = [p for row in board["panels"] for p in (row, *row.get("panels", ()))]
    ids = [p["id"] for p in panels]
    assert len(set(ids)) == len(ids)
    targets = [t["expr"] for p in panels for t in p.get("targets", ())]
    assert len(targets) > len(REGISTRY.checks)
    rules: list[dict[str, Any]] = [
        {"record": f"x{n}", "expr": e.replace("$instance", ".*").replace("$__rate_interval", "5m")} for n, e in enumerate(targets)
    ]
    assert all("$" not in r["expr"] for r in rules)
    path = tmp_path / "dashboard.rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    done = run("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_thresholds_of_pictures() -> None:
    def steps(check: Check) -> list[Any]:
        return [(s["value"], s["color"]) for s in dashboard._thresholds(check)]

    assert steps(REGISTRY.checks["connections.used"]) == [(None, "green"), (75, "orange"), (90, "red")]
    assert steps(REGISTRY.checks["host.memory"]) == [(None, "red"), (5, "orange"), (10, "green")]
    assert steps(REGISTRY.checks["connections.none_left"]) == [(None, "red"), (1, "green")]


def test_the_command_writes_and_tidies_up(tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text('[[watch.check]]\nid = "connections.used"\nwarn = 42\n[watch]\nskip = ["pooler"]\n')
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "gone.rules.yml").write_text(alerts.NOTICE + "groups: []\n")
    (tmp_path / "rules" / "own.rules.yml").write_text("groups: []\n")
    done = pgcharter(tmp_path, "metrics", "alerts", "--write", "rules", "--runbooks", "https://runbooks.example/checks")
    assert done.returncode == 0, done.stderr
    names = {p.name for p in (tmp_path / "rules").iterdir()}
    assert {"connections.rules.yml", "connections.test.yml", "own.rules.yml", "pgcharter.rules.yml"} <= names
    assert not names & {"gone.rules.yml", "pooler.rules.yml"}
    text = (tmp_path / "rules" / "connections.rules.yml").read_text()
    assert "pgcharter_connections_used_percent >= 42" in text
    assert "https://runbooks.example/checks/connections.md#connectionsused" in text
    assert run("test", "rules", str(tmp_path / "rules" / "connections.test.yml")).returncode == 0
    board = pgcharter(tmp_path, "metrics", "dashboard")
    assert json.loads(board.stdout)["uid"] == "pgcharter"


def pgcharter(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pgcharter", *words], cwd=folder, capture_output=True, text=True, check=False)


def test_names_of_series_are_exported() -> None:
    """What rules ask for is what is told, whatever is rolled up."""
    shapes = metrics.shapes(REGISTRY.collectors.values(), REGISTRY.checks.values())
    from pgcharter.watch.model import Facts

    told = {s.name for shape in shapes.values() for s in metrics.series(shape, Facts("x"))}
    own = {f"{metrics.PREFIX}{n}" for n in ("up", "collector_up", "collector_seconds")}
    for alert in MADE:
        assert set(re.findall(r"pgcharter_\w+", alert.expr)) <= told | own, alert.expr
    assert isinstance(next(iter(REGISTRY.collectors.values())), Collector)


def test_real_faults_are_told_by_a_real_prometheus() -> None:
    """Some of them, at the same time; `python -m tests.watch.alerts_live` makes all, one by one."""
    from tests.watch import alerts_live

    faults = [next(f for f in alerts_live.ALL if f.check == check) for check in alerts_live.FEW]
    with alerts_live.watched(faults) as (ground, prometheus, rules):
        names = {a.name for some in rules for a in some}
        wanted = {(a.name, a.severity) for f, some in zip(faults, rules, strict=True) for a in some if a.severity == f.level.word}
        assert len(wanted) == len(faults)
        assert not {name for name, _ in prometheus.firing()} & names
        with ExitStack() as stack:
            for fault in faults:
                stack.enter_context(fault.make(ground))
            until(lambda: wanted <= prometheus.firing(), 60)
        until(lambda: not {name for name, _ in prometheus.firing()} & names, 60)
