"""Damage in every store, behind the sink's back: all of it is found and repaired, and nothing else is touched.

`python -m tests.stream.reconcile_damage [rows [damaged]]` does it with 5,000 rows and 100 damaged: a third deleted, a third changed in one
field, a third there that should not be. Undamaged rows must have the same values and the same stamps afterwards.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tests.sinks import servers
from tests.stream.copying import own_tables

from pgcharter.policy.sync_settings import MappingTable
from pgcharter.servers import binaries, lifecycle
from pgcharter.sinks import files_manifest
from pgcharter.sinks.clickhouse import ClickHouseSink
from pgcharter.sinks.clickhouse_http import Http
from pgcharter.sinks.files_sink import FilesSink
from pgcharter.sinks.jsonl import Jsonl
from pgcharter.sinks.parquet import Parquet
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.sinks.redis import RedisSink
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.reconcile import Copy, Side, reconcile
from pgcharter.stream.reconcile_model import Options, Report

EXTRA = 1_000_000
"""Added to the keys of rows that should not be there."""
TABLE = "CREATE TABLE orders (id bigint PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, ok boolean)"
FILL = (
    "INSERT INTO orders SELECT n, CASE WHEN n %% 7 > 0 THEN 'näme ' || n END, n * 1.10, timestamptz '2024-01-01' + n * interval '1 min',"
    " n %% 2 = 0 FROM generate_series(1, %s) n"
)


@dataclass(frozen=True)
class Victim:
    """A store, and how to damage it without its sink: (deleted, changed, copied to another key)."""

    name: str
    make: Callable[[], Copy]
    damage: Callable[[list[int], list[int], list[int]], None]


@dataclass(frozen=True)
class Outcome:
    store: str
    damaged: int
    found: int
    repaired: int
    others: int
    """Rows that were not damaged and are as they were."""
    seconds: float


def attack(source: str, victim: Victim, rows: int, damaged: int, seed: int) -> Outcome:
    """Seed, damage, repair; raises AssertionError where something was missed or touched."""
    repair = Options(repair=True, share=1)

    def compared(options: Options = repair) -> Report:
        return reconcile(Side(source, victim.make(), MappingTable(victim.name, "public.orders"), victim.name), options)

    seeded = compared()
    assert seeded.repaired == rows, seeded
    before = _contents(victim, seeded.differences[0].shape)
    keys = random.Random(seed).sample(range(1, rows + 1), damaged)
    deleted, changed, copied = keys[0::3], keys[1::3], keys[2::3]
    victim.damage(deleted, changed, copied)
    report = compared()
    found = {(d.kind, d.key[0]) for d in report.differences}
    wanted = {("missing", k) for k in deleted} | {("different", k) for k in changed} | {("extra", k + EXTRA) for k in copied}
    assert found == wanted, f"{victim.name}: missed {wanted - found}, made up {found - wanted}"
    after = _contents(victim, seeded.differences[0].shape)
    assert {k: v for k, (v, _) in after.items()} == {k: v for k, (v, _) in before.items()}
    others = before.keys() - set(deleted) - set(changed)
    assert all(before[k] == after[k] for k in others), "a row that was not damaged has another stamp"
    assert compared(Options()).found == 0
    return Outcome(victim.name, damaged, report.found, report.repaired, len(others), report.seconds)


def _contents(victim: Victim, shape: Shape) -> dict[int, tuple[str, Stamp]]:
    sink = victim.make()
    sink.open([shape])
    try:
        return {s.key[0]: (repr(sorted(s.values.items())), s.stamp) for s in sink.read(shape, None, None)}
    finally:
        sink.close()


def postgresql(dsn: str) -> Victim:
    def damage(deleted: list[int], changed: list[int], copied: list[int]) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("DELETE FROM orders WHERE id = ANY (%s)", [deleted])
            conn.execute("UPDATE orders SET name = 'damaged' WHERE id = ANY (%s)", [changed])
            conn.execute(
                "INSERT INTO orders (id, name, pgcharter_lsn) SELECT id + %s, name, pgcharter_lsn FROM orders WHERE id = ANY (%s)",
                [EXTRA, copied],
            )

    return Victim("postgresql", lambda: PostgresqlSink(dsn, name="copy"), damage)


def redis(url: str, form: str) -> Victim:
    """What should not be there is a row whose delete was lost. A key that never was the sink's own is none of its rows."""

    def damage(deleted: list[int], changed: list[int], copied: list[int]) -> None:
        import redis

        stamps = f"pgcharter:copy_{form}:of:orders"
        with redis.Redis.from_url(url, decode_responses=True) as client:
            client.delete(*(f"orders:{k}" for k in deleted))
            for k in changed:
                if form == "hash":
                    client.hset(f"orders:{k}", "name", "damaged")
                else:
                    client.set(f"orders:{k}", json.dumps({**json.loads(client.get(f"orders:{k}")), "name": "damaged"}))
            for k in copied:
                client.copy(f"orders:{k}", f"orders:{k + EXTRA}")
                client.hset(stamps, str(k + EXTRA), client.hget(stamps, str(k)))
                if form == "hash":
                    client.hset(f"orders:{k + EXTRA}", "id", str(k + EXTRA))
                else:
                    client.set(f"orders:{k + EXTRA}", json.dumps({**json.loads(client.get(f"orders:{k}")), "id": k + EXTRA}))

    return Victim(f"redis {form}", lambda: RedisSink(url, f"copy_{form}", form=form), damage)


