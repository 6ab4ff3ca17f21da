"""A unit of work against transactions by hand: SQLAlchemy with its own pool, psycopg with psycopg_pool, sync and async, in the same run.

`python -m bench.work [rounds]`. Each round runs every form a few times in turn; printed are medians of one transaction, and what the
unit of work costs over the form by hand. The transaction updates one row and commits; client and server are on one core, by a Unix socket.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from bench._cores import one_core
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.work import AsyncWork, Work
from pgcharter.servers import binaries, lifecycle

ROUNDS = 400
EACH = 5
UPDATE = text("UPDATE counters SET n = n + 1 WHERE id = 1 RETURNING n")
PLAIN = "UPDATE counters SET n = n + 1 WHERE id = 1 RETURNING n"


def run(rounds: int = ROUNDS) -> None:
    """Measure all forms and print them."""
    with one_core(), lifecycle.start_ephemeral(binaries.choose(None)) as server:
        dsn = server.dsn()
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 50)")
            conn.execute("INSERT INTO counters VALUES (1, 0)")
        print(f"machine load {os.getloadavg()[0]:.1f}")
        _print(_sync(dsn, rounds))
        _print(asyncio.run(_async(dsn, rounds)))


def _sync(dsn: str, rounds: int) -> dict[str, float]:
    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1))
    with ConnectionPool(dsn, min_size=2) as pool, Database(dsn) as db:

        def session_by_hand() -> None:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                session.execute(UPDATE).scalar_one()

        def through_session(work: Work) -> None:
            work.session.execute(UPDATE).scalar_one()

        def psycopg_by_hand() -> None:
            with pool.connection() as conn:
                conn.execute(PLAIN).fetchone()

        def through_psycopg(work: Work) -> None:
            work.conn.execute(PLAIN).fetchone()

        forms: dict[str, Callable[[], None]] = {
            "sync: SQLAlchemy by hand": session_by_hand,
            "sync: unit of work, session": lambda: db.run(through_session),
            "sync: psycopg by hand": psycopg_by_hand,
            "sync: unit of work, psycopg": lambda: db.run(through_psycopg),
        }
        taken: dict[str, list[float]] = {name: [] for name in forms}
        for number in range(rounds):
            for name, form in forms.items():
                for _ in range(EACH):
                    began = time.perf_counter()
                    form()
                    if number > 20:
                        taken[name].append(time.perf_counter() - began)
    engine.dispose()
    return {name: statistics.median(times) for name, times in taken.items()}


async def _async(dsn: str, rounds: int) -> dict[str, float]:
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1))
    async with AsyncConnectionPool(dsn, min_size=2) as pool, AsyncDatabase(dsn) as db:

        async def session_by_hand() -> None:
            async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
                (await session.execute(UPDATE)).scalar_one()

        async def through_session(work: AsyncWork) -> None:
            (await work.session.execute(UPDATE)).scalar_one()

        async def psycopg_by_hand() -> None:
            async with pool.connection() as conn:
                await (await conn.execute(PLAIN)).fetchone()

        async def through_psycopg(work: AsyncWork) -> None:
            await (await work.conn.execute(PLAIN)).fetchone()

        forms: dict[str, Callable[[], Awaitable[Any]]] = {
            "async: SQLAlchemy by hand": session_by_hand,
            "async: unit of work, session": lambda: db.run(through_session),
            "async: psycopg by hand": psycopg_by_hand,
            "async: unit of work, psycopg": lambda: db.run(through_psycopg),
        }
        taken: dict[str, list[float]] = {name: [] for name in forms}
        for number in range(rounds):
            for name, form in forms.items():
                for _ in range(EACH):
                    began = time.perf_counter()
                    await form()
                    if number > 20:
                        taken[name].append(time.perf_counter() - began)
    await engine.dispose()
    return {name: statistics.median(times) for name, times in taken.items()}


def _print(medians: dict[str, float]) -> None:
    base = 0.0
    for name, median in medians.items():
        base = median if name.endswith("by hand") else base
        print(f"{name:30} {median * 1e6:7.1f} µs   {(median - base) * 1e6:+7.1f} µs   {median / base:.2f}×", flush=True)


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
