"""Copies in PostgreSQL compared with their source and repaired, on real servers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import sync
from pgcharter.policy.sync_settings import LookupTable, MappingTable, SyncSection
from pgcharter.servers.lifecycle import Server
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.errors import SinkRefusedError
from pgcharter.stream.reconcile import Side, reconcile
from pgcharter.stream.reconcile_model import Options

REPAIR = Options(repair=True, wait=5)
_numbers = itertools.count(1)


class Streamed:
    """A sink that PostgreSQL's digests are not asked of: rows are read through it."""

    whole, ordered, keeps = False, True, True

    def __init__(self, sink: PostgresqlSink) -> None:
        self._sink = sink
        self.open, self.write, self.close, self.read, self.look = sink.open, sink.write, sink.close, sink.read, sink.look


_statements: dict[int, tuple[str, ...]] = {}


def install(dsn: str) -> None:
    """Make our tables; the plan is made once for each major."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        major = conn.info.server_version // 10000
        if major not in _statements:
            planned = planning.make(Wish("", dsn, chosen=Chosen((sync.policy(SyncSection()),)), prove=False))
            _statements[major] = tuple(step.sql for step in planned.plan.steps)
        for sql in _statements[major]:
            conn.execute(sql.encode())


@pytest.fixture
def pair(major_server: Server) -> Iterator[tuple[str, str]]:
    """Two databases: the source with our tables, and the copy's."""
    names = [f"reconcile_{next(_numbers)}" for _ in range(2)]
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        source, copy = (major_server.dsn(name) for name in names)
        install(source)
        yield source, copy
        for name in names:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def run(dsn: str, *statements: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        rows: list[Any] = []
        for statement in statements:
            cursor = conn.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
        return rows


def side(pair: tuple[str, str], mapping: MappingTable, *, streamed: bool = False, **more: Any) -> Side:
    sink = PostgresqlSink(pair[1], name="copies")
    return Side(pair[0], Streamed(sink) if streamed else sink, mapping, "copies", "slot", **more)


ORDERS = MappingTable("copies", "public.orders")
TABLE = "CREATE TABLE orders (id bigint PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, tags text[], doc jsonb, ok boolean)"
FILL = (
    "INSERT INTO orders SELECT n, CASE WHEN n % 7 > 0 THEN 'näme ' || n END, n * 1.10, timestamptz '2024-01-01' + n * interval '1 min',"
    " ARRAY['a', n::text], jsonb_build_object('n', n), n % 2 = 0 FROM generate_series(1, {}) n"
)
BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["sql", "rows"])


def seeded(pair: tuple[str, str], mapping: MappingTable = ORDERS) -> None:
    report = reconcile(side(pair, mapping), replace(REPAIR, share=1))
    assert report.counts["missing"] == report.repaired == report.rows


def contents(dsn: str, table: str = "orders", but: str = "") -> Any:
    return run(dsn, f"SELECT to_jsonb(t) - 'pgcharter_lsn' - 'pgcharter_ordinal' {but} FROM {table} t ORDER BY t.id")


