"""Feeds on real servers: order, parking, leases, both ways to handle and both colours."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.runtime.feeds_log import LOG, Thing, append, done, keep, made

from pgcharter.errors import UnavailableError
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.feeds import AsyncFeed, Failed, FailedError, Feed, FeedSettings, Inside, Outside, TargetDownError
from pgcharter.runtime.feeds_sql import statement
from pgcharter.runtime.feeds_wake import AsyncListener, Listener, Waker

QUICK = FeedSettings(base=0.001, longest=0.01, attempts=3, lease=2.0)


@pytest.fixture
def conn(database: str) -> Iterator[Any]:
    made(database)
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def db(conn: Any, database: str) -> Iterator[Database]:
    with Database(database) as db:
        yield db


def test_inside_each_once_and_in_order(conn: Any, db: Database) -> None:
    append(conn, *[(f"k{n % 3}", n) for n in range(10)])
    feed = Feed(db, LOG, "c", Inside(keep("c")), settings=FeedSettings(batch=4))
    assert feed.catch_up() == 10
    assert done(conn, "c") == [(f"k{n % 3}", n) for n in range(10)]
    assert feed.catch_up() == 0
    append(conn, ("k0", 99))
    assert Feed(db, LOG, "c", Inside(keep("c"))).catch_up() == 1
    assert len(done(conn, "c")) == 11


def test_outside_and_a_new_consumer_from_now(conn: Any, db: Database) -> None:
    append(conn, ("a", 1))
    got: list[Thing] = []
    feed = Feed(db, LOG, "c", Outside(got.extend), start="now")
    feed.catch_up()
    append(conn, ("a", 2), ("b", 3))
    feed.catch_up()
    assert [t.number for t in got] == [2, 3]


def test_a_failure_parks_its_key_only(conn: Any, db: Database) -> None:
    bad = {2}
    got: list[int] = []

    def deliver(things: Any) -> list[Failed | None]:
        said: list[Failed | None] = []
        for thing in things:
            said.append(Failed("not now") if thing.number in bad else None)
            if thing.number not in bad:
                got.append(thing.number)
        return said

    append(conn, ("a", 1), ("a", 2), ("a", 3), ("b", 4), ("a", 5), ("b", 6))
    feed = Feed(db, LOG, "c", Outside(deliver), settings=FeedSettings(base=0.1, longest=0.1))
    feed.catch_up()
    assert sorted(got) == [1, 4, 6]
    assert conn.execute("SELECT position, state, error FROM pgcharter.parked ORDER BY position").fetchall() == [
        (2, "waiting", "not now"),
        (3, "behind", None),
        (5, "behind", None),
    ]
    append(conn, ("a", 7), ("c", 8))
    bad.clear()
    time.sleep(0.12)
    feed.catch_up()
    assert [n for n in got if n in (1, 2, 3, 5, 7)] == [1, 2, 3, 5, 7]
    assert 8 in got
    assert conn.execute("SELECT count(*) FROM pgcharter.parked").fetchone() == (0,)


@pytest.mark.parametrize("inside", [True, False])
def test_one_that_always_raises_is_dead_and_all_else_goes_on(conn: Any, db: Database, inside: bool) -> None:
    got: list[int] = []

    def each(things: Any) -> None:
        for thing in things:
            if thing.number == 3:
                raise ValueError("no threes")
        got.extend(t.number for t in things)

    def handle(work: Any, things: Any) -> None:
        keep("c")(work, things)
        each(things)

    append(conn, *[(f"k{n % 2}", n) for n in range(8)])
    feed = Feed(db, LOG, "c", Inside(handle) if inside else Outside(each), settings=QUICK)
    for _ in range(20):
        feed.catch_up()
        time.sleep(0.01)
    assert sorted(n for n in got if n % 2 == 0) == [0, 2, 4, 6]
    assert sorted(n for n in got if n % 2) == [1]
    if inside:
        assert sorted(number for _, number in done(conn, "c")) == [0, 1, 2, 4, 6]
    rows = conn.execute("SELECT position, state, attempts, error FROM pgcharter.parked ORDER BY position").fetchall()
    assert [r[:3] for r in rows] == [(4, "dead", 3), (6, "behind", 0), (8, "behind", 0)]
    assert rows[0][3] == "ValueError: no threes"


def test_final_failures_are_dead_at_once(conn: Any, db: Database) -> None:
    def deliver(things: Any) -> None:
        raise FailedError(Failed("never\0", final=True))

    append(conn, ("a", 1))
    Feed(db, LOG, "c", Outside(deliver)).catch_up()
    assert conn.execute("SELECT state, attempts, error FROM pgcharter.parked").fetchone() == ("dead", 1, "never")


def test_a_target_that_is_down_parks_nothing(conn: Any, db: Database) -> None:
    got: list[Any] = []
    down = True

    def deliver(things: Any) -> None:
        if down:
            raise TargetDownError("the broker is away")
        got.extend(things)

    append(conn, ("a", 1), ("b", 2))
    feed = Feed(db, LOG, "c", Outside(deliver), settings=QUICK)
    assert feed.catch_up() == 0
    assert conn.execute("SELECT count(*) FROM pgcharter.parked").fetchone() == (0,)
    down = False
    time.sleep(0.02)
    assert feed.catch_up() == 2
    assert len(got) == 2


def test_open_transactions_hold_back_what_comes_after_them(conn: Any, db: Database, database: str) -> None:
    got: list[int] = []
    feed = Feed(db, LOG, "c", Outside(lambda things: got.extend(t.number for t in things)))
    append(conn, ("a", 1))
    with psycopg.connect(database) as held:
        held.execute("SELECT app.append('b', 2)")
        append(conn, ("c", 3))
        feed.catch_up()
        assert got == [1]
        held.rollback()
        feed.catch_up()
    assert got == [1, 3]


def test_workers_share_slots_and_take_over(conn: Any, db: Database) -> None:
    settings = FeedSettings(lease=0.6, poll_most=0.01)
    got: list[int] = []
    feeds = [Feed(db, LOG, "c", Outside(lambda ts: got.extend(t.number for t in ts)), slots=4, settings=settings) for _ in range(2)]
    threads = [threading.Thread(target=f.run) for f in feeds]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    until = time.monotonic() + 5
    query = "SELECT owner, count(*) FROM pgcharter.feeds GROUP BY owner"
    while sorted(dict(conn.execute(query).fetchall()).values()) != [2, 2] and time.monotonic() < until:
        time.sleep(0.05)
    assert sorted(dict(conn.execute(query).fetchall()).values()) == [2, 2]
    append(conn, *[(f"k{n}", n) for n in range(50)])
    feeds[0].stop()
    threads[0].join(5)
    append(conn, *[(f"k{n}", 100 + n) for n in range(50)])
    while len(got) < 100 and time.monotonic() < until:
        time.sleep(0.02)
    feeds[1].stop()
    threads[1].join(5)
    assert sorted(got) == [*range(50), *range(100, 150)]
    assert conn.execute("SELECT count(*) FROM pgcharter.feeds WHERE owner IS NOT NULL").fetchone() == (0,)


def test_async(conn: Any, database: str) -> None:
    append(conn, *[(f"k{n % 3}", n) for n in range(10)])
    got: list[int] = []

    async def handle(work: Any, things: Any) -> None:
        if any(t.number == 4 for t in things):
            raise ValueError("no fours")
        for thing in things:
            await work.conn.execute("INSERT INTO app.done (consumer, position, key, number) VALUES ('a', %s, %s, %s)", thing)

    async def deliver(things: Any) -> None:
        await asyncio.sleep(0)
        got.extend(t.number for t in things)

    async def main() -> None:
        async with AsyncDatabase(database) as db:
            await AsyncFeed(db, LOG, "a", Inside(handle), settings=QUICK).catch_up()
            feed = AsyncFeed(db, LOG, "b", Outside(deliver), slots=3)
            running = asyncio.create_task(feed.run())
            while len(got) < 10:
                await asyncio.sleep(0.01)
            feed.stop()
            await running

    asyncio.run(main())
    assert sorted(got) == list(range(10))
    assert [n for _, n in done(conn, "a")] == [0, 1, 2, 3, 5, 6, 8, 9]


def test_without_tables_or_rights(database: str, conn: Any) -> None:
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("ALTER SCHEMA pgcharter RENAME TO gone")
    with Database(database) as db, pytest.raises(UnavailableError, match="c can have no cursors here: relation"):
        Feed(db, LOG, "c", Outside(print)).catch_up()


@pytest.mark.direct("it listens")
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_woken(conn: Any, database: str, colour: str) -> None:
    """Whoever listens has it long before it would look by itself."""
    came: list[float] = []
    settings = FeedSettings(listen=True, poll_least=5.0, poll_most=5.0)

    def work() -> None:
        time.sleep(0.5)
        append(conn, ("a", 1))
        with Database(database) as db:
            waker = Waker(db, "events")
            waker.poke()
            waker.close()

    thread = threading.Thread(target=work)
    thread.start()
    began = time.monotonic()
    if colour == "sync":
        with Database(database) as db:
            feed = Feed(db, LOG, "c", Outside(lambda _: (came.append(time.monotonic()), feed.stop()), single=True), settings=settings)
            feed.run()
    else:

        async def main() -> None:
            async with AsyncDatabase(database) as db:
                feed = AsyncFeed(
                    db, LOG, "c", Outside(lambda _: (came.append(time.monotonic()), feed.stop()), single=True), settings=settings
                )
                await feed.run()

        asyncio.run(main())
    thread.join()
    assert 0.4 < came[0] - began < 4.5


CUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
 WHERE datname = current_database() AND query LIKE 'SELECT pg_catalog.pg_backend_pid%' AND pid <> pg_backend_pid()
"""


