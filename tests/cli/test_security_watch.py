"""`pgcharter security watch` as a user calls it: every change is told once, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgcharter.servers.lifecycle import Server

Program = Callable[..., Any]
ServerFactory = Callable[..., Server]

SETUP = """
CREATE SCHEMA app; CREATE TABLE app.users (id int, tenant int); ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.users FORCE ROW LEVEL SECURITY; CREATE POLICY own ON app.users USING (tenant = 1);
CREATE ROLE pgcx_api LOGIN PASSWORD 'the secret of api'; CREATE ROLE pgcx_admins;
CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = app, pg_temp AS 'SELECT 1';
CREATE FUNCTION app.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
"""
CHANGES = {
    "GRANT DELETE ON app.users TO PUBLIC": "privileges on table app.users are PUBLIC: DELETE",
    "GRANT UPDATE (id) ON app.users TO pgcx_api": "privileges on column app.users.id are pgcx_api: UPDATE",
    "ALTER TABLE app.users NO FORCE ROW LEVEL SECURITY": "row security of table app.users is on, FORCE off, was on, FORCE on",
    "ALTER TABLE app.users DISABLE ROW LEVEL SECURITY": "row security of table app.users is off, FORCE off, was on, FORCE off",
    "ALTER POLICY own ON app.users USING (true)": "policy app.users.own is another",
    "DROP POLICY own ON app.users": "policy app.users.own is gone",
    "CREATE OR REPLACE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 2'": "function app.f() is another",
    "ALTER ROLE pgcx_api SUPERUSER": "role pgcx_api has SUPERUSER, LOGIN, had LOGIN",
    "CREATE ROLE pgcx_new BYPASSRLS": "role pgcx_new is new, with BYPASSRLS",
    "GRANT pgcx_admins TO pgcx_api": "pgcx_api in pgcx_admins is new",
    "CREATE EVENT TRIGGER pgcx ON ddl_command_end EXECUTE FUNCTION app.e()": "event trigger pgcx is new",
    "CREATE EXTENSION postgres_fdw": "extension postgres_fdw is new",
    "ALTER TABLE app.users OWNER TO pgcx_api": "table app.users belongs to pgcx_api",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC": "on tables are PUBLIC: SELECT",
}


@pytest.fixture
def watched(server: ServerFactory) -> tuple[str, Server]:
    made = server(settings={"logging_collector": "on", "log_connections": "on", "log_directory": "log"})
    with psycopg.connect(made.dsn(), autocommit=True) as conn:
        conn.execute(SETUP.encode())
    return made.dsn(), made


def test_every_change_is_told_once(program: Program, watched: tuple[str, Server], tmp_path: Path) -> None:
    dsn, _ = watched
    state = str(tmp_path / "state.json")
    first = program("security", "watch", "--on", dsn, "--state", state)
    assert first.returncode == 0, first.stderr
    assert "first look" in first.stdout
    assert (tmp_path / "state.json").stat().st_mode & 0o77 == 0

    def look() -> list[dict[str, str]]:
        done = program("security", "watch", "--on", dsn, "--state", state, "--format", "json")
        assert done.stderr == ""
        data = json.loads(done.stdout)
        assert done.returncode == (1 if data["alarms"] else 0)
        return [a for a in data["alarms"] if a["kind"] != "login"]

    assert look() == []
    with psycopg.connect(dsn, autocommit=True) as conn:
        for sql, told in CHANGES.items():
            conn.execute(sql.encode())
            messages = [a["message"] for a in look()]
            assert any(told in m for m in messages), (sql, messages)
    assert look() == []


def test_logins_are_told_where_the_log_can_be_read_and_no_secret_is(program: Program, watched: tuple[str, Server], tmp_path: Path) -> None:
    dsn, made = watched
    state = tmp_path / "state.json"
    out = [program("security", "watch", "--on", dsn, "--state", state)]
    for password in ("wrong words", "wrong words", "other words"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(make_conninfo(dsn, user="pgcx_api", password=password))
    psycopg.connect(make_conninfo(dsn, user="pgcx_api", password="the secret of api")).close()
    psycopg.connect(make_conninfo(dsn, application_name="psql")).close()
    time.sleep(0.5)
    out.append(program("security", "watch", "--on", dsn, "--state", state))
    assert 'authentication failed for user "pgcx_api", 3 times' in " ".join(out[1].stdout.split())
    assert f"login: role {made.login.user}, which is privileged, logged in" in " ".join(out[1].stdout.split())
    assert "role pgcx_api, which is privileged" not in out[1].stdout
    out.append(program("security", "watch", "--on", dsn, "--state", state))
    assert "authentication failed" not in out[2].stdout
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("GRANT USAGE ON SCHEMA app TO pgcx_api")
    limited = make_conninfo(dsn, user="pgcx_api", password="the secret of api")
    out.append(program("security", "watch", "--on", limited, "--state", tmp_path / "other.json", "--format", "json"))
    unseen = {g["what"] for g in json.loads(out[3].stdout)["not_seen"]}
    assert "failed logins, and logins that have ended" in unseen
    assert "sessions of other roles" in unseen
    seen = "".join(o.stdout + o.stderr for o in out) + state.read_text() + (tmp_path / "other.json").read_text()
    assert not [secret for secret in ("the secret of api", "wrong words", "other words", made.login.password) if secret in seen]


@pytest.mark.parametrize("form", ["csvlog", "jsonlog"])
def test_logs_in_other_formats_are_read_as_well(program: Program, server: ServerFactory, tmp_path: Path, form: str) -> None:
    settings = {"logging_collector": "on", "log_connections": "on", "log_directory": "log", "log_destination": form}
    made, state = server(settings=settings), tmp_path / "state.json"
    with psycopg.connect(made.dsn(), autocommit=True) as conn:
        conn.execute('CREATE ROLE "pgcx ""api" LOGIN PASSWORD \'the secret of api\'')
    program("security", "watch", "--on", made.dsn(), "--state", state)
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(make_conninfo(made.dsn(), user='pgcx "api', password="wrong words"))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(make_conninfo(made.dsn(), user="pgcx_nobody"))
    psycopg.connect(make_conninfo(made.dsn(), application_name="psql")).close()
    with psycopg.connect(made.dsn(), autocommit=True) as conn, pytest.raises(psycopg.Error):
        conn.execute("SELECT 'a\nFATAL:  password authentication failed for user \"invented\"' FROM nowhere")
    time.sleep(0.5)
    done = program("security", "watch", "--on", made.dsn(), "--state", state, "--format", "json")
    alarms = [(a["kind"], a["object"], a["message"]) for a in json.loads(done.stdout)["alarms"]]
    failed = [(who, message) for kind, who, message in alarms if kind == "failed login"]
    assert ('pgcx "api', 'password authentication failed for user "pgcx "api", 2 times') in failed
    assert [who for who, _ in failed] == ['pgcx "api', "pgcx_nobody"]
    logins = [message for kind, _, message in alarms if kind == "login" and "logged in:" in message]
    assert [m for m in logins if m.endswith("application_name=psql")]
    assert "wrong words" not in done.stdout


def test_a_server_that_keeps_no_log_and_a_damaged_state(program: Program, database: str, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    done = program("security", "watch", "--on", database, "--state", state)
    assert "logging_collector is off" in " ".join(done.stdout.split())
    state.write_text('{"taken": 1}')
    damaged = program("security", "watch", "--on", database, "--state", state)
    assert damaged.returncode == 2
    assert f"rm {state}" in damaged.stderr
    assert program("security", "watch", "--on", database, "--state", tmp_path / "x" / "y.json", "--every", "soon").returncode == 2


def test_what_a_migration_did_is_no_alarm(program: Program, database: str, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    (tmp_path / "migrations").mkdir()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE one (id int); CREATE TABLE two (id int)")
    assert program("security", "watch", "--on", database, "--state", state, cwd=tmp_path).returncode == 0
    (tmp_path / "migrations" / "20260101000000_open.sql").write_text("GRANT SELECT ON one TO PUBLIC; UPDATE two SET id = 1;\n")
    applied = program("migrate", "up", "--on", database)
    assert applied.returncode == 0, applied.stderr
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("GRANT DELETE ON two TO PUBLIC")
    done = program("security", "watch", "--on", database, "--state", state, "--format", "json")
    data = json.loads(done.stdout)
    assert done.returncode == 1
    assert "privileges on table public.two are PUBLIC: DELETE" in [a["message"] for a in data["alarms"]]
    assert not [a for a in data["alarms"] if "public.one" in a["message"]]
    assert [(a["object"], a["migration"]) for a in data["explained"]] == [("table public.one", "20260101000000 open")]


def test_forever_is_a_line_of_json_for_every_look(program: Program, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("CREATE EXTENSION IF NOT EXISTS postgres_fdw")

    monkeypatch.setattr("pgcharter.cli.security_watch.time.sleep", sleep)
    words = ("security", "watch", "--on", database, "--state", tmp_path / "s.json", "--forever", "--every", "2min", "--format", "json")
    looks = [json.loads(line) for line in program(*words).stdout.splitlines()]
    assert pauses == [120.0] * 3
    assert [[a["kind"] for a in look["alarms"] if a["kind"] == "extension"] for look in looks] == [[], ["extension"], []]
