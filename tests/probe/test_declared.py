"""What `[roles]` and `[tenancy]` install stands the probe, and what differs from them is said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgcharter.migrate import planning
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import roles, tenancy
from pgcharter.policy.probed import Probed
from pgcharter.policy.roles_settings import Login, RolesSection
from pgcharter.policy.tenancy_settings import TenancySection, UserRows
from pgcharter.probe.expected import Declared
from pgcharter.probe.run import probe
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

sys.path.insert(0, str(Path(__file__).parent))

import cases

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app.countries (code char(2) PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.customers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL, country char(2) REFERENCES app.countries);
CREATE TABLE app.orders (id uuid PRIMARY KEY, customer_id uuid NOT NULL REFERENCES app.customers, total numeric(9, 2));
CREATE TABLE app.notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), author text NOT NULL, body text);
CREATE TABLE app.visits (at timestamptz NOT NULL, page text) PARTITION BY RANGE (at);
CREATE TABLE app.visits_2026 PARTITION OF app.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW app.totals AS SELECT sum(total) AS total FROM app.orders;
CREATE FUNCTION app.revenue() RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(total) FROM app.orders';
"""
TENANCY = TenancySection(shared=("app.countries",), user=(UserRows("app.notes", "author"),), maintenance_role="prb_maintenance")
ROLES = RolesSection(
    owner="prb_owner",
    readonly="prb_reads",
    readwrite="prb_writes",
    admin="prb_admin",
    schemas=("app",),
    login=(
        Login("prb_api", ("readwrite",)),
        Login("prb_reports", ("readonly",)),
        Login("prb_ops", ("admin",)),
        Login("prb_deploy", ("owner",)),
    ),
)
DECLARED = Declared(ROLES, TENANCY)


@pytest.fixture(params=[False, True], ids=["", "asking"])
def app(server_of: Callable[[int | None], Server], request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    server = server_of(18)
    with cases.built(server, [SCHEMA]) as conn:
        policies = Chosen((tenancy.policy(replace(TENANCY, ask_state=request.param)), roles.policy(ROLES)))
        plan = planning.make(planning.Wish("", server.dsn("prb_case"), chosen=policies)).plan
        assert plan.questions == ()
        for step in plan.steps:
            conn.execute(step.sql.encode())
        yield conn


def attacked(conn: psycopg.Connection[tuple[object, ...]], scratch: Scratch) -> Probed:
    return probe(scratch, live.read_catalog(conn), live.read_cluster(conn), DECLARED)


def test_what_policies_install_stands(app: psycopg.Connection[tuple[object, ...]], scratch_of: Callable[[int | None], Scratch]) -> None:
    found = attacked(app, scratch_of(18))
    assert [h for h in found.holes if not h.weak] == []
    assert {(str(h.object), h.attack) for h in found.holes} == {("table app.orders", "foreign key")}
    assert {"prb_owner", "prb_deploy", "prb_maintenance"} <= set(found.above)
    verbs = {(str(c.object), c.role): set(c.verbs) for c in found.cells}
    assert verbs["table app.orders", "prb_api"] == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert verbs["table app.notes", "prb_reports"] == {"SELECT"}


def test_what_differs_from_the_declaration_is_said(
    app: psycopg.Connection[tuple[object, ...]], scratch_of: Callable[[int | None], Scratch]
) -> None:
    app.execute("GRANT DELETE ON app.countries TO prb_reads; REVOKE INSERT ON app.orders FROM prb_writes")
    app.execute("CREATE TABLE app.later (id uuid PRIMARY KEY, tenant_id uuid NOT NULL); GRANT SELECT ON app.later TO prb_reads")
    app.execute("ALTER ROLE prb_api BYPASSRLS; GRANT USAGE ON SCHEMA app TO PUBLIC; GRANT SELECT ON app.countries TO PUBLIC")
    app.execute(
        "CREATE VIEW app.leaky AS SELECT * FROM app.notes WHERE tenant_id = nullif(current_setting('pgcharter.tenant', true), '')::uuid"
    )
    app.execute("ALTER VIEW app.leaky OWNER TO prb_maintenance; GRANT SELECT ON app.leaky TO prb_api")
    found = cases.said(attacked(app, scratch_of(18)).holes)
    assert {
        ("prb_api", "view app.leaky", "function in WHERE"),
        ("prb_reports", "table app.countries", "privilege"),
        ("prb_api", "table app.orders", "privilege"),
        ("prb_reports", "table app.later", "SELECT"),
        ("prb_api", "table app.orders", "SELECT"),
        ("PUBLIC", "table app.countries", "privilege"),
    } <= found
