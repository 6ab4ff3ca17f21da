"""`pgcharter health`: what it shows, remembers and ends in; rights that are missing; charters."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.cli.conftest import program  # noqa: F401 (a fixture)
from tests.conftest import installation
from tests.watch.ground import Ground, until
from tests.watch.test_health_faults import QUIET

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.servers import lifecycle
from pgcharter.watch import health, registry
from pgcharter.watch.collecting import Target, Watcher
from pgcharter.watch.judging import Past
from pgcharter.watch.model import Collector

Program = Callable[..., Any]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with lifecycle.start_ephemeral(installation(18), settings=QUIET) as server, psycopg.connect(server.dsn(), autocommit=True) as admin:
        yield Ground(server, admin)


def test_text_json_and_exit_codes(program: Program, ground: Ground, tmp_path: Path) -> None:  # noqa: F811
    state = tmp_path / "state.json"
    base = ("health", "--on", ground.dsn, "--state", state, "--only", "settings", "--only", "transactions")
    quiet = program(*base, "--skip", "settings.statements")
    assert quiet.returncode == 0
    assert "all is fine" in quiet.stdout
    assert "not seen: transactions.rollbacks, transactions.deadlocks, transactions.conflicts: it is about growth" in " ".join(
        quiet.stdout.split()
    )
    with ground.setting(fsync="off", log_lock_waits="off"):
        bad = program(*base)
        lines = bad.stdout.splitlines()
        assert bad.returncode == 1
        assert lines[0].endswith(" s")
        assert "1 critical, 2 to know" in lines[0]
        assert re.search(r"✖ settings\.fsync +fsync is off \(since 20", bad.stdout)
        assert "→ ALTER SYSTEM SET fsync = on" in bad.stdout
        assert bad.stdout.index("settings.fsync") < bad.stdout.index("settings.log_lock_waits")
        data = json.loads(program(*base, "--format", "json").stdout)
        assert (data["format"], data["version"], data["worst"]) == ("pgcharter-health", 1, "critical")
        assert data["readings"][0]["check"] == "settings.fsync"
        assert data["readings"][0]["since"]
        assert program(*base, "--fail-on", "never").returncode == 0
        assert program(*base, "--skip", "settings.fsync", "--fail-on", "info").returncode == 1
        assert program(*base, "--skip", "settings.fsync").returncode == 0
    assert json.loads(state.read_text())["format"] == health.FORMAT
    data = json.loads(program("health", "--on", ground.dsn, "--state", state, "--format", "json").stdout)
    assert {"standby.lag", "pooler.waiting", "flow.dead"} <= set(data["not_here"])
    assert len({r["check"] for r in data["readings"]} | {g["check"] for g in data["not_seen"]}) + len(data["not_here"]) == data["checks"]
    assert state.stat().st_mode & 0o777 == 0o600
    assert program(*base, "--all").stdout.count("✔ settings.") > 10


def test_nagios(program: Program, ground: Ground) -> None:  # noqa: F811
    base = ("health", "--on", ground.dsn, "--no-state", "--nagios", "--only")
    assert program(*base, "settings.fsync").stdout == "PGCHARTER OK - 1 readings are fine\n"
    with ground.setting(fsync="off"):
        done = program(*base, "settings.fsync")
        assert (done.returncode, done.stdout) == (2, "PGCHARTER CRITICAL - settings.fsync: fsync is off\n")
    done = program(*base, "transactions.deadlocks")
    assert done.returncode == 3
    assert done.stdout.startswith("PGCHARTER UNKNOWN - it is about growth")
    done = program("health", "--on", "host=127.0.0.1 port=1 dbname=x", "--no-state", "--nagios")
    assert done.returncode == 2
    assert "server.reachable" in done.stdout


def test_watch_looks_again_and_goes_on_when_the_server_is_away(
    program: Program,  # noqa: F811
    ground: Ground,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            ground.admin.execute("ALTER SYSTEM SET log_lock_waits = off")
            ground.reload()
        if len(pauses) == 2:
            ground.admin.execute("ALTER SYSTEM RESET log_lock_waits")
            ground.reload()
            ground.admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgcharter health'")
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("pgcharter.cli.health.time.sleep", pause)
    monkeypatch.setattr("pgcharter.watch.collecting.KEEP", {"fast": 0.0, "medium": 0.0, "slow": 0.0})
    words = ("health", "--on", ground.dsn, "--state", tmp_path / "x", "--only", "settings.log_lock_waits", "--watch", "--every", "3s")
    done = program(*words, "--format", "json")
    assert pauses == [3.0, 3.0, 3.0]
    assert done.stdout.count('"worst": "ok"') == 2
    assert done.stdout.count('"worst": "info"') == 1
    assert program("health", "--on", ground.dsn, "--watch", "--every", "soon").returncode == 2


def test_words_that_make_no_sense(program: Program, ground: Ground, tmp_path: Path) -> None:  # noqa: F811
    done = program("health", "--on", ground.dsn, "--only", "lokcs")
    assert done.returncode == 2
    assert 'did you mean "locks"?' in done.stderr
    state = tmp_path / "state.json"
    state.write_text("{}")
    done = program("health", "--on", ground.dsn, "--state", state)
    assert done.returncode == 2
    assert f"rm {state}" in " ".join(done.stderr.split())
    done = program("health", "--on", ground.dsn, "--state", tmp_path / "none" / "x", "--only", "locks", "--format", "json")
    assert done.returncode == 0
    (tmp_path / "file").write_text("")
    done = program("health", "--on", ground.dsn, "--state", tmp_path / "file" / "x", "--only", "locks")
    assert done.returncode == 2


def test_explain_and_list(program: Program) -> None:  # noqa: F811
    done = program("health", "explain", "locks.waiting")
    assert done.returncode == 0
    for words in ("from 30 s", "from 2 min", "pg_blocking_pids", "needs pg_monitor", "source:"):
        assert words in done.stdout
    data = json.loads(program("health", "explain", "locks.waiting", "--format", "json").stdout)
    assert (data["id"], data["warn"], data["critical"]) == ("locks.waiting", 30, 120)
    listed = json.loads(program("health", "list", "--format", "json").stdout)
    assert len(listed["checks"]) == len(registry.load().checks)
    assert "slots.lost" in program("health", "list", "--only", "slots").stdout
    assert program("health", "explain", "locks.wating").returncode == 2


CHARTER = """
[environments.here]
dsn_env = "HERE"
[watch]
skip = ["host"]
[[watch.check]]
id = "settings.max_connections"
warn = 10
level = "warning"
[[watch.check]]
id = "settings.statements"
off = true
reason = "not on this machine"
"""


def test_a_charter_changes_thresholds(program: Program, ground: Ground, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    done = program("health", "--env", "here", "--only", "settings", "--only", "host", cwd=tmp_path, HERE=ground.dsn)
    assert done.returncode == 1
    assert "▲ settings.max_connections" in done.stdout
    assert "settings.statements" not in done.stdout
    assert "host" not in done.stdout.partition("\n")[2]
    assert (tmp_path / ".pgcharter" / "health" / "here.json").is_file()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('id = "settings.max_connections"', 'id = "settings.max_connection"', 7, 'did you mean "settings.max_connections"?'),
        ('skip = ["host"]', 'skip = ["hosts"]', 5, 'did you mean "host"?'),
        ("warn = 10", 'warn = "10"', 8, "must be a number"),
        ('level = "warning"', 'level = "warn"', 9, '"info", "warning" or "critical"'),
        ('reason = "not on this machine"', "", 10, "is off without a reason"),
        ('id = "settings.max_connections"\nwarn = 10', 'id = "locks.waiting"\nwarn = 500', 6, "would be critical before it is a warning"),
        ('skip = ["host"]', 'pooler_env = "postgresql://x"', 5, "environment variable"),
    ],
)
def test_a_charter_that_is_wrong_is_told_with_its_line(
    program: Program,  # noqa: F811
    ground: Ground,
    tmp_path: Path,
    old: str,
    new: str,
    line: int,
    words: str,
) -> None:
    (tmp_path / "pgcharter.toml").write_text(CHARTER.replace(old, new))
    done = program("health", "--env", "here", cwd=tmp_path, HERE=ground.dsn)
    assert done.returncode == 2
    assert f"pgcharter.toml:{line}" in done.stderr
    assert words in " ".join(done.stderr.split())


# --- rights ---


@pytest.fixture
def watcher_role(ground: Ground) -> Iterator[str]:
    ground.admin.execute("CREATE ROLE watcher LOGIN PASSWORD 'x'")
    yield "watcher"
    ground.admin.execute("DROP OWNED BY watcher")
    ground.admin.execute("DROP ROLE watcher")


def test_pg_monitor_is_enough_and_nothing_passes_silently(ground: Ground, watcher_role: str) -> None:
    target = Target(ground.server.dsn(user="watcher", password="x"))
    checks = list(registry.load().checks.values())
    ground.run("CREATE SEQUENCE hidden")
    with Watcher(target) as one:
        without, _ = health.look(one, checks, Past(), health.utc_now())
    assert {g.what for g in without.gaps} >= {"locks.waiting", "transactions.idle", "connections.used", "settings.fsync", "storage.wal"}
    assert all(
        "GRANT pg_monitor TO watcher" in g.why for g in without.gaps if g.what.startswith(("locks", "connections.used", "replication"))
    )
    ground.admin.execute("GRANT pg_monitor TO watcher")
    with Watcher(target) as one:
        found, _ = health.look(one, checks, Past(), health.utc_now())
    left = {g.what: g.why for g in found.gaps if "growth" not in g.why}
    assert set(left) == {"settings.files", "settings.hba", "security.md5", "sequences.used", "sequences.column"}, left
    assert "GRANT SELECT ON pg_file_settings TO watcher" in left["settings.files"]
    assert "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO watcher" in left["sequences.used"]
    for grant in (left["settings.files"], left["settings.hba"], left["sequences.used"]):
        for statement in re.findall(r"GRANT [^;]+", grant):
            ground.admin.execute(statement.encode())
    with Watcher(target) as one:
        found, _ = health.look(one, checks, Past(), health.utc_now())
    assert {g.what for g in found.gaps if "growth" not in g.why} == {"security.md5"}
    for table in ("pg_file_settings", "pg_hba_file_rules"):
        ground.admin.execute(f"REVOKE SELECT ON {table} FROM watcher".encode())
    ground.run("DROP SEQUENCE hidden")


def test_a_role_without_a_place_for_temporary_tables_is_told(ground: Ground, watcher_role: str) -> None:
    ground.admin.execute("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
    with Watcher(Target(ground.server.dsn(user="watcher", password="x"))) as one:
        found, _ = health.look(one, [registry.check("server.writes")], Past(), health.utc_now())
    ground.admin.execute("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")
    assert "GRANT TEMPORARY ON DATABASE postgres TO watcher" in found.gaps[0].why


def test_a_database_that_lets_nobody_in_hides_no_other(ground: Ground, watcher_role: str) -> None:
    ground.run("CREATE DATABASE closed TEMPLATE template0", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    ground.run("CREATE TABLE left_out (i int) WITH (autovacuum_enabled = off)")
    with Watcher(Target(ground.server.dsn(user="watcher", password="x"))) as one:
        found, _ = health.look(one, [registry.check("vacuum.table_off")], Past(), health.utc_now())
    ground.run("DROP DATABASE closed", "DROP TABLE left_out")
    assert [r.says for r in found.readings] == ["autovacuum is off for public.left_out"]
    assert "GRANT CONNECT ON DATABASE closed TO watcher" in found.gaps[0].why


def test_a_version_too_old_is_told_and_never_fine(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgcharter.watch.collecting_session.OLDEST", 99)
    found, _ = ground.look("locks.waiting", "standby.lag", "objects.detaching")
    assert found.readings == ()
    assert {g.why for g in found.gaps} == {"PostgreSQL 18 cannot be asked: 99 is the oldest that is"}


def test_a_provider_that_hides_which_server_it_is_is_looked_at(ground: Ground, watcher_role: str) -> None:
    ground.admin.execute("GRANT pg_monitor TO watcher")
    ground.admin.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        with Watcher(Target(ground.server.dsn(user="watcher", password="x"))) as one:
            found, _ = health.look(one, [registry.check("locks.waiting")], Past(), health.utc_now())
        assert len(found.readings) == 1
        assert not found.gaps
    finally:
        ground.admin.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


def test_a_server_that_lets_in_and_answers_nothing_is_told(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgcharter.watch import collecting_session

    monkeypatch.setattr(collecting_session, "SQL", {**collecting_session.SQL, "session": "SELECT 1 / 0"})
    found, _ = ground.look("server.reachable", "locks.waiting")
    assert [r.says for r in found.readings] == ["database postgres lets us in and does not answer: division by zero"]
    assert [g.what for g in found.gaps] == ["locks.waiting"]


def test_one_failure_hides_no_other(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.sql

    def broken(collector: Collector, major: int) -> str:
        return "SELECT pg_sleep(10)" if collector.name == "blockers" else "SELEC" if collector.name == "horizon" else real(collector, major)

    monkeypatch.setattr(registry, "sql", broken)
    monkeypatch.setattr("pgcharter.watch.collecting_session.LIMIT", {"fast": 0.05, "medium": 5.0, "slow": 5.0})
    ids = ("locks.waiting", "transactions.horizon", "transactions.idle", "vacuum.behind")
    found, _ = ground.look(*ids)
    assert {r.check.id for r in found.readings} == {"transactions.idle", "vacuum.behind"}
    assert {g.what: g.why[:30] for g in found.gaps} == {
        "locks.waiting": "the server did not answer with",
        "transactions.horizon": 'syntax error at or near "SELEC',
    }


def test_a_server_that_stands_still_is_not_waited_for(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgcharter.watch.collecting_session.LIMIT", {"fast": 0.2, "medium": 0.2, "slow": 0.2})
    monkeypatch.setattr("pgcharter.watch.collecting_session.GRACE", 0.1)
    clock = [100.0]
    collectors = registry.load().collectors
    with Watcher(Target(ground.dsn), clock=lambda: clock[0]) as one:
        one.ask([collectors["server"]])
        session = one._sessions[""]
        pid = session.conn.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            facts = one._once(session, collectors["server"], 0.0)
            later = one._once(session, collectors["horizon"], 0.0)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert facts.gaps
        assert "stopped answering" in later.gaps[0].why
        clock[0] += 100
        assert one.ask([collectors["server"]])["server"].rows


def test_answers_are_kept_as_long_as_they_count(ground: Ground) -> None:
    clock = [100.0]
    collectors = registry.load().collectors
    with Watcher(Target(ground.dsn), clock=lambda: clock[0]) as one:
        first = one.ask([collectors["server"], collectors["wal"]])
        clock[0] += 4.0
        assert one.ask([collectors["server"]])["server"] is first["server"]
        clock[0] += 2.0
        second = one.ask([collectors["server"], collectors["wal"]])
        assert second["server"] is not first["server"]
        assert second["wal"] is first["wal"]


def test_a_watcher_comes_back_after_its_session_was_ended(ground: Ground) -> None:
    clock = [100.0]
    collector = registry.load().collectors["server"]
    with Watcher(Target(ground.dsn), clock=lambda: clock[0]) as one:
        one.ask([collector])
        ours = "FROM pg_stat_activity WHERE application_name = 'pgcharter health'"
        ground.admin.execute(f"SELECT pg_terminate_backend(pid) {ours}".encode())
        until(lambda: not ground.fresh(f"SELECT count(*) {ours}"))
        clock[0] += 100
        assert one.ask([collector])["server"].rows


def test_a_pooler_is_refused(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PgBouncer gives out as the session's number is not the server's."""
    from pgcharter.watch import collecting_session

    sql = dict(collecting_session.SQL)
    sql["session"] = sql["session"].replace("pg_catalog.pg_backend_pid() AS pid", "1 AS pid")
    monkeypatch.setattr(collecting_session, "SQL", sql)
    with pytest.raises(UsageError, match="leads to a pooler"):
        ground.look("server.writes")


