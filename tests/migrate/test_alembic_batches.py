"""Backfills in planned revisions: the same rows under Alembic alone and under pgcharter, where batches go on after a crash."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.cli.conftest import Done, program
from tests.migrate.test_alembic import alembic, change, rows
from tests.migrate.test_alembic_plan import project, said

from pgcharter.migrate.alembic_batches import block, job_of
from pgcharter.names import ObjectId
from pgcharter.plan.model import Backfill
from pgcharter.servers.lifecycle import Server

__all__ = ["program", "project"]
Run = Callable[..., Done]
BASE = "CREATE SCHEMA app; CREATE TABLE app.users (id int PRIMARY KEY, amount int, note text);"
WANTED = "CREATE SCHEMA app; CREATE TABLE app.users (id int PRIMARY KEY, amount bigint, note text);"
JOB = Backfill(ObjectId("table", "Größe", 'a"b'), ("x", "Y z"), "c = 'it''s $$ 50 %',\n d = E'\\n:x'", "c IS NULL\nOR d > 5")


@pytest.fixture
def database(server_of: Callable[[int | None], Server]) -> Iterator[str]:
    server = server_of(None)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE test_alembic_batches TEMPLATE template0 STRATEGY file_copy")
        yield server.dsn("test_alembic_batches")
        admin.execute("DROP DATABASE test_alembic_batches WITH (FORCE)")


@pytest.fixture
def planned(project: Path, program: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose next revisions fill a column of 12,000 rows, at the first of them."""
    first = project / "app_migrations" / "versions" / "0001_base.py"
    first.write_text(re.sub(r"op\.execute\(.*\)", f"op.execute({BASE!r})", first.read_text()))
    (project / "wanted.sql").write_text(WANTED)
    (project / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n')
    monkeypatch.setenv("SHOP_URL", database)
    done = program("plan", "wanted.sql", "--alembic", "-m", "wider", "--format", "json")
    assert done.returncode == 0, done.stderr
    alembic(project, database, "upgrade", "0001")
    change(database, "INSERT INTO app.users SELECT n * 3, n, 'x' FROM generate_series(1, 12000) n")
    return project


def filled(database: str) -> list[tuple[object, ...]]:
    kind = "(SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 'app.users'::regclass AND attname = 'amount')"
    return rows(database, f"SELECT {kind}, count(*), sum(amount)::int8 FROM app.users")


ALL = [("bigint", 12000, 72006000)]


def test_a_block_is_known_again_and_an_edited_one_is_not() -> None:
    for job in (JOB, replace(JOB, condition="true"), Backfill(ObjectId("table", "app", "t"), ("id",), "n = 5", "n IS NULL")):
        made = block(job)
        assert job_of(made) == job
        assert job_of(made.replace("LIMIT 5000)", "LIMIT 70)")) == job
        assert job_of(made.replace("COMMIT;", "")) is None
        assert job_of(made.replace("-- UPDATE", "-- UPDATE ONLY")) is None
    assert job_of("DO $$ BEGIN END $$") is None


@pytest.mark.parametrize("key", [("id",), ("id", "more")])
def test_a_block_fills_every_row_once(conn: psycopg.Connection, key: tuple[str, ...]) -> None:
    conn.rollback()
    conn.autocommit = True
    for condition in ("n IS NULL", "true"):
        conn.execute("CREATE TABLE t (id int, more int, n int, times int DEFAULT 0, PRIMARY KEY (id, more))")
        conn.execute("INSERT INTO t SELECT i, i % 3 FROM generate_series(1, 100) i")
        conn.execute(block(Backfill(ObjectId("table", "public", "t"), key, "n = 5, times = times + 1", condition), 7).encode())
        assert conn.execute("SELECT count(*), min(n), max(times), count(DISTINCT xmin::text) FROM t").fetchall() == [(100, 5, 1, 15)]
        conn.execute("DROP TABLE t")


def test_alembic_alone_fills_in_batches(planned: Path, database: str) -> None:
    alembic(planned, database, "upgrade", "head")
    assert filled(database) == ALL


@pytest.mark.parametrize("fault", ["", "after batch:3", "in batch:2", "before finish:1", "before sweep:1"])
def test_pgcharter_fills_with_checkpoints_and_goes_on_after_a_crash(planned: Path, program: Run, database: str, fault: str) -> None:
    if fault:
        killed = subprocess.run(
            [sys.executable, "-m", "pgcharter", "migrate", "up"], cwd=planned, capture_output=True, text=True, check=False,
            env={**os.environ, "PGCHARTER_FAULT": fault},
        )  # fmt: skip
        assert killed.returncode == -9, killed.stderr
        assert rows(database, "SELECT count(*) FROM pgcharter.schema_migrations WHERE outcome = 'running'") == [(1,)]
    done = program("migrate", "up")
    assert (done.returncode, re.search(r"_contract is a gate: no running release uses", said(done)) is not None) == (4, True), done.stderr
    assert filled(database) == ALL
    done = program("migrate", "up", "--gate", re.findall(r"--gate (\S+)", said(done))[0])
    assert done.returncode == 0, done.stderr
    assert rows(database, "SELECT max(row_count)::int FROM pgcharter.schema_migration_units") == [(12000,)]
    assert rows(database, "SELECT DISTINCT outcome FROM pgcharter.schema_migrations ORDER BY 1") == [("baseline",), ("done",)]
    assert program("migrate", "status", "--check").returncode == 0
