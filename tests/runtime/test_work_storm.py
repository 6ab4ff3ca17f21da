"""Deadlocks: 64 workers move money both ways and lock in the order of their arguments. All finish, and nothing is lost."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.outcomes import Retry
from pgcharter.runtime.pools import PoolSize

WORKERS, MOVES, ACCOUNTS = 64, 3, 4
PATIENT = Retry(attempts=200, deadline=120.0)
SIZE = PoolSize(4, 16, wait=60.0)
TAKE = "UPDATE accounts SET balance = balance + :amount WHERE id = :id"


@pytest.fixture
def bank(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)")
        conn.execute("INSERT INTO accounts SELECT n, 1000 FROM generate_series(1, %s) n".replace("%s", str(ACCOUNTS)))
        conn.execute(f"ALTER DATABASE {conn.info.dbname} SET deadlock_timeout = '10ms'".encode())
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"  # a pooler's know nothing of it
        conn.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}".encode())
    return database


def total(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        return int(conn.execute("SELECT sum(balance) FROM accounts").fetchall()[0][0])


def pairs(worker: int) -> list[list[int]]:
    chosen = random.Random(worker)
    return [chosen.sample(range(1, ACCOUNTS + 1), 2) for _ in range(MOVES)]


@pytest.mark.parametrize("way", ["psycopg", "session"])
def test_threads(bank: str, way: str) -> None:
    def move(source: int, target: int) -> Any:
        def body(work: Any) -> None:
            for account, amount in ((source, -1), (target, 1)):
                if way == "psycopg":
                    work.conn.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, account))
                    work.conn.execute("SELECT pg_sleep(0.001)")
                else:
                    work.session.execute(text(TAKE), {"amount": amount, "id": account})
                    work.session.execute(text("SELECT pg_sleep(0.001)"))

        return body

    def worker(number: int) -> None:
        for source, target in pairs(number):
            db.run(move(source, target))

    with Database(bank, size=SIZE, retry=PATIENT) as db, ThreadPoolExecutor(WORKERS) as threads:
        for each in [threads.submit(worker, number) for number in range(WORKERS)]:
            each.result()
        assert db.counts.committed == WORKERS * MOVES
        assert db.counts.tried_again > 0
        assert db.loans() == ()
    assert total(bank) == 1000 * ACCOUNTS


def test_tasks(bank: str) -> None:
    async def scenario() -> None:
        async with AsyncDatabase(bank, size=SIZE, retry=PATIENT) as db:

            async def worker(number: int) -> None:
                for source, target in pairs(number):

                    async def body(work: Any, source: int = source, target: int = target) -> None:
                        for account, amount in ((source, -1), (target, 1)):
                            await work.session.execute(text(TAKE), {"amount": amount, "id": account})
                            await asyncio.sleep(0.001)

                    await db.run(body)

            await asyncio.gather(*(worker(number) for number in range(WORKERS)))
            assert db.counts.committed == WORKERS * MOVES
            assert db.counts.tried_again > 0
            assert db.loans() == ()

    asyncio.run(scenario())
    assert total(bank) == 1000 * ACCOUNTS
