"""Locks by name and on rows: who holds them, in which order they are taken, and that nothing deadlocks which need not."""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.runtime.conftest import Pooler

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.runtime.locks import LockedError, Mode, RowsMissingError, claim_rows, key_of, lock, lock_rows, try_lock
from pgcharter.runtime.locks_session import async_session_lock, session_lock

SCHEMA = r"""
CREATE SCHEMA "s %";
CREATE TABLE "s %"."Käufe ""%s"" !" (id int PRIMARY KEY, balance numeric NOT NULL DEFAULT 100, "d %s" text DEFAULT 'x');
INSERT INTO "s %"."Käufe ""%s"" !" SELECT n FROM generate_series(1, 2000) n;
CREATE SCHEMA app;
CREATE TABLE app.pairs (a uuid, b text, v int, PRIMARY KEY (a, b));
INSERT INTO app.pairs
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, t, n FROM generate_series(1, 3) n, unnest('{x,y}'::text[]) t;
CREATE TABLE app.parted (id int PRIMARY KEY, v int) PARTITION BY HASH (id);
CREATE TABLE app.parted_0 PARTITION OF app.parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO app.parted SELECT n, n FROM generate_series(1, 50) n;
CREATE TABLE app.jobs (id int PRIMARY KEY, state text NOT NULL DEFAULT 'waiting', run_at timestamptz NOT NULL DEFAULT now(), payload text);
CREATE INDEX jobs_waiting ON app.jobs (run_at, id) WHERE state = 'waiting';
INSERT INTO app.jobs (id, run_at, payload) SELECT n, now() - n * interval '1 s', 'p' || n FROM generate_series(1, 300) n;
CREATE TABLE app.notes (id int PRIMARY KEY, job int REFERENCES app.jobs);
ANALYZE;
"""
TABLE = '"s %"."Käufe ""%s"" !"'


class Model(DeclarativeBase):
    pass


class Pair(Model):
    __tablename__ = "pairs"
    __table_args__ = {"schema": "app"}  # noqa: RUF012
    a: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    b: Mapped[str] = mapped_column(primary_key=True)
    v: Mapped[int]


