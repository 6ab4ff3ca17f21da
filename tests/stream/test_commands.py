"""`pgcharter sync` as an operator calls it: two PostgreSQL databases, the second a copy."""

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
from tests.stream.copying import own_tables, wait

PAGE = Path(__file__).parents[2] / "docs/how-to/sync.md"
"""Its charter is the one that is used here, and its commands are those that are run."""


class Project:
    def __init__(self, source: str, folder: Path, slot: str) -> None:
        self.source, self.folder, self.slot = source, folder, slot
        page = PAGE.read_text()
        charter = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
        assert charter is not None
        text = charter[1].replace('"shop_sync"', f'"{slot}"').replace("[sync]\n", '[sync]\nheartbeat = "1s"\n')
        (folder / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SOURCE_DB"\n\n' + text)
        self.commands = set(re.findall(r"^(?:pgcharter )?sync (\w+)|`(?:pgcharter sync )?(pause|resume|reset) search", page, re.MULTILINE))
        with psycopg.connect(source, autocommit=True) as conn:
            conn.execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, status text NOT NULL, total int, note text)")
            conn.execute("INSERT INTO shop.orders SELECT i, 'a', i, 'private' FROM generate_series(1, 50) i")
            conn.execute(f"CREATE DATABASE {slot}_copy".encode())
        self.copy = psycopg.conninfo.make_conninfo(source, dbname=f"{slot}_copy")
        self.environment = {**os.environ, "SOURCE_DB": source, "SEARCH_DB": self.copy}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pgcharter", "sync", *words]

    def run(self, *words: str, code: int | None = 0) -> str:
        done = subprocess.run(self.command(*words), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)
        assert code in (None, done.returncode), done
        return done.stdout + done.stderr

    def status(self, code: int) -> Any:
        return json.loads(self.run("status", "--format", "json", code=code))

    def rows(self, dsn: str) -> list[Any]:
        with psycopg.connect(dsn) as conn:
            return conn.execute(f"SELECT id, status, total FROM {'shop.' * (dsn == self.source)}orders ORDER BY id".encode()).fetchall()


@pytest.fixture
def project(database: str, tmp_path: Path) -> Iterator[Project]:
    made = Project(database, tmp_path, f"sync_{psycopg.conninfo.conninfo_to_dict(database)['dbname']}")
    yield made
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s", [made.slot])
        conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [made.slot])
        conn.execute(f"DROP DATABASE {made.slot}_copy WITH (FORCE)".encode())


def test_from_init_to_reset(project: Project) -> None:
    assert "pgcharter policy apply puts it right" in project.run("init", "--yes", code=3)
    own_tables(project.source)
    with psycopg.connect(project.source, autocommit=True) as conn:
        conn.execute("CREATE PUBLICATION pgcharter_sync FOR TABLE shop.orders WITH (publish_via_partition_root)")
        assert "pgcharter sync init" in " ".join(project.status(1)["problems"])
        said = project.run("init", "--yes")
        assert "max_slot_wal_keep_size is -1" in said
        assert "shop.orders" in said
        assert project.rows(project.copy) == project.rows(project.source)
        conn.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'")
        conn.execute("SELECT pg_reload_conf()")
        conn.execute("UPDATE shop.orders SET status = 'b' WHERE id < 10; DELETE FROM shop.orders WHERE id = 20")
        project.run("run", "--once")
        assert project.rows(project.copy) == project.rows(project.source)
        found = project.status(1)
        assert (found["format"], found["sinks"][0]["state"], found["sinks"][0]["rows"]) == ("pgcharter-sync-status", "running", 60)
        assert found["problems"] == [f"no worker reads slot {project.slot}, so nothing is copied: pgcharter sync run"]
        worker = subprocess.Popen(project.command("run"), cwd=project.folder, env=project.environment, stderr=subprocess.PIPE, text=True)
        try:
            wait(lambda: "read by process" in project.run("status", code=None))
            assert project.status(0)["slot"]["status"] == "reserved"
            with psycopg.connect(project.copy, autocommit=True) as copy:
                copy.execute("DELETE FROM orders WHERE id = 30; INSERT INTO orders (id, status) VALUES (999, 'stray')")
            project.run("pause", "search")
            wait(lambda: "is paused" in project.run("status", code=None))
            conn.execute("INSERT INTO shop.orders VALUES (1000, 'c', 1)")
            project.run("resume", "search")
            wait(lambda: (1000, "c", 1) in project.rows(project.copy))
            project.run("reset", "search", "--yes", "--table", "shop.orders")
            wait(lambda: (30, "a", 30) in project.rows(project.copy))
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(20) in (128 + signal.SIGTERM, -signal.SIGTERM)
        finally:
            worker.kill()
            worker.communicate()
            conn.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            conn.execute("SELECT pg_reload_conf()")
    assert {a or b for a, b in project.commands} >= {"init", "run", "status", "pause", "reset"}
    assert "there is no sink 'x'" in project.run("pause", "x", code=2)


def test_which_origins_are_copied_is_the_charter_s_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgcharter.cli.sync import work

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DB", "postgresql://nobody@127.0.0.1:1/none")
    text = (
        '[environments.dev]\ndsn_env = "SOURCE_DB"\n\n[sync]\n{}\n[[sync.sink]]\nname = "f"\nkind = "jsonl"\nfolder = "x"\n'
        '[[sync.mapping]]\nsink = "f"\ntable = "public.a"\n'
    )
    for line, origin in (("", "any"), ('origin = "none"', "none")):
        (tmp_path / "pgcharter.toml").write_text(text.format(line))
        assert work("dev", None)[0].origin == origin
