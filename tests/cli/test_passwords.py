"""`pgcharter policy passwords` on a real server: people get in, and the clear text is nowhere."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgcharter.cli.passwords import expiry
from pgcharter.db import passwords
from pgcharter.errors import RefusedError
from pgcharter.servers.lifecycle import Server

Program = Callable[..., Any]

API, REPORT = "correct horse battery", "pä ßwört-für-berichte"
CHARTER = """
[environments.dev]
dsn_env = "PASSWORDS_DB"
production = true

[roles]
readonly = "pgcw_reads"

[[roles.login]]
name = "pgcw_api"
member_of = ["readonly"]
password_env = "PGCW_API"
valid_until = 2026-01-01

[[roles.login]]
name = "pgcw report"
password_env = "PGCW_REPORT"

[[roles.login]]
name = "pgcw_none"
"""


@pytest.fixture
def place(major_server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.setenv("PASSWORDS_DB", database)
    monkeypatch.setenv("PGCW_API", API)
    monkeypatch.setenv("PGCW_REPORT", REPORT)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('CREATE ROLE pgcw_api LOGIN; CREATE ROLE "pgcw report" LOGIN; CREATE ROLE pgcw_none LOGIN')
        for sql in ("ALTER SYSTEM SET log_statement = 'all'", "ALTER SYSTEM SET password_encryption = 'md5'", "SELECT pg_reload_conf()"):
            conn.execute(sql.encode())
        yield tmp_path
        for sql in ("ALTER SYSTEM RESET log_statement", "ALTER SYSTEM RESET password_encryption", "SELECT pg_reload_conf()"):
            conn.execute(sql.encode())
        for (role,) in conn.execute("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname ^@ 'pgcw'").fetchall():
            conn.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_who_has_the_password_gets_in_and_it_is_nowhere_else(
    program: Program, place: Path, database: str, major_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = program("policy", "passwords", cwd=place)
    assert refused.returncode == 4
    done = program("policy", "passwords", "--confirm", "dev")
    assert done.returncode == 0, done.stderr
    assert "pgcw_api · password set from PGCW_API" in done.stdout
    assert "worth nothing since 2026-01-01" in done.stdout
    with psycopg.connect(make_conninfo(database, user="pgcw_api", password=API)) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("pgcw_api",)
    psycopg.connect(make_conninfo(database, user="pgcw report", password=REPORT)).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(make_conninfo(database, user="pgcw_api", password=API + "x"))
    with psycopg.connect(database) as conn:
        rows = conn.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolname ^@ 'pgcw' ORDER BY 1").fetchall()
    assert [(name, (text or "none")[:13]) for name, text in rows] == [
        ("pgcw report", "SCRAM-SHA-256"), ("pgcw_api", "SCRAM-SHA-256"), ("pgcw_none", "none"),
    ]  # fmt: skip
    again = program("policy", "passwords", "--confirm", "dev", "--login", "pgcw_api", "--format", "json")
    assert '"unchanged"' in again.stdout
    applied = program("policy", "apply", "--yes", "--confirm", "dev")
    assert applied.returncode == 0, applied.stderr
    with psycopg.connect(database) as conn:
        ledger = [str(conn.execute(f"SELECT array_agg(t::text) FROM pgcharter.{table} t".encode()).fetchone())
                  for table in ("schema_migrations", "managed_objects")]  # fmt: skip
    files = [p.read_text() for p in (place / "migrations").iterdir()]
    assert "pgcw_api" in ledger[0]
    assert "pgcw_api" in files[0]
    log = major_server.log.read_text(errors="replace")
    assert "pg_authid" in log, "the log is read, and holds the statements"
    seen = [
        refused.stdout,
        refused.stderr,
        done.stdout,
        done.stderr,
        again.stdout,
        again.stderr,
        caplog.text,
        log,
        applied.stdout,
        applied.stderr,
        *ledger,
        *files,
    ]
    for secret in (API, REPORT, rows[0][1], rows[1][1]):
        assert [text for text in seen if secret in text] == []


@pytest.mark.parametrize(
    ("value", "said"),
    [("", "is empty"), ("short", "has 5 characters"), ("pgcw report ", "white space"), ("SCRAM-SHA-256$4096:x$y:z", "not a password")],
)
def test_bad_passwords_are_refused_and_none_is_set(program: Program, place: Path, database: str, value: str, said: str) -> None:
    done = program("policy", "passwords", "--confirm", "dev", cwd=place, PGCW_REPORT=value)
    assert done.returncode == 4
    assert said in done.stderr
    assert value.strip() in ("", "pgcw report") or value not in done.stderr
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM pg_authid WHERE rolname ^@ 'pgcw' AND rolpassword IS NOT NULL").fetchone() == (0,)


def test_what_is_not_there_is_said_and_none_is_set(program: Program, place: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("policy", "passwords", "--login", "pgcw_none", "--confirm", "dev", cwd=place).returncode == 2
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('ALTER ROLE "pgcw report" NOLOGIN')
    done = program("policy", "passwords", "--confirm", "dev")
    assert done.returncode == 4
    assert "may not log in: no password was changed" in done.stderr
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'pgcw_api'").fetchone() == (None,)
        with pytest.raises(RefusedError, match="no SCRAM verifier"):
            passwords.store(conn, "pgcw_api", "clear text")
    monkeypatch.delenv("PGCW_API")
    missing = program("policy", "passwords", "--confirm", "dev")
    assert missing.returncode == 2
    assert "PGCW_API, which is not set" in missing.stderr


def test_expiry_is_told_when_it_is_near_or_past() -> None:
    today = datetime.date(2026, 5, 1)
    assert expiry(None, today) == ""
    assert expiry(datetime.date(2026, 8, 1), today) == ""
    assert expiry(datetime.date(2026, 5, 2), today) == "expires on 2026-05-02, in 1 day"
    assert expiry(datetime.date(2026, 5, 1), today) == "has been worth nothing since 2026-05-01"
