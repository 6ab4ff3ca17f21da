"""Metrics: what is exported of real servers, pages over HTTP, a server that goes away and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from tests.conftest import ServerFactory, every_major, lacking
from tests.watch.ground import until

from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.watch import metrics, metrics_http, registry
from pgcharter.watch.collecting import Target
from pgcharter.watch.metrics_asking import HELD, Exporter, needed
from pgcharter.watch.model import KEEP, Collector, Facts

REGISTRY = registry.load()
CHECKS = tuple(REGISTRY.checks.values())


def promtool() -> str:
    """The real promtool."""
    found = os.environ.get("PGCHARTER_PROMTOOL")
    return found or lacking("promtool is not here: set PGCHARTER_PROMTOOL")


def exporter(dsn: str, **more: Any) -> Exporter:
    return Exporter(Target(dsn), needed(CHECKS, REGISTRY), CHECKS, **more)


@contextmanager
def pages(made: Exporter) -> Iterator[str]:
    """Both pages, on a free port."""
    with metrics_http.listening(made, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def values(text: str) -> dict[str, float]:
    """Samples by name and labels as written."""
    pairs = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


@every_major
def test_every_version_tells_what_promtool_understands(major: int, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('CREATE TABLE "Söme "" \\ odd" (id int)')
        conn.execute('INSERT INTO "Söme "" \\ odd" SELECT generate_series(1, 5)')
        conn.execute("SELECT pg_stat_force_next_flush()")
    with exporter(database) as made:
        text = metrics_http.text(made)
    found = values(text)
    assert found["pgcharter_up"] == 1
    assert {n: v for n, v in found.items() if n.startswith("pgcharter_collector_up") and not v} == {}
    assert [v for n, v in found.items() if n.startswith("pgcharter_tables_inserted_rows_total") and "Söme" in n] == [5]
    done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert major


def test_partitions_count_for_their_table(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE log (at int) PARTITION BY RANGE (at)")
        conn.execute("CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (at)")
        conn.execute("CREATE TABLE log_1a PARTITION OF log_1 FOR VALUES FROM (0) TO (5)")
        conn.execute("CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20)")
        conn.execute("CREATE INDEX ON log (at)")
        conn.execute("INSERT INTO log VALUES (1), (2), (11)")
        conn.execute("SELECT pg_stat_force_next_flush()")
    with exporter(database) as made:
        found = values(metrics_http.text(made))
    told = {n: v for n, v in found.items() if n.startswith("pgcharter_tables_inserted_rows_total") and "log" in n}
    assert list(told.values()) == [3]
    assert 'relation="public.log"' in next(iter(told))
    assert len([n for n in found if n.startswith("pgcharter_table_sizes_total_bytes") and "log" in n]) == 1


def test_whether_it_answers_is_told_whatever_is_left_out() -> None:
    names = {c.name for c in needed([], REGISTRY)}
    assert "reach" in names
    assert "locks" not in names
    assert "database" in names


def test_sessions_are_rolled_up() -> None:
    collector = Collector("one", labels=("pid", "kind"), gauges={"age_seconds": "x", "left": "y"}, counters={"done": "z"})
    shape = metrics.Shape(collector, frozenset({"left"}))
    rows = (
        {"pid": "1", "kind": "a", "age_seconds": 3, "left": 8, "done": 2},
        {"pid": "2", "kind": "a", "age_seconds": None, "left": 5, "done": 4},
    )
    made = {s.name: s for s in metrics.series(shape, Facts("one", rows))}
    assert made["pgcharter_one_age_seconds"].values == {("a",): 3.0}
    assert made["pgcharter_one_left"].values == {("a",): 5.0}
    assert made["pgcharter_one_done_total"].values == {("a",): 6.0}
    assert made["pgcharter_one_left"].labels == ("kind",)


def test_statements_are_told_without_their_texts(server: ServerFactory) -> None:
    one = server(settings={"shared_preload_libraries": "pg_stat_statements"})
    with psycopg.connect(one.dsn(), autocommit=True) as conn:
        with exporter(one.dsn()) as made:
            found = values(metrics_http.text(made))
            assert not [n for n in found if "statement" in n and "settings" not in n]
        conn.execute('CREATE SCHEMA "Odd ones"; CREATE EXTENSION pg_stat_statements SCHEMA "Odd ones"')
        for _ in range(3):
            conn.execute("SELECT 'secret', count(*) FROM pg_class")
        with exporter(one.dsn()) as made:
            text = metrics_http.text(made)
    assert "secret" not in text
    found = values(text)
    assert 3 in [v for n, v in found.items() if n.startswith("pgcharter_statements_calls_total")]
    assert found["pgcharter_statement_store_forgotten_total"] == 0


def test_names_are_those_of_the_registry_and_each_is_told_once() -> None:
    made = [metrics.name(REGISTRY.collectors[m.collector], m.column) for m in REGISTRY.metrics]
    assert made == [f"{metrics.PREFIX}{m.name}" for m in REGISTRY.metrics]
    guards = [s.name for shape in metrics.shapes(REGISTRY.collectors.values(), CHECKS).values() for s in metrics.series(shape, Facts("x"))]
    assert len(set(guards)) == len(guards)


def test_many_scrapes_at_once_ask_once(database: str) -> None:
    with exporter(database) as made, pages(made) as url, psycopg.connect(database, autocommit=True) as conn:
        with ThreadPoolExecutor(12) as threads:
            texts = list(threads.map(lambda _: get(f"{url}/metrics")[1], range(24)))
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgcharter health' AND datname = current_database()"
        )
        assert (row.fetchone() or [9])[0] <= 3
        assert all("pgcharter_up 1.0" in text for text in texts)
        seconds = {v for t in texts for n, v in values(t).items() if n == 'pgcharter_collector_seconds{collector="tables"}'}
        assert len(seconds) == 1


def test_healthz_tells_what_is_critical(database: str) -> None:
    with exporter(database) as made, pages(made) as url:
        status, text = get(f"{url}/healthz?only=server.reachable,locks")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        status, text = get(f"{url}/healthz")
        assert (status, json.loads(text)["status"]) == (503, "critical")  # fsync is off on servers of tests
        assert "settings.fsync" in [r["check"] for r in json.loads(text)["readings"]]
        assert get(f"{url}/healthz?only=lokcs")[0] == 400
        assert get(f"{url}/elsewhere")[0] == 404
        assert get(f"{url}/")[0] == 200


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_server_goes_away_and_comes_back(server: ServerFactory) -> None:
    one = server()
    clock = _Clock()
    with exporter(one.dsn(), clock=clock) as made:
        before = values(metrics_http.text(made))
        assert before["pgcharter_up"] == 1
        assert one.process
        lifecycle.end(one.process)
        clock.now += 6
        gone = values(metrics_http.text(made))
        assert gone["pgcharter_up"] == 0
        assert gone["pgcharter_reach_down"] == 1
        assert gone["pgcharter_connections_usable"] == before["pgcharter_connections_usable"]
        assert gone['pgcharter_collector_up{collector="connections"}'] == 0
        assert gone['pgcharter_collector_age_seconds{collector="connections"}'] == 6
        clock.now += HELD * KEEP["medium"]
        later = values(metrics_http.text(made))
        assert "pgcharter_connections_usable" not in later
        assert later['pgcharter_collector_errors_total{collector="connections"}'] == 2
        _again(one)
        clock.now += 6
        back = values(metrics_http.text(made))
        assert back["pgcharter_up"] == 1
        assert back["pgcharter_connections_usable"] == before["pgcharter_connections_usable"]
        assert back['pgcharter_collector_up{collector="tables"}'] == 1


def _again(server: Server) -> None:
    lifecycle.launch(server, {**lifecycle.EPHEMERAL, "listen_addresses": ""})


def test_a_server_that_hangs_costs_no_scrape(server: ServerFactory) -> None:
    import signal

    one = server()
    clock = _Clock()
    with exporter(one.dsn(), clock=clock) as made, pages(made) as url:
        assert "pgcharter_up 1.0" in get(f"{url}/metrics")[1]
        assert one.process
        with psycopg.connect(one.dsn(), autocommit=True) as conn:
            pids = [r[0] for r in conn.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgcharter health'")]
        for pid in (one.process.pid, *pids):
            os.kill(pid, signal.SIGSTOP)
        clock.now += 6
        try:
            text = get(f"{url}/metrics", **{"X-Prometheus-Scrape-Timeout-Seconds": "0.2"})[1]
            assert "pgcharter_up 0.0" in text
            assert "pgcharter_connections_usable" in text
        finally:
            for pid in (*pids, one.process.pid):
                os.kill(pid, signal.SIGCONT)
        until(lambda: "pgcharter_up 1.0" in get(f"{url}/metrics")[1])


def test_a_target_that_makes_no_sense_is_a_gap() -> None:
    with exporter("this is no address") as made:
        found = values(metrics_http.text(made))
        assert found["pgcharter_up"] == 0
        assert found['pgcharter_collector_up{collector="connections"}'] == 0
        assert not made.reached
        assert made.health().gaps


def test_pg_monitor_is_enough(database: str) -> None:
    """What it is not enough for is told as not seen, and nothing else is missing."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE ROLE metrics_watcher LOGIN PASSWORD 'x' IN ROLE pg_monitor")
        conn.execute("GRANT TEMPORARY ON DATABASE " + conn.info.dbname + " TO metrics_watcher")  # type: ignore[arg-type]
        try:
            dsn = psycopg.conninfo.make_conninfo(database, user="metrics_watcher", password="x")
            with exporter(dsn) as made:
                found = values(metrics_http.text(made))
            blind = {n.split('"')[1] for n, v in found.items() if n.startswith("pgcharter_collector_up{") and not v}
            assert all(REGISTRY.collectors[name].rights == "superuser" or REGISTRY.collectors[name].grant for name in blind), blind
            assert found["pgcharter_up"] == 1
            assert "pgcharter_connections_used" in found
        finally:
            conn.execute("DROP OWNED BY metrics_watcher")
            conn.execute("DROP ROLE metrics_watcher")


def test_the_command_serves_until_it_is_ended(database: str) -> None:
    words = [sys.executable, "-m", "pgcharter", "metrics", "serve", "--port", "0", "--on", database]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            url = process.stderr.readline().split("/metrics")[0]
            assert "pgcharter_up 1.0" in get(f"{url}/metrics", Accept="application/openmetrics-text; version=1.0.0")[1]
        finally:
            process.terminate()
        assert process.wait(20) == 143


def test_the_command_prints_and_says_by_its_end_that_nobody_answers(database: str) -> None:
    def run(dsn: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pgcharter", "metrics", "print", "--on", dsn], capture_output=True, text=True, check=False
        )

    assert run(database).returncode == 0
    nobody = run("host=127.0.0.1 port=1 dbname=x user=y")
    assert nobody.returncode == 3
    assert "pgcharter_up 0.0" in nobody.stdout


def test_a_port_that_is_taken_is_told(database: str) -> None:
    from pgcharter.errors import PgcharterError

    with exporter(database) as made, pages(made) as url, pytest.raises(PgcharterError, match=r"nobody can listen on 127\.0\.0\.1"):
        metrics_http.listening(made, "127.0.0.1", int(url.rpartition(":")[2]))
