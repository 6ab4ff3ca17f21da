"""The fill: what it loads hangs together, is the same every time, and survives being killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest
from tests.examples.conftest import oldest_and_newest

from pgcharter.db import Connection, connect
from pgcharter.errors import RefusedError
from pgcharter.examples import fill
from pgcharter.examples.shop import fill as shop_fill

ORDERS = 500
TABLES = (
    "identity.tenants",
    "identity.users",
    "catalog.vendors",
    "catalog.categories",
    "catalog.products",
    "catalog.inventory_items",
    "sales.orders",
    "sales.order_items",
    "sales.payments",
)


def fingerprint(conn: Connection) -> dict[str, tuple[int, str]]:
    """Rows and a digest of each table, without what depends on the clock: when stock was last touched."""
    found = {}
    for table in TABLES:
        doc = "to_jsonb(t) - 'updated_at'" if table == "catalog.inventory_items" else "to_jsonb(t)"
        row = conn.execute(
            f"SELECT count(*), coalesce(md5(string_agg(({doc})::text, '' ORDER BY ({doc})::text)), '') FROM {table} AS t"  # type: ignore[arg-type]
        ).fetchone()
        assert row
        found[table] = (row[0], row[1])
    return found


WRONG = (
    """
    SELECT o.order_id FROM sales.orders AS o
    LEFT JOIN (SELECT order_id, sum(line_amount) AS amount FROM sales.order_items GROUP BY order_id) AS i USING (order_id)
    WHERE i.amount IS DISTINCT FROM o.items_amount
    """,
    "SELECT order_id FROM sales.order_items GROUP BY order_id HAVING count(*) <> max(line_number) OR count(*) NOT BETWEEN 1 AND 5",
    """
    SELECT o.order_id FROM sales.orders AS o
    LEFT JOIN (
        SELECT order_id, sum(amount) AS amount, count(*) AS n FROM sales.payments
        WHERE payment_status IN ('captured', 'refunded') GROUP BY order_id
    ) AS p USING (order_id)
    WHERE (o.order_status IN ('paid', 'processing', 'shipped', 'delivered', 'refunded'))
        IS DISTINCT FROM coalesce(p.amount = o.total_amount AND p.n = 1, false)
    """,
    """
    SELECT payment_id FROM sales.payments AS p JOIN sales.orders AS o USING (order_id)
    WHERE p.created_at < o.created_at OR p.currency_code <> o.currency_code
    """,
    """
    SELECT order_id FROM sales.orders AS o JOIN identity.users AS u USING (user_id)
    WHERE u.created_at >= o.created_at OR u.user_role <> 'customer'
    """,
    "SELECT order_id FROM sales.orders AS o JOIN identity.tenants AS t USING (tenant_id) WHERE o.currency_code <> t.currency_code",
)
"""Queries that find what must not be."""


@pytest.fixture
def filled(shop: str) -> Iterator[Connection]:
    with connect(shop) as conn:
        assert fill.fill(conn, shop_fill, ORDERS) == ORDERS
        shop_fill.finish(conn)
        yield conn


@oldest_and_newest
def test_what_is_loaded_hangs_together(filled: Connection, major: int) -> None:
    rows = fingerprint(filled)
    assert rows["sales.orders"][0] == ORDERS
    assert ORDERS < rows["sales.order_items"][0] < 5 * ORDERS
    for wrong in WRONG:
        assert filled.execute(wrong).fetchall() == [], wrong  # type: ignore[arg-type]


@pytest.mark.parametrize(("status", "column"), [("'paid', 'processing'", "reserved"), ("'shipped', 'delivered'", "shipped")])
def test_stock_is_what_orders_took(filled: Connection, status: str, column: str) -> None:
    wrong = f"""
        SELECT product_id FROM catalog.inventory_items
        LEFT JOIN (
            SELECT product_id, sum(quantity) AS n FROM sales.order_items JOIN sales.orders USING (order_id)
            WHERE order_status IN ({status}) GROUP BY product_id
        ) AS taken USING (product_id)
        WHERE {column}_quantity <> coalesce(n, 0)
        """
    assert filled.execute(wrong).fetchall() == []  # type: ignore[arg-type]
    row = filled.execute(f"SELECT sum({column}_quantity), min(available_quantity) FROM catalog.inventory_items").fetchone()  # type: ignore[arg-type]
    assert row
    assert row[0] > 0
    assert row[1] >= 0


def test_every_status_and_method_occurs_and_the_summary_is_filled(filled: Connection) -> None:
    for table, column, type_ in (
        ("sales.orders", "order_status", "sales.order_status"),
        ("sales.payments", "payment_method", "sales.payment_method"),
        ("sales.payments", "payment_status", "sales.payment_status"),
        ("identity.users", "user_role", "identity.user_role"),
    ):
        missing = filled.execute(
            f"SELECT e FROM unnest(enum_range(NULL::{type_})) AS e WHERE e NOT IN (SELECT {column} FROM {table})"  # type: ignore[arg-type]
        ).fetchall()
        assert {label for (label,) in missing} <= {"draft", "pending_payment", "pending"}
    sums = filled.execute(
        "SELECT (SELECT sum(sales_amount) FROM platform.daily_sales), "
        "(SELECT sum(total_amount) FROM sales.orders WHERE order_status IN ('paid', 'processing', 'shipped', 'delivered'))"
    ).fetchone()
    assert sums
    assert sums[0] == sums[1] > 0


def test_a_second_run_loads_nothing(filled: Connection) -> None:
    before = fingerprint(filled)
    assert fill.fill(filled, shop_fill, ORDERS) == 0
    assert fill.fill(filled, shop_fill, ORDERS - 100) == 0
    assert fingerprint(filled) == before


def test_the_size_of_batches_and_where_it_stopped_leave_no_trace(filled: Connection, another: str) -> None:
    with connect(another) as conn:
        told: list[int] = []
        for total in (30, 137, 137, ORDERS):
            fill.fill(conn, shop_fill, total, lambda what, done, of: told.append(done), step=50)
        assert told == [30, 50, 100, 137, 150, 200, 250, 300, 350, 400, 450, 500]
        assert fingerprint(conn) == fingerprint(filled)


def test_a_failure_between_two_tables_leaves_nothing_of_its_batch(filled: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(filled)
    copy = shop_fill._copy

    def broken(conn: Connection, table: str, text: str) -> None:
        if table == "sales.payments":
            raise psycopg.OperationalError("the line is dead")
        copy(conn, table, text)

    monkeypatch.setattr(shop_fill, "_copy", broken)
    with pytest.raises(psycopg.OperationalError):
        fill.fill(filled, shop_fill, ORDERS + 50)
    assert fingerprint(filled) == before


CHILD = """
import sys
from pgcharter.db import connect
from pgcharter.examples import fill
from pgcharter.examples.shop import fill as shop
with connect(sys.argv[1]) as conn:
    fill.fill(conn, shop, int(sys.argv[2]), lambda what, done, total: print(done, flush=True), step=10)
