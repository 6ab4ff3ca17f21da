"""Reconciling a PostgreSQL copy of five million rows: equal ones, and with a hundred damaged; and what a reader of rows would take.

`python -m bench.reconcile [rows]`. Source and copy are two databases of one server on this machine, 8 columns, fsync and
synchronous_commit off; both sides are hashed at once. The last line compares row by row what both sides hold, through the client.
"""

from __future__ import annotations

import statistics
import sys
import time

import psycopg

from pgcharter.policy.sync_settings import MappingTable
from pgcharter.servers import binaries, lifecycle
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.reconcile import Side, reconcile
from pgcharter.stream.reconcile_model import Options

ROWS = 5_000_000
DAMAGED = 100
READ = 200_000
"""Rows that are read through the client, which is slow; the figure is for each row."""
TABLE = (
    "CREATE TABLE {} (id bigint PRIMARY KEY, customer bigint, status text, amount numeric(12,2), currency text, at timestamptz, note text,"
    " paid boolean{})"
)
FILL = (
    "INSERT INTO {} SELECT n, n % 100000, 'open', n * 0.01, 'EUR', timestamptz '2024-01-01' + n * interval '1 s', 'note of order ' || n,"
    " n % 3 = 0 FROM generate_series(1, {}) n"
)


def run(rows: int = ROWS) -> None:
    """Measure and print."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings={"shared_buffers": "2GB", "max_wal_size": "16GB"}) as server:
        source, copy = _filled(server, rows)
        side = Side(source, PostgresqlSink(copy, name="bench"), MappingTable("bench", "public.orders"), logged=False)
        equal = [_timed(side, Options()) for _ in range(3)]
        print(f"{rows:,} equal rows      {statistics.median(equal):6.1f} s   {rows / statistics.median(equal):12,.0f} rows/s")
        with psycopg.connect(copy, autocommit=True) as conn:
            conn.execute("UPDATE orders SET status = 'bad' WHERE id %% %s = 7", (rows // DAMAGED,))
        print(f"{DAMAGED} of them repaired   {_timed(side, Options(repair=True), DAMAGED):6.1f} s")
        taken = _read(source, copy)
        print(f"row by row, through the client {READ / taken:12,.0f} rows/s")


def _filled(server: lifecycle.Server, rows: int) -> tuple[str, str]:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for name in ("source", "copy"):
            admin.execute(f"CREATE DATABASE {name}".encode())
    stamps = ", pgcharter_lsn bigint NOT NULL DEFAULT 0, pgcharter_ordinal bigint NOT NULL DEFAULT 0"
    for name, more in (("source", ""), ("copy", stamps)):
        with psycopg.connect(server.dsn(name), autocommit=True) as conn:
            conn.execute(TABLE.format("orders", more).encode())
            conn.execute(FILL.format("orders", rows).encode())
            conn.execute("VACUUM (ANALYZE) orders")
    return server.dsn("source"), server.dsn("copy")


def _timed(side: Side, options: Options, found: int = 0) -> float:
    began = time.perf_counter()
    report = reconcile(side, options)
    if report.found != found or report.repaired != found:
        raise AssertionError(f"{report.found} found, {report.repaired} repaired, {found} are damaged")
    return time.perf_counter() - began


def _read(source: str, copy: str) -> float:
    """Seconds for reading and comparing rows of both sides in order."""
    sql = f"SELECT id, customer, status, amount, currency, at, note, paid FROM orders ORDER BY id LIMIT {READ}".encode()
    began = time.perf_counter()
    with psycopg.connect(source) as left, psycopg.connect(copy) as right, left.cursor(name="l") as a, right.cursor(name="r") as b:
        a.itersize = b.itersize = 10_000
        if any(x != y for x, y in zip(a.execute(sql), b.execute(sql), strict=True)):
            raise AssertionError("rows differ")
    return time.perf_counter() - began


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
