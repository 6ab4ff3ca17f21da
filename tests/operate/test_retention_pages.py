"""The commands of docs/how-to/partitions.md and retention.md run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.policy.planned import applied

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import retention
from pgcharter.policy.retention_settings import RetentionSection

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
TABLES = """
CREATE SCHEMA app;
CREATE TABLE app.events (id int, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_y2020m01 PARTITION OF app.events FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
INSERT INTO app.events VALUES (1, '2020-01-05');
CREATE TABLE app.orders (id int PRIMARY KEY, customer int, placed_at date NOT NULL, status text);
CREATE TABLE app.items (order_id int REFERENCES app.orders ON DELETE CASCADE, n int);
CREATE TABLE app.login_log (id int PRIMARY KEY, at timestamptz);
INSERT INTO app.orders VALUES (1, 7, '2010-01-01', 'closed'), (2, 8, '2010-01-01', 'closed'), (3, 8, '2010-01-01', 'open');
INSERT INTO app.items VALUES (1, 1), (2, 1), (3, 1);
INSERT INTO app.login_log VALUES (1, '2010-01-01'), (2, now());
"""
LEFT = {
    "partitions": ("SELECT count(*) FROM app.events", 0),
    "retention": (
        "SELECT (SELECT count(*) FROM app.orders_archive) + (SELECT count(*) FROM app.items_archive)"
        " + (SELECT count(*) FROM app.login_log)",
        5,
    ),
}


@pytest.mark.parametrize("name", ["partitions", "retention"])
def test_the_page_runs(database: str, tmp_path: Path, name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    (tmp_path / "pgcharter").write_text(f'#!/bin/sh\nexec {sys.executable} -m pgcharter "$@"\n')
    (tmp_path / "pgcharter").chmod(0o755)
    charter = "\n".join(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)) + '\n[environments.here]\ndsn_env = "DATABASE_URL"\n'
    (tmp_path / "pgcharter.toml").write_text(charter)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(TABLES)
    applied(database, planning.make(Wish("", database, chosen=Chosen((retention.policy(RetentionSection()),)), prove=False)))
    environment = {**os.environ, "DATABASE_URL": database, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(commands) >= 4
    for command in commands:
        line = ["sh", "-c", command]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    sql, count = LEFT[name]
    with psycopg.connect(database) as conn:
        assert conn.execute(sql.encode()).fetchone() == (count,)
    assert list((tmp_path / "archive").iterdir())
