"""The ring of the outbox: what the policy makes reads back as planned, and a part is emptied only when nobody needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.policy.planned import applied
from tests.runtime import own_tables

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import LARGEST, MessagingSection, OutboxTable

SECTION = MessagingSection(parts=("outbox",))


def plan(dsn: str, section: MessagingSection = SECTION) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen((messaging.policy(section),)), prove=False))


def publish(conn: psycopg.Connection[Any], *keys: str | None, topic: str = "t") -> int:
    """Publish a message for each key; the position of the last."""
    n = len(keys)
    none = [None] * n
    row = conn.execute(
        "SELECT pgcharter.outbox_publish(%s, %s::text[], %s, %s::bytea[], %s::text[], %s::uuid[], %s::float8[], %s::float8[])",
        ([topic] * n, list(keys), ["{}"] * n, none, none, none, none, none),
    ).fetchone()
    assert row is not None
    return int(row[0])


def rotate(conn: psycopg.Connection[Any], full: int = 1) -> int:
    with conn.transaction():
        return int(conn.execute("SELECT pgcharter.outbox_rotate(%s)", (full,)).fetchall()[0][0])


def consumer(conn: psycopg.Connection[Any], position: int, name: str = "c") -> None:
    conn.execute(
        "INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) VALUES (%s, 0, 1, 'outbox', %s)"
        " ON CONFLICT (consumer, slot) DO UPDATE SET position = excluded.position",
        (name, position),
    )


def parts(conn: psycopg.Connection[Any]) -> dict[int, int]:
    """Messages by part."""
    return dict(conn.execute("SELECT part, count(*) FROM pgcharter.outbox GROUP BY 1").fetchall())


@pytest.fixture
def ring(database: str) -> Iterator[psycopg.Connection[Any]]:
    own_tables.install(database, "messaging")
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@contextmanager
def another(conn: psycopg.Connection[Any], sql: str = "BEGIN") -> Iterator[psycopg.Connection[Any]]:
    """Another session, in a transaction."""
    with psycopg.connect(conn.info.dsn, autocommit=True, password=conn.info.password or None) as other:
        other.execute(sql.encode())
        yield other
        if other.info.transaction_status:
            other.execute("ROLLBACK")


@pytest.mark.parametrize("major", [15, 18])
def test_what_it_makes_reads_back(database: str, major: int) -> None:
    assert applied(database, plan(database)).plan.steps
    assert plan(database).plan.steps == ()
    wider = replace(SECTION, outbox=OutboxTable(6))
    applied(database, plan(database, wider))
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SELECT setval('pgcharter.outbox_turn', 5)")
        publish(conn, "a")
        assert parts(conn) == {5: 1}
    assert plan(database, wider).plan.steps == ()
    assert plan(database).plan.steps == (), "parts that are there stay, with their messages"


def test_parts_are_filled_in_turn_and_emptied_when_passed(ring: psycopg.Connection[Any]) -> None:
    last = [publish(ring, "a")]
    for _ in range(3):
        assert rotate(ring) == 0
        last.append(publish(ring, "a"))
    assert parts(ring) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert rotate(ring) == 0, "nobody consumes yet, so nobody has passed"
    publish(ring, "a")
    assert parts(ring) == {0: 1, 1: 1, 2: 1, 3: 2}, "the ring is full: what is filled goes on"
    consumer(ring, last[1])
    consumer(ring, last[3], "quick")
    assert rotate(ring) == 2, "both have passed the first two"
    publish(ring, "a")
    assert parts(ring) == {0: 1, 2: 1, 3: 2}
    assert ring.execute("SELECT kept_from FROM pgcharter.logs WHERE log = 'outbox'").fetchall() == [(last[1],)]


def test_a_part_that_may_still_be_written_to_is_kept(ring: psycopg.Connection[Any]) -> None:
    publish(ring, "a")
    with another(ring) as writer:
        publish(writer, "late")
        rotate(ring)
        consumer(ring, 100)
        assert rotate(ring) == 0
        writer.execute("COMMIT")
    assert rotate(ring) == 1
    assert rotate(ring) == 0


def test_a_transaction_with_an_old_snapshot_writes_to_the_part_that_is_filled(ring: psycopg.Connection[Any]) -> None:
    publish(ring, "a")
    with another(ring, "BEGIN ISOLATION LEVEL REPEATABLE READ") as old:
        old.execute("SELECT 1")
        rotate(ring)
        publish(old, "b")
        old.execute("COMMIT")
    assert parts(ring) == {0: 1, 1: 1}


def test_a_held_snapshot_does_not_keep_a_part(ring: psycopg.Connection[Any]) -> None:
    with another(ring, "BEGIN ISOLATION LEVEL REPEATABLE READ") as reader:
        reader.execute("SELECT count(*) FROM pgcharter.feeds")
        consumer(ring, publish(ring, "a"))
        rotate(ring)
        assert rotate(ring) == 1
        size = ring.execute("SELECT pg_total_relation_size('pgcharter.outbox_0') <= 16384").fetchall()
        assert size == [(True,)]


def test_whoever_reads_a_part_is_not_waited_for_and_makes_nobody_wait(ring: psycopg.Connection[Any]) -> None:
    consumer(ring, publish(ring, "a"))
    rotate(ring)
    with another(ring) as reader:
        reader.execute("SELECT count(*) FROM pgcharter.outbox")
        assert rotate(ring) == 0
        publish(ring, "b")
        rotate(ring)
    assert rotate(ring) == 1


def test_two_at_a_time_do_not_wait_for_each_other(ring: psycopg.Connection[Any]) -> None:
    consumer(ring, publish(ring, "a"))
    rotate(ring)
    with another(ring) as first:
        assert first.execute("SELECT pgcharter.outbox_rotate(1)").fetchall() == [(1,)]
        assert rotate(ring) == 0
        first.execute("ROLLBACK")
    assert rotate(ring) == 1, "what was rolled back is done again"


def test_rotation_wants_to_see_what_is_there_now(ring: psycopg.Connection[Any]) -> None:
    with another(ring, "BEGIN ISOLATION LEVEL REPEATABLE READ") as old, pytest.raises(psycopg.errors.InvalidTransactionState):
        old.execute("SELECT pgcharter.outbox_rotate(1)")


def test_a_transaction_takes_the_lock_once_and_a_savepoint_gives_it_back(ring: psycopg.Connection[Any]) -> None:
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1885824358 AND objsubid = 2 AND pid = %s"
    with another(ring) as writer:
        pid = writer.info.backend_pid
        writer.execute("SAVEPOINT a")
        publish(writer, "a")
        writer.execute("ROLLBACK TO a")
        assert ring.execute(held, (pid,)).fetchall() == [(0,)]
        for _ in range(3):
            publish(writer, "a")
            publish(ring, "b")
        assert ring.execute(held, (pid,)).fetchall() == [(1,)]
        assert ring.execute("SELECT pgcharter.settled('outbox')").fetchall() == [(1,)]
        writer.execute("COMMIT")
    assert ring.execute("SELECT pgcharter.settled('outbox')").fetchall() == [(7,)]


def test_a_setting_of_the_session_does_not_open_the_barrier(ring: psycopg.Connection[Any]) -> None:
    with another(ring) as writer:
        writer.execute("SET pgcharter.outbox_in = '1'")
        publish(writer, "a")
        assert ring.execute("SELECT pgcharter.settled('outbox')").fetchall() == [(0,)]


def test_positions_beyond_32_bits(ring: psycopg.Connection[Any]) -> None:
    for high in (2**31 - 1, 2**32 - 1, 2**40 + 2**31):
        ring.execute("SELECT setval('pgcharter.outbox_position', %s)", (high,))
        with another(ring) as writer:
            assert publish(writer, "a") == high + 1
            publish(ring, "b")
            assert ring.execute("SELECT pgcharter.settled('outbox')").fetchall() == [(high,)]


def test_order_of_a_call_is_the_order_of_positions(ring: psycopg.Connection[Any]) -> None:
    def write(name: str) -> None:
        with another(ring, "SELECT 1") as conn:
            for i in range(50):
                publish(conn, *(f"{name}{i}.{n}" for n in range(10)))

    threads = [threading.Thread(target=write, args=(name,)) for name in "xy"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    keys = [k for (k,) in ring.execute("SELECT key FROM pgcharter.outbox ORDER BY position")]
    for name in "xy":
        assert [k for k in keys if k.startswith(name)] == [f"{name}{i}.{n}" for i in range(50) for n in range(10)]


def test_rights(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE ROLE outbox_app; CREATE ROLE outbox_relay")
        try:
            found = plan(database, replace(SECTION, writers=("outbox_app",), workers=("outbox_relay",)))
            applied(database, found)
            conn.execute("SET ROLE outbox_app")
            publish(conn, "a")
            for sql in ("SELECT FROM pgcharter.outbox", "SELECT pgcharter.outbox_rotate(1)", "SELECT nextval('pgcharter.outbox_position')"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(sql.encode())
            conn.execute("RESET ROLE; SET ROLE outbox_relay")
            assert parts(conn) == {0: 1}
            rotate(conn)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                publish(conn, "a")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("INSERT INTO pgcharter.outbox_0 SELECT * FROM pgcharter.outbox")
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY outbox_app, outbox_relay; DROP ROLE outbox_app, outbox_relay")


def test_what_is_no_json_is_refused_where_it_is_published(ring: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        ring.execute("SELECT pgcharter.outbox_publish('{t}', '{NULL}', '{nonsense}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}')")


def test_a_message_that_is_too_large_is_refused(database: str) -> None:
    applied(database, plan(database, replace(SECTION, message_bytes=1000)))
    call = "SELECT pgcharter.outbox_publish('{t,u}', '{NULL,NULL}', %s, %s, '{NULL,NULL}', '{NULL,NULL}', '{NULL,NULL}', '{NULL,NULL}')"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(call, ([f'"{"x" * 990}"', None], [None, b"x" * 990]))
        for payloads, datas, topic in (([f'"{"€" * 333}"', '""'], [None, None], "t"), (["1", None], [None, b"x" * 1000], "u")):
            with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=f"of topic {topic} has 100[12] bytes, and may have 1000"):
                conn.execute(call, (payloads, datas))
        assert conn.execute("SELECT count(*) FROM pgcharter.outbox").fetchone() == (2,)
    for wrong in (0, LARGEST + 1):
        with pytest.raises(ValueError, match="message_bytes"):
            MessagingSection(message_bytes=wrong)
