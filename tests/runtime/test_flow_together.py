"""Events, feeds, outbox, sagas and projections together, and what a stranger does to them."""

from __future__ import annotations

import random
import threading
import time
import uuid
from datetime import date
from typing import Any

import psycopg
import pytest
from tests.runtime.own_tables import install
from tests.runtime.sagas_ground import QUICK, Order, World, named, simple

from pgcharter import faults
from pgcharter.errors import RefusedError, UsageError
from pgcharter.runtime import feeds_manage
from pgcharter.runtime.database import Database
from pgcharter.runtime.events import LOG, New, append, settled
from pgcharter.runtime.events_archive import archive
from pgcharter.runtime.feeds import FeedSettings, StaleFeedError
from pgcharter.runtime.outbox import publish
from pgcharter.runtime.outbox_relay import Relay, Route
from pgcharter.runtime.projections import Projection
from pgcharter.runtime.projections_rebuild import Rebuild, Replay
from pgcharter.runtime.sagas import Retrying, Step, start
from pgcharter.runtime.sagas_colours import SagaWorker
from pgcharter.runtime.subscriptions import Subscription
from pgcharter.runtime.targets import Call

A, B = uuid.UUID(int=1), uuid.UUID(int=2)
OLD = date(2020, 1, 1)


@pytest.fixture
def dsn(database: str) -> str:
    install(database, "messaging")
    return database


def happened(dsn: str, aggregate: uuid.UUID, *numbers: int) -> None:
    with psycopg.connect(dsn) as conn:
        for n in numbers:
            append(conn, "order", aggregate, [New("placed", {"n": n})])


def asked(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as conn:
        return conn.execute(sql.encode()).fetchall()


def grown_old(dsn: str, upto: int) -> None:
    """Events up to a position are of a month long ago."""
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "CREATE TABLE IF NOT EXISTS pgcharter.events_2020_01 PARTITION OF pgcharter.events"
            " FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
        )
        conn.execute("ALTER TABLE pgcharter.events DISABLE TRIGGER ALL")
        conn.execute("UPDATE pgcharter.events SET month = '2020-01-01' WHERE position <= %s", (upto,))
        conn.execute("ALTER TABLE pgcharter.events ENABLE ALWAYS TRIGGER events_guard_rows")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("says nothing")


@pytest.mark.parametrize("error", [ValueError("a name of bytes \udcff and \0"), MuteError()])
@pytest.mark.parametrize("mode", ["outside", "inside"])
def test_an_error_that_cannot_be_written_down_parks_its_key_only(dsn: str, error: Exception, mode: Any) -> None:
    happened(dsn, A, 1)
    happened(dsn, B, 2)
    seen: list[int] = []

    def handler(*given: Any) -> None:
        if given[-1].data["n"] == 1:
            raise error
        seen.append(given[-1].data["n"])

    with Database(dsn) as db:
        assert Subscription("s", handler, mode=mode).feed(db, LOG).catch_up() == 2
    assert set(seen) == {2}
    ((said,),) = asked(dsn, "SELECT error FROM pgcharter.parked")
    assert said.startswith(type(error).__name__)


