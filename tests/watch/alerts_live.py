"""Faults made on a real server, seen by a real Prometheus through our exporter: `python -m tests.watch.alerts_live [check …]`. Minutes.

For each fault: its alarm is quiet before, fires while it is so, and clears afterwards. Thresholds are those of the faults' own tests, looks
back are seconds instead of hours, and answers are kept for moments: what is proven here is the way from the server to the alarm.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from tests.conftest import installation, lacking
from tests.watch.faults import FAULTS
from tests.watch.ground import Fault, Ground, until
from tests.watch.test_health_faults import QUIET

from pgcharter.servers import account, lifecycle
from pgcharter.watch import alerts, collecting, metrics_http, model, registry
from pgcharter.watch.collecting import Target
from pgcharter.watch.metrics_asking import Exporter, needed
from pgcharter.watch.model import Check, Level

SETTINGS: dict[str, lifecycle.Setting] = {**QUIET, "max_connections": 40, "archive_mode": True, "archive_command": "true"}
REGISTRY = registry.load()
FEW = ("transactions.long", "slots.inactive", "objects.invalid_index", "archive.failing")
"""Those that the suite makes."""
LEFT_OUT = {
    "server.reachable": "the fault is another address to look at",
    "server.clock": "the fault is another time here",
    "server.version_end": "the fault is another time here",
    "server.restarted": "the fault is another time here",
    "connections.used": "our own sessions count too",
    "connections.none_left": "our own sessions count too",
    "connections.idle": "our own sessions count too",
    "storage.cache": "our own sessions have read that database already",
    "settings.pending": "it names the number of connections of another server",
}


def _archive(ground: Ground) -> Iterator[None]:
    with ground.setting(archive_command="false"):
        ground.run("SELECT pg_logical_emit_message(true, 'x', 'x')", "SELECT pg_switch_wal()")
        yield
    ground.run("SELECT pg_logical_emit_message(true, 'x', 'x')", "SELECT pg_switch_wal()")


ALL = [Fault("archive.failing", Level.CRITICAL, contextmanager(_archive), {}), *FAULTS]


class Prometheus:
    """A real one, with a private folder."""

    def __init__(self, folder: Path, target: str, rules: str) -> None:
        program = os.environ.get("PGCHARTER_PROMETHEUS") or lacking("Prometheus is not here: set PGCHARTER_PROMETHEUS")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "live.rules.yml").write_text(rules)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"},
            "rule_files": ["live.rules.yml"],
            "scrape_configs": [{"job_name": "pgcharter", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        words = [
            program,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        with (folder / "log").open("wb") as log:
            options = {**account.current().options(), "cwd": folder}
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        self.folder = folder

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def ready(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return bool(self.get("/api/v1/query?query=pgcharter_up==1")["result"])
        except OSError:
            return False

    def firing(self) -> set[tuple[str, str]]:
        """Names and severities of alarms."""
        found = self.get("/api/v1/alerts")["alerts"]
        return {(a["labels"]["alertname"], a["labels"]["severity"]) for a in found if a["state"] == "firing"}


def _checks(faults: Iterable[Fault]) -> list[Check]:
    """The check of each fault, told at once, its look back a few seconds."""
    made = []
    for fault in faults:
        one = replace(REGISTRY.checks[fault.check], **fault.changes)
        made.append(replace(one, lasting="0s", over="20s" if one.over else ""))
    return made


@contextmanager
def watched(faults: list[Fault], major: int | None = None) -> Iterator[tuple[Ground, Prometheus, list[list[alerts.Alert]]]]:
    """A server, who looks at it, and for each fault its rules under a name of their own."""
    checks = _checks(faults)
    rules = [
        [replace(a, name=f"{a.name}{number}") for a in alerts.alerts([check], REGISTRY.collectors) if a.check]
        for number, check in enumerate(checks)
    ]
    text = "".join(alerts.files(a for some in rules for a in some).values())
    groups = "groups:\n" + "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("groups:", "#")))
    before, age = dict(model.KEEP), collecting.AGE
    collecting.AGE = 2.0
    keep: Any = model.KEEP
    keep.update(dict.fromkeys(before, 0.2))
    exporter = None
    try:
        with (
            lifecycle.start_ephemeral(installation(major), settings=SETTINGS) as server,
            psycopg.connect(server.dsn(), autocommit=True) as admin,
            tempfile.TemporaryDirectory() as folder,
            Exporter(Target(server.dsn()), needed(checks, REGISTRY), checks) as exporter,
            metrics_http.listening(exporter, "127.0.0.1", 0) as pages,
        ):
            admin.execute("CREATE DATABASE cold TEMPLATE template0 STRATEGY file_copy")
            threading.Thread(target=pages.serve_forever, daemon=True).start()
            Path(folder).chmod(0o777)
            prometheus = Prometheus(Path(folder), f"127.0.0.1:{pages.server_address[1]}", groups)
            try:
                until(prometheus.ready, 60)
                yield Ground(server, admin), prometheus, rules
            finally:
                prometheus.stop()
                pages.shutdown()
    finally:
        keep.update(before)
        collecting.AGE = age


def proven(ground: Ground, prometheus: Prometheus, fault: Fault, rules: list[alerts.Alert], wait: float = 60.0) -> float:
    """Quiet, told, quiet. Returns the seconds until it was told."""
    wanted = {(a.name, a.severity) for a in rules if a.severity == fault.level.word}
    names = {a.name for a in rules}
    assert wanted, rules
    if fault.quiet_before:
        assert not {name for name, _ in prometheus.firing()} & names, prometheus.firing()
    with fault.make(ground):
        began, told = time.monotonic(), False
        while not told and time.monotonic() - began < wait:
            told = bool(wanted & prometheus.firing())
            time.sleep(0.05)
        took = time.monotonic() - began
    assert told, f"it was not told: {[a.expr for a in rules]}"
    if fault.quiet_after:
        until(lambda: not {name for name, _ in prometheus.firing()} & names, wait)
    return took


def main(words: list[str]) -> int:
    """Make all faults, or those of some checks; say what came of each."""
    faults = [f for f in ALL if (not words or f.check in words) and f.check not in LEFT_OUT and (not f.majors or 18 in f.majors)]
    failed, times = 0, []
    with watched(faults) as (ground, prometheus, rules):
        for fault, some in zip(faults, rules, strict=True):
            try:
                took = proven(ground, prometheus, fault, some)
            except (AssertionError, psycopg.Error, OSError) as error:
                failed += 1
                print(f"{fault.check:<32} FAILED: {type(error).__name__} {str(error)[:200]}", flush=True)  # noqa: T201
            else:
                times.append(took)
                print(f"{fault.check:<32} told after {took:5.1f} s, quiet before and after", flush=True)  # noqa: T201
    print(f"{len(times)} of {len(faults)} faults were told" + (f", median {statistics.median(times):.1f} s" if times else ""))  # noqa: T201
    for check, why in LEFT_OUT.items():
        print(f"{check:<32} left out: {why}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
