"""Copies in PostgreSQL by the whole road: source, stream, mapping, sink."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major
from tests.stream.copying import Copies

from pgcharter.policy.sync_settings import LookupTable, MappingTable
from pgcharter.servers.lifecycle import Server
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.mapper import Target
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.source import open_source

_SOURCE = """
CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('good', 'bad'); CREATE DOMAIN app.price AS numeric(10,2);
CREATE TABLE app.customers (id integer PRIMARY KEY, name text);
CREATE TABLE app.orders (id bigint PRIMARY KEY, customer_id integer, status text, body text, amount app.price, mood app.mood, tags text[],
    at timestamptz);
ALTER TABLE app.orders ALTER COLUMN body SET STORAGE EXTERNAL;
"""
_MAPPINGS = (
    MappingTable("one", "app.orders"),
    MappingTable(
        "one", "app.orders", to="report.sold", columns=("id", "status", "body"), rename={"id": "number"}, filter=("status <> 'draft'",),
        lookup=(LookupTable("app.customers", {"customer_id": "id"}, ("name",), "customer_"),),
    ),
)  # fmt: skip
_WANTED = {
    "SELECT id, customer_id, status, body, amount, mood::text, tags, at FROM app.orders": (
        "SELECT id, customer_id, status, body, amount, mood, tags, at FROM orders"
    ),
    "SELECT o.id, status, body, name FROM app.orders o LEFT JOIN app.customers c ON c.id = customer_id WHERE status <> 'draft'": (
        "SELECT number, status, body, customer_name FROM report.sold"
    ),
}


class Flow(Copies):
    """A source and a copy in another database of the server."""

    def __init__(self, dsn: str, copy: str, folder: Path) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(_SOURCE.encode())
        super().__init__(dsn, folder, ("app.orders", "app.customers"))
        self.copy = copy

    def make(self, sink: str) -> Target:
        mapper = Mappings(_MAPPINGS, partial(open_source, self.dsn), texts=PostgresqlSink.texts)
        return Target(sink, PostgresqlSink(self.copy, name=sink), mapper)

    def run_sql(self, *statements: str) -> None:
        with psycopg.connect(self.dsn) as conn:
            for sql in statements:
                conn.execute(sql.encode())

    def rows(self) -> list[tuple[list[Any], list[Any]]]:
        with psycopg.connect(self.dsn) as here, psycopg.connect(self.copy) as there:
            return [(sorted(here.execute(a.encode()), key=str), sorted(there.execute(b.encode()), key=str)) for a, b in _WANTED.items()]


@pytest.fixture
def flow(database: str, major_server: Server, tmp_path: Path) -> Iterator[Flow]:
    name = f"copy_{os.getpid()}"
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        made = Flow(database, major_server.dsn(name), tmp_path)
        try:
            yield made
        finally:
            made.drop()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _change(chance: random.Random) -> str:
    """A statement: of one row, or of several, or of the table."""
    key, other, status = chance.randrange(30), chance.randrange(30), chance.choice(["new", "draft", "sold"])
    who = chance.choice(["NULL", "1", "2", "3"])
    long = chance.choice(["'short'", f"repeat('{status}', 900)", "NULL"])
    return chance.choices(
        [
            f"INSERT INTO app.orders VALUES ({key}, {who}, '{status}', {long}, {key}.5, 'good', '{{a}}', now()) ON CONFLICT DO NOTHING",
            f"UPDATE app.orders SET status = '{status}' WHERE id = {key}",
            f"UPDATE app.orders SET amount = amount + 1, customer_id = {who} WHERE id % 3 = {key % 3}",
            f"UPDATE app.orders SET id = {other} WHERE id = {key} AND NOT EXISTS (SELECT FROM app.orders WHERE id = {other})",
            f"DELETE FROM app.orders WHERE id = {key}",
            f"INSERT INTO app.customers VALUES ({key % 4}, 'c{key}') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            f"DELETE FROM app.customers WHERE id = {key % 4}",
            "TRUNCATE app.orders",
        ],
        weights=[40, 20, 5, 10, 10, 10, 3, 1],
    )[0]


@every_major
def test_whatever_happens_the_copy_is_what_the_mapping_says(flow: Flow, major: int) -> None:
    """Rows that were there, changes while it runs and while it does not, with columns added."""
    chance = random.Random(major)
    flow.run_sql(*(_change(chance) for _ in range(60)))
    flow.init()
    flow.once()
    for here, there in flow.rows():
        assert here == there
    for turn in range(3):
        for _ in range(10):
            flow.run_sql(*(_change(chance) for _ in range(chance.randrange(1, 12))))
        if turn == 1:
            flow.run_sql(
                "ALTER TABLE app.orders ADD COLUMN note text", "INSERT INTO app.orders (id, status, note) VALUES (1000, 'new', 'n')"
            )
        flow.once()
        for here, there in flow.rows():
            assert here == there, turn
    with psycopg.connect(flow.copy) as conn:
        assert conn.execute("SELECT note FROM orders WHERE id = 1000").fetchone() in (("n",), None)
