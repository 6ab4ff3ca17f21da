"""Torture of the order of events: `python -m tests.runtime.torture --events 1000000`.

32 writers append with delays, rollbacks, savepoints rolled back, transactions held and prepared, while another database of the server has
an open writer. Subscribers of all kinds read along, and so do the usual cursors, which are shown to lose events or to turn them round.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import sys
import threading
import time
import uuid
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psycopg
from tests.runtime.own_tables import install

from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.feeds import AsyncFeed, Feed, FeedSettings, Inside, Log, Outside
from pgcharter.servers import binaries, lifecycle

SPAWN = multiprocessing.get_context("spawn")
SETTINGS = FeedSettings(batch=2000, poll_least=0.005, poll_most=0.05)
APPEND = """
SELECT pgcharter.append_events(
    %(types)s::text[], %(ids)s::uuid[], %(expected)s::int[], %(counts)s::int[],
    array_agg('happened'::text), array_agg(jsonb_build_object('x', pg_current_xact_id()::text, 'after', %(after)s::bigint)))
  FROM generate_series(1, %(number)s)
"""
AFTER = "SELECT position FROM pgcharter.events WHERE aggregate_id = %s ORDER BY event_version DESC LIMIT 1"
XID = "(event_data ->> 'x')::bigint"
NAIVE = {
    "position > n": "SELECT position, 0 FROM pgcharter.events WHERE position > %(position)s ORDER BY position LIMIT 5000",
    "position > n, xid below xmin": f"SELECT position, 0 FROM pgcharter.events WHERE position > %(position)s"
    f" AND {XID} < pg_snapshot_xmin(pg_current_snapshot())::text::bigint ORDER BY position LIMIT 5000",
    "(xid, position) > n, xid below xmin": f"SELECT position, {XID} FROM pgcharter.events WHERE ({XID}, position) > (%(xid)s, %(position)s)"
    f" AND {XID} < pg_snapshot_xmin(pg_current_snapshot())::text::bigint ORDER BY {XID}, position LIMIT 5000",
}
"""The usual cursors: how they read on from where they were."""


class Event(NamedTuple):
    position: int


LOG: Log[Event] = Log("events", "pgcharter.events", "l.aggregate_id::text", ("l.position",), Event)


# writers


def write(dsn: str, events: int, seed: int, aggregates: int, slow: float) -> None:
    """One writer: `events` events at least, in transactions of all kinds. `slow` scales its pauses."""
    chance = random.Random(seed)
    ids = [uuid.UUID(int=n) for n in range(1, aggregates + 1)]
    left = events
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET lock_timeout = '3s'")
        while left > 0:
            try:
                left -= _transaction(conn, chance, ids, slow)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                conn.execute("ROLLBACK")


def _transaction(conn: psycopg.Connection[Any], chance: random.Random, ids: list[uuid.UUID], slow: float) -> int:
    """One transaction; how many events of it are committed."""
    conn.execute("BEGIN")
    if chance.random() < 0.3:
        conn.execute("INSERT INTO business VALUES (1)")
        time.sleep(slow * chance.random() * 0.01)
    count = _append(conn, chance, ids)
    if chance.random() < 0.2:
        conn.execute("SAVEPOINT s")
        undone = _append(conn, chance, ids)
        if chance.random() < 0.6:
            conn.execute("ROLLBACK TO s")
        else:
            count += undone
    if chance.random() < 0.3:
        time.sleep(slow * (0.3 if chance.random() < 0.05 else chance.random() * 0.01))
        count += _append(conn, chance, ids)
    how = chance.random()
    if how < 0.05:
        name = uuid.uuid4().hex
        conn.execute(f"PREPARE TRANSACTION '{name}'".encode())
        time.sleep(slow * chance.random() * 0.1)
        kept = chance.random() < 0.7
        conn.execute(f"{'COMMIT' if kept else 'ROLLBACK'} PREPARED '{name}'".encode())
        return count if kept else 0
    conn.execute("ROLLBACK" if how < 0.15 else "COMMIT")
    return 0 if how < 0.15 else count


def _append(conn: psycopg.Connection[Any], chance: random.Random, ids: list[uuid.UUID]) -> int:
    """Append to some aggregates what was decided after having seen another one; how many events."""
    chosen = chance.sample(ids, chance.choice((1, 1, 1, 2, 3)))
    counts = [chance.choice((1, 1, 5, 20, 60)) for _ in chosen]
    row = conn.execute(AFTER, (chance.choice(ids),)).fetchone()
    given = {"types": ["thing"] * len(chosen), "ids": chosen, "expected": [-1] * len(chosen), "counts": counts, "number": sum(counts)}
    conn.execute(APPEND, {**given, "after": row[0] if row else None})
    return sum(counts)


def writers(dsn: str, number: int, first: int, events: int, aggregates: int, slow: float) -> None:
    """Some writers as threads of a process."""
    threads = [threading.Thread(target=write, args=(dsn, events, first + n, aggregates, slow)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def disturb(dsn: str, over: Any) -> None:
    """Another database with an open writer, most of the time."""
    with psycopg.connect(dsn) as conn:
        while not over.wait(0.2):
            conn.execute("INSERT INTO elsewhere VALUES (1)")
            over.wait(1.0)
            conn.commit()


# readers


def subscribe(dsn: str, name: str, slots: int, file: str, over: Any) -> None:
    """A subscriber; its positions in the order in which it saw them go into a file."""
    seen = array("q")

    def deliver(events: Any) -> None:
        seen.extend(e.position for e in events)

    def keep(work: Any, events: Any) -> None:
        work.conn.execute("INSERT INTO kept SELECT %s, unnest(%s::bigint[])", (name.partition("/")[0], [e.position for e in events]))

    if name.startswith("async"):
        asyncio.run(_subscribe_async(dsn, name, slots, deliver, over))
    else:
        with Database(dsn) as db:
            way: Any = Inside(keep) if name.startswith("inside") else Outside(deliver, ordered=True)
            feed = Feed(db, LOG, name.partition("/")[0], way, slots=slots, settings=SETTINGS)
            threading.Thread(target=lambda: (over.wait(), feed.stop()), daemon=True).start()
            feed.run()
    Path(file).write_bytes(seen.tobytes())


async def _subscribe_async(dsn: str, name: str, slots: int, deliver: Any, over: Any) -> None:
    async def adeliver(events: Any) -> None:
        deliver(events)

    async with AsyncDatabase(dsn) as db:
        feed = AsyncFeed(db, LOG, name, Outside(adeliver, ordered=True), slots=slots, settings=SETTINGS)
        running = asyncio.create_task(feed.run())
        while not over.is_set():
            await asyncio.sleep(0.05)
        feed.stop()
        await running


def naive(dsn: str, name: str, file: str, over: Any) -> None:
    """One of the usual cursors, until it finds nothing after the end."""
    seen, at = array("q"), {"position": 0, "xid": 0}
    with psycopg.connect(dsn, autocommit=True) as conn:
        while True:
            ended = over.is_set()
            rows = conn.execute(NAIVE[name].encode(), at).fetchall()
            seen.extend(row[0] for row in rows)
            if rows:
                at = {"position": rows[-1][0], "xid": rows[-1][1]}
            elif ended:
                break
            else:
                time.sleep(0.02)
    Path(file).write_bytes(seen.tobytes())


# judgement


@dataclass
class Truth:
    """What is in the table."""

    keys: dict[int, tuple[uuid.UUID, int]] = field(default_factory=dict)
    """Aggregate and version by position."""
    after: dict[int, int] = field(default_factory=dict)
    """Position of an event that the writer had seen."""


def truth(dsn: str) -> Truth:
    found = Truth()
    with psycopg.connect(dsn) as conn, conn.cursor("truth") as cursor:
        cursor.itersize = 20_000
        cursor.execute("SELECT position, aggregate_id, event_version, (event_data ->> 'after')::bigint FROM pgcharter.events")
        for position, aggregate, version, after in cursor:
            found.keys[position] = (aggregate, version)
            if after is not None:
                found.after[position] = after
    return found


@dataclass
class Verdict:
    """How a reader did: all zero is right."""

    lost: int = 0
    twice: int = 0
    never_there: int = 0
    stream_turned: int = 0
    """Events of an aggregate that came before an earlier one of it, or with a gap."""
    cause_turned: int = 0
    """Events that came before one that their writer had seen."""

    @property
    def right(self) -> bool:
        return self == Verdict()


def judged(real: Truth, seen: Any, *, causal: bool = True) -> Verdict:
    """What a reader saw, held against the table. `causal`: it had one slot, so causes come before what they lead to."""
    counts = Counter(seen)
    verdict = Verdict(len(real.keys.keys() - counts.keys()), sum(counts.values()) - len(counts), len(counts.keys() - real.keys.keys()))
    versions: dict[uuid.UUID, int] = {}
    met: set[int] = set()
    for position in seen:
        if position not in real.keys:
            continue
        aggregate, version = real.keys[position]
        verdict.stream_turned += version != versions.get(aggregate, 0) + 1
        versions[aggregate] = version
        met.add(position)
        verdict.cause_turned += causal and real.after.get(position, position) not in met
    return verdict


@contextmanager
def server() -> Iterator[Any]:
    """A server with room for all of them, on which transactions can be prepared."""
    settings: dict[str, Any] = {"max_connections": 150, "max_prepared_transactions": 64, "autovacuum": True, "shared_buffers": "256MB"}
    with lifecycle.start_ephemeral(binaries.choose(18), settings=settings) as made:
        yield made


def prepared(dsn: str) -> tuple[str, str]:
    """The database with the event store, and another one beside it."""
    install(dsn, "messaging")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE business (n int); CREATE TABLE kept (consumer text, position bigint NOT NULL, nth bigserial)")
        conn.execute(f"CREATE INDEX ON pgcharter.events (({XID}), position)".encode())
        conn.execute("CREATE DATABASE elsewhere")
    other = psycopg.conninfo.make_conninfo(dsn, dbname="elsewhere")
    with psycopg.connect(other, autocommit=True) as conn:
        conn.execute("CREATE TABLE elsewhere (n int)")
    return dsn, other


SUBSCRIBERS = {"sync1": 1, "async1": 1, "sync4/a": 4, "sync4/b": 4, "async3": 3, "inside1": 1, "inside4/a": 4, "inside4/b": 4}
"""Slots by name; what shares a consumer has a / in its name."""


def torture(dsn: str, events: int, *, slow: float = 1.0, processes: int = 4, aggregates: int = 5000) -> dict[str, Verdict]:
    """Run it; verdicts by reader."""
    dsn, other = prepared(dsn)
    over = SPAWN.Event()
    with TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / str(n)) for n, name in enumerate((*SUBSCRIBERS, *NAIVE))}
        readers = [SPAWN.Process(target=subscribe, args=(dsn, name, slots, files[name], over)) for name, slots in SUBSCRIBERS.items()]
        readers += [SPAWN.Process(target=naive, args=(dsn, name, files[name], over)) for name in NAIVE]
        readers.append(SPAWN.Process(target=disturb, args=(other, over)))
        each = 32 // processes
        given = [(dsn, each, each * n, -(-events // 32), aggregates, slow) for n in range(processes)]
        working = [SPAWN.Process(target=writers, args=args) for args in given]
        for process in (*readers, *working):
            process.start()
        try:
            _joined(dsn, working)
            _wait_for_all(dsn)
        finally:
            over.set()
            for process in readers:
                process.join(120)
            for process in (*readers, *working):
                if process.is_alive():
                    process.kill()
        return _verdicts(dsn, {name: _positions(file) for name, file in files.items()})


def _joined(dsn: str, working: list[Any]) -> None:
    """Wait for the writers; now and then say how far they are."""
    while any(process.is_alive() for process in working):
        for process in working:
            process.join(5)
        with psycopg.connect(dsn) as conn:
            row = conn.execute("SELECT last_value FROM pgcharter.events_position").fetchone()
            print(f"at {row[0]}" if row else "", file=sys.stderr, flush=True)  # noqa: T201


def _wait_for_all(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        query = "SELECT min(position) >= pgcharter.settled('events') AND count(DISTINCT consumer) = 6 FROM pgcharter.feeds"
        until = time.monotonic() + 600
        while conn.execute(query).fetchone() != (True,) and time.monotonic() < until:
            time.sleep(0.1)


def _positions(file: str) -> Any:
    seen = array("q")
    with suppress(FileNotFoundError):
        seen.frombytes(Path(file).read_bytes())
    return seen


def _verdicts(dsn: str, seen: dict[str, Any]) -> dict[str, Verdict]:
    real = truth(dsn)
    found = {name: judged(real, seen[name]) for name in ("sync1", "async1")}
    found["async3"] = judged(real, seen["async3"], causal=False)
    both = Counter(seen["sync4/a"]) + Counter(seen["sync4/b"])
    found["sync4, 2 workers"] = _of_two(real, seen["sync4/a"], seen["sync4/b"], both)
    with psycopg.connect(dsn) as conn:
        for name in ("inside1", "inside4"):
            rows = conn.execute("SELECT position FROM kept WHERE consumer = %s ORDER BY nth", (name,)).fetchall()
            found[f"{name}, in its transaction"] = judged(real, [row[0] for row in rows], causal=name == "inside1")
    for name in NAIVE:
        found[f"usual: {name}"] = judged(real, seen[name])
    return found


def _of_two(real: Truth, one: Any, two: Any, both: Counter[int]) -> Verdict:
    """Two workers of a consumer, whose order among each other nobody wrote down: each on its own never turns a stream."""
    verdict = Verdict(len(real.keys.keys() - both.keys()), sum(both.values()) - len(both), len(both.keys() - real.keys.keys()))
    for seen in (one, two):
        last: dict[uuid.UUID, int] = {}
        for position in seen:
            aggregate, version = real.keys[position]
            verdict.stream_turned += version <= last.get(aggregate, 0)
            last[aggregate] = version
    return verdict


def report(found: dict[str, Verdict]) -> int:
    """Print verdicts; 1 where one of ours is wrong, or no usual cursor is."""
    width = max(map(len, found))
    print(f"{'':{width}}  {'lost':>8} {'twice':>8} {'stream turned':>14} {'cause turned':>13}")  # noqa: T201
    for name, v in found.items():
        print(f"{name:{width}}  {v.lost:8} {v.twice + v.never_there:8} {v.stream_turned:14} {v.cause_turned:13}")  # noqa: T201
    ours = [v for name, v in found.items() if not name.startswith("usual")]
    return int(not all(v.right for v in ours) or all(v.right for name, v in found.items() if name.startswith("usual")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--slow", type=float, default=1.0)
    given = parser.parse_args()
    with server() as made:
        began = time.monotonic()
        found = torture(made.dsn(), given.events, slow=given.slow)
        with psycopg.connect(made.dsn()) as conn:
            count = conn.execute("SELECT count(*), max(position) FROM pgcharter.events").fetchone()
        print(f"{count[0]} events up to position {count[1]}, 32 writers, {time.monotonic() - began:.0f} s")  # type: ignore[index]  # noqa: T201
        return report(found)


if __name__ == "__main__":
    sys.exit(main())
