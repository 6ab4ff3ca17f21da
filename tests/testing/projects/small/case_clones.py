from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import create_engine, text


@pytest.mark.parametrize("again", range(3))
def test_a_clone_is_the_tests_own(pg_dsn, again):
    with psycopg.connect(pg_dsn) as conn:
        conn.execute("INSERT INTO app.customers (email) VALUES ('a')")
    with psycopg.connect(pg_dsn) as conn:
        assert conn.execute("SELECT count(*) FROM app.customers").fetchone() == (1,)


def test_url_of_sqlalchemy(pg_database):
    engine = create_engine(pg_database.sqlalchemy_url)
    with engine.begin() as conn:
        assert conn.scalar(text("SELECT current_database()")) == pg_database.name
    engine.dispose()


def test_connections_left_open_do_not_keep_it(pg_database):
    with pg_database.connect() as conn:
        conn.execute("SELECT 1")
    test_connections_left_open_do_not_keep_it.left = psycopg.connect(pg_database.dsn)


def test_the_next():
    test_connections_left_open_do_not_keep_it.left.close()


def test_made_rows_are_committed_there(pg_make, pg_dsn):
    order = pg_make("app.orders", total=3)
    with psycopg.connect(pg_dsn) as conn:
        assert conn.execute("SELECT customer_id, total FROM app.orders").fetchone() == (order.customer_id, 3)
