"""Databases: pools, who holds what, health, closing, forking, event loops, the charter, PgBouncer."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import text
from tests.runtime import own_tables
from tests.runtime.poolers import POOLED
from tests.runtime.standby import PRIMARY, promote, standby_of

from pgcharter.errors import CharterError, ConnectError, UsageError
from pgcharter.runtime.context import NoTenantError, context
from pgcharter.runtime.database import AsyncDatabase, Database, Timeouts
from pgcharter.runtime.idempotency import Key, OtherRequestError
from pgcharter.runtime.models_session import ModelSession
from pgcharter.runtime.outcomes import ONCE, Retry
from pgcharter.runtime.placement import Schemas
from pgcharter.runtime.pools import ClosedError, PoolExhaustedError, PoolSize
from pgcharter.servers.lifecycle import Server

HERE = Path(__file__).name


def one(work: Any) -> int:
    return int(work.conn.execute("SELECT 1").fetchone()[0])


async def one_async(work: Any) -> int:
    return int((await (await work.conn.execute("SELECT 1")).fetchone())[0])


def held(db: Database, seconds: float = 0.3) -> threading.Thread:
    """A thread that keeps a connection for a while; it has it when this returns."""
    began = threading.Event()

    def keeps(work: Any) -> None:
        began.set()
        time.sleep(seconds)

    thread = threading.Thread(target=lambda: db.run(keeps), name="the-holder")
    thread.start()
    began.wait()
    return thread


def test_an_exhausted_pool_says_who_holds_what(database: str) -> None:
    with Database(database, size=PoolSize(1, 1, wait=0.1)) as db:
        holder = held(db)
        with pytest.raises(
            PoolExhaustedError, match=rf"all 1 connections to the primary are lent.*{HERE}:\d+ \(the-holder\) for 0\."
        ) as found:
            db.run(one)
        assert "[database.pool] max" in found.value.hint
        holder.join()
        assert db.run(one) == 1
    with Database(database, size=PoolSize(1, 1, wait=5, waiting=1)) as db:
        holder = held(db)
        waiting = threading.Thread(target=db.run, args=(one,))
        waiting.start()
        while not db.stats()[0].waiting:
            time.sleep(0.001)
        with pytest.raises(PoolExhaustedError, match="as many callers wait as may"):
            db.run(one)
        holder.join()
        waiting.join()


def test_an_exhausted_pool_names_tasks(database: str) -> None:
    async def scenario() -> None:
        async with AsyncDatabase(database, size=PoolSize(1, 1, wait=0.1)) as db:
            task = asyncio.create_task(db.run(lambda work: asyncio.sleep(0.3)), name="the-holder")
            await asyncio.sleep(0.05)
            with pytest.raises(PoolExhaustedError, match=r"\(the-holder\)"):
                await db.run(one_async)
            await task

    asyncio.run(scenario())


def test_a_leak_is_reported_once_with_its_place(database: str, caplog: pytest.LogCaptureFixture) -> None:
    with Database(database, size=PoolSize(1, 2, leak=0.05)) as db:
        with caplog.at_level(logging.WARNING, "pgcharter.runtime"):
            held(db, 0.4).join()
        reports = [r.getMessage() for r in caplog.records if "not given back" in r.getMessage()]
        assert len(reports) == 1
        assert HERE in reports[0]
        assert db.counts.leaks == 1


def test_health_and_metrics(database: str) -> None:
    with Database(database, application='shop "1"', size=PoolSize(1, 3), replicas=("postgresql://nobody@127.0.0.1:1/x",)) as db:
        assert db.run(one) == 1
        holder = held(db)
        primary, replica = db.health()
        assert (primary.reachable, primary.standby, primary.error, primary.lent, primary.most) == (True, False, "", 1, 3)
        assert 0 < primary.seconds < 2
        assert not replica.reachable
        assert "no server answers" in replica.error
        assert replica.left_out
        assert not primary.left_out
        holder.join()
        said = db.metrics()
        assert 'pgcharter_replica_used{database="shop \\"1\\"",server="replica 1"} 0' in said
        assert 'pgcharter_routing_replica_total{database="shop \\"1\\""} 0' in said
        assert 'pgcharter_work_committed_total{database="shop \\"1\\""} 2' in said
        assert 'pgcharter_pool_most{database="shop \\"1\\"",server="the primary"} 3' in said
        lines = [line for line in said.splitlines() if not line.startswith("#")]
        assert all(len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0 for line in lines)


def test_health_async(database: str) -> None:
    async def scenario() -> None:
        async with AsyncDatabase(database) as db:
            assert [h.reachable for h in await db.health()] == [True]

    asyncio.run(scenario())


def test_a_server_that_is_not_there_is_a_connect_error() -> None:
    with Database("postgresql://nobody@127.0.0.1:1/x", size=PoolSize(1, 2, wait=0.2), retry=ONCE) as db:
        with pytest.raises(ConnectError, match=r"to the primary could be made in 0\.2 s: no server answers"):
            db.run(one)
        assert db.health()[0].error


def test_no_secret_is_told(database: str) -> None:
    wrong = {**conninfo_to_dict(database), "user": "pgct_nobody", "password": "hidden-word"}
    with Database(make_conninfo("", **wrong), size=PoolSize(1, 2, wait=0.3), retry=ONCE) as db:  # type: ignore[arg-type]
        with pytest.raises(ConnectError) as found:
            db.run(one)
        assert POOLED or "pgct_nobody" in str(found.value), "PgBouncer does not say which user"
        assert "hidden-word" not in f"{found.value} {found.value.hint} {db.health()}"
    with pytest.raises(ConnectError, match="cannot be understood"):
        Database("host=x pasword=hidden-word").open()


def test_close_waits_and_says_who_still_holds(database: str) -> None:
    db = Database(database).open()
    holder = held(db, 0.2)
    assert db.close() == ()
    holder.join()
    db = Database(database).open()
    holder = held(db, 0.5)
    left = db.close(0.05)
    assert len(left) == 1
    assert HERE in left[0].place
    holder.join()
    with pytest.raises(ClosedError):
        db.run(one)
    with pytest.raises(ClosedError):
        _ = db.engine
    assert db.close() == ()
    assert db.open().run(one) == 1
    db.close()


def test_close_lets_what_is_open_nest_and_nothing_else_begin(database: str) -> None:
    db = Database(database).open()
    inside, closing = threading.Event(), threading.Event()

    def fn(work: Any) -> int:
        inside.set()
        closing.wait()
        return db.run(one)

    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(db.run(fn)))
    thread.start()
    inside.wait()
    closer = threading.Thread(target=db.close)
    closer.start()
    while db._phase != "closing":
        time.sleep(0.001)
    with pytest.raises(ClosedError):
        db.run(one)
    closing.set()
    thread.join()
    closer.join()
    assert found == [1]


def test_two_event_loops(database: str) -> None:
    db = AsyncDatabase(database)

    async def scenario() -> int:
        return await db.run(one_async)

    with asyncio.Runner() as first:
        assert first.run(scenario()) == 1
        with pytest.raises(UsageError, match="another event loop"):
            asyncio.run(scenario())
        assert first.run(scenario()) == 1
        first.run(db.close())
    with pytest.raises(ClosedError):
        asyncio.run(scenario())

    async def again() -> int:
        async with db:
            return await scenario()

    assert asyncio.run(again()) == 1


def test_opened_once_by_many_tasks(database: str) -> None:
    async def scenario() -> None:
        db = AsyncDatabase(database, size=PoolSize(1, 4))
        assert await asyncio.gather(*(db.run(one_async) for _ in range(20))) == [1] * 20
        await db.close()

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(database: str) -> None:
    with Database(database, size=PoolSize(1, 1)) as db:
        parent = db.run(lambda work: work.conn.info.backend_pid)
        read, write = os.pipe()

        def forks(work: Any) -> int:
            pid = os.fork()
            if pid == 0:
                try:
                    own = db.run(lambda w: w.session.execute(text("SELECT pg_backend_pid()")).scalar_one())
                    db.close(1.0)
                    os.write(write, str(own).encode())
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            return one(work)

        assert db.run(forks) == 1
        child = int(os.read(read, 100))
        assert child != parent
        assert db.run(lambda work: work.conn.info.backend_pid) == parent


def test_a_password_may_change(database: str) -> None:
    given: list[int] = []
    with Database(lambda: given.append(1) or database, size=PoolSize(1, 1)) as db:  # type: ignore[func-returns-value]
        first = db.run(lambda work: work.conn.info.backend_pid)
        asked = len(given)
        db.renew()
        assert db.run(lambda work: work.conn.info.backend_pid) != first
        assert len(given) > asked


def test_placement(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE ROLE tenant_pgct_w; CREATE SCHEMA tenant_pgct_w AUTHORIZATION tenant_pgct_w")
    try:
        with Database(database, placement=Schemas()) as db, context(tenant="pgct_w"):
            query = "SELECT current_user::text, current_schema()::text"
            assert db.run(lambda work: work.conn.execute(query).fetchone()) == ("tenant_pgct_w",) * 2
            assert db.run(lambda work: tuple(work.session.execute(text(query)).one())) == ("tenant_pgct_w",) * 2
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("DROP SCHEMA tenant_pgct_w; DROP ROLE tenant_pgct_w")


def test_a_request_that_comes_again_gets_the_first_answer(database: str) -> None:
    own_tables.install(database, "idempotency")
    calls: list[int] = []

    def place(work: Any) -> dict[str, int]:
        calls.append(1)
        work.after_commit(lambda: calls.append(100))
        work.session.execute(text("CREATE TABLE once ()"))
        return {"order": 7}

    with Database(database) as db:
        key = Key("place", "a", {"n": 1})
        assert db.run(place, idempotency=key) == {"order": 7}
        assert db.run(place, idempotency=key) == {"order": 7}
        assert db.run(lambda work: db.run(place, idempotency=key)) == {"order": 7}
        with pytest.raises(OtherRequestError):
            db.run(place, idempotency=Key("place", "a", {"n": 2}))
    assert calls == [1, 100]

    async def scenario() -> None:
        async def never(work: Any) -> None:
            raise AssertionError

        async with AsyncDatabase(database) as db:
            assert await db.run(never, idempotency=key) == {"order": 7}  # type: ignore[func-returns-value]

    asyncio.run(scenario())


CHARTER = """
[environments.production]
dsn_env = "PGCT_URL"
[database]
application = "shop"
replicas = ["PGCT_REPLICA"]
[database.routing]
max_lag = "3s"
poll = "4s"
[database.pool]
max = 7
wait = "250ms"
[database.timeouts]
lock = "2s"
idle = ""
[[database.kind]]
name = "report"
statement = "10min"
[tenancy]
placement = "schemas"
place = "t_{name}"
[migrate]
folder = "elsewhere"
"""


def test_from_charter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="PGCT_URL is not set"):
        Database.from_charter()
    monkeypatch.setenv("PGCT_URL", "postgresql://a")
    monkeypatch.setenv("PGCT_REPLICA", "postgresql://b")
    for made in (Database.from_charter("production"), AsyncDatabase.from_charter(retry=ONCE)):
        assert (made.dsn, made.application, [r.dsn for r in made.replicas]) == ("postgresql://a", "shop", ["postgresql://b"])
        assert (made.size.min, made.size.max, made.size.wait, made.size.leak) == (2, 7, 0.25, 60)
        assert made.timeouts == Timeouts(30.0, 2.0, None)
        assert made.kinds["report"] == Timeouts(600.0, None, None)
        assert made.router is not None
        assert (made.router.routing.wait, made.router.routing.max_lag, made.router.routing.silent) == (0.1, 3.0, 8.0)
        assert made.placement == Schemas("t_{name}")
        assert made.tenants
    assert made.retry is ONCE
    with pytest.raises(UsageError, match="no environment 'staging'; there are production"):
        Database.from_charter("staging")
    for wrong, said in (
        ("[database.pool]\nmax = 0", "at most 0"),
        ("[database.pool]\nwait = 'soon'", "soon"),
        ("[database]\nreplicas = ['a b']", "a b"),
    ):
        (tmp_path / "pgcharter.toml").write_text(wrong)
        with pytest.raises((CharterError, UsageError), match=said):
            Database.from_charter()
    monkeypatch.chdir("/")
    with pytest.raises(UsageError, match="no charter"):
        Database.from_charter()


@pytest.fixture
def pooled(major_server: Server, database: str, pooler: Any) -> Iterator[str]:
    given: dict[str, Any] = conninfo_to_dict(database)
    with pooler(major_server, {given["user"]: given["password"]}, 3) as port:
        yield f"host=127.0.0.1 port={port} dbname={given['dbname']} user={given['user']} password={given['password']}"


def test_through_pgbouncer(pooled: str, database: str) -> None:
    """In transaction mode each transaction may be on another session: nothing is prepared, and timeouts go with BEGIN."""
    asked = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    with Database(pooled, size=PoolSize(2, 8), application="shop", kinds={"long": Timeouts(99.0)}) as db:

        def fn(work: Any) -> Any:
            for _ in range(8):
                found = work.conn.execute(asked + " WHERE %s = 1", (1,)).fetchone()
            work.session.execute(text("SELECT :n"), {"n": 1})
            return found

        threads = [threading.Thread(target=db.run, args=(fn,)) for _ in range(12)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert db.pooler
        assert db.counts.committed == 12
        assert db.run(fn) == ("30s", "5s")
        assert db.run(fn, kind="long") == ("99s", "5s")

        def lost(work: Any) -> int:
            if work.attempt == 1:
                with psycopg.connect(database, autocommit=True) as other:
                    pid = work.conn.execute("SELECT pg_backend_pid()").fetchone()
                    other.execute("SELECT pg_terminate_backend(%s, 5000)", pid)
            one(work)
            assert len(work.held.said.facts) == 3
            return int(work.attempt)

        assert db.run(lost, retry=Retry(attempts=6)) == 2
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as conn:
        assert conn.execute("SHOW statement_timeout").fetchall() == [("0",)]


def test_connections_may_be_checked_when_lent(database: str) -> None:
    with Database(database, size=PoolSize(1, 1, check=True), tenants=True) as db, context(tenant="a"):
        pid = db.run(lambda work: work.conn.info.backend_pid)
        db.primary.pool.check()
        assert db.run(lambda work: work.conn.info.backend_pid) == pid

    async def scenario() -> None:
        async with AsyncDatabase(database, size=PoolSize(1, 1, check=True)) as db:
            await db.run(one_async)
            await db.primary.pool.check()
            await db.run(one_async)
            assert db.primary.pool.get_stats().get("connections_num") == 1

    asyncio.run(scenario())


def test_an_engine_for_what_is_no_unit_of_work(database: str) -> None:
    """Also as the first thing that is done, and where a tenant is needed."""
    with Database(database, tenants=True, size=PoolSize(1, 1)) as db:
        with context(tenant="a"), db.engine.begin() as conn:
            assert conn.execute(text("SELECT current_setting('pgcharter.tenant')")).scalar_one() == "a"
        with pytest.raises(NoTenantError), db.engine.connect() as conn:
            conn.execute(text("SELECT 1"))
        assert db.loans() == ()

    async def scenario() -> None:
        async with AsyncDatabase(database, size=PoolSize(1, 1)) as db:
            async with db.engine.begin() as conn:
                assert (await conn.execute(text("SELECT 1"))).scalar_one() == 1
                assert len(db.loans()) == 1
            assert db.loans() == ()

    asyncio.run(scenario())


def test_a_database_that_nobody_has_any_more_is_gone(database: str) -> None:
    db = Database(database, size=PoolSize(1, 1, leak=0.04))
    db.run(one)
    gone = weakref.ref(db)
    db.primary.pool.close()
    del db
    for _ in range(100):
        gc.collect()
        if gone() is None:
            return
        time.sleep(0.01)
    pytest.fail("somebody keeps it")


def test_a_standby_is_no_primary(server: Any) -> None:
    primary = server(settings=dict(PRIMARY))
    with standby_of(primary) as standby, Database(standby.dsn(), size=PoolSize(1, 2), retry=Retry(attempts=3)) as db:
        with pytest.raises(ConnectError, match="the primary is a standby now"):
            db.run(one)
        assert db.run(one, readonly=True) == 1
        promote(standby)
        assert db.run(one) == 1
        assert db.loans() == ()


def test_sessions_that_are_no_units_of_work(database: str) -> None:
    with Database(database) as db:
        with db.sessions() as session:
            session.execute(text("CREATE TABLE t (id int)"))
            session.commit()
        with db.sessions.begin() as session:
            session.execute(text("INSERT INTO t VALUES (1)"))
        assert isinstance(session, ModelSession)
        assert db.run(lambda work: work.session.scalar(text("SELECT count(*) FROM t"))) == 1
        assert db.loans() == ()

    async def scenario() -> None:
        async with AsyncDatabase(database) as db, db.sessions() as session:
            assert await session.scalar(text("SELECT count(*) FROM t")) == 1

    asyncio.run(scenario())
