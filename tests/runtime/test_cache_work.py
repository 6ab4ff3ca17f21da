"""A cache beside a unit of work: what is committed is told, what is rolled back is not, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgcharter.runtime.cache import AsyncCache, Cache
from pgcharter.runtime.context import no_tenant
from pgcharter.runtime.database import AsyncDatabase, Database


@pytest.fixture
def shop(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.products (id int PRIMARY KEY, stock int); INSERT INTO public.products VALUES (1, 10)")
    return database


def stock(work: Any) -> int:
    return int(work.conn.execute("SELECT stock FROM public.products").fetchone()[0])


def test_a_commit_invalidates_and_a_rollback_does_not(shop: str) -> None:
    with Database(shop) as db, no_tenant("test"):
        cache = Cache(tables={"public.products": "products"})
        db.watch(cache.watched_tables, cache.written)
        loads = []

        @cache.cached(tags=("products",))
        def cached_stock() -> int:
            loads.append(1)
            return db.run(stock, readonly=True)

        def sell(work: Any, fails: bool = False) -> None:
            work.conn.execute("UPDATE public.products SET stock = stock - 1")
            if fails:
                raise ZeroDivisionError

        assert [cached_stock(), cached_stock()] == [10, 10]
        db.run(sell)
        assert [cached_stock(), cached_stock(), len(loads)] == [9, 9, 2]
        with pytest.raises(ZeroDivisionError):
            db.run(lambda work: sell(work, fails=True))
        assert [cached_stock(), len(loads)] == [9, 2]
        db.run(lambda work: sell_announced(work, cache))
        assert [cached_stock(), cached_stock()] == [8, 8]
        assert cache.metrics.pending == 0


def sell_announced(work: Any, cache: Cache) -> None:
    cache.invalidates(work, "products", announce=30)
    work.conn.execute("UPDATE public.products SET stock = stock - 1")


def test_the_same_for_tasks(shop: str) -> None:
    async def go() -> None:
        async with AsyncDatabase(shop) as db:
            cache = AsyncCache(tables={"public.products": "products"})
            db.watch(cache.watched_tables, cache.written)

            async def read(work: Any) -> int:
                return int((await (await work.conn.execute("SELECT stock FROM public.products")).fetchone())[0])

            async def sell(work: Any) -> None:
                await cache.invalidates(work, "products", announce=30)
                await work.conn.execute("UPDATE public.products SET stock = stock - 1")

            @cache.cached(tags=("products",))
            async def cached_stock() -> int:
                return await db.run(read, readonly=True)

            assert [await cached_stock(), await cached_stock()] == [10, 10]
            await db.run(sell)
            assert [await cached_stock(), await cached_stock()] == [9, 9]
            assert cache.metrics.loads == 2

    with no_tenant("test"):
        asyncio.run(go())
