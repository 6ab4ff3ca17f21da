"""What `plan.safety` says of a statement is what servers do, on tables that the oracle has never seen."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.conftest import every_major

from pgcharter.catalog.effect import Effect, Mode
from pgcharter.catalog.model import Catalog, Table
from pgcharter.names import ObjectId
from pgcharter.plan import oracle
from pgcharter.plan.forms import classify
from pgcharter.plan.safety import effect, effects, judged
from pgcharter.plan.surroundings import around
from pgcharter.servers.lifecycle import Server
from pgcharter.sources.live import read_catalog

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import locks  # noqa: E402
import locks_measure  # noqa: E402
import locks_page  # noqa: E402
import locks_world  # noqa: E402
from locks_world import World, one  # noqa: E402

SCRIPT = """
CREATE SCHEMA "My App";
CREATE DOMAIN "My App".amount AS numeric CHECK (VALUE >= 0);
CREATE TYPE "My App".state AS ENUM ('new', 'old');
CREATE TABLE "My App".customers (id bigint PRIMARY KEY, "Näme" varchar(40) NOT NULL, note text, joined timestamp, total "My App".amount,
    CONSTRAINT note_known CHECK (note IS NOT NULL));
CREATE INDEX ON "My App".customers ("Näme");
CREATE TABLE "My App".orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint CONSTRAINT of_customer REFERENCES
    "My App".customers, state "My App".state, price numeric(10,2), place varchar(10));