"""


@pytest.mark.slow
def test_a_fill_that_is_killed_goes_on_without_holes_or_doubles(filled: Connection, another: str) -> None:
    rng = random.Random(7)
    for batches in (0, 3, 11):
        child = subprocess.Popen([sys.executable, "-c", CHILD, another, str(ORDERS)], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        for _ in range(batches):
            assert child.stdout.readline()
        time.sleep(rng.random() * 0.02)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    with connect(another) as conn:
        assert 0 < fill.fill(conn, shop_fill, ORDERS) < ORDERS - 100
        assert fingerprint(conn) == fingerprint(filled)


def test_rows_of_another_version_are_not_mixed(filled: Connection) -> None:
    filled.execute("UPDATE pgcharter.fill_progress SET fill_version = 0")
    with pytest.raises(RefusedError, match="another version"):
        fill.fill(filled, shop_fill, ORDERS + 1)


def test_two_fills_at_once_do_not_both_load(shop: str) -> None:
    """The second to commit a batch finds the record moved on, and stops."""
    with connect(shop) as one, connect(shop) as two:
        fill.fill(one, shop_fill, 10)

        def overtake(conn: Connection, first: int, last: int) -> None:
            shop_fill.load(conn, first, last)
            conn.execute("UPDATE pgcharter.fill_progress SET done_count = 99")

        class Overtaken:
            NAME, UNIT, TOTAL, STEP, VERSION = shop_fill.NAME, shop_fill.UNIT, shop_fill.TOTAL, shop_fill.STEP, shop_fill.VERSION
            begin, finish = staticmethod(shop_fill.begin), staticmethod(shop_fill.finish)
            load = staticmethod(overtake)

        with pytest.raises(RefusedError, match="somebody else"):
            fill.fill(two, Overtaken(), 20)
        assert fill.fill(one, shop_fill, 20) == 10
