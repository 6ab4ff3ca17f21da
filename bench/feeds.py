"""Feeds: messages a second inside and outside of transactions, what a look costs, and the time from commit to handler.

`python -m bench.feeds [messages]`. The server is on the same machine, by a Unix socket, with fsync off and synchronous_commit on. The usual
cursor (`position > n`, which loses messages) reads the same table beside it, with the same handler.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.runtime.database import Database
from pgcharter.runtime.events import LOG, New, append
from pgcharter.runtime.feeds import Feed, FeedSettings, Inside, Outside
from pgcharter.runtime.feeds_wake import Waker
from pgcharter.servers import binaries, lifecycle

MESSAGES = 100_000
FILL = """
SELECT pgcharter.append_events(
    array_agg('order'::text), array_agg(gen_random_uuid()), array_agg(-1), array_agg(10),
    ARRAY(SELECT 'happened'::text FROM generate_series(1, 1000)),
    ARRAY(SELECT '{"total": "12.50", "lines": [1, 2, 3]}'::jsonb FROM generate_series(1, 1000)))
  FROM generate_series(1, 100)
"""
KEEP = "INSERT INTO read_model SELECT unnest(%s::bigint[])"


@contextmanager
def made() -> Iterator[str]:
    """A server with an empty event store and a table to write to."""
    settings: dict[str, Any] = {"synchronous_commit": True, "shared_buffers": "256MB"}
    with lifecycle.start_ephemeral(binaries.choose(None), settings=settings) as server:
        planned = planning.make(Wish("", server.dsn(), chosen=Chosen((messaging.policy(MessagingSection()),)), prove=False))
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            for step in planned.plan.steps:
                conn.execute(step.sql.encode())
            conn.execute("CREATE TABLE read_model (position bigint)")
        yield server.dsn()


def run(messages: int = MESSAGES) -> None:
    """Measure and print."""
    with made() as dsn, Database(dsn) as db:
        with psycopg.connect(dsn, autocommit=True) as conn:
            for _ in range(messages // 1000):
                conn.execute(FILL.encode())
            conn.execute("ANALYZE")
        _rates(dsn, db, messages)
        _look(db)
        for listen in (False, True):
            _lag(db, listen)


def _rates(dsn: str, db: Database, messages: int) -> None:
    def keep(work: Any, events: Any) -> None:
        work.conn.execute(KEEP, ([e.position for e in events],))

    count = [0]

    def deliver(events: Any) -> None:
        count[0] += len(events)

    def feed(name: str, way: Any, **more: Any) -> Callable[[], None]:
        return lambda: _all(Feed(db, LOG, name, way, **more), messages)

    big = FeedSettings(batch=2000)
    forms: dict[str, Callable[[], None]] = {
        "usual cursor, batches of 500": lambda: _usual(dsn, deliver),
        "outside, batches of 500": feed("o", Outside(deliver, ordered=True)),
        "outside, batches of 2000": feed("o2", Outside(deliver, ordered=True), settings=big),
        "outside, 4 slots, 1 worker": feed("o4", Outside(deliver, ordered=True), settings=big, slots=4),
        "outside, one at a time": feed("s", Outside(lambda event: deliver([event]), single=True), settings=big),
        "inside, batches of 500": feed("i", Inside(keep)),
        "inside, batches of 2000": feed("i2", Inside(keep), settings=big),
        "inside, each a statement": feed("is", Inside(lambda work, e: keep(work, [e]), single=True), settings=big),
    }
    print(f"{messages} events of the store")
    first = 0.0
    for name, form in forms.items():
        began = time.perf_counter()
        form()
        rate = messages / (time.perf_counter() - began)
        first = first or rate
        print(f"  {name:32} {rate:10,.0f} /s  {rate / first:5.2f}")


def _all(feed: Feed[Any], messages: int) -> None:
    assert feed.catch_up() == messages


def _usual(dsn: str, deliver: Callable[[Any], None]) -> None:
    sql = f"SELECT {', '.join(LOG.columns)} FROM pgcharter.events l WHERE l.position > %s ORDER BY l.position LIMIT 500"
    at = 0
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS usual (position bigint); INSERT INTO usual VALUES (0)")
        while rows := [LOG.message(*row) for row in conn.execute(sql.encode(), (at,)).fetchall()]:
            deliver(rows)
            at = rows[-1].position
            conn.execute("UPDATE usual SET position = %s", (at,))


def _look(db: Database) -> None:
    """A look when there is nothing to do."""
    feed = Feed(db, LOG, "look", Outside(lambda _: None), start="now")
    from pgcharter.runtime.colours import driven

    times = []
    for _ in range(2000):
        began = time.perf_counter()
        driven(feed._looked())
        times.append(time.perf_counter() - began)
    driven(feed._left())
    print(f"a look at nothing: {statistics.median(times) * 1e6:.0f} µs")


def _lag(db: Database, listen: bool, number: int = 200) -> None:
    """From the return of COMMIT to the handler."""
    came: list[float] = []
    feed = Feed(
        db,
        LOG,
        f"lag-{listen}",
        Outside(lambda _: came.append(time.perf_counter())),
        start="now",
        settings=FeedSettings(listen=listen),
    )
    waker = Waker(db, "events")
    worker = threading.Thread(target=feed.run)
    worker.start()
    time.sleep(0.5)
    lags = []
    for n in range(number):
        time.sleep(0.02 if n % 4 else 0.15)
        db.run(lambda work: _one(work, waker if listen else None))
        done = time.perf_counter()
        while len(came) <= n:
            time.sleep(0.0002)
        lags.append(came[n] - done)
    feed.stop()
    worker.join()
    waker.close()
    lags.sort()
    p50, p99 = lags[len(lags) // 2] * 1e3, lags[int(len(lags) * 0.99)] * 1e3
    print(f"commit to handler, {'LISTEN' if listen else 'looking':8}: p50 {p50:6.2f} ms  p99 {p99:6.2f} ms")


def _one(work: Any, waker: Waker | None) -> None:
    append(work.conn, "order", "00000000-0000-0000-0000-000000000001", [New("happened", {"total": "1"})])
    if waker is not None:
        work.after_commit(waker.poke)


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
