"""What docs/how-to/metrics.md and alerts.md show works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import program  # noqa: F401 (a fixture)
from tests.watch.test_metrics import get, promtool

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("page", ["metrics", "alerts"])
def test_the_page_works(program: Callable[..., Any], database: str, tmp_path: Path, page: str) -> None:  # noqa: F811
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    (tmp_path / "pgcharter.toml").write_text("\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)))
    secrets = {"CHAT_URL": "http://127.0.0.1:1/", "PAGERDUTY_KEY": "key", "MAIL_URL": "smtp://127.0.0.1:1"}
    for kind, block in re.findall(r"```sh ?(\w*)\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line)[1:]
            if kind == "promtool":
                done = subprocess.run([promtool(), *words], cwd=tmp_path, capture_output=True, text=True, check=False)
            elif kind == "serve":
                _served([w for w in words if w not in ("--port", "9686")], tmp_path, {**secrets, "DATABASE_URL": database})
                continue
            else:
                done = program(*words, cwd=tmp_path, DATABASE_URL=database)
            assert done.returncode == 0, done.stderr
            assert done.stdout


def _served(words: list[str], folder: Path, env: dict[str, str]) -> None:
    import os

    command = [sys.executable, "-m", "pgcharter", *words, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        url = process.stderr.readline().split("/metrics")[0]
        try:
            assert "pgcharter_up 1.0" in get(f"{url}/metrics")[1]
        finally:
            process.terminate()
