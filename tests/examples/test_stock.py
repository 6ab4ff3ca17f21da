"""The stock example keeps its promises at run time: names after templates, domains of values, totals, rights, partitions."""

from __future__ import annotations

import psycopg
import pytest
from tests.examples.conftest import Open, acting, one, refused

from pgcharter.db import Connection


@pytest.fixture
def conn(opened: Open) -> Connection:
    """A connection to the stock example with its seeds in it, as superuser; every test rolls back."""
    return opened("stock")


def test_every_constraint_is_named_after_the_templates(conn: Connection) -> None:
    wrong = conn.execute(
        """
        SELECT conname FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
        WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('c', 'f', 'u') AND NOT t.relispartition
        AND NOT conname LIKE CASE contype WHEN 'c' THEN 'ck' WHEN 'f' THEN 'fk' ELSE 'uq' END || '\\_' || relname || '\\_%'
        """
    ).fetchall()
    assert wrong == []
    assert one(conn, "SELECT pg_get_serial_sequence('orders', 'order_number')") == "public.seq_orders_order_number"


def test_an_address_is_taken_whatever_its_case(conn: Connection) -> None:
    add = "INSERT INTO users (email, password_hash) VALUES ('TRADER1@example.org', '$x')"
    refused(conn, psycopg.errors.UniqueViolation, add, match="uq_users_email")


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE users SET status = 'asleep'", "ck_users_status"),
        ("UPDATE stock_data SET low_price = high_price + 1", "ck_stock_data_price_range"),
        ("UPDATE orders SET executed_at = NULL WHERE status = 'executed'", "ck_orders_executed_at_status"),
        ("UPDATE orders SET quantity = 0", "ck_orders_quantity_positive"),
        ("UPDATE instruments SET currency_code = 'Euro'", "ck_instruments_currency_code_format"),
    ],
)
def test_values_are_held_in_their_domain(conn: Connection, sql: str, constraint: str) -> None:
    assert refused(conn, psycopg.errors.CheckViolation, sql).diag.constraint_name == constraint


def test_orders_outlast_an_account_and_watchlists_do_not(conn: Connection) -> None:
    refused(conn, psycopg.IntegrityError, "DELETE FROM users", match="fk_orders_users")
    conn.execute("DELETE FROM orders")
    conn.execute("DELETE FROM users")
    assert one(conn, "SELECT count(*) FROM watchlist_items") == 0


def test_the_total_is_kept_by_the_database(conn: Connection) -> None:
    conn.execute("UPDATE orders SET quantity = 3, price = 1.2345 WHERE order_number = 1")
    assert str(one(conn, "SELECT total FROM orders WHERE order_number = 1")) == "3.7035"


@pytest.mark.parametrize(
    ("role", "sql"),
    [
        ("stock_readonly", "SELECT email FROM users"),
        ("stock_readonly", "UPDATE users SET status = 'active'"),
        ("stock_application", "UPDATE orders SET price = 1"),
        ("stock_application", "DELETE FROM orders"),
        ("stock_application", "INSERT INTO stock_data SELECT * FROM stock_data"),
        ("stock_importer", "SELECT FROM orders"),
        ("stock_importer", "DELETE FROM stock_data"),
        ("stock_importer", "SELECT create_stock_data_partitions(2040, 2041)"),
    ],
)
def test_nobody_has_more_rights_than_needed(conn: Connection, role: str, sql: str) -> None:
    with acting(conn, role):
        refused(conn, psycopg.errors.InsufficientPrivilege, sql)
        conn.execute("SELECT FROM instruments")


def test_a_year_has_its_partition_once(conn: Connection) -> None:
    first = int(one(conn, "SELECT extract(year FROM current_date)")) + 2
    make = f"SELECT create_stock_data_partitions({first}, {first + 1})"
    assert [one(conn, make), one(conn, make)] == [2, 0]
