"""The outbox: published with the transaction, delivered in the order of each key, delayed, expired, parked, sent again."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import psycopg
import pytest
from tests.db.test_flows import url
from tests.runtime import own_tables
from tests.runtime.outbox_messages import until

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.policy.messaging_settings import LARGEST
from pgcharter.runtime import feeds_manage
from pgcharter.runtime.context import context
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.feeds_model import FeedSettings
from pgcharter.runtime.outbox import LOG, Message, Outgoing, publish, publish_many, wakes
from pgcharter.runtime.outbox_codec import encode
from pgcharter.runtime.outbox_look import unrouted
from pgcharter.runtime.outbox_relay import AsyncRelay, Relay, Route, rotate
from pgcharter.runtime.targets import AsyncCall, Call, Failed, FailedError, PartlyDownError, TargetDownError
from pgcharter.servers.lifecycle import Server

QUICK = FeedSettings(base=0.02, longest=0.05, poll_most=0.02)


class Kept:
    """A target that keeps what it gets, and does what it is told about some."""

    ordered = False

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.bad: list[Any] = []
        self.down = False
        self.closed = 0

    @property
    def payloads(self) -> list[Any]:
        return [m.payload for m in self.got]

    def deliver(self, messages: Sequence[Message]) -> list[Failed | None]:
        if self.down:
            raise TargetDownError("away")
        self.got += [m for m in messages if m.payload not in self.bad]
        return [Failed("bad") if m.payload in self.bad else None for m in messages]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    own_tables.install(database, "messaging")
    with Database(database) as made:
        yield made


@contextmanager
def running(relay: Relay) -> Iterator[Relay]:
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join()


def say(db: Database, *payloads: Any, key: Any = None, topic: str = "t.a", **more: Any) -> None:
    db.run(lambda work: publish_many(work.conn, [Outgoing(topic, p, key=key, **more) for p in payloads]))


# publishing


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    total: Decimal


def test_what_is_published_is_what_comes(db: Database) -> None:
    target, given = Kept(), uuid.uuid4()

    def work(work: Any) -> list[uuid.UUID]:
        first = publish(work.conn, "orders.placed", {"a": [1, None, "ä\0€"]}, key=7, headers={"X": "ü"}, message_id=given)
        return [first, publish(work.conn, "raw", memoryview(b"\0\xff")), publish(work.conn, "nothing", None)]

    with context(tenant="acme", actor="ada", correlation="r-1"):
        ids = db.run(work)
    assert ids[0] == given
    Relay(db, [Route("r", target)]).catch_up()
    placed, raw, nothing = target.got
    assert placed._replace(position=0, created_at=None, text=None) == Message(
        0, given, "orders.placed", "7", None, None, {"X": "ü"}, "acme", "ada", "r-1", None, None, False  # type: ignore[arg-type]
    )  # fmt: skip
    assert placed.payload == {"a": [1, None, "ä\0€"]}
    assert abs(placed.created_at - datetime.now(UTC)) < timedelta(seconds=60)
    assert (raw.id, raw.payload, raw.body, raw.text) == (ids[1], b"\0\xff", b"\0\xff", None)
    assert (nothing.payload, nothing.body) == (None, b"null")


def test_what_json_can_say() -> None:
    one = uuid.uuid4()
    value = {"o": Order(one, Decimal("1.50")), "c": Colour.RED, "d": date(2026, 1, 2), "t": timedelta(seconds=2), "s": {2, 1}}
    assert encode(value) == f'{{"o":{{"id":"{one}","total":"1.50"}},"c":"red","d":"2026-01-02","t":2.0,"s":[1,2]}}'
    looped: list[Any] = []
    looped.append(looped)
    for wrong in (object(), float("nan"), looped, {1, "a"}, {(1, 2): 3}):
        with pytest.raises(UsageError):
            encode(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic": ""}, {"topic": "a b"}, {"topic": "a\n"}, {"topic": 5}, {"key": ""}, {"key": True}, {"key": "a\0"}, {"key": 1.5},
        {"key": "k" * 1001}, {"headers": {"a b": "x"}}, {"headers": {"a": "x\r\ny"}}, {"headers": {"a": 1}}, {"deliver_after": -1},
        {"deliver_after": float("nan")}, {"expires_after": timedelta(days=40_000)},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_message(wrong: dict[str, Any], major_server: Server) -> None:
    with psycopg.connect(major_server.dsn()) as conn, pytest.raises(UsageError):
        publish(conn, **{"topic": "t", "payload": 1, **wrong})


def test_what_is_too_large_is_refused_and_what_is_not_can_be_parked(db: Database) -> None:
    for size, what in ((16 << 20, "may have 16777216, so nothing was published"), (LARGEST + 1, f"no outbox takes more than {LARGEST}")):
        with pytest.raises(UsageError, match=f"message of topic big has .*{what}") as caught:
            say(db, b"\0" * size, topic="big")
        assert "keep what is large in a table" in caught.value.hint
    largest = b"\xff" * ((16 << 20) - 3)
    say(db, largest, topic="big", key="k")
    target = Kept()
    target.bad = [largest]
    relay = Relay(db, [Route("r", target)], settings=dataclasses.replace(QUICK, attempts=1))
    relay.catch_up()
    target.bad = []
    assert db.run(lambda work: feeds_manage.requeue(work.conn, "r")) == 1
    relay.catch_up()
    assert target.payloads == [largest]


def test_what_is_rolled_back_is_not_delivered(db: Database) -> None:
    target = Kept()

    def work(work: Any) -> None:
        publish(work.conn, "t", 1)
        with pytest.raises(ZeroDivisionError):
            db.run(lambda inner: (publish(inner.conn, "t", 2), 1 / 0))
        publish(work.conn, "t", 3)

    db.run(work)
    with pytest.raises(ZeroDivisionError):
        db.run(lambda work: (publish(work.conn, "t", 4), 1 / 0))
    Relay(db, [Route("r", target)]).catch_up()
    assert target.payloads == [1, 3]


def test_sessions_and_tasks_publish_too(db: Database, database: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.orm import Session

    target, engine = Kept(), create_engine(url(database))
    with Session(engine) as session:
        publish(session, "t", 1)
        session.commit()
    engine.dispose()

    async def tasks() -> None:
        async with await psycopg.AsyncConnection.connect(database) as conn:
            await publish.aio(conn, "t", 2)
        made = create_async_engine(url(database))
        async with made.begin() as joined:
            await publish_many.aio(joined, [Outgoing("t", 3), Outgoing("t", 4)])
        await made.dispose()

    asyncio.run(tasks())
    Relay(db, [Route("r", target)]).catch_up()
    assert target.payloads == [1, 2, 3, 4]


def test_without_an_outbox(database: str) -> None:
    with psycopg.connect(database) as conn, pytest.raises(UnavailableError, match="is not there"):
        publish(conn, "t", 1)


def test_an_open_transaction_holds_back_what_is_later_and_nothing_before(db: Database, database: str) -> None:
    target = Kept()
    relay = Relay(db, [Route("r", target)])
    say(db, 1)
    with psycopg.connect(database) as late:
        publish(late, "t", 2)
        say(db, 3)
        relay.catch_up()
        assert target.payloads == [1]
        late.commit()
    relay.catch_up()
    assert target.payloads == [1, 2, 3]


# relays


def test_each_key_in_order_and_a_bad_message_parks_its_key_only(db: Database) -> None:
    target = Kept()
    target.bad = ["b1"]
    for n in range(3):
        say(db, *(f"{k}{n}" for k in "ab"), topic="t", key=None)
    for n in range(3):
        say(db, f"b{n}", key="b")
        say(db, f"a{n}", key="a")
    target.got.clear()
    with running(Relay(db, [Route("r", target, settings=dataclasses.replace(QUICK, attempts=3))])) as relay:
        until(lambda: relay.feeds[0].counts["dead"] == 2)
        until(lambda: len(target.got) == 9)
        assert [m.payload for m in target.got if m.key == "a"] == ["a0", "a1", "a2"]
        assert [m.payload for m in target.got if m.key == "b"] == ["b0"], "b2 waits behind b1, which is dead"
        assert Counter(p for p in target.payloads) == Counter(["a0", "a0", "a1", "a1", "a2", "a2", "b0", "b0", "b2"]), "no key: no order"
        say(db, "b3", key="b")
        found = until(lambda: len(p := db.run(lambda w: feeds_manage.parked(w.conn, "r"))) == 4 and p)
        assert sorted(p.state for p in found) == ["behind", "behind", "dead", "dead"]
        assert next(p for p in found if p.key == "b").message["topic"] == "t.a"
        target.bad = []
        db.run(lambda w: feeds_manage.requeue(w.conn, "r"))
        until(lambda: db.run(lambda w: feeds_manage.parked(w.conn, "r")) == [])
        order = dict.fromkeys(m.payload for m in target.got if m.key == "b")
        assert list(order) == ["b0", "b1", "b2", "b3"], "some may come twice: a person took the lease from the worker"


def test_routes_by_topic_and_one_that_is_down_holds_up_nobody(db: Database) -> None:
    all_, mail, down = Kept(), Kept(), Kept()
    down.down = True
    routes = [
        Route("all", all_), Route("mail", mail, topics=("mail.*", "ma%l", "x_y"), slots=2), Route("down", down, settings=QUICK),
    ]  # fmt: skip
    for topic in ("mail.sent", "mail.", "maxl", "ma%l", "xzy", "x_y", "email.sent", "mail"):
        say(db, topic, topic=topic)
    with running(Relay(db, routes)):
        until(lambda: len(all_.got) == 8)
        until(lambda: len(mail.got) == 4)
        assert sorted(mail.payloads) == ["ma%l", "mail.", "mail.sent", "x_y"]
        assert down.got == []
        assert db.run(lambda w: feeds_manage.parked(w.conn, "down")) == []
        down.down = False
        until(lambda: len(down.got) == 8)
    assert (all_.closed, mail.closed, down.closed) == (1, 1, 1)


def test_what_was_taken_before_the_target_was_down_does_not_come_again(db: Database) -> None:
    got: list[Any] = []

    class Partly(Kept):
        ordered = True

        def deliver(self, messages: Sequence[Message]) -> Any:
            first = messages[: max(1, len(messages) // 2)]
            got.extend(m.payload for m in first)
            if len(first) < len(messages):
                raise PartlyDownError("away", first)

    say(db, *range(50), key="k")
    with running(Relay(db, [Route("r", Partly(), settings=QUICK)])):
        until(lambda: len(got) >= 50)
    assert got == list(range(50))


def test_delayed_messages_keep_the_order_of_their_key(db: Database) -> None:
    target = Kept()
    say(db, "k0", key="k")
    say(db, "k1", key="k", deliver_after=0.6)
    say(db, "k2", key="k")
    say(db, "x", deliver_after=timedelta(seconds=0.3))
    say(db, "y", key="y")
    began = time.monotonic()
    with running(Relay(db, [Route("r", target)])):
        until(lambda: len(target.got) == 2)
        assert time.monotonic() - began < 0.3
        assert sorted(target.payloads) == ["k0", "y"]
        until(lambda: len(target.got) == 5)
    assert target.payloads[2:] == ["x", "k1", "k2"]
    assert all((m.due_in or 0) <= 0 for m in target.got)


def test_many_delayed_messages_are_no_failures(db: Database) -> None:
    target = Kept()
    target.bad = ["late and bad"]
    say(db, *range(20), deliver_after=1.0)
    say(db, "late and bad", deliver_after=1.0)
    with running(Relay(db, [Route("r", target, settings=dataclasses.replace(QUICK, deadline=0.9, attempts=1000, tolerated=3))])) as relay:
        until(lambda: relay.feeds[0].counts["delayed"] == 21)
        began = time.monotonic()
        say(db, "now")
        until(lambda: target.payloads == ["now"])
        assert time.monotonic() - began < 0.4
        until(lambda: len(target.got) == 21)
        (left,) = db.run(lambda w: feeds_manage.parked(w.conn, "r"))
        assert left.state == "waiting", "its deadline counts from when it was due"
        target.bad = []
        until(lambda: len(target.got) == 22)


def test_expired_messages_are_left_out(db: Database) -> None:
    target = Kept()
    say(db, "old", key="k", expires_after=0.01)
    say(db, "never", key="k", deliver_after=0.1, expires_after=0.05)
    say(db, "good", key="k", expires_after=100)
    time.sleep(0.02)
    with running(Relay(db, [Route("r", target)])):
        until(lambda: target.payloads == ["good"])
    assert db.run(lambda w: feeds_manage.parked(w.conn, "r")) == []


def test_topics_that_no_route_wants_are_named(db: Database, database: str, caplog: pytest.LogCaptureFixture) -> None:
    routes = [Route("mail", Kept(), topics=("mail.*", "a_b%.*")), Route("one", Kept(), topics=("one",))]
    for topic in ("mail.sent", "a_b%.x", "one", "axb%.x", "one.two", "one.two"):
        say(db, 1, topic=topic)
    with db.begin(isolation="read committed") as work:
        assert [u.topic for u in unrouted(work.conn)[1]] == ["mail.sent", "a_b%.x", "one", "axb%.x", "one.two"]
    with running(Relay(db, routes, rotate_every=0.02, look_every=0.05)) as relay:
        until(lambda: relay.unrouted == {"axb%.x", "one.two"})
        say(db, 1, topic="one.more")
        until(lambda: "one.more" in relay.unrouted)
    assert [r.getMessage() for r in caplog.records if "no route wants" in r.getMessage()][1:] == [
        "no route wants topic one.two: 2 messages from position 5 on are delivered to nobody, and go when the ring is emptied",
        "no route wants topic one.more: 1 messages from position 7 on are delivered to nobody, and go when the ring is emptied",
    ]

    async def tasks() -> set[str]:
        async with AsyncDatabase(database) as other:
            relay = AsyncRelay(other, [Route("mail", AsyncCall(_nothing), topics=("*",))], look_every=0.0)
            for _ in range(2):
                await relay.rotate()
            return relay.unrouted

    assert asyncio.run(tasks()) == set()
    with db.begin(isolation="read committed") as work:
        assert unrouted(work.conn)[1] == []
        assert unrouted(work.conn)[0] == 7
        work.conn.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) VALUES ('older', 0, 1, 'outbox', 0)")
        work.conn.execute("UPDATE pgcharter.outbox_routes SET topics = '{one}'")
        assert unrouted(work.conn)[1] == [], "a consumer that has not said what it wants may want all"


async def _nothing(_: Message) -> None:
    pass


def test_functions_as_targets(db: Database) -> None:
    tries: Counter[Any] = Counter()

    def send(m: Message) -> None:
        tries[m.payload] += 1
        if m.payload == "no":
            raise FailedError(Failed("never", final=True))
        if m.payload == "again" and tries["again"] < 3:
            raise ValueError("not yet")

    say(db, "no", "again", "yes")
    with running(Relay(db, [Route("r", Call(send), settings=QUICK)])) as relay:
        until(lambda: tries["again"] == 3)
        until(lambda: relay.feeds[0].counts["handled"] == 2)
    assert tries == {"no": 1, "again": 3, "yes": 1}
    (dead,) = db.run(lambda w: feeds_manage.parked(w.conn, "r"))
    assert (dead.state, dead.error) == ("dead", "never")


def test_what_ends_a_route_ends_the_relay(db: Database) -> None:
    async def send(_m: Message) -> None:
        raise AssertionError

    say(db, 1)
    other = Kept()
    with pytest.raises(UsageError, match="coroutine"):
        Relay(db, [Route("r", Call(send)), Route("o", other)]).run()
    assert other.closed == 1


@pytest.mark.parametrize("wrong", [[], [Route("a", Kept()), Route("a", Kept())]], ids=["none", "twice"])
def test_relays_that_are_none(db: Database, wrong: list[Route]) -> None:
    with pytest.raises(UsageError):
        Relay(db, wrong)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"topics": ()}, {"topics": ("",)}], ids=str)
def test_routes_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Route(**{"name": "a", "target": Kept(), **wrong})


def test_tasks_relay_too(db: Database, database: str) -> None:
    got: defaultdict[str | None, list[Any]] = defaultdict(list)

    async def send(m: Message) -> None:
        await asyncio.sleep(0)
        if m.payload == "bad":
            raise FailedError(Failed("bad", final=True))
        got[m.key].append(m.payload)

    say(db, 1, 2, key="a")
    say(db, "bad", 3, key="b")
    say(db, 4, deliver_after=0.2)

    async def run() -> None:
        async with AsyncDatabase(database) as adb:
            waker = wakes(adb)
            relay = AsyncRelay(adb, [Route("r", AsyncCall(send), settings=FeedSettings(listen=True))])
            task = asyncio.create_task(relay.run())
            while len(got) < 2:
                await asyncio.sleep(0.01)
            await adb.run(lambda work: publish.aio(work.conn, "t", 5, key="a"))
            while got["a"] != [1, 2, 5]:
                await asyncio.sleep(0.01)
            relay.stop()
            await task
            waker.close()
            assert await AsyncRelay(adb, [Route("late", AsyncCall(send))]).catch_up() > 0
            cancelled = asyncio.create_task(AsyncRelay(adb, [Route("r", AsyncCall(send))]).run())
            await asyncio.sleep(0.1)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            async with adb.begin() as work:
                owners = await (await work.conn.execute("SELECT DISTINCT owner FROM pgcharter.feeds")).fetchall()
            assert owners == [(None,)], "slots were given back"

    asyncio.run(asyncio.wait_for(run(), 30))
    assert set(got[None]) == {4}


@pytest.mark.direct("it listens")
def test_listening_relays_are_woken_after_the_commit(db: Database) -> None:
    seen: list[float] = []
    waker = wakes(db)
    assert wakes(db) is waker
    settings = FeedSettings(listen=True, poll_least=5.0)
    with running(Relay(db, [Route("r", Call(lambda m: seen.append(time.monotonic() - m.payload)), settings=settings)])):
        until(lambda: _sessions(db, "%backend_pid%"))  # what a listener asks last
        for _ in range(5):
            say(db, time.monotonic())
            time.sleep(0.05)
        until(lambda: len(seen) == 5, 4.0)
    waker.close()
    assert sorted(seen)[2] < 1.0, "polling alone would have taken five seconds"


def _sessions(db: Database, last: str) -> int:
    with db.begin() as work:
        return int(work.conn.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s", (last,)).fetchall()[0][0])


def test_the_ring_stays_small_while_it_is_relayed(db: Database) -> None:
    target = Kept()
    padding = "x" * 1000
    with running(Relay(db, [Route("r", target)], full=64 << 10, rotate_every=0.02)) as relay:
        for n in range(40):
            say(db, *([padding] * 25))
            until(lambda n=n: len(target.got) == 25 * (n + 1))
            if n == 20:
                before = relay.emptied
        until(lambda: relay.emptied > before)
    with db.begin() as work:
        rows, size = work.conn.execute(
            "SELECT (SELECT count(*) FROM pgcharter.outbox), (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
            " WHERE inhparent = 'pgcharter.outbox'::regclass)"
        ).fetchall()[0]
    assert rows < 1000
    assert size < 1_000_000


def test_a_new_route_after_the_ring_was_emptied_begins_at_what_is_kept(db: Database) -> None:
    first, second = Kept(), Kept()
    say(db, 1)
    Relay(db, [Route("r", first)], full=1).catch_up()
    say(db, 2)
    assert db.run(lambda w: rotate(w.conn, 1)) == 1
    Relay(db, [Route("s", second)]).catch_up()
    assert second.payloads == [2]
    assert [s.rows for s in db.run(lambda w: feeds_manage.status(w.conn, LOG))] == [1, 0]


def test_two_relays_share_the_slots_of_a_route(db: Database) -> None:
    one, two = Kept(), Kept()
    quick = dataclasses.replace(QUICK, lease=1.0)
    with running(Relay(db, [Route("r", one, slots=4, settings=quick)])), running(Relay(db, [Route("r", two, slots=4, settings=quick)])):
        for n in range(30):
            say(db, *(f"{k}.{n}" for k in range(20)), topic="t")
            db.run(lambda w, n=n: publish_many(w.conn, [Outgoing("k", n, key=k) for k in range(20)]))
            time.sleep(0.03)
        until(lambda: len(one.got) + len(two.got) == 30 * 40)
    for key in map(str, range(20)):
        order = [m.payload for m in sorted((*one.got, *two.got), key=lambda m: m.position) if m.key == key]
        assert order == list(range(30))
        for kept in (one, two):
            mine = [m.position for m in kept.got if m.key == key]
            assert mine == sorted(mine)
    assert one.got
    assert two.got


def test_a_database_with_tenants_is_relayed_for_all_of_them(database: str) -> None:
    own_tables.install(database, "messaging")
    target = Kept()
    with Database(database, tenants=True) as db:
        for tenant in ("acme", "globex"):
            with context(tenant=tenant):
                db.run(lambda work, tenant=tenant: publish(work.conn, "t", tenant))
        with running(Relay(db, [Route("r", target)], full=1, rotate_every=0.02)) as relay:
            until(lambda: relay.emptied)
    assert [m.tenant for m in target.got] == target.payloads == ["acme", "globex"]
