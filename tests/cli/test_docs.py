"""The generated reference pages are those that the program would write now."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from pgcharter.cli.failures import INTERRUPTED, PIPE_CLOSED
from pgcharter.cli.showing import FORMS
from pgcharter.errors import Exit

ROOT = Path(__file__).resolve().parents[2]


def test_pages_are_fresh() -> None:
    done = subprocess.run([sys.executable, "tools/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"run `make docs`\n{done.stdout}{done.stderr}"


def test_every_json_document_is_described() -> None:
    """Each `pgcharter-...` format that the program writes has its name on the page about JSON."""
    page = (ROOT / "docs" / "reference" / "output-json.md").read_text(encoding="utf-8")
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "src" / "pgcharter").rglob("*.py"))
    formats = set(re.findall(r'"format": "(pgcharter-[a-z-]+)"', sources))
    assert {"pgcharter-check", "pgcharter-error"} <= formats
    assert not {name for name in formats if name not in page}


def test_the_fields_of_a_check_are_those_described() -> None:
    page = (ROOT / "docs" / "reference" / "output-json.md").read_text(encoding="utf-8")
    case = ROOT / "tests" / "render" / "cases" / "mixed" / "out.json"
    target = json.loads(case.read_text(encoding="utf-8"))["targets"][0]
    assert not {name for name in (*target, *target["findings"][0]) if f"`{name}`" not in page}


def rows(page: str) -> list[str]:
    """What the first cells of a page's first table say."""
    text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    table = text.partition("|---")[2].partition("\n\n")[0]
    return re.findall(r"^\| `?(\w+)`? \|", table, re.MULTILINE)


def test_every_exit_code_and_no_other_is_described() -> None:
    assert rows("exit-codes.md") == [str(int(code)) for code in (*Exit, INTERRUPTED, PIPE_CLOSED)]


def test_every_form_and_no_other_is_described() -> None:
    assert rows("output-forms.md") == list(FORMS)
