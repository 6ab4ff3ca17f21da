"""Which files a database has behind it, by the tables in which other tools keep account."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcharter.db import Connection
from pgcharter.migrate.behind import behind
from pgcharter.migrate.settings import MigrateSection
from pgcharter.sources import live

LEDGERS = {
    "dbmate": "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('001'), ('002')",
    "golang-migrate": "CREATE TABLE schema_migrations (version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (2, false)",
    "goose": "CREATE TABLE goose_db_version (id serial, version_id bigint, is_applied boolean);"
    "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true), (2, true), (3, true), (3, false)",
    "sqlx": "CREATE TABLE _sqlx_migrations (version bigint, success boolean); INSERT INTO _sqlx_migrations VALUES (1, true), (2, true)",
    "sql-migrate": "CREATE TABLE gorp_migrations (id text); INSERT INTO gorp_migrations VALUES ('001_tables.sql'), ('002_done.sql')",
    "flyway": "CREATE TABLE flyway_schema_history (version varchar, success boolean);"
    "INSERT INTO flyway_schema_history VALUES ('1', true), ('2.1', true), ('3', false), (NULL, true)",
    "diesel": "CREATE TABLE __diesel_schema_migrations (version varchar, run_on timestamp);"
    "INSERT INTO __diesel_schema_migrations VALUES ('20260101120000'), ('20260102')",
    "prisma": "CREATE TABLE _prisma_migrations (migration_name text, finished_at timestamptz, rolled_back_at timestamptz);"
    "INSERT INTO _prisma_migrations VALUES ('20260101_one', now(), NULL), ('20260102_two', now(), NULL), ('20260103_x', NULL, now())",
}
FILES = {
    "flyway": ("V1__a.sql", "V2_1__b.sql", "V3__c.sql", "R__views.sql"),
    "diesel": ("2026-01-01-120000_a/up.sql", "20260102_b/up.sql", "2026-01-03-000000_c/up.sql"),
    "prisma": ("20260101_one/migration.sql", "20260102_two/migration.sql", "20260103_x/migration.sql"),
}
USUAL = ("001_tables.sql", "002_done.sql", "003_next.sql", "004_more.sql")


@pytest.mark.parametrize("tool", LEDGERS)
def test_the_ledger_of_another_tool_tells(conn: Connection, tmp_path: Path, tool: str) -> None:
    files = [f"{tmp_path.name}/{name}" for name in FILES.get(tool, USUAL)]
    assert behind(conn, live.read_catalog(conn), files, str(tmp_path), MigrateSection()) is None
    conn.execute(LEDGERS[tool])  # type: ignore[arg-type]
    found = behind(conn, live.read_catalog(conn), files, str(tmp_path), MigrateSection())
    assert found == frozenset(files[:2])
