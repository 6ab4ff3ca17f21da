"""`[tenancy]` on whole schemas that others wrote: applied twice it changes nothing, removed everything is as before."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.schemas import CASES, sql_of

from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import tenancy
from pgcharter.policy.tenancy_settings import OWN_TENANTS, TenancySection
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

SECTIONS = {
    "pagila": TenancySection(type="bigint", shared=("public.country", "public.language")),
    "chinook": TenancySection(type="text", column="Mandant", maintenance_role="pgct_keeper"),
    "shop": TenancySection(schemas=("identity", "catalog", "sales"), tenants="identity.tenants"),
}


@pytest.fixture
def roles(major_server: Server) -> Iterator[None]:
    """Takes away the roles that a schema makes."""
    known = "SELECT array_agg(rolname::text) FROM pg_roles"
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        (before,) = conn.execute(known).fetchone() or ((),)
        yield
        (after,) = conn.execute(known).fetchone() or ((),)
        for name in set(after) - set(before):
            conn.execute(f'DROP ROLE "{name}"'.encode())


@pytest.fixture
def schema(roles: None, database: str, name: str) -> str:
    """A database with the schema of the test's parameter `name`."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SET client_min_messages = error")
        conn.execute(sql_of(name).encode())
    return database


def planned(dsn: str, section: TenancySection | None, *, prove: bool = False) -> Planned:
    return planning.make(Wish("", dsn, prove=prove, chosen=Chosen((tenancy.policy(section),) if section else ())))


def run(dsn: str, found: Planned) -> None:
    assert found.plan.questions == ()
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in found.plan.steps:
            conn.execute(step.sql.encode())


def catalog(dsn: str) -> Catalog:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return live.read_catalog(conn)


@pytest.mark.parametrize(("name", "major"), CASES)
def test_on_twice_and_off(schema: str, name: str, major: int) -> None:
    section, before = SECTIONS[name], catalog(schema)
    run(schema, planned(schema, section, prove=True))
    assert [s.sql for s in planned(schema, section).plan.steps] == []
    protected = [t for t in catalog(schema).tables if t.force_row_security]
    assert len(protected) >= 11
    assert lose(schema, planned(schema, None)) == (section.tenants_table == OWN_TENANTS)
    run(schema, planned(schema, None))
    assert [d for d in compare(before, catalog(schema)) if "pgcharter" not in (d.object.schema, d.object.name)] == []
