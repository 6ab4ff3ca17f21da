"""What a person does with consumers, and what befalls them: paused, set anew, spread anew, archived, fenced."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.runtime.feeds_log import LOG, Thing, append, done, keep, made

from pgcharter.errors import RefusedError, UsageError
from pgcharter.runtime import feeds_manage as manage
from pgcharter.runtime.database import Database
from pgcharter.runtime.feeds import Feed, FeedSettings, Inside, Outside, StaleFeedError
from pgcharter.runtime.feeds_sql import statement

QUICK = FeedSettings(base=0.001, longest=0.002, attempts=2, lease=2.0, batch=3)


@pytest.fixture
def conn(database: str) -> Iterator[Any]:
    made(database)
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def db(conn: Any, database: str) -> Iterator[Database]:
    with Database(database) as db:
        yield db


def test_a_change_of_slots_reads_nothing_twice_and_leaves_nothing_out(conn: Any, db: Database) -> None:
    append(conn, *[(f"k{n % 7}", n) for n in range(60)])

    def feed(batch: int = 500, consumer: str = "c") -> Feed[Thing]:
        return Feed(db, LOG, consumer, Inside(keep("c")), slots=3, settings=FeedSettings(batch=batch))

    feed(consumer="d").catch_up()
    conn.execute("DELETE FROM app.done; UPDATE pgcharter.feeds SET consumer = 'c'")
    # as if slots had come differently far
    conn.execute("UPDATE pgcharter.feeds SET position = CASE slot WHEN 0 THEN 10 WHEN 1 THEN 33 ELSE 60 END WHERE consumer = 'c'")
    slot = "(hashtextextended(key, 0) & 9223372036854775807) % 3"
    conn.execute(
        f"INSERT INTO app.done (consumer, position, key, number) SELECT 'c', position, key, number FROM app.things"
        f" WHERE position <= CASE {slot} WHEN 0 THEN 10 WHEN 1 THEN 33 ELSE 60 END ORDER BY position".encode()
    )
    with conn.transaction():
        manage.reslot(conn, "c", 5)
    with pytest.raises(RefusedError, match="has not passed yet"), conn.transaction():
        manage.reslot(conn, "c", 2)
    feed(4).catch_up()
    got = done(conn, "c")
    assert sorted(got) == sorted((f"k{n % 7}", n) for n in range(60))
    for key in range(7):
        assert [n for k, n in got if k == f"k{key}"] == [n for n in range(60) if n % 7 == key]
    with conn.transaction():
        manage.reslot(conn, "c", 2)
    append(conn, ("k1", 100))
    feed().catch_up()
    assert len(done(conn, "c")) == 61


def test_paused_then_resumed(conn: Any, db: Database) -> None:
    append(conn, ("a", 1))
    got: list[Any] = []
    feed = Feed(db, LOG, "c", Outside(got.extend))
    feed.catch_up()
    with conn.transaction():
        manage.pause(conn, "c")
    append(conn, ("a", 2))
    assert feed.catch_up() == 0
    with conn.transaction():
        manage.resume(conn, "c")
    assert feed.catch_up() == 1
    with pytest.raises(UsageError, match="that is paused"), conn.transaction():
        manage.resume(conn, "c")
    with pytest.raises(UsageError, match="no consumer 'x'"), conn.transaction():
        manage.pause(conn, "x")


def test_set_anew(conn: Any, db: Database) -> None:
    append(conn, ("a", 1), ("a", 2))
    time.sleep(0.02)
    middle = datetime.now(UTC)
    append(conn, ("a", 3), ("b", 4))
    feed = Feed(db, LOG, "c", Inside(keep("c")))
    feed.catch_up()
    for to, count in (("first", 4), (1, 3), (middle, 2), ("now", 0), (middle + timedelta(days=1), 0)):
        conn.execute("DELETE FROM app.done")
        with conn.transaction():
            manage.reset(conn, LOG, "c", to)  # type: ignore[arg-type]
        feed.catch_up()
        assert len(done(conn, "c")) == count, to


def test_what_is_parked_is_read_again_after_a_reset(conn: Any, db: Database) -> None:
    bad = {1, 2}

    def handle(work: Any, things: Any) -> None:
        if any(t.number in bad for t in things):
            raise ValueError("bad")
        keep("c")(work, things)

    append(conn, ("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5))
    feed = Feed(db, LOG, "c", Inside(handle), settings=FeedSettings(base=100))
    feed.catch_up()
    with conn.transaction():
        manage.reset(conn, LOG, "c", 1)
        assert [(p.key, p.position, p.state) for p in manage.parked(conn, "c")] == [("a", 1, "waiting")]
    bad.clear()
    feed.catch_up()
    assert done(conn, "c") == [("b", 2), ("b", 4)]
    with conn.transaction():
        manage.requeue(conn, "c", "a")
    feed.catch_up()
    assert done(conn, "c") == [("b", 2), ("b", 4), ("a", 1), ("a", 3), ("a", 5)]


def test_requeue_and_skip(conn: Any, db: Database) -> None:
    bad = {1}

    def handle(work: Any, things: Any) -> None:
        if any(t.number in bad for t in things):
            raise ValueError("bad")
        keep("c")(work, things)

    append(conn, ("a", 1), ("a", 2), ("a", 3), ("b", 4))
    feed = Feed(db, LOG, "c", Inside(handle), settings=QUICK)
    for _ in range(5):
        feed.catch_up()
        time.sleep(0.01)
    with conn.transaction():
        assert [p.state for p in manage.parked(conn, "c")] == ["dead", "behind", "behind"]
        assert manage.requeue(conn, "c") == 1
    for _ in range(5):
        feed.catch_up()
        time.sleep(0.01)
    with conn.transaction():
        assert len(manage.parked(conn, "c", "dead")) == 1
        assert manage.skip(conn, "c", "a", 2) == 1
        assert manage.skip(conn, "c", "a", 1) == 1
    feed.catch_up()
    assert done(conn, "c") == [("b", 4), ("a", 3)]
    with conn.transaction():
        assert manage.parked(conn, "c") == []
        assert manage.skip(conn, "c", "a") == 0
        manage.forget(conn, "c")
    assert conn.execute("SELECT count(*) FROM pgcharter.feeds").fetchone() == (0,)


def test_status(conn: Any, db: Database) -> None:
    append(conn, *[(f"k{n}", n) for n in range(10)])
    Feed(db, LOG, "c", Inside(keep("c")), slots=2, settings=FeedSettings(batch=3)).catch_up()
    append(conn, *[(f"k{n}", n) for n in range(10)])
    time.sleep(0.01)
    with conn.transaction():
        rows = manage.status(conn, LOG)
    assert [(r.consumer, r.slot, r.slots, r.position, r.state, r.settled) for r in rows] == [("c", s, 2, 10, "running", 20) for s in (0, 1)]
    assert sum(r.rows for r in rows) == 10
    assert all(0.005 < r.seconds < 60 for r in rows)
    assert all((r.parked, r.dead, r.owner) == (0, 0, None) for r in rows)


def test_a_consumer_older_than_the_data_stands_still(conn: Any, db: Database) -> None:
    append(conn, ("a", 1), ("a", 2), ("a", 3))
    feed = Feed(db, LOG, "c", Inside(keep("c")), start=1)
    with conn.transaction():
        conn.execute("INSERT INTO pgcharter.logs VALUES ('events', 2); DELETE FROM app.things WHERE position <= 2")
    with pytest.raises(StaleFeedError, match="has read log events up to 1 in slot 0, and what comes up to 2 has been archived"):
        feed.catch_up()
    assert feed.catch_up() == 0
    with conn.transaction():
        assert manage.status(conn, LOG)[0].state == "stale"
    with pytest.raises(RefusedError, match="archived up to 2"), conn.transaction():
        manage.reset(conn, LOG, "c", 1)
    with conn.transaction():
        assert manage.reset(conn, LOG, "c", "first") == 2
    feed.catch_up()
    assert done(conn, "c") == [("a", 3)]
    Feed(db, LOG, "new", Inside(keep("new"))).catch_up()
    assert done(conn, "new") == [("a", 3)]


def test_who_lost_the_lease_writes_nothing(conn: Any, db: Database) -> None:
    append(conn, ("a", 1))
    inside, go = threading.Event(), threading.Event()

    def slow(work: Any, things: Any) -> None:
        keep("c")(work, things)
        inside.set()
        go.wait(5)

    feed = Feed(db, LOG, "c", Inside(slow))
    thread = threading.Thread(target=feed.catch_up)
    thread.start()
    inside.wait(5)
    with conn.transaction():
        manage.pause(conn, "c")
        manage.resume(conn, "c")
    Feed(db, LOG, "c", Inside(keep("c"))).catch_up()
    go.set()
    thread.join(5)
    assert done(conn, "c") == [("a", 1)]


@pytest.mark.parametrize("jump", ["1 h", "-1 h"])
def test_a_clock_that_jumps(conn: Any, db: Database, jump: str) -> None:
    append(conn, ("a", 1), ("a", 2))
    feed = Feed(db, LOG, "c", Inside(keep("c")), settings=FeedSettings(batch=1))
    conn.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position, owner) VALUES ('c', 0, 1, 'events', 0, 'gone')")
    query = "UPDATE pgcharter.feeds SET leased_at = now() - %s::interval, lease_until = now() + interval '15 s' - %s::interval"
    conn.execute(query, (jump, jump))
    assert feed.catch_up() == 2


def test_queries_use_indexes(conn: Any, database: str) -> None:
    conn.execute("INSERT INTO app.things (position, key, number) SELECT n, n::text, n FROM generate_series(1, 20000) n")
    conn.execute(
        "INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) SELECT 'c' || n, s, 10, 'events', 0"
        " FROM generate_series(1, 500) n, generate_series(0, 9) s"
    )
    conn.execute("ANALYZE")
    named = {
        "consumer": "c7",
        "owner": "o",
        "log": "events",
        "lease": 5.0,
        "after": 10000,
        "upto": 20000,
        "batch": 500,
        "slots": 4,
        "slot": 1,
    }
    named |= {"held": [], "was": None, "was_slots": None, "token": 0, "at": "(0,1)", "past": False}

    def plan(sql: str) -> str:
        return "\n".join(row[0] for row in conn.execute(("EXPLAIN VERBOSE " + sql).encode(), named).fetchall())

    fetch = plan(statement("fetch", LOG, slotted=True))
    assert "Index Scan using things_pkey" in fetch
    assert "hashed SubPlan" in fetch
    assert "Seq Scan on pgcharter.feeds" not in plan(statement("claim", LOG))
    assert "Tid Scan on pgcharter.feeds" in plan(statement("move", LOG, at=True))
    assert "feeds_pkey" in plan(statement("move", LOG))
    conn.execute(
        "INSERT INTO pgcharter.parked (consumer, key, position, state, due_at, message)"
        " SELECT 'c' || n % 50, n::text, n, CASE n % 10 WHEN 0 THEN 'waiting' ELSE 'behind' END, now() + interval '1 h', '{}'"
        " FROM generate_series(1, 20000) n"
    )
    conn.execute("ANALYZE pgcharter.parked")
    assert "parked_due" in plan(statement("poll", LOG))
    assert "parked_head" in plan(statement("fetch", LOG))


def test_a_consumer_at_work_is_not_forgotten(conn: Any, db: Database) -> None:
    append(conn, ("a", 1))
    refused: list[str] = []

    def handle(_: Any) -> None:
        with pytest.raises(RefusedError, match=r"c is at work in .*, which has its lease for \d+\.\d s more") as caught, conn.transaction():
            manage.forget(conn, "c", "events")
        refused.append(str(caught.value))
        raise ValueError("bad")

    Feed(db, LOG, "c", Outside(handle, single=True), settings=QUICK).catch_up()
    assert refused
    with conn.transaction(), pytest.raises(UsageError, match="no consumer 'c' of log outbox"):
        manage.forget(conn, "c", "outbox")
    with conn.transaction():
        assert manage.forget(conn, "c", "events") == manage.Forgotten("events", 1, 1, 0)
        assert manage.status(conn, LOG) == []
        assert manage.parked(conn, "c") == []
    # what one that was killed has left is free when its lease has ended
    conn.execute(
        "INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position, owner, lease_until)"
        " VALUES ('gone', 0, 1, 'events', 0, 'killed', clock_timestamp())"
    )
    with conn.transaction():
        assert manage.forget(conn, "gone").position == 0
