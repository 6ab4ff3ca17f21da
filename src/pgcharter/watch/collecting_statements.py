"""pg_stat_statements, without texts: the schema of an extension is anybody's choice, so its SQL is put together here."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg.rows import dict_row

from pgcharter.names import quote
from pgcharter.watch.collecting_asked import Asked, NothingToAskError, Row

MOST = 50
"""Statements that are told: those that took most time."""


def _function(asked: Asked, name: str) -> str:
    """A function of the extension, as SQL. Raises NothingToAskError where it is not in this database, or not loaded."""
    row = asked.server.conn.execute(
        "SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'pg_stat_statements' AND pg_catalog.current_setting('pg_stat_statements.max', true) IS NOT NULL"
    ).fetchone()
    if row is None:
        raise NothingToAskError
    return f"{quote(row[0])}.{quote(name)}"


def _rows(asked: Asked, sql: str) -> Iterable[Row]:
    asked.server.within("medium")
    with asked.server.conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql.encode()).fetchall()


def statements(asked: Asked) -> Iterable[Row]:
    """What the statements that took most time have cost, by database, role and number. Raises psycopg.Error."""
    return _rows(
        asked,
        "SELECT coalesce(pg_catalog.quote_ident(d.datname), '?') AS of, coalesce(pg_catalog.quote_ident(r.rolname), '?') AS role, m.*"
        "  FROM (SELECT dbid, userid, queryid::text AS statement, sum(calls)::float8 AS calls,"
        "               (sum(total_exec_time + total_plan_time) / 1000)::float8 AS seconds, sum(rows)::float8 AS rows,"
        "               sum(shared_blks_read)::float8 AS blocks_read, sum(shared_blks_hit)::float8 AS blocks_hit,"
        "               sum(temp_blks_written)::float8 AS temporary_blocks, sum(wal_bytes)::float8 AS log_bytes"
        f"          FROM {_function(asked, 'pg_stat_statements')}(false) WHERE queryid IS NOT NULL"
        f"         GROUP BY 1, 2, 3 ORDER BY 5 DESC LIMIT {MOST}) m"
        "  LEFT JOIN pg_catalog.pg_database d ON d.oid = m.dbid LEFT JOIN pg_catalog.pg_roles r ON r.oid = m.userid",
    )


def statement_store(asked: Asked) -> Iterable[Row]:
    """How often statements were forgotten. Raises psycopg.Error."""
    return _rows(asked, f"SELECT dealloc AS forgotten FROM {_function(asked, 'pg_stat_statements_info')}()")