@pytest.mark.direct("it listens")
def test_who_has_just_begun_to_listen_looks_at_once(conn: Any, db: Database, database: str) -> None:
    """What was said before, or while the connection was gone, it has not heard."""
    listener = Listener(db, "events")
    assert [listener.wait(seconds, lambda: False) for seconds in (5.0, 0.01)] == [True, False]
    assert conn.execute(CUT).fetchall() == [(True,)]
    began = time.monotonic()
    assert listener.wait(10.0, lambda: False)
    assert time.monotonic() - began < 5.0
    listener.close()

    async def main() -> None:
        async with AsyncDatabase(database) as other:
            listener, never = AsyncListener(other, "events"), asyncio.Event()
            assert [await listener.wait(seconds, never) for seconds in (5.0, 0.01)] == [True, False]
            assert conn.execute(CUT).fetchall() == [(True,)]
            assert await listener.wait(10.0, never)
            await listener.close()

    asyncio.run(main())


def test_a_slot_is_read_in_order_without_sorting(conn: Any) -> None:
    """A sort would read all that is settled for each batch."""
    settings = FeedSettings()
    conn.execute("INSERT INTO app.things (position, key, number) SELECT n, 'k' || n % 100, n FROM generate_series(1, 100000) n")
    conn.execute("VACUUM ANALYZE app.things")
    sql = statement("fetch", LOG, slotted=True, was=True)
    named = {"after": 0, "upto": settings.span, "batch": settings.batch, "slots": 4, "slot": 1, "was_slots": 2, "was": [5, 7]}
    rows = conn.execute(f"EXPLAIN {sql}", {**named, "log": "events", "consumer": "c"})
    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using things_pkey" in plan
    assert "Sort" not in plan
