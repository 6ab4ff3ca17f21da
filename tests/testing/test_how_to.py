"""The project of docs/how-to/testing.md, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.testing.conftest import Inner

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "testing.md"
BLOCK = re.compile(r"```(?:ini|sql|python)\n(?:#|--) (\S+)\n(.*?)```", re.DOTALL)


def test_the_project_of_the_page(inner: Inner) -> None:
    files = dict(BLOCK.findall(PAGE.read_text("utf-8")))
    assert len(files) == 7
    ran = inner("page", "-n", "0", "-W", "error", files=files)
    assert (ran.code, ran.count("passed")) == (0, 7), ran.output
