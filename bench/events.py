"""The event store beside `eventsourcing` (its functions in the database on) and a bare stored function: 4 threads, and reading all.

`python -m bench.events [rounds] [seconds]`. Each round runs every form in turn for so many seconds; printed are medians over the rounds,
their ratio to the first form, and the processor time of client and server for an event. Every append is of a new aggregate, 240 bytes of
payload for each event, and committed; synchronous_commit and fsync are on. The server is on the same machine, by a Unix socket.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.runtime.database import Database
from pgcharter.runtime.events import Append, New, append, read_all, stream
from pgcharter.runtime.events_writer import Writer
from pgcharter.runtime.pools import PoolSize
from pgcharter.servers import binaries, lifecycle

WRITERS = 4
SETTINGS: dict[str, Any] = {"synchronous_commit": True, "fsync": True, "max_wal_size": "4GB"}
DATA = {"customer": "Ada Lovelace, 12 Long Street, Graz", "lines": [{"sku": f"sku-{n}", "quantity": n, "price": "12.50"} for n in range(4)]}
BODY = json.dumps(DATA)
BARE = """
CREATE TABLE bare (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, aggregate_id uuid NOT NULL, event_version integer NOT NULL,
    event_type text NOT NULL, event_data jsonb NOT NULL, metadata jsonb, created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (aggregate_id, event_version));
CREATE FUNCTION bare_append(id uuid, base int, types text[], data jsonb[]) RETURNS bigint LANGUAGE sql AS $$
    WITH made AS (INSERT INTO bare (aggregate_id, event_version, event_type, event_data)
                  SELECT id, base + o, t, d FROM unnest(types, data) WITH ORDINALITY u(t, d, o) RETURNING position)
    SELECT max(position) FROM made $$
"""
Once = Callable[[int, int], Any]
"""Append so many events of a new aggregate, and commit; the second number is the thread's."""


def run(rounds: int = 5, seconds: float = 1.0) -> None:
    """Measure all forms and print them."""
    with (
        lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server,
        ExitStack() as stack,
    ):
        dsn = server.dsn()
        _install(dsn)
        with psycopg.connect(dsn) as conn:
            said = {name: conn.execute(f"SHOW {name}".encode()).fetchone() for name in ("synchronous_commit", "fsync")}
        print(f"machine load {os.getloadavg()[0]:.1f}; " + ", ".join(f"{k} {v[0]}" for k, v in said.items() if v))
        forms = {name: stack.enter_context(made(dsn)) for name, made in _FORMS.items()}
        for count in (1, 10, 100):
            taken: dict[str, list[float]] = {name: [] for name in forms}
            spent: dict[str, list[float]] = {name: [] for name in forms}
            for _ in range(rounds):
                for name, once in forms.items():
                    once(count, 0)
                    before, began = _spent(dsn), time.perf_counter()
                    taken[name].append(_rate(once, count, seconds) * count)
                    spent[name].append((_spent(dsn) - before) / (taken[name][-1] * (time.perf_counter() - began)) * 1e6)
            _print(f"{WRITERS} × {count}", taken, spent)
        _print("read all", _reading(dsn, forms, rounds))


def _install(dsn: str) -> None:
    section = MessagingSection(parts=("events",))
    planned = planning.make(Wish("", dsn, chosen=Chosen((messaging.policy(section),)), prove=False))
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in planned.plan.steps:
            conn.execute(step.sql.encode())
        conn.execute(BARE.encode())


