"""Changes out of PostgreSQL: decoding, seeding and copying to a sink that keeps nothing, to PostgreSQL and ClickHouse, commit to visible.

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
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
from tests.sinks import servers

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import sync
from pgcharter.policy.sync_settings import Kind, MappingTable, SinkTable, SyncSection
from pgcharter.servers import binaries, lifecycle
from pgcharter.sinks import registry
from pgcharter.stream import beginning, mapping, slots, source
from pgcharter.stream.mapper import Target
from pgcharter.stream.model import Row, Shape, Sink, Stamp
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
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(SCHEMA)
            planned = planning.make(Wish("", dsn, chosen=Chosen((sync.policy(_section("postgresql")),)), prove=False))
            for step in planned.plan.steps:
                conn.execute(step.sql.encode())
            conn.execute("CREATE DATABASE copy")
        job = Job(dsn, "bench", _section("postgresql").publication, ("public.orders",), ("s",), Path(at), heartbeat=1.0)
        nothing = Nothing()
        stores: list[tuple[str, Callable[[str], Target]]] = [("PostgreSQL", _target(dsn, "postgresql", server.dsn("copy")))]
        with servers.running("clickhouse-server") if servers.program("clickhouse-server") else nullcontext() as clickhouse:
            if clickhouse:
                stores.append(("ClickHouse", _target(dsn, "clickhouse", clickhouse.url)))
            else:
                print("ClickHouse is not measured: there is no clickhouse-server")
            stores.append(("a sink that keeps nothing", _target(dsn, "postgresql", "", nothing)))
            high = rows
            _fill(dsn, 1, rows)
            for what, make in stores:
                own = replace(job, slot=f"bench_{high}", folder=Path(at, what))
                high = _measured(dsn, own, make, what, rows, high)
                if make is stores[-1][1]:
                    _latency(dsn, own, make, nothing, high)
                with psycopg.connect(dsn, autocommit=True) as conn:
                    slots.drop(conn, own.slot)
        _decode(dsn, rows)


def _measured(dsn: str, job: Job, make: Callable[[str], Target], what: str, rows: int, high: int) -> int:
    """Seed what there is, copy as many changes as `rows`; gives back how many rows there are then."""
    clock = Clock()
    beginning.begin(job, make)
    clock.tell(f"seed {high} rows to {what}", high, "rows")
    _fill(dsn, high + 1, high + rows)
    clock, worker = Clock(), Worker(job, make)
    worker.run(once=True)
    assert worker.lanes["s"].kept.rows == high + rows, worker.lanes["s"].kept
    clock.tell(f"copy {rows} changes to {what}", rows, "rows")
    return high + rows


def _section(kind: Kind) -> SyncSection:
    return SyncSection(sink=(SinkTable("s", kind, "COPY"),), mapping=(MappingTable("s", "public.orders"),))


def _target(dsn: str, kind: Kind, url: str, sink: Sink | None = None) -> Callable[[str], Target]:
    section = _section(kind)

    def make(name: str) -> Target:
        to = sink or registry.make(section.sink[0], Path(), {"COPY": url})
        asked = partial(source.open_source, dsn)
        return Target(name, to, mapping.of_sink(section, name, asked, {}, texts=getattr(to, "texts", False)))

    return make


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
