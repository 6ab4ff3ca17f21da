"""Kill -9 of a run over eight schemas, four at a time; of one that is paused; of one whose hook is at work: the next run ends them all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.migrate.test_control import ask, look, until

from pgcharter.db import connect
from pgcharter.sources.live import read_catalog

TENANTS = [f"tenant {n}" for n in range(8)]
ROWS = 2000
FILES = {
    "001_orders.sql": f"""
CREATE TABLE orders (id int PRIMARY KEY, n int);
INSERT INTO orders SELECT i, i FROM generate_series(1, {ROWS}) i;
""",
    "002_total.sql": """
-- pgcharter: up
CREATE INDEX CONCURRENTLY orders_n_idx ON orders ((n + 1)) WHERE n > 5;
BEGIN;
ALTER TABLE orders ADD total int;
COMMIT;
-- pgcharter: batched key=id
UPDATE orders SET total = coalesce(total, 0) + n * 2 WHERE total IS NULL;
CREATE INDEX CONCURRENTLY ON orders (total);
BEGIN;
ALTER TABLE orders ALTER total SET NOT NULL;
COMMIT;
-- pgcharter: down
BEGIN;
DROP INDEX orders_n_idx;
ALTER TABLE orders DROP total;
COMMIT;
""",
    "003_last.sql": "CREATE TABLE last (id int REFERENCES orders);\n-- Down\nDROP TABLE last;\n",
}
ALL = ("--schemas", "tenant *", "--parallel", "4", "--canary", "tenant 5", "--stop-after", "0")


@pytest.fixture
def shop(tmp_path: Path, database: str) -> Path:
    lay(tmp_path)
    with connect(database) as conn:
        for name in TENANTS:
            conn.execute(f'CREATE SCHEMA "{name}"'.encode())
    return tmp_path


def lay(folder: Path, more: str = "") -> None:
    (folder / "pgcharter.toml").write_text(f'[environments.dev]\ndsn_env = "SHOP_URL"\n{more}')
    (folder / "migrations").mkdir()
    for name, text in FILES.items():
        (folder / "migrations" / name).write_text(text, "utf-8")


def begin(folder: Path, dsn: str, *arguments: str, fault: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "SHOP_URL": dsn, "COLUMNS": "200", "NO_COLOR": "1", "PGCHARTER_FAULT": fault}
    return subprocess.Popen(
        [sys.executable, "-m", "pgcharter", "migrate", *arguments], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(folder: Path, dsn: str, *arguments: str, fault: str = "") -> tuple[int, str]:
    process = begin(folder, dsn, *arguments, fault=fault)
    try:
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, said


def every_side(dsn: str) -> dict[str, Any]:
    """What each tenant has, as if it were the first."""
    found = {}
    with connect(dsn) as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        whole = read_catalog(conn)
        for name in TENANTS:
            total = f"SELECT count(*), sum((to_jsonb(o) ->> 'total')::int8) FROM \"{name}\".orders o"
            rows = conn.execute(total.encode()).fetchone()
            ledger = conn.execute(
                f'SELECT version, outcome, direction FROM "{name}".pgcharter_migrations ORDER BY run_id'.encode()
            ).fetchall()
            invalid = conn.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid").fetchall()
            tables = sorted((t.name, len(t.columns), len(t.indexes)) for t in whole.tables if t.schema == name)
            found[name] = (rows, ledger, invalid, tables)
    return found


@pytest.mark.slow
def test_a_run_over_many_schemas_killed_again_and_again(shop: Path, database: str) -> None:
    faults = ("before commit:4", "in batch:3", "after alone:5", "after record:1")
    ends = [run(shop, database, "up", *ALL, fault=fault)[0] for fault in faults]
    assert ends.count(-signal.SIGKILL) >= 3, ends  # how far four threads are when they are killed is not always the same
    assert set(ends) <= {-signal.SIGKILL, 0}, ends
    code, said = run(shop, database, "up", *ALL)
    assert code == 0, said
    sides = every_side(database)
    assert all(side == sides[TENANTS[0]] for side in sides.values()), sides
    (rows, ledger, invalid, _) = sides[TENANTS[0]]
    assert rows == (ROWS, ROWS * (ROWS + 1))
    assert (ledger, invalid) == ([(v, "done", "up") for v in ("001", "002", "003")], [])
    for fault in ("before commit:3", "after record:6"):
        assert run(shop, database, "to", "001", *ALL, fault=fault)[0] == -signal.SIGKILL, fault
    assert run(shop, database, "to", "001", *ALL)[0] == 0
    sides = every_side(database)
    assert all(side == sides[TENANTS[0]] for side in sides.values()), sides


def test_killed_while_paused_it_waits_again_and_goes_on_when_resumed(shop: Path, database: str) -> None:
    assert run(shop, database, "to", "001", "--env", "dev")[0] == 0
    ask(database, "pause", "lunch")
    killed = begin(shop, database, "up", "--env", "dev")
    until(lambda: [r for r in look(database) if r.progress.paused])
    killed.kill()
    killed.communicate()
    assert run(shop, database, "up", "--env", "dev", "--wait", "1s")[0] == 4
    waiting = begin(shop, database, "up", "--env", "dev")
    until(lambda: [r for r in look(database) if r.progress.paused])
    ask(database, "resume")
    said, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, said
    with connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM pgcharter.schema_migrations WHERE outcome = 'done'").fetchone() == (3,)
        assert conn.execute("SELECT count(*) FROM pgcharter.migration_runners").fetchone() == (0,)


HOOK = """[migrate.notify]
command = ["sh", "-c", "cat > /dev/null; touch at_work; sleep 30"]
"""


def test_killed_while_a_hook_is_told_the_next_run_has_nothing_left(shop: Path, database: str) -> None:
    charter = shop / "pgcharter.toml"
    plain = charter.read_text()
    charter.write_text(plain + HOOK)
    killed = begin(shop, database, "up", "--env", "dev")
    with connect(database) as conn:
        done = "SELECT count(*) = 3 FROM pgcharter.schema_migrations WHERE outcome = 'done'"
        until(lambda: (shop / "at_work").exists() and conn.execute(done.encode()).fetchone() == (True,))
    killed.kill()
    killed.communicate()
    charter.write_text(plain)
    code, said = run(shop, database, "up", "--env", "dev")
    assert (code, "up to date" in said or "nothing" in said) == (0, True), said
