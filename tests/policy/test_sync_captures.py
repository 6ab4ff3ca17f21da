"""`[sync] capture = "triggers"` on real servers: log, functions and triggers come, and read back identical."""

from __future__ import annotations

import psycopg
import pytest
from tests.policy.planned import applied
from tests.policy.test_idempotency import planned

from pgcharter.policy import sync
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection


@pytest.mark.parametrize("major", [15, 18])
def test_reads_back_identical(database: str, major: int) -> None:
    role = f"captures_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role}".encode())
        conn.execute('CREATE SCHEMA "É"; CREATE TABLE "É"."Orders" (id int PRIMARY KEY)')
        conn.execute("CREATE TABLE c (id int PRIMARY KEY, at timestamptz) PARTITION BY HASH (id)")
        conn.execute("CREATE TABLE c0 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
    section = SyncSection(
        capture="triggers",
        role=role,
        sink=(SinkTable("s", "jsonl"),),
        mapping=(MappingTable("s", "É.Orders"), MappingTable("s", "public.c")),
    )
    wish = sync.policy(section)
    try:
        applied(database, planned(database, wish))
        assert planned(database, wish).plan.empty
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("CREATE TABLE c1 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 1)")
            conn.execute('INSERT INTO "É"."Orders" VALUES (1); INSERT INTO c SELECT generate_series(1, 9)')
            assert conn.execute("SELECT count(*) FROM pgcharter.sync_log").fetchone() == (0,)  # nobody reads
            conn.execute(f"SET ROLE {role}".encode())
            assert conn.execute("SELECT pgcharter.sync_turn(true), pgcharter.sync_settled() > 0").fetchone() == (True, True)
            conn.execute("RESET ROLE")
            conn.execute('UPDATE "É"."Orders" SET id = 2; DELETE FROM c WHERE id < 4; TRUNCATE c')
            conn.execute(f"SET ROLE {role}".encode())
            found = conn.execute("SELECT op, row, old FROM pgcharter.sync_log ORDER BY position").fetchall()
            assert found[0] == ("UPDATE", "(2)", "(1)")
            assert [(op, row) for op, row, _ in found[1:]] == [("DELETE", None)] * 3 + [("TRUNCATE", None)]
        assert all("managed_objects" in s.sql for s in planned(database, wish).plan.steps)  # the trigger of a new partition is noted
        assert planned(database, sync.policy(SyncSection())).plan.questions == ()
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
