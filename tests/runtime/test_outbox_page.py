"""The Python of docs/how-to/outbox.md runs."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
from tests.runtime import own_tables

from pgcharter.runtime.database import Database

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "outbox.md"


def test_the_page_runs(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own_tables.install(database, "messaging")
    page = types.ModuleType("outbox_page")
    monkeypatch.setitem(sys.modules, "outbox_page", page)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    with Database(database) as db:
        vars(page)["db"] = db
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), vars(page))
