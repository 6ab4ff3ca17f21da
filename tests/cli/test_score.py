"""`pgcharter score` as a user calls it: rules, policies, health and kept evidence in one scorecard, and what has changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter.findings import Evidence
from pgcharter.servers.scratch import kept
from pgcharter.watch import evidence

Program = Callable[..., Any]

CHARTER = """
guide = "ours.toml"

[environments.dev]
dsn_env = "SCORE_DB"

[idempotency]

[evidence]
"""
GUIDE = """
id = "ours"
title = "Ours"

[[clause]]
id = "A1"
section = "Keys"
text = "Every table has a primary key"
rules = ["KEY01"]

[[clause]]
id = "A2"
section = "Requests"
text = "A request that comes twice is done once"
proof = "probe"
evidence = ["policy.idempotency"]

[[clause]]
id = "A3"
section = "Operation"
text = "The server can be written to"
proof = "probe"
evidence = ["health.server.reachable"]

[[clause]]
id = "A4"
section = "Operation"
text = "Recovery is rehearsed"
proof = "drill"
evidence = ["backup.drill"]

[[clause]]
id = "A5"
section = "Operation"
text = "People are kind"
proof = "document"
reason = "no server knows"
"""


@pytest.fixture(autouse=True, scope="module")
def one_scratch_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def project(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    (tmp_path / "ours.toml").write_text(GUIDE)
    monkeypatch.setenv("SCORE_DB", database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE orders (id int)")
    return tmp_path


def states(program: Program, *more: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    done = program("score", "--format", "json", *more)
    data = json.loads(done.stdout)
    return done.returncode, {c["id"]: c["state"] for c in data["clauses"]}, data


def test_from_nothing_to_all(program: Program, project: Path, database: str) -> None:
    done = program("score", cwd=project)
    assert done.returncode == 1
    assert "1 step from what is declared" in " ".join(done.stdout.split()) or "steps from what is declared" in " ".join(done.stdout.split())
    assert "not kept as evidence: relation" in done.stderr
    assert program("policy", "apply", "--yes").returncode == 0
    code, found, _ = states(program)
    assert (code, found) == (1, {"A1": "broken", "A2": "holds", "A3": "holds", "A4": "unproven", "A5": "unproven"})
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
        now = datetime.now(UTC)
        evidence.record(conn, [Evidence("backup.drill", True, "4 tables equal", now - timedelta(days=2), now + timedelta(days=5))])
    code, found, data = states(program)
    assert (code, found) == (0, {"A1": "holds", "A2": "holds", "A3": "holds", "A4": "holds", "A5": "unproven"})
    assert [b["totals"]["holds"] for b in data["before"]] == [2]
    assert "4 tables equal" in next(c["reason"] for c in data["clauses"] if c["id"] == "A4")
    with psycopg.connect(database, autocommit=True) as conn:
        evidence.record(conn, [Evidence("backup.drill", False, "2 rows differ", datetime.now(UTC))])
    done = program("score", "--no-look")
    assert done.returncode == 1
    assert "A4 held, is broken" in done.stdout
    assert "backup.drill: 2 rows differ" in done.stdout


def test_nothing_is_kept_unasked(program: Program, project: Path, database: str) -> None:
    assert program("policy", "apply", "--yes", cwd=project).returncode == 0
    assert states(program, "--no-record")[0] == 1
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM pgcharter.scores").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM pgcharter.evidence").fetchone() == (0,)


def test_what_was_proven_ends_on_its_day(program: Program, project: Path, database: str) -> None:
    assert program("policy", "apply", "--yes", cwd=project).returncode == 0
    with psycopg.connect(database, autocommit=True) as conn:
        old = datetime.now(UTC) - timedelta(days=9)
        evidence.record(conn, [Evidence("backup.drill", True, "4 tables equal", old, old + timedelta(days=7))])
    _, found, data = states(program)
    assert found["A4"] == "unproven"
    assert "which counted until" in next(c["reason"] for c in data["clauses"] if c["id"] == "A4")


def test_verifying_policies_is_evidence(program: Program, project: Path, database: str) -> None:
    assert program("policy", "apply", "--yes", cwd=project).returncode == 0
    assert program("policy", "verify").returncode == 0
    with psycopg.connect(database, autocommit=True) as conn:
        assert [(e.name, e.holds) for e in evidence.newest(conn)] == [("policy.evidence", True), ("policy.idempotency", True)]
        conn.execute("ALTER TABLE pgcharter.idempotency_keys DROP COLUMN answer")
    assert program("policy", "verify").returncode == 1
    with psycopg.connect(database) as conn:
        assert not evidence.newest(conn, ["policy.idempotency"])[0].holds
