"""A schema with a history of its own: its ledger, its lock, its search_path, whatever it is called."""

from __future__ import annotations

import psycopg
import pytest
from tests.conftest import every_major
from tests.migrate.scenario import TERMS, migration, unit

from pgcharter.db import connect
from pgcharter.errors import PgcharterError
from pgcharter.migrate import home, ledger, lock, runner
from pgcharter.migrate.watch import silent
from pgcharter.names import quote

NAMES = ("plain", "Mixed Case", "q\"uo'te", "back\\slash", "per%cent %s", "ünï·", "é" * 31 + "x", "pgcharter.x", "a,b", "-c x=y")
FILES = (
    migration("001", unit("CREATE TABLE orders (id int PRIMARY KEY)")),
    migration("002", unit("SET search_path = pg_catalog"), unit("RESET search_path"), unit("CREATE TABLE later (id int)")),
    migration("003", unit("CREATE INDEX CONCURRENTLY later_idx ON later (abs(id))", alone=True), unit("ALTER TABLE orders ADD n int")),
)


def tables(dsn: str, schema: str) -> list[str]:
    with connect(dsn) as conn:
        rows = conn.execute("SELECT tablename::text FROM pg_tables WHERE schemaname = %s ORDER BY 1", (schema,)).fetchall()
        return [name for (name,) in rows]


@every_major
def test_whatever_a_schema_is_called_it_has_its_own_history(database: str, major: int) -> None:
    with connect(database) as conn:
        for name in NAMES:
            conn.execute(f"CREATE SCHEMA {quote(name)}".encode())
    for name in NAMES:
        dsn = home.at(database, name)
        assert runner.apply(dsn, FILES, terms=TERMS).message == "applied: 3"
        assert runner.apply(dsn, FILES, terms=TERMS).message == "nothing to do"
        assert tables(database, name) == ["later", "orders", "pgcharter_components", "pgcharter_migration_units", "pgcharter_migrations"]
        with connect(dsn) as conn:
            assert home.of(conn).schema == name
            assert [(r.version, r.outcome) for r in ledger.read(conn)] == [("001", "done"), ("002", "done"), ("003", "done")]
            assert conn.execute("SELECT current_setting('pgcharter.schema')").fetchone() == (name,)
    assert tables(database, "public") == tables(database, "pgcharter") == []


def test_a_schema_that_is_not_there_gets_nothing_made_elsewhere(database: str) -> None:
    with pytest.raises(PgcharterError, match="there is no schema gone in database"):
        runner.apply(home.at(database, "gone"), FILES, terms=TERMS)
    assert tables(database, "public") == []


def test_a_role_that_may_not_use_the_schema_makes_nothing_elsewhere(database: str) -> None:
    with connect(database) as conn:
        conn.execute(
            "CREATE SCHEMA closed; CREATE ROLE visitor_of_closed LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO visitor_of_closed"
        )
        try:
            with pytest.raises(PgcharterError, match="role visitor_of_closed may not use schema closed") as caught:
                runner.apply(
                    home.at(psycopg.conninfo.make_conninfo(database, user="visitor_of_closed", password="x"), "closed"), FILES, terms=TERMS
                )
            assert caught.value.hint.startswith("GRANT USAGE, CREATE ON SCHEMA closed TO visitor_of_closed")
            assert tables(database, "public") == []
        finally:
            conn.execute("DROP OWNED BY visitor_of_closed; DROP ROLE visitor_of_closed")


def test_options_of_the_connection_string_stay(database: str) -> None:
    own = psycopg.conninfo.make_conninfo(database, options="-c work_mem=7MB -csearch_path=elsewhere")
    with connect(own) as conn:
        assert home.of(conn) == home.Home()
        conn.execute("CREATE SCHEMA t")
    with connect(home.at(own, "t", ("public", "pg_temp"))) as conn:
        row = conn.execute("SELECT current_setting('work_mem'), current_setting('search_path')").fetchone()
        assert row == ("7MB", "t, public, pg_temp")


def test_one_runner_a_schema_and_two_schemas_at_once(database: str) -> None:
    with connect(database) as conn:
        conn.execute("CREATE SCHEMA a; CREATE SCHEMA b")
    with lock.held(home.at(database, "a"), 1, silent) as held, lock.held(home.at(database, "b"), 1, silent), lock.held(database, 1, silent):
        held.check()
        with (
            pytest.raises(PgcharterError, match="another runner is at work in schema a") as caught,
            lock.held(home.at(database, "a"), 0, silent),
        ):
            pass
        assert f"pid {held.pid}" in caught.value.message


STRAY = (
    "ALTER TABLE orders ADD n int", "DROP TABLE orders", "CREATE INDEX ON orders (id)", "ALTER TABLE orders RENAME TO old",
    "TRUNCATE orders", "INSERT INTO orders VALUES (1)", "UPDATE orders SET id = 1", "DELETE FROM orders",
    "ALTER SEQUENCE numbers RESTART", "DROP VIEW seen",
    "CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION f()", "DROP TRIGGER t ON orders", "CREATE POLICY p ON orders",
    "DROP INDEX orders_pkey", 'DELETE FROM "Mixed"',
)  # fmt: skip


def test_what_a_schema_lacks_is_not_changed_in_the_next(database: str) -> None:
    with connect(database) as conn:
        conn.execute('CREATE SCHEMA a; CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE "Mixed" (); CREATE SEQUENCE numbers')
        conn.execute("CREATE VIEW seen AS SELECT 1 AS one; CREATE TABLE countries (code text PRIMARY KEY)")
    dsn = home.at(database, "a")
    for sql in STRAY:
        for alone in (False, True):
            outcome = runner.apply(dsn, (migration("001", unit(sql, alone=alone)),), terms=TERMS)
            assert (outcome.status, "schema a lacks what it names, so it would change public." in outcome.message) == ("failed", True), sql
    concurrently = (migration("001", unit("CREATE INDEX CONCURRENTLY ON orders (id)", alone=True)),)
    assert "it would change public.orders" in runner.apply(dsn, concurrently, terms=TERMS).message
    fine = (
        migration("001", unit("CREATE TABLE own (code text REFERENCES countries)", "INSERT INTO public.countries VALUES ('de')")),
        migration("002", unit("CREATE TABLE orders (id int)", "ALTER TABLE orders ADD n int", "DROP TABLE IF EXISTS nowhere")),
        migration("003", unit("CREATE TEMP TABLE t (id int)", "INSERT INTO t SELECT 1 FROM countries", "ALTER TABLE t ADD n int")),
    )
    assert runner.apply(dsn, fine, terms=TERMS).status == "done"
    again = runner.apply(database, (migration("009", unit("ALTER TABLE orders ADD of_all int")),), terms=TERMS)
    assert again.status == "done"


def test_the_owner_of_a_schema_needs_no_other_right(database: str) -> None:
    slow = (*FILES, migration("004", unit("SELECT pg_sleep(2)")))
    with connect(database) as conn:
        conn.execute("CREATE ROLE owner_of_tenant LOGIN PASSWORD 'x'; CREATE SCHEMA tenant AUTHORIZATION owner_of_tenant")
        try:
            dsn = home.at(psycopg.conninfo.make_conninfo(database, user="owner_of_tenant", password="x"), "tenant")
            assert runner.apply(dsn, slow, terms=TERMS).message == "applied: 4"
            assert conn.execute("SELECT to_regnamespace('pgcharter')").fetchone() == (None,)
        finally:
            conn.execute("DROP OWNED BY owner_of_tenant; DROP ROLE owner_of_tenant")
