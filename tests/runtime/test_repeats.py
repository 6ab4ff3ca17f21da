"""Repeats: what is counted, what is one, where it is said to come from; every kind of connection, both colours."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL
from sqlalchemy import Engine, ForeignKey, create_engine, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
from tests.db.test_flows import url

from pgcharter.errors import UsageError
from pgcharter.runtime import repeats
from pgcharter.runtime.context import context
from pgcharter.runtime.engines import bind
from pgcharter.runtime.repeats import RepeatedError, RepeatedWarning, guard, watching
from pgcharter.runtime.repeats_places import fingerprint


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[Line]] = relationship()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(url(database))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Customer(id=n) for n in range(8))
        session.flush()
        session.add_all(Order(id=n, customer_id=n) for n in range(8))
        session.commit()
    yield engine
    engine.dispose()


def inserted(conn: Any) -> None:
    for n in range(10):
        conn.execute("INSERT INTO customers VALUES (%s)", (50 + n,))


def ask(conn: Any, times: int) -> None:
    for n in range(times):
        conn.execute("SELECT %s", (n,)) if isinstance(conn, psycopg.Connection) else conn.execute(text("SELECT :n"), {"n": n})


def line() -> int:
    frame = inspect.currentframe()
    assert frame
    return frame.f_back.f_lineno  # type: ignore[union-attr]


def test_lazy_loads_are_told_with_their_relationship_and_line(engine: Engine) -> None:
    with Session(engine) as session, watching(engine) as seen:
        for order in session.scalars(select(Order)):
            assert order.lines == []; at = line()  # noqa: E702  # fmt: skip
            assert order.customer
    lines, customers = sorted(seen.repeated(), key=lambda r: r.relationship, reverse=True)
    assert (lines.relationship, lines.times, lines.place) == ("Order.lines", 8, f"tests/runtime/test_repeats.py:{at}")
    assert customers.relationship == "Order.customer"
    assert "select(Order).options(selectinload(Order.lines))" in lines.hint
    assert seen.count == 17
    assert seen.repeated(9) == ()


def test_what_is_loaded_together_is_no_repeat(engine: Engine) -> None:
    with Session(engine) as session, watching(session) as seen:
        for order in session.scalars(select(Order).options(selectinload(Order.lines))):
            assert order.lines == []
    assert (seen.count, seen.repeated(2)) == (2, ())


def test_batches_and_flushes_are_no_repeats(engine: Engine) -> None:
    with Session(engine) as session, watching(engine, limit=2, action="raise") as seen:
        session.execute(insert(Customer), [{"id": n} for n in range(100, 5000)])
        for order in session.scalars(select(Order)):
            order.note = f"n{order.id}"  # versioned rows are written one by one
        session.commit()
        session.connection().exec_driver_sql("INSERT INTO customers VALUES (%s)", [(n,) for n in range(-9, 0)])
    assert seen.count >= 11


def test_the_statement_too_many_is_not_sent(engine: Engine, database: str) -> None:
    with psycopg.connect(database) as conn:
        with watching(conn, limit=3, action="raise"), pytest.raises(RepeatedError, match="3 times in one unit of work") as refused:
            inserted(conn)
        assert conn.execute("SELECT count(*) FROM customers").fetchone() == (10,)
    assert refused.value.place.startswith("tests/runtime/test_repeats.py:")
    assert refused.value.hint.startswith("one statement for all rows")


def test_what_is_meant_is_allowed_with_a_reason(engine: Engine) -> None:
    with engine.connect() as conn, watching(conn, limit=2, action="raise") as seen:
        for n in range(4):
            with repeats.allowed("one at a time"):
                conn.execute(text("SELECT :n"), {"n": n})
    assert (seen.count, seen.repeated(2)) == (4, ())
    with pytest.raises(UsageError, match="no reason is given"), repeats.allowed(" "):
        pass


def test_every_way_of_psycopg_is_heard(database: str) -> None:
    def each(conn: Any) -> None:
        for n in range(5):
            conn.execute("SELECT %s", (n,))
            conn.cursor().execute(f"SELECT 'x', {n}")
            with conn.cursor(f"named{n}") as named:
                named.execute(b"SELECT 1")
            conn.execute(SQL("SELECT {}").format(n))
            list(conn.cursor().stream("SELECT 2"))
            with conn.cursor().copy("COPY (SELECT 1) TO STDOUT") as copy:
                list(copy)
            conn.cursor().executemany("SELECT %s", [(1,), (2,)])

    with psycopg.connect(database) as conn:
        before = (conn.cursor_factory, conn.server_cursor_factory)
        with watching(conn) as seen:
            each(conn)
        assert (seen.count, len(seen.repeated())) == (35, 5)
        assert seen.statements["SELECT ?"] == 25
        assert (conn.cursor_factory, conn.server_cursor_factory) == before
        each(conn)
        assert seen.count == 35


def test_async_places_are_those_of_the_coroutine(engine: Engine, database: str) -> None:
    async def work() -> None:
        made = create_async_engine(url(database))
        async with AsyncSession(made) as session, await psycopg.AsyncConnection.connect(database) as conn:
            with watching(made, conn) as seen:
                for n in range(5):
                    await session.execute(select(Order).where(Order.id == n)); at = line()  # noqa: E702  # fmt: skip
                    await conn.execute("SELECT %s", (n,))
            assert {r.place for r in seen.repeated()} == {f"tests/runtime/test_repeats.py:{n}" for n in (at, at + 1)}
            with watching(session) as again:
                await session.run_sync(lambda s: [o.lines for o in s.scalars(select(Order))])
            assert again.repeated()[0].relationship == "Order.lines"
        await made.dispose()

    asyncio.run(work())


@pytest.mark.parametrize("contextual", [False, True])
def test_a_guard_counts_by_transaction(engine: Engine, contextual: bool) -> None:
    if contextual:
        bind(engine)
    guard(engine, limit=3)
    with context(tenant="t"):
        for _ in range(3):
            with Session(engine) as session:
                for n in range(2):
                    session.execute(text("SELECT :n"), {"n": n})
                session.commit()
        with Session(engine) as session, pytest.raises(RepeatedError):
            ask(session, 3)


def test_a_guarded_connection_begins_anew_with_each_transaction(database: str) -> None:
    with psycopg.connect(database) as conn:
        guard(conn, limit=3)
        for _ in range(3):
            with conn.transaction():
                for n in range(2):
                    conn.execute("SELECT %s", (n,))
        with pytest.raises(RepeatedError):
            ask(conn, 3)


def test_outside_of_tests_it_warns_once_a_place(engine: Engine) -> None:
    repeats._warned.clear()
    guard(engine, limit=2, action="warn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            with engine.connect() as conn:
                for n in range(4):
                    conn.execute(text("SELECT 'secret', :n"), {"n": n})
    assert [w.category for w in told] == [RepeatedWarning]
    assert "secret" not in str(told[0].message)


@pytest.mark.parametrize(
    ("statement", "shape"),
    [
        ("SELECT * FROM t1 WHERE a = 'it''s' AND b = 4.5", "SELECT * FROM t1 WHERE a = ? AND b = ?"),
        ("SELECT a1 FROM t\n WHERE x IN (%(x_1_1)s::INTEGER, %(x_1_2)s::INTEGER)", "SELECT a1 FROM t WHERE x IN (?, …)"),
        ("INSERT INTO t VALUES (%s, %s), (%s, %s), (%s, %s)", "INSERT INTO t VALUES (?, …), …"),
        ('SELECT "a 1" FROM "t2" WHERE n = $1', 'SELECT "a 1" FROM "t2" WHERE n = ?'),
    ],
)
def test_statements_without_their_values(statement: str, shape: str) -> None:
    assert fingerprint(statement) == shape


def test_what_cannot_be_heard_says_so() -> None:
    with pytest.raises(UsageError, match=r"statements of builtins\.int cannot be heard"), watching(7):
        pass
    with pytest.raises(UsageError, match="limit is 1"), watching(limit=1):
        pass
