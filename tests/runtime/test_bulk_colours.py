"""Bulk work on every kind of connection; what is interrupted leaves the transaction clean; rows out as a stream."""

from __future__ import annotations

import asyncio
import csv
import gc
import gzip
import io
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.db.test_flows import async_engine, engine

from pgcharter.errors import UsageError
from pgcharter.runtime import bulk
from pgcharter.runtime.bulk import BadRowError
from pgcharter.runtime.connections import ContextConnection
from pgcharter.runtime.context import context


class Tables(DeclarativeBase):
    pass


class Item(Tables):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str]


@pytest.fixture
def items(database: str) -> str:
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE items (id int PRIMARY KEY, note text NOT NULL)")
    return database


def count(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        return int(conn.execute("SELECT count(*) FROM items").fetchone()[0])  # type: ignore[index]


async def source(size: int = 2500) -> AsyncIterator[tuple[int, str]]:
    for i in range(size):
        if i % 500 == 0:
            await asyncio.sleep(0)
        yield i, "x"


def test_sync_connections(items: str) -> None:
    with psycopg.connect(items, row_factory=dict_row) as conn:
        assert bulk.load(conn, "items", [(1, "a")]).rows == 1
    with engine(items) as made, made.begin() as joined:
        assert bulk.merge(joined, Item.__table__, [(1, "b"), (2, "c")]).updated == 1
    with engine(items) as made, Session(made) as session:
        session.add(Item(id=3, note="flushed first"))
        done = bulk.merge(session, Item, [Item(id=3, note="merged"), Item(id=4, note="new")], returning=("id",))
        assert done.returned == (("update", 3), ("insert", 4))
        assert list(bulk.dicts(session, "SELECT * FROM items WHERE id = %s", (3,))) == [{"id": 3, "note": "merged"}]
        session.rollback()
    with context(tenant="t"), ContextConnection.connect(items) as conn:
        assert bulk.load(conn, "items", [(9, "c")]).rows == 1
    assert count(items) == 3


def test_async_connections(items: str) -> None:
    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(items) as conn:
            assert (await bulk.load.aio(conn, "items", source())).rows == 2500
            assert [r async for r in bulk.rows.aio(conn, "SELECT count(*) FROM items")] == [(2500,)]
            assert (await bulk.merge.aio(conn, "items", source(), conflict="ignore", bad="aside")).ignored == 2500
            done = await bulk.merge.aio(conn, "items", [(0, "y"), (-1, None), (-2, "z")], bad="aside", returning=("id",))
            assert (sorted(done.returned), [b.number for b in done.bad]) == ([("insert", -2), ("update", 0)], [2])
            seen: list[Any] = []

            async def told(bad: bulk.BadRow) -> None:
                await asyncio.sleep(0)
                seen.append(bad.number)

            await bulk.load.aio(conn, "items", [(-5, "y"), (-6, None)], bad=told)
            assert seen == [2]
        async with async_engine(items) as made, made.begin() as joined:
            assert (await bulk.load.aio(joined, Item, [{"id": -9, "note": "a"}])).rows == 1
        async with async_engine(items) as made, AsyncSession(made) as session:
            session.add(Item(id=-10, note="flushed first"))
            assert [r async for r in bulk.rows.aio(session, "SELECT id FROM items WHERE id < -9")] == [(-10,)]

    asyncio.run(work())
    assert count(items) == 2500 + 3


def test_wrong_connections(items: str) -> None:
    with psycopg.connect(items) as conn, pytest.raises(UsageError, match="async iterable"):
        bulk.load(conn, "items", source())
    with psycopg.connect(items, client_encoding="sql_ascii") as conn, pytest.raises(UsageError, match="SQL_ASCII"):
        bulk.load(conn, "items", [])
    with psycopg.connect(items, client_encoding="latin1") as conn:
        assert [b.number for b in bulk.load(conn, "items", [(1, "ä"), (2, "€")], bad="aside").bad] == [2]
        assert conn.execute("SELECT note FROM items").fetchone() == ("ä",)
        conn.rollback()
    with psycopg.connect(items, autocommit=True) as conn:
        with pytest.raises(UsageError, match="autocommit"):
            bulk.load(conn, "items", [])
        with conn.transaction(), conn.pipeline(), pytest.raises(UsageError, match="pipeline"):
            bulk.load(conn, "items", [])


def broken(after: int) -> Iterator[tuple[int, str]]:
    yield from ((i, "x") for i in range(after))
    raise LookupError("the source is broken")


@pytest.mark.parametrize("after", [0, 1, 40_000, 100_000])
@pytest.mark.parametrize("bad", ["raise", "aside"])
def test_a_source_that_fails_leaves_nothing(items: str, after: int, bad: Any) -> None:
    with psycopg.connect(items) as conn:
        conn.execute("INSERT INTO items VALUES (-1, 'before')")
        for work in (bulk.load, bulk.merge):
            with pytest.raises(LookupError, match="the source is broken"):
                work(conn, "items", broken(after), bad=bad)  # type: ignore[operator]
        conn.execute("INSERT INTO items VALUES (-2, 'after')")
    assert count(items) == 2


@pytest.mark.timeout(20)
def test_a_source_that_uses_the_connection_is_an_error_and_no_hang(items: str) -> None:
    with psycopg.connect(items) as conn:

        def asking() -> Iterator[tuple[int, str]]:
            for i in range(3):
                yield conn.execute("SELECT 1").fetchone()[0] + i, "x"  # type: ignore[index]

        done: list[Any] = []
        worker = threading.Thread(target=lambda: done.append(_raised(conn, asking())), daemon=True)
        worker.start()
        worker.join(10)
        assert not worker.is_alive()
        assert conn.execute("SELECT 1").fetchone() == (1,)


def _raised(conn: Any, rows: Any) -> Exception | None:
    try:
        bulk.load(conn, "items", rows)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("bad", ["raise", "aside"])
def test_ctrl_c(items: str, bad: Any) -> None:
    def slow() -> Iterator[tuple[int, str]]:
        for i in range(10_000_000):
            if i == 50_000:
                threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            yield i, "x"

    gc.disable()  # hypothesis listens to it, and an interrupt inside a listener is lost
    try:
        with psycopg.connect(items) as conn:
            with pytest.raises(KeyboardInterrupt):
                bulk.load(conn, "items", slow(), bad=bad)
            conn.execute("INSERT INTO items VALUES (-2, 'after')")
    finally:
        gc.enable()
    assert count(items) == 1


@pytest.mark.parametrize("bad", ["raise", "aside"])
@pytest.mark.parametrize("where", ["beginning", "end"])
def test_ctrl_c_while_an_answer_is_on_its_way(items: str, where: str, bad: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_the_end(pgconn: Any, error: bytes | None) -> Iterator[Any]:
        pgconn.put_copy_end(error)
        yield from interrupted()

    def at_the_beginning(cursor: Any, query: Any, _: Any) -> Iterator[Any]:
        cursor._pgconn.send_query(query)
        yield from interrupted()

    def interrupted() -> Iterator[Any]:
        monkeypatch.undo()
        yield from ()
        raise KeyboardInterrupt

    if where == "end":
        monkeypatch.setattr("psycopg._copy.copy_end", at_the_end)
    else:
        monkeypatch.setattr("psycopg.Cursor._start_copy_gen", at_the_beginning)
    with psycopg.connect(items) as conn:
        with pytest.raises(KeyboardInterrupt):
            bulk.load(conn, "items", [(1, "x")], bad=bad)
        conn.execute("INSERT INTO items VALUES (-2, 'after')")
    assert count(items) == 1


@pytest.mark.parametrize("bad", ["raise", "aside"])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3])
def test_a_cancelled_task(items: str, bad: Any, delay: float) -> None:
    async def endless() -> AsyncIterator[tuple[int, str]]:
        i = 0
        while True:
            i += 1
            if i % 1000 == 0:
                await asyncio.sleep(0)
            yield i, "x"

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(items) as conn:
            task = asyncio.create_task(bulk.load.aio(conn, "items", endless(), bad=bad))
            await asyncio.sleep(delay)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await conn.execute("INSERT INTO items VALUES (-2, 'after')")

    asyncio.run(work())
    assert count(items) == 1


