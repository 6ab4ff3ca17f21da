"""The page about databases: its Python runs as it stands there, and its table of the charter is understood."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter.runtime.database import Database

PAGE = (Path(__file__).parents[2] / "docs/how-to/database.md").read_text(encoding="utf-8")


def test_python(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int); INSERT INTO accounts VALUES (1, 0), (2, 0)")
    known: dict[str, Any] = {"DSN": database, "receipts": [], "dropped": []}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "database.md", "exec"), known)
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT balance FROM accounts ORDER BY id").fetchall() == [(-11,), (10,)]
    assert known["receipts"] == ["sent", "sent"]
    assert known["still_lent"] == ()


def test_charter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    (tmp_path / "pgcharter.toml").write_text(found[1])
    for name in ("DATABASE_URL", "REPLICA_URL"):
        monkeypatch.setenv(name, "postgresql://there")
    made = Database.from_charter(start=tmp_path)
    assert (made.size.max, made.size.wait, made.timeouts.statement, made.kinds["report"].statement) == (20, 2.0, 10.0, 600.0)
