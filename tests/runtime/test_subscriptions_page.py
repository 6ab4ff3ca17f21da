"""The Python of docs/how-to/subscriptions.md runs."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import psycopg
from tests.runtime.own_tables import install

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "subscriptions.md"


def test_the_page_runs(database: str) -> None:
    install(database, "messaging")
    given: dict[str, Any] = {"dsn": database, "order_id": uuid.uuid4()}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE sales (orders int); INSERT INTO sales VALUES (0)")
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), given)
        assert conn.execute("SELECT orders FROM sales").fetchone() == (2,)
        assert conn.execute("SELECT count(*) FROM pgcharter.feeds WHERE consumer = 'sales' AND position = 0").fetchone() == (4,)
