"""The Python of the page on sagas runs, and its charter is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from tests.runtime.sagas_ground import install
from tests.runtime.test_transaction_pages import blocks, run

from pgcharter.charter import read
from pgcharter.policy.registry import sections
from pgcharter.runtime.database import Database


class Bank:
    broken = False

    def __init__(self) -> None:
        self.charges: dict[str, str] = {}

    def charge(self, cents: int, idempotency_key: str) -> str:
        return self.charges.setdefault(idempotency_key, f"charge-{len(self.charges) + 1}")


def test_the_page(database: str, tmp_path: Path) -> None:
    install(database)
    with psycopg.connect(database, autocommit=True) as conn, Database(database) as db:
        conn.execute("CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL); INSERT INTO stock VALUES ('a', 10)")
        conn.execute("CREATE TABLE parcels (saga uuid NOT NULL, sku text NOT NULL)")
        names: dict[str, Any] = run("sagas", conn=conn, db=db, bank=Bank())
        assert names["gone"] == 0
        assert conn.execute("SELECT quantity FROM stock").fetchone() == (8,)
        assert conn.execute("SELECT count(*) FROM parcels").fetchone() == (1,)
    (block,) = blocks("sagas", "toml")
    (tmp_path / "pgcharter.toml").write_text(block, "utf-8")
    assert read(tmp_path / "pgcharter.toml", sections=sections()).sections
