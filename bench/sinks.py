"""Sinks: rows a second from decoded changes through a mapping into PostgreSQL, beside executemany by hand.

`python -m bench.sinks [rows]`, 100,000 unless said: 8 columns, 5,000 changes a batch as the worker gives them, each batch a transaction
with its checkpoint; synchronous_commit on, fsync off. Inserts into an empty table, updates of what is there in no order, all of these once
more (ignored). executemany upserts the same text without mapping, stamps and checkpoint, and is given a fifth of the rows.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import psycopg

from pgcharter.policy.sync_settings import MappingTable
from pgcharter.servers import binaries, lifecycle
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.model import Attribute, Change, Relation, Stamp

ROUNDS, BATCH = 3, 5_000
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "512MB", "max_wal_size": "8GB", "synchronous_commit": True}
COLUMNS = {
    "id": "bigint", "tenant_id": "uuid", "status": "text", "note": "text", "amount": "numeric(12,2)", "paid": "boolean",
    "created_at": "timestamp with time zone", "visits": "integer",
}  # fmt: skip
RELATION = Relation(1, "app", "orders", "default", tuple(Attribute(n, 20, t, n == "id") for n, t in COLUMNS.items()))
UPSERT = f"INSERT INTO by_hand VALUES ({', '.join(['%s'] * 8)}) ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{n} = excluded.{n}" for n in COLUMNS if n != "id"
)
TENANT = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"


def row(key: int, n: int) -> tuple[str, ...]:
    return (str(key), TENANT, "shipped", "a note of some forty characters, about", f"{n}.50", "t", "2024-02-29 12:34:56.789+00", str(n))


def changes(keys: list[int], start: int, *, update: bool) -> list[Change]:
    op = "update" if update else "insert"
    return [Change(RELATION, op, row(key, n), None, Stamp(start + n // 10, n % 10 + 1)) for n, key in enumerate(keys)]  # type: ignore[arg-type]


def batches(of: list[Change]) -> Iterator[list[Change]]:
    for start in range(0, len(of), BATCH):
        yield of[start : start + BATCH]


def copied(mappings: Mappings, sink: PostgresqlSink, of: list[Change]) -> None:
    for batch in batches(of):
        sink.write(mappings.rows(batch), batch[-1].stamp)


def by_hand(conn: psycopg.Connection[tuple[object, ...]], of: list[Change]) -> None:
    for batch in batches(of):
        with conn.transaction():
            conn.cursor().executemany(UPSERT.encode(), [c.new or () for c in batch])


def rate(work: Callable[[], object], count: int, backend: int) -> tuple[float, float]:
    """Rows a second, of time and of the processor time of both sides."""
    server = psutil.Process(backend)
    start, used = time.perf_counter(), time.process_time() + sum(server.cpu_times()[:2])
    work()
    return count / (time.perf_counter() - start), count / (time.process_time() + sum(server.cpu_times()[:2]) - used)


def turn(dsn: str, inserts: list[Change], updates: list[Change]) -> Iterator[tuple[str, tuple[float, float]]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS orders, by_hand; DROP SCHEMA IF EXISTS pgcharter_copies CASCADE")
        conn.execute(f"CREATE TABLE by_hand ({', '.join(f'{n} {t}' for n, t in COLUMNS.items())}, PRIMARY KEY (id))".encode())
        mappings = Mappings([MappingTable("s", "app.orders")], lambda: sys.exit("the source is not needed"), texts=PostgresqlSink.texts)
        mappings.relation(RELATION)
        pid, count = conn.info.backend_pid, len(inserts)
        yield "mapping alone", rate(lambda: [mappings.rows(b) for b in batches(inserts)], count, pid)
        sink = PostgresqlSink(dsn, name="bench")
        sink.open(mappings.shapes)
        row = conn.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgcharter sync bench'").fetchone()
        assert row is not None
        for name, of in (("inserts", inserts), ("updates", updates), ("sent again", updates)):
            yield name, rate(partial(copied, mappings, sink, of), count, row[0])
        for name, of in (("executemany, inserts", inserts[: count // 5]), ("executemany, updates", updates[: count // 5])):
            yield name, rate(partial(by_hand, conn, of), len(of), pid)
        sink.close()


def run(count: int = 100_000) -> None:
    shuffled = list(range(count))
    random.Random(1).shuffle(shuffled)
    inserts, updates = changes(list(range(count)), 1_000, update=False), changes(shuffled, 10_000_000, update=True)
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        for _ in range(ROUNDS):
            for name, rates in turn(server.dsn(), inserts, updates):
                found[name].append(rates)
    medians = {name: [statistics.median(r) for r in zip(*rates, strict=True)] for name, rates in found.items()}
    print(f"{f'{count:,} rows, medians of {ROUNDS}':32}{'rows/s':>10}{'rows/s of processor':>22}")
    for name, (wall, used) in medians.items():
        peer = medians.get(f"executemany, {name}")
        print(f"{name:32}{wall:>10,.0f}{used:>22,.0f}{f'   {used / peer[1]:.1f} x executemany' if peer else ''}")


if __name__ == "__main__":
    run(*map(int, sys.argv[1:2]))
