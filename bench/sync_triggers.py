"""What capture by triggers costs whoever writes, and how fast its log is copied.

`python -m bench.sync_triggers [rows]`. A table of 8 columns with triggers and one without, written to in turn: rates by the clock, and
time of the server's process a row, in which other work on the machine does not count. fsync is off, synchronous_commit on. Then the log is
copied to a sink that keeps nothing.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from bench.cdc import Clock, Nothing
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import sync
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection
from pgcharter.servers import binaries, lifecycle
from pgcharter.stream import beginning, mapping, source
from pgcharter.stream.mapper import Target
from pgcharter.stream.worker import Job, Worker

ROWS = 50_000
ROUNDS = 5
TABLE = """
CREATE TABLE {} (
  id bigint PRIMARY KEY, customer uuid NOT NULL, sku text NOT NULL, quantity int, price numeric(12,2), placed timestamptz,
  paid boolean, note text
)
"""
FILL = """
INSERT INTO {} SELECT i, gen_random_uuid(), 'sku-' || i % 1000, i % 7, i / 3.0, now(), i % 2 = 0, 'a note of some length ' || i
  FROM generate_series({}, {}) i
"""
SECTION = SyncSection(capture="triggers", keep="100GB", sink=(SinkTable("s", "jsonl"),), mapping=(MappingTable("s", "public.captured"),))


def run(rows: int = ROWS) -> None:
    """Measure and print."""
    settings: dict[str, lifecycle.Setting] = {"wal_level": "replica", "synchronous_commit": True}
    with lifecycle.start_ephemeral(binaries.choose(None), settings=settings) as server, tempfile.TemporaryDirectory() as at:
        dsn, nothing = server.dsn(), Nothing()
        with psycopg.connect(dsn, autocommit=True) as conn:
            for table in ("captured", "plain"):
                conn.execute(TABLE.format(table).encode())
            planned = planning.make(Wish("", dsn, chosen=Chosen((sync.policy(SECTION),)), prove=False))
            for step in planned.plan.steps:
                conn.execute(step.sql.encode())
            job = Job(dsn, "bench", "pgcharter_sync", ("public.captured",), ("s",), Path(at), capture="triggers")

            def make(name: str) -> Target:
                return Target(name, nothing, mapping.of_sink(SECTION, name, lambda: source.open_source(dsn), {}))

            beginning.begin(job, make)
            _writes(conn, rows)
            count = conn.execute("SELECT count(*) FROM pgcharter.sync_log").fetchone()
            clock = Clock()
            Worker(job, make).run(once=True)
            clock.tell("copy changes to a sink that keeps nothing", count[0] if count else 0, "changes")
            _latency(conn, job, make, nothing)


def _writes(conn: psycopg.Connection[Any], rows: int) -> None:
    def bulk(table: str, sql: str) -> None:
        conn.execute(sql.format(table).encode())

    def single(table: str, sql: str) -> None:
        for i in range(1, 2001):
            conn.execute(sql.format(table).encode(), [i])

    kinds: list[tuple[str, Callable[[str, str], None], str, int]] = [
        ("INSERT of many rows", bulk, FILL.format("{}", 1, rows), rows),
        ("UPDATE of many rows", bulk, "UPDATE {} SET quantity = quantity + 1", rows),
        ("UPDATE of one row, a transaction each", single, "UPDATE {} SET quantity = quantity + 1 WHERE id = %s", 2000),
        ("DELETE of many rows", bulk, "DELETE FROM {}", rows),
    ]
    took: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for what, how, sql, count in kinds:
            for table in ("plain", "captured"):
                wall, cpu = time.perf_counter(), _cpu(conn)
                how(table, sql)
                took.setdefault((what, table), []).append(((time.perf_counter() - wall) / count, (_cpu(conn) - cpu) / count))
    print(f"{'':<40}{'plain':>12}{'captured':>12} rows/s   by the server's process: {'plain':>7}{'captured':>10}  more µs a row")
    for what, *_ in kinds:
        (wall, cpu), (walls, cpus) = (map(statistics.median, zip(*took[what, t], strict=True)) for t in ("plain", "captured"))
        print(f"{what:<40}{1 / wall:>12,.0f}{1 / walls:>12,.0f}{'':<33}{cpu * 1e6:>8.1f}{cpus * 1e6:>10.1f}{(cpus - cpu) * 1e6:>12.1f}")


def _cpu(conn: psycopg.Connection[Any]) -> float:
    """Seconds that the server's process of a connection has worked."""
    fields = Path(f"/proc/{conn.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _latency(conn: psycopg.Connection[Any], job: Job, make: Callable[[str], Target], nothing: Nothing) -> None:
    worker = Worker(job, make)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    took = []
    time.sleep(2)
    for i in range(200):
        before = len(nothing.came)
        conn.execute(FILL.format("captured", 10_000_000 + i, 10_000_000 + i).encode())
        committed = time.perf_counter()
        while len(nothing.came) == before:
            time.sleep(0.0005)
        took.append(max(0.0, nothing.came[-1] - committed) * 1000)
        time.sleep(0.02)
    worker.stop()
    thread.join()
    print(f"{'commit to visible, p50 and p99':<40}{statistics.median(took):>12.1f}{sorted(took)[197]:>12.1f} ms")


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