CREATE INDEX orders_place ON "My App".orders (place);
CREATE TABLE plain (id bigint);
CREATE TABLE places (name varchar(10) PRIMARY KEY);
INSERT INTO plain SELECT generate_series(1, 100);
INSERT INTO places SELECT generate_series(1, 100);
ALTER TABLE "My App".orders ADD CONSTRAINT of_place FOREIGN KEY (place) REFERENCES places NOT VALID;
CREATE VIEW "My App".dear AS SELECT id, price FROM "My App".orders WHERE price > 10;
CREATE TABLE events (at timestamptz NOT NULL, kind text, body jsonb) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2020-01-01') PARTITION BY LIST (kind);
CREATE TABLE events_old_a PARTITION OF events_old FOR VALUES IN ('a');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_kind ON events (kind);
CREATE TABLE events_next (LIKE events);
CREATE TABLE kinds (name text PRIMARY KEY);
INSERT INTO kinds VALUES ('a'), ('b'), ('c');
CREATE TABLE shelves (kind text REFERENCES kinds) PARTITION BY LIST (kind);
CREATE TABLE shelves_a PARTITION OF shelves FOR VALUES IN ('a');
CREATE TABLE animals (id int PRIMARY KEY, name text);
CREATE TABLE dogs (breed text) INHERITS (animals);
CREATE MATERIALIZED VIEW counts AS SELECT kind, count(*) AS n FROM events GROUP BY 1;
CREATE UNIQUE INDEX ON counts (kind);
INSERT INTO "My App".customers SELECT i, i, i, now(), i FROM generate_series(1, 100) i;
INSERT INTO "My App".orders (customer, state, price, place) SELECT i, 'new', i, i FROM generate_series(1, 100) i;
INSERT INTO events SELECT '2010-01-01', 'a', '{}' FROM generate_series(1, 100) i;
INSERT INTO events SELECT '2025-01-01', 'b', '{}' FROM generate_series(1, 100) i;
INSERT INTO events SELECT '2035-01-01', 'c', '{}' FROM generate_series(1, 100) i;
INSERT INTO events_next SELECT '2045-01-01', 'c', '{}' FROM generate_series(1, 100) i;
INSERT INTO dogs SELECT i, i, i FROM generate_series(1, 100) i;
REFRESH MATERIALIZED VIEW counts
"""
STATEMENTS = """
ALTER TABLE "My App".customers ADD COLUMN x int, ADD COLUMN y uuid DEFAULT gen_random_uuid()
ALTER TABLE "My App".customers ADD COLUMN x timestamptz NOT NULL DEFAULT now()
ALTER TABLE "My App".customers ADD COLUMN x "My App".amount
ALTER TABLE "My App".customers ADD COLUMN x "My App".state DEFAULT 'new'
ALTER TABLE "My App".customers ADD COLUMN x bigserial
ALTER TABLE "My App".customers ADD COLUMN x int CHECK (x > 0)
ALTER TABLE "My App".customers ADD COLUMN x bigserial UNIQUE
ALTER TABLE plain ADD COLUMN x bigserial PRIMARY KEY
ALTER TABLE plain SET UNLOGGED
ALTER TABLE "My App".customers ALTER COLUMN "Näme" TYPE varchar(80)
ALTER TABLE "My App".customers ALTER COLUMN "Näme" TYPE text, ALTER COLUMN joined TYPE timestamptz
ALTER TABLE "My App".customers ALTER COLUMN "Näme" TYPE varchar(8)
ALTER TABLE "My App".customers ALTER COLUMN joined SET NOT NULL
ALTER TABLE "My App".customers ALTER COLUMN note SET NOT NULL
ALTER TABLE "My App".customers ALTER COLUMN id TYPE numeric
ALTER TABLE "My App".customers DROP COLUMN note
ALTER TABLE "My App".orders ALTER COLUMN place TYPE varchar(20), ADD CONSTRAINT dear CHECK (price > 0) NOT VALID
ALTER TABLE "My App".orders DROP CONSTRAINT of_customer
ALTER TABLE "My App".orders DROP COLUMN customer
ALTER TABLE "My App".orders ADD CONSTRAINT x FOREIGN KEY (customer) REFERENCES "My App".customers (id)
ALTER TABLE "My App".orders ADD CONSTRAINT x FOREIGN KEY (customer) REFERENCES "My App".customers (id) NOT VALID
ALTER TABLE "My App".orders ADD COLUMN x bigint REFERENCES "My App".customers
ALTER TABLE "My App".orders ADD COLUMN x bigint DEFAULT 1 REFERENCES "My App".customers
ALTER TABLE "My App".orders ADD COLUMN x bigint REFERENCES "My App".customers, ADD COLUMN y int DEFAULT 1
ALTER TABLE "My App".orders ADD COLUMN x bigserial REFERENCES "My App".customers
ALTER TABLE "My App".orders ADD COLUMN x bigint GENERATED BY DEFAULT AS IDENTITY REFERENCES "My App".customers
ALTER TABLE "My App".orders VALIDATE CONSTRAINT of_place
ALTER TABLE "My App".orders ADD CONSTRAINT x UNIQUE (place)
ALTER TABLE "My App".orders SET (fillfactor = 70)
ALTER TABLE "My App".orders RENAME TO "Orders"
ALTER TABLE "My App".orders ENABLE ROW LEVEL SECURITY
ALTER DOMAIN "My App".amount ADD CHECK (VALUE < 1000)
ALTER TYPE "My App".state ADD VALUE 'older'
CREATE INDEX ON "My App".orders (customer) WHERE price > 0
CREATE INDEX CONCURRENTLY x ON "My App".orders (customer)
DROP INDEX "My App".orders_place
DROP TABLE "My App".orders CASCADE
DROP VIEW "My App".dear
TRUNCATE "My App".orders
COMMENT ON COLUMN "My App".orders.price IS 'in euro'
GRANT SELECT ON "My App".orders TO CURRENT_USER
CREATE VIEW x AS SELECT * FROM "My App".dear
CREATE TABLE x (id bigint REFERENCES "My App".customers)
ALTER TABLE events ADD COLUMN x int DEFAULT 1
ALTER TABLE events ADD COLUMN x float8 DEFAULT random()
ALTER TABLE events ADD CONSTRAINT x CHECK (kind <> '')
ALTER TABLE events ALTER COLUMN kind SET NOT NULL
ALTER TABLE events ADD CONSTRAINT x FOREIGN KEY (kind) REFERENCES kinds
ALTER TABLE events_new ADD CONSTRAINT x FOREIGN KEY (kind) REFERENCES kinds
ALTER TABLE shelves DROP CONSTRAINT shelves_kind_fkey
ALTER TABLE events DETACH PARTITION events_new
ALTER TABLE events ATTACH PARTITION events_next FOR VALUES FROM ('2040-01-01') TO ('2050-01-01')
CREATE TABLE x PARTITION OF events FOR VALUES FROM ('2050-01-01') TO ('2060-01-01')
CREATE INDEX ON events (at)
DROP INDEX events_kind
DROP TABLE events_new
DROP TABLE events CASCADE
TRUNCATE events
ALTER TABLE animals ADD COLUMN age int
ALTER TABLE animals ADD CONSTRAINT x CHECK (name <> '')
ALTER TABLE dogs ALTER COLUMN breed TYPE varchar
REFRESH MATERIALIZED VIEW counts
REFRESH MATERIALIZED VIEW CONCURRENTLY counts
""".strip().splitlines()


@pytest.fixture(scope="session")
def world_of(server_of: Callable[[int | None], Server]) -> Iterator[Callable[[int], World]]:
    """`world_of(17)`: tables unlike those of the oracle, on the session's shared server."""
    found: dict[int, World] = {}

    def get(major: int) -> World:
        if major not in found:
            found[major] = locks_world.build(server_of(major), "unlike", SCRIPT)
        return found[major]

    yield get
    for world in found.values():
        world.drop()


