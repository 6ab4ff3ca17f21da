"""`[tenancy] ask_state`: nobody sees or writes rows of a tenant that is not active, asked once a statement."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgcharter.catalog.compare import compare
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import guards, roles, tenancy
from pgcharter.policy.roles_settings import Login, RolesSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

A, B = (str(uuid.UUID(int=n)) for n in (10, 11))
WISH = TenancySection(schemas=("app",), application_roles=("pgctapp",), ask_state=True)
SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app.orders (id bigint, tenant_id uuid NOT NULL, total int, PRIMARY KEY (tenant_id, id));
CREATE TABLE app.lines (id bigint, order_id bigint, tenant_id uuid NOT NULL, FOREIGN KEY (tenant_id, order_id) REFERENCES app.orders);
CREATE TABLE app.parts (tenant_id uuid NOT NULL, v int) PARTITION BY LIST (tenant_id);
GRANT USAGE ON SCHEMA app TO pgctapp; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO pgctapp;
"""


@pytest.fixture
def app(major_server: Server) -> Iterator[str]:
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        known = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
        conn.execute("CREATE DATABASE active TEMPLATE template0")
        conn.execute("CREATE ROLE pgctapp LOGIN")
    dsn = major_server.dsn("active")
    do(dsn, SCHEMA, *(f"CREATE TABLE app.parts_{n} PARTITION OF app.parts FOR VALUES IN ('{t}')" for n, t in enumerate((A, B))))
    yield dsn
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute("DROP DATABASE active WITH (FORCE)")
        for (name,) in conn.execute("SELECT rolname FROM pg_roles").fetchall():
            if name not in known:
                conn.execute(f'DROP ROLE "{name}"'.encode())


def do(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for sql in statements:
            conn.execute(sql.encode())


def steps(dsn: str, *policies: Any) -> list[str]:
    plan = planning.make(Wish("", dsn, prove=False, chosen=Chosen(policies or (tenancy.policy(WISH),)))).plan
    assert plan.questions == ()
    return [s.sql for s in plan.steps]


def filled(dsn: str) -> None:
    do(dsn, f"INSERT INTO pgcharter.tenants (tenant_id, name) VALUES ('{A}', 'a'), ('{B}', 'b')")
    for tenant in (A, B):
        do(
            dsn,
            f"SET pgcharter.tenant = '{tenant}'; INSERT INTO app.orders (id) SELECT generate_series(1, 50);"
            "INSERT INTO app.parts (v) VALUES (1)",
        )
    do(dsn, "ANALYZE app.orders")


def run(conn: psycopg.Connection[Any], sql: str, tenant: str = A) -> Any:
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(f"SET LOCAL ROLE pgctapp; SET LOCAL pgcharter.tenant = '{tenant}'".encode())
            cursor = conn.execute(sql.encode())
            return cursor.fetchall() if cursor.description else cursor.rowcount
    except psycopg.Error as error:
        return str(error.diag.message_primary)


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_tenant_that_is_not_active_has_nothing_and_others_all(app: str, major: int) -> None:
    do(app, *steps(app))
    assert steps(app) == []
    filled(app)
    with psycopg.connect(app, autocommit=True) as conn:
        for state in ("active", "suspended", "leaving", "adding", "active"):
            conn.execute(f"UPDATE pgcharter.tenants SET state = '{state}' WHERE name = 'a'".encode())
            seen = 50 if state == "active" else 0
            assert run(conn, "SELECT count(*) FROM app.orders") == [(seen,)]
            assert run(conn, "SELECT count(*) FROM app.orders o JOIN app.orders p USING (id)") == [(seen,)]
            assert run(conn, "UPDATE app.orders SET total = 1") == run(conn, "DELETE FROM app.orders") == seen
            said = str(run(conn, "INSERT INTO app.orders (id) VALUES (99)"))
            assert ("row-level security" in said) == (not seen), said
            said = str(run(conn, "INSERT INTO app.lines (id, order_id) VALUES (1, 1)"))
            assert ("row-level security" in said) == (not seen), said
            with conn.transaction():
                conn.execute(f"SET LOCAL ROLE pgctapp; SET LOCAL pgcharter.tenant = '{A}'".encode())
                with conn.cursor().copy("COPY app.orders TO STDOUT") as copy:
                    assert len(list(copy)) == seen
            assert run(conn, "SELECT count(*) FROM app.orders", B) == [(50,)]
        assert run(conn, "SELECT count(*) FROM app.orders", str(uuid.UUID(int=99))) == [(0,)]
        assert run(conn, "SELECT count(*) FROM app.orders", "") == [(0,)]
        assert "permission denied" in str(run(conn, "SELECT * FROM pgcharter.tenants"))


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_statement_asks_once_and_reads_by_its_index(app: str, major: int) -> None:
    do(app, *steps(app))
    filled(app)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("SET enable_seqscan = off; SET track_functions = 'all'")
        plan = "\n".join(row for (row,) in run(conn, "EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT * FROM app.orders WHERE id < 40"))
        assert "InitPlan" in plan
        assert "Index Cond: ((tenant_id = " in plan
        plan = "\n".join(row for (row,) in run(conn, "EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT * FROM app.parts"))
        assert "Scan on parts_0" in plan
        assert "Scan on parts_1" not in plan
        calls = "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'tenant_is_active'"
        with conn.transaction():
            conn.execute(f"SET LOCAL ROLE pgctapp; SET LOCAL pgcharter.tenant = '{A}'".encode())
            (before,) = conn.execute(calls).fetchone() or (0,)
            conn.execute("INSERT INTO app.orders (id) SELECT generate_series(100, 200)")
            assert conn.execute(calls).fetchone() == (before + 1,)
            assert conn.execute("SELECT count(*) FROM app.orders").fetchone() == (151,)
            assert conn.execute(calls).fetchone() == (before + 2,)


def test_a_prepared_statement_sees_that_a_tenant_is_suspended(app: str) -> None:
    do(app, *steps(app))
    filled(app)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(f"SET ROLE pgctapp; SET pgcharter.tenant = '{A}'; SET plan_cache_mode = force_generic_plan".encode())
        for state, seen in (("active", 50), ("suspended", 0), ("active", 50)):
            do(app, f"UPDATE pgcharter.tenants SET state = '{state}' WHERE name = 'a'")
            assert conn.execute("SELECT count(*) FROM app.orders", prepare=True).fetchone() == (seen,)


def test_with_roles_that_close_functions_it_can_be_asked_all_the_same(app: str) -> None:
    section = RolesSection(owner="pgctowner", readwrite="pgctwrites", login=(Login("pgctapp", ("readwrite",)),))
    chosen = tenancy.policy(WISH), roles.policy(section)
    do(app, *steps(app, *chosen))
    assert steps(app, *chosen) == []
    filled(app)
    with psycopg.connect(app, autocommit=True) as conn:
        assert run(conn, "SELECT count(*) FROM app.orders") == [(50,)]


def test_it_is_taken_out_again_and_says_the_same_to_whoever_reads_policies(app: str) -> None:
    plain = tenancy.policy(TenancySection(schemas=("app",), application_roles=("pgctapp",)))
    with psycopg.connect(app, autocommit=True) as conn:
        do(app, *steps(app, plain))
        before = live.read_catalog(conn)
        do(app, *steps(app))
        asking = live.read_catalog(conn)
        assert guards.found(asking).tables == guards.found(before).tables
        assert guards.found(asking).settings == guards.found(before).settings
        do(app, *steps(app, plain))
        assert compare(before, live.read_catalog(conn)) == ()