def _spent(dsn: str) -> float:
    """Processor seconds of this process and of all server processes that there are now (proc(5): schedstat, nanoseconds)."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        pids = [row[0] for row in conn.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]
    files = [Path(f"/proc/{pid}/schedstat") for pid in pids]
    return time.process_time() + sum(int(f.read_text().split()[0]) for f in files if f.exists()) / 1e9


def _rate(once: Once, count: int, seconds: float) -> float:
    """Calls a second of so many threads."""
    done, end = itertools.count(), time.perf_counter() + seconds

    def work(thread: int) -> None:
        while time.perf_counter() < end:
            once(count, thread)
            next(done)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(WRITERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return next(done) / (time.perf_counter() - began)


@contextmanager
def _eventsourcing(dsn: str) -> Iterator[Once]:
    recorder = _recorder(dsn)
    from eventsourcing.persistence import StoredEvent

    def once(count: int, _: int) -> None:
        own = uuid.uuid4()
        recorder.insert_events([StoredEvent(own, n, "order:OrderPlaced", json.dumps(DATA).encode()) for n in range(1, count + 1)])

    yield once
    recorder.datastore.close()


def _recorder(dsn: str) -> Any:
    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

    said = conninfo_to_dict(dsn)
    store = PostgresDatastore(
        str(said["dbname"]), str(said["host"]), str(said["port"]), str(said["user"]), str(said.get("password", "")),
        pool_size=WRITERS, max_overflow=WRITERS, enable_db_functions=True,
    )  # fmt: skip
    recorder = PostgresApplicationRecorder(store, events_table_name="stored_events")
    recorder.create_table()
    return recorder


@contextmanager
def _bare(dsn: str) -> Iterator[Once]:
    conns = [psycopg.connect(dsn, autocommit=True) for _ in range(WRITERS)]
    call = "SELECT bare_append(%s, 0, string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')::jsonb[])"

    def once(count: int, thread: int) -> None:
        types, data = "\n".join(["order-placed"] * count), "\n".join([json.dumps(DATA) for _ in range(count)])
        conns[thread].execute(call, (uuid.uuid4(), types, data)).fetchone()

    yield once
    for conn in conns:
        conn.close()


@contextmanager
def _transaction(dsn: str) -> Iterator[Once]:
    conns = [psycopg.connect(dsn) for _ in range(WRITERS)]

    def once(count: int, thread: int) -> None:
        append(conns[thread], "order", uuid.uuid4(), [New("order-placed", DATA) for _ in range(count)], expected=0)
        conns[thread].commit()

    yield once
    for conn in conns:
        conn.close()


@contextmanager
def _writer(dsn: str) -> Iterator[Once]:
    with Database(dsn, size=PoolSize(min=2, max=4)) as db:
        writer = Writer(db)

        def once(count: int, _: int) -> None:
            writer.append(Append("order", uuid.uuid4(), [New("order-placed", DATA) for _ in range(count)], 0))

        yield once


_FORMS: dict[str, Any] = {
    "eventsourcing": _eventsourcing, "bare function": _bare, "pgcharter, a transaction each": _transaction, "pgcharter, Writer": _writer,
}  # fmt: skip


def _reading(dsn: str, forms: dict[str, Once], rounds: int) -> dict[str, list[float]]:
    """Events a second, of what the rounds before have left, at most 100,000."""
    taken: dict[str, list[float]] = {name: [] for name in ("eventsourcing", "pgcharter") if name in forms or name == "pgcharter"}
    peer = _recorder(dsn) if "eventsourcing" in forms else None
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
    for _ in range(rounds):
        if peer is not None:
            taken["eventsourcing"].append(
                _read(lambda after: [n.id for n in peer.select_notifications(after, 1000, inclusive_of_start=False)])
            )
        with psycopg.connect(dsn) as conn:
            began, count = time.perf_counter(), 0
            for _ in itertools.islice(stream(conn, read_all, batch=1000), 100_000):
                count += 1
            taken["pgcharter"].append(count / (time.perf_counter() - began))
    if peer is not None:
        peer.datastore.close()
    return taken


def _read(some: Callable[[int], list[int]]) -> float:
    began, count, last = time.perf_counter(), 0, 0
    while count < 100_000 and (ids := some(last)):
        count, last = count + len(ids), ids[-1]
    return count / (time.perf_counter() - began)


def _print(title: str, taken: dict[str, list[float]], spent: dict[str, list[float]] | None = None) -> None:
    first = next(iter(taken))
    base = statistics.median(taken[first])
    for name, rates in taken.items():
        median, own = statistics.median(rates), statistics.median(spent[name]) if spent else 0
        of = f"   {own:7.1f} µs processor an event   {statistics.median(spent[first]) / own:.2f}×" if spent and own else ""
        print(
            f"{title:10} {name:30} {median:10,.0f} events/s  {min(rates):10,.0f} – {max(rates):,.0f}   {median / base:.2f}×{of}", flush=True
        )


if __name__ == "__main__":
    run(*(kind(a) for kind, a in zip((int, float), sys.argv[1:], strict=False)))
