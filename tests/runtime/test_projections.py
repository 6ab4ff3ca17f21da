"""Read models: followed, brought up in the transaction that appends, made anew beside the live tables, proven, replayed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.runtime.own_tables import install

from pgcharter import faults
from pgcharter.errors import RefusedError, UsageError
from pgcharter.runtime import feeds_manage
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.events import New, append
from pgcharter.runtime.events_model import Event
from pgcharter.runtime.projections import Into, OtherVersionError, Projection, aappend_and_project, append_and_project
from pgcharter.runtime.projections_rebuild import POINTS, Check, HandlerError, Rebuild, Replay, status

TABLES = """
CREATE SCHEMA app;
CREATE TABLE app.totals (id uuid PRIMARY KEY, "Größe" int NOT NULL, lines int NOT NULL, twice int GENERATED ALWAYS AS ("Größe" * 2) STORED,
    noted timestamptz DEFAULT clock_timestamp());
CREATE TABLE app.days (id uuid REFERENCES app.totals ON DELETE CASCADE, day int, sum int NOT NULL, PRIMARY KEY (id, day));
"""


def summed(conn: Any, event: Event, into: Into) -> Any:
    """Sums of an aggregate's events; async where the connection is."""
    n = event.data["n"]
    if n < 0:
        raise ValueError(f"{n} is below zero")
    totals, days = into("app.totals"), into("app.days")
    sql = (
        f'WITH t AS (INSERT INTO {totals} AS t (id, "Größe", lines) VALUES (%(id)s, %(n)s, 1) ON CONFLICT (id) DO UPDATE'
        f' SET "Größe" = t."Größe" + %(n)s, lines = t.lines + 1 RETURNING id)'
        f" INSERT INTO {days} AS d (id, day, sum) SELECT t.id, %(v)s %% 3, %(n)s FROM t"
        " ON CONFLICT (id, day) DO UPDATE SET sum = d.sum + %(n)s"
    )
    return (
        conn.execute(sql.encode(), {"id": event.aggregate_id, "n": n, "v": event.version})
        if not is_async(conn)
        else later(conn, sql, event)
    )


def is_async(conn: Any) -> bool:
    return isinstance(conn, psycopg.AsyncConnection)


async def later(conn: Any, sql: str, event: Event) -> None:
    await conn.execute(sql.encode(), {"id": event.aggregate_id, "n": event.data["n"], "v": event.version})


def sync_only(conn: Any, event: Event, into: Into) -> None:
    summed(conn, event, into)


TOTALS = Projection("totals", {"app.totals": "id", "app.days": "id"}, sync_only, types=("added",), slots=2, left_out=("noted",))
INLINE = replace(TOTALS, mode="inline")
IDS = [uuid.UUID(int=n) for n in range(1, 6)]


@pytest.fixture
def conn(database: str) -> Iterator[Any]:
    install(database, "messaging")
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(TABLES)
        yield conn


def add(db: Database, count: int, first: int = 0) -> None:
    for n in range(first, first + count):
        with db.begin() as work:
            append(work.conn, "order", IDS[n % 5], [New("added", {"n": n}), New("noticed", {"n": n})])


def rows(conn: Any) -> Any:
    return conn.execute('SELECT id, "Größe", lines, twice FROM app.totals ORDER BY id').fetchall(), conn.execute(
        "SELECT id, day, sum FROM app.days ORDER BY id, day"
    ).fetchall()


def differing(found: Any) -> list[tuple[int, int, int]]:
    return [(c.missing, c.extra, c.different) for c in found]


def test_followed_and_proven(conn: Any, database: str) -> None:
    with Database(database) as db:
        add(db, 40)
        TOTALS.feed(db).catch_up()
        assert [(r[1], r[2]) for r in rows(conn)[0]] == [(sum(range(n, 40, 5)), 8) for n in range(5)]
        assert all(c.equal for c in Check(db, TOTALS).run())
        add(db, 7, 40)  # not followed yet: that is lag, no difference
        assert all(c.equal and c.checksum == c.other_checksum and c.rows for c in Check(db, TOTALS).run())
        conn.execute("DELETE FROM app.totals WHERE id = %s", (IDS[0],))
        conn.execute('UPDATE app.totals SET "Größe" = 0 WHERE id = %s', (IDS[1],))
        conn.execute('INSERT INTO app.totals (id, "Größe", lines) VALUES (%s, 1, 1)', (uuid.UUID(int=99),))
        found = Check(db, TOTALS).run()
        assert differing(found) == [(1, 1, 1), (3, 0, 0)]
        assert any(str(IDS[0]) in key for key in found[0].keys)


