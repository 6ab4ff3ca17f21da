"""What a check prints, as cases: `case.json` is the verdict, `80.txt`, `120.txt` and `out.json` what is made of it.

PGCHARTER_ACCEPT=1 rewrites the expected files; read the diff before committing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Gap, Place, Severity
from pgcharter.names import ObjectId
from pgcharter.render import findings
from pgcharter.render.advice import write_advice
from pgcharter.render.json import check_data, dumps
from pgcharter.render.page import Page, Screen
from pgcharter.render.report import Report
from pgcharter.rules import engine
from pgcharter.rules.engine import Context, Rule

CASES = Path(__file__).parent / "cases"


def keyless(_: Context) -> Iterator[Finding]:
    """A table without a primary key.

    Why: Rows cannot be told apart, so they cannot be updated, replicated or repaired one by one. Logical replication refuses updates.

    Instead: Give every table a key of its own:

        CREATE TABLE app.log (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
        );

    Except: A staging table that is loaded and emptied as a whole.
    """
    return iter(())


def floating(_: Context) -> Iterator[Finding]:
    """Money in a floating-point column.

    Why: Sums drift by cents, because binary fractions cannot hold a tenth.
    """
    return iter(())


def unindexed(_: Context) -> Iterator[Finding]:
    """A foreign key without an index on its columns."""
    return iter(())


def undocumented(_: Context) -> Iterator[Finding]:
    """A table without a comment."""
    return iter(())


@pytest.fixture(autouse=True)
def rulebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules with fixed words, so that the expected output does not change with the documentation of real rules."""
    rules = (
        Rule("KEY91", "no-key", Severity.ERROR, "catalog", keyless, "keys"),
        Rule("TYP91", "floating-money", Severity.ERROR, "catalog", floating, "types"),
        Rule("IDX91", "unindexed-fk", Severity.WARNING, "catalog", unindexed, "indexes"),
        Rule("DOC91", "no-comment", Severity.INFO, "catalog", undocumented, "documentation", options=("comments",)),
    )
    monkeypatch.setattr(engine, "load", lambda: {rule.code: rule for rule in rules})


class Guide:
    id = "house"
    title = "The house's guide"
    version = "3"


def repeated(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if not isinstance(row, dict) or "repeat" not in row:
            yield row
            continue
        text = json.dumps({k: v for k, v in row.items() if k != "repeat"})
        for i in range(row["repeat"]):
            yield json.loads(text.replace("{i:02}", f"{i % 30:02}").replace("{i}", str(i)))


def finding(row: dict[str, Any]) -> Finding:
    place = Place(*row["place"]) if "place" in row else None
    target = ObjectId(*row["object"]) if "object" in row else None
    severity = Severity[row["severity"].upper()]
    more = {key: tuple(row[key]) for key in ("fix", "clauses") if key in row}
    return Finding(row["code"], row["message"], target, place, severity, hint=row.get("hint", ""), facts=row.get("facts", {}), **more)


def gap(row: Any) -> Gap:
    if isinstance(row, dict):
        return Gap(row["what"], row["why"])
    what, why, place = row
    return Gap(what, why, Place(*place) if place else None)


def report(case: Path) -> Report:
    data = json.loads((case / "case.json").read_text())
    texts = {name: (case / name).read_text(encoding="utf-8") for name in data.get("texts", [])}
    return Report(
        reading=Reading(data["target"], data["source"], texts=texts),
        guide=Guide(),
        findings=tuple(finding(row) for row in repeated(data.get("findings", []))),
        suppressed=tuple((finding(row), why) for row, why in data.get("suppressed", [])),
        waived=tuple((finding(row), why) for row, why in data.get("waived", [])),
        rest=tuple(finding({"code": "DOC91", "severity": "info", "message": str(n)}) for n in range(data.get("rest", 0))),
        gaps=tuple(gap(row) for row in repeated(data.get("gaps", []))),
        not_run=data.get("not_run", {}),
        ran=tuple(data["ran"]),
        chosen=data.get("chosen", True),
    )


def text(verdict: Report, screen: Screen, *, everything: bool = False) -> str:
    page = Page(screen)
    findings.write(page, verdict, everything=everything)
    write_advice(page, [verdict], everything=everything)
    return page.text()


def same(got: str, file: Path) -> None:
    if os.environ.get("PGCHARTER_ACCEPT"):
        file.write_text(got, encoding="utf-8")
    assert got == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
class TestCase:
    @pytest.mark.parametrize("width", [80, 120])
    def test_text(self, case: Path, width: int) -> None:
        same(text(report(case), Screen(width)), case / f"{width}.txt")

    def test_json(self, case: Path) -> None:
        if case.name != "many":
            same(dumps(check_data([report(case)])) + "\n", case / "out.json")

    def test_colour_changes_nothing_else(self, case: Path) -> None:
        import re

        painted = text(report(case), Screen(80, colour=True))
        assert "\x1b[" in painted
        assert re.sub(r" +\n", "\n", re.sub(r"\x1b\[[0-9;]*m", "", painted)) == text(report(case), Screen(80))

    def test_nothing_hostile_is_left(self, case: Path) -> None:
        got = text(report(case), Screen(80), everything=True)
        assert not {c for c in got if c != "\n" and not c.isprintable()}

    def test_ascii_for_streams_without_unicode(self, case: Path) -> None:
        if case.name not in ("hostile",):
            assert text(report(case), Screen(80, plain=True)).isascii()


def test_everything_is_shown_when_asked() -> None:
    verdict = report(CASES / "many")
    assert text(verdict, Screen(80), everything=True).count("IDX91") == 1200
    assert text(verdict, Screen(80)).count("\n") < 400
