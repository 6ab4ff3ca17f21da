"""`[sync]` on real servers: publication and tables come, read back identical, and what cannot be copied is asked about."""

from __future__ import annotations

import psycopg
import pytest
from tests.policy.planned import applied, catalog
from tests.policy.test_idempotency import planned

from pgcharter.policy import sync
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection


@pytest.mark.parametrize("major", [15, 18])
def test_tables_and_publication(database: str, major: int) -> None:
    role = f"sync_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role}".encode())
        conn.execute('CREATE SCHEMA "É"; CREATE TABLE "É"."Orders" (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text)')
        conn.execute("CREATE TABLE c (id int PRIMARY KEY, at timestamptz) PARTITION BY HASH (id)")
    section = SyncSection(
        role=role, sink=(SinkTable("s", "jsonl"),),
        mapping=(MappingTable("s", "É.Orders"), MappingTable("s", "public.b"), MappingTable("s", "public.c")),
    )  # fmt: skip
    wish = sync.policy(section)
    try:
        applied(database, planned(database, wish))
        assert planned(database, wish).plan.empty
        found = next(p for p in catalog(database).publications if p.name == "pgcharter_sync")
        assert found.tables == ('"É"."Orders"', "public.b", "public.c")
        assert found.via_root
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"SET ROLE {role}".encode())
            conn.execute('SELECT 1 FROM "É"."Orders", b, c')
            conn.execute("INSERT INTO pgcharter.sync_sinks (slot, sink) VALUES ('a', 'b')")
            with pytest.raises(psycopg.errors.CheckViolation):
                conn.execute("UPDATE pgcharter.sync_sinks SET state = 'x'")
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_what_cannot_be_copied_is_asked_about(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE bare (id int); CREATE TABLE half (id int NOT NULL UNIQUE); CREATE UNLOGGED TABLE gone (id int PRIMARY KEY)"
        )
    names = ("bare", "half", "gone", "missing")
    section = SyncSection(sink=(SinkTable("s", "jsonl"),), mapping=tuple(MappingTable("other", f"public.{n}") for n in names))
    questions = "\n".join(planned(database, sync.policy(section)).plan.questions)
    assert "ALTER TABLE public.bare REPLICA IDENTITY FULL" in questions
    assert "ALTER TABLE public.half REPLICA IDENTITY USING INDEX half_id_key" in questions
    assert "ALTER TABLE public.gone SET LOGGED" in questions
    assert "table public.missing, which is not there" in questions
    assert 'sink "other"' in questions
