"""`pgcharter partitions` and `pgcharter retention` as people and jobs call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.cli.conftest import program as program
from tests.policy.planned import applied

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import evidence, retention
from pgcharter.policy.evidence_settings import EvidenceSection
from pgcharter.policy.retention_settings import RetentionSection

CHARTER = """
[environments.production]
dsn_env = "PRODUCTION_URL"
production = true

[evidence]

[[retention.partition]]
table = "app.events"
keep = "3 months"
how = "csv"
to = "archive"

[[retention.rule]]
tables = ["app.logs"]
column = "at"
keep = "90d"
"""


def execute(dsn: str, sql: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        done = conn.execute(sql.encode())
        return done.fetchall() if done.description else []


@pytest.fixture
def project(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    execute(
        database,
        """CREATE SCHEMA app; CREATE TABLE app.events (at timestamptz NOT NULL) PARTITION BY RANGE (at);
        CREATE TABLE app.old PARTITION OF app.events FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
        INSERT INTO app.events VALUES ('2020-01-15'); CREATE TABLE app.logs (id int PRIMARY KEY, at timestamptz NOT NULL);
        INSERT INTO app.logs SELECT n, now() - n * interval '1 day' FROM generate_series(1, 100) n""",
    )
    chosen = (evidence.policy(EvidenceSection()), retention.policy(RetentionSection()))
    applied(database, planning.make(Wish("", database, chosen=Chosen(chosen), prove=False)))
    monkeypatch.setenv("PRODUCTION_URL", database)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_partitions(program: Any, project: Path, database: str) -> None:
    planned = program("partitions", "plan")
    assert planned.returncode == 1
    assert "take out app.old: all of it is older than 3 months" in planned.stdout
    assert "app.events · 0 of 3 ahead" in planned.stdout
    assert execute(database, "SELECT holds FROM pgcharter.evidence WHERE name = 'partitions.app.events'") == [(False,)]
    assert program("partitions", "run", "--yes").returncode == 4
    done = program("partitions", "run", "--yes", "--confirm", "production", "--format", "json")
    assert done.returncode == 0
    (table,) = json.loads(done.stdout)["tables"]
    assert [a["kind"] for a in table["actions"]] == ["create"] * 7 + ["detach", "release"]
    assert (project / "archive" / "app.old.csv").read_text() == '"2020-01-15 00:00:00+00"\n'
    sql = "SELECT holds, seen FROM pgcharter.evidence WHERE name = 'partitions.app.events' ORDER BY proven_at DESC LIMIT 1"
    assert execute(database, sql) == [(True, "3 partitions are ready ahead, none is older than 3 months")]
    assert execute(database, "SELECT table_name, action, rows_gone FROM pgcharter.retention_runs") == [("old", "file", 1)]
    assert program("partitions", "plan").returncode == 0
    listed = program("partitions", "list")
    assert listed.stdout.count("app.events_y") == 7
    assert program("partitions", "list", "--table", "app.nothing").returncode == 2


def test_retention(program: Any, project: Path, database: str) -> None:
    planned = program("retention", "plan")
    assert planned.returncode == 1
    assert "app.logs: 11 rows are older than 90d by at and are moved to app.logs_archive" in planned.stdout
    assert "CREATE TABLE app.logs_archive" in planned.stdout
    assert program("retention", "hold", "app.logs", "--column", "id", "--value", "95", "--reason", "case 1").returncode == 0
    assert program("retention", "hold", "app.logs", "--column", "id", "--reason", "case 1").returncode == 2
    assert program("retention", "run", "--yes").returncode == 4
    done = program("retention", "run", "--yes", "--confirm", "production")
    assert done.returncode == 0
    assert "app.logs: 10 rows left in 1 batches" in done.stdout
    assert execute(database, "SELECT array_agg(id) FROM app.logs WHERE id >= 90") == [([95],)]
    sql = "SELECT holds FROM pgcharter.evidence WHERE name = 'retention.app.logs' ORDER BY proven_at"
    assert execute(database, sql) == [(False,), (True,)]
    said = program("retention", "status")
    assert "app.logs where id is '95' is held: case 1" in said.stdout
    assert "10 rows" in said.stdout
    status = json.loads(program("retention", "status", "--format", "json").stdout)
    assert (status["left"][0]["rows"], status["holds"][0]["value"]) == (10, "95")
    assert program("retention", "release", "case 1", "--confirm", "production").returncode == 0
    assert program("retention", "release", "case 1", "--confirm", "production").returncode == 2
    data = json.loads(program("retention", "run", "--yes", "--confirm", "production", "--format", "json").stdout)
    assert data["tables"][0]["rows"] == 1
