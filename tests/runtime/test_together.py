"""Features of the data layer used together, as an application does: what one of them may do to another."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow
import pytest
from psycopg.rows import dict_row
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from tests.runtime.poolers import POOLED

from pgcharter.errors import UsageError
from pgcharter.runtime import bulk, models
from pgcharter.runtime.cache import AsyncCache, Cache, Versioned
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.models_soft_delete import SoftDelete, living_key
from pgcharter.runtime.models_versions import StaleVersionError
from pgcharter.runtime.outcomes import ONCE
from pgcharter.runtime.pools import PoolSize
from pgcharter.runtime.repository import Repository
from pgcharter.runtime.served import EndedError


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    stock: Mapped[int]


class Counted(models.Versioned, Base):
    __tablename__ = "counted"
    id: Mapped[int] = mapped_column(primary_key=True)
    stock: Mapped[int]


class Customer(models.IdentityKey, SoftDelete, Base):
    __tablename__ = "customers"
    email: Mapped[str] = mapped_column("E%mail")
    name: Mapped[str]
    __table_args__ = (living_key("customers_é%s", "E%mail"),)


class Dataclasses(MappedAsDataclass, DeclarativeBase):
    pass


class Renamed(Dataclasses):
    __tablename__ = "products"
    number: Mapped[int] = mapped_column("id", primary_key=True)
    left: Mapped[int | None] = mapped_column("stock")


@pytest.fixture
def shop(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.products (id int PRIMARY KEY, stock int); INSERT INTO public.products VALUES (1, 10)")
    return database


def stock(work: Any) -> int:
    return int(work.conn.execute("SELECT stock FROM public.products").fetchone()[0])


async def stock_async(work: Any) -> int:
    return int((await (await work.conn.execute("SELECT stock FROM public.products")).fetchone())[0])


def sell(work: Any) -> None:
    work.conn.execute("UPDATE public.products SET stock = stock - 1")


def test_what_is_not_committed_does_not_get_into_the_cache(shop: str) -> None:
    with Database(shop) as db:
        cache = Cache(tables={"public.products": "products"})
        db.watch(cache.watched_tables, cache.written)
        cached = cache.cached(tags=("products",))(lambda: db.run(stock))

        def sells(work: Any) -> None:
            sell(work)
            assert cached() == cached() == cache.get_or_load(cache.key("stock"), lambda: Versioned(stock(work), 1)) == 9
            assert not cached.renew()
            assert cached.warm([()]) == 0
            raise ZeroDivisionError

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                db.run(sells)
        assert cache.get(cache.key("stock")) is None
        assert cached() == 10
        db.run(lambda work: db.run(lambda inner: cached()))
        assert cache.metrics.fills == 1 or POOLED, "a pooler's session may still count what was rolled back, and be told of it meanwhile"


def test_a_load_inside_a_unit_of_work_is_shared_with_nobody(shop: str) -> None:
    with Database(shop) as db:
        cache = Cache()
        began, seen = threading.Event(), []

        @cache.cached()
        def cached() -> int:
            found = db.run(stock)
            if found == 9:
                began.set()
                time.sleep(0.1)
            return found

        def reads() -> None:
            began.wait()
            seen.append(cached())

        other = threading.Thread(target=reads)
        other.start()
        db.run(lambda work: (sell(work), cached()))
        other.join()
        assert seen == [10]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_what_a_snapshot_shows_does_not_get_into_the_cache(shop: str, isolation: Any) -> None:
    with Database(shop) as db:
        cache = Cache()
        cached = cache.cached(tags=("products",))(lambda: db.run(stock, readonly=True))

        def sold() -> None:
            with psycopg.connect(shop) as conn:
                conn.execute("UPDATE public.products SET stock = 5")
            cache.invalidate(tags=("products",))

        def looks(work: Any) -> tuple[int, int]:
            before = stock(work)
            elsewhere = threading.Thread(target=sold)
            elsewhere.start()
            elsewhere.join()
            return before, cached()

        assert db.run(looks, isolation=isolation, readonly=True) == (10, 10)
        assert cached() == 5
        assert db.run(lambda work: cached(), readonly=True) == 5


def test_what_a_session_remembers_does_not_get_into_the_cache(shop: str) -> None:
    def loaded(work: Any) -> int:
        return int(work.session.get(Product, 1).stock)

    with Database(shop) as db:
        cache = Cache()
        cached = cache.cached(tags=("products",))(lambda: db.run(loaded, readonly=True))

        def looks(work: Any) -> int:
            product = work.session.get(Product, 1)
            with psycopg.connect(shop) as conn:
                conn.execute("UPDATE public.products SET stock = 5")
            cache.invalidate(tags=("products",))
            return cached() + int(product.stock)

        assert db.run(looks, readonly=True) == 20
        assert db.run(lambda work: cached(), readonly=True) == 5
        assert cache.metrics.fills == 1


def test_a_refresh_in_the_background_is_in_nobodys_transaction(shop: str) -> None:
    clock = [1000.0]
    with Database(shop) as db:
        cache = Cache(ttl=100, jitter=0, now=lambda: clock[0])
        cached = cache.cached(refresh=0.5)(lambda: db.run(stock))

        def sells(work: Any) -> None:
            sell(work)
            assert cached() == 10
            until = time.monotonic() + 5
            while cache.metrics.fills < 2 and time.monotonic() < until:
                time.sleep(0.01)

        assert cached() == 10
        clock[0] += 60
        db.run(sells)
        assert (cached(), cache.metrics.fills) == (10, 2)


def test_the_same_for_tasks(shop: str) -> None:
    clock = [1000.0]

    async def go() -> None:
        async with AsyncDatabase(shop) as db:
            cache = AsyncCache(ttl=100, jitter=0, now=lambda: clock[0])

            @cache.cached(refresh=0.5)
            async def cached() -> int:
                return await db.run(stock_async)

            async def sells(work: Any) -> None:
                await work.conn.execute("UPDATE public.products SET stock = stock - 1")
                assert await cached() == 9
                raise ZeroDivisionError

            async def looks(work: Any) -> None:
                assert await cached() == 10
                while cache.metrics.fills < 2:
                    await asyncio.sleep(0.01)

            with pytest.raises(ZeroDivisionError):
                await db.run(sells)
            assert await cached() == 10
            clock[0] += 60
            await asyncio.wait_for(db.run(looks), 5)

    asyncio.run(go())


def test_nothing_is_written_through_a_cache_before_it_is_committed(shop: str) -> None:
    with Database(shop) as db:
        cache = Cache()
        key = cache.key("stock")
        with pytest.raises(UsageError, match="inside a unit of work, which may still be rolled back"):
            db.run(lambda work: cache.write_through(key, lambda: Versioned(1, 2)))
        assert cache.write_through(key, lambda: db.run(lambda work: (sell(work), Versioned(stock(work), 2))[1])) == 9
        assert cache.get(key) == 9


def test_what_a_function_sets_on_its_connection_is_not_left_to_the_next(shop: str) -> None:
    def sets(work: Any) -> None:
        work.conn.row_factory = dict_row
        work.conn.cursor_factory = psycopg.ClientCursor
        work.conn.prepare_threshold = 0
        assert work.conn.execute("SELECT 1 AS one").fetchone() == {"one": 1}

    with Database(shop, size=PoolSize(1, 1)) as db:
        before = db.run(lambda work: (work.conn.row_factory, work.conn.cursor_factory, work.conn.prepare_threshold))
        db.run(sets)
        assert db.run(lambda work: (work.conn.row_factory, work.conn.cursor_factory, work.conn.prepare_threshold)) == before
        assert db.run(stock) == 10


def test_a_unit_of_work_that_is_over_gives_nothing(shop: str, caplog: pytest.LogCaptureFixture) -> None:
    late: list[Any] = []
    with Database(shop) as db:
        work = db.run(lambda work: work)
        with pytest.raises(EndedError, match="the unit of work is over"):
            stock(work)
        for register in (work.after_commit, work.after_rollback, work.after_unknown):
            with pytest.raises(EndedError):
                register(lambda: late.append(1))
        db.run(lambda work: work.after_commit(lambda: work.after_commit(lambda: late.append(2))))
        assert (late, db.counts.hooks_failed) == ([], 1)  # said, not forgotten
        assert "a hook of a unit of work failed" in caplog.text


def test_coroutines_in_a_database_for_threads_are_refused(shop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def sells(*_: Any) -> None:
        raise AssertionError

    with Database(shop) as db, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError, match="sells is a coroutine function, and nothing awaits it") as found:
            db.run(sells)
        assert found.value.hint == "AsyncDatabase is for those"
        with pytest.raises(UsageError):
            db.run(lambda work: (sell(work), db.run(sells)))
        assert db.run(stock) == 10
        db.run(lambda work: work.after_commit(sells))
        assert db.counts.hooks_failed == 1
        assert "is a coroutine function" in caplog.text


def one_shots() -> Iterator[Callable[[], Any]]:
    yield lambda: ((n, n) for n in range(2, 5))
    yield lambda: iter([(n, n) for n in range(2, 5)])
    yield lambda: map(lambda n: (n, n), range(2, 5))  # noqa: C417
    yield lambda: bulk.Csv(io.BytesIO(b"id,stock\n2,2\n3,3\n4,4\n"))
    yield lambda: bulk.Csv(io.StringIO("2,2\n3,3\n4,4\n"), header=False)
    yield lambda: pyarrow.table({"id": [2, 3, 4], "stock": [2, 3, 4]}).to_reader()


def deadlocks_once(work: Any) -> None:
    if work.attempt == 1:
        work.conn.execute("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40P01'; END $$")


@pytest.mark.parametrize("operation", [bulk.load, bulk.merge])
@pytest.mark.parametrize("made", list(one_shots()))
def test_rows_that_a_first_try_has_used_up_are_not_taken_for_none(shop: str, operation: Any, made: Callable[[], Any]) -> None:
    with Database(shop) as db:
        rows = made()

        def loads(work: Any, source: Callable[[], Any]) -> int:
            done = operation(work.conn, "public.products", source(), columns=("id", "stock"))
            deadlocks_once(work)
            return int(done.rows)

        with pytest.raises(UsageError, match="an iterator that an earlier try has read from") as found:
            db.run(lambda work: loads(work, lambda: rows))
        assert "make the iterator inside the function" in found.value.hint
        assert db.run(lambda work: loads(work, made)) == 3
        db.run(lambda work: work.conn.execute("DELETE FROM public.products WHERE id > 1"))
        if isinstance(rows, bulk.Csv):
            again: Any = rows.file

            def from_the_beginning() -> Any:
                again.seek(0)
                return rows

            assert db.run(lambda work: loads(work, from_the_beginning)) == 3


def test_rows_that_were_left_early_are_nothing_to_the_next_transaction(shop: str) -> None:
    kept: list[Any] = []

    def leaves(work: Any) -> int:
        kept.append(bulk.rows(work.conn, "SELECT generate_series(1, 9999)"))
        return int(next(kept[0])[0])

    def forgets(work: Any) -> int:
        before = stock(work)
        kept.clear()
        gc.collect()
        return before + stock(work)

    with Database(shop, size=PoolSize(1, 1)) as db, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert db.run(leaves) == 1
        with pytest.raises(EndedError, match="the unit of work is over"):
            list(kept[0])
        kept.clear()
        assert db.run(leaves) == 1
        assert db.run(forgets, retry=ONCE) == 20
        late = db.run(lambda work: bulk.rows(work.conn, "TABLE public.products"))
        with pytest.raises(EndedError):
            next(late)

        def outer(work: Any) -> int:
            with pytest.raises(ZeroDivisionError):
                db.run(lambda inner: (leaves(inner), 1 // 0))
            return forgets(work)

        assert db.run(outer, retry=ONCE) == 20


def test_rows_that_a_task_has_left_are_nothing_to_the_next_transaction(shop: str) -> None:
    kept: list[Any] = []

    async def leaves(work: Any) -> None:
        kept.append(bulk.rows.aio(work.conn, "SELECT generate_series(1, 9999)"))
        assert await anext(kept[0]) == (1,)

    async def forgets(work: Any) -> int:
        before = await stock_async(work)
        kept.clear()
        await asyncio.sleep(0.01)
        return before + await stock_async(work)

    async def go() -> None:
        async with AsyncDatabase(shop, size=PoolSize(1, 1)) as db:
            await db.run(leaves)
            assert await db.run(forgets, retry=ONCE) == 20

            async def outer(work: Any) -> int:
                async def fails(inner: Any) -> None:
                    await leaves(inner)
                    raise ZeroDivisionError

                with pytest.raises(ZeroDivisionError):
                    await db.run(fails)
                return await forgets(work)

            assert await db.run(outer, retry=ONCE) == 20

    asyncio.run(go())


def test_attributes_that_are_called_otherwise_than_their_columns_are_loaded(shop: str) -> None:
    with Database(shop) as db:
        db.run(lambda work: bulk.load(work.session, Renamed, [Renamed(number=7, left=3), Renamed(number=8, left=4)]))
        db.run(lambda work: bulk.load(work.session, Renamed, [Renamed(number=9, left=5)], columns=["stock", "id"]))
        assert db.run(lambda work: work.conn.execute("SELECT id, stock FROM public.products WHERE id > 6 ORDER BY id").fetchall()) == [
            (7, 3), (8, 4), (9, 5),
        ]  # fmt: skip


def other_sells(shop: str) -> None:
    with psycopg.connect(shop) as conn:
        conn.execute("UPDATE public.counted SET stock = 5, version = version + 1")


@pytest.fixture
def counted(shop: str) -> str:
    with psycopg.connect(shop) as conn:
        conn.execute(
            "CREATE TABLE public.counted (id int PRIMARY KEY, stock int, version int); INSERT INTO public.counted VALUES (1, 10, 3)"
        )
    return shop


@pytest.mark.parametrize("flushed", [True, False])
def test_a_unit_of_work_says_which_version_was_found(counted: str, flushed: bool) -> None:
    rolled_back: list[int] = []

    def changes(work: Any) -> None:
        work.after_rollback(lambda: rolled_back.append(work.attempt))
        product = work.session.get(Counted, 1)
        other_sells(counted)
        product.stock = 7
        if flushed:
            work.session.flush()

    with Database(counted) as db:
        with pytest.raises(StaleVersionError) as found:
            db.run(changes)
        assert (found.value.expected, found.value.found, rolled_back) == (3, 4, [1])
        with pytest.raises(StaleVersionError) as nested:
            db.run(lambda work: db.run(changes))
        assert (nested.value.expected, nested.value.found) == (4, 5)
        assert db.loans() == ()


@pytest.mark.parametrize("flushed", [True, False])
def test_a_unit_of_work_of_tasks_says_which_version_was_found(counted: str, flushed: bool) -> None:
    async def changes(work: Any) -> None:
        product = await work.session.get(Counted, 1)
        await asyncio.to_thread(other_sells, counted)
        product.stock = 7
        if flushed:
            await work.session.flush()

    async def go() -> None:
        async with AsyncDatabase(counted) as db:
            with pytest.raises(StaleVersionError) as found:
                await db.run(changes)
            assert (found.value.expected, found.value.found) == (3, 4)
            assert db.loans() == ()

    asyncio.run(go())


def test_an_upsert_by_a_key_of_living_rows(shop: str) -> None:
    with Database(shop) as db:
        Base.metadata.create_all(db.engine, [Base.metadata.tables["customers"]])

        def put(work: Any, name: str, **how: Any) -> list[tuple[int, str]]:
            rows = Repository(work.session, Customer).upsert({"email": "100%", "name": name}, on=["email"], **how)
            return [(row.id, row.name) for row in rows]

        assert db.run(lambda work: put(work, "Ada")) == [(1, "Ada")]
        ((first, name),) = db.run(lambda work: put(work, "Eve"))
        assert (first, name) == (1, "Eve")
        assert db.run(lambda work: put(work, "Eve", conflict="ignore")) == []
        db.run(lambda work: Repository(work.session, Customer).delete(1))
        ((second, name),) = db.run(lambda work: put(work, "Joe"))
        assert (second != 1, name) == (True, "Joe")
        assert db.run(lambda work: Repository(work.session, Customer).count()) == 1


def test_what_is_kept_of_a_unit_of_work_is_not_in_the_next_one(shop: str) -> None:
    with Database(shop, size=PoolSize(1, 1)) as db:
        kept = db.run(lambda work: work.conn)
        kept.execute("UPDATE public.products SET stock = 0")
        assert db.run(stock, isolation="serializable") == 10
        with pytest.raises(psycopg.OperationalError, match="the connection is closed"):
            kept.execute("SELECT 1")
        session = db.run(lambda work: work.session)
        with pytest.raises(UnboundExecutionError):
            session.get(Product, 1)
        kept = db.run(lambda work: work.conn)
        kept.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="used after the unit of work was over"):
            db.run(stock, retry=ONCE)
        assert db.run(stock) == 10


def test_what_tasks_keep_of_a_unit_of_work_is_not_in_the_next_one(shop: str) -> None:
    async def go() -> None:
        async with AsyncDatabase(shop, size=PoolSize(1, 1)) as db:

            async def gives(work: Any) -> Any:
                await work.session.get(Product, 1)
                return work.conn, work.session

            conn, session = await db.run(gives)
            with pytest.raises(UnboundExecutionError):
                await session.get(Product, 1)
            await conn.execute("UPDATE public.products SET stock = 0")
            assert await db.run(stock_async) == 10

    asyncio.run(go())
