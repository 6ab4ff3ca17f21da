"""Reconciling beside the worker and beside writers: no false difference, no lost update; and by the command line."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.stream.copying import Copies, own_tables, wait

from pgcharter.policy.sync_settings import MappingTable
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream import lane, source
from pgcharter.stream.mapper import Target
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.reconcile import Side
from pgcharter.stream.reconcile_model import Options
from pgcharter.stream.reconcile_rounds import compare

ORDERS = MappingTable("one", "public.orders")


class PostgresqlCopies(Copies):
    """Copies in another database of the same server."""

    copy = ""

    def make(self, sink: str) -> Target:
        return Target(sink, PostgresqlSink(self.copy, name=sink), Mappings([ORDERS], lambda: source.open_source(self.dsn)))

    def rows(self, dsn: str) -> Any:
        with psycopg.connect(dsn) as conn:
            return conn.execute("SELECT id, body, n FROM orders ORDER BY id").fetchall()


def _writer(dsn: str, stop: threading.Event, seed: int, rows: int) -> Callable[[], None]:
    """Inserts, updates and deletes of few keys, some in transactions that stay open and some that are rolled back."""
    draw = random.Random(seed)

    def write() -> None:
        with psycopg.connect(dsn) as conn:
            while not stop.is_set():
                for _ in range(draw.randint(1, 4)):
                    key = draw.randint(1, rows)
                    conn.execute(draw.choice(_WRITES).encode(), {"id": key, "body": f"{seed}-{draw.random()}"})
                    stop.wait(draw.choice((0, 0, 0.01)))
                conn.rollback() if draw.random() < 0.1 else conn.commit()

    def again() -> None:
        while not stop.is_set():
            try:
                write()
            except psycopg.errors.DeadlockDetected:
                continue

    return again


_WRITES = (
    "INSERT INTO orders VALUES (%(id)s, %(body)s, 0) ON CONFLICT (id) DO UPDATE SET body = excluded.body, n = orders.n + 1",
    "UPDATE orders SET n = n + 1, body = %(body)s WHERE id = %(id)s",
    "DELETE FROM orders WHERE id = %(id)s",
)


def test_beside_the_stream(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE orders (id int PRIMARY KEY, body text, n int)")
        conn.execute("INSERT INTO orders SELECT i, 'a', 0 FROM generate_series(1, 2000) i")
        conn.execute("CREATE DATABASE reconcile_stream_copy")
    copies = PostgresqlCopies(database, tmp_path, ("public.orders",))
    copies.copy = psycopg.conninfo.make_conninfo(database, dbname="reconcile_stream_copy")
    stop, damaged, found = threading.Event(), set[int](), set[int]()
    writers = [threading.Thread(target=_writer(database, stop, n, 60)) for n in range(2)]
    draw = random.Random(7)
    try:
        copies.init()
        with copies.running():
            for one in writers:
                one.start()
            for n in range(4):
                keys = draw.sample(range(1000, 2000), 5)
                with psycopg.connect(copies.copy, autocommit=True) as there:
                    there.execute("DELETE FROM orders WHERE id = ANY (%s)", [keys[:2]])
                    there.execute("UPDATE orders SET body = 'damaged' WHERE id = ANY (%s)", [keys[2:]])
                damaged |= set(keys)
                side = Side(database, PostgresqlSink(copies.copy, name="one"), ORDERS, "one", copies.job.slot, "p")
                report = compare(side, Options(repair=True, wait=30))
                found |= {d.key[0] for d in report.differences}
                assert {d.key[0] for d in report.differences} == set(keys), f"in round {n}"
                assert report.repaired == 5
            stop.set()
            for one in writers:
                one.join()
            wait(lambda: copies.rows(database) == copies.rows(copies.copy))
        assert found == damaged
    finally:
        stop.set()
        copies.drop()
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("DROP DATABASE reconcile_stream_copy WITH (FORCE)")


def test_an_idle_copy_is_known_to_have_everything(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot is let go late, so that a store that was set back gets again what it lost; an idle store is seldom told its place."""
    monkeypatch.setattr(lane, "PULSE", 600.0)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE orders (id int PRIMARY KEY, body text, n int); INSERT INTO orders VALUES (1, 'a', 0)")
        conn.execute("CREATE DATABASE reconcile_idle_copy")
    copies = PostgresqlCopies(database, tmp_path, ("public.orders",))
    copies.copy = psycopg.conninfo.make_conninfo(database, dbname="reconcile_idle_copy")
    copies.job = replace(copies.job, replay=60.0)
    try:
        copies.init()
        with copies.running():
            side = Side(database, PostgresqlSink(copies.copy, name="one"), ORDERS, "one", copies.job.slot, "p")
            assert not any(compare(side, Options(wait=15)).counts.values())
    finally:
        copies.drop()
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("DROP DATABASE reconcile_idle_copy WITH (FORCE)")


