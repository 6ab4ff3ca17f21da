"""The blocks of the tutorial run, in order, in one empty folder, and end as the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "first-ten-minutes.md"
_BLOCK = re.compile(r"(?:<!-- exit (?P<code>\d+) -->\n)?```sh\n(?P<script>.*?)```", re.DOTALL)


@pytest.fixture
def empty() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pgcharter-tutorial-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.slow
def test_the_first_ten_minutes(empty: Path) -> None:
    blocks = list(_BLOCK.finditer(PAGE.read_text()))
    assert len(blocks) >= 8
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "XDG_DATA_HOME": str(empty / ".data"), "COLUMNS": "100"}
    for block in blocks:
        command = ["sh", "-e", "-c", block["script"]]
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, timeout=120, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == int(block["code"] or 0), f"{block['script']}\n{said}"
        if block["script"] == "pgcharter check db\n":
            for code in ("CON07", "KEY20", "TYP01", "TYP04"):
                assert code in said, f"the page speaks of {code}"
