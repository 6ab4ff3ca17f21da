"""What SQL files say of roles: attributes, memberships and settings count in the probe, also those of DO blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pgcharter import sources
from pgcharter.catalog.model import Membership, Role
from pgcharter.probe import written
from pgcharter.probe.run import probe
from pgcharter.servers.scratch import Scratch
from pgcharter.sqltext import parse

ROLES = """
CREATE ROLE api LOGIN; CREATE USER reports BYPASSRLS CONNECTION LIMIT 3; CREATE ROLE gone LOGIN; CREATE GROUP team ROLE api ADMIN reports;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'jobs') THEN CREATE ROLE "jobs" BYPASSRLS LOGIN; END IF;
    EXECUTE 'ALTER ROLE api CREATEROLE';
END $$;
ALTER ROLE api SET app.tenant = '1'; ALTER ROLE api SET search_path = app, public; ALTER ROLE api RESET search_path;
GRANT team TO jobs WITH INHERIT FALSE; GRANT team TO gone; REVOKE team FROM gone; DROP ROLE gone;
"""
SCHEMA = """
CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO api, reports;
CREATE TABLE app.orders (tenant_id uuid NOT NULL, id uuid PRIMARY KEY, note text);
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY t ON app.orders USING (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
GRANT SELECT ON app.orders TO api, reports;
"""


def test_roles_are_read_in_the_order_of_statements() -> None:
    found = written.cluster(parse(ROLES, "roles.sql").statements)
    assert found.server_version == 0
    assert found.roles == (
        Role("api", login=True, create_role=True, settings=("app.tenant=1",)),
        Role("jobs", login=True, bypass_row_security=True),
        Role("reports", login=True, bypass_row_security=True),
        Role("team"),
    )
    assert found.memberships == (
        Membership("team", "api"),
        Membership("team", "jobs", inherit=False),
        Membership("team", "reports", admin=True),
    )


def test_a_login_that_bypasses_row_security_is_found_in_files(tmp_path: Path, scratch_of: Callable[[int | None], Scratch]) -> None:
    (tmp_path / "schema.sql").write_text("CREATE ROLE api LOGIN; CREATE ROLE reports LOGIN BYPASSRLS;" + SCHEMA)
    reading = sources.read(str(tmp_path / "schema.sql"))
    assert reading.catalog is not None
    holes = probe(scratch_of(None), reading.catalog, written.cluster(reading.statements)).holes
    assert {h.role for h in holes} == {"reports"}
    assert {h.remedy for h in holes if h.object.kind == "table"} == {"ALTER ROLE reports NOBYPASSRLS"}