def test_rebuilt_beside_the_live_one(conn: Any, database: str) -> None:
    with Database(database) as db:
        add(db, 30)
        TOTALS.feed(db).catch_up()
        wanted = rows(conn)
        conn.execute('UPDATE app.totals SET "Größe" = 0 WHERE id = %s', (IDS[1],))
        oid = conn.execute("SELECT 'app.totals'::regclass::oid").fetchone()
        told: list[tuple[int, int]] = []
        done = Rebuild(db, TOTALS, batch=7).run(tell=lambda *at: told.append(at))
        assert (done.events, done.written > 0, rows(conn)) == (30, True, wanted)
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1] == done.position
        assert conn.execute("SELECT 'app.totals'::regclass::oid").fetchone() == oid
        assert conn.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'rebuild%'").fetchone() == (0,)
        add(db, 3, 30)
        assert TOTALS.feed(db).catch_up() == 3
        assert all(c.equal for c in Check(db, TOTALS).run())
        assert Rebuild(db, TOTALS).run().written == 0


def doubled(conn: Any, event: Event, into: Into) -> None:
    summed(conn, event._replace(body=f'{{"n": {event.data["n"] * 2}}}'), into)


def test_another_version(conn: Any, database: str) -> None:
    newer = replace(TOTALS, version=2, handle=doubled)
    with Database(database) as db:
        add(db, 10)
        old = TOTALS.feed(db)
        old.catch_up()
        before = rows(conn)
        add(db, 1, 10)
        with pytest.raises(OtherVersionError, match="by version 1 of its handler, and this one is version 2"):
            newer.feed(db).catch_up()
        assert rows(conn) == before
        Rebuild(db, newer).run()
        assert sum(r[1] for r in rows(conn)[0]) == 2 * sum(range(11))
        add(db, 1, 11)
        with pytest.raises(OtherVersionError, match="are by version 2 of its handler, and this one is version 1"):
            TOTALS.feed(db).catch_up()
        newer.feed(db).catch_up()
        assert all(c.equal for c in Check(db, newer).run())
        with db.begin() as work:
            (found,) = status(work.conn)
        assert (found.version, found.mode, found.building) == (2, "async", None)


def test_while_events_come(conn: Any, database: str) -> None:
    """A worker follows, appends go on, rebuilds take its place again and again: in the end all is there once."""
    over = threading.Event()
    with Database(database) as db:
        add(db, 50)
        feed = TOTALS.feed(db)
        worker = threading.Thread(target=feed.run)
        worker.start()

        def appends() -> None:
            n = 50
            while not over.is_set():
                add(db, 1, n)
                n += 1

        appender = threading.Thread(target=appends)
        appender.start()
        try:
            for _ in range(3):
                Rebuild(db, TOTALS, batch=20).run()
            Check(db, TOTALS).run()
        finally:
            over.set()
            appender.join()
            feed.stop()
            worker.join()
        TOTALS.feed(db).catch_up()
        assert differing(Check(db, TOTALS).run()) == [(0, 0, 0), (0, 0, 0)]
        count = conn.execute("SELECT count(*) FROM pgcharter.events WHERE event_type = 'added'").fetchone()
        assert conn.execute("SELECT sum(lines) FROM app.totals").fetchone() == count


