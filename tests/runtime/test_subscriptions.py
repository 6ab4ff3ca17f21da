"""Subscriptions on the event store's own table, and the inbox."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from tests.runtime.own_tables import install

from pgcharter.errors import UsageError
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.feeds import FeedSettings, Log
from pgcharter.runtime.inbox import new, once, purge
from pgcharter.runtime.subscriptions import Subscription


class Event(NamedTuple):
    event_id: uuid.UUID
    kind: str
    aggregate: uuid.UUID
    data: Any


EVENTS: Log[Event] = Log(
    "events",
    "pgcharter.events",
    "l.aggregate_id::text",
    ("l.event_id", "l.event_type", "l.aggregate_id", "l.event_data"),
    Event,
    id="l.event_id::text",
)
APPEND = """
SELECT pgcharter.append_events(ARRAY[%s], ARRAY[%s::uuid], ARRAY[-1], ARRAY[1], ARRAY[%s], ARRAY[jsonb_build_object('n', %s::int)])
"""
A, B = uuid.UUID(int=1), uuid.UUID(int=2)


def append(conn: Any, category: str, aggregate: uuid.UUID, kind: str, number: int) -> None:
    conn.execute(APPEND, (category, aggregate, kind, number))


@pytest.fixture
def conn(database: str) -> Iterator[Any]:
    install(database, "messaging")
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE bills (n int)")
        yield conn


def bill(work: Any, event: Event) -> None:
    work.conn.execute("INSERT INTO bills VALUES (%s)", (event.data["n"],))


def bills(conn: Any) -> list[int]:
    return [row[0] for row in conn.execute("SELECT n FROM bills ORDER BY n").fetchall()]


def test_types_and_categories(conn: Any, database: str) -> None:
    append(conn, "order", A, "placed", 1)
    append(conn, "order", A, "shipped", 2)
    append(conn, "user", B, "placed", 3)
    got: dict[str, list[int]] = {"all": [], "placed": [], "orders": [], "both": []}
    with Database(database) as db:
        for name, types, categories in (
            ("all", (), ()),
            ("placed", ("placed",), ()),
            ("orders", (), ("order",)),
            ("both", ("placed",), ("user",)),
        ):
            seen = got[name]
            each = Subscription(name, lambda e, seen=seen: seen.append(e.data["n"]), types=types, categories=categories)
            each.feed(db, EVENTS).catch_up()
    assert got == {"all": [1, 2, 3], "placed": [1, 3], "orders": [1, 2], "both": [3]}


@pytest.mark.parametrize("mode", ["inside", "inbox"])
def test_effective_once(conn: Any, database: str, mode: Any) -> None:
    for n in range(5):
        append(conn, "order", A, "placed", n)
    with Database(database) as db:
        made = Subscription("b", bill, mode=mode, inbox=db if mode == "inbox" else None)
        made.feed(db, EVENTS).catch_up()
        assert bills(conn) == [0, 1, 2, 3, 4]
        conn.execute("UPDATE pgcharter.feeds SET position = 2")
        if mode == "inbox":
            made.feed(db, EVENTS).catch_up()
            assert bills(conn) == [0, 1, 2, 3, 4]


def test_effective_once_in_tasks(conn: Any, database: str) -> None:
    for n in range(5):
        append(conn, "order", A, "placed", n)

    async def abill(work: Any, event: Event) -> None:
        await work.conn.execute("INSERT INTO bills VALUES (%s)", (event.data["n"],))

    async def main() -> None:
        async with AsyncDatabase(database) as db:
            for start in (0, 0):
                await Subscription("b", abill, mode="inbox", inbox=db, start=start).feed(db, EVENTS).catch_up()
                conn.execute("UPDATE pgcharter.feeds SET position = 0")
            await Subscription("c", abill, mode="inside").feed(db, EVENTS).catch_up()

    asyncio.run(main())
    assert bills(conn) == sorted([0, 1, 2, 3, 4] * 2)


def test_what_fails_is_called_alone(conn: Any, database: str) -> None:
    calls: list[int] = []

    def handler(event: Event) -> None:
        calls.append(event.data["n"])
        if event.data["n"] == 1:
            raise ValueError("no")

    append(conn, "order", A, "placed", 0)
    append(conn, "order", A, "placed", 1)
    append(conn, "order", A, "placed", 2)
    append(conn, "order", B, "placed", 3)
    with Database(database) as db:
        Subscription("c", handler, settings=FeedSettings(base=60)).feed(db, EVENTS).catch_up()
    assert calls == [0, 1, 3]


def test_inbox_waits_for_who_is_handling_it(conn: Any, database: str) -> None:
    said: list[bool] = []

    def second() -> None:
        with psycopg.connect(database) as other:
            said.append(once(other, "c", "m1"))

    with psycopg.connect(database) as first:
        assert once(first, "c", "m1")
        assert not once(first, "c", "m1")
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        assert said == []
        first.rollback()
    thread.join(5)
    assert said == [True]
    with conn.transaction():
        assert new(conn, "c", ["m1", "m2", "m2", "m3"]) == {"m2", "m3"}
        assert once(conn, "d", "m1")


def test_inbox_purge(conn: Any) -> None:
    with conn.transaction():
        new(conn, "c", ["a", "b"])
    conn.execute("UPDATE pgcharter.inbox SET seen_at = now() - interval '2 d' WHERE message_id = 'a'")
    with conn.transaction():
        assert purge(conn, 86400) == 1
        assert not once(conn, "c", "b")
    with pytest.raises(UsageError, match="limit is 0"), conn.transaction():
        purge(conn, 1, 0)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"mode": "inbox"}, {"inbox": object()}])
def test_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Subscription(**{"name": "a", "handler": print, **wrong})