def test_what_fails_at_the_commit_parks_its_key_only(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
        conn.execute("CREATE TABLE lines (id int REFERENCES orders DEFERRABLE INITIALLY DEFERRED)")
    for n in (1, 2, 1, 1):
        happened(dsn, uuid.uuid4(), n)
    with Database(dsn) as db:
        feed = Subscription(
            "s", lambda work, e: work.conn.execute("INSERT INTO lines VALUES (%s)", (e.data["n"],)), mode="inside",
            settings=FeedSettings(attempts=2, base=0.01),
        ).feed(db, LOG)  # fmt: skip
        feed.catch_up()
        assert asked(dsn, "SELECT count(*) FROM lines") == [(3,)]
        until = time.monotonic() + 10
        while asked(dsn, "SELECT FROM pgcharter.parked WHERE state = 'waiting'") and time.monotonic() < until:
            feed.catch_up()
    assert asked(dsn, "SELECT position, state, attempts FROM pgcharter.parked") == [(2, "dead", 2)]


def test_a_key_is_no_longer_than_the_index_of_what_is_parked(dsn: str) -> None:
    chance = random.Random(1)
    longest = "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(333))
    with Database(dsn) as db:
        for key in (longest * 3, "\udcff"):
            with pytest.raises(UsageError, match="is no key"):
                db.run(lambda work, key=key: publish(work.conn, "t", 1, key=key))
        with pytest.raises(psycopg.errors.CheckViolation):
            db.run(lambda work: work.conn.execute(
                "SELECT pgcharter.outbox_publish('{t}', ARRAY[%s], '{1}', ARRAY[NULL::bytea], '{NULL}', '{NULL}', '{NULL}', '{NULL}')",
                (longest * 3,),
            ))  # fmt: skip
        db.run(lambda work: publish(work.conn, "t", 1, key=longest))

        def fail(_: Any) -> None:
            raise ValueError

        assert Relay(db, [Route("n" * 200, Call(fail))]).catch_up() == 1
    assert asked(dsn, "SELECT key FROM pgcharter.parked") == [(longest,)]


def test_positions_that_are_drawn_again_stop_a_consumer(dsn: str) -> None:
    happened(dsn, A, *range(10))
    seen: list[int] = []
    with Database(dsn) as db:
        subscription = Subscription("s", lambda e: seen.append(e.data["n"]))
        subscription.feed(db, LOG).catch_up()
        asked(dsn, "SELECT setval('pgcharter.events_position', 3)")
        happened(dsn, B, 11)
        with pytest.raises(StaleFeedError, match="its last position is 4: the log was restored"):
            subscription.feed(db, LOG).catch_up()
        db.run(lambda work: feeds_manage.reset(work.conn, LOG, "s", 3), isolation="read committed")
        subscription.feed(db, LOG).catch_up()
        assert seen[10] in (3, 11)


def test_a_writer_that_is_not_done_is_no_log_restored(dsn: str) -> None:
    happened(dsn, A, 1, 2, 3)
    with Database(dsn) as db, psycopg.connect(dsn) as conn:
        Subscription("s", lambda e: None).feed(db, LOG).catch_up()
        conn.execute("SELECT pg_advisory_xact_lock_shared(1885824357, 1)")
        assert Subscription("s", lambda e: None).feed(db, LOG).catch_up() == 0


@pytest.mark.direct("the timeout of the database's sessions")
def test_a_lock_that_is_not_had_in_time_ends_no_worker(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute(f"ALTER DATABASE {conn.info.dbname} SET lock_timeout = '100ms'".encode())
    happened(dsn, A, 1)
    seen: list[int] = []
    with Database(dsn) as db, psycopg.connect(dsn) as other:
        releasing = threading.Timer(0.4, other.rollback)

        def handler(event: Any) -> None:
            if not seen:
                other.execute("SET LOCAL lock_timeout = 0; LOCK TABLE pgcharter.feeds IN ACCESS EXCLUSIVE MODE")
                releasing.start()
            elif len(seen) == 2:
                feed.stop()
            seen.append(event.data["n"])

        feed = Subscription("s", handler, settings=FeedSettings(base=0.05, poll_most=0.05)).feed(db, LOG)
        happened(dsn, B, 2)
        ending = threading.Timer(20, feed.stop)
        ending.start()
        feed.run()
        ending.cancel()
        releasing.join()
    assert set(seen) == {1, 2}
    assert asked(dsn, "SELECT count(*) FROM pgcharter.parked") == [(0,)]


def test_a_subscription_that_appends_sees_each_of_its_own_once(dsn: str) -> None:
    seen: list[int] = []

    def handler(work: Any, event: Any) -> None:
        seen.append(event.data["n"])
        if event.data["n"] < 5:
            append(work.conn, "order", event.aggregate_id, [New("placed", {"n": event.data["n"] + 1})])
            publish(work.conn, "t", event.data["n"], key="k")

    happened(dsn, A, 0)
    said: list[int] = []
    with Database(dsn) as db:
        Subscription("s", handler, mode="inside").feed(db, LOG).catch_up()
        Relay(db, [Route("r", Call(lambda m: said.append(m.payload)))]).catch_up()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert said == [0, 1, 2, 3, 4]


def counted(conn: Any, event: Any, into: Any) -> None:
    conn.execute(f"INSERT INTO {into('app.counts')} AS c VALUES (%s, 1) ON CONFLICT (id) DO UPDATE SET n = c.n + 1", (event.aggregate_id,))


COUNTS = Projection("counts", {"app.counts": "id"}, counted)


def projected(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.counts (id uuid PRIMARY KEY, n int NOT NULL)")
    happened(dsn, A, *range(5))
    happened(dsn, B, *range(5))
    grown_old(dsn, 7)


def test_what_is_archived_during_a_rebuild_is_not_left_out(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    projected(dsn)

    def hit(name: str) -> None:
        if name == "projection after batch" and not asked(dsn, "SELECT FROM pgcharter.logs"):
            with psycopg.connect(dsn) as conn:
                archive(conn, OLD)

    monkeypatch.setattr(faults, "point", hit)
    with Database(dsn) as db, pytest.raises(RefusedError, match="events up to 7 were archived while projection counts"):
        Rebuild(db, COUNTS, batch=2).run()
    assert asked(dsn, "SELECT * FROM app.counts") == []


def test_an_aggregate_with_archived_events_is_not_replayed_from_the_rest(dsn: str) -> None:
    projected(dsn)
    with Database(dsn) as db:
        Rebuild(db, COUNTS).run()
        with psycopg.connect(dsn) as conn:
            archive(conn, OLD)
        with pytest.raises(RefusedError, match="are archived, so it cannot be replayed"):
            Replay(db, COUNTS).run("order", B)
    assert asked(dsn, "SELECT n FROM app.counts") == [(5,), (5,)]


def test_the_id_of_another_saga_is_no_reason_to_try_again(dsn: str) -> None:
    world = World()
    one, two = (simple(name, *named("a", world=world), data=Order) for name in ("one", "two"))
    given = uuid.uuid4()
    with psycopg.connect(dsn) as conn:
        assert start(conn, one, Order(), id=given).new
        by_key = start(conn, one, Order(), key="k")
        assert start(conn, one, Order(), key="k", id=given).saga_id == by_key.saga_id
        conn.commit()
        for saga, tenant in ((two, ""), (one, "another")):
            conn.execute("SELECT set_config('pgcharter.tenant', %s, true)", (tenant,))
            with pytest.raises(psycopg.errors.UniqueViolation, match="which is another one's"):
                start(conn, saga, Order(), id=given)
            conn.rollback()


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("wrong", [ValueError("a name of bytes \udcff and \0"), MuteError(), "\udcff", "\0"], ids=ascii)
def test_a_step_that_says_what_cannot_be_written_down_fails_alone(dsn: str, wrong: Any, inside: bool) -> None:
    def action(_: Any) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    bad = simple("bad", Step("a", action, retry=Retrying(attempts=2, base=0.01, longest=0.02), inside=inside), data=Order)
    with Database(dsn) as db:
        given = db.run(lambda work: start(work.conn, bad, Order())).saga_id
        worker = SagaWorker(db, [bad], QUICK)
        ending = threading.Timer(10, worker.stop)
        ending.start()
        worker.run(until_idle=True)
        ending.cancel()
    ((status, error),) = asked(dsn, f"SELECT status, error FROM pgcharter.saga_instances WHERE saga_id = '{given}'")
    assert status == "failed"
    assert error.startswith("step a: ")


def test_a_setting_of_the_session_does_not_open_the_barrier(dsn: str) -> None:
    with psycopg.connect(dsn) as conn, psycopg.connect(dsn) as asking:
        conn.execute("SET pgcharter.events_in = '1'; SET pgcharter.outbox_in = '1'")
        conn.commit()
        append(conn, "order", A, [New("placed", {})])
        publish(conn, "t", 1)
        happened(dsn, B, 1)
        assert asking.execute("SELECT pgcharter.settled('outbox')").fetchone() == (0,)
        assert settled(asking) == 0


def test_archive_sees_what_was_appended_before_its_lock(dsn: str) -> None:
    grown_old(dsn, 0)
    with psycopg.connect(dsn) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.execute("SELECT FROM pgcharter.events")
        happened(dsn, A, 1)
        grown_old(dsn, 1)
        try:
            assert archive(conn, OLD).rows == 1
        except (RefusedError, UsageError):
            conn.rollback()
