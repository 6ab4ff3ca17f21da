"""Settings of roles, written so that the server keeps what it kept before: lists member by member, names of extensions' settings quoted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from pgcharter.plan import roles
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

SETTINGS = """
CREATE ROLE pgcs_api LOGIN;
ALTER ROLE pgcs_api SET search_path = "$user", 'A, "b"', app, public;
ALTER ROLE pgcs_api SET app."Zone" = 'it''s';
ALTER ROLE pgcs_api SET statement_timeout = '30s';
ALTER ROLE pgcs_api SET temp_tablespaces = '';
"""


@pytest.fixture
def conn(major_server: Server) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(major_server.dsn("postgres"), autocommit=True) as conn:
        conn.execute(SETTINGS)
        yield conn
        conn.execute("DROP ROLE pgcs_api")


def test_settings_come_back_as_they_were_and_go(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    before = live.read_cluster(conn)
    bare = replace(before, roles=tuple(replace(r, settings=()) if r.name == "pgcs_api" else r for r in before.roles))
    for step in roles.come(before, bare):
        conn.execute(step.sql.encode())
    assert live.read_cluster(conn).role["pgcs_api"].settings == ()
    steps = roles.come(bare, before)
    for step in steps:
        conn.execute(step.sql.encode())
    assert live.read_cluster(conn).role["pgcs_api"] == before.role["pgcs_api"]
    assert "set search_path for role pgcs_api" in [s.title for s in steps]