def test_cancelled_by_the_server(items: str) -> None:
    with psycopg.connect(items) as conn, psycopg.connect(items, autocommit=True) as other:
        busy = "FROM pg_stat_activity WHERE query ~ '^COPY' AND state = 'active' AND datname = current_database()"

        def slow() -> Iterator[tuple[int, str]]:
            yield 1, "x"
            assert other.execute(f"SELECT pg_cancel_backend(pid) {busy}".encode()).fetchall() == [(True,)]
            time.sleep(0.05)
            yield from ((i, "x") for i in range(2, 100))

        with pytest.raises(psycopg.errors.QueryCanceled):
            bulk.load(conn, "items", slow())
        assert bulk.load(conn, "items", [(1, "x")]).rows == 1
        conn.commit()
        with pytest.raises(psycopg.OperationalError):
            bulk.load(conn, "items", _killing(other, f"SELECT pg_terminate_backend(pid) {busy}"))
    assert count(items) == 1


def _killing(other: Any, kill: str) -> Iterator[tuple[int, str]]:
    yield 2, "x"
    assert other.execute(kill.encode()).fetchall() == [(True,)]
    time.sleep(0.1)
    yield from ((i, "x") for i in range(3, 200_000))


def test_rows_are_streamed(items: str) -> None:
    with psycopg.connect(items) as conn:
        bulk.load(conn, "items", ((i, "x") for i in range(5000)))
        out = bulk.rows(conn, "SELECT id FROM items ORDER BY id")
        assert [next(out), next(out)] == [(0,), (1,)]
        assert conn.execute("SELECT 1").fetchone() == (1,)  # meanwhile
        assert next(out) == (2,)
        out.close()  # type: ignore[attr-defined]
        assert conn.execute("SELECT 1").fetchone() == (1,)
        assert sum(1 for _ in bulk.rows(conn, "SELECT * FROM items WHERE id >= %(least)s", {"least": 10})) == 4990
        with pytest.raises(psycopg.errors.DivisionByZero):
            list(bulk.rows(conn, "SELECT 1 / (id - 3000) FROM items ORDER BY id"))


