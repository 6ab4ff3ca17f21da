"""The context of transactions, psycopg and SQLAlchemy, sync and async: forgotten or mixed up it fails, and nothing is left over."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgcharter.db.flows import Batch, Query, Steps, flow
from pgcharter.errors import UsageError
from pgcharter.runtime.connections import AsyncContextConnection, ContextConnection, async_transaction, begin, transaction
from pgcharter.runtime.context import LONGEST, Context, NoTenantError, OtherContextError, context, current, no_tenant
from pgcharter.runtime.engines import OPTION, bind

A, B = uuid.UUID(int=10), uuid.UUID(int=11)
SEEN = "SELECT current_setting('pgcharter.tenant', true), current_setting('pgcharter.actor', true)"
HOSTILE = ("'; DROP TABLE x; --", "\\'; SELECT 1; --", "$$", "a'b\\c", "%s %(x)s", "ä€😀", "x; COMMIT", "\n\t\x01", "E'\\x27")


def url(dsn: str, driver: str = "psycopg") -> str:
    return f"postgresql+{driver}://" + dsn.partition("://")[2]


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = bind(create_engine(url(database), pool_size=1, max_overflow=0))
    yield made
    made.dispose()


@pytest.fixture
def bound(database: str) -> Iterator[ContextConnection[Any]]:
    with ContextConnection.connect(database) as conn:
        yield conn


def seen(conn: Any) -> Any:
    return conn.execute(SEEN).fetchone()


def test_values_arrive_whatever_is_in_them(bound: ContextConnection[Any]) -> None:
    for value in HOSTILE:
        with context(tenant=value, actor=value), bound.transaction():
            assert seen(bound) == (value, value)
    for setting in ("off", "on"):
        with no_tenant("set"), bound.transaction():
            bound.execute(f"SET standard_conforming_strings = {setting}".encode())
        with context(tenant="a\\'b"), bound.transaction():
            assert seen(bound)[0] == "a\\'b"


@pytest.mark.parametrize("value", ["", "a\0b", "x" * (LONGEST + 1), "ä" * LONGEST, "\ud800", True, 1.5, None, b"x"])
def test_what_cannot_be_a_value_is_refused(value: Any) -> None:
    with pytest.raises(UsageError), context(tenant=value, actor=value if value is None else "ada", reason="" if value is None else None):
        pass
    assert current() == Context()


def test_what_the_client_encoding_lacks_is_refused(database: str) -> None:
    with ContextConnection.connect(database, client_encoding="latin1") as conn:
        with context(tenant="€"), pytest.raises(UsageError, match="has no character '€'"):
            conn.execute("SELECT 1")
        with context(tenant="ä"):
            assert seen(conn)[0] == "ä"


def test_nothing_is_left_for_the_next_transaction(bound: ContextConnection[Any]) -> None:
    with context(tenant=A, actor="ada", reason="r", correlation=7):
        assert bound.execute(
            "SELECT current_setting('pgcharter.tenant'), current_setting('pgcharter.reason'), current_setting('pgcharter.correlation')"
        ).fetchone() == (str(A), "r", "7")
        bound.commit()
    with no_tenant("look"):
        assert seen(bound) in (("", ""), (None, None)), "None on a session of the server that had nothing before"
        bound.rollback()
    with context(tenant=B):
        assert seen(bound) in ((str(B), ""), (str(B), None))


def test_forgetting_the_tenant_fails(bound: ContextConnection[Any], engine: Engine) -> None:
    for run in (lambda: bound.execute("SELECT 1"), lambda: bound.transaction().__enter__(), lambda: transaction(bound).__enter__()):
        with pytest.raises(NoTenantError, match="no tenant is named"):
            run()
        with context(actor="ada"), pytest.raises(NoTenantError):
            run()
    with pytest.raises(NoTenantError), engine.connect() as conn:
        conn.execute(text("SELECT 1"))
    with pytest.raises(NoTenantError), Session(engine) as session:
        session.execute(text("SELECT 1"))
    with context(tenant=A), engine.connect() as conn:
        assert conn.execute(text(SEEN)).one()[0] == str(A)


def test_a_connection_that_failed_to_begin_does_not_work_without(engine: Engine) -> None:
    with engine.connect() as conn:
        with pytest.raises(NoTenantError):
            conn.execute(text("SELECT 1"))
        with pytest.raises(NoTenantError):
            conn.execute(text("SELECT 1"))
        with context(tenant=A), pytest.raises(UsageError, match="could not begin its transaction before"):
            conn.execute(text(SEEN))


def test_another_context_within_a_transaction_fails(bound: ContextConnection[Any], engine: Engine) -> None:
    with context(tenant=A):
        bound.execute("SELECT 1")
        with context(tenant=B), pytest.raises(OtherContextError, match=f"begun for tenant {A}, and this statement is for tenant {B}"):
            bound.execute("SELECT 1")
        with no_tenant("why"), pytest.raises(OtherContextError, match="for all tenants"):
            bound.execute("SELECT 1")
        assert seen(bound)[0] == str(A)
        with engine.connect() as conn:
            conn.execute(text("SELECT 1"))
            with context(tenant=B), pytest.raises(OtherContextError):
                conn.execute(text("SELECT 1"))
    with pytest.raises(OtherContextError):
        bound.execute("SELECT 1")


def test_inner_contexts_begin_where_outer_ones_are() -> None:
    with context(tenant=A, actor="ada"):
        with context(reason="r"):
            assert current() == Context(str(A), "ada", "r")
        with no_tenant("all", role="maint"):
            assert current() == Context("", "ada", "all", everybody=True, role="maint")
            with context(tenant=B):
                assert current() == Context(str(B), "ada", "all")
        assert current() == Context(str(A), "ada")
    assert current() == Context()


def test_how_the_transaction_is_meant_is_kept(bound: ContextConnection[Any], database: str) -> None:
    bound.isolation_level, bound.read_only, bound.deferrable = IsolationLevel.SERIALIZABLE, True, True
    assert begin(bound) == "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"
    names = ("isolation", "read_only", "deferrable")
    how = "SELECT " + ", ".join(f"current_setting('transaction_{name}')" for name in names)
    with context(tenant=A):
        assert bound.execute(how).fetchone() == ("serializable", "on", "on")
        bound.rollback()
        with transaction(bound):
            assert bound.execute(how).fetchone() == ("serializable", "on", "on")
        engine = bind(create_engine(url(database), isolation_level="REPEATABLE READ", poolclass=NullPool))
        with engine.connect().execution_options(postgresql_readonly=True) as conn:
            assert conn.execute(text(how)).one()[:2] == ("repeatable read", "on")


def test_savepoints_keep_the_context(bound: ContextConnection[Any], engine: Engine) -> None:
    with context(tenant=A), bound.transaction():
        with pytest.raises(psycopg.errors.DivisionByZero), bound.transaction():
            bound.execute("SELECT 1/0")
        assert seen(bound)[0] == str(A)
    with context(tenant=A), Session(engine) as session:
        nested = session.begin_nested()
        session.execute(text("SELECT 1"))
        nested.rollback()
        assert session.execute(text(SEEN)).one()[0] == str(A)


def test_autocommit_has_no_context(database: str, engine: Engine) -> None:
    with ContextConnection.connect(database, autocommit=True) as conn:
        with context(tenant=A):
            with pytest.raises(UsageError, match="autocommit"):
                conn.execute("SELECT 1")
            with conn.transaction():
                assert seen(conn)[0] == str(A)
        with no_tenant("vacuum"):
            conn.execute("VACUUM")
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with context(tenant=A), pytest.raises(UsageError, match="autocommit"), alone.connect() as conn_:
        conn_.execute(text("SELECT 1"))
    with no_tenant("vacuum"), alone.connect() as conn_:
        conn_.execute(text("VACUUM"))


def test_pipelines_and_prepared_statements(bound: ContextConnection[Any]) -> None:
    for tenant in (A, B, A):
        with context(tenant=tenant), bound.pipeline():
            cursors = [bound.execute(SEEN, prepare=True) for _ in range(3)]
            assert [c.fetchone()[0] for c in cursors] == [str(tenant)] * 3
        bound.commit()
    with context(tenant=A), bound.pipeline(), pytest.raises(UsageError, match="pipeline"):
        bound.transaction().__enter__()


@flow
def looking() -> Steps[list[Any]]:
    both = yield Batch((Query(SEEN), Query(SEEN)))
    one = yield Query(SEEN)
    return [both[0][0][0], both[1][0][0], one[0][0]]


def test_flows_join_it(bound: ContextConnection[Any], engine: Engine) -> None:
    with context(tenant=A):
        assert looking(bound) == [str(A)] * 3
        with Session(engine) as session:
            assert looking(session) == [str(A)] * 3


def test_plain_connections_by_hand(database: str) -> None:
    with psycopg.connect(database) as conn:
        with transaction(conn, Context(tenant="t", actor="a")):
            assert seen(conn) == ("t", "a")
            with pytest.raises(UsageError, match="open already"), transaction(conn, Context(tenant="u")):
                pass
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with pytest.raises(psycopg.errors.DivisionByZero), transaction(conn, Context(tenant="t")):
            conn.execute("CREATE TABLE x (a int); SELECT 1/0")
        assert conn.execute("SELECT to_regclass('x')").fetchone() == (None,)


def test_the_maintenance_role_is_taken_on_for_the_transaction(bound: ContextConnection[Any]) -> None:
    with no_tenant("look", role="pg_monitor"):
        assert bound.execute("SELECT current_user::text").fetchone() == ("pg_monitor",)
        bound.commit()
    with context(tenant=A):
        assert bound.execute("SELECT current_user::text").fetchone() != ("pg_monitor",)
    bound.rollback()
    with no_tenant("look", role="nobody here"), pytest.raises(psycopg.errors.InvalidParameterValue, match='"nobody here" does not exist'):
        bound.execute("SELECT 1")


def test_a_generator_that_lets_its_context_out_is_told() -> None:
    def asking(tenant: uuid.UUID) -> Iterator[str]:
        with context(tenant=tenant):
            yield current().tenant
            yield current().tenant

    one, other = asking(A), asking(B)
    assert [next(one), next(other)] == [str(A), str(B)]
    with pytest.raises(OtherContextError, match="a generator has yielded"):
        list(one)
    with pytest.raises(OtherContextError):
        list(other)
    assert current() == Context()


def test_explicit_contexts_in_generators(engine: Engine) -> None:
    def asking(tenant: str) -> Iterator[str]:
        own = bind(engine).execution_options(**{OPTION: Context(tenant)})
        for _ in range(2):
            with own.connect() as conn:
                yield conn.execute(text(SEEN)).one()[0]

    one = asking("a")
    assert next(one) == "a"
    assert list(one) == ["a"]
    assert list(asking("b")) == ["b", "b"]


def test_threads_begin_without_one(bound: ContextConnection[Any]) -> None:
    found: list[Context] = []
    with context(tenant=A):
        thread = threading.Thread(target=lambda: found.append(current()))
        thread.start()
        thread.join()
    assert found == [Context()]


def test_async_connections_and_tasks(database: str) -> None:
    async def ask(tenant: uuid.UUID) -> set[Any]:
        answers = set()
        with context(tenant=tenant):
            async with await AsyncContextConnection.connect(database) as conn:
                for _ in range(5):
                    answers.add((await (await conn.execute(SEEN)).fetchone())[0])
                    await conn.commit()
                    async with async_transaction(conn):
                        answers.add((await (await conn.execute(SEEN)).fetchone())[0])
                    await asyncio.sleep(0)
        return answers

    async def both() -> list[set[Any]]:
        return await asyncio.gather(ask(A), ask(B))

    assert asyncio.run(both()) == [{str(A)}, {str(B)}]
    assert current() == Context()


def test_async_engines(database: str) -> None:
    async def ask(engine: AsyncEngine, tenant: uuid.UUID) -> set[Any]:
        answers = set()
        with context(tenant=tenant):
            for _ in range(5):
                async with AsyncSession(engine) as session:
                    answers.add((await session.execute(text(SEEN))).one()[0])
                    answers.update(await looking.aio(session))
                await asyncio.sleep(0)
        return answers

    async def all_() -> None:
        engine = bind(create_async_engine(url(database), pool_size=2, max_overflow=0))
        assert await asyncio.gather(ask(engine, A), ask(engine, B)) == [{str(A)}, {str(B)}]
        with pytest.raises(NoTenantError):
            async with engine.connect() as conn:
                await conn.execute(text("SELECT 1"))
        await engine.dispose()

    asyncio.run(all_())


def test_only_psycopg_3_is_bound() -> None:
    with pytest.raises(UsageError, match="psycopg 3 alone"):
        bind(create_engine("sqlite://"))
