"""The Python of the page on events runs, and its charter is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.runtime.events_store import install
from tests.runtime.test_transaction_pages import blocks

from pgcharter.charter import read
from pgcharter.policy.registry import sections
from pgcharter.runtime.database import Database


def test_the_page_runs(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    install(database)
    with Database(database) as db:
        found: dict[str, Any] = {"db": db, "__name__": __name__}
        for number, block in enumerate(blocks("events", "python"), 1):
            exec(compile(block, f"events.md, block {number}", "exec", dont_inherit=True), found)
    assert found["versions"] == [1]
    assert found["everything"] == [{"total": "12.50"}]
    assert found["order"].version == 2
    assert "order 42 is at version 1, and the append expected none" in capsys.readouterr().out


def test_its_charter_is_read(tmp_path: Path) -> None:
    (text,) = blocks("events", "toml")
    (tmp_path / "pgcharter.toml").write_text(text)
    read(tmp_path / "pgcharter.toml", sections=sections())
