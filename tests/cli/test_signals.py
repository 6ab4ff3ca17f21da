"""A migration that is asked to end from outside: by a service manager, a lost terminal, a reader that went away."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

PGCHARTER = (sys.executable, "-m", "pgcharter")
SLOW = "-- pgcharter: up\nCREATE TABLE done_{0} ();\nSELECT pg_sleep({1});\nCREATE TABLE late_{0} ();\n"


def lay(folder: Path, seconds: float) -> None:
    (folder / "migrations").mkdir()
    (folder / "migrations" / "001_first.sql").write_text("CREATE TABLE first ();")
    (folder / "migrations" / "002_slow.sql").write_text(SLOW.format("a", seconds))


def started(folder: Path, database: str, **streams: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "SHOP": database, "COLUMNS": "400", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*PGCHARTER, "migrate", "up", "--on", "env:SHOP"], cwd=folder, env=environment, text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )  # type: ignore[call-overload]  # fmt: skip
    with psycopg.connect(database, autocommit=True) as conn:
        until = time.monotonic() + 20
        while time.monotonic() < until and process.poll() is None:
            if conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
            ).fetchone() == (1,):
                break
            time.sleep(0.02)
    return process  # type: ignore[no-any-return]


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=lambda v: str(v))
def test_a_signal_ends_in_order_and_the_next_run_goes_on(tmp_path: Path, database: str, number: signal.Signals, code: int) -> None:
    lay(tmp_path, 20)
    process = started(tmp_path, database)
    try:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        end(process)
    assert process.returncode == code
    assert "first" in out
    named = "" if number == signal.SIGINT else f" by {number.name}"
    assert f"unit 2 of 002 slow was interrupted{named}; 1 of the 3 units of 002 slow are done, applied before it: 1; " in err
    assert "run the same command again: it goes on where this run ended" in err
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT outcome FROM pgcharter.schema_migrations WHERE version = '002'").fetchone() == ("running",)
        assert conn.execute("SELECT to_regclass('done_a') IS NOT NULL, to_regclass('late_a') IS NULL").fetchone() == (True, True)
        assert conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_lost_terminal_ends_in_order(tmp_path: Path, database: str) -> None:
    lay(tmp_path, 20)
    ours, theirs = pty.openpty()
    process = started(tmp_path, database, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    os.close(ours)
    try:
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 129
    finally:
        end(process)
    with psycopg.connect(database) as conn:
        found = conn.execute("SELECT outcome, error_message FROM pgcharter.schema_migrations WHERE version = '002'").fetchone()
    assert found == ("running", "unit 2 of 002 slow was interrupted by SIGHUP")


def test_nohup_is_respected(tmp_path: Path, database: str) -> None:
    lay(tmp_path, 1.5)
    process = started(tmp_path, database, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    try:
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=20)
    finally:
        end(process)
    assert (process.returncode, out.splitlines()[-1]) == (0, "2 migrations applied")


def test_a_reader_that_goes_away_ends_no_migration(tmp_path: Path, database: str) -> None:
    lay(tmp_path, 0.5)
    process = started(tmp_path, database)
    assert process.stdout
    assert process.stderr
    try:
        with process.stderr:
            process.stdout.close()
            assert process.wait(20) == 141
    finally:
        end(process)
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT to_regclass('late_a') IS NOT NULL").fetchone() == (True,)
