"""Changes out of PostgreSQL: decoding, copying to a sink that keeps nothing and to PostgreSQL, commit to visible, seeding.

`python -m bench.cdc [rows]`. Rows have 8 columns. The server is on the same machine, by a Unix socket, with fsync and synchronous_commit
off, so that what is measured is ours; commit to visible is measured with synchronous_commit on, as changes are sent when they are flushed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import sync
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection
from pgcharter.servers import binaries, lifecycle
from pgcharter.sinks import registry
from pgcharter.stream import beginning, mapping, slots, source
from pgcharter.stream.mapper import Target
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.pgoutput import changes
from pgcharter.stream.replication import Replication, Streaming
from pgcharter.stream.source import TypeNames
from pgcharter.stream.transactions import Assembler, Transaction
from pgcharter.stream.worker import Job, Worker

ROWS = 200_000
COMMITS = 300
SCHEMA = """
CREATE TABLE orders (
  id bigint PRIMARY KEY, customer uuid NOT NULL, sku text NOT NULL, quantity int, price numeric(12,2), placed timestamptz,
  paid boolean, note text
)
"""
FILL = """
INSERT INTO orders SELECT i, gen_random_uuid(), 'sku-' || i %% 1000, i %% 7, i / 3.0, now(), i %% 2 = 0, 'a note of some length ' || i
  FROM generate_series(%s::bigint, %s) i
"""


class Nothing:
    """A sink that keeps nothing but the moments at which rows came."""

    whole = False
    keeps = False

    def __init__(self) -> None:
        self.count = 0
        self.came: list[float] = []

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:  # noqa: ARG002
        return None

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:  # noqa: ARG002
        self.count += len(rows)
        self.came += [time.perf_counter()] * len(rows)

    def close(self) -> None:
        pass


def run(rows: int = ROWS) -> None:
    """Measure and print."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings={"wal_level": "logical"}) as server, tempfile.TemporaryDirectory() as at:
        dsn = server.dsn()
        section = SyncSection(sink=(SinkTable("s", "postgresql", "COPY"),), mapping=(MappingTable("s", "public.orders"),))
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(SCHEMA)
            planned = planning.make(Wish("", dsn, chosen=Chosen((sync.policy(section),)), prove=False))
            for step in planned.plan.steps:
                conn.execute(step.sql.encode())
            conn.execute("CREATE DATABASE copy")
        job = Job(dsn, "bench", section.publication, ("public.orders",), ("s",), Path(at), heartbeat=1.0)
        nothing = Nothing()

        def make(name: str, sink: Callable[[], object] = lambda: nothing) -> Target:
            return Target(name, sink(), mapping.of_sink(section, name, lambda: source.open_source(dsn), {}))  # type: ignore[arg-type]

        def postgresql(name: str) -> Target:
            return make(name, lambda: registry.make(section.sink[0], Path(at), {"COPY": server.dsn("copy")}))

        _fill(dsn, 1, rows)
        high = rows
        for what, maker, slot in (("PostgreSQL", postgresql, "bench_copy"), ("a sink that keeps nothing", make, "bench_nothing")):
            own = replace(job, slot=slot, folder=Path(at, slot))
            clock = Clock()
            beginning.begin(own, maker)
            clock.tell(f"seed {high} rows to {what}", high, "rows")
            _fill(dsn, high + 1, high + rows)
            high += rows
            clock, worker = Clock(), Worker(own, maker)
            worker.run(once=True)
            assert worker.lanes["s"].kept.rows == high, worker.lanes["s"].kept
            clock.tell(f"copy {rows} changes to {what}", rows, "rows")
            if maker is make:
                _latency(dsn, own, make, nothing, high)
            with psycopg.connect(dsn, autocommit=True) as conn:
                slots.drop(conn, slot)
        _decode(dsn, rows)


def _fill(dsn: str, low: int, high: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for begin in range(low, high + 1, 1000):
            conn.execute(FILL, (begin, min(begin + 999, high)))


def _decode(dsn: str, rows: int) -> None:
    """How fast messages are taken from the connection, and decoded."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_create_logical_replication_slot('decode', 'pgoutput')")
        _fill(dsn, 10_000_000, 10_000_000 + rows - 1)
        conn.execute("SELECT pg_logical_emit_message(true, 'bench', 'end')")
        names = TypeNames(dsn)
        assembler, found, count = Assembler(names), list[Transaction](), 0
        with Replication(dsn) as replication:
            replication.start(Streaming("decode", "pgcharter_sync"))
            clock = Clock()
            while count < rows:
                for m in replication.receive(0.1):
                    told = assembler.feed(m)
                    if isinstance(told, Transaction):
                        found.append(told)
                        count += 1000
            clock.tell("receive from the server, put together", rows, "changes")
        messages = [m for t in found for piece in t.held.pieces() for m in piece]
        clock = Clock()
        done = sum(1 for _ in changes(messages, dict(assembler.relations), 1, 1, names))
        clock.tell("decode, 8 columns", done, "changes")
        conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = 'decode'")
        conn.execute("SELECT pg_drop_replication_slot('decode')")
        conn.execute("DELETE FROM orders WHERE id >= 10000000")


def _latency(dsn: str, job: Job, make: Callable[[str], Target], nothing: Nothing, low: int) -> None:
    worker = Worker(job, make)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    took = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = on")
        while not worker.lanes or not worker.lanes["s"].opened or not worker.lanes["s"].empty:
            time.sleep(0.1)
        time.sleep(1)
        for i in range(COMMITS):
            before = len(nothing.came)
            conn.execute(FILL, (low + 1 + i, low + 1 + i))
            committed = time.perf_counter()
            while len(nothing.came) == before:
                time.sleep(0.0002)
            took.append(max(0.0, nothing.came[-1] - committed))
            time.sleep(0.002)
    worker.stop()
    thread.join()
    ordered = sorted(took)
    _tell("commit to visible, p50", statistics.median(took) * 1000, "ms")
    _tell("commit to visible, p99", ordered[int(len(ordered) * 0.99)] * 1000, "ms")


class Clock:
    """Time and this process's time on a core since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def tell(self, what: str, count: int, unit: str) -> None:
        """Print a rate, and what it would be on a core of one's own: other work on the machine does not count in it."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        print(f"{what:<60}{count / wall:>12,.0f} {unit}/s {count / cpu:>12,.0f} {unit} a second of this process's time")


def _tell(what: str, figure: float, unit: str) -> None:
    print(f"{what:<60}{figure:>12,.1f} {unit}")


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
