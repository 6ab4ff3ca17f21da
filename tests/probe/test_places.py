"""Tenants in schemas: what the policy installs stands, and every way into another tenant's schema is found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgcharter.migrate import planning
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import tenancy, tenancy_schemas
from pgcharter.policy.probed import Probed
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.probe.expected import Declared
from pgcharter.probe.run import probe
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

sys.path.insert(0, str(Path(__file__).parent))

import cases

ROLES = """
CREATE ROLE prb_owner NOLOGIN; CREATE ROLE prb_api LOGIN NOINHERIT; CREATE ROLE prb_reports LOGIN; CREATE ROLE prb_all NOLOGIN;
CREATE SCHEMA shared AUTHORIZATION prb_owner; CREATE TABLE shared.countries (code char(2) PRIMARY KEY, name text NOT NULL);
ALTER TABLE shared.countries OWNER TO prb_owner;
"""
TENANT = """
CREATE SCHEMA {0} AUTHORIZATION prb_owner; SET ROLE prb_owner;
CREATE TYPE {0}.state AS ENUM ('open', 'paid');
CREATE TABLE {0}.customers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE);
CREATE TABLE {0}.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id uuid NOT NULL REFERENCES {0}.customers,
    state {0}.state NOT NULL DEFAULT 'open', total numeric(9, 2) NOT NULL);
CREATE SEQUENCE {0}.numbers;
CREATE VIEW {0}.totals AS SELECT sum(total) AS total FROM {0}.orders;
CREATE FUNCTION {0}.revenue() RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(total) FROM {0}.orders';
RESET ROLE;
"""
TENANCY = TenancySection(placement="schemas", place="prb_t_{name}", group="prb_all", shared=("shared.*",), application_roles=("prb_api",))
ONE, OTHER = "prb_t_acme", "prb_t_zeta"
HOLES = {
    "usage of the schema": (f"GRANT USAGE ON SCHEMA {OTHER} TO {ONE}", (ONE, f"type {OTHER}.state", "USAGE")),
    "tables": (
        f"GRANT USAGE ON SCHEMA {OTHER} TO {ONE}; GRANT SELECT ON {OTHER}.orders TO {ONE}", (ONE, f"table {OTHER}.orders", "SELECT"),
    ),
    "sequences": (
        f"GRANT USAGE ON SCHEMA {OTHER} TO {ONE}; GRANT USAGE ON {OTHER}.numbers TO PUBLIC", (ONE, f"sequence {OTHER}.numbers", "nextval"),
    ),
    "functions": (
        f"GRANT USAGE ON SCHEMA {OTHER} TO {ONE}; ALTER FUNCTION {OTHER}.revenue() SECURITY DEFINER",
        (ONE, f"function {OTHER}.revenue()", "EXECUTE"),
    ),
    "the other's role": (f"GRANT {OTHER} TO {ONE}", (ONE, f"role {OTHER}", "SET ROLE")),
    "an application that inherits": (f"GRANT {ONE} TO prb_reports", ("prb_reports", f"table {ONE}.customers", "DELETE")),
    "everybody": (
        f"GRANT USAGE ON SCHEMA {ONE} TO PUBLIC; GRANT INSERT ON {ONE}.orders TO PUBLIC", ("PUBLIC", f"table {ONE}.orders", "INSERT"),
    ),
    "a schema open for making": (f"GRANT ALL ON SCHEMA {OTHER} TO {ONE}", (ONE, f"schema {OTHER}", "CREATE")),
    "a view over all tenants": (
        f"CREATE VIEW shared.everybody AS SELECT email FROM {ONE}.customers UNION ALL SELECT email FROM {OTHER}.customers;"
        f" GRANT SELECT ON shared.everybody TO prb_all", (ONE, "view shared.everybody", "SELECT"),
    ),
    "a definer function over all tenants": (
        f"CREATE FUNCTION shared.everybody() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS"
        f" 'SELECT count(*) FROM {OTHER}.customers'", (ONE, "function shared.everybody()", "EXECUTE"),
    ),
    "a foreign key": (
        f"ALTER TABLE {ONE}.orders ADD FOREIGN KEY (customer_id) REFERENCES {OTHER}.customers", (ONE, f"table {ONE}.orders", "foreign key"),
    ),
    "a copy in what is shared": (
        f"CREATE MATERIALIZED VIEW shared.kept AS SELECT * FROM {OTHER}.customers; GRANT SELECT ON shared.kept TO prb_all",
        (ONE, "materialized view shared.kept", "SELECT"),
    ),
}  # fmt: skip


@pytest.fixture
def app(server_of: Callable[[int | None], Server], major: int) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    server = server_of(major)
    with cases.built(server, [ROLES, TENANT.format(ONE), TENANT.format(OTHER)]) as conn:
        plan = planning.make(planning.Wish("", server.dsn("prb_case"), chosen=Chosen((tenancy.policy(TENANCY),)))).plan
        assert plan.questions == ()
        for step in plan.steps:
            conn.execute(step.sql.encode())
        for place in (ONE, OTHER):
            for sql in tenancy_schemas.admitting(TENANCY, place, major):
                conn.execute(sql.encode())
        yield conn


def attacked(conn: psycopg.Connection[tuple[object, ...]], scratch: Scratch, section: TenancySection = TENANCY) -> Probed:
    return probe(scratch, live.read_catalog(conn), live.read_cluster(conn), Declared(tenancy=section))


@pytest.mark.parametrize("major", [15, 18])
def test_what_the_policy_installs_stands_and_holes_are_found(
    app: psycopg.Connection[tuple[object, ...]], scratch_of: Callable[[int | None], Scratch], major: int
) -> None:
    right = attacked(app, scratch_of(major))
    assert right.holes == ()
    assert right.gaps == ()
    assert {"", ONE, OTHER, "prb_api"} <= set(right.roles)
    verbs = {(str(c.object), c.role): set(c.verbs) for c in right.cells}
    assert "SELECT" in verbs[f"table {ONE}.orders", ONE]
    assert "SELECT" in verbs["table shared.countries", ONE]
    for sql, _ in HOLES.values():
        app.execute(sql.encode())
    assert {wanted for _, wanted in HOLES.values()} <= cases.said(attacked(app, scratch_of(major)).holes)


@pytest.mark.slow
@pytest.mark.parametrize("major", [18])
def test_every_hole_is_found_where_it_is_the_only_one(
    app: psycopg.Connection[tuple[object, ...]], scratch_of: Callable[[int | None], Scratch], major: int
) -> None:
    for sql, wanted in HOLES.values():
        app.execute(f"BEGIN; {sql}".encode())
        found = cases.said(attacked(app, scratch_of(major)).holes)
        app.execute("ROLLBACK")
        assert wanted in found


@pytest.mark.parametrize("major", [18])
def test_one_tenant_alone_is_said(
    app: psycopg.Connection[tuple[object, ...]], scratch_of: Callable[[int | None], Scratch], major: int
) -> None:
    app.execute(f"DROP SCHEMA {OTHER} CASCADE".encode())
    assert [g.what for g in attacked(app, scratch_of(major)).gaps] == ["tenants' schemas"]
