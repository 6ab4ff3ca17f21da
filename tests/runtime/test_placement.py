"""Transactions of tenants in schemas: in their schema, with their role, in one round trip, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgcharter.errors import UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import tenancy
from pgcharter.policy.tenancy_schemas import admitting
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.runtime.connections import AsyncContextConnection, ContextConnection, async_transaction, transaction
from pgcharter.runtime.context import Context, NoTenantError, OtherContextError, context, no_tenant, using
from pgcharter.runtime.engines import bind
from pgcharter.runtime.placement import ClosedTenantError, Schemas
from pgcharter.servers.lifecycle import Server

USER, PASSWORD = "pgct_taker", "not secret"
PLACE = Schemas("pgctp_{name}", ("app",))
SECTION = TenancySection(
    placement="schemas", place="pgctp_{name}", group="pgctshare", shared=("app.*",), application_roles=(USER,), maintenance_role="pgctkeep"
)
NAMES = tuple(f"t-{n}" for n in range(6))
SEEN = "SELECT (SELECT name FROM me), (SELECT word FROM words), current_role::text, current_setting('pgcharter.tenant', true)"
LEFT = "SELECT current_role::text, current_setting('search_path'), current_setting('pgcharter.tenant', true)"


class Connection(ContextConnection[TupleRow]):
    """A connection of this project."""

    placement = PLACE


class AsyncConnection(AsyncContextConnection[TupleRow]):
    """Its async twin."""

    placement = PLACE


def seen(tenant: str) -> tuple[str, ...]:
    return tenant, "shared", f"pgctp_{tenant}", tenant


@pytest.fixture
def server_dsn(major_server: Server, database: str) -> Iterator[str]:
    """A database of six tenants; the last one is suspended."""
    with psycopg.connect(database, autocommit=True) as conn:
        known = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
        conn.execute(f"CREATE ROLE {USER} LOGIN NOINHERIT PASSWORD '{PASSWORD}'".encode())
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.words (word text); INSERT INTO app.words VALUES ('shared')")
        for name in NAMES:
            conn.execute(f'CREATE SCHEMA "pgctp_{name}"; CREATE TABLE "pgctp_{name}".me AS SELECT \'{name}\' AS name'.encode())
        for step in planning.make(Wish("", database, prove=False, chosen=Chosen((tenancy.policy(SECTION),)))).plan.steps:
            conn.execute(step.sql.encode())
        for sql in (sql for name in NAMES[:-1] for sql in admitting(SECTION, f"pgctp_{name}", conn.info.server_version // 10000)):
            conn.execute(sql.encode())
    yield database
    with psycopg.connect(database, autocommit=True) as conn:
        made = [name for (name,) in conn.execute("SELECT rolname FROM pg_roles") if name not in known]
        for name in made:
            conn.execute(f'DROP OWNED BY "{name}"'.encode())
        for name in made:
            conn.execute(f'DROP ROLE "{name}"'.encode())


@pytest.fixture
def dsn(server_dsn: str) -> str:
    return make_conninfo(server_dsn, user=USER, password=PASSWORD)


def url(dsn: str) -> str:
    d = conninfo_to_dict(dsn)
    return f"postgresql+psycopg://{USER}:{PASSWORD.replace(' ', '%20')}@/{d['dbname']}?host={d['host']}&port={d['port']}"


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_psycopg(dsn: str, major: int) -> None:
    with Connection.connect(dsn) as conn:
        for name in NAMES[:-1]:
            with context(tenant=name):
                assert conn.execute(SEEN.encode()).fetchone() == seen(name)
                conn.commit()
            with context(tenant=name), conn.transaction():
                assert conn.execute(SEEN.encode()).fetchone() == seen(name)
            with context(tenant=name), conn.pipeline():
                cursor = conn.execute(SEEN.encode())
                conn.commit()
            assert cursor.fetchone() == seen(name)
        with no_tenant("look"):
            role, path, tenant = conn.execute(LEFT.encode()).fetchone() or ("", "", "")
            assert (role, path, tenant) == (USER, '"$user", public', "")
            conn.rollback()
    with psycopg.connect(dsn) as plain:
        with transaction(plain, Context("t-1"), PLACE):
            assert plain.execute(SEEN.encode()).fetchone() == seen("t-1")
        assert plain.execute("SELECT current_role::text").fetchone() == (USER,)


def test_a_closed_tenant_is_one_clear_error_and_nothing_stays_open(dsn: str) -> None:
    engine = bind(create_engine(url(dsn), pool_size=1, max_overflow=0), PLACE)
    with Connection.connect(dsn) as conn, psycopg.connect(dsn) as plain:
        for name, said in (("t-5", "tenant t-5 is not open: it is suspended"), ("gone", "there is no tenant gone")):
            with context(tenant=name):
                for begin in (lambda: conn.execute("SELECT 1"), lambda: conn.transaction().__enter__()):
                    with pytest.raises(ClosedTenantError, match=said):
                        begin()
                    assert conn.info.transaction_status.name == "IDLE"
                with pytest.raises(ClosedTenantError, match=said), transaction(plain, placement=PLACE):
                    pass
                with pytest.raises(ClosedTenantError, match=said), engine.connect() as bound:
                    bound.execute(text("SELECT 1"))
                with pytest.raises(ClosedTenantError, match=said), conn.pipeline():
                    conn.execute("SELECT 1")
                conn.rollback()
            with context(tenant="t-1"):
                assert conn.execute(SEEN.encode()).fetchone() == seen("t-1")
                conn.rollback()
                with transaction(plain, placement=PLACE):
                    assert plain.execute(SEEN.encode()).fetchone() == seen("t-1")
                with engine.connect() as bound:
                    assert tuple(bound.execute(text(SEEN)).one()) == seen("t-1")
    engine.dispose()


@pytest.mark.parametrize("name", ["T-1", "t-1; RESET ROLE", 't-1"', "t-1'", "ä", "t.1", "t-1\n", "-", "x" * 60, "t 1"])
def test_what_is_no_name_of_a_tenant_never_reaches_the_server(dsn: str, name: str) -> None:
    with Connection.connect(dsn) as conn, context(tenant=name), pytest.raises(UsageError, match=r"is no name of a tenant|would be in"):
        conn.execute("SELECT 1")
    assert PLACE.of("t-1") == "pgctp_t-1"


@pytest.mark.parametrize(("form", "behind"), [("x", ()), ("{name}", ()), ('a"{name}', ()), ("t_{name}", "public"), ("t_{name}", ("",))])
def test_a_placement_that_cannot_be_is_refused(form: str, behind: Any) -> None:
    with pytest.raises(UsageError):
        Schemas(form, behind)


def test_without_a_tenant_nothing_begins_and_maintenance_reaches_all(dsn: str, server_dsn: str) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute("GRANT pgctkeep TO pgct_taker" + (" WITH INHERIT FALSE" if conn.info.server_version >= 160000 else ""))
    with Connection.connect(dsn) as conn:
        with pytest.raises(NoTenantError):
            conn.execute("SELECT 1")
        with no_tenant("count", role="pgctkeep"):
            assert conn.execute('SELECT name FROM "pgctp_t-1".me UNION ALL SELECT name FROM "pgctp_t-5".me').fetchall() == [
                ("t-1",),
                ("t-5",),
            ]
            conn.rollback()
        with using(Context("t-5", role="pgctkeep")), transaction(conn):
            assert conn.execute("SELECT name FROM me").fetchone() == ("t-5",)


def test_who_forgets_it_has_no_right_and_no_tenant_another_one_s(dsn: str) -> None:
    with psycopg.connect(dsn) as plain, pytest.raises(psycopg.errors.InsufficientPrivilege):
        plain.execute('SELECT * FROM "pgctp_t-1".me')
    with Connection.connect(dsn) as conn, context(tenant="t-1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute('SELECT * FROM "pgctp_t-2".me')
        conn.rollback()
        conn.execute("SELECT 1")
        with context(tenant="t-2"), pytest.raises(OtherContextError):
            conn.execute("SELECT 1")


def test_a_temporary_table_of_another_tenant_hides_nothing(dsn: str) -> None:
    with Connection.connect(dsn) as conn:
        with context(tenant="t-1"):
            conn.execute("CREATE TEMP TABLE me AS SELECT 'stolen' AS name; GRANT ALL ON me TO PUBLIC")
            conn.commit()
        with context(tenant="t-2"):
            assert conn.execute(SEEN.encode()).fetchone() == seen("t-2")
            conn.commit()


def test_sqlalchemy(dsn: str) -> None:
    engine = bind(bind(create_engine(url(dsn), pool_size=1, max_overflow=0), PLACE))
    with context(tenant="t-1"), Session(engine) as session:
        assert tuple(session.execute(text(SEEN)).one()) == seen("t-1")
        session.commit()
        assert tuple(session.execute(text(SEEN)).one()) == seen("t-1")
    with context(tenant="t-2"), engine.execution_options(isolation_level="SERIALIZABLE").begin() as conn:
        assert tuple(conn.execute(text(SEEN)).one()) == seen("t-2")
    with no_tenant("look"), engine.connect() as conn:
        assert conn.execute(text(LEFT)).one()[0] == USER
    engine.dispose()


def test_async(dsn: str) -> None:
    async def all_() -> None:
        async with await AsyncConnection.connect(dsn) as conn:
            with context(tenant="t-1"):
                assert await (await conn.execute(SEEN.encode())).fetchone() == seen("t-1")
                await conn.commit()
            with context(tenant="t-5"):
                with pytest.raises(ClosedTenantError):
                    await conn.execute("SELECT 1")
                with pytest.raises(ClosedTenantError):
                    async with async_transaction(conn):
                        pass
            with context(tenant="t-2"):
                async with async_transaction(conn):
                    assert await (await conn.execute(SEEN.encode())).fetchone() == seen("t-2")
        engine = bind(create_async_engine(url(dsn), pool_size=1, max_overflow=0), PLACE)
        with context(tenant="t-3"):
            async with AsyncSession(engine) as session:
                assert tuple((await session.execute(text(SEEN))).one()) == seen("t-3")
        with context(tenant="t-5"), pytest.raises(ClosedTenantError):
            async with engine.connect() as conn2:
                await conn2.execute(text("SELECT 1"))
        with context(tenant="t-4"):
            async with engine.connect() as conn2:
                assert tuple((await conn2.execute(text(SEEN))).one()) == seen("t-4")
        await engine.dispose()

    asyncio.run(all_())


REQUESTS = int(os.environ.get("PGCHARTER_REQUESTS", "2400"))


def test_pooled_in_transaction_mode(server_dsn: str, major_server: Server, pooler: Any) -> None:
    """Threads and tasks of all tenants on four sessions; some requests fail, some are for nobody, some for the one that is suspended."""

    def wanted(seed: int) -> Iterator[str]:
        chosen = random.Random(seed)
        yield from (chosen.choice((*NAMES, "")) for _ in range(REQUESTS // 24))

    def told(tenant: str, row: Any) -> str:
        if tenant:
            return "" if tuple(row or ()) == seen(tenant) else f"{tenant} sees {row}"
        return "" if (row or ("?",))[0] == USER and (row or "??")[2] in ("", None) else f"left behind: {row}"

    with pooler(major_server, {USER: PASSWORD}, 4) as port:
        name = conninfo_to_dict(server_dsn)["dbname"]
        pooled = f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/{name}"

        def worker(seed: int) -> Counter[str]:
            found: Counter[str] = Counter()
            with Connection.connect(pooled, prepare_threshold=None) as conn:
                for tenant in wanted(seed):
                    with context(tenant=tenant) if tenant else no_tenant("look"):
                        try:
                            found[told(tenant, conn.execute((SEEN if tenant else LEFT).encode()).fetchone())] += 1
                        except ClosedTenantError:
                            found["" if tenant == NAMES[-1] else f"{tenant} is closed"] += 1
                        conn.rollback() if seed % 2 else conn.commit()
            return found

        async def task(seed: int) -> Counter[str]:
            found: Counter[str] = Counter()
            async with await AsyncConnection.connect(pooled, prepare_threshold=None) as conn:
                for tenant in wanted(seed):
                    with context(tenant=tenant) if tenant else no_tenant("look"):
                        try:
                            found[told(tenant, await (await conn.execute((SEEN if tenant else LEFT).encode())).fetchone())] += 1
                        except ClosedTenantError:
                            found["" if tenant == NAMES[-1] else f"{tenant} is closed"] += 1
                        await conn.rollback()
            return found

        async def tasks() -> Counter[str]:
            return sum(await asyncio.gather(*map(task, range(100, 112))), Counter[str]())

        with ThreadPoolExecutor(12) as pool:
            found = sum(pool.map(worker, range(12)), Counter[str]())
        found += asyncio.run(tasks())
    assert found == {"": REQUESTS // 24 * 24}
