from __future__ import annotations

import asyncio

import psycopg
import pytest
from models import Customer
from psycopg.rows import dict_row
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from pgcharter.runtime.context import context

ADD = "INSERT INTO app.customers (email) VALUES (%s)"


def count(conn):
    return conn.execute("SELECT count(*) AS n FROM app.customers").fetchone()[0]


@pytest.mark.parametrize("again", range(2))
def test_what_is_committed_is_seen_until_the_test_ends(pg_conn, again):
    assert count(pg_conn) == 0
    pg_conn.execute(ADD, ["kept"])
    pg_conn.commit()
    pg_conn.execute(ADD, ["lost"])
    pg_conn.rollback()
    assert count(pg_conn) == 1
    pg_conn.row_factory = dict_row


def test_row_factory_of_another_test_is_gone(pg_conn):
    assert pg_conn.execute("SELECT 1").fetchone() == (1,)


def test_deferred_checks_are_made_at_commit(pg_conn):
    pg_conn.execute("INSERT INTO app.orders (customer_id, total) VALUES (-1, 1)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        pg_conn.commit()
    assert pg_conn.execute("SELECT count(*) FROM app.orders").fetchone() == (0,)
    pg_conn.execute("INSERT INTO app.orders (customer_id, total) VALUES (-1, 1)")  # still deferred: not at once
    pg_conn.rollback()


def test_commit_after_an_error_rolls_back(pg_conn):
    pg_conn.execute(ADD, ["a"])
    with pytest.raises(psycopg.errors.UndefinedTable):
        pg_conn.execute("SELECT * FROM nothing")
    pg_conn.commit()
    assert count(pg_conn) == 0


def test_blocks_are_transactions(pg_conn):
    with pg_conn.transaction():
        pg_conn.execute(ADD, ["kept"])
        with pg_conn.transaction(force_rollback=True):
            pg_conn.execute(ADD, ["lost"])
    pg_conn.rollback()
    assert count(pg_conn) == 1
    pg_conn.commit()
    with pytest.raises(psycopg.errors.ForeignKeyViolation), pg_conn.transaction():
        pg_conn.execute("INSERT INTO app.orders (customer_id, total) VALUES (-1, 1)")
    with pytest.raises(psycopg.ProgrammingError), pg_conn.transaction():
        pg_conn.commit()


def test_pipelines_and_prepared_statements(pg_conn):
    with pg_conn.pipeline():
        for n in range(12):
            pg_conn.execute(ADD, [str(n)])
        pg_conn.commit()
    for n in range(12):
        pg_conn.execute("SELECT %s::int", [n], prepare=True)
    assert count(pg_conn) == 12


def test_contexts_without_tenants(pg_conn):
    said = "SELECT current_setting('pgcharter.actor', true), current_setting('pgcharter.reason', true)"
    with context(actor="ada", reason="a; b's"):
        assert pg_conn.execute(said).fetchone() == ("ada", "a; b's")
        pg_conn.commit()
        with pg_conn.pipeline():
            cursor = pg_conn.execute(said)
        assert cursor.fetchone() == ("ada", "a; b's")
        pg_conn.commit()
    assert pg_conn.execute(said).fetchone() == ("", "")


def test_deferred_checks_in_a_pipeline(pg_conn):
    pipeline = pg_conn.pipeline()
    pipeline.__enter__()
    pg_conn.execute("INSERT INTO app.orders (customer_id, total) VALUES (-1, 1)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        pg_conn.commit()
    pipeline.__exit__(None, None, None)
    pg_conn.rollback()
    assert pg_conn.execute("SELECT count(*) FROM app.orders").fetchone() == (0,)


def test_closing_rolls_back_and_stays_open(pg_conn):
    with pg_conn:
        pg_conn.execute(ADD, ["kept"])
    pg_conn.execute(ADD, ["lost"])
    pg_conn.close()
    assert count(pg_conn) == 1


def test_a_session_that_is_ended_is_made_anew(pg_conn):
    with pytest.raises(psycopg.OperationalError):
        pg_conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_made_anew(pg_conn, pg_session):
    assert count(pg_conn) == 0 == pg_session.scalar(text("SELECT count(*) FROM app.customers"))


def test_session(pg_session, pg_conn):
    pg_session.add(Customer(email="kept"))
    pg_session.commit()
    pg_session.add(Customer(email="lost"))
    pg_session.flush()
    pg_session.rollback()
    with pg_session.begin_nested():
        pg_session.add(Customer(email="nested"))
    with pytest.raises(IntegrityError), pg_session.begin_nested():
        pg_session.execute(insert(Customer).values(email="nested"))
    pg_session.commit()
    assert [c.email for c in pg_session.scalars(select(Customer).order_by(Customer.id))] == ["kept", "nested"]
    assert count(pg_conn) == 2


def test_hooks_of_the_session_are_called(pg_session):
    from sqlalchemy import event

    heard = []
    event.listen(pg_session, "after_commit", lambda _: heard.append("commit"))
    event.listen(pg_session, "after_rollback", lambda _: heard.append("rollback"))
    pg_session.add(Customer(email="a"))
    pg_session.commit()
    pg_session.execute(text("SELECT 1"))
    pg_session.rollback()
    assert heard == ["commit", "rollback"]


@pytest.mark.parametrize("again", range(2))
def test_async_session_in_a_loop_of_its_own(pg_async_session, pg_conn, again):
    pg_conn.execute(ADD, ["sync"])
    pg_conn.commit()

    async def work():
        pg_async_session.add(Customer(email="kept"))
        await pg_async_session.commit()
        pg_async_session.add(Customer(email="lost"))
        await pg_async_session.flush()
        await pg_async_session.rollback()
        for n in range(7):
            await pg_async_session.execute(text("SELECT CAST(:n AS int)"), {"n": n})

    asyncio.run(work())
    asyncio.run(pg_async_session.rollback())
    assert {r[0] for r in pg_conn.execute("SELECT email FROM app.customers")} == {"sync", "kept"}


def test_async_session_left_open(pg_async_session):
    asyncio.run(pg_async_session.execute(text("SELECT 1")))


def test_async_session_never_used(pg_async_session):
    pass


@pytest.mark.anyio
async def test_async_session_by_anyio(pg_async_session):
    pg_async_session.add(Customer(email="kept"))
    await pg_async_session.commit()
    assert (await pg_async_session.scalars(select(Customer))).one().email == "kept"


@pytest.fixture
def anyio_backend():
    return "asyncio"
