from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from models import Customer, Order
from sqlalchemy import func, select, text

from pgcharter.runtime import repeats
from pgcharter.runtime.repeats import RepeatedError
from pgcharter.testing import (
    assert_no_seq_scan,
    assert_plan_uses_index,
    assert_statements,
    count_statements,
    frozen_time,
    sequence,
    server_time,
)

THEN = datetime(2020, 2, 29, 12, tzinfo=UTC)


def test_statements_are_counted(pg_session, pg_conn):
    with count_statements(pg_session) as counted:
        pg_session.execute(text("SELECT 1"))
        with pg_session.begin_nested():
            pg_session.execute(text("SELECT 2"))
        pg_session.commit()
    assert counted == 2
    assert counted < 3 <= counted.count + 1
    with pytest.raises(AssertionError, match=r"2 statements\n  2 × SELECT"), assert_statements(pg_conn, at_most=1):
        [pg_conn.execute("SELECT %s::int", [n]) for n in range(2)]
    with pytest.raises(AssertionError, match="exactly 0"), assert_statements(pg_conn, exactly=0):
        pg_conn.execute("SELECT 1")


def test_statements_of_async_sessions_are_counted(pg_async_session):
    async def work():
        with assert_statements(pg_async_session, exactly=1):
            await pg_async_session.execute(text("SELECT 1"))

    asyncio.run(work())


def test_plans(pg_conn, pg_session):
    by_customer = "SELECT * FROM app.orders WHERE customer_id = %s"
    assert_plan_uses_index(pg_conn, by_customer, "orders_customer_id_idx", parameters=[1])
    assert_plan_uses_index(pg_session, select(Order).where(Order.customer_id == 1), "orders_customer_id_idx")
    assert_no_seq_scan(pg_conn, by_customer, parameters=[1])
    with pytest.raises(AssertionError, match=r"does not use index nothing; it uses: orders_customer_id_idx\n(.|\n)*Index"):
        assert_plan_uses_index(pg_conn, by_customer, "nothing", parameters=[1])
    with pytest.raises(AssertionError, match=r"no index serves the query on app\.orders(.|\n)*Seq Scan on orders"):
        assert_no_seq_scan(pg_conn, "SELECT * FROM app.orders WHERE total = 3 AND note LIKE '%%x'")
    assert_no_seq_scan(pg_conn, "SELECT * FROM app.orders WHERE total = 3", but=["orders"])
    assert pg_conn.execute("SHOW enable_seqscan").fetchone() == ("on",)


def test_time_that_stands_still(pg_conn, pg_session, pg_make):
    order = pg_make("app.orders")
    with frozen_time(pg_conn, THEN) as clock:
        assert server_time(pg_conn) == THEN == pg_session.scalar(select(func.now()))
        pg_session.commit()
        pg_conn.execute("UPDATE app.orders SET note = 'x'")
        assert pg_conn.execute("SELECT touched_at, day FROM app.orders").fetchone() == (THEN, order.day)
        clock.move(timedelta(hours=1))
        assert pg_conn.execute("SELECT clock_timestamp(), statement_timestamp(), transaction_timestamp()").fetchone() == (
            (THEN + timedelta(hours=1),) * 3
        )
        bound = "SELECT now(), current_timestamp, pg_catalog.now(), app.bound(), (SELECT at FROM app.moments)"
        frozen, *real = pg_conn.execute(bound).fetchone()
        assert frozen == THEN + timedelta(hours=1)
        assert all(at > THEN + timedelta(days=365) for at in real)
        customer = pg_conn.execute("INSERT INTO app.customers (email) VALUES ('d') RETURNING created_at").fetchone()
        assert customer[0] > THEN + timedelta(days=365)
    assert server_time(pg_conn) > THEN + timedelta(days=365)


def test_time_of_the_async_session(pg_conn, pg_async_session):
    with frozen_time(pg_conn, THEN):
        assert asyncio.run(pg_async_session.scalar(select(func.now()))) == THEN


def test_time_of_defaults(pg_conn):
    with frozen_time(pg_conn, THEN, defaults=True):
        row = pg_conn.execute("INSERT INTO app.customers (email) VALUES ('d') RETURNING created_at").fetchone()
        assert row == (THEN,)


def test_defaults_are_as_before(pg_conn):
    row = pg_conn.execute("INSERT INTO app.customers (email) VALUES ('d') RETURNING created_at = current_timestamp").fetchone()
    assert row == (True,)


def test_rows(pg_make, pg_conn):
    order = pg_make("orders")
    assert pg_conn.execute("SELECT count(*) FROM app.customers WHERE id = %s", [order.customer_id]).fetchone() == (1,)
    pg_conn.commit()
    assert {r.customer_id for r in pg_make.many("app.orders", 3, customer=pg_make("customers"))} != {order.customer_id}
    assert len({r.email for r in pg_make.many("customers", 500)}) == 500
    pg_conn.rollback()
    assert pg_conn.execute("SELECT count(*) FROM app.customers").fetchone() == (502,)
    pg_make("customers")  # within a transaction of the test
    pg_conn.rollback()
    assert pg_conn.execute("SELECT count(*) FROM app.customers").fetchone() == (502,)


def test_objects(pg_make, pg_session):
    customer = pg_make(Customer, email="ada@example.org")
    orders = pg_make.factory(Order, customer=customer, note=sequence("A-{n:03}"))
    assert [o.note for o in orders.many(3)] == ["A-001", "A-002", "A-003"]
    assert orders(total=7).customer is customer
    assert pg_session.scalars(select(Order).where(Order.total == 7)).one().customer is customer


def test_objects_of_async_sessions(pg_make, pg_async_session):
    customer = pg_make(Customer)

    async def work():
        customer.email = "new"
        await pg_async_session.commit()
        assert (await pg_async_session.scalars(select(Customer))).one() is customer
        assert pg_make(Order, customer=customer).customer_id == customer.id

    asyncio.run(work())


def load(pg_session):
    return [order.customer.email for order in pg_session.scalars(select(Order))]


@pytest.mark.no_repeats(limit=3)
def test_repeats_are_refused(pg_make, pg_session):
    for customer in pg_make.many(Customer, 4):
        pg_make(Order, customer=customer)
    pg_session.expire_all()
    with pytest.raises(RepeatedError, match=r"Order\.customer is loaded one by one"):
        load(pg_session)
    pg_session.expire_all()
    with repeats.allowed("here"):
        assert len(load(pg_session)) == 4


def test_repeats_elsewhere(pg_make, pg_session):
    for customer in pg_make.many(Customer, 20):
        pg_make(Order, customer=customer)
    pg_session.expire_all()
    assert len(load(pg_session)) == 20
