"""`pgcharter audit` as a user calls it, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import ServerFactory, lacking

from pgcharter.migrate import audit_status, planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit
from pgcharter.policy.audit_settings import AuditSection

Program = Callable[..., Any]
CHARTER = """
[environments.dev]
dsn_env = "AUDIT_DB"
production = true

[audit]
tables = ["app.orders"]
retention_months = 24
pgaudit = ["ddl", "role"]
"""


@pytest.fixture
def shop(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.setenv("AUDIT_DB", database)
    monkeypatch.chdir(tmp_path)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.orders (id int PRIMARY KEY, v text)")
        made = planning.make(Wish("", database, chosen=Chosen((audit.policy(AuditSection(tables=("app.orders",))),)), prove=False))
        for step in made.plan.steps:
            conn.execute(step.sql.encode())
        yield conn


def test_a_day_with_the_trail(shop: Any, program: Program, tmp_path: Path) -> None:
    shop.execute("SET pgcharter.actor = 'ann'; INSERT INTO app.orders VALUES (1, 'a'), (2, 'b')")
    (then,) = shop.execute("SELECT clock_timestamp()").fetchone()
    shop.execute("UPDATE app.orders SET v = 'é' WHERE id = 1; DELETE FROM app.orders WHERE id = 2; INSERT INTO app.orders VALUES (3, 'c')")
    said = program("audit", "log", "--env", "dev", "--table", "app.orders", "--key", '{"id": 1}')
    assert said.returncode == 0
    assert 'v: "a" → "é"' in said.stdout
    assert "INSERT app.orders" in said.stdout
    data = json.loads(program("audit", "log", "--env", "dev", "--actor", "ann", "--format", "json", "--limit", "2").stdout)
    assert [(e["operation"], e["key"], e["actor"]) for e in data] == [("DELETE", {"id": 2}, "ann"), ("INSERT", {"id": 3}, "ann")]
    one = json.loads(program("audit", "show", str(data[0]["number"]), "--env", "dev", "--format", "json").stdout)
    assert one == data[0]
    assert "session_role" in program("audit", "show", str(data[0]["number"]), "--env", "dev").stdout
    rows = program("audit", "as-of", "app.orders", then.isoformat(), "--env", "dev").stdout.splitlines()
    assert sorted(map(json.loads, rows), key=lambda r: r["id"]) == [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
    differ = json.loads(program("audit", "diff", "app.orders", then.isoformat(), "--env", "dev", "--format", "json").stdout)
    assert sorted(differ, key=str) == sorted(
        [
            {"before": {"id": 1, "v": "a"}, "after": {"id": 1, "v": "é"}},
            {"before": {"id": 2, "v": "b"}, "after": None},
            {"before": None, "after": {"id": 3, "v": "c"}},
        ],
        key=str,
    )
    assert 'id 1  v: "a" → "é"' in program("audit", "diff", "app.orders", then.isoformat(), "--env", "dev").stdout

    assert program("audit", "status", "--env", "dev", "--window", "0").returncode == 1
    assert "5 rows sealed" in program("audit", "seal", "--env", "dev").stdout
    assert program("audit", "status", "--env", "dev", "--window", "0").returncode == 0
    assert program("audit", "head", "--env", "dev", "--to", tmp_path / "head.json").returncode == 0
    assert program("audit", "verify", "--env", "dev", "--head", tmp_path / "head.json").returncode == 0
    (month,) = shop.execute("SELECT min(tableoid)::regclass::text FROM pgcharter.audit_log").fetchone()
    shop.execute(f"ALTER TABLE {month} DISABLE TRIGGER ALL")
    shop.execute("DELETE FROM pgcharter.audit_log WHERE number = 2")
    said = program("audit", "verify", "--env", "dev")
    assert said.returncode == 1
    assert "row 2 was removed" in said.stdout
    assert program("audit", "retire", "--env", "dev").returncode == 4
    assert "nothing is older than 24 months" in program("audit", "retire", "--env", "dev", "--confirm", "dev").stdout


def test_what_goes_wrong_is_said(shop: Any, program: Program) -> None:
    lacking = program("audit", "settings", "--env", "dev")
    assert lacking.returncode == 1
    assert "ALTER SYSTEM SET shared_preload_libraries = pgaudit;" in lacking.stdout
    assert "restart, ask again for ddl, role" in lacking.stdout
    assert program("audit", "head", "--env", "dev").returncode == 3
    for words, said in (
        (("log", "--key", "nonsense"), "is no key"),
        (("show", "4711"), "there is no entry 4711"),
        (("as-of", "app.nowhere", "2027-01-01"), "there is no such table"),
        (("as-of", "app.orders", "yesterday"), "is no time"),
    ):
        done = program("audit", *words, "--env", "dev")
        assert done.returncode == 2
        assert said in done.stderr
    shop.execute("ALTER TABLE app.orders DISABLE TRIGGER ALL")
    done = program("audit", "status", "--env", "dev")
    assert done.returncode == 1
    assert "the trigger of app.orders is not always on" in done.stdout
    shop.execute("ALTER TABLE app.orders ENABLE TRIGGER ALL; DROP TABLE pgcharter.audit_log_unplaced")


def test_what_pgaudit_logs() -> None:
    for setting, classes in (
        ("", set()), ("none", set()), ("Read, -read, WRITE", {"write"}), ("all", set(audit_status.CLASSES)), ("misc, all, -all", set()),
        ("all, -misc", set(audit_status.CLASSES) - {"misc"}), ("-misc, all", set(audit_status.CLASSES)),
    ):  # fmt: skip
        assert audit_status.logs(setting) == classes, setting


def test_settings_against_the_real_extension(server_of: Any, server: ServerFactory) -> None:
    """What is said to be lacking can be run as it stands, and is lacking no more."""
    with psycopg.connect(server_of(15).dsn()) as conn:
        if not conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pgaudit'").fetchone():
            lacking("this PostgreSQL 15 has no pgaudit")
    own = server(15, settings={"shared_preload_libraries": "pgaudit"})
    with psycopg.connect(own.dsn(), autocommit=True) as conn:
        for wanted, setting in ((("ddl", "role"), "ddl, role"), (("read",), "ddl, read, role"), (("all",), "all")):
            for one in audit_status.pgaudit(conn, wanted):
                for statement in one.remedy.split("; "):
                    conn.execute(statement.encode())
            with psycopg.connect(own.dsn(), autocommit=True) as later:
                assert audit_status.pgaudit(later, wanted) == []
                (now,) = later.execute("SHOW pgaudit.log").fetchone() or ("",)
                assert sorted(now.split(", ")) == setting.split(", ")
        conn.execute("CREATE TABLE proof (id int)")
        assert "AUDIT: SESSION" in own.log.read_text()