def test_csv_out(items: str, tmp_path: Path) -> None:
    with psycopg.connect(items) as conn:
        bulk.load(conn, "items", [(1, 'a,"b"\nc'), (2, ""), (3, "€")])
        assert bulk.csv(conn, "TABLE items", tmp_path / "a.csv.gz") == 3
        with gzip.open(tmp_path / "a.csv.gz", "rt", newline="", encoding="utf-8") as file:
            assert list(csv.reader(file)) == [["id", "note"], ["1", 'a,"b"\nc'], ["2", ""], ["3", "€"]]
        out = io.BytesIO()
        bulk.csv(conn, "SELECT note FROM items WHERE id = %s", out, (3,), header=False)
        assert out.getvalue() == "€\n".encode()


def test_arrow_out(conn: Any) -> None:
    import pyarrow as pa

    conn.execute("CREATE TABLE t (a int, b text, c numeric(10, 2), d timestamptz, e jsonb, f bytea, g int[], h date, i numeric)")
    at = datetime(2020, 1, 1, tzinfo=UTC)
    conn.execute("INSERT INTO t VALUES (1, 'x', 1.5, %s, '{\"a\": 1}', 'x', '{1}', '2020-01-01', 1.5)", (at,))
    conn.execute("INSERT INTO t SELECT FROM generate_series(1, 2500)")
    table = pa.Table.from_batches(bulk.batches(conn, "TABLE t"))
    assert (table.num_rows, len(table.to_batches())) == (2501, 2)
    assert [str(f.type) for f in table.schema] == [
        "int32", "string", "decimal128(10, 2)", "timestamp[us, tz=UTC]", "string", "binary", "string", "date32[day]", "string",
    ]  # fmt: skip
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["c"], first["d"], first["e"], first["f"], first["i"]) == (Decimal("1.50"), at, '{"a": 1}', b"x", "1.5")
    conn.execute("CREATE TABLE again (LIKE t)")
    conn.execute("ALTER TABLE again ALTER g TYPE text")
    assert bulk.load(conn, "again", table).rows == 2501
    assert conn.execute(
        "SELECT count(*) FROM (SELECT a, b, c, d, e, f, h, i FROM t EXCEPT ALL SELECT a, b, c, d, e, f, h, i FROM again)"
    ).fetchone() == (0,)


def test_a_bad_row_leaves_the_transaction_open(items: str) -> None:
    with psycopg.connect(items) as conn:
        conn.execute("INSERT INTO items VALUES (-1, 'before')")
        with pytest.raises(BadRowError):
            bulk.load(conn, "items", [(1, "a"), (2, None)])
        bulk.load(conn, "items", [(1, "a")])
    assert count(items) == 2
