"""`pgcharter migrate` over many targets, from the outside, on a real server."""

from __future__ import annotations

import json
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
