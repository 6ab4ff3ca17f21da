"""A flow does the same on every kind of connection, in the caller's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgcharter.db.flows import Batch, Query, Steps, flow
from pgcharter.errors import UsageError


@flow
def add(first: int, *, second: int) -> Steps[tuple[int, int]]:
    """Two rows, and how many there are now."""
    yield Query("CREATE TEMPORARY TABLE IF NOT EXISTS numbers (n int) ON COMMIT DROP")
    yield Batch((Query("INSERT INTO numbers VALUES (%s)", (first,)), Query("INSERT INTO numbers VALUES (%(n)s)", {"n": second})))
    ((total,),), ((count,),) = yield Batch((Query("SELECT sum(n) FROM numbers"), Query("SELECT count(*) FROM numbers")))
    return total, count


def url(dsn: str) -> URL:
    parts = conninfo_to_dict(dsn)
    return URL.create(
        "postgresql+psycopg", str(parts["user"]), str(parts["password"]), database=str(parts["dbname"]),
        query={"host": str(parts["host"]), "port": str(parts["port"])},
    )  # fmt: skip


@contextmanager
def engine(dsn: str, **options: Any) -> Iterator[Engine]:
    made = create_engine(url(dsn), **options)
    yield made
    made.dispose()


@asynccontextmanager
async def async_engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(url(dsn))
    yield made
    await made.dispose()


def on_psycopg(dsn: str) -> Any:
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        return add(conn, 1, second=2)


def on_engine(dsn: str) -> Any:
    with engine(dsn) as made, made.begin() as conn:
        return add(conn, 1, second=2)


def on_session(dsn: str) -> Any:
    with engine(dsn) as made, Session(made) as session:
        return add(session, 1, second=2)


async def on_async_psycopg(dsn: str) -> Any:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        return await add.aio(conn, 1, second=2)


async def on_async_engine(dsn: str) -> Any:
    async with async_engine(dsn) as made, made.begin() as conn:
        return await add.aio(conn, 1, second=2)


async def on_async_session(dsn: str) -> Any:
    async with async_engine(dsn) as made, AsyncSession(made) as session:
        return await add.aio(session, 1, second=2)


@pytest.mark.parametrize("run", [on_psycopg, on_engine, on_session])
def test_sync(run: Callable[[str], Any], database: str) -> None:
    assert run(database) == (3, 2)


@pytest.mark.parametrize("run", [on_async_psycopg, on_async_engine, on_async_session])
def test_async(run: Callable[[str], Awaitable[Any]], database: str) -> None:
    assert asyncio.run(run(database)) == (3, 2)  # type: ignore[arg-type]


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)


@flow
def count() -> Steps[int]:
    """How many things there are."""
    rows = yield Query("SELECT count(*) FROM things")
    return int(rows[0][0])


def test_what_a_session_holds_back_is_there_and_what_is_rolled_back_is_gone(database: str) -> None:
    with engine(database) as made, Session(made) as session:
        Base.metadata.create_all(made)
        session.add(Thing(id=1))
        assert count(session) == 1
        session.rollback()
        assert count(session) == 0


def test_a_flow_that_fails_leaves_the_transaction_to_the_caller(database: str) -> None:
    with psycopg.connect(database) as conn, pytest.raises(psycopg.errors.UndefinedTable):
        count(conn)
    assert count.__doc__ == "How many things there are."


def test_autocommit_is_refused_unless_a_transaction_is_open(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        with pytest.raises(UsageError, match="autocommit mode"):
            add(conn, 1, second=2)
        with conn.transaction():
            assert add(conn, 1, second=2) == (3, 2)
    with (
        engine(database, isolation_level="AUTOCOMMIT") as made,
        made.connect() as other,
        pytest.raises(UsageError, match="autocommit mode"),
    ):
        add(other, 1, second=2)


def test_what_is_no_connection_of_psycopg_is_refused(database: str) -> None:
    with pytest.raises(UsageError, match=r"cannot run on builtins\.str"):
        add("postgresql://…", 1, second=2)
    lite = create_engine("sqlite://")
    with lite.connect() as other, pytest.raises(UsageError, match=r"sqlite3\.Connection"):
        add(other, 1, second=2)
    lite.dispose()
    with psycopg.connect(database) as conn, pytest.raises(UsageError, match=r"psycopg\.Connection: it needs a psycopg\.AsyncConnection"):
        asyncio.run(add.aio(conn, 1, second=2))


@flow
def both() -> Steps[list[list[tuple[int]]]]:
    """Two statements at once."""
    found = yield Batch((Query("SELECT 1"), Query("SELECT 2")))
    return found  # type: ignore[no-any-return]


def test_a_batch_is_one_round_trip(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as conn, (tmp_path / "trace").open("w+b") as trace:
        conn.execute("SELECT 1")
        conn.pgconn.trace(trace.fileno())
        assert both(conn) == [[(1,)], [(2,)]]
        conn.pgconn.untrace()
        sent = [line.split(b"\t")[3] for line in (tmp_path / "trace").read_bytes().splitlines() if line.split(b"\t")[1] == b"F"]
    assert sent.count(b"Sync") == 1
    assert sent.count(b"Execute") == 2


@flow
def divided(batched: bool) -> Steps[str]:
    """What the server refuses, said by the flow itself."""
    query = Query("SELECT 1 / (%s::int - 1)", (1,))
    try:
        yield Batch((query, query)) if batched else query
    except psycopg.errors.DivisionByZero:
        return "nothing can be divided by 0"
    return "fine"


@pytest.mark.parametrize("batched", [False, True])
def test_a_flow_hears_what_the_server_refuses(database: str, batched: bool) -> None:
    with psycopg.connect(database) as conn:
        assert divided(conn, batched) == "nothing can be divided by 0"

    async def go() -> str:
        async with await psycopg.AsyncConnection.connect(database) as conn:
            return await divided.aio(conn, batched)

    assert asyncio.run(go()) == "nothing can be divided by 0"
