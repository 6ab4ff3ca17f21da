"""`pgcharter migrate pause`, `resume`, `stop` and a run at work in `status`, from the outside."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.cli.conftest import Done
from tests.migrate.test_notices import WRITES, heard

from pgcharter.db import connect
from pgcharter.migrate import control, files, runner
from pgcharter.migrate.endings import Outcome
from pgcharter.migrate.terms import Pace, Terms
from pgcharter.migrate.units import parsed

Run = Callable[..., Done]
FILL = """-- pgcharter: up
BEGIN;
CREATE TABLE t (id int PRIMARY KEY, done int NOT NULL DEFAULT 0);
INSERT INTO t SELECT i FROM generate_series(1, 1000) i;
ANALYZE t;
COMMIT;
-- pgcharter: batched key=id
UPDATE t SET done = 1 WHERE done = 0;
"""


@pytest.fixture
def shop(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_URL", database)
    (tmp_path / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n')
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "001_fill.sql").write_text(FILL)
    return tmp_path


class Background(threading.Thread):
    """The run of the folder, in a thread."""

    outcome: Outcome

    def __init__(self, database: str, pace: Pace) -> None:
        super().__init__(daemon=True)
        self.database, self.terms = database, Terms(pace=pace)
        self.ready = [parsed(m) for m in files.read("migrations").migrations]
        self.start()

    def run(self) -> None:
        self.outcome = runner.apply(self.database, self.ready, terms=self.terms)

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        with connect(self.database) as conn:
            control.ask(conn, "resume")
            control.ask(conn, "stop now")
        self.join(20)


def said(database: str) -> control.Runner:
    with connect(database) as conn:
        for _ in range(200):
            found = [r for r in control.runners(conn) if r.progress.rows]
            if found:
                return found[0]
            time.sleep(0.05)
    raise AssertionError("no run said how far it is")


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_run_is_seen_paused_resumed_and_stopped(shop: Path, program: Run, database: str) -> None:
    with Background(database, Pace(first=10, largest=10, rest=0.1)) as run:
        seen = said(database)
        shown = flat(program("migrate", "status", COLUMNS="400").stdout)
        assert f"▲ at work since {seen.started:%Y-%m-%d}" in shown
        assert f"{control.whoami()} (role {seen.role}, pid {seen.pid}) 001 fill, part 2 of 2: backfill of t " in shown
        assert " of about 1,000 rows passed, " in shown
        assert " rows/s, " in shown
        assert "or it died" not in shown
        paused = program("migrate", "pause", "--reason", "checkout is slow")
        assert (paused.returncode, paused.stderr) == (0, "")
        assert paused.stdout.startswith("paused on dev (test_")
        assert f"the run of {control.whoami()} (pid {seen.pid}) at 001 fill part 2 of 2 waits after its batch or part; " in paused.stdout
        time.sleep(1.2)
        data = json.loads(program("migrate", "status", "--format", "json").stdout)
        assert data["paused"].endswith("UTC: checkout is slow")
        (one,) = data["runners"]
        assert one["paused"] == [f"{data['paused']}; to go on: pgcharter migrate resume"]
        assert (one["migration"], one["unit"], one["total"]) == ("001 fill", 2, 1000)
        again = program("migrate", "pause").stdout
        assert "(it was paused already: " in again
        resumed = program("migrate", "resume").stdout
        assert "goes on; it was paused because " in resumed
        stopped = program("migrate", "stop", "--reason", "deploy")
        assert stopped.returncode == 0
        assert "has ended; pgcharter migrate up goes on where it was" in stopped.stdout
        assert (run.outcome.status, run.outcome.reason) == ("stopped", "asked")
    done = program("migrate", "up")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 migration applied")
    assert "goes on with part 2 of 2" in done.stderr
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM t WHERE done = 1").fetchone() == (1000,)


def test_nothing_at_work(shop: Path, program: Run) -> None:
    assert program("migrate", "stop").stdout.startswith("nothing to do: no run is at work on dev (test_")
    assert program("migrate", "resume").stdout.startswith("nothing to do: no run on dev (test_")
    assert json.loads(program("migrate", "status", "--format", "json").stdout)["runners"] == []
    paused = program("migrate", "pause")
    assert "no run is at work, and those that come wait before they begin; to go on: pgcharter migrate resume" in paused.stdout
    shown = flat(program("migrate", "status", COLUMNS="400").stdout)
    assert f"▲ paused: {control.whoami()} (role " in shown
    assert "a run waits before it begins anything to go on: pgcharter migrate resume" in shown
    done = program("migrate", "up", "--wait", "300ms")
    assert done.returncode == 4
    assert "runs in this database are paused, so nothing was begun" in flat(done.stderr)
    assert "pauses: " in done.stderr
    asked = json.loads(program("migrate", "resume", "--format", "json").stdout)
    assert (asked["format"], asked["request"]["request"]) == ("pgcharter-migrate-request", "resume")
    assert program("migrate", "up").returncode == 0


def test_stop_tells_when_it_must_wait_for_a_statement(shop: Path, program: Run, database: str) -> None:
    (shop / "migrations" / "001_fill.sql").write_text("SELECT pg_sleep(20);")
    with Background(database, Pace()) as run:
        time.sleep(0.5)
        done = program("migrate", "stop", "--wait", "500ms")
        assert done.returncode == 4
        assert "ends after the statement at work; --now cancels that" in done.stdout
        assert program("migrate", "stop", "--now").returncode == 0
        run.join(5)
        assert run.outcome.status == "stopped"


def test_a_run_that_died_is_told_from_one_at_work(shop: Path, program: Run, database: str) -> None:
    program("migrate", "up")
    with connect(database) as conn:
        conn.execute("UPDATE pgcharter.schema_migrations SET outcome = 'running', applied_at = NULL")
    assert "has not ended: it died, for no run is at work" in flat(program("migrate", "status").stdout)


def test_status_looks_on_until_the_run_has_ended(shop: Path, program: Run, database: str) -> None:
    with Background(database, Pace(first=20, largest=20, rest=0.05)) as run:
        said(database)
        shown = flat(program("migrate", "status", "--watch", COLUMNS="400").stdout)
        run.join(5)
        assert not run.is_alive()
    assert "at work since" in shown
    assert "1 applied in migrations" in shown


def test_wrong_words(shop: Path, program: Run) -> None:
    assert program("migrate", "stop", "--wait", "soon").returncode == 2
    assert program("migrate", "pause", "--env", "nowhere").returncode == 2
    assert program("migrate", "pause", "--on", "host=127.0.0.1 port=1").returncode == 3


def test_hooks_of_the_charter_hear_of_runs(tmp_path: Path, database: str, program: Run) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "001_a.sql").write_text("CREATE TABLE a ();")
    (tmp_path / "pgcharter.toml").write_text(
        f'[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate.notify]\ncommand = {json.dumps(WRITES)}\n'
    )
    assert program("migrate", "up", "--dry-run", cwd=tmp_path, SHOP_URL=database).returncode == 0
    assert heard(tmp_path) == []
    assert program("migrate", "up").returncode == 0
    assert program("migrate", "up").returncode == 0
    assert [(e["event"], e["environment"]) for e in heard(tmp_path)] == [("begun", "dev"), ("finished", "dev")]
    (tmp_path / "migrations" / "002_b.sql").write_text("CREATE TABLE b ();")
    with psycopg.connect(database) as conn:
        conn.execute("SELECT pg_advisory_lock(1885823847, 0)")
        conn.commit()
        assert program("migrate", "up", "--wait", "100ms").returncode == 3
    assert "another runner is at work" in heard(tmp_path)[-1]["message"]


def test_hooks_hear_of_a_run_over_many_schemas_as_a_whole(shop: Path, program: Run, database: str) -> None:
    (shop / "migrations" / "001_fill.sql").write_text("CREATE TABLE a ();")
    (shop / "pgcharter.toml").write_text(f'[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate.notify]\ncommand = {json.dumps(WRITES)}\n')
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA s_1; CREATE SCHEMA s_2; CREATE TABLE s_2.a ()")
    done = program("migrate", "up", "--schemas", "s_*", "--stop-after", "0")
    assert done.returncode == 3
    begun, ended = heard(shop)
    assert (begun["event"], begun["targets"]) == ("begun", 2)
    assert (ended["event"], ended["counts"], ended["failed"]) == ("failed", {"done": 1, "failed": 1}, ["s_2"])
    assert 'relation "a" already exists' in ended["message"]


def test_a_reason_steers_no_terminal(shop: Path, program: Run) -> None:
    assert program("migrate", "pause", "--reason", "\x1b]0;owned\x07\nlunch").returncode == 0
    again = program("migrate", "pause")
    assert "\\x1b]0;owned\\x07\\nlunch" in again.stdout
    assert again.stdout.count("\n") == 1
