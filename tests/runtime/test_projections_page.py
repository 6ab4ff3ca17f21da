"""The Python of the page on read models runs."""

from __future__ import annotations

import uuid

import psycopg
from tests.runtime.own_tables import install
from tests.runtime.test_transaction_pages import run

from pgcharter.runtime.database import Database


def test_the_page(database: str) -> None:
    install(database, "messaging")
    with psycopg.connect(database, autocommit=True) as conn, Database(database) as db:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.order_totals (order_id uuid PRIMARY KEY, lines int NOT NULL, cents int NOT NULL)")
        run("projections", db=db, order_id=uuid.UUID(int=1))
        assert conn.execute("SELECT lines, cents FROM app.order_totals").fetchall() == [(3, 1000)]