@every_major
def test_verdict_agrees_with_the_server(world_of: Callable[[int], World], server_of: Callable[[int | None], Server], major: int) -> None:
    server_of(major)
    world, differing, known = world_of(major), [], 0
    files = {world.relations[oid] for oid in world.files}
    with world.connect() as conn:
        conn.execute("SET TimeZone = 'UTC'")
        for sql in STATEMENTS:
            statement = one(sql)
            said = effect(statement, world.catalog, major, timezone="UTC")
            around = classify(statement, world.catalog, timezone="UTC")[-1].roles
            seen = locks_measure.measure(world, conn, sql, around)
            locked = _weighty({lock.relation: lock.mode for lock in said.locks if lock.relation.kind != "index" or lock.relation in files})
            agreed = (
                locked == _weighty({r: m for r, m in seen.locks.items() if r.kind != "index" or r in files})
                and {r for r in said.rewrites if r in files} == seen.rewrites
                and ("REFRESH" in sql or {r for r in said.scans if _rows(world, r)} == seen.scans)
                and said.transactional == seen.transactional
            )
            feared = all(locked.get(r, 0) >= mode for r, mode in _weighty(seen.locks).items()) and seen.rewrites <= set(said.rewrites)
            known += said.known
            if not (agreed if said.known else feared):
                differing.append(f"{sql}\n  said {said}\n  seen {seen}")
    assert not differing, "\n".join(differing)
    assert known >= 0.85 * len(STATEMENTS)


def _weighty(locks: dict[ObjectId, Mode]) -> dict[ObjectId, Mode]:
    """Without those that only read an index, which the planner takes as it likes where a query checks a constraint."""
    return {relation: mode for relation, mode in locks.items() if relation.kind != "index" or mode > Mode.ACCESS_SHARE}


def _rows(world: World, relation: ObjectId) -> int:
    """Rows of a table itself: an empty one cannot be seen to be read."""
    return next((rows for oid, rows in world.rows.items() if world.relations[oid] == relation), 0)


@pytest.fixture(scope="module")
def oracle_world() -> Iterator[World]:
    """The oracle's own tables on the newest version."""
    with locks_world.open_world(18) as world:
        yield world


def test_table_is_what_the_newest_server_says(oracle_world: World) -> None:
    account = locks.ask_in(oracle_world, "SET NOT NULL|PRIMARY KEY|ATTACH PARTITION|KEY .*REFERENCES|^DROP TABLE|UNLOGGED")
    known = json.loads(locks.TABLE.read_text(encoding="utf-8"))
    assert account.entries
    assert not account.problems
    for key, entry in account.entries.items():
        number = locks.row(known, key)[known["majors"].index(18)]
        assert number is not None, key
        held = known["outcomes"][number]
        assert {r: m for r, m in held["locks"].items() if r in entry["locks"]} == {
            r: m for r, m in entry["locks"].items() if r in held["locks"]
        }, key
        for what in ("rewrites", "scans"):
            assert set(entry.get(what, ())) <= set(held.get(what, ())), key


def test_check_tells_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    table = json.loads(locks.TABLE.read_text(encoding="utf-8"))
    assert not locks._differs(table)
    of_18 = {**table, "majors": [18], "forms": {key: [locks.row(table, key)[3]] for key in table["forms"]}}
    assert not locks._differs(of_18)
    of_18["forms"]["create index on table"] = of_18["forms"]["create index concurrently on table"]
    assert locks._differs(of_18)
    assert "18: create index on table: {" in capsys.readouterr().err


def test_every_form_is_on_the_page() -> None:
    page = (ROOT / "docs" / "reference" / "locks.md").read_text(encoding="utf-8")
    assert page == locks_page.page(), "python tools/docs.py writes it anew"
    assert all(locks_page.shown(key) in page for key in oracle.all_keys())


