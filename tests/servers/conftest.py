"""Folders and programs that the account which servers run as can reach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgcharter.servers import account as accounts
from pgcharter.servers import project as projects

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that every account can enter (pytest's own is private)."""
    folder = Path(tempfile.mkdtemp(prefix="pgcharter-test-"))
    folder.chmod(0o755)
    yield folder
    for home in folder.rglob(projects.HOME):
        projects.stop(home.parent)
    shutil.rmtree(folder)


@pytest.fixture
def python() -> Callable[..., subprocess.Popen[str]]:
    """Start a Python program with pgcharter, as we are: `python("print(1)", "argument")`."""

    def start(program: str, *arguments: object, **more: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **{"env": environment, **more})  # type: ignore[call-overload, no-any-return]

    return start


@pytest.fixture
def plain_user_python() -> tuple[list[str], dict[str, object]]:
    """The command and subprocess options that run Python with our packages as an unprivileged account."""
    if os.geteuid() != 0:
        return [sys.executable], {}
    who = accounts.current()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = os.pathsep.join([str(ROOT / "src"), *(path for path in sys.path if "site-packages" in path)])
    environment = {"PYTHONPATH": packages, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    for candidate in dict.fromkeys([sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"]):
        if Path(candidate).exists():
            options = {**who.options(), "env": environment}
            try:
                done = subprocess.run([candidate, "-c", "import pgcharter, psycopg"], capture_output=True, check=False, **options)
            except PermissionError:
                continue
            if done.returncode == 0:
                return [candidate], options
    pytest.skip(f"no Python {version} here that account {who.name} can run")