@pytest.fixture
def dsn(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    return database


@pytest.fixture
def two(dsn: str) -> Iterator[tuple[Any, Any]]:
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as other:
        yield one, other
        one.rollback()
        other.rollback()


def test_names_are_keys_for_ever() -> None:
    assert key_of("nightly") == key_of(("nightly",)) == -4727541502127792209
    one = uuid.UUID(int=1)
    names = ["a", "b", "ab", ("a", "b"), ("ab",), ("a", 1), ("a1",), ("a", "1b"), ("a1", "b"), one, ("1:a",), ("a", "1:b"), "ä", "\ud800"]
    assert len({key_of(n) for n in names}) == len(names) - 1
    assert key_of("ab") == key_of(("ab",))
    assert key_of(("a", 1)) == key_of(("a", "1"))
    assert key_of(one) == key_of(str(one))
    assert all(-(2**63) <= key_of(str(n)) < 2**63 for n in range(1000))


@pytest.mark.parametrize("wrong", ["", (), ("a", ""), True, None, 1.5, ("a", None), b"x"])
def test_what_is_no_name(wrong: Any) -> None:
    with pytest.raises(UsageError, match="names no lock"):
        key_of(wrong)


def test_locks_end_with_the_transaction(two: tuple[Any, Any]) -> None:
    one, other = two
    lock(one, "a", ("b", 1))
    assert not try_lock(other, "a")
    assert not try_lock(other, "c", ("b", 1))
    assert try_lock(other, "c")
    one.commit()
    assert try_lock(other, "a", ("b", 1), "c")


def test_what_could_not_be_had_whole_is_not_held(two: tuple[Any, Any], dsn: str) -> None:
    one, other = two
    lock(one, "b")
    for wait in (0, 0.02):
        assert not try_lock(other, "a", "b", "c", wait=wait)
        with psycopg.connect(dsn) as third:
            assert try_lock(third, "a", "c")
    assert other.execute("SELECT 1").fetchone() == (1,)


def test_shared_locks_keep_others_out(two: tuple[Any, Any]) -> None:
    one, other = two
    lock(one, "a", shared=True)
    assert try_lock(other, "a", shared=True)
    other.rollback()
    assert not try_lock(other, "a")


def test_a_lock_waits_so_long_and_no_longer(two: tuple[Any, Any]) -> None:
    one, other = two
    lock(one, "a")
    other.execute("SET LOCAL lock_timeout = '9s'")
    with pytest.raises(LockedError, match="lock a is held by somebody else"), other.transaction():
        lock(other, "a", wait=0.02)
    assert other.execute("SHOW lock_timeout").fetchone() == ("9s",)
    assert not try_lock(other, "a", wait=0.02)
    assert other.execute("SHOW lock_timeout").fetchone() == ("9s",)
    timer = threading.Timer(0.1, one.commit)
    timer.start()
    assert try_lock(other, "a", wait=10)
    timer.join()
    assert other.execute("SHOW lock_timeout").fetchone() == ("9s",)


@pytest.mark.parametrize("wait", [-1, float("nan"), float("inf"), 1e9])
def test_what_is_no_time(two: tuple[Any, Any], wait: float) -> None:
    with pytest.raises(UsageError, match="wait is"):
        lock(two[0], "a", wait=wait)
    with pytest.raises(UsageError, match="no lock is named"):
        lock(two[0])


def test_names_in_any_order_do_not_deadlock(dsn: str) -> None:
    names = [("n", i) for i in range(6)]
    storm(dsn, lambda conn, chance: lock(conn, *chance.sample(names, 4)))


def test_rows_in_any_order_do_not_deadlock(dsn: str) -> None:
    storm(dsn, lambda conn, chance: lock_rows(conn, TABLE, chance.sample(range(1, 12), 5)))


def test_rows_of_partitions_do_not_deadlock(dsn: str) -> None:
    storm(dsn, lambda conn, chance: lock_rows(conn, "app.parted", chance.sample(range(1, 12), 5)))


def storm(dsn: str, work: Callable[[Any, random.Random], Any], workers: int = 6, rounds: int = 25) -> None:
    """Many transactions at a time that take the same things in different order; a deadlock fails the test."""
    errors: list[BaseException] = []

    def run(seed: int) -> None:
        chance = random.Random(seed)
        try:
            with psycopg.connect(dsn) as conn:
                conn.execute("SET deadlock_timeout = '20ms'")
                for _ in range(rounds):
                    work(conn, chance)
                    conn.commit()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert errors == []


def test_the_usual_form_deadlocks_and_this_one_waits(dsn: str) -> None:
    """One transaction has 1 and wants 2, the other has 2 and wants 1; the same two rows by `lock_rows` go through."""
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as other:
        for conn in (one, other):
            conn.execute("SET deadlock_timeout = '20ms'")
            conn.commit()
        usual = f"UPDATE {TABLE.replace('%', '%%')} SET balance = balance - 1 WHERE id = %s"
        one.execute(usual.encode(), (1,))
        other.execute(usual.encode(), (2,))
        found: list[Any] = []

        def cross(conn: Any, number: int) -> None:
            try:
                conn.execute(usual.encode(), (number,))
            except psycopg.Error as error:
                found.append(error)
            conn.rollback()

        threads = [threading.Thread(target=cross, args=at) for at in ((one, 2), (other, 1))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(10)
        assert [type(e) for e in found] == [psycopg.errors.DeadlockDetected]
        lock_rows(one, TABLE, [1, 2])
        thread = threading.Thread(target=lambda: found.append(lock_rows(other, TABLE, [2, 1], returning=["balance"])))
        thread.start()
        one.execute(usual.encode(), (2,))
        one.commit()
        thread.join(10)
        assert found[1] == {1: {"balance": 100}, 2: {"balance": 99}}


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("count", [2, 5, 1500])
@pytest.mark.parametrize("off", ["", "enable_indexscan", "enable_seqscan", "enable_bitmapscan", "enable_sort"])
def test_rows_are_locked_above_the_sort(dsn: str, major: int, count: int, off: str) -> None:
    from pgcharter.runtime import locks

    with psycopg.connect(dsn) as conn:
        if off:
            conn.execute(f"SET {off} = off".encode())
        for table, columns, keys in (
            (TABLE.replace("%", "%%"), ("id",), [(n,) for n in range(count)]),
            ("app.parted", ("id",), [(n,) for n in range(count)]),
            ("app.pairs", ("a", "b"), [(uuid.UUID(int=n), "x") for n in range(min(count, 50))]),
        ):
            query = locks._in_order(table, columns, keys, "no key update", ())
            plan = [row[0] for row in conn.execute(b"EXPLAIN (COSTS OFF) " + query.sql.encode(), query.parameters)]
            assert plan[0].strip() == "LockRows"
            assert any(word in plan[1] for word in ("Sort", "Index Scan", "Index Only Scan", "Merge Append")), plan


def test_rows_missing_are_named(two: tuple[Any, Any]) -> None:
    one, _ = two
    with pytest.raises(RowsMissingError, match=r"has no row 9998, 9999, so it cannot be locked") as caught:
        lock_rows(one, TABLE, [9998, 3, 9999])
    assert caught.value.keys == (9998, 9999)
    assert lock_rows(one, TABLE, [9998, 3], missing_ok=True) == {3: {}}
    assert lock_rows(one, TABLE, []) == {}
    assert lock_rows(one, TABLE, [3, 3], returning=["balance", "d %s"]) == {3: {"balance": 100, "d %s": "x"}}


def test_keys_of_several_columns_and_models(two: tuple[Any, Any], dsn: str) -> None:
    one, other = two
    keys = [(uuid.UUID(int=2), "y"), (uuid.UUID(int=1), "x")]
    assert lock_rows(one, "app.pairs", keys, key=["a", "b"], returning=["v"]) == {keys[0]: {"v": 2}, keys[1]: {"v": 1}}
    with pytest.raises(UsageError, match="has 1 values, and a, b needs 2"):
        lock_rows(other, Pair, [uuid.UUID(int=2)])
    with pytest.raises(LockedError, match=r"rows of app\.pairs are locked"):
        lock_rows(other, Pair.__table__, keys, wait=0)
    one.commit()
    engine = create_engine("postgresql+psycopg://" + dsn.partition("://")[2])
    with Session(engine) as session, session.begin():
        assert lock_rows(session, Pair, keys, returning=["v"])[keys[0]] == {"v": 2}
    engine.dispose()


def test_a_row_that_others_refer_to_is_held_off_only_by_update(two: tuple[Any, Any]) -> None:
    one, other = two
    refer = "INSERT INTO app.notes VALUES (%s, 7)"
    lock_rows(one, "app.jobs", [7])
    other.execute(refer, (1,))
    other.commit()
    one.rollback()
    lock_rows(one, "app.jobs", [7], mode="update")
    other.execute("SET LOCAL lock_timeout = '20ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        other.execute(refer, (2,))


@pytest.mark.parametrize("wrong", ["jobs", "a.b.c", "app.jobs; DROP", 7, None])
def test_what_is_no_table(two: tuple[Any, Any], wrong: Any) -> None:
    with pytest.raises(UsageError):
        lock_rows(two[0], wrong, [1])
    with pytest.raises(UsageError):
        claim_rows(two[0], wrong, limit=1)
    mode: Any = "exclusive"
    with pytest.raises(UsageError, match="there is no row lock"):
        lock_rows(two[0], "app.jobs", [1], mode=mode)


def test_claims_do_not_meet(dsn: str) -> None:
    claimed: list[int] = []

    def work() -> None:
        with psycopg.connect(dsn) as conn:
            while rows := claim_rows(conn, "app.jobs", order=["run_at"], limit=7, where="state = 'waiting'", returning=["id", "payload"]):
                assert all(r["payload"] == f"p{r['id']}" for r in rows)
                conn.execute("UPDATE app.jobs SET state = 'done' WHERE id = ANY (%s)", ([r["id"] for r in rows],))
                claimed.extend(r["id"] for r in rows)
                conn.commit()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert sorted(claimed) == list(range(1, 301))


def test_claims_in_order_and_what_others_hold_is_passed_over(two: tuple[Any, Any]) -> None:
    one, other = two
    mode: Mode = "no key update"
    asked: dict[str, Any] = {"where": "state = %(state)s", "parameters": {"state": "waiting"}, "mode": mode}
    assert claim_rows(one, "app.jobs", order=["-id"], limit=2, **asked) == [{"id": 300}, {"id": 299}]
    assert claim_rows(other, "app.jobs", order=["-id"], limit=2, **asked) == [{"id": 298}, {"id": 297}]
    one.rollback()
    assert claim_rows(other, "app.jobs", order=["-id"], limit=2, **asked) == [{"id": 300}, {"id": 299}]
    with pytest.raises(UsageError, match="limit is 0"):
        claim_rows(one, "app.jobs", limit=0)


@pytest.mark.parametrize("major", [15, 18])
def test_a_claim_reads_the_index_of_the_queue(dsn: str, major: int) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO app.jobs (id, state) SELECT n, 'done' FROM generate_series(1000, 30000) n")
        conn.execute("ANALYZE app.jobs")
        conn.execute("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET client_min_messages = log")
        notices: list[str] = []
        conn.add_notice_handler(lambda n: notices.append(str(n.message_primary)))
        claim_rows(conn, "app.jobs", order=["run_at"], limit=5, where="state = 'waiting'")
        conn.commit()
        plan = "\n".join(notices)
        assert "Index Scan using jobs_waiting" in plan
        assert "Sort" not in plan


def test_async_colours(dsn: str) -> None:
    async def go() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as one, await psycopg.AsyncConnection.connect(dsn) as other:
            await lock.aio(one, "a")
            assert not await try_lock.aio(other, "a", wait=0.02)
            assert await lock_rows.aio(one, TABLE, [2, 1]) == {1: {}, 2: {}}
            with pytest.raises(LockedError):
                await lock_rows.aio(other, TABLE, [1], wait=0)

    asyncio.run(go())


direct = pytest.mark.direct("a lock of the session is refused there: test_no_lock_of_the_session_through_a_pooler")


@direct
def test_async_lock_of_the_session(dsn: str) -> None:
    async def go() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as one, await psycopg.AsyncConnection.connect(dsn) as other:
            async with async_session_lock(one, "night"):
                with pytest.raises(LockedError):
                    async with async_session_lock(other, "night", wait=0):
                        pass
            async with async_session_lock(other, "night", wait=0):
                pass

    asyncio.run(go())


@direct
def test_a_lock_of_the_session_outlasts_transactions(two: tuple[Any, Any]) -> None:
    one, other = two
    with session_lock(one, "night"):
        one.execute("SELECT 1")
        one.commit()
        one.execute("SELECT 1")
        one.rollback()
        with pytest.raises(LockedError, match="lock night is held by another session"), session_lock(other, "night", wait=0.02):
            pass
        assert not try_lock(other, "night")
        other.rollback()
    with session_lock(other, "night", wait=0), pytest.raises(LockedError), session_lock(one, "night", shared=True, wait=0):
        pass
    assert other.execute("SHOW lock_timeout").fetchone() == ("0",)


@direct
def test_a_lock_of_the_session_ends_whatever_happens(two: tuple[Any, Any]) -> None:
    one, other = two
    with pytest.raises(psycopg.errors.DivisionByZero), session_lock(one, "night"):
        one.execute("SELECT 1/0")
    with pytest.raises(UsageError, match="a transaction was open when lock night ended"), session_lock(one, "night"):
        one.execute("SELECT 1")
    one.execute("SELECT 1")
    with pytest.raises(UsageError, match="a transaction is open"), session_lock(one, "night"):
        pass
    one.rollback()
    one.autocommit = True
    with pytest.raises(PgcharterError, match="lock night was lost"), session_lock(one, "night"):
        one.execute("SELECT pg_advisory_unlock_all()")
    with session_lock(other, "night", wait=0):
        pass


def test_no_lock_of_the_session_through_a_pooler(server_of: Any, pooler: Pooler) -> None:
    server = server_of(None)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE lock_user LOGIN PASSWORD 'x'")
        try:
            with pooler(server, {"lock_user": "x"}, 2) as port:
                dsn = f"host=127.0.0.1 port={port} user=lock_user password=x dbname=postgres"
                with psycopg.connect(dsn, prepare_threshold=None) as conn:
                    with pytest.raises(RefusedError, match="a pooler stands between"), session_lock(conn, "night"):
                        pass
                    lock(conn, "night")
                    assert try_lock(conn, "night", "other")
        finally:
            admin.execute("DROP ROLE lock_user")
