"""What rule tests that build schemas share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import psycopg.sql
import pytest

from pgcharter.servers.lifecycle import Server


@pytest.fixture
def others(major_server: Server) -> Iterator[None]:
    """Drop the databases and roles that a case makes; asked for before `database`, it ends after the database is gone."""
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        before = _shared(admin)
        yield
        for kind, name in _shared(admin):
            if (kind, name) not in before:
                admin.execute(psycopg.sql.SQL("DROP {} {}").format(psycopg.sql.SQL(kind), psycopg.sql.Identifier(name)))


def _shared(conn: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    return conn.execute(
        "SELECT 'DATABASE', datname FROM pg_database UNION ALL SELECT 'ROLE', rolname FROM pg_roles ORDER BY 1, 2"
    ).fetchall()
