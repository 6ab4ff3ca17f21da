"""`pgcharter policy` as a user calls it, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import kept

Program = Callable[..., Any]

CHARTER = """
[environments.dev]
dsn_env = "POLICY_DB"
production = true

[roles]
owner = "pgct_shop_owner"
readonly = "pgct_shop_reads"
schemas = ["app"]

[[roles.login]]
name = "pgct_shop_api"
member_of = ["readonly"]
"""


@pytest.fixture(autouse=True, scope="module")
def one_scratch_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def shop(major_server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.setenv("POLICY_DB", database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.orders (id int)")
    yield tmp_path
    with psycopg.connect(database, autocommit=True) as conn:
        for (role,) in conn.execute("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname ^@ 'pgct_shop'").fetchall():
            conn.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}".encode())
    assert major_server


def test_declared_applied_verified_and_taken_back(program: Program, shop: Path) -> None:
    assert program("policy", "verify", cwd=shop).returncode == 1
    refused = program("policy", "apply", "--yes")
    assert refused.returncode == 4
    assert "--confirm dev" in refused.stderr
    assert not (shop / "migrations").exists()
    applied = program("policy", "apply", "--yes", "--confirm", "dev")
    assert applied.returncode == 0, applied.stderr
    assert "CREATE ROLE pgct_shop_api LOGIN" in applied.stdout
    assert "already exists" not in applied.stdout + applied.stderr
    assert [p.name.split("_", 1)[1] for p in (shop / "migrations").iterdir()] == ["policies.sql"]
    verified = program("policy", "verify")
    assert verified.returncode == 0
    assert verified.stdout == "✔ roles · in place\n"
    again = program("policy", "apply", "--yes", "--confirm", "dev")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert program("migrate", "down", "--confirm", "dev").returncode == 0
    assert program("policy", "verify").returncode == 1


def test_drift_of_what_a_policy_made_is_told_with_the_policy(program: Program, shop: Path, database: str) -> None:
    assert program("policy", "apply", "--yes", "--confirm", "dev", cwd=shop).returncode == 0
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("GRANT DELETE ON app.orders TO PUBLIC; ALTER ROLE pgct_shop_api CREATEDB; CREATE TABLE app.more (id int)")
    found = program("policy", "verify")
    assert found.returncode == 1
    assert "alter role pgct_shop_api" in found.stdout
    assert "table app.orders" in found.stdout
    data = json.loads(program("policy", "verify", "--format", "json").stdout)
    assert {d["policy"] for d in data["differs"]} == {"roles"}
    shown = program("policy", "show")
    assert shown.returncode == 0
    assert "3 roles" in shown.stdout


def test_pending_files_come_first(program: Program, shop: Path) -> None:
    assert program("new", "add more", cwd=shop).returncode == 0
    done = program("policy", "apply", "--yes", "--confirm", "dev")
    assert done.returncode == 4
    assert "pgcharter migrate up" in done.stderr


def test_what_the_charter_no_longer_declares_is_taken_out(program: Program, shop: Path, database: str) -> None:
    assert program("policy", "apply", "--yes", "--confirm", "dev", cwd=shop).returncode == 0
    (shop / "pgcharter.toml").write_text(CHARTER.split("[roles]")[0])
    gone = program("policy", "apply", "--yes", "--confirm", "dev", "--name", "no_policies")
    assert gone.returncode == 0, gone.stderr
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM pg_roles WHERE rolname ^@ 'pgct_shop'").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM pgcharter.managed_objects").fetchone() == (0,)
    assert "no policy is declared" in program("policy", "show").stdout


def test_a_mistake_in_the_charter_has_its_place(program: Program, shop: Path) -> None:
    (shop / "pgcharter.toml").write_text(CHARTER.replace('["readonly"]', '["admin"]'))
    done = program("policy", "show", cwd=shop)
    assert done.returncode == 2
    assert "pgcharter.toml:6" in done.stderr
    assert "login pgct_shop_api is admin" in done.stderr


def test_drift_names_the_policy(program: Program, shop: Path, database: str) -> None:
    (shop / "wanted.sql").write_text("CREATE SCHEMA app; CREATE TABLE app.orders (id int);")
    (shop / "pgcharter.toml").write_text(CHARTER + '\n[plan]\nwanted = "wanted.sql"\n')
    (shop / "migrations").mkdir()
    (shop / "migrations" / "20260101000000_first.sql").write_text("-- migrate:up\nCREATE SCHEMA app;\nCREATE TABLE app.orders (id int);\n")
    assert program("migrate", "baseline", "20260101000000", "--confirm", "dev", "--yes", cwd=shop).returncode == 0
    applied = program("policy", "apply", "--yes", "--confirm", "dev")
    assert applied.returncode == 0, applied.stderr
    clean = program("migrate", "drift")
    assert clean.returncode == 0, clean.stdout
    assert program("plan", "--on", "env:POLICY_DB").returncode == 0, "the record of policies is read there too"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("GRANT DELETE ON app.orders TO PUBLIC")
    drifted = program("migrate", "drift", "--format", "json")
    assert drifted.returncode == 1
    assert [(d["cause"], d["policy"], d["field"]) for d in json.loads(drifted.stdout)["drift"]] == [("by hand", "roles", "acl")]


FIRST = """-- migrate:up
CREATE SCHEMA app;
CREATE TABLE app.orders (id int, remark text);
CREATE FUNCTION app.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
"""


def test_all_that_the_charter_declares_is_what_is_wanted(program: Program, shop: Path, database: str) -> None:
    """Stored code and renames of `[plan]` count wherever the wanted side is asked for: nothing of them is dropped, reported or undone."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("ALTER TABLE app.orders ADD note text; CREATE FUNCTION app.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'")
    (shop / "wanted.sql").write_text("CREATE SCHEMA app; CREATE TABLE app.orders (id int,\n    remark text -- renamed from note\n);")
    (shop / "code").mkdir()
    (shop / "code" / "twice.sql").write_text("CREATE FUNCTION app.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';")
    (shop / "pgcharter.toml").write_text(CHARTER + '\n[plan]\nwanted = "wanted.sql"\ncode = "code"\n')
    applied = program("policy", "apply", "--yes", "--confirm", "dev", cwd=shop)
    assert "DROP FUNCTION app.twice" not in applied.stdout
    assert "RENAME COLUMN note TO remark" in applied.stdout
    assert applied.returncode == 4, "the rename has a gate"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("DROP TABLE app.orders CASCADE; CREATE TABLE app.orders (id int, remark text)")
    for old in (shop / "migrations").iterdir():
        old.unlink()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("DROP SCHEMA pgcharter CASCADE")
    (shop / "migrations" / "20260101000000_first.sql").write_text(FIRST)
    assert program("migrate", "baseline", "20260101000000", "--confirm", "dev", "--yes").returncode == 0
    again = program("policy", "apply", "--yes", "--confirm", "dev")
    assert again.returncode == 0, again.stderr
    assert program("policy", "verify").stdout == "✔ roles · in place\n"
    drift = program("migrate", "drift")
    assert drift.returncode == 0, drift.stdout
    tried = program("migrate", "verify", "--try", "--all")
    assert "do not lead" not in tried.stdout + tried.stderr, tried.stdout
