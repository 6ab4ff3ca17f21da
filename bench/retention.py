"""Retention: rows archived to a table and to files, beside the two statements of the guide; writers while partitions come and go.

`python -m bench.retention [rows]`, 1,000,000 unless said. Half of the table's rows are over. The second part detaches partitions while
writers insert: ours, the plain statement, and pg_partman's function where it is installed; the longest insert of each is printed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.operate import partitions, retention
from pgcharter.policy import retention as policies
from pgcharter.policy.retention_settings import PartitionTable, RetentionSection, RuleTable
from pgcharter.policy.soft_delete_settings import SoftDeleteSection
from pgcharter.servers import binaries, lifecycle

ROUNDS = 3
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "512MB", "max_wal_size": "8GB"}
MADE = """
DROP TABLE IF EXISTS logs, logs_archive;
CREATE TABLE logs (id bigint PRIMARY KEY, at timestamptz NOT NULL, who int NOT NULL, said text);
INSERT INTO logs SELECT n, timestamptz '2025-11-22' + (n - {half} - 1) * interval '10 s', n % 1000, 'a line of a log, ' || n
  FROM generate_series(1, {rows}) n;
CREATE INDEX ON logs (at);
"""
GUIDE = """
BEGIN;
INSERT INTO logs_archive SELECT * FROM logs WHERE at < '2025-11-22';
DELETE FROM logs WHERE at < '2025-11-22';
COMMIT;
"""


def run(rows: int = 1_000_000) -> None:
    """Print both tables."""
    with (
        lifecycle.start_ephemeral(binaries.choose(18), settings=SETTINGS) as server,
        psycopg.connect(server.dsn(), autocommit=True) as conn,
    ):
        plan = planning.make(Wish("", server.dsn(), chosen=Chosen((policies.policy(RetentionSection()),)), prove=False))
        for step in plan.plan.steps:
            conn.execute(step.sql.encode())
        _archiving(server.dsn(), conn, rows)
    _partitions()


def _archiving(dsn: str, conn: psycopg.Connection[object], rows: int) -> None:
    ways: dict[str, Callable[[], int]] = {
        "archive table, 5,000 a batch": lambda: _ours(dsn, "archive"),
        "archive table, 20,000 a batch": lambda: _ours(dsn, "archive", batch=20_000),
        "deleted, 5,000 a batch": lambda: _ours(dsn, "delete"),
        "Parquet, 100,000 a file": lambda: _ours(dsn, "parquet", "files"),
        "JSONL, 100,000 a file": lambda: _ours(dsn, "jsonl", "files"),
        "the guide: INSERT … SELECT, DELETE (loses rows)": lambda: _guide(conn),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            conn.execute(MADE.format(rows=rows, half=rows // 2).encode())
            conn.execute("VACUUM ANALYZE logs")
            begun = time.perf_counter()
            gone = way()
            taken[name].append(gone / (time.perf_counter() - begun))
    print(f"{rows:,} rows, half of them over; rows that left in a second, median of {ROUNDS}")
    for name, rates in taken.items():
        print(f"  {name:<48} {statistics.median(rates):>10,.0f}")


def _ours(dsn: str, how: str, to: str = "", batch: int = 0) -> int:
    rule = RuleTable(("public.logs",), column="at", keep="1y", how=how, to=to, batch=batch)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        (done,) = retention.run(dsn, RetentionSection(rule=(rule,)), SoftDeleteSection(), folder=Path(folder), now=NOW)
    if done.problem:
        raise AssertionError(done.problem)
    return done.rows


def _guide(conn: psycopg.Connection[object]) -> int:
    conn.execute("CREATE TABLE logs_archive (LIKE logs INCLUDING ALL)")
    conn.execute(GUIDE.encode())
    row = conn.execute("SELECT count(*) FROM logs_archive").fetchone()
    return int(row[0]) if row else 0  # type: ignore[index]


PARTED = """
DROP TABLE IF EXISTS parted CASCADE; DROP TABLE IF EXISTS old;
CREATE TABLE parted (id bigint NOT NULL, at timestamptz NOT NULL, said text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE old PARTITION OF parted FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
CREATE TABLE now PARTITION OF parted FOR VALUES FROM ('2026-11-01 00:00+00') TO ('2026-12-01 00:00+00');
INSERT INTO parted SELECT n, '2020-01-15', 'x' FROM generate_series(1, 100000) n;
"""


def _partitions() -> None:
    """The longest insert while partitions are made and taken out, and a reader holds the table for a second."""
    with lifecycle.start_ephemeral(binaries.choose(15)) as server, psycopg.connect(server.dsn(), autocommit=True) as conn:
        dsn = server.dsn()
        table = PartitionTable("public.parted", keep="1 y", ahead=2)
        ours = RetentionSection(partition=(table,), lock_timeout="200ms", tries=100)
        ways: dict[str, Callable[[], object]] = {
            "pgcharter": lambda: partitions.run(dsn, ours, folder=Path(), now=NOW),
            "CREATE … PARTITION OF, DETACH, DROP": lambda: _plainly(dsn),
        }
        if conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_partman'").fetchone():
            conn.execute("CREATE SCHEMA IF NOT EXISTS partman; CREATE EXTENSION pg_partman SCHEMA partman")
            ways["pg_partman run_maintenance"] = lambda: _partman(dsn)
        else:
            print("pg_partman is not installed beside PostgreSQL 15, so it is not compared")
        print("longest insert of a writer while partitions come and go, and a reader holds the table for a second")
        for name, way in ways.items():
            conn.execute(PARTED.encode())
            conn.execute("ALTER TABLE now RENAME TO parted_p2026_11")
            if "partman" in name:
                _managed(conn)
            print(f"  {name:<48} {_longest(dsn, way) * 1000:>10,.0f} ms")


def _plainly(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE parted_next PARTITION OF parted FOR VALUES FROM ('2026-12-01') TO ('2027-01-01')")
        conn.execute("ALTER TABLE parted DETACH PARTITION old")
        conn.execute("DROP TABLE old, parted_next")


def _managed(conn: psycopg.Connection[object]) -> None:
    conn.execute("DELETE FROM partman.part_config")
    conn.execute(
        "SELECT partman.create_parent('public.parted', 'at', 'native', 'monthly', p_start_partition => '2026-12-01', p_premake => 1)"
    )
    conn.execute("UPDATE partman.part_config SET retention = '1 year', retention_keep_table = false, premake = 4")
    conn.execute("ALTER TABLE old RENAME TO parted_p2020_01")


def _partman(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SELECT partman.run_maintenance('public.parted')")


def _longest(dsn: str, way: Callable[[], object]) -> float:
    stop, worst = threading.Event(), [0.0]

    def write() -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            number = 0
            while not stop.is_set():
                number += 1
                begun = time.perf_counter()
                conn.execute("INSERT INTO parted VALUES (%s, '2026-11-15', 'y')", [number])
                worst[0] = max(worst[0], time.perf_counter() - begun)

    def read() -> None:
        with psycopg.connect(dsn) as conn:
            conn.execute("SELECT count(*) FROM parted")
            time.sleep(1)

    writer, reader = threading.Thread(target=write), threading.Thread(target=read)
    writer.start()
    reader.start()
    time.sleep(0.2)
    try:
        way()
    finally:
        reader.join()
        stop.set()
        writer.join()
    return worst[0]


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
