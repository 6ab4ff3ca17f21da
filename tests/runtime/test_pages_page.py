"""The Python of docs/how-to/pagination.md runs, in order."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from tests.db.test_flows import url

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "pagination.md").read_text("utf-8")


def test_what_the_page_says_is_so(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("page")
    module.URL = url(database)
    monkeypatch.setitem(sys.modules, "page", module)
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "pagination.md", "exec", dont_inherit=True), vars(module))
    module.session.close()
    module.engine.dispose()