@BOTH
def test_a_report_makes_nothing(pair: tuple[str, str], streamed: bool) -> None:
    run(pair[0], TABLE, FILL.format(8))
    with pytest.raises(SinkRefusedError, match=r"orders cannot be read: it is not there"):
        reconcile(side(pair, ORDERS, streamed=streamed))
    assert run(pair[1], "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    assert run(pair[1], "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pgcharter%'") == []
    run(
        pair[1],
        "CREATE TABLE orders AS SELECT 1::bigint id, '' name, 1.0 amount, now() at, '{}'::text[] tags, '1'::jsonb doc, true ok",
    )
    with pytest.raises(SinkRefusedError, match=r"column pgcharter_lsn is not there"):
        reconcile(side(pair, ORDERS, streamed=streamed))


@pytest.mark.parametrize("major", [15, 18])
@BOTH
def test_missing_extra_and_different_rows_are_found_and_repaired(pair: tuple[str, str], major: int, streamed: bool) -> None:
    run(pair[0], TABLE, FILL.format(800))
    seeded(pair)
    equal = reconcile(side(pair, ORDERS, streamed=streamed))
    assert (equal.rows, equal.stored, equal.found, equal.scans) == (800, 800, 0, 1)
    run(
        pair[1],
        "DELETE FROM orders WHERE id IN (5, 800)",
        "UPDATE orders SET name = '' WHERE id = 7",
        "UPDATE orders SET name = NULL, amount = amount + 1 WHERE id = 8",
        "INSERT INTO orders (id, name) VALUES (9001, 'nobody''s')",
    )
    before = contents(pair[1])
    found = reconcile(side(pair, ORDERS, streamed=streamed))
    kinds = {(d.kind, d.key[0]): d.fields for d in found.differences}
    assert kinds == {
        ("missing", 5): (), ("missing", 800): (), ("different", 7): ("name",), ("different", 8): ("name", "amount"), ("extra", 9001): (),
    }  # fmt: skip
    assert found.repaired == 0
    assert found.remaining == 5
    assert contents(pair[1]) == before, "a report wrote"
    fixed = reconcile(side(pair, ORDERS, streamed=streamed), REPAIR)
    assert (fixed.found, fixed.repaired, fixed.remaining) == (5, 5, 0)
    assert contents(pair[1]) == contents(pair[0])
    assert reconcile(side(pair, ORDERS, streamed=streamed)).found == 0
    log = run(pair[0], f"SELECT key, differed, done FROM pgcharter.sync_corrections WHERE run = '{fixed.run}' ORDER BY (key->>'id')::int")
    assert [(k["id"], d["kind"], sorted(d["fields"]) if d["kind"] == "different" else "", done) for k, d, done in log] == [
        (5, "missing", "", "written"), (7, "different", ["name"], "written"), (8, "different", ["amount", "name"], "written"),
        (800, "missing", "", "written"), (9001, "extra", "", "deleted"),
    ]  # fmt: skip
    assert "näme" not in str(log)


@BOTH
def test_damage_right_after_a_repair_is_repaired(pair: tuple[str, str], streamed: bool) -> None:
    """In an idle database the position does not move by itself."""
    run(pair[0], TABLE, FILL.format(10))
    seeded(pair)
    for name in ("x", "y", "z"):
        run(pair[1], f"UPDATE orders SET name = '{name}' WHERE id = 3", "DELETE FROM orders WHERE id = 4")
        assert reconcile(side(pair, ORDERS, streamed=streamed), REPAIR).repaired == 2
        assert contents(pair[1]) == contents(pair[0])


@BOTH
def test_mappings_are_respected(pair: tuple[str, str], streamed: bool) -> None:
    run(
        pair[0],
        "CREATE TABLE customers (id int PRIMARY KEY, name text)", "INSERT INTO customers VALUES (1, 'Ann'), (2, NULL)",
        'CREATE TABLE orders (id int, "Line" text, secret text, customer int, status text, PRIMARY KEY (id, "Line"))',
        "INSERT INTO orders SELECT n / 2, CASE n % 2 WHEN 0 THEN 'Ä' ELSE 'a' END, 'card ' || n, n % 4,"
        " CASE WHEN n % 5 = 0 THEN 'draft' ELSE 'open' END FROM generate_series(1, 200) n",
    )  # fmt: skip
    plain = MappingTable("copies", "public.orders", to="renamed", rename={"Line": "line"}, filter=("status <> 'draft'",))
    masked = replace(
        plain, to="masked", mask={"secret": "hash"}, lookup=(LookupTable("public.customers", {"customer": "id"}, ("name",), "c_"),)
    )
    for mapping in (plain, masked):
        at = side(pair, mapping, streamed=streamed, secret=b"s" * 32)
        report = reconcile(at, replace(REPAIR, share=1))
        assert report.repaired == report.rows == 160
        run(pair[1], f"UPDATE {mapping.to} SET secret = 'card 7' WHERE id = 4", f"DELETE FROM {mapping.to} WHERE id = 3 AND line = 'Ä'")
        run(pair[1], f"INSERT INTO {mapping.to} (id, line) VALUES (5, 'Ä')")
        report = reconcile(at, REPAIR)
        assert sorted((d.kind, d.key) for d in report.differences) == [
            ("different", (4, "a")), ("different", (4, "Ä")), ("extra", (5, "Ä")), ("missing", (3, "Ä")),
        ]  # fmt: skip
        assert reconcile(at).found == 0
        log = run(pair[0], f"SELECT differed::text FROM pgcharter.sync_corrections WHERE run = '{report.run}'")
        assert "card" not in str(log)
    rows = run(pair[1], "SELECT secret, c_name FROM masked WHERE id = 4 AND line = 'a'")
    assert rows[0][1] == "Ann"
    assert "card" not in rows[0][0]


def test_tenants_are_routed(pair: tuple[str, str]) -> None:
    run(pair[0], "CREATE TABLE orders (id int PRIMARY KEY, tenant text)", "ALTER TABLE orders REPLICA IDENTITY FULL")
    run(pair[0], "INSERT INTO orders SELECT n, 't' || n % 3 FROM generate_series(1, 30) n")
    mapping = MappingTable("copies", "public.orders", to="{tenant}_orders", tenant="tenant")
    assert reconcile(side(pair, mapping), replace(REPAIR, share=1)).repaired == 30
    run(pair[1], "INSERT INTO t1_orders (id, tenant) SELECT id, tenant FROM t2_orders WHERE id = 2", "DELETE FROM t2_orders WHERE id = 2")
    report = reconcile(side(pair, mapping), REPAIR)
    assert sorted((d.kind, d.shape.to, d.key) for d in report.differences) == [("extra", "t1_orders", (2,)), ("missing", "t2_orders", (2,))]
    assert reconcile(side(pair, mapping)).found == 0


def test_too_much_difference_is_refused_before_anything_is_written(pair: tuple[str, str]) -> None:
    run(pair[0], TABLE, FILL.format(2000))
    seeded(pair)
    run(pair[1], "UPDATE orders SET name = 'broken' WHERE id <= 300")
    with pytest.raises(RefusedError, match=r"more than 200 rows of public\.orders differ in sink copies"):
        reconcile(side(pair, ORDERS), REPAIR)
    assert run(pair[1], "SELECT count(*) FROM orders WHERE name = 'broken'") == [(300,)]
    assert reconcile(side(pair, ORDERS), replace(REPAIR, share=0.2)).repaired == 300


def test_many_groups(pair: tuple[str, str]) -> None:
    run(pair[0], TABLE, FILL.format(500))
    report = reconcile(side(pair, ORDERS, streamed=True), replace(REPAIR, share=1, fan=64, group=100, batch=30))
    assert report.repaired == 500
    assert report.scans > 5
    assert contents(pair[0]) == contents(pair[1])


def test_rows_from_the_future_are_said(pair: tuple[str, str]) -> None:
    """As after the source was restored."""
    run(pair[0], TABLE, FILL.format(10))
    seeded(pair)
    run(pair[1], "UPDATE orders SET name = 'later', pgcharter_lsn = pgcharter_lsn + (1::bigint << 50) WHERE id = 1")
    report = reconcile(side(pair, ORDERS), replace(REPAIR, rounds=2))
    assert (report.found, report.future, report.unsettled, report.remaining) == (0, 1, 0, 1)


def test_a_transaction_that_is_committing_holds_the_moment(pair: tuple[str, str]) -> None:
    """One that sleeps inside a statement might be committing; one that is idle is not, nor is one that is prepared."""
    run(pair[0], TABLE, FILL.format(10))
    seeded(pair)
    with psycopg.connect(pair[0]) as idle, psycopg.connect(pair[0]) as busy:
        idle.execute("UPDATE orders SET name = 'idle' WHERE id = 1")
        assert reconcile(side(pair, ORDERS), replace(REPAIR, wait=0.5)).found == 0
        busy.execute("UPDATE orders SET name = 'busy' WHERE id = 2")
        sleeper = threading.Thread(target=lambda: busy.execute("SELECT pg_sleep(1.2)"))
        sleeper.start()
        while not run(pair[0], f"SELECT 1 FROM pg_stat_activity WHERE pid = {busy.info.backend_pid} AND state = 'active'"):
            pass
        with pytest.raises(PgcharterError, match=r"did not end in 0\.3 s"):
            reconcile(side(pair, ORDERS), replace(REPAIR, wait=0.3))
        assert reconcile(side(pair, ORDERS), REPAIR).found == 0
        sleeper.join()


@BOTH
def test_names_that_must_be_quoted(pair: tuple[str, str], streamed: bool) -> None:
    long = "Ü" * 31
    run(pair[0], 'CREATE SCHEMA "My Schema"', f'CREATE TABLE "My Schema"."{long}" ("Order" text PRIMARY KEY, "a ""b" int, "%s" text)')
    run(pair[0], f"""INSERT INTO "My Schema"."{long}" VALUES ('x%', 1, '%s'), ('y', NULL, '')""")
    mapping = MappingTable("copies", f'"My Schema"."{long}"', to="copy")
    assert reconcile(side(pair, mapping, streamed=streamed), replace(REPAIR, share=1)).repaired == 2
    run(pair[1], 'UPDATE copy SET "a ""b" = 5 WHERE "Order" = \'y\'')
    assert reconcile(side(pair, mapping, streamed=streamed), REPAIR).differences[0].fields == ('a "b',)
    assert reconcile(side(pair, mapping, streamed=streamed)).found == 0
