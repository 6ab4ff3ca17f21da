"""A backfill against one plain UPDATE of the same rows: speed of both, and how long a concurrent load waits behind each.

`python -m bench.backfill [rows]`, 5 million unless said. The load updates single rows picked at random, on one connection, all the time.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from pgcharter.db import connect
from pgcharter.migrate import runner
from pgcharter.migrate.model import Migration, Unit
from pgcharter.names import ObjectId
from pgcharter.plan.model import Backfill
from pgcharter.servers import binaries, lifecycle

ROWS = 5_000_000
JOB = Backfill(ObjectId("table", "public", "orders"), ("id",), "total = price * amount", "total IS NULL")
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "512MB", "max_wal_size": "8GB", "fsync": True, "synchronous_commit": True}


@dataclass
class Load:
    """Somebody else's statements while the work goes on, and how long each took, in seconds."""

    dsn: str
    rows: int
    taken: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        chosen = random.Random(1)
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            while not self.over.is_set():
                began = time.monotonic()
                conn.execute("UPDATE orders SET note = 'seen' WHERE id = %s", (chosen.randint(1, self.rows),))
                self.taken.append(time.monotonic() - began)
                time.sleep(0.002)

    def at(self, part: float) -> float:
        """A percentile in milliseconds."""
        return sorted(self.taken)[min(int(len(self.taken) * part), len(self.taken) - 1)] * 1000


def measured(dsn: str, rows: int, work: Callable[[], object], *, load: bool) -> tuple[float, Load]:
    """Seconds that `work` takes on a fresh table, and the load beside it."""
    with connect(dsn) as conn:
        conn.execute("DROP TABLE IF EXISTS orders; DROP SCHEMA IF EXISTS pgcharter CASCADE")
        conn.execute("CREATE TABLE orders (id bigint PRIMARY KEY, price numeric NOT NULL, amount int NOT NULL, total numeric, note text)")
        conn.execute(f"INSERT INTO orders SELECT i, i % 1000 + 0.99, i % 7, NULL, 'order ' || i FROM generate_series(1, {rows}) i".encode())
        conn.execute("VACUUM (ANALYZE) orders")
        conn.execute("CHECKPOINT")
    beside = Load(dsn, rows)
    thread = threading.Thread(target=beside.run)
    if load:
        thread.start()
        time.sleep(0.2)
        beside.taken.clear()
    began = time.monotonic()
    work()
    taken = time.monotonic() - began
    beside.over.set()
    if load:
        thread.join()
    return taken, beside


def run(rows: int = ROWS) -> None:
    """Measure both, with and without the load, and print the ratio."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        dsn = server.dsn()

        def plain() -> None:
            with connect(dsn) as conn:
                conn.execute(JOB.sql().encode())

        def ours() -> None:
            unit = Unit((JOB.sql(),), backfill=JOB)
            outcome = runner.apply(dsn, [Migration("001", "fill", up=(unit,), checksum="0" * 64)])
            assert outcome.status == "done", outcome

        print(f"{rows:,} rows, PostgreSQL {server.installation.release}")
        for load in (False, True):
            alone, before = measured(dsn, rows, plain, load=load)
            batched, after = measured(dsn, rows, ours, load=load)
            print(f"{'under load' if load else 'alone':>10}: plain UPDATE {alone:6.2f} s ({rows / alone:9,.0f} rows/s)"
                  f"   backfill {batched:6.2f} s ({rows / batched:9,.0f} rows/s)   {alone / batched:.0%} of its speed")  # fmt: skip
            if load:
                for name, beside in (("plain UPDATE", before), ("backfill", after)):
                    print(f"{'':>10}  load beside the {name}: p50 {beside.at(0.5):.1f} ms, p99 {beside.at(0.99):.1f} ms, "
                          f"longest {beside.at(1):.0f} ms of {len(beside.taken)} statements")  # fmt: skip


if __name__ == "__main__":
    run(int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else ROWS)
