from __future__ import annotations

from sqlalchemy import text


def test_ends_the_transaction(pg_conn):
    pg_conn.execute("CREATE TABLE stays (id int)")
    pg_conn.execute("COMMIT")


def test_after(pg_conn):
    assert pg_conn.execute("SELECT to_regclass('stays') IS NULL").fetchone() == (True,)


def test_seed(pg_make):
    raise ValueError("for the seed")


def test_repeats(pg_session):
    for _ in range(6):
        pg_session.execute(text("SELECT 1"))
