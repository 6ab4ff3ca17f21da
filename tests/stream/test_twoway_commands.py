"""Copies both ways as an operator has them, with the charter of the how-to page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.stream.copying import own_tables, wait
from tests.stream.twoway_ground import SETTINGS

from pgcharter.servers import lifecycle

PAGE = Path(__file__).parents[2] / "docs/how-to/sync.md"
TABLE = """
CREATE SCHEMA shop; CREATE TYPE shop.kind AS ENUM ('a', 'b');
CREATE TABLE shop.stock (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind shop.kind, at int REFERENCES shop.stock, "n N" serial);
INSERT INTO shop.stock (kind) SELECT 'a' FROM generate_series(1, 20)
"""


class Project:
    def __init__(self, here: str, there: str, folder: Path) -> None:
        self.here, self.there, self.folder = here, there, folder
        block = re.search(r"```toml\n(\[\[sync\.two_way\]\]\n.*?)```", PAGE.read_text(), re.DOTALL)
        assert block is not None
        text = '[environments.dev]\ndsn_env = "HERE_DB"\n\n[sync]\nheartbeat = "1s"\n\n' + block[1]
        (folder / "pgcharter.toml").write_text(text)
        self.environment = {**os.environ, "HERE_DB": here, "BRANCH_DB": there}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pgcharter", "sync", *words]

    def run(self, *words: str, code: int | None = 0) -> str:
        done = subprocess.run(self.command(*words), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)
        assert code in (None, done.returncode), done
        return done.stdout + done.stderr

    def data(self, *words: str, code: int) -> Any:
        return json.loads(self.run(*words, "--format", "json", code=code))

    def rows(self, dsn: str) -> Any:
        with psycopg.connect(dsn) as conn:
            return conn.execute("SELECT * FROM shop.stock ORDER BY id").fetchall()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with lifecycle.start_ephemeral(installation(18), settings=SETTINGS) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE here")
            conn.execute("CREATE DATABASE there")
        yield Project(server.dsn("here"), server.dsn("there"), tmp_path)


def test_from_init_to_reconcile(project: Project) -> None:
    with psycopg.connect(project.here, autocommit=True) as here:
        here.execute(TABLE)
        own_tables(project.here)
        assert "was not begun: pgcharter sync init" in project.run("status", code=1)
        said = project.run("init", "--yes")
        assert "there: CREATE TABLE shop.stock" in said
        assert project.rows(project.there) == project.rows(project.here)
        assert "begun already" in project.run("init")
        with psycopg.connect(project.there, autocommit=True) as there:
            there.execute("UPDATE shop.stock SET kind = 'b' WHERE id = 1; DELETE FROM shop.stock WHERE id = 2")
            worker = subprocess.Popen(
                project.command("run"), cwd=project.folder, env=project.environment, stderr=subprocess.PIPE, text=True
            )
            try:
                wait(lambda: project.rows(project.here)[0][1] == "b")
                here.execute("UPDATE shop.stock SET kind = 'b' WHERE id = 3")
                wait(lambda: project.rows(project.there) == project.rows(project.here))
                wait(lambda: project.run("status", code=1).count(": running") == 2)
                found = project.data("status", code=1)["two_way"][0]
                assert (found["name"], found["out"]["state"], found["back"]["state"]) == ("branch", "running", "running")
                assert all("max_slot_wal_keep_size" in p for p in found["problems"]), found
                project.run("reconcile")
                there.execute("SET session_replication_role = replica; SELECT pg_replication_origin_create('stray')")
                there.execute("SELECT pg_replication_origin_session_setup('stray')")
                there.execute("UPDATE shop.stock SET kind = 'a' WHERE id = 3; DELETE FROM shop.stock WHERE id = 4")
                (found,) = project.data("reconcile", "branch", code=1)["two_way"]
                assert (found["table"], found["keys"]) == ("shop.stock", [["3"], ["4"]])
                project.run("reconcile", "branch", "--repair")
                wait(lambda: project.rows(project.there) == project.rows(project.here))
                assert "stop the worker first" in project.run("init", "--anew", "--yes", code=4)
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(20) in (128 + signal.SIGTERM, -signal.SIGTERM)
            finally:
                worker.kill()
                worker.communicate()
        with psycopg.connect(project.there, autocommit=True) as there:
            assert "has rows already" in project.run("init", "--anew", "--yes", code=4)
            there.execute("TRUNCATE shop.stock")
            project.run("init", "--yes")
            assert project.rows(project.there) == project.rows(project.here)
            there.execute("UPDATE shop.stock SET kind = 'a' WHERE id = 1")
            project.run("run", "--once")
            assert project.rows(project.there) == project.rows(project.here)
            assert len(project.rows(project.here)) == 19, "the tables there were emptied before copying began"


def test_what_stands_in_the_way_is_said(project: Project) -> None:
    with psycopg.connect(project.here, autocommit=True) as here:
        here.execute(TABLE)
        own_tables(project.here)
        with psycopg.connect(project.there, autocommit=True) as there:
            there.execute("CREATE SCHEMA shop; CREATE TABLE shop.stock (id int PRIMARY KEY, kind text)")
        assert "shop.stock has other columns there than here" in project.run("init", "--yes", code=4)
        assert "was not begun" in project.run("run", code=4)
        del project.environment["BRANCH_DB"]
        assert "BRANCH_DB is not set" in project.run("status", code=2)
