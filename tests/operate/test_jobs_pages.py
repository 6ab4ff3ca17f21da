"""The charters and commands of docs/how-to/jobs.md and upkeep.md work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from tests.policy.planned import applied

from pgcharter.charter import read
from pgcharter.cli.group import pgcharter
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.operate.upkeep_settings import SECTION as UPKEEP
from pgcharter.policy import evidence, jobs
from pgcharter.policy.evidence_settings import EvidenceSection
from pgcharter.policy.jobs_settings import SECTION as JOBS
from pgcharter.policy.jobs_settings import JobsSection

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"


def page(name: str) -> tuple[str, list[list[str]]]:
    """The charter and the commands of a page."""
    text = (PAGES / name).read_text(encoding="utf-8")
    [charter] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    return charter, [shlex.split(line)[1:] for line in re.findall(r"^\$ (pgcharter .*)$", text, re.MULTILINE)]


def ready(dsn: str, folder: Path, charter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pgcharter.toml").write_text(charter + '\n[evidence]\n\n[environments.here]\ndsn_env = "HERE"\n')
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HERE", dsn)
    applied(dsn, planning.make(Wish("", dsn, chosen=Chosen((jobs.policy(JobsSection()), evidence.policy(EvidenceSection()))))))
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE orders (id int PRIMARY KEY, state text, sent_at timestamptz)")
        conn.execute("INSERT INTO orders SELECT n, 'sent', '2020-01-01' FROM generate_series(1, 60) n")
        conn.execute("SELECT pg_stat_force_next_flush()")


def called(words: list[str]) -> Any:
    found = CliRunner().invoke(pgcharter, words, catch_exceptions=False, standalone_mode=False)
    return found.return_value, found.output


def asked(dsn: str, sql: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(sql.encode()).fetchall()


def test_jobs(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charter, commands = page("jobs.md")
    ready(database, tmp_path, charter, monkeypatch)
    assert len(read(tmp_path / "pgcharter.toml", sections=[JOBS], others=True).section(JOBS).job) == 3
    forever, *others = commands
    scheduler = subprocess.Popen([sys.executable, "-m", *["pgcharter", *forever]], stderr=subprocess.PIPE, text=True)
    assert scheduler.stderr is not None
    assert "3 jobs" in scheduler.stderr.readline()
    scheduler.terminate()
    scheduler.communicate()
    assert scheduler.returncode == 0
    said = {" ".join(words): called(words) for words in others}
    assert {k: v for k, v in said.items() if v[0]} == {}
    assert "UPDATE 60" in said["jobs history close-orders --output"][1]
    assert asked(database, "SELECT DISTINCT state FROM orders") == [("closed",)]
    assert asked(database, "SELECT name, holds FROM pgcharter.evidence") == [("jobs.close-orders", True)]
    assert '"state": "succeeded"' in called(["jobs", "list", "--format", "json"])[1]
    assert '"exit_code": 0' in called(["jobs", "history", "--format", "json"])[1]


def test_upkeep(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charter, commands = page("upkeep.md")
    ready(database, tmp_path, charter, monkeypatch)
    assert read(tmp_path / "pgcharter.toml", sections=[UPKEEP], others=True).section(UPKEEP).bloat == 50
    assert [called(words)[0] for words in commands] == [1, 0]
    assert "nothing is to be done" in called(["upkeep", "plan"])[1]
    assert '"steps": []' in called(["upkeep", "plan", "--format", "json"])[1]
    assert asked(database, "SELECT DISTINCT holds FROM pgcharter.evidence WHERE name LIKE 'upkeep.%'") == [(True,)]
