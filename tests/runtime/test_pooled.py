"""Interleaved requests of many tenants through PgBouncer in transaction mode: nobody sees a row of another's, and nothing is left behind.

A few thousand requests here; PGCHARTER_REQUESTS=100000 for the proof of record.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import tenancy
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.runtime.connections import AsyncContextConnection, ContextConnection
from pgcharter.runtime.context import context, no_tenant
from pgcharter.runtime.engines import bind
from pgcharter.servers.lifecycle import Server

REQUESTS = int(os.environ.get("PGCHARTER_REQUESTS", "3000"))
EACH = (REQUESTS + 23) // 24
"""Requests of one worker: 12 threads, then 12 tasks."""
TENANTS = [uuid.UUID(int=n) for n in range(1, 51)]
USER, PASSWORD = "pgct_pooled", "not secret"
SECTION = TenancySection(schemas=("shop",), tenants="", application_roles=(USER,))
LOOK = "SELECT tenant_id, count(*), current_setting('pgcharter.tenant', true) FROM shop.items GROUP BY 1"
LEFT = "SELECT count(*), current_setting('pgcharter.tenant', true) FROM shop.items"


@pytest.fixture
def port(major_server: Server, database: str, pooler: Any) -> Iterator[tuple[str, int]]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'".encode())
        conn.execute("CREATE SCHEMA shop; CREATE TABLE shop.items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)")
        conn.execute(f"GRANT USAGE ON SCHEMA shop TO {USER}; GRANT ALL ON shop.items TO {USER}".encode())
        for step in planning.make(Wish("", database, prove=False, chosen=Chosen((tenancy.policy(SECTION),)))).plan.steps:
            conn.execute(step.sql.encode())
        with conn.cursor().copy("COPY shop.items (tenant_id, note) FROM STDIN") as copy:
            for n in range(1000):
                copy.write_row((TENANTS[n % 50], "as it was"))
    try:
        with pooler(major_server, {USER: PASSWORD}, 4) as port:
            yield str(conninfo_to_dict(database)["dbname"]), port
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {USER}; DROP ROLE {USER}".encode())


def requests(seed: int, number: int) -> Iterator[tuple[uuid.UUID | None, str]]:
    """Tenants (None: nobody in particular) with what they do."""
    chosen = random.Random(seed)
    for _ in range(number):
        doing = chosen.choice(("look", "look", "write", "fail", "give up"))
        yield (None, "look") if chosen.random() < 0.1 else (chosen.choice(TENANTS), doing)


def told(tenant: uuid.UUID | None, rows: list[Any]) -> str:
    """What was wrong with an answer; "" for nothing."""
    if tenant is None:
        return "" if rows in ([(0, "")], [(0, None)]) else f"left behind: {rows}"
    return "" if [(r[0], r[2]) for r in rows] == [(tenant, str(tenant))] else f"{tenant} sees {rows}"


WRITES = {
    "write": ("INSERT INTO shop.items (note) VALUES ('new')", "UPDATE shop.items SET note = 'changed' WHERE id % 7 = 0",
              "DELETE FROM shop.items WHERE note = 'new'"),
    "fail": ("UPDATE shop.items SET note = 'never'", "SELECT 1/0"),
    "give up": ("UPDATE shop.items SET note = 'never'",),
    "look": (),
}  # fmt: skip


def by_engine(engine: Engine, tenant: uuid.UUID | None, doing: str) -> str:
    def answer(conn: Connection) -> list[Any]:
        for sql in WRITES[doing]:
            conn.execute(text(sql))
        return [tuple(r) for r in conn.execute(text(LOOK if tenant else LEFT))]

    with context(tenant=tenant, actor="a") if tenant else no_tenant("look"), engine.connect() as conn:
        try:
            found = told(tenant, answer(conn))
        except DBAPIError:
            return "" if doing == "fail" else "failed"
        if doing == "write":
            conn.commit()
        return found


def by_psycopg(conn: ContextConnection[Any], tenant: uuid.UUID | None, doing: str) -> str:
    with context(tenant=tenant, actor="a") if tenant else no_tenant("look"):
        try:
            for sql in WRITES[doing]:
                conn.execute(sql.encode())
            return told(tenant, conn.execute((LOOK if tenant else LEFT).encode()).fetchall())
        except psycopg.errors.DivisionByZero:
            return "" if doing == "fail" else "failed"
        finally:
            conn.commit() if doing == "write" else conn.rollback()


def test_threads(port: tuple[str, int]) -> None:
    dsn = f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port[1]}/{port[0]}"
    engine = bind(
        create_engine(dsn.replace("://", "+psycopg://", 1), pool_size=6, max_overflow=0, connect_args={"prepare_threshold": None})
    )

    def worker(seed: int) -> Counter[str]:
        found: Counter[str] = Counter()
        with ContextConnection.connect(dsn, prepare_threshold=None) as conn:
            for n, (tenant, doing) in enumerate(requests(seed, EACH)):
                found[by_engine(engine, tenant, doing) if n % 2 else by_psycopg(conn, tenant, doing)] += 1
        return found

    with ThreadPoolExecutor(12) as pool:
        found = sum(pool.map(worker, range(12)), Counter[str]())
    engine.dispose()
    assert found == {"": EACH * 12}


def test_tasks(port: tuple[str, int]) -> None:
    dsn = f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port[1]}/{port[0]}"

    async def by_connection(conn: AsyncContextConnection[Any], tenant: uuid.UUID | None, doing: str) -> str:
        with context(tenant=tenant, actor="a") if tenant else no_tenant("look"):
            try:
                for sql in WRITES[doing]:
                    await conn.execute(sql.encode())
                return told(tenant, await (await conn.execute((LOOK if tenant else LEFT).encode())).fetchall())
            except psycopg.errors.DivisionByZero:
                return "" if doing == "fail" else "failed"
            finally:
                await (conn.commit() if doing == "write" else conn.rollback())

    async def all_() -> Counter[str]:
        engine = bind(
            create_async_engine(dsn.replace("://", "+psycopg://", 1), pool_size=6, max_overflow=0, connect_args={"prepare_threshold": None})
        )

        async def by_async_engine(tenant: uuid.UUID | None) -> str:
            with context(tenant=tenant) if tenant else no_tenant("look"):
                async with engine.connect() as conn:
                    return told(tenant, [tuple(r) for r in await conn.execute(text(LOOK if tenant else LEFT))])

        async def worker(seed: int) -> Counter[str]:
            found: Counter[str] = Counter()
            async with await AsyncContextConnection.connect(dsn, prepare_threshold=None) as conn:
                for n, (tenant, doing) in enumerate(requests(seed, EACH)):
                    found[await (by_async_engine(tenant) if n % 2 else by_connection(conn, tenant, doing))] += 1
            return found

        found = sum(await asyncio.gather(*map(worker, range(100, 112))), Counter[str]())
        await engine.dispose()
        return found

    assert asyncio.run(all_()) == {"": EACH * 12}
