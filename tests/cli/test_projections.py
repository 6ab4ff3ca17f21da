"""`pgcharter projections` as a user calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.runtime.own_tables import install

from pgcharter.runtime.events import New, append

APP = """
from pgcharter.runtime.database import {database}
from pgcharter.runtime.messaging import Messaging
from pgcharter.runtime.projections import Projection


{kind} summed(conn, event, into):
    put = f"INSERT INTO {{into('public.totals')}} AS t VALUES (%s, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1"
    done = {wait} conn.execute(put, [event.aggregate_id])
    assert done.rowcount == 1


totals = Projection("totals", {{"public.totals": "id"}}, summed, version={version})
messaging = Messaging(database={database}, projections=[totals])
"""
CHARTER = '[messaging]\napp = "flow:messaging"\n\n[environments.dev]\ndsn_env = "PROJECTIONS_DB"\n'
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
Program = Callable[..., Any]


def lay(folder: Path, colour: str = "sync", version: int = 1) -> None:
    waits = colour == "async"
    words = ("async def", "await", "AsyncDatabase") if waits else ("def", "", "Database")
    parts = dict(zip(("kind", "wait", "database"), words, strict=True))
    (folder / "flow.py").write_text(APP.format(version=version, **parts))
    (folder / "pgcharter.toml").write_text(CHARTER)


@pytest.fixture
def program(tmp_path: Path, database: str) -> Program:
    lay(tmp_path)
    environment = {**os.environ, "PROJECTIONS_DB": database, "COLUMNS": "200"}

    def run(*arguments: str) -> Any:
        command = [sys.executable, "-m", "pgcharter", "projections", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False, timeout=60)

    return run


@pytest.fixture
def conn(database: str) -> Iterator[Any]:
    install(database, "messaging")
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE totals (id uuid PRIMARY KEY, n int NOT NULL)")
        yield conn


def add(conn: Any, *ids: uuid.UUID) -> None:
    for each in ids:
        with conn.transaction():
            append(conn, "order", each, [New("added", {})])


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_from_nothing_to_proven(conn: Any, program: Program, tmp_path: Path, colour: str) -> None:
    lay(tmp_path, colour)
    none = program("status")
    assert (none.returncode, none.stdout) == (0, "no read model has been filled yet\n")
    add(conn, ONE, OTHER, ONE)
    done = program("rebuild", "totals")
    assert (done.returncode, done.stdout) == (0, "totals is made from 3 events, up to position 3; 2 rows were not as they are now\n"), done
    proven = program("verify", "totals")
    assert (proven.returncode, "public.totals: 2 rows, as its events make them" in proven.stdout) == (0, True)
    conn.execute("UPDATE totals SET n = 7 WHERE id = %s", [ONE])
    wrong = program("verify", "totals", "--format", "json")
    said = json.loads(wrong.stdout)
    assert (wrong.returncode, said["equal"], said["tables"][0]["different"], said["tables"][0]["keys"]) == (1, False, 1, [f"({ONE})"])
    assert "1 are different" in program("verify", "totals").stdout
    asked = program("replay", "totals", "order", str(ONE))
    assert (asked.returncode, "--yes" in asked.stderr) == (4, True)
    again = program("replay", "totals", "order", str(ONE), "--yes")
    assert (again.returncode, "from 2 events" in again.stdout) == (0, True)
    assert program("verify", "totals").returncode == 0
    add(conn, ONE)
    behind = program("status", "--format", "json")
    (row,) = json.loads(behind.stdout)["projections"]
    assert (behind.returncode, row["version"], row["rows_behind"], row["states"]) == (0, 1, 1, ["running"])
    assert "1 events or" in program("status").stdout


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_run_until_told_to_stop(conn: Any, program: Program, tmp_path: Path, database: str, colour: str) -> None:
    lay(tmp_path, colour)
    command = [sys.executable, "-m", "pgcharter", "projections", "run"]
    worker = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PROJECTIONS_DB": database}, stderr=subprocess.PIPE)
    try:
        add(conn, ONE, OTHER, ONE)
        until = time.monotonic() + 30
        while conn.execute("SELECT sum(n) FROM totals").fetchone() != (3,) and time.monotonic() < until:
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=30)
    finally:
        worker.kill()
    assert (worker.returncode, said) == (0, b"")
    assert conn.execute("SELECT sum(n) FROM totals").fetchone() == (3,)
    assert conn.execute("SELECT owner FROM pgcharter.feeds").fetchone() == (None,)
    assert program("pause", "totals").returncode == 0
    assert "paused" in program("status").stdout
    assert program("resume", "totals").returncode == 0
    assert program("resume", "totals").returncode == 2


def test_what_is_wrong_is_said(conn: Any, program: Program, tmp_path: Path) -> None:
    unknown = program("rebuild", "sums")
    assert (unknown.returncode, "has no projection 'sums'" in unknown.stderr, "it has: totals" in unknown.stderr) == (2, True, True)
    add(conn, ONE)
    program("rebuild", "totals")
    lay(tmp_path, version=2)
    other = program("run")
    assert (other.returncode, "are by version 1 of its handler, and this one is version 2" in other.stderr) == (2, True)


@pytest.mark.parametrize("colour", ["Database", "AsyncDatabase"])
def test_where_each_transaction_names_its_tenant_these_are_for_all(tmp_path: Path, program: Program, conn: Any, colour: str) -> None:
    lay(tmp_path, "async" if colour == "AsyncDatabase" else "sync")
    flow = tmp_path / "flow.py"
    text = flow.read_text().replace(f"database={colour},", f"database=partial({colour}, tenants=True),")
    flow.write_text("from functools import partial\n" + text)
    add(conn, ONE)
    for asked in (("rebuild", "totals"), ("verify", "totals"), ("replay", "totals", "order", str(ONE), "--yes")):
        done = program(*asked, "--env", "dev")
        assert done.returncode == 0, done.stderr
