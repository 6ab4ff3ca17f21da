"""Units of work, of both colours, through psycopg and through sessions: begun, nested, committed, rolled back, tried again, given back."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from pgcharter.errors import ConnectError, UsageError
from pgcharter.runtime.context import NoTenantError, context
from pgcharter.runtime.database import AsyncDatabase, Database, Timeouts
from pgcharter.runtime.outcomes import ONCE, Budget, Retry
from pgcharter.runtime.pools import PoolSize
from pgcharter.runtime.served import EndedError, RolledBackError
from pgcharter.runtime.work import current_work

direct = pytest.mark.direct("it ends sessions of its connections, and PgBouncer hands out its own")
COLOURS = ("sync", "async")
WAYS = ("psycopg", "session")
both = pytest.mark.parametrize("colour", COLOURS)
ways = pytest.mark.parametrize("way", WAYS)


class Both:
    """A Database or AsyncDatabase, called alike: `b.run(fn)`; inside, `b.sql(work, …)` gives rows or an awaitable of them."""

    def __init__(self, colour: str, dsn: str, **options: Any) -> None:
        self.colour = colour
        self.made: Any = (Database if colour == "sync" else AsyncDatabase)(dsn, **options)

    def go(self, scenario: Callable[[Any], Any]) -> Any:
        """Run a scenario, an async function of a database: as it is, or with a `Database` behind awaitable calls."""

        async def whole() -> Any:
            if self.colour == "sync":
                with self.made:
                    return await scenario(Awaitable(self.made))
            async with self.made:
                return await scenario(self.made)

        return asyncio.run(whole())


class Awaitable:
    """A `Database` whose run takes async functions of works whose calls are awaitable: scenarios are written once."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    async def run(self, fn: Callable[[Any], Any], **options: Any) -> Any:
        return self.db.run(lambda work: _finish(fn(work)), **options)


def _finish(coroutine: Any) -> Any:
    """What an async function gives that never really waits; a hook or function that is none gives what it gives."""
    if not inspect.isawaitable(coroutine):
        return coroutine
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def sql(work: Any, statement: str, way: str = "psycopg") -> list[Any]:
    if way == "session":
        result = await settle(work.session.execute(text(statement)))
        return [tuple(row) for row in result] if result.returns_rows else []
    cursor = await settle(work.conn.execute(statement))
    return list(await settle(cursor.fetchall())) if cursor.description else []