CHARTER = """
[environments.dev]
dsn_env = "SOURCE_DB"
[sync]
slot = "{slot}"
heartbeat = "1s"
[[sync.sink]]
name = "copy"
kind = "postgresql"
url_env = "COPY_DB"
[[sync.mapping]]
sink = "copy"
table = "public.orders"
"""


class Project:
    """A charter that copies one table into another database."""

    def __init__(self, source: str, folder: Path, slot: str) -> None:
        self.source, self.folder, self.slot = source, folder, slot
        (folder / "pgcharter.toml").write_text(CHARTER.format(slot=slot))
        own_tables(source)
        with psycopg.connect(source, autocommit=True) as conn:
            conn.execute("CREATE TABLE orders (id int PRIMARY KEY, sku text NOT NULL)")
            conn.execute("INSERT INTO orders SELECT i, 'a' FROM generate_series(1, 50) i")
            conn.execute("CREATE PUBLICATION pgcharter_sync FOR TABLE orders WITH (publish_via_partition_root)")
            conn.execute(f"CREATE DATABASE {slot}_copy".encode())
        self.copy = psycopg.conninfo.make_conninfo(source, dbname=f"{slot}_copy")
        self.environment = {**os.environ, "SOURCE_DB": source, "COPY_DB": self.copy}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pgcharter", "sync", *words]

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(self.command(*words), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    def rows(self, dsn: str) -> list[Any]:
        with psycopg.connect(dsn) as conn:
            return conn.execute("SELECT id, sku FROM orders ORDER BY id").fetchall()


@pytest.fixture
def project(database: str, tmp_path: Path) -> Iterator[Project]:
    made = Project(database, tmp_path, f"reconcile_{psycopg.conninfo.conninfo_to_dict(database)['dbname']}")
    yield made
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s", [made.slot])
        conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [made.slot])
        conn.execute(f"DROP DATABASE {made.slot}_copy WITH (FORCE)".encode())


def _started(project: Project, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(project.command(*words), cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL)


def test_from_the_command_line(project: Project) -> None:
    project.run("init", "--yes")
    project.run("run", "--once")
    with psycopg.connect(project.source, autocommit=True) as conn:
        conn.execute("DELETE FROM orders WHERE id = 1")
    behind = project.run("reconcile", "--wait", "0.2s", code=3)
    assert "bytes of log behind after 0.2 s" in " ".join(behind.split())
    worker = _started(project, "run")
    try:
        assert json.loads(project.run("reconcile", "--format", "json", code=0))["mappings"][0]["rows"] == 49
        with psycopg.connect(project.copy, autocommit=True) as conn:
            conn.execute("UPDATE orders SET sku = 'wrong' WHERE id <= 3")
        report = json.loads(project.run("reconcile", "copy", "--format", "json", code=1))
        assert report["format"] == "pgcharter-sync-reconcile"
        assert [d["key"] for d in report["mappings"][0]["differences"]] == [["2"], ["3"]]
        assert "2 rows of public.orders" in project.run("status", code=1)
        said = " ".join(project.run("reconcile", "--repair").split())
        assert "49 rows, 49 there, 2 different, 2 repaired" in said
        assert "different orders (2): sku" in said
        assert project.rows(project.source) == project.rows(project.copy)
        (standing,) = json.loads(project.run("status", "--format", "json", code=1))["compared"]
        assert {n: standing[n] for n in ("sink", "rows", "stored", "found", "repaired", "remaining")} == {
            "sink": "copy", "rows": 49, "stored": 49, "found": 2, "repaired": 2, "remaining": 0,
        }  # fmt: skip
        assert "no mapping is meant" in project.run("reconcile", "other", code=2)
        assert "that has a delta" in project.run("batch", code=2)
        service = _started(project, "reconcile", "--forever", "--pause", "100ms")
        with psycopg.connect(project.source, autocommit=True) as conn:
            seen = "SELECT rows FROM pgcharter.sync_snapshots WHERE slot = 'reconcile'"
            conn.execute("INSERT INTO orders VALUES (100, 'b'), (101, 'b')")
            wait(lambda: conn.execute(seen).fetchone() == (51,))
        service.terminate()
        assert service.wait(20) == 0
    finally:
        worker.terminate()
        worker.wait(20)


def test_batches_from_the_command_line(project: Project) -> None:
    charter = project.folder / "pgcharter.toml"
    charter.write_text(charter.read_text() + 'delta = "id"\n')
    said = json.loads(project.run("batch", "--format", "json"))
    assert (said["format"], said["batches"][0]["rows"]) == ("pgcharter-sync-batch", 50)
    with psycopg.connect(project.source, autocommit=True) as conn:
        conn.execute("INSERT INTO orders VALUES (60, 'b')")
        conn.execute("DELETE FROM orders WHERE id = 3")
    assert "public.orders → copy: 2 rows since 50" in project.run("batch")
    assert "1 deleted, 1 repaired" in project.run("batch", "--deletes")
    assert project.rows(project.source) == project.rows(project.copy)
