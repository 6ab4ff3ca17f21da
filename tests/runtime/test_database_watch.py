"""Watched tables: a commit that writes one is told of, however it writes it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major

from pgcharter.errors import UsageError
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.pools import PoolSize

TABLES = ("shop.items", 'shop."Odd Orders"', "shop.parts")


@pytest.fixture
def tables(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA shop; CREATE TABLE shop.items (id int PRIMARY KEY)")
        conn.execute('CREATE TABLE shop."Odd Orders" (item int REFERENCES shop.items ON DELETE CASCADE)')
        conn.execute("CREATE TABLE shop.parts (id int) PARTITION BY LIST (id)")
        conn.execute("CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES IN (1)")
    return database


def quiet(db: Database) -> None:
    """Have the session report what it has counted, and forget it."""
    db.run(lambda work: work.conn.execute("SELECT pg_stat_force_next_flush()"))
    db.run(lambda work: work.conn.execute("SELECT 1"))


@every_major
def test_written_however_it_is(tables: str, major: int) -> None:
    told: list[Any] = []
    with Database(tables, size=PoolSize(1, 1)) as db:
        db.watch(TABLES, told.append)
        db.watch(["shop.items"], lambda names: told.append(sorted(names)))
        db.run(lambda work: work.conn.execute("SELECT 1"))
        told.clear()  # the connection may be older than the watch

        def seen(*statements: str) -> set[str]:
            quiet(db)
            told.clear()

            def fn(work: Any) -> None:
                for statement in statements:
                    work.conn.execute(statement.encode())
                work.after_commit(lambda: told.append("own"))

            db.run(fn)
            assert told.pop() == "own"
            assert (["shop.items"] in told) == any("shop.items" in names for names in told if isinstance(names, frozenset))
            return {name for names in told if isinstance(names, frozenset) for name in names}

        assert seen("SELECT * FROM shop.items") == set()
        assert seen("INSERT INTO shop.items VALUES (1), (2)") == {"shop.items"}
        assert seen('INSERT INTO shop."Odd Orders" VALUES (1)') == {'shop."Odd Orders"'}
        assert seen("UPDATE shop.items SET id = 3 WHERE id = 2") == {"shop.items"}
        assert seen("UPDATE shop.items SET id = 3 WHERE id = 99") == set()
        assert seen("DELETE FROM shop.items WHERE id = 1") == {"shop.items", 'shop."Odd Orders"'}
        assert seen("INSERT INTO shop.parts VALUES (1)") == {"shop.parts"}
        assert seen("TRUNCATE shop.parts") == {"shop.parts"}
        assert seen("TRUNCATE shop.items CASCADE") == {"shop.items", 'shop."Odd Orders"'}
        assert seen("SELECT 1") == set()
        assert seen("DROP TABLE shop.parts", "CREATE TABLE shop.parts (id int)") == {"shop.parts"}
        told.clear()
        with pytest.raises(psycopg.errors.DivisionByZero):
            db.run(lambda work: work.conn.execute("INSERT INTO shop.items VALUES (8); SELECT 1/0"))
        db.run(lambda work: work.conn.execute("SELECT * FROM shop.items"), readonly=True)
        assert told == []


@pytest.mark.direct("a setting of the session")
def test_told_of_all_where_nothing_is_counted(tables: str) -> None:
    told: list[frozenset[str]] = []
    with Database(tables, size=PoolSize(1, 1)) as db:
        db.watch(TABLES, told.append)
        quiet(db)
        told.clear()
        db.run(lambda work: work.conn.execute("SET LOCAL track_counts = off; INSERT INTO shop.items VALUES (1)"))
        db.run(lambda work: work.conn.execute("SET track_counts = off"))
        told.clear()
        db.run(lambda work: work.conn.execute("INSERT INTO shop.items VALUES (2)"))
        assert told == [frozenset(TABLES)]


def test_truncate_by_others_is_told_once(tables: str) -> None:
    told: list[frozenset[str]] = []
    with Database(tables, size=PoolSize(1, 1)) as db:
        db.watch(TABLES, told.append)
        quiet(db)
        told.clear()
        with psycopg.connect(tables, autocommit=True) as other:
            other.execute("TRUNCATE shop.parts")
        for _ in range(3):
            db.run(lambda work: work.conn.execute("SELECT 1"))
        assert told == [frozenset({"shop.parts"})]


def test_async_hooks_and_tokens(tables: str) -> None:
    told: list[frozenset[str]] = []

    async def hook(names: frozenset[str]) -> None:
        await asyncio.sleep(0)
        told.append(names)

    async def scenario() -> None:
        async with AsyncDatabase(tables, tokens=True, size=PoolSize(1, 1)) as db:
            db.watch(["shop.items"], hook)

            async def fn(work: Any) -> Any:
                await work.conn.execute("INSERT INTO shop.items VALUES (1)")
                return work

            work = await db.run(fn)
            assert b"/" in work.held.said.told[0]

    asyncio.run(scenario())
    assert told == [frozenset({"shop.items"})]


def test_names(tables: str) -> None:
    db = Database(tables)
    for wrong in ("shop.items", ["items"], ["a.b\0"], [1]):
        with pytest.raises(UsageError):
            db.watch(wrong, print)  # type: ignore[arg-type]