@pytest.fixture
def table(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE notes (id int PRIMARY KEY, body text DEFAULT '')")
        conn.execute("CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counters VALUES (1, 0), (2, 0)")
    return database


def rows(dsn: str, query: str = "SELECT id FROM notes ORDER BY 1") -> list[Any]:
    with psycopg.connect(dsn) as conn:
        return [row[0] for row in conn.execute(query.encode())]


def all_back(db: Any) -> None:
    assert db.loans() == ()
    assert all(c.pgconn.transaction_status == TransactionStatus.IDLE and c.held is None for c in db.primary.pool._pool)


@both
@ways
def test_commits_and_gives_back(table: str, colour: str, way: str) -> None:
    async def scenario(db: Any) -> None:
        async def fn(work: Any) -> int:
            assert current_work() is work
            await sql(work, "INSERT INTO notes VALUES (1)", way)
            return 7

        assert await db.run(fn) == 7
        assert current_work() is None
        all_back(db)
        assert (db.counts.runs, db.counts.committed, db.counts.rolled_back) == (1, 1, 0)

    Both(colour, table).go(scenario)
    assert rows(table) == [1]


@both
@ways
def test_hooks_run_once_after_release_with_work_of_their_own(table: str, colour: str, way: str) -> None:
    seen: list[Any] = []

    async def scenario(db: Any) -> None:
        async def write(work: Any) -> None:
            await sql(work, "INSERT INTO notes VALUES (2)", way)

        async def fn(work: Any) -> None:
            async def hook() -> None:
                seen.append((len(db.loans()), rows(table), current_work()))
                await db.run(write)

            def bad() -> None:
                raise ValueError("a hook that fails")

            work.after_commit((lambda: _finish(hook())) if colour == "sync" else hook)
            work.after_commit(bad)
            work.after_commit(lambda: seen.append("last"))
            work.after_rollback(lambda: seen.append("never"))
            await sql(work, "INSERT INTO notes VALUES (1)", way)

        await db.run(fn)
        assert db.counts.hooks_failed == 1

    Both(colour, table, size=PoolSize(1, 1)).go(scenario)
    assert seen == [(0, [1], None), "last"]
    assert rows(table) == [1, 2]


@both
@ways
def test_an_error_rolls_back_and_hooks_of_rollback_run_latest_first(table: str, colour: str, way: str) -> None:
    seen: list[Any] = []

    async def scenario(db: Any) -> None:
        async def fn(work: Any) -> None:
            work.after_commit(lambda: seen.append("never"))
            work.after_rollback(lambda: seen.append(1))
            work.after_rollback(lambda: seen.append((2, len(db.loans()))))
            await sql(work, "INSERT INTO notes VALUES (1)", way)
            raise KeyError("mine")

        with pytest.raises(KeyError):
            await db.run(fn)
        all_back(db)

    Both(colour, table).go(scenario)
    assert seen == [(2, 0), 1]
    assert rows(table) == []


@both
@ways
@pytest.mark.parametrize("plain", [False, True], ids=("", "plain"))
def test_nested_is_a_savepoint(table: str, colour: str, way: str, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if plain and way == "session":
        return
    if plain:
        monkeypatch.setattr("pgcharter.runtime.work.sys.modules", {})
    seen: list[Any] = []

    async def scenario(db: Any) -> None:
        async def inner(work: Any, number: int, fail: bool) -> None:
            work.after_commit(lambda: seen.append(f"committed {number}"))
            work.after_rollback(lambda: seen.append(f"undone {number}"))
            await sql(work, f"INSERT INTO notes VALUES ({number})", way)
            if fail:
                await sql(work, "SELECT 1/0", way)

        async def outer(work: Any) -> None:
            await sql(work, "INSERT INTO notes VALUES (1)", way)
            await db.run(lambda w: inner(w, 2, False))
            with pytest.raises(Exception, match="division"):
                await db.run(lambda w: inner(w, 3, True))

            async def deep(w: Any) -> None:
                await inner(w, 4, False)
                with pytest.raises(Exception, match="division"):
                    await db.run(lambda w: inner(w, 5, True))
                await db.run(lambda w: inner(w, 6, False))

            await db.run(deep)
            seen.append("end")

        await db.run(outer)
        all_back(db)

    Both(colour, table).go(scenario)
    assert rows(table) == [1, 2, 4, 6]
    assert seen == ["undone 3", "undone 5", "end", "committed 2", "committed 4", "committed 6"]


@both
def test_nested_asks_for_no_more_than_the_outer_one_is(table: str, colour: str) -> None:
    async def scenario(db: Any) -> None:
        async def nothing(work: Any) -> None: ...

        async def outer(work: Any) -> None:
            with pytest.raises(UsageError, match="serializable"):
                await db.run(nothing, isolation="serializable")
            await db.run(nothing, readonly=True)

        async def reading(work: Any) -> None:
            with pytest.raises(UsageError, match="read only"):
                await db.run(nothing)

        await db.run(outer)
        await db.run(reading, readonly=True)

    Both(colour, table).go(scenario)


@both
@ways
@pytest.mark.parametrize("how", ["COMMIT", "ROLLBACK", "commit()", "rollback()"])
def test_ending_inside_is_refused(table: str, colour: str, way: str, how: str) -> None:
    seen: list[str] = []

    async def scenario(db: Any) -> None:
        async def fn(work: Any) -> None:
            work.after_commit(lambda: seen.append("committed"))
            work.after_rollback(lambda: seen.append("undone"))
            await sql(work, "INSERT INTO notes VALUES (1)", way)
            if how.isupper():
                await sql(work, how, way)
            else:
                of = work.session if way == "session" else work.conn
                await settle(getattr(of, how[:-2])())

        with pytest.raises(EndedError if how != "commit()" else UsageError):
            await db.run(fn)
        all_back(db)

        async def goes_on(work: Any) -> None:
            await sql(work, "INSERT INTO notes VALUES (2)", way)
            await sql(work, "COMMIT", way)
            await sql(work, "INSERT INTO notes VALUES (3)", way)

        with pytest.raises(EndedError):
            await db.run(goes_on)

    Both(colour, table).go(scenario)
    done = how == "COMMIT"
    assert seen == (["committed"] if done else ["undone"])
    assert rows(table) == [*([1] if done else []), 2]


@both
@ways
def test_an_error_that_is_swallowed_is_told(table: str, colour: str, way: str) -> None:
    async def scenario(db: Any) -> None:
        async def fn(work: Any) -> None:
            await sql(work, "INSERT INTO notes VALUES (1)", way)
            with pytest.raises(Exception, match="division"):
                await sql(work, "SELECT 1/0", way)

        with pytest.raises(RolledBackError):
            await db.run(fn)
        all_back(db)

    Both(colour, table).go(scenario)
    assert rows(table) == []


@both
@ways
def test_is_tried_again_whole_and_only_for_what_asks_for_it(table: str, colour: str, way: str) -> None:
    tries: list[int] = []

    async def scenario(db: Any) -> None:
        async def again(work: Any) -> int:
            tries.append(work.attempt)
            await sql(work, f"INSERT INTO notes VALUES ({work.attempt})", way)
            if work.attempt < 4:
                await sql(work, "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", way)
            return int(work.attempt)

        assert await db.run(again) == 4
        assert db.counts.tried_again == 3
        with pytest.raises(Exception, match="40001") as caught:
            await db.run(again, retry=ONCE)
        assert not hasattr(caught.value, "__notes__")
        with pytest.raises(Exception, match="40001") as caught:
            await db.run(again, retry=Retry(attempts=2))
        assert caught.value.__notes__ == ["pgcharter: tried 2 times"]

        async def final(work: Any) -> None:
            tries.append(10)
            await sql(work, "SELECT 1/0", way)

        with pytest.raises(Exception, match="division"):
            await db.run(final)
        with pytest.raises(Exception, match="division"):
            await db.run(final, retry=Retry(attempts=3, on=("22012",)))
        all_back(db)

    Both(colour, table).go(scenario)
    assert tries == [1, 2, 3, 4, 1, 1, 2, 10, 10, 10, 10]
    assert rows(table) == [4]


def test_a_budget_keeps_tries_from_multiplying(table: str) -> None:
    def again(work: Any) -> None:
        work.conn.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with Database(table, budget=Budget(reserve=5, share=0.5), retry=Retry(base=0)) as db:
        for _ in range(20):
            with pytest.raises(psycopg.errors.SerializationFailure):
                db.run(again)
        assert 5 <= db.counts.tried_again <= 5 + 10


@both
@ways
def test_isolation_readonly_and_timeouts(table: str, colour: str, way: str) -> None:
    asked = "SELECT " + ", ".join(
        f"current_setting('{name}')" for name in ("transaction_isolation", "transaction_read_only", "statement_timeout", "lock_timeout")
    )

    async def scenario(db: Any) -> None:
        async def fn(work: Any) -> Any:
            return (await sql(work, asked, way))[0]

        assert await db.run(fn) == ("read committed", "off", "30s", "5s")
        assert await db.run(fn, isolation="serializable", readonly=True) == ("serializable", "on", "30s", "5s")
        assert await db.run(fn, kind="report") == ("read committed", "off", "10min", "5s")
        assert await db.run(fn) == ("read committed", "off", "30s", "5s")
        with pytest.raises(UsageError, match="report"):
            await db.run(fn, kind="rapport")
        with pytest.raises(UsageError, match="chaos"):
            await db.run(fn, isolation="chaos")

        async def slow(work: Any) -> None:
            await sql(work, "SELECT pg_sleep(5)", way)

        tried = db.counts.tried_again
        with pytest.raises(Exception, match="statement timeout"):
            await db.run(slow, kind="quick")
        assert db.counts.tried_again == tried
        all_back(db)

    kinds = {"report": Timeouts(600.0, None, None), "quick": Timeouts(0.05)}
    Both(colour, table, kinds=kinds).go(scenario)


def test_usual_timeouts_hold_outside_units_of_work(table: str) -> None:
    with Database(table, timeouts=Timeouts(7.0, 3.0, 11.0)) as db, db.engine.begin() as conn:
        assert conn.execute(text("SELECT current_setting('statement_timeout')")).scalar_one() == "7s"


@both
@ways
def test_a_lost_connection_before_commit_is_tried_again(table: str, colour: str, way: str) -> None:
    async def scenario(db: Any) -> None:
        async def fn(work: Any) -> int:
            await sql(work, f"INSERT INTO notes VALUES ({work.attempt})", way)
            if work.attempt == 1:
                with psycopg.connect(table, autocommit=True) as other:
                    pid = await sql(work, "SELECT pg_backend_pid()")
                    other.execute("SELECT pg_terminate_backend(%s)", pid[0])
            await sql(work, "SELECT 1", way)
            return int(work.attempt)

        assert await db.run(fn) == 2
        assert (db.counts.lost, db.counts.asked) == (1, 0)
        all_back(db)

    Both(colour, table).go(scenario)
    assert rows(table) == [2]


@direct
def test_one_lost_connection_costs_no_other_one(table: str) -> None:
    """SQLAlchemy renews all connections of an engine when it has met a dead one."""
    with Database(table, size=PoolSize(4, 4)) as db:
        db.primary.pool.wait()

        def pid(work: Any) -> int:
            return int(work.session.execute(text("SELECT pg_backend_pid()")).scalar_one())

        pids: set[int] = set()
        while len(pids) < 4:
            pids.add(db.run(pid))

        def die(work: Any) -> int:
            if work.attempt == 1:
                work.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            return pid(work)

        db.run(die)
        after = {db.run(pid) for _ in range(12)}
        assert len(after & pids) == 3


@direct
def test_idle_connections_that_died_are_not_lent(table: str) -> None:
    with Database(table, size=PoolSize(3, 3)) as db:
        db.primary.pool.wait()
        with psycopg.connect(table, autocommit=True) as other:
            others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            other.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}".encode())
        for _ in range(6):
            db.run(lambda work: work.conn.execute("SELECT 1"))
        assert db.counts.tried_again == 0


@both
def test_begin_is_one_unit_of_work_without_another_try(table: str, colour: str) -> None:
    seen: list[str] = []
    if colour == "sync":
        with Database(table) as db:
            with db.begin() as work:
                work.after_commit(lambda: seen.append("done"))
                work.conn.execute("INSERT INTO notes VALUES (1)")
                db.run(lambda w: w.conn.execute("INSERT INTO notes VALUES (2)"))
                with pytest.raises(UsageError, match="inside"), db.begin():
                    pass
            with pytest.raises(IntegrityError), db.begin() as work:
                work.session.execute(text("INSERT INTO notes VALUES (3), (3)"))

            def steps() -> Iterator[int]:
                with db.begin() as work:
                    work.conn.execute("INSERT INTO notes VALUES (4)")
                    yield 1

            given = steps()
            next(given)
            given.close()
            all_back(db)
    else:

        async def scenario() -> None:
            async with AsyncDatabase(table) as db:
                async with db.begin() as work:
                    work.after_commit(lambda: seen.append("done"))
                    await work.conn.execute("INSERT INTO notes VALUES (1)")
                    await db.run(lambda w: w.conn.execute("INSERT INTO notes VALUES (2)"))
                    with pytest.raises(UsageError, match="inside"):
                        async with db.begin():
                            pass
                with pytest.raises(IntegrityError):
                    async with db.begin() as work:
                        await work.session.execute(text("INSERT INTO notes VALUES (3), (3)"))
                all_back(db)

        asyncio.run(scenario())
    assert rows(table) == [1, 2]
    assert seen == ["done"]


@both
def test_two_databases_in_one_work(table: str, colour: str) -> None:
    """The inner one is a transaction of its own; what comes back to the outer database inside it is a savepoint again."""

    async def scenario(db: Any) -> None:
        other: Any = Database(table) if colour == "sync" else AsyncDatabase(table)
        second = Awaitable(other) if colour == "sync" else other

        async def outer(work: Any) -> None:
            await sql(work, "INSERT INTO notes VALUES (1)")

            async def inner(w: Any) -> None:
                await sql(w, "INSERT INTO notes VALUES (2)")

                async def back(again: Any) -> None:
                    assert again is work
                    await sql(again, "INSERT INTO notes VALUES (3)")

                await db.run(back)
                assert current_work() is w

            await second.run(inner)
            assert rows(table) == [2]
            assert len(db.loans()) == 1

        await db.run(outer)
        await settle(other.close())

    Both(colour, table).go(scenario)
    assert rows(table) == [1, 2, 3]


@pytest.mark.parametrize("way", WAYS)
def test_tenants_and_the_context(table: str, way: str) -> None:
    def said(work: Any) -> Any:
        query = "SELECT current_setting('pgcharter.tenant', true)"
        return work.conn.execute(query).fetchone()[0] if way == "psycopg" else work.session.execute(text(query)).scalar_one()

    with Database(table, tenants=True, size=PoolSize(1, 1)) as db:
        with pytest.raises(NoTenantError):
            db.run(said)
        for tenant in ("a", "b", "b"):
            with context(tenant=tenant):
                assert db.run(said) == tenant
        with pytest.raises(NoTenantError):
            db.run(said)
        all_back(db)


def test_interrupts_leave_nothing_lent(table: str) -> None:
    with Database(table, size=PoolSize(1, 1)) as db:
        for way in ("execute", "session", "plain"):

            def fn(work: Any, way: str = way) -> None:
                if way == "session":
                    work.session.execute(text("INSERT INTO notes VALUES (1)"))
                elif way == "execute":
                    work.conn.execute("INSERT INTO notes VALUES (1)")
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                db.run(fn)
            all_back(db)
    assert rows(table) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("twice", [False, True], ids=("once", "twice"))
def test_cancelled_anywhere_the_connection_comes_back(table: str, way: str, twice: bool) -> None:
    """The n-th step of the loop cancels, for every n: nothing is left lent, and what says it is committed is."""

    async def one(db: AsyncDatabase, step: int) -> bool:
        seen: list[str] = []

        async def fn(work: Any) -> None:
            work.after_commit(lambda: seen.append("committed"))
            work.after_rollback(lambda: seen.append("undone"))
            await sql(work, f"INSERT INTO notes VALUES ({step})", way)

            async def inner(w: Any) -> None:
                await sql(w, f"UPDATE notes SET body = 'x' WHERE id = {step}", way)

            await db.run(inner)

        task = asyncio.create_task(db.run(fn))
        for _ in range(step):
            await asyncio.sleep(0)
        over = task.done()
        task.cancel()
        if twice:
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        until = 0
        while db.loans() and until < 200:
            await asyncio.sleep(0.01)
            until += 1
        all_back(db)
        there = step in rows(table)
        assert len(seen) <= 1
        assert ("committed" in seen) <= there
        assert "undone" not in seen or not there
        return over

    async def scenario() -> int:
        async with AsyncDatabase(table, size=PoolSize(2, 2)) as db:
            await db.primary.pool.wait()
            step = 0
            while not await one(db, step):
                step += 1
                assert step < 5000
            return step

    assert asyncio.run(scenario()) > 5


def test_tasks_inside_a_work(table: str) -> None:
    async def scenario() -> None:
        async with AsyncDatabase(table) as db:

            async def slow(work: Any) -> None:
                await work.conn.execute("SELECT pg_sleep(0.05)")

            async def both_at_once(work: Any) -> None:
                found = await asyncio.gather(db.run(slow), db.run(slow), return_exceptions=True)
                assert [type(f) for f in found] == [type(None), UsageError]
                await asyncio.wait_for(db.run(slow), 5)

            await db.run(both_at_once)
            left: list[Any] = []

            async def after(work: Any) -> None:
                await asyncio.sleep(0.05)
                left.append(await db.run(lambda w: w.conn.execute("INSERT INTO notes VALUES (9)")))

            async def starts(work: Any) -> None:
                left.append(asyncio.create_task(after(work)))

            await db.run(starts)
            assert current_work() is None
            await left[0]
            all_back(db)

    asyncio.run(scenario())
    assert rows(table) == [9]


def test_threads_share_a_database_and_counts_are_exact(table: str) -> None:
    def add(work: Any) -> None:
        if work.attempt == 1 and threading.get_ident() % 2:
            work.conn.execute("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")
        work.conn.execute("UPDATE counters SET n = n + 1 WHERE id = 1")

    with Database(table, size=PoolSize(2, 6)) as db, ThreadPoolExecutor(12) as threads:
        for each in [threads.submit(db.run, add) for _ in range(240)]:
            each.result()
        assert (db.counts.runs, db.counts.committed) == (240, 240)
        assert db.counts.rolled_back == db.counts.tried_again
        all_back(db)
    assert rows(table, "SELECT n FROM counters WHERE id = 1") == [240]


def test_sessions_can_be_given_a_class_and_options(table: str) -> None:
    from sqlalchemy.orm import Session, sessionmaker

    class Own(Session): ...

    for made in (Own, sessionmaker(class_=Own)):
        with Database(table, session_class=made, session_options={"autoflush": False}) as db:

            def fn(work: Any) -> None:
                assert isinstance(work.session, Own)
                assert work.session is work.session
                assert not work.session.autoflush

            db.run(fn)


def test_a_session_leaves_nothing_on_the_connection(table: str) -> None:
    with Database(table, size=PoolSize(1, 1)) as db:

        def fn(work: Any) -> None:
            work.session.connection(execution_options={"schema_translate_map": {None: "elsewhere"}})
            work.session.execute(text("SELECT 1"))

        db.run(fn)
        db.run(lambda work: work.session.connection().get_execution_options() == {} or pytest.fail("kept"))
        with db.engine.begin() as conn:
            conn.execute(text("INSERT INTO notes VALUES (1)"))
        db.run(lambda work: work.session.execute(text("INSERT INTO notes VALUES (2)")))
        all_back(db)
        gc.collect()
    assert rows(table) == [1, 2]


def test_a_server_that_is_away_is_not_waited_for_to_the_end() -> None:
    """Tries end with `away`, long before the deadline of work that a server asks for again."""
    began = time.monotonic()
    with Database("postgresql://nobody@127.0.0.1:1/x", size=PoolSize(1, 1, wait=0.2), retry=Retry(away=0.5)) as db:
        with pytest.raises(ConnectError) as found:
            db.run(lambda work: work.conn.execute("SELECT 1"))
        assert "tried" in "".join(found.value.__notes__)
    assert time.monotonic() - began < 10
