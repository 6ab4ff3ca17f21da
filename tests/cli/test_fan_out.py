"""`pgcharter migrate` over many targets, from the outside, on a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Done

from pgcharter.db import connect
from pgcharter.names import quote

Run = Callable[..., Done]
MANY = 200
FILES = {
    "001_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, customer text);\n",
    "002_customer.sql": "ALTER TABLE orders ALTER customer SET NOT NULL;\n",
    "003_total.sql": "ALTER TABLE orders ADD total int;\n-- Down\nALTER TABLE orders DROP total;\n",
}


@pytest.fixture
def shop(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_URL", database)
    (tmp_path / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n')
    lay(tmp_path, FILES)
    return tmp_path


def lay(folder: Path, texts: dict[str, str]) -> None:
    (folder / "migrations").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / "migrations" / name).write_text(text, "utf-8")


def make(dsn: str, *names: str) -> None:
    with connect(dsn) as conn:
        for name in names:
            conn.execute(f"CREATE SCHEMA {quote(name)}".encode())


def do(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with connect(dsn) as conn:
        found = conn.execute(sql.encode())
        return found.fetchall() if found.description else []


def states(program: Run, *arguments: str) -> dict[str, str]:
    done = program("migrate", "status", *arguments, "--format", "json")
    return {t["name"]: t["state"] for t in json.loads(done.stdout)["targets"]}


def columns(dsn: str) -> dict[str, int]:
    """How many columns the table of each tenant has."""
    found = do(dsn, "SELECT table_schema::text, count(*) FROM information_schema.columns WHERE table_name = 'orders' GROUP BY 1")
    return {schema: int(count) for schema, count in found}


@pytest.mark.parametrize("major", [15, 18], ids=("pg15", "pg18"))
def test_two_hundred_with_one_broken(shop: Path, program: Run, database: str, major: int) -> None:
    names = [f"tenant_{n:03}" for n in range(MANY)]
    make(database, *names, "other")
    lay(shop, {"001_orders.sql": FILES["001_orders.sql"]})
    for later in ("002_customer.sql", "003_total.sql"):
        (shop / "migrations" / later).unlink()
    assert program("migrate", "up", "--schemas", "tenant_*").returncode == 0
    do(database, "INSERT INTO tenant_117.orders VALUES (1, NULL)")
    lay(shop, FILES)
    done = program("migrate", "up", "--schemas", "tenant_*", "--canary", "tenant_005", "--stop-after", "0")
    assert done.returncode == 3
    assert done.stdout.splitlines()[0].startswith("✔ tenant_005  2 migrations")
    summary = " ".join(done.stdout[done.stdout.index("199 done, 1 failed of 200 targets in") :].split())
    assert (
        'tenant_117 failed: unit 1 of 002 customer failed: column "customer" of relation "orders" contains null values; of this' in summary
    )
    assert "this one alone: pgcharter migrate up --env dev --schemas tenant_117" in summary
    assert states(program, "--schemas", "tenant_*") == dict.fromkeys(names, "up to date") | {"tenant_117": "failed"}
    text = program("migrate", "status", "--schemas", "tenant_*").stdout
    assert "200 targets of migrations: 199 up to date, 1 failed" in text
    assert columns(database) == dict.fromkeys(names, 3) | {"tenant_117": 2}
    assert "other" not in text

    do(database, "DELETE FROM tenant_117.orders")
    again = program("migrate", "up", "--schemas", "tenant_*")
    assert again.returncode == 0
    assert again.stdout.splitlines()[0].startswith("✔ tenant_117  2 migrations")
    assert "1 done, 199 up to date of 200 targets" in again.stdout
    assert columns(database) == dict.fromkeys(names, 3)
    assert do(database, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'pgcharter', 'other')") == [(0,)]


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pgcharter", "migrate", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def until(dsn: str, sql: str) -> None:
    """Wait until a query gives true."""
    end = time.monotonic() + 30
    with connect(dsn) as conn:
        while conn.execute(sql.encode()).fetchone() != (True,):
            assert time.monotonic() < end, sql
            time.sleep(0.02)


@pytest.mark.parametrize("fault", ["before commit:40", "after commit:61", "started:25", "before alone:3", "after alone:7"])
def test_killed_in_the_middle_and_run_again(shop: Path, program: Run, database: str, fault: str) -> None:
    names = [f"tenant_{n:02}" for n in range(24)]
    make(database, *names)
    lay(shop, {"004_index.sql": "CREATE INDEX CONCURRENTLY ON orders (total);\nALTER TABLE orders ADD last int;\n"})
    process = started("up", "--schemas", "tenant_*", "--parallel", "3", PGCHARTER_FAULT=fault)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    half = columns(database)
    assert 0 < sum(n == 4 for n in half.values()) < 24 or fault.startswith(("started", "before alone", "after alone"))
    again = program("migrate", "up", "--schemas", "tenant_*", "--parallel", "3")
    assert again.returncode == 0, again
    assert columns(database) == dict.fromkeys(names, 4)
    found = do(database, "SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indexrelid::regclass::text LIKE '%orders_total_idx'")
    assert found == [(24, True)]
    assert set(states(program, "--schemas", "tenant_*").values()) == {"up to date"}


def test_ctrl_c_ends_all_in_order(shop: Path, program: Run, database: str) -> None:
    make(database, *[f"tenant_{n:02}" for n in range(12)])
    lay(shop, {"004_slow.sql": "SELECT pg_sleep(0.3);\nALTER TABLE orders ADD last int;\nSELECT pg_sleep(60);\n"})
    process = started("up", "--schemas", "tenant_*", "--parallel", "3")
    until(database, "SELECT count(*) = 3 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert time.monotonic() - began < 5
    assert "3 interrupted, 9 not begun of 12 targets" in out
    until(database, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pgcharter migrate%'")
    assert set(columns(database).values()) == {3}
    lay(shop, {"004_slow.sql": "ALTER TABLE orders ADD last int;\n"})
    assert program("migrate", "up", "--schemas", "tenant_*").returncode == 0
    assert set(columns(database).values()) == {4}
