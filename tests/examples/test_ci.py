"""What docs/how-to/ci.md says is run: every `run:` and `script:` line in a scratch repository, and the hook by pre-commit itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
GOOD = "CREATE TABLE notes (note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL);\n"
BAD = "CREATE TABLE scraps (body text);\n"
pytestmark = pytest.mark.slow


def commands(node: Any) -> Iterator[str]:
    """The shell lines of a workflow, in order."""
    if isinstance(node, list):
        for part in node:
            yield from commands(part)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "run":
                yield value
            elif key == "script":
                yield from value
            else:
                yield from commands(value)


def shell(command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI_", "GIT_", "PRE_COMMIT"))}
    who = {f"GIT_{w}_{k}": v for w in ("AUTHOR", "COMMITTER") for k, v in (("NAME", "me"), ("EMAIL", "me@example.org"))}
    environment = {**inherited, **who, "PATH": path, "COLUMNS": "100", "GITHUB_BASE_REF": "main", **more}
    return subprocess.run(
        ["sh", "-e", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.fixture
def repository() -> Iterator[Path]:
    """A checkout with a good schema on main, which the remote has too."""
    base = Path(tempfile.mkdtemp(prefix="pgcharter-ci-", dir="/tmp"))
    base.chmod(0o755)
    work = base / "work"
    (work / "db").mkdir(parents=True)
    (work / "db" / "1_notes.sql").write_text(GOOD)
    made = shell("git init -q -b main . && git add . && git commit -qm one && git clone -q --bare . ../origin", work)
    assert made.returncode == 0, made.stderr
    made = shell("git remote add origin ../origin && git fetch -q origin && git switch -qc change", work)
    assert made.returncode == 0, made.stderr
    yield work
    shutil.rmtree(base)


def test_the_page_has_commands() -> None:
    assert len(list(commands(BLOCKS))) >= 8


def test_what_is_installed_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = [c for c in commands(BLOCKS) if c.startswith("pip ")]
    assert installed
    assert all(re.fullmatch(r"pip install 'pgcharter\[(\w+)\]'", c)[1] in extras for c in installed)  # type: ignore[index]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
@pytest.mark.parametrize("bad", [False, True], ids=["good", "bad"])
def test_the_steps_of_a_workflow(repository: Path, number: int, bad: bool) -> None:
    """A good change passes, a bad one fails, whatever the workflow; recording known findings makes them pass."""
    if bad:
        (repository / "db" / "2_scraps.sql").write_text(BAD)
        assert shell("git add . && git commit -qm two", repository).returncode == 0
    run = [shell(c, repository) for c in commands(BLOCKS[number]) if not c.startswith("pip ")]
    recorded = "--record" in str(BLOCKS[number])
    lenient = "--fail-on error" in str(BLOCKS[number])
    wanted = 1 if bad and not recorded and not lenient else 0
    assert [r.returncode for r in run] == [0] * (len(run) - 1) + [wanted], "".join(r.stdout + r.stderr for r in run)
    if "--format github" in str(BLOCKS[number]):
        assert ("::warning file=db/2_scraps.sql,line=1," in run[-1].stdout) is (wanted == 1)
    written = {p.name for p in repository.iterdir()}
    if "findings.sarif" in written:
        results = json.loads((repository / "findings.sarif").read_text())["runs"][0]["results"]
        assert bool(results) is bad
        assert (repository / "comment.md").read_text().startswith("<!-- pgcharter:check -->")
        assert "<!DOCTYPE html>" in (repository / "verdict.html").read_text()
    if "junit.xml" in written:
        assert bool(ElementTree.parse(repository / "junit.xml").findall(".//failure")) is bad
        assert bool(json.loads((repository / "gl-code-quality-report.json").read_text())) is bad


def test_the_hook(repository: Path) -> None:
    """The published hook run by pre-commit on staged files; only the way it is installed differs: from this environment."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["language"] == "python"
    config = {"repos": [{"repo": "local", "hooks": [{**hook, "language": "system"}]}]}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    home = {"PRE_COMMIT_HOME": str(repository.parent / "cache")}
    assert shell("pre-commit install && git add . && git commit -qm hook", repository, **home).returncode == 0
    (repository / "db" / "2_scraps.sql").write_text(BAD)
    (repository / "notes.txt").write_text(BAD)
    refused = shell("git add . && git commit -m two", repository, **home)
    assert refused.returncode == 1
    assert "KEY01" in refused.stdout + refused.stderr
    assert "notes.txt" not in refused.stdout + refused.stderr
    (repository / "db" / "2_scraps.sql").write_text(GOOD.replace("note", "scrap"))
    done = shell("git add . && git commit -m two", repository, **home)
    assert done.returncode == 0, done.stdout + done.stderr
