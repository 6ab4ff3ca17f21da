"""The throwaway server does what sources need."""

from __future__ import annotations

import psycopg
import pytest

from pgcharter.servers.scratch import Scratch

MAJORS = (15, 16, 17, 18)


@pytest.mark.parametrize("major", MAJORS)
def test_owner_builds_and_admin_reads(scratch: Scratch, major: int) -> None:
    assert scratch.version // 10000 == major
    with scratch.database() as database:
        database.conn.execute("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); ALTER TABLE t OWNER TO postgres")
        row = database.admin.execute("SELECT count(*) FROM pg_class WHERE relname = 't'").fetchone()
        assert row == (1,)
        who = database.conn.execute("SELECT current_user, usesuper FROM pg_user WHERE usename = current_user").fetchone()
        assert who == ("postgres", False)


def test_database_fixture_is_a_database_of_its_own(database: str) -> None:
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchone() == (0,)
