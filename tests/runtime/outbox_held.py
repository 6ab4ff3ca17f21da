"""A snapshot that is held while messages flow: `python -m tests.runtime.outbox_held --minutes 10`.

Messages are published and relayed at a steady rate while a transaction that is REPEATABLE READ stays open; beside them the same go through
a table that a worker empties by DELETE … SKIP LOCKED, as queues are often built. Nothing of the dead rows of the latter can be removed, and
each look passes over all of them; the ring is emptied by TRUNCATE, and the cursor is read by its address.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
from tests.runtime import own_tables

from pgcharter.runtime.database import Database
from pgcharter.runtime.feeds_model import FeedSettings
from pgcharter.runtime.outbox import Outgoing, publish_many
from pgcharter.runtime.outbox_relay import Relay, Route
from pgcharter.runtime.targets import Call
from pgcharter.servers import binaries, lifecycle

_SIZES = """
SELECT (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'pgcharter.outbox'::regclass)::bigint,
       pg_total_relation_size('pgcharter.feeds'), pg_total_relation_size('queue')
"""
_TAKE = "DELETE FROM queue WHERE id IN (SELECT id FROM queue ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED) RETURNING at"


@dataclass
class Span:
    """What was seen in a part of the time."""

    relay: list[float] = field(default_factory=list)
    queue: list[float] = field(default_factory=list)
    sizes: tuple[int, int, int] = (0, 0, 0)
    """Bytes of the ring, of the cursors, and of the queue at its end."""

    def __str__(self) -> str:
        ring, cursors, queue = (size / 1e6 for size in self.sizes)
        return (
            f"relay p50 {_ms(self.relay, 50):6.2f} ms p95 {_ms(self.relay, 95):7.2f} ms, ring {ring:6.2f} MB, cursors {cursors:6.2f} MB |"
            f" queue p50 {_ms(self.queue, 50):7.2f} ms p95 {_ms(self.queue, 95):7.2f} ms, {queue:6.2f} MB"
        )


def _ms(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] * 1e3 if len(values) > 1 else 0.0


def held(dsn: str, seconds: float, spans: int = 10, rate: int = 500, full: int = 256 << 10, tell: Any = None) -> list[Span]:
    """Spans of equal length; the snapshot is taken at the beginning of the first."""
    own_tables.install(dsn, "messaging")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at float8 NOT NULL, body text NOT NULL)")
    found = [Span()]
    over = threading.Event()
    with Database(dsn) as db, psycopg.connect(dsn) as reader:
        call = Call(lambda m: found[-1].relay.append(time.perf_counter() - m.payload["at"]))
        relay = Relay(db, [Route("held", call, settings=FeedSettings(poll_most=0.01))], full=full, rotate_every=0.2)
        threads = [threading.Thread(target=t) for t in (relay.run, lambda: _queue(dsn, found, over), lambda: _publish(dsn, rate, over))]
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT txid_current(), count(*) FROM pg_class")
        for thread in threads:
            thread.start()
        try:
            for _ in range(spans):
                time.sleep(seconds / spans)
                with psycopg.connect(dsn, autocommit=True) as conn:
                    found[-1].sizes = conn.execute(_SIZES).fetchall()[0]  # type: ignore[assignment]
                if tell:
                    tell(str(found[-1]))
                found.append(Span())
        finally:
            over.set()
            relay.stop()
            for thread in threads:
                thread.join()
    return found[:-1]


def _publish(dsn: str, rate: int, over: threading.Event) -> None:
    """The same to both, five at a time."""
    with psycopg.connect(dsn) as conn:
        due = time.monotonic()
        while not over.is_set():
            now = time.perf_counter()
            publish_many(conn, [Outgoing("t", {"at": now, "text": "x" * 200}, key=n) for n in range(5)])
            conn.execute("INSERT INTO queue (at, body) SELECT %s, repeat('x', 200) FROM generate_series(1, 5)", (now,))
            conn.commit()
            due = max(due + 5 / rate, time.monotonic() - 1)
            over.wait(max(0.0, due - time.monotonic()))


def _queue(dsn: str, found: list[Span], over: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not over.is_set():
            rows = conn.execute(_TAKE).fetchall()
            now = time.perf_counter()
            found[-1].queue += [now - at for (at,) in rows]
            if not rows:
                over.wait(0.005)


def main() -> int:
    """Run it for so long and print ten spans."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=500, help="messages a second")
    arguments = parser.parse_args()
    with lifecycle.start_ephemeral(binaries.choose(None), settings={"synchronous_commit": True}) as server:
        held(server.dsn(), arguments.minutes * 60, rate=arguments.rate, tell=lambda text: print(text, flush=True))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
