"""The Python of the pages on idempotency, locking and two-phase commit runs, and their charters are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.runtime.own_tables import install
from tests.runtime.test_twophase_crash import ground

from pgcharter.charter import read
from pgcharter.policy.registry import sections

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
TABLES = """
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku text);
CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL); INSERT INTO stock VALUES ('a', 10);
CREATE SCHEMA app;
CREATE TABLE app.accounts (id int PRIMARY KEY, balance int NOT NULL); INSERT INTO app.accounts VALUES (3, 0), (7, 10);
CREATE TABLE app.jobs (id int PRIMARY KEY, state text, run_at timestamptz, payload text);
INSERT INTO app.jobs VALUES (1, 'waiting', now(), 'x');
"""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / f"{page}.md").read_text("utf-8"), re.DOTALL)


def run(page: str, **names: Any) -> dict[str, Any]:
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page}.md, block {number}", "exec"), names)
    return names


@pytest.fixture
def conn(database: str) -> Iterator[Any]:
    with psycopg.connect(database, autocommit=True) as made:
        made.execute(TABLES.encode())
        yield made


def test_idempotency(conn: Any, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    install(database, "idempotency")
    assert run("idempotency", conn=conn)["gone"] == 0
    assert "was used for another request" in capsys.readouterr().out
    assert conn.execute("SELECT count(*) FROM orders").fetchone() == (1,)


@pytest.mark.direct("the page shows a lock of the session, which is refused there: test_no_lock_of_the_session_through_a_pooler")
def test_locking(conn: Any) -> None:
    assert run("locking", conn=conn)["jobs"] == [{"id": 1, "payload": "x"}]
    assert conn.execute("SELECT id, balance FROM app.accounts ORDER BY id").fetchall() == [(3, 10), (7, 0)]


def test_two_phase_commit(capsys: pytest.CaptureFixture[str]) -> None:
    with ground() as here:
        dsns = {"orders_dsn": here.dsns()["a"], "stock_dsn": here.dsns()["b"]}
        for dsn in dsns.values():
            with psycopg.connect(dsn) as made:
                made.execute(TABLES.encode())
        with psycopg.connect(dsns["orders_dsn"]) as orders, psycopg.connect(dsns["stock_dsn"]) as stock:
            run("two-phase-commit", log_dsn=here.log, orders=orders, stock=stock, **dsns)
            assert stock.execute("SELECT quantity FROM stock").fetchone() == (9,)
    assert "NOTIFY" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["idempotency", "two-phase-commit"])
def test_charters_are_read(page: str, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        (tmp_path / "pgcharter.toml").write_text(block, "utf-8")
        assert read(tmp_path / "pgcharter.toml", sections=sections()).sections