def clickhouse(url: str) -> Victim:
    """Rows of the same version replace what is there; a mutation deletes."""

    def damage(deleted: list[int], changed: list[int], copied: list[int]) -> None:
        http = Http(url)
        listed = [",".join(map(str, keys)) for keys in (deleted, changed, copied)]
        columns = [c for (c, *_) in http.table("DESCRIBE TABLE orders")]
        for of, sets in ((listed[1], {"name": "'damaged'"}), (listed[2], {"id": f"id + {EXTRA}"})):
            made = ", ".join(sets.get(c, f"`{c}`") for c in columns)
            http.run(f"INSERT INTO orders SELECT {made} FROM orders FINAL WHERE id IN ({of})")
        http.run(f"ALTER TABLE orders DELETE WHERE id IN ({listed[0]})")
        until = time.monotonic() + 30
        while http.table("SELECT count() FROM system.mutations WHERE NOT is_done") != http.table("SELECT 0"):
            assert time.monotonic() < until, "the mutation does not end"
            time.sleep(0.05)
        http.close()

    return Victim("clickhouse", lambda: ClickHouseSink(url, "copy"), damage)


def files(folder: Path, kind: str) -> Victim:
    form = Jsonl() if kind == "jsonl" else Parquet()

    def damage(deleted: list[int], changed: list[int], copied: list[int]) -> None:
        sink = FilesSink(folder, form)
        sink.close()
        manifest = files_manifest.read(folder, kind)
        for file in manifest.of("orders"):
            shape = _shape(file)
            rows = []
            for row in form.read(folder / file.name, shape):
                k = row.key[0]
                if row.op == "put" and k in changed:
                    row = row._replace(values={**row.values, "name": "damaged"})
                if row.op != "put" or k not in deleted:
                    rows.append(row)
                if row.op == "put" and k in copied:
                    rows.append(Row(shape, "put", (k + EXTRA,), {**row.values, "id": k + EXTRA}, row.stamp))
            (folder / file.name).write_bytes(form.written(shape, rows))

    def _shape(file: Any) -> Shape:
        from pgcharter.stream.model import Field

        types = {"id": "bigint", "name": "text", "amount": "numeric(12,2)", "at": "timestamp with time zone", "ok": "boolean"}
        return Shape("orders", tuple(Field(n, t, n == "id") for n, t in types.items()), "public.orders")

    return Victim(kind, lambda: FilesSink(folder, form), damage)


@contextmanager
def source(rows: int) -> Iterator[tuple[str, str]]:
    """A database with rows, and an empty one."""
    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE copy")
            own_tables(server.dsn())
            conn.execute(TABLE)
            conn.execute(FILL, [rows])
        yield server.dsn(), server.dsn("copy")


def outcomes(rows: int, damaged: int) -> Iterator[Outcome]:
    """Every store in turn."""
    with source(rows) as (dsn, copy), tempfile.TemporaryDirectory() as folder:
        yield attack(dsn, postgresql(copy), rows, damaged, 1)
        yield attack(dsn, files(Path(folder) / "a", "jsonl"), rows, damaged, 2)
        yield attack(dsn, files(Path(folder) / "b", "parquet"), rows, damaged, 3)
        with servers.running("clickhouse-server") as server:
            yield attack(dsn, clickhouse(server.url), rows, damaged, 4)
        for form in ("hash", "json"):
            with servers.running("redis-server") as server:
                yield attack(dsn, redis(server.url, form), rows, damaged, 5)


if __name__ == "__main__":
    for outcome in outcomes(*(map(int, sys.argv[1:]) if len(sys.argv) == 3 else (5_000, 100))):
        sys.stdout.write(f"{outcome}\n")
