"""The Python of docs/how-to/caching.md runs."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
from tests.conftest import lacking
from tests.runtime.cacheservers import program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "caching.md"


def test_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    if program("valkey") is None:
        lacking("no valkey here")
    page = types.ModuleType("caching_page")  # annotations are looked up in the module of a function
    monkeypatch.setitem(sys.modules, "caching_page", page)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), vars(page))
