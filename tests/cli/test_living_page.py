"""The blocks of the page about living with findings run, in order, in one empty folder, and end and say what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "living-with-findings.md"
_BLOCK = re.compile(r"(?:<!-- exit (?P<code>\d+) -->\n)?```sh\n(?P<script>.*?)```", re.DOTALL)
SAYS = (
    "1 error .*3 warnings",
    "4 known findings in pgcharter-known.json: 4 new",
    "4 known findings not counted",
    "public.log has no primary key",
    "1 more recorded there is mended",
    "1 mended taken out",
    "1 waived by the charter",
    "1 allowed by a comment",
    "public.prices.price holds money as real",
)
"""What must have been said, in this order."""


@pytest.mark.slow
def test_every_block_does_what_the_page_says(tmp_path: Path) -> None:
    blocks = list(_BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(blocks) >= 10
    (tmp_path / "home").mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    config = tmp_path / "home" / "gitconfig"
    config.write_text("[user]\nname = Ada\nemail = ada@example.org\n[init]\ndefaultBranch = main\n")
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200",
        "GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": os.devnull,
    }  # fmt: skip
    said = ""
    for block in blocks:
        command = ["sh", "-e", "-c", block["script"]]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == int(block["code"] or 0), f"{block['script']}\n{done.stdout}{done.stderr}"
        said += done.stdout
    position = 0
    for words in SAYS:
        found = re.compile(words).search(said, position)
        assert found, f"{words!r} is not said after {said[:position][-300:]!r}"
        position = found.end()
