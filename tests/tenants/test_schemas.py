"""Schemas of tenants dropped in pieces, and held against each other."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from pgcharter.db import connect
from pgcharter.errors import RefusedError
from pgcharter.sources.live import read_catalog
from pgcharter.tenants import alike, deleting
from pgcharter.tenants.table import Tenant

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PLACE = "pgct_Tenant ü-1"
ONE = Tenant("1", "one", "leaving", NOW, NOW, {}, PLACE)

both = pytest.mark.parametrize("major", [15, 18], ids=lambda m: f"pg{m}")


@both
def test_three_hundred_tables_go_within_the_usual_number_of_locks(database: str, major: int) -> None:
    tables = ";".join(
        f"CREATE TABLE t{n} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int UNIQUE, b text, up int REFERENCES t{max(n - 1, 0)});"
        f"CREATE INDEX ON t{n} (b); CREATE INDEX ON t{n} (up)"
        for n in range(300)
    )
    with connect(database) as conn:
        assert conn.execute("SHOW max_locks_per_transaction").fetchone() == ("64",)
        conn.execute(f'CREATE SCHEMA "{PLACE}"; CREATE ROLE "{PLACE}"; SET search_path = "{PLACE}"'.encode())
        for n, sql in enumerate(tables.split(";CREATE TABLE ")):
            conn.execute((sql if n == 0 else f"CREATE TABLE {sql}").encode())
        conn.execute("CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at)")
        conn.execute("CREATE TABLE part_1 PARTITION OF parts DEFAULT; CREATE VIEW v AS SELECT * FROM t1; CREATE TYPE mood AS ENUM ('ok')")
        conn.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN (SELECT max(id) FROM t2); CREATE SEQUENCE s")
        conn.execute(f'GRANT USAGE ON SCHEMA "{PLACE}" TO "{PLACE}"; GRANT SELECT ON t1 TO "{PLACE}"; RESET search_path'.encode())
        conn.execute(f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{PLACE}" GRANT SELECT ON TABLES TO "{PLACE}"'.encode())
        conn.execute(f'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "{PLACE}"'.encode())
        told: list[int] = []
        deleting.schema(conn, ONE, lambda _what, done, _total: told.append(done))
        assert told == sorted(told)
        assert len(told) > 10
        assert conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (PLACE,)).fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (PLACE,)).fetchone() == (0,)
        deleting.schema(conn, ONE)


def test_what_reaches_into_a_schema_is_named_and_nothing_is_dropped(database: str) -> None:
    with connect(database) as conn:
        conn.execute(f'CREATE SCHEMA "{PLACE}"; CREATE TABLE "{PLACE}".t (id int PRIMARY KEY); CREATE SEQUENCE "{PLACE}".s'.encode())
        for sql, kind in (
            (f'CREATE TABLE public.r (id int REFERENCES "{PLACE}".t)', "constraint"),
            (f'CREATE VIEW public.v AS SELECT * FROM "{PLACE}".t', "rule"),
            (f"CREATE TABLE public.d (id int DEFAULT nextval('\"{PLACE}\".s'))", "default value"),
            (f'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql RETURN (SELECT max(id) FROM "{PLACE}".t)', "function"),
            (f'CREATE TABLE public.h () INHERITS ("{PLACE}".t)', "table"),
        ):
            with conn.transaction(force_rollback=True):
                conn.execute(sql.encode())
                with pytest.raises(RefusedError, match=kind):
                    deleting.schema(conn, ONE)
        assert conn.execute(f'SELECT count(*) FROM "{PLACE}".t'.encode()).fetchone() == (0,)
        deleting.refuse_reached(conn, PLACE)


def test_a_role_that_owns_something_elsewhere_is_not_dropped(database: str) -> None:
    with connect(database) as conn:
        conn.execute(f'CREATE ROLE "{PLACE}"; CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO "{PLACE}"'.encode())
        try:
            with pytest.raises(RefusedError, match="still owns table t"):
                deleting.role(conn, PLACE)
        finally:
            conn.execute(f'DROP TABLE public.t; DROP ROLE "{PLACE}"'.encode())


SAME = """
CREATE SCHEMA {s}; SET search_path = {s};
CREATE TABLE orders (id int PRIMARY KEY, total int CHECK (total > 0)); CREATE INDEX ON orders (total);
CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE lines (id int REFERENCES orders, m mood DEFAULT 'ok'::mood);
CREATE VIEW big AS SELECT o.* FROM orders o JOIN lines USING (id) WHERE total > 100;
CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN (SELECT max(id) FROM orders);
CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
"""


@both
def test_schemas_made_by_the_same_statements_are_alike_whatever_they_are_called(database: str, major: int) -> None:
    names = ("tenant_a", "tenant_a-b", "tenant_ab", "tenant_select")
    with psycopg.connect(database, autocommit=True) as conn:
        for name in names:
            conn.execute(SAME.replace("{s}", f'"{name}"').encode())
        found = alike.structures(read_catalog(conn))
        assert len({found[n].text for n in names}) == 1
        conn.execute(
            'ALTER TABLE "tenant_a-b".orders ADD more int, DROP CONSTRAINT orders_total_check; DROP INDEX tenant_ab.orders_total_idx'
        )
        conn.execute("GRANT SELECT ON tenant_select.orders TO PUBLIC")
        found = alike.structures(read_catalog(conn))
    said = {n: list(alike.differing(found["tenant_a"], found[n], "tenant_a", n)) for n in names}
    assert said["tenant_a"] == []
    assert said["tenant_a-b"] == ['+ column "tenant_a-b".orders.more', "- constraint tenant_a.orders.orders_total_check"]
    assert said["tenant_ab"] == ["- index tenant_a.orders_total_idx"]
    assert len(said["tenant_select"]) == 1
    assert "has SELECT to PUBLIC" in said["tenant_select"][0]