def test_nothing_is_left_behind(ground: Ground) -> None:
    before = ground.fresh("SELECT count(*) FROM pg_class")
    for _ in range(2):
        ground.judge(list(registry.load().checks.values()), Past())
    assert ground.fresh("SELECT count(*) FROM pg_class") == before
    assert ground.fresh("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgcharter health'") in (0, 1)


def test_state_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PgcharterError, match="cannot be written"):
        health.write_state(tmp_path / "file" / "x.json", Past())


def test_names_are_told_as_they_are_and_do_nothing(program: Program, ground: Ground) -> None:  # noqa: F811
    name = 'we"ird {x} %s ä'
    quoted = '"we""ird {x} %s ä"'
    ground.admin.execute(f"CREATE DATABASE {quoted} TEMPLATE template0".encode())
    try:
        with psycopg.connect(ground.server.dsn(name), autocommit=True) as conn:
            conn.execute(f"CREATE SCHEMA {quoted}".encode())
            conn.execute(f"CREATE TABLE {quoted}.{quoted} (i int) WITH (autovacuum_enabled = off)".encode())
            conn.execute(f"ALTER TABLE {quoted}.{quoted} ADD CONSTRAINT {quoted} CHECK (i > 0) NOT VALID".encode())
        base = ("health", "--on", ground.dsn, "--no-state", "--only", "vacuum.table_off", "--only", "objects.not_valid")
        data = json.loads(program(*base, "--format", "json").stdout)
        assert [r["says"] for r in data["readings"]] == [
            f"autovacuum is off for {quoted}.{quoted}",
            f"constraint {quoted} of {quoted}.{quoted} was never validated",
        ]
        assert {r["labels"]["database"] for r in data["readings"]} == {name}
        assert data["readings"][1]["remedy"] == f"ALTER TABLE {quoted}.{quoted} VALIDATE CONSTRAINT {quoted}"
        assert "|" not in program(*base, "--nagios").stdout
    finally:
        ground.admin.execute(f"DROP DATABASE {quoted}".encode())
