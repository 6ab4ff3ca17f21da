"""What a server counts, asked by roles with less than all rights."""

from __future__ import annotations

import psycopg
import pytest

from pgcharter.sources import live, usage


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("rights", ["", "pg_read_all_stats", "pg_monitor"])
def test_statements_are_a_gap_where_they_may_not_be_read(database: str, major: int, rights: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements; CREATE ROLE usage_watcher")
        try:
            if rights:
                conn.execute(f"GRANT {rights} TO usage_watcher".encode())
            conn.execute("SET ROLE usage_watcher")
            found = usage.read(conn, live.read_catalog(conn))
            assert (found.statements, len(found.gaps)) == (None, 3)  # it is not preloaded here
        finally:
            conn.execute("RESET ROLE; DROP ROLE usage_watcher")
