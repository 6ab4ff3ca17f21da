"""`--format` and `--output`: where each form goes, whole or not at all, and what the exit code says meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pgcharter.cli.showing import FORMS

Program = Callable[..., Any]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.sql"
    file.write_text("CREATE TABLE notes (body text);\n")
    return file


@pytest.mark.parametrize("form", FORMS)
def test_every_form_goes_to_stdout_and_to_a_file(program: Program, bad: Path, form: str) -> None:
    printed = program("check", "bad.sql", "--no-server", "--format", form, cwd=bad.parent)
    written = program("check", "bad.sql", "--no-server", "--output", f"{form}=out", cwd=bad.parent)
    assert (printed.returncode, written.returncode) == (1, 1)
    assert "KEY01" in printed.stdout
    assert "✘ fails" in written.stdout, "the terminal still gets the verdict in words"
    if form != "text":
        assert (bad.parent / "out").read_text(encoding="utf-8") == printed.stdout
    assert not list(bad.parent.glob(".out*")), "nothing is left beside it"


def test_several_at_once_by_their_endings(program: Program, bad: Path) -> None:
    files = ("a.sarif", "b.xml", "c.md", "d.json")
    done = program("check", "bad.sql", "--no-server", *(w for f in files for w in ("--output", f)), "--format", "github", cwd=bad.parent)
    assert done.returncode == 1
    assert done.stdout.startswith("::warning file=bad.sql,line=1,")
    assert json.loads((bad.parent / "a.sarif").read_text())["version"] == "2.1.0"
    assert ElementTree.parse(bad.parent / "b.xml").getroot().tag == "testsuites"
    assert (bad.parent / "c.md").read_text().startswith("<!-- pgcharter:check -->")
    assert json.loads((bad.parent / "d.json").read_text())["format"] == "pgcharter-check"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sarf=x.json", "'sarf' is no form"),
        ("findings", "does not tell its form"),
        ("sarif=", "names no file"),
        ("sarif=-", "names no file"),
        ("sarif=none/x.sarif", "the folder none does not exist"),
        ("json=.", "is a folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(program: Program, bad: Path, word: str, said: str) -> None:
    done = program("check", "nowhere.sql", "--output", word, cwd=bad.parent)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "nowhere" not in done.stderr


def test_a_check_that_fails_leaves_the_old_file(program: Program, bad: Path) -> None:
    (bad.parent / "out.sarif").write_text("old")
    assert program("check", "nowhere.sql", "--output", "out.sarif", cwd=bad.parent).returncode == 2
    assert (bad.parent / "out.sarif").read_text() == "old"


def test_permissions_links_and_devices(program: Program, bad: Path) -> None:
    kept = bad.parent / "kept.json"
    kept.write_text("")
    kept.chmod(0o604)
    (bad.parent / "link.json").symlink_to(kept)
    mask = os.umask(0o027)
    try:
        call = ("check", "bad.sql", "--no-server", "--output", "link.json", "--output", "new.json", "--output", "json=/dev/null")
        assert program(*call, cwd=bad.parent).returncode == 1
    finally:
        os.umask(mask)
    assert (bad.parent / "link.json").is_symlink()
    assert kept.stat().st_mode & 0o777 == 0o604
    assert (bad.parent / "new.json").stat().st_mode & 0o777 == 0o640
    assert json.loads(kept.read_text()) == json.loads((bad.parent / "new.json").read_text())


def test_paths_are_told_from_the_checkout(program: Program, bad: Path) -> None:
    subprocess.run(["git", "init", "-q", bad.parent], check=True)
    folder = bad.parent / "db"
    folder.mkdir()
    (folder / "1.sql").write_text(bad.read_text())
    for target in ("1.sql", folder / "1.sql", "../db"):
        done = program("check", target, "--no-server", "--format", "gitlab", cwd=folder, GITHUB_WORKSPACE="", CI_PROJECT_DIR="")
        assert {i["location"]["path"] for i in json.loads(done.stdout)} == {"db/1.sql"}
    done = program("check", "1.sql", "--no-server", "--format", "gitlab", cwd=folder, CI_PROJECT_DIR=str(folder))
    assert {i["location"]["path"] for i in json.loads(done.stdout)} == {"1.sql"}


def test_the_summary_of_a_github_step_is_appended(program: Program, bad: Path) -> None:
    summary = bad.parent / "summary.md"
    summary.write_text("before\n")
    program("check", "bad.sql", "--no-server", "--format", "github", cwd=bad.parent, GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text().startswith("before\n<!-- pgcharter:check -->\n### ❌ pgcharter")


SCHEMAS = {
    "KEY20": "CREATE TABLE a (a_id bigint PRIMARY KEY);\nCREATE TABLE b (b_id bigint PRIMARY KEY,\n"
    "  a_id bigint REFERENCES a ON DELETE CASCADE) /* no; */ ;\nCREATE TABLE c (x int);\n",
    "KEY01": "CREATE TABLE a (code text NOT NULL);\nCREATE TABLE x (x_id bigint PRIMARY KEY);\nCREATE UNIQUE INDEX a_code ON a (code);\n",
    "DES23": (
        "CREATE TABLE e (at date NOT NULL, a uuid NOT NULL) PARTITION BY RANGE (at);\n"
        "CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');\n"
        "CREATE TABLE e_2 PARTITION OF e FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');\n"
        "CREATE INDEX one ON e_1 (a);\nCREATE INDEX two ON e_2 (a);\n"
    ),
    "TYP05": "CREATE TABLE 😀 (id bigint PRIMARY KEY, doc json); -- trailing\r\nSELECT 1;\r\n",
    "SEC20": "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1; $$;\n"
    "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC;",
}


@pytest.mark.parametrize("code", SCHEMAS)
def test_a_fix_of_sarif_put_into_its_file_clears_the_finding(program: Program, tmp_path: Path, code: str) -> None:
    """Apply the replacement as an editor would, check again: the finding is gone and none has come."""
    file = tmp_path / "s.sql"
    file.write_bytes(SCHEMAS[code].encode())

    def results() -> list[dict[str, Any]]:
        done = program("check", "s.sql", "--format", "sarif", cwd=tmp_path)
        return json.loads(done.stdout)["runs"][0]["results"]  # type: ignore[no-any-return]

    before = results()
    found = [r for r in before if r["ruleId"] == code]
    assert len(found) == 1
    (change,) = found[0]["fixes"][0]["artifactChanges"]
    (replacement,) = change["replacements"]
    assert change["artifactLocation"]["uri"] == "s.sql"
    region = replacement["deletedRegion"]
    assert (region["startLine"], region["startColumn"]) == (region["endLine"], region["endColumn"])
    lines = file.read_bytes().decode().split("\n")
    at = sum(len(line) + 1 for line in lines[: region["startLine"] - 1]) + region["startColumn"] - 1
    text = "\n".join(lines)
    assert text[:at].endswith((";", "; -- trailing"))
    file.write_bytes((text[:at] + replacement["insertedContent"]["text"] + text[at:]).encode())
    after = {r["partialFingerprints"]["pgcharterKey/v1"] for r in results()}
    assert after == {r["partialFingerprints"]["pgcharterKey/v1"] for r in before} - {found[0]["partialFingerprints"]["pgcharterKey/v1"]}