def test_inline(conn: Any, database: str) -> None:
    with Database(database) as db:
        with pytest.raises(RefusedError, match="was never built"), db.begin() as work:
            append_and_project(work.conn, [INLINE], "order", IDS[0], [New("added", {"n": 1})])
        add(db, 10)
        Rebuild(db, INLINE).run()
        over = threading.Event()

        def appends(seed: int) -> None:
            chance = random.Random(seed)
            while not over.is_set():
                with db.begin() as work:
                    events = [New("added", {"n": chance.randrange(9)}), New("noticed", {"n": 1})]
                    append_and_project(work.conn, [INLINE], "order", chance.choice(IDS), events)

        threads = [threading.Thread(target=appends, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                assert Rebuild(db, INLINE).run().written == 0
                assert all(c.equal for c in Check(db, INLINE).run())
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert all(c.equal for c in Check(db, INLINE).run())
        with pytest.raises(OtherVersionError), db.begin() as work:
            append_and_project(work.conn, [replace(INLINE, version=2)], "order", IDS[0], [New("added", {"n": 1})])
        with pytest.raises(UsageError, match="is inline"):
            INLINE.feed(db)


def test_a_handler_that_fails(conn: Any, database: str) -> None:
    """Its key waits, all others go on; a rebuild stops, says where, and goes on from there when the handler is mended."""
    with Database(database) as db:
        add(db, 5)
        with db.begin() as work:
            bad = append(work.conn, "order", IDS[0], [New("added", {"n": -1})])
        add(db, 5)
        TOTALS.feed(db).catch_up()
        assert [r[2] for r in rows(conn)[0]] == [1, 2, 2, 2, 2]
        assert all(c.equal for c in Check(db, TOTALS).run())
        with pytest.raises(HandlerError, match=rf"fails with event {bad.position}: ValueError: -1 is below zero"):
            Rebuild(db, TOTALS, batch=1).run()
        mended = replace(TOTALS, handle=lambda conn, event, into: event.data["n"] < 0 or sync_only(conn, event, into))
        done = Rebuild(db, mended, batch=1).run()
        assert (done.events, [r[2] for r in rows(conn)[0]]) == (6, [2, 2, 2, 2, 2])
        with db.begin() as work:
            assert feeds_manage.parked(work.conn, TOTALS.consumer) == []


def test_one_aggregate_replayed(conn: Any, database: str) -> None:
    with Database(database) as db:
        add(db, 20)
        TOTALS.feed(db).catch_up()
        wanted = rows(conn)
        add(db, 5, 20)
        conn.execute('UPDATE app.totals SET "Größe" = -1')
        for id_ in IDS:
            assert Replay(db, TOTALS).run("order", id_) == 4
        assert rows(conn) == wanted
        with pytest.raises(UsageError, match="there are 0 aggregates"):
            Replay(db, TOTALS).run("order", uuid.UUID(int=77))
        with pytest.raises(UsageError, match="of several aggregates"):
            Replay(db, replace(TOTALS, tables={"app.totals": ""})).run("order", IDS[0])
        Rebuild(db, INLINE).run()
        assert Replay(db, INLINE).run("order", IDS[0]) == 5
        assert all(c.equal for c in Check(db, INLINE).run())


def test_async(conn: Any, database: str) -> None:
    async def go() -> None:
        later_on = replace(TOTALS, handle=summed)
        inline = replace(INLINE, handle=summed, name="inline")
        async with AsyncDatabase(database) as db:
            for n in range(12):
                async with db.begin() as work:
                    await append.aio(work.conn, "order", IDS[n % 5], [New("added", {"n": n})])
            await later_on.feed(db).catch_up()
            assert all(c.equal for c in await Check(db, later_on).run())
            assert (await Rebuild(db, later_on).run()).written == 0
            assert await Replay(db, later_on).run("order", IDS[0]) == 3
            await Rebuild(db, inline).run()
            async with db.begin() as work:
                await aappend_and_project(work.conn, [inline], "order", IDS[0], [New("added", {"n": 1})])
            assert all(c.equal for c in await Check(db, inline).run())

    asyncio.run(go())


def test_tables_that_cannot_be_made_again(conn: Any, database: str) -> None:
    conn.execute("CREATE TABLE app.drawn (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY); CREATE TABLE app.bare (id int)")
    with Database(database) as db:
        for table, words in (("app.drawn", "draws id from a sequence"), ("app.bare", "no primary key"), ("app.none", "is not there")):
            with pytest.raises(UsageError, match=words):
                Rebuild(db, replace(TOTALS, tables={table: ""})).run()
    with pytest.raises(UsageError, match="names no table"):
        replace(TOTALS, tables={"totals": ""})


CHILD = """
import sys
from pgcharter.runtime.database import Database
from pgcharter.runtime.projections_rebuild import Rebuild
from tests.runtime import test_projections as t
with Database(sys.argv[1]) as db:
    Rebuild(db, t.INLINE if sys.argv[2] == "inline" else t.TOTALS, batch=5).run()
"""


@pytest.mark.parametrize("mode", ["async", "inline"])
def test_killed_anywhere(conn: Any, database: str, mode: str) -> None:
    """At each fault point, on its first and second passing: the next one goes on, and what is live is whole all the time."""
    projection = INLINE if mode == "inline" else TOTALS
    environment = {k: v for k, v in os.environ.items() if k != faults.VARIABLE}
    with Database(database) as db:
        add(db, 20)
        Rebuild(db, projection).run()
        if mode == "async":
            projection.feed(db).catch_up()
        for point in POINTS:
            for time in (1, 2) if "batch" in point else (1,):
                conn.execute('UPDATE app.totals SET "Größe" = -1 WHERE id = %s', (IDS[0],))
                before = rows(conn)
                child = subprocess.run(
                    [sys.executable, "-c", CHILD, database, mode], env={**environment, faults.VARIABLE: f"{point}:{time}"}, check=False
                )
                died = child.returncode == -signal.SIGKILL
                assert died or (time == 2 and child.returncode == 0), (point, time, child.returncode)
                assert not died or rows(conn) == before or point == "projection swapped"
                Rebuild(db, projection, batch=5).run()
                assert all(c.equal for c in Check(db, projection).run()), (point, time)
