"""What is said of statements in transactions, held against servers."""

from __future__ import annotations

import psycopg
import pytest
from tests.conftest import every_major

from pgcharter.db import Connection, connect
from pgcharter.migrate.in_transaction import refused, stands_alone
from pgcharter.sqltext import parse

REFUSED = (
    "CREATE INDEX CONCURRENTLY i ON t (a)", "DROP INDEX CONCURRENTLY j", "REINDEX TABLE CONCURRENTLY t", "REINDEX (CONCURRENTLY) INDEX j",
    "REINDEX SCHEMA public", "VACUUM t", "VACUUM", "CREATE DATABASE refused_db", "DROP DATABASE refused_db",
    "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", "ALTER SYSTEM SET work_mem = '4MB'", "CREATE TABLESPACE x LOCATION '/nowhere'",
    "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p", "ALTER DATABASE refused_db SET TABLESPACE pg_default",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = true, create_slot)", "DROP TABLESPACE pg_default",
)  # fmt: skip
ALLOWED = (
    "CREATE INDEX i ON t (a)", "DROP INDEX j", "REINDEX TABLE t", "ANALYZE t", "CLUSTER t USING j",
    "ALTER TABLE p DETACH PARTITION p1", "ALTER TYPE e ADD VALUE 'b'",
    "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY v", "REINDEX (CONCURRENTLY false) TABLE t",
    "DO $$ BEGIN PERFORM 1; END $$",
)  # fmt: skip
GROUND = """
CREATE TABLE t (a int); CREATE INDEX j ON t (a); CREATE TYPE e AS ENUM ('a');
CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE MATERIALIZED VIEW v AS SELECT 1 AS a; CREATE UNIQUE INDEX ON v (a);
CREATE PROCEDURE ends() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
"""


def _refusal(conn: Connection, sql: str) -> str:
    """SQLSTATE of the refusal inside a block; empty when it went through."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(sql.encode())
    except psycopg.Error as error:
        return error.sqlstate or ""
    return ""


@every_major
def test_servers_agree(database: str, major: int) -> None:
    with connect(database) as conn:
        conn.execute(GROUND)
        for sql in REFUSED:
            assert refused(parse(sql, "f").statements[0]), sql
            assert _refusal(conn, sql) == "25001", sql
        for sql in ALLOWED:
            (statement,) = parse(sql, "f").statements
            assert not refused(statement), sql
            assert not stands_alone(statement), sql
            assert _refusal(conn, sql) == "", sql
        for sql in ("CALL ends()", "DO 'BEGIN COMMIT; END'"):
            assert stands_alone(parse(sql, "f").statements[0])
            assert _refusal(conn, sql) == "2D000"


@pytest.mark.parametrize("sql", ["ALTER SUBSCRIPTION s REFRESH PUBLICATION", "ALTER SUBSCRIPTION s SET PUBLICATION p", "CLUSTER"])
def test_more_that_is_refused(sql: str) -> None:
    assert refused(parse(sql, "f").statements[0])


@pytest.mark.parametrize("sql", ["ALTER SUBSCRIPTION s ENABLE", "ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)"])
def test_more_that_is_not(sql: str) -> None:
    assert not refused(parse(sql, "f").statements[0])
