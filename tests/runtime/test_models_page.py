"""The Python of docs/how-to/models.md runs, in order, and its section of the charter is one."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.db.test_flows import url

from pgcharter import charter
from pgcharter.policy.soft_delete_settings import SECTION, SoftDeleteSection

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "models.md").read_text("utf-8")


def test_what_the_page_says_is_so(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app")
    module: Any = types.ModuleType("page")
    module.URL = url(database)
    monkeypatch.setitem(sys.modules, "page", module)
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "models.md", "exec", dont_inherit=True), vars(module))
    module.engine.dispose()


def test_its_charter_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text("\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)))
    section: SoftDeleteSection = charter.read(tmp_path / "pgcharter.toml", sections=(SECTION,)).section(SECTION)
    assert section.unique[0].columns == ("email",)
