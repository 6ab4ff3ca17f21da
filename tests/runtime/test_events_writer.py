"""Appends of many callers as one: each has its own outcome, whoever it goes along with."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.runtime.events_store import install

from pgcharter.errors import UsageError
from pgcharter.runtime.context import context
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.events import Append, Appended, Event, New, VersionConflictError, read_aggregate, read_all, version_of
from pgcharter.runtime.events_writer import POINTS, AsyncWriter, Writer
from pgcharter.runtime.outcomes import UnknownOutcomeError
from pgcharter.runtime.pools import PoolSize

EACH = 12


def at(writer: Writer, sent: int, waiting: int) -> bool:
    return (writer._sent, len(writer._waiting)) == (sent, waiting)


def wait_until(seen: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    install(database)
    with Database(database) as found:
        yield found


def every(db: Database) -> list[Event]:
    return db.run(lambda work: read_all(work.conn))


@pytest.mark.parametrize(("lanes", "at_once"), [(1, True), (3, True), (2, False)])
def test_each_caller_gets_its_own_outcome(db: Database, lanes: int, at_once: bool) -> None:
    writer = Writer(db, lanes=lanes, at_once=at_once)
    writer.append(Append("a", "taken", [New("x", 0)]))

    def one(number: int) -> Any:
        with context(actor=f"u{number}"):
            try:
                if number % 4 == 0:
                    return writer.append(Append("a", "taken", [New("x", 0)], "none"))
                if number % 4 == 1:
                    return writer.append(Append("a", f"\0{number}", [New("x", 0)]))
                return writer.append(Append("a", str(number), [New("x", number), New("y", number)], 0))
            except (VersionConflictError, UsageError) as error:
                return error

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(one, range(80)))
    for number, outcome in enumerate(found):
        assert isinstance(outcome, (VersionConflictError, UsageError, Appended, Appended)[number % 4]), (number, outcome)
    events = [e for e in every(db) if e.aggregate_id != "taken"]
    assert sorted(int(e.aggregate_id) for e in events if e.version == 1) == [n for n in range(80) if n % 4 > 1]  # type: ignore[arg-type]
    assert {(e.aggregate_id, e.actor) for e in events} == {(str(n), f"u{n}") for n in range(80) if n % 4 > 1}


def test_one_aggregate_from_many_threads(db: Database) -> None:
    writer, wins = Writer(db), []

    def race(number: int) -> None:
        for _ in range(EACH):
            while True:
                version = db.run(lambda work: version_of(work.conn, "a", "1"))
                try:
                    wins.append(writer.append(Append("a", "1", [New("x", number)], version)).version)
                    break
                except VersionConflictError:
                    pass

    threads = [threading.Thread(target=race, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(wins) == list(range(1, 3 * EACH + 1))
    assert [e.version for e in every(db)] == sorted(wins)


def test_who_waits_for_a_lock_keeps_nobody_else(db: Database, database: str) -> None:
    writer = Writer(db, lanes=3)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: writer.append(Append("a", str(n % 7), [New("x", n)])), range(300)))
        with psycopg.connect(database) as short, psycopg.connect(database) as long:
            lock = "SELECT FROM pgcharter.event_heads WHERE aggregate_id = ANY(%s) FOR UPDATE"
            short.execute(lock, (["0", "1"],))
            long.execute(lock, (["2", "3", "4"],))
            held = []
            for name, waiting in (("0", 0), ("1", 0), ("2", 0), ("3", 1), ("4", 2)):
                held.append(threads.submit(writer.append, Append("a", name, [New("x", 0)])))
                wait_until(partial(at, writer, len(held) - waiting, waiting))
            short.rollback()
            assert [one.result(10).version for one in held[:2]] == [44, 44]
            assert threads.submit(writer.append, Append("a", "free", [New("x", 0)])).result(10).version == 1
            assert not any(one.done() for one in held[2:])
            assert writer._sent == 3
            assert writer._busy == 2, "the last two have gone together"
            long.rollback()
            assert [one.result(10).version for one in held[2:]] == [44, 44, 44]
    assert not db.primary.loans


def test_tenants_do_not_go_together(db: Database) -> None:
    writer = Writer(db)

    def one(number: int) -> None:
        with context(tenant=f"t{number % 3}"):
            writer.append(Append("a", str(number), [New("x", 0)], 0))

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(one, range(36)))
    assert all(e.tenant == f"t{int(e.aggregate_id) % 3}" for e in every(db))  # type: ignore[arg-type]


def test_not_in_a_unit_of_work(db: Database) -> None:
    writer = Writer(db)
    with pytest.raises(UsageError, match="a transaction of its own"):
        db.run(lambda _work: writer.append(Append("a", "1", [New("x", 0)])))
    assert every(db) == []


def test_async(database: str) -> None:
    install(database)

    async def main() -> None:
        async with AsyncDatabase(database) as db:
            writer = AsyncWriter(db)
            found = await asyncio.gather(
                *(writer.append(Append("a", str(n % 30), [New("x", n)], 0)) for n in range(60)), return_exceptions=True
            )
            assert sum(isinstance(f, VersionConflictError) for f in found) == 30
            assert sum(isinstance(f, Appended) for f in found) == 30
            cancelled = asyncio.create_task(writer.append(Append("a", "cancelled", [New("x", 0)])))
            await asyncio.sleep(0)
            cancelled.cancel()
            assert (await writer.append(Append("a", "after", [New("x", 0)]))).version == 1

    asyncio.run(main())


def test_a_lost_connection_leaves_its_outcome_open(db: Database, database: str) -> None:
    writer, hostile = Writer(db), 'it\'s \\ "é" %s'
    writer.append(Append(hostile, hostile, [New(hostile, hostile, metadata={hostile: 1})], 0, actor=hostile))
    (found,) = every(db)
    assert (found.aggregate_id, found.type, found.data, found.metadata, found.actor) == (hostile, hostile, hostile, {hostile: 1}, hostile)
    with psycopg.connect(database) as blocker:
        blocker.execute("UPDATE pgcharter.event_heads SET version = version")
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(writer.append, Append(hostile, hostile, [New("x", 0)], 1))
            waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            cut = f"SELECT pg_terminate_backend(pid, 5000) {waiting}".encode()
            while not blocker.execute(cut).fetchall():
                pass
            with pytest.raises(UnknownOutcomeError, match="the connection was lost before the server said"):
                asked.result(60)
    assert writer.append(Append(hostile, hostile, [New("x", 0)], 1)).version == 2


def test_a_prepared_call_that_somebody_forgot(database: str) -> None:
    install(database)
    with Database(database, size=PoolSize(1, 1)) as db:
        writer = Writer(db)
        for number in range(6):
            if number % 2:
                db.run(lambda work: work.conn.execute("DEALLOCATE ALL"))
            assert writer.append(Append("a", "1", [New("x", number)], number)).version == number + 1
        assert [e.data for e in every(db)] == list(range(6))


CHILD = """
import sys
from pgcharter.runtime.database import Database
from pgcharter.runtime.events import Append, New
from pgcharter.runtime.events_writer import Writer
with Database(sys.argv[1]) as db:
    writer = Writer(db, at_once=sys.argv[2] == "True")
    for n in range(3):
        writer.append(Append("a", "1", [New("x", n)], n))
"""


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_point(database: str, point: str, at_once: bool) -> None:
    install(database)
    env = {**os.environ, "PGCHARTER_FAULT": f"{point}:2"}
    done = subprocess.run([sys.executable, "-c", CHILD, database, str(at_once)], env=env, cwd=Path(__file__).parents[2], timeout=120)
    assert done.returncode == -signal.SIGKILL
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with conn.transaction():
            found = [e.data for e in read_aggregate(conn, "a", "1")]
            assert found == ([0] if point == "events group sent" else [0, 1])
            assert len(read_all(conn)) == len(found), "nobody is held back"
