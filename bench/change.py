"""A change of a table in use: how long a concurrent load waits beside the naive statements, the best form by hand, and a plan of ours.

`python -m bench.change [rows]`, a million unless said. The load reads and updates single rows picked at random, from a process of its own.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

import psycopg

from pgcharter.catalog.model import Catalog
from pgcharter.db import connect
from pgcharter.migrate import proving, runner
from pgcharter.migrate.model import Migration, Unit
from pgcharter.plan import planner
from pgcharter.plan.model import Plan
from pgcharter.plan.normal import normalised, unowned
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.scratch import open_scratch
from pgcharter.sources import live

ROWS = 1_000_000
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "512MB", "max_wal_size": "8GB", "fsync": True, "synchronous_commit": True}
BEFORE = """
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, amount int NOT NULL, note text);
"""
ADDED = """
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL CONSTRAINT orders_customer REFERENCES customers,
    amount int NOT NULL, note text);
CREATE INDEX orders_customer_id_idx ON orders (customer_id);
"""
RETYPED = BEFORE.replace("amount int", "amount numeric(12,2)")
NAIVE_ADDED = (
    "ALTER TABLE orders ALTER COLUMN customer_id SET NOT NULL",
    "ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers",
    "CREATE INDEX orders_customer_id_idx ON orders (customer_id)",
)
BY_HAND_ADDED = (
    "ALTER TABLE orders ADD CONSTRAINT c CHECK (customer_id IS NOT NULL) NOT VALID",
    "ALTER TABLE orders VALIDATE CONSTRAINT c",
    "ALTER TABLE orders ALTER COLUMN customer_id SET NOT NULL",
    "ALTER TABLE orders DROP CONSTRAINT c",
    "ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers NOT VALID",
    "ALTER TABLE orders VALIDATE CONSTRAINT orders_customer",
    "CREATE INDEX CONCURRENTLY orders_customer_id_idx ON orders (customer_id)",
)
NAIVE_RETYPED = ("ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2)",)


def load(dsn: str, rows: int, over: Event, ready: Event, taken: Any) -> None:
    """Somebody else's statements, and how long each took, in seconds."""
    chosen, times = random.Random(1), []
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
        while not over.is_set():
            number = chosen.randint(1, rows)
            query = "UPDATE orders SET note = 'seen' WHERE id = %s" if number % 2 else "SELECT amount FROM orders WHERE id = %s"
            began = time.monotonic()
            conn.execute(query, (number,))
            times.append(time.monotonic() - began)
            ready.set()
            time.sleep(0.001)
    taken.send(times)


def beside(dsn: str, rows: int, work: Callable[[], object]) -> tuple[float, list[float]]:
    """Seconds that `work` takes on a fresh table, and how long each statement of the load took meanwhile."""
    with connect(dsn) as conn:
        conn.execute("DROP TABLE IF EXISTS orders, customers; DROP SCHEMA IF EXISTS pgcharter CASCADE")
        conn.execute(BEFORE.encode())
        conn.execute("INSERT INTO customers SELECT generate_series(1, 1000)")
        conn.execute(f"INSERT INTO orders SELECT i, i % 1000 + 1, i % 500, 'order ' || i FROM generate_series(1, {rows}) i".encode())
        conn.execute("VACUUM (ANALYZE) orders")
        conn.execute("CHECKPOINT")
    context = multiprocessing.get_context("spawn")
    over, ready = context.Event(), context.Event()
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=load, args=(dsn, rows, over, ready, send))
    process.start()
    send.close()
    ready.wait()
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    over.set()
    taken = receive.recv()
    process.join()
    return seconds, taken


def planned(dsn: str, wanted: str) -> Migration:
    """Our plan from what the database holds to `wanted`, as a migration."""
    with connect(dsn) as conn:
        reading = live.read(dsn)
        assert reading.catalog is not None
        major = conn.info.server_version // 10000
    with open_scratch(major) as scratch, scratch.database() as database:
        proving.execute(database, [s for s in wanted.split(";") if s.strip()])
        a, b = normalised(reading.catalog, proving.read(database))
    plan = planner.plan(a, unowned(b, _all(a)), sizes=reading.stats)
    assert not plan.questions, plan.questions
    return Migration("001", "change", up=tuple(_units(plan)), checksum="0" * 64)


def _all(catalog: Catalog) -> set[Any]:
    return {address for address, _ in catalog.objects()}


def _units(plan: Plan) -> list[Unit]:
    """The plan's blocks; its gates are open."""
    blocks = [[s for s in block if s.sql] for block in plan.blocks()]
    return [Unit(tuple(s.sql for s in b), transactional=bool(b[0].block), backfill=b[0].backfill) for b in blocks if b]


def run(rows: int = ROWS) -> None:
    """Measure each way of two changes, and print the waits of the load beside it."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        dsn = server.dsn()
        print(f"{rows:,} rows, PostgreSQL {server.installation.release}; waits of the load in milliseconds")
        changes = (
            ("index, NOT NULL and foreign key", ADDED, NAIVE_ADDED, BY_HAND_ADDED),
            ("int → numeric(12,2)", RETYPED, NAIVE_RETYPED, ()),
        )
        for title, wanted, naive, by_hand in changes:
            print(title)
            for name, statements in (("naive", naive), ("by hand", by_hand)):
                if statements:
                    _line(name, *beside(dsn, rows, lambda statements=statements: _plainly(dsn, statements)))
            _line("pgcharter", *beside(dsn, rows, lambda wanted=wanted: _ours(dsn, wanted)))


def _plainly(dsn: str, statements: tuple[str, ...]) -> None:
    with connect(dsn) as conn:
        for sql in statements:
            conn.execute(sql.encode())


def _ours(dsn: str, wanted: str) -> None:
    outcome = runner.apply(dsn, [planned(dsn, wanted)])
    assert outcome.status == "done", outcome


def _line(name: str, seconds: float, taken: list[float]) -> None:
    ordered = sorted(taken)
    p50, p99 = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
    print(
        f"{name:>12}: {seconds:6.2f} s   p50 {p50:6.1f}   p99 {p99:8.1f}   longest {ordered[-1] * 1000:8.0f}   of {len(taken):,} statements"
    )


if __name__ == "__main__":
    run(int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else ROWS)
