"""The command line called inside the test's own process: the same way in as `pgcharter`, without starting Python each time.

What only a process shows (imports, signals, pipes, terminals) is in `test_program.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgcharter.cli import failures


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """`program("check", "x.sql", cwd=folder, NAME="value")`: exit code and output."""
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "PGCHARTER_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Done:
        if cwd:
            monkeypatch.chdir(cwd)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = failures.run([str(a) for a in arguments])
        return Done(code, *capsys.readouterr())

    return call
