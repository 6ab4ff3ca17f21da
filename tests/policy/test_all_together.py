"""All policies at once on schemas that others wrote: applied twice nothing changes, one or all given up leave what was there before."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.schemas import EVERYWHERE, sql_of

from pgcharter.catalog import codec
from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit, encryption, roles, tenancy
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.policy.model import Policy
from pgcharter.policy.roles_settings import Login, RolesSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

TENANCY = {
    "pagila": TenancySection(type="bigint", shared=("public.country", "public.language"), maintenance_role="pgca keeper"),
    "chinook": TenancySection(type="text", column="Mandant", maintenance_role="pgca keeper"),
    "shop": TenancySection(schemas=("identity", "catalog", "sales"), tenants="identity.tenants", maintenance_role="pgca keeper"),
}
ENCRYPTED = {
    "pagila": EncryptedColumn("public.customer", "email", search=("folded",)),
    "chinook": EncryptedColumn("public.customer", "phone", search=("exact", "last-four")),
    "shop": EncryptedColumn("identity.users", "phone", search=("exact",)),
}
AUDITED = {"pagila": ("public.customer", "public.rental"), "chinook": ("public.*",), "shop": ("sales.*",)}
ROLES = RolesSection(
    owner="pgca Owner", readonly="pgca_reads", readwrite='pgca"writes', admin="pgca_ädmin",
    login=(Login("pgca_api", ("readwrite",), statement_timeout="30s"), Login("pgca deploy", ("owner",))),
)  # fmt: skip


def policies(name: str) -> tuple[Policy, ...]:
    return (
        tenancy.policy(TENANCY[name]),
        audit.policy(AuditSection(tables=AUDITED[name])),
        encryption.policy(EncryptionSection(column=(ENCRYPTED[name],))),
        roles.policy(ROLES),
    )


@pytest.fixture
def made(database: str, major_server: Server, name: str) -> Iterator[str]:
    """A database with the schema `name`; roles that come meanwhile are taken away again."""
    known = "SELECT array_agg(rolname::text) FROM pg_roles"
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        (before,) = conn.execute(known).fetchone() or ((),)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SET client_min_messages = error")
        conn.execute(sql_of(name).encode())
    yield database
    with psycopg.connect(database, autocommit=True) as conn:
        (after,) = conn.execute(known).fetchone() or ((),)
        for role in [r for r in after if r not in before]:
            quoted = '"' + role.replace('"', '""') + '"'
            conn.execute(f"REASSIGN OWNED BY {quoted} TO CURRENT_USER; DROP OWNED BY {quoted}; DROP ROLE {quoted}".encode())


def planned(dsn: str, chosen: tuple[Policy, ...], *, prove: bool = False) -> Planned:
    found = planning.make(Wish("", dsn, chosen=Chosen(chosen), prove=prove))
    if lose(dsn, found):
        found = planning.make(Wish("", dsn, chosen=Chosen(chosen), prove=prove))
    assert found.plan.questions == ()
    return found


def run(dsn: str, found: Planned) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in found.plan.steps:
            conn.execute(step.sql.encode())


def catalog(dsn: str) -> Catalog:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return live.read_catalog(conn)


def differing(a: Catalog, b: Catalog) -> list[str]:
    return [str(codec.plain(d)) for d in compare(a, b) if "pgcharter" not in (d.object.schema, d.object.name)]


@pytest.mark.parametrize(("name", "major"), EVERYWHERE)
def test_on_twice_and_off(made: str, name: str, major: int) -> None:
    before = catalog(made)
    first = planned(made, policies(name), prove=True)
    assert first.proof
    run(made, first)
    assert [s.sql for s in planned(made, policies(name)).plan.steps] == []
    governed = catalog(made)
    run(made, planned(made, (*policies(name)[:2], policies(name)[3])))
    assert any(ENCRYPTED[name].ciphertext in d for d in differing(governed, catalog(made)))
    run(made, planned(made, policies(name)))
    assert differing(governed, catalog(made)) == []
    run(made, planned(made, (audit.policy(AuditSection(trail="drop")),)))
    run(made, planned(made, ()))
    assert differing(before, catalog(made)) == []
