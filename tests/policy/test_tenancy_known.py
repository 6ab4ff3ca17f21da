"""The table of tenants, and the names of their places."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Literal

import psycopg
import pytest

from pgcharter.charter import read
from pgcharter.errors import UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import tenancy
from pgcharter.policy.tenancy_settings import SECTION, TenancySection, name_in, place_of

SECTIONS = TenancySection(placement="schemas")


def test_a_place_is_named_after_its_tenant() -> None:
    assert place_of(SECTIONS, "acme-1") == "tenant_acme-1"
    assert name_in(SECTIONS, "tenant_acme-1") == "acme-1"
    both = TenancySection(placement="schemas", place="t_{name}_data")
    assert name_in(both, place_of(both, "a_data")) == "a_data"


@pytest.mark.parametrize("name", ["", "A", "ä", "-a", "a-", "a b", 'a"', "a\n", "a\0", "x" * 64, "a;b", "{name}", "a.b"])
def test_what_is_no_name_of_a_tenant_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a tenant"):
        place_of(SECTIONS, name)


def test_a_place_that_postgresql_would_cut_is_refused() -> None:
    assert len(place_of(SECTIONS, "x" * 56)) == 63
    with pytest.raises(UsageError, match="has 64 bytes"):
        place_of(SECTIONS, "x" * 57)


@pytest.mark.parametrize(("place", "name"), [("p{name}", "ublic"), ("pgc{name}", "harter"), ("p{name}", "g_catalog"), ("{name}_a", "pg_x")])
def test_places_that_are_not_for_tenants_are_refused(place: str, name: str) -> None:
    section = TenancySection(placement="schemas", place=place)
    with pytest.raises(UsageError, match="not for tenants"):
        place_of(section, name)
    assert name_in(section, place.replace("{name}", name)) is None


@pytest.mark.parametrize(
    "schema", ["tenant_", "tenant_Acme", "Tenant_acme", "tenant_ä", "tenant_a b", "tenant-acme", "xtenant_a", "tenant_-a", "tenant", ""]
)
def test_schemas_that_merely_look_similar_are_nobodys(schema: str) -> None:
    assert name_in(SECTIONS, schema) is None


@pytest.mark.parametrize("place", ["tenants", "{name}", "{name}{name}", "T_{name}", "t {name}", "pg_{name}", "t_{tenant}", 't"{name}'])
def test_a_form_of_places_that_makes_none_is_refused(place: str, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match="makes no name of a tenant's place"):
        charter(tmp_path, f"place = '{place}'")


@pytest.mark.parametrize(("grace", "hours"), [("30d", 720), ("12h", 12), ("0d", 0)])
def test_a_time_of_grace(grace: str, hours: int, tmp_path: Any) -> None:
    assert charter(tmp_path, f'grace = "{grace}"').grace_time == timedelta(hours=hours)


@pytest.mark.parametrize("grace", ["", "30", "d", "-1d", "30 days", "1w"])
def test_what_is_no_time_of_grace_is_refused(grace: str, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match="is no time of grace"):
        charter(tmp_path, f'grace = "{grace}"')


def charter(folder: Any, line: str) -> TenancySection:
    (folder / "pgcharter.toml").write_text(f"[tenancy]\n{line}\n")
    return read(folder / "pgcharter.toml", sections=(SECTION,)).section(SECTION)


@pytest.mark.parametrize("placement", ["rows", "schemas", "databases"])
def test_the_table_of_tenants_is_there_whatever_the_placement(placement: Literal["rows", "schemas", "databases"], database: str) -> None:
    chosen = Chosen((tenancy.policy(TenancySection(placement=placement)),))
    with psycopg.connect(database, autocommit=True) as conn:
        for step in planning.make(Wish("", database, prove=False, chosen=chosen)).plan.steps:
            conn.execute(step.sql.encode())
        conn.execute("INSERT INTO pgcharter.tenants (tenant_id, name) VALUES (gen_random_uuid(), 'by-hand')")
        row = conn.execute("SELECT name, state, place, leaves_at, state_since = created_at FROM pgcharter.tenants").fetchone()
        assert row == ("by-hand", "active", "", None, True)
        for change in ("state = 'gone'", "state = NULL", "name = 'Ä'", "name = 'a' || chr(10)", "place = NULL"):
            with pytest.raises(psycopg.errors.IntegrityError):
                conn.execute(f"UPDATE pgcharter.tenants SET {change}".encode())
        conn.execute("CREATE ROLE pgct_reader; GRANT USAGE ON SCHEMA pgcharter TO pgct_reader")
        try:
            conn.execute("GRANT SELECT ON pgcharter.tenants TO pgct_reader; SET ROLE pgct_reader")
            for tenant, seen in ((uuid.UUID(int=1), 0), ("by-hand", placement != "rows"), ("", 0)):
                conn.execute(f"SET pgcharter.tenant = '{tenant}'".encode()) if tenant != "by-hand" or placement != "rows" else None
                assert len(conn.execute("SELECT 1 FROM pgcharter.tenants").fetchall()) == seen
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY pgct_reader; DROP ROLE pgct_reader")
    assert planning.make(Wish("", database, prove=False, chosen=chosen)).plan.empty
