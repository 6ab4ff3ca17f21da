"""Plans for one tenant's schema among many, and plans of declarations that mention none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit, roles, tenancy
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.servers.lifecycle import Server

POLICIES = (
    tenancy.policy(
        TenancySection(placement="schemas", place="pgct_{name}", group="pgctall", shared=("app.*",), maintenance_role="pgctkeeper")
    ),
    audit.policy(AuditSection(tables=("pgct_*.orders",))),
    roles.policy(RolesSection(readonly="pgctreads", database=False)),
)
APP = "CREATE SCHEMA app; CREATE TABLE app.countries (code text PRIMARY KEY);"
TENANT = "CREATE SCHEMA {0}; CREATE TABLE {0}.orders (id int PRIMARY KEY, country text REFERENCES app.countries);"


@pytest.fixture
def many(major_server: Server) -> Iterator[str]:
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        known = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
        conn.execute("CREATE DATABASE many TEMPLATE template0")
    dsn = major_server.dsn("many")
    do(dsn, APP, *(TENANT.format(f"pgct_{n}") for n in "ab"))
    yield dsn
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute("DROP DATABASE many WITH (FORCE)")
        for (name,) in conn.execute("SELECT rolname FROM pg_roles").fetchall():
            if name not in known:
                conn.execute(f'DROP ROLE "{name}"'.encode())


def do(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for sql in statements:
            conn.execute(sql.encode())


def planned(dsn: str, *out: str, wanted: str = "", policies: Any = POLICIES, prove: bool = False) -> Planned:
    found = planning.make(Wish(wanted, dsn, prove=prove, chosen=Chosen(policies), left_out=frozenset(out)))
    assert found.plan.questions == ()
    return found


def steps(dsn: str, *out: str, **options: Any) -> list[str]:
    return [s.sql for s in planned(dsn, *out, **options).plan.steps]


def record(dsn: str) -> set[Any]:
    with psycopg.connect(dsn) as conn:
        return set(conn.execute("SELECT * FROM pgcharter.managed_objects").fetchall())


def test_one_is_provisioned_alone_and_the_whole_is_in_place(many: str) -> None:
    do(many, *steps(many))
    before = record(many)
    do(many, TENANT.format("pgct_c"))
    whole = steps(many)
    found = planned(many, "pgct_a", "pgct_b", prove=True)
    assert found.proof
    alone = [s.sql for s in found.plan.steps]
    assert sorted(alone) == sorted(whole)
    assert not any("pgct_a" in sql or "pgct_b" in sql for sql in alone)
    assert "CREATE ROLE pgct_c" in "\n".join(alone)
    do(many, *alone)
    assert before < record(many)
    assert steps(many) == steps(many, "pgct_a", "pgct_b") == steps(many, "pgct_c") == []


def test_drift_of_others_is_left_alone(many: str) -> None:
    do(many, *steps(many))
    do(
        many,
        "GRANT USAGE ON SCHEMA pgct_a TO PUBLIC; REVOKE pgct_a FROM pgctkeeper; DROP VIEW pgcharter.audit_of_pgct_a_orders_" + mark(many),
    )
    assert steps(many, "pgct_a") == []
    assert len(steps(many)) >= 3


def mark(dsn: str) -> str:
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT relname FROM pg_class WHERE relname LIKE 'audit_of_pgct_a_orders%'").fetchone()
        return str(row[0] if row else "").removeprefix("audit_of_pgct_a_orders_")


def test_what_stands_on_a_schema_that_is_left_out_is_left_alone(many: str) -> None:
    do(many, *steps(many))
    do(
        many,
        "CREATE VIEW public.peek AS SELECT id FROM pgct_a.orders",
        "CREATE VIEW public.peek_again AS SELECT id FROM public.peek",
        "CREATE TABLE public.refers (id int REFERENCES pgct_a.orders)",
        "CREATE PUBLICATION pgct FOR TABLE pgct_a.orders, public.refers",
        TENANT.format("pgct_c"),
    )
    found = steps(many, "pgct_a", "pgct_b")
    assert not any("peek" in sql or "PUBLICATION" in sql or "FOREIGN KEY" in sql for sql in found)
    do(many, *found)
    assert steps(many, "pgct_a", "pgct_b") == []


def test_a_declaration_that_mentions_no_tenant_leaves_their_schemas_as_they_are(many: str, tmp_path: Path) -> None:
    file = tmp_path / "wanted.sql"
    file.write_text(APP + "CREATE TABLE app.units (a int);")
    do(many, *steps(many, wanted=str(file)))
    assert steps(many, wanted=str(file)) == []
    with psycopg.connect(many) as conn:
        assert conn.execute("SELECT has_table_privilege('pgct_a', 'pgct_a.orders', 'INSERT')").fetchone() == (True,)
        assert conn.execute("SELECT to_regclass('app.units') IS NOT NULL").fetchone() == (True,)
    do(many, "GRANT SELECT ON pgct_a.orders TO PUBLIC")
    assert any("REVOKE SELECT ON TABLE pgct_a.orders FROM PUBLIC" in sql for sql in steps(many, wanted=str(file)))
    do(many, "DROP TABLE pgcharter.tenants CASCADE")
    given_up = steps(many, wanted=str(file), policies=(*POLICIES[2:], audit.policy(AuditSection(trail="drop"))))
    assert not any("DROP TABLE pgct" in sql or "DROP SCHEMA" in sql for sql in given_up)
    assert "DROP ROLE pgct_a" in "\n".join(given_up)
    do(many, *given_up)
    with psycopg.connect(many) as conn:
        assert conn.execute("SELECT count(*) FROM pgct_a.orders").fetchone() == (0,)


def test_drift_knows_tenants_that_no_migration_made_and_what_was_done_to_them_by_hand(many: str) -> None:
    from pgcharter.catalog.reading import Reading
    from pgcharter.migrate import drift, left_out, policies, proving
    from pgcharter.servers.scratch import open_scratch
    from pgcharter.sources import live

    def drifted() -> list[tuple[str, str]]:
        with psycopg.connect(many, autocommit=True) as conn, open_scratch(live.read_catalog(conn).major) as scratch:
            there, cluster, held = live.read_catalog(conn), live.read_cluster(conn), policies.held(many)
            wish = Wish("", many, chosen=Chosen(POLICIES))
            found = planning.declared(scratch, wish, Reading(many, "live", there, cluster=cluster), held).governed
            with scratch.database() as database:
                proving.build(database, ledger)
                recorded = left_out.recorded(proving.read(database, ledger), found.catalog, Chosen(POLICIES).keeps)
            made = drift.drift(there, recorded, None, {m.object: m.policy for m in held})
            return [(str(d.difference.object), d.difference.field) for d in made]

    do(many, *steps(many))
    with psycopg.connect(many, autocommit=True) as conn:
        ledger = left_out.cut(live.read_catalog(conn), ("pgct_a", "pgct_b"))
    assert drifted() == []
    do(many, TENANT.format("pgct_c"))
    do(many, *steps(many, "pgct_a", "pgct_b"))
    assert drifted() == []
    do(many, "GRANT SELECT ON pgct_c.orders TO PUBLIC")
    assert drifted() == [("table pgct_c.orders", "acl")]
