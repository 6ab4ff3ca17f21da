"""Projects under `projects/` are run by pytest in a process of their own, with the plugin; their tests are in `case_*.py`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECTS = Path(__file__).with_name("projects")


@dataclass(frozen=True)
class Ran:
    """What came of it."""

    output: str
    code: int

    def count(self, word: str) -> int:
        """How many tests passed, failed, …; words of the last line."""
        found = re.search(rf"(\d+) {word}", self.output.rstrip().rpartition("\n")[2])
        return int(found[1]) if found else 0


Inner = Callable[..., Ran]


@pytest.fixture
def inner(tmp_path: Path) -> Inner:
    """`inner("small", "-n", "2", env={…}, ini={…})`: run a copy of a project; further files by `files={"case_x.py": "…"}`."""

    def run(
        project: str, *arguments: str, env: Mapping[str, str] | None = None, ini: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Ran:  # fmt: skip
        folder = tmp_path / project
        if not folder.exists():
            shutil.copytree(PROJECTS / project, folder) if (PROJECTS / project).is_dir() else folder.mkdir()
        for name, text in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        settings = {"python_files": "case_*.py", "filterwarnings": "error", **(ini or {})}
        if not (folder / "pytest.ini").exists() or ini:
            (folder / "pytest.ini").write_text("[pytest]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:pgcharter", "-p", "pgcharter.testing.plugin", "-q"]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PGCHARTER_TEST"))}
        done = subprocess.run(
            [*command, *arguments], cwd=folder, env={**clean, "COLUMNS": "200", **(env or {})}, text=True, capture_output=True, timeout=120
        )
        return Ran(done.stdout + done.stderr, done.returncode)

    return run