def test_table_is_read_late_and_fast() -> None:
    program = (
        "import sys, time; import pgcharter.plan.safety, pgcharter.plan.oracle as o\n"
        "assert o._data.cache_info().currsize == 0\n"
        "begun = time.perf_counter(); o._data(); print(time.perf_counter() - begun)"
    )
    times = [float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    assert min(times) < 0.02


def test_at_least_250_forms_on_each_version() -> None:
    for major in (15, 16, 17, 18):
        plain = [k for k in oracle.all_keys() if "alter column type (" not in k and oracle.outcome(k, major)]
        assert len({k.rpartition(" on ")[0] or k for k in plain}) >= 250


def test_without_a_catalog_what_does_not_depend_on_it_is_known() -> None:
    found = effects("CREATE INDEX ON app.orders (customer)", None, 17)
    assert found.known
    assert found.on(ObjectId("table", "app", "orders")) is Mode.SHARE
    assert found.scans == (ObjectId("table", "app", "orders"),)


def test_without_a_catalog_the_worst_is_feared_where_it_matters() -> None:
    table = ObjectId("table", "public", "t")
    for sql in ("ALTER TABLE t ALTER c TYPE varchar(20)", "ALTER TABLE t ALTER c TYPE my_type"):
        found = effects(sql, None, 16)
        assert not found.known
        assert found.on(table) is Mode.ACCESS_EXCLUSIVE
        assert table in found.rewrites
    found = effects("ALTER TABLE t ALTER c SET NOT NULL", None, 16)
    assert not found.known
    assert found.scans == (table,)


def test_without_a_catalog_nothing_is_known_that_is_weaker_than_what_servers_did(oracle_world: World) -> None:
    catalog, weaker, seen, known = oracle_world.catalog, [], set(), 0
    for line, statement in locks_world.statements():
        exact = classify(statement, catalog, timezone="UTC")
        if (line, exact[-1].key) in seen:
            continue
        seen.add((line, exact[-1].key))
        blind = classify(statement)
        named = {i for form in blind for ids in form.roles.values() for i in ids}
        for major in oracle.majors():
            said = judged(blind, major)
            if said.known and all(oracle.outcome(form.key, major) for form in exact):
                known += 1
                weaker += [f"{major}: {statement.text}: {why}" for why in _weaker(said, judged(exact, major), named, catalog)]
    assert not weaker, "\n".join(weaker)
    assert known > 4000


def _weaker(said: Effect, measured: Effect, named: set[ObjectId], catalog: Catalog) -> Iterator[str]:
    """In what a verdict falls short of what was measured on the relations that a statement names, and on what is below them."""
    if said.transactional and not measured.transactional:
        yield "no block may hold it"
    for relation in named:
        found = around(catalog).find(relation.schema, relation.name)
        below = (found, *around(catalog).descendants(found)) if isinstance(found, Table) else (found,) if found else ()
        if (said.on(relation) or 0) < (measured.on(found.id) or 0 if found else 0):
            yield f"{relation} is locked more strongly"
        if {item.id for item in below} & {*measured.rewrites} and relation not in said.rewrites:
            yield f"{relation} is rewritten"
        if {item.id for item in below} & {*measured.scans} and relation not in said.scans:
            yield f"{relation} is read"


@pytest.mark.parametrize(
    ("sql", "known"),
    [
        ("ALTER DOMAIN d ADD CHECK (VALUE > 0)", False),
        ("ALTER DOMAIN d VALIDATE CONSTRAINT x", False),
        ("ALTER DOMAIN d ADD CHECK (VALUE > 0) NOT VALID", True),
        ("ALTER TYPE y ADD ATTRIBUTE z int CASCADE", True),
        ("DROP DOMAIN d CASCADE", False),
        ("DROP DOMAIN d", True),
    ],
)
def test_without_a_catalog_who_uses_a_type_is_not_known(sql: str, known: bool) -> None:
    assert effects(sql, None, 17).known is known


@pytest.mark.parametrize(
    ("sql", "known", "rewrites", "scans"),
    [
        ("ALTER TABLE t SET UNLOGGED", False, True, True),
        ("ALTER TABLE t SET LOGGED", False, True, True),
        ("ALTER TABLE t ALTER c TYPE numeric(12,2)", False, True, True),
        ("ALTER TABLE t ALTER c TYPE bigint USING c::bigint", False, True, True),
        ("ALTER TABLE t ADD COLUMN c int REFERENCES k", True, False, False),
        ("ALTER TABLE t ADD COLUMN c int DEFAULT 1 REFERENCES k", None, False, True),
        ("ALTER TABLE t ADD COLUMN c serial REFERENCES k", None, True, True),
        ("ALTER TABLE t ADD COLUMN c int REFERENCES k, ADD COLUMN d int DEFAULT 1", True, False, False),
        ("ALTER TABLE t ADD COLUMN c int DEFAULT 1 UNIQUE", True, False, True),
        ("ALTER TABLE t ADD COLUMN c int DEFAULT 1 CHECK (c > 0)", True, False, True),
        ("ALTER TABLE t ADD COLUMN c bigserial PRIMARY KEY", None, True, True),
    ],
)
def test_without_a_catalog_what_a_form_may_need_is_not_passed_over(sql: str, known: bool | None, rewrites: bool, scans: bool) -> None:
    table = ObjectId("table", "public", "t")
    found = effects(sql, None, 17)
    assert known is None or found.known is known
    assert ((table in found.rewrites), table in found.scans) == (rewrites, scans)


@pytest.mark.parametrize("sql", ["DO 'BEGIN END'", "CALL work()", "SELECT do_something()", "not sql", "SELECT 1; SELECT 2"])
def test_what_cannot_be_seen_is_not_known(sql: str) -> None:
    assert effects(sql, None, 18).known is False


def test_time_zone_decides_about_a_rewrite(world_of: Callable[[int], World], server_of: Callable[[int | None], Server]) -> None:
    world = world_of(server_of(None).major)
    sql = 'ALTER TABLE "My App".customers ALTER COLUMN joined TYPE timestamptz'

    def said(zone: str) -> Effect:
        return effects(sql, world.catalog, world.major, timezone=zone)

    assert (said("UTC").rewrites, said("UTC").known) == ((), True)
    assert said("Europe/Berlin").rewrites
    assert said("Europe/Berlin").known
    assert said("").rewrites
    assert not said("").known


def test_names_are_looked_up_along_the_path(world_of: Callable[[int], World], server_of: Callable[[int | None], Server]) -> None:
    world = world_of(server_of(None).major)
    found = effects("DROP INDEX orders_place", world.catalog, world.major, path=("public", "My App"))
    assert found.on(ObjectId("table", "My App", "orders")) is Mode.ACCESS_EXCLUSIVE


def test_a_statement_takes_a_few_milliseconds(world_of: Callable[[int], World], server_of: Callable[[int | None], Server]) -> None:
    world = world_of(server_of(None).major)
    statements = [one(sql) for sql in STATEMENTS]
    begun = time.perf_counter()
    for _ in range(20):
        for statement in statements:
            effect(statement, world.catalog, world.major)
    assert time.perf_counter() - begun < 20 * len(STATEMENTS) * 0.004  # seconds; one takes about 1 ms


def test_what_the_server_refuses_is_not_measured(world_of: Callable[[int], World], server_of: Callable[[int | None], Server]) -> None:
    world = world_of(server_of(None).major)
    with world.connect() as conn, pytest.raises(locks_measure.Refused):
        locks_measure.measure(world, conn, "ALTER TABLE nowhere ADD x int", {})


@pytest.mark.parametrize("what", ["TABLE app.p", "INDEX app.i"])
def test_reindex_of_partitions_locks_writers_out_for_a_moment_only(what: str, server_of: Callable[[int | None], Server]) -> None:
    """REINDEX CONCURRENTLY waits here for an older snapshot, in the middle of its work, and rows are written meanwhile."""
    dsn = server_of(None).dsn()
    with psycopg.connect(dsn, autocommit=True) as one_, psycopg.connect(dsn, autocommit=True) as two, psycopg.connect(dsn) as reader:
        one_.execute("""CREATE SCHEMA app; CREATE TABLE app.p (id int, a int) PARTITION BY RANGE (id);
            CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES FROM (0) TO (1000); CREATE INDEX i ON app.p (a)""")
        try:
            catalog = read_catalog(one_)
            said = effects(f"REINDEX {what.replace(' ', ' CONCURRENTLY ')}", catalog, one_.info.server_version // 10000)
            assert (max(k.mode for k in said.locks), said.rewrites, said.scans) == (Mode.SHARE, (), ())
            assert said.known
            assert not said.transactional
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT 1 FROM pg_catalog.pg_class")
            work = threading.Thread(target=one_.execute, args=(f"REINDEX {what.replace(' ', ' CONCURRENTLY ')}",))
            work.start()
            waits = "SELECT 1 FROM pg_catalog.pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'"
            while not two.execute(waits).fetchone():
                time.sleep(0.01)
            two.execute("SET lock_timeout = '2s'")
            two.execute("INSERT INTO app.p VALUES (1, 1)")
            assert work.is_alive()
            reader.rollback()
            work.join()
        finally:
            reader.rollback()
            one_.execute("DROP SCHEMA app CASCADE")
