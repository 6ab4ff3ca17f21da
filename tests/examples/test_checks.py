"""The legacy schema shows what it is there to show."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pgcharter import examples, sources
from pgcharter.cli.project import open_project
from pgcharter.rules import engine

LEGACY = Path(__file__).parent / "legacy.json"
MOST_HARMFUL = {
    "KEY01": "no primary key",
    "KEY20": "foreign key without index",
    "TYP01": "time without zone",
    "TYP04": "money as floating point",
    "CON03": "CHECK that depends on the day",
    "CON07": "e-mail unique only as spelled",
    "SEC01": "row security not forced",
    "SEC02": "policy without row security",
    "SEC05": "policy that raises while no tenant is set",
    "SEC06": "rows can be moved to others",
    "SEC12": "view past row security",
    "SEC20": "definer function without search_path",
    "FUN05": "SQL injection",
    "IDX02": "index that repeats a unique key",
    "CON20": "soft delete beside a full unique key",
}


def test_the_legacy_schema_shows_what_goes_wrong() -> None:
    """The findings in `legacy.json` were read by eye. After a change of the rules: PGCHARTER_ACCEPT=1, then read the diff."""
    project = open_project(examples.folder("legacy"))
    assert project.guide.id == "core"
    result = engine.run(sources.read(str(examples.folder("legacy"))), project.guide)
    found: dict[str, list[str]] = {}
    for finding in result.findings:
        found.setdefault(finding.code, []).append(finding.object.sql() if finding.object else "")
    found = {code: sorted(found[code]) for code in sorted(found)}
    if os.environ.get("PGCHARTER_ACCEPT"):
        LEGACY.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(LEGACY.read_text())
    assert MOST_HARMFUL.keys() <= found.keys()
    assert sum(bool(f.fix) for f in result.findings) > len(result.findings) / 2
