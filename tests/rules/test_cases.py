"""Every rule against its case: bad.sql is found exactly as expected and mended by its own fixes, good.sql is silent.

A case is the folder `cases/<CODE>-<slug>/` (a second one, with other options, has one more word behind):

    bad.sql             what the rule flags; built on a real database, statement by statement
    good.sql            the good code that looks like it
    expected.json       the findings on bad.sql
    expected-text.json  what the rule says about bad.sql as text, without a server (rules with a twin)
    options.toml        house options of the case
    text                marker: never build, the rule reads text (implied by needs="text")
    built               marker: for a rule that reads text and is sharpened by what statements are seen to do on a scratch server
    connect             name of the database that bad.sql and good.sql create and that is to be read
    since               oldest PostgreSQL major version that can build it

Lines `-- file: 001_first.sql` part the SQL of a rule that reads text into the files of a folder.

A statement that follows the comment `-- fails` is expected to be refused (it leaves an invalid index, for example). `PGCHARTER_ACCEPT=1`
rewrites the expected results.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.rules.casework import FOLDERS, Case, execute

from pgcharter.findings import Finding
from pgcharter.rules import engine

ACCEPT = bool(os.environ.get("PGCHARTER_ACCEPT"))


def data(found: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Findings as expected.json holds them: only what says something."""
    rows = []
    for f in found:
        row: dict[str, Any] = {"object": str(f.object)} if f.object else {}
        if f.place:
            row["place"] = str(f.place)
        row |= {"severity": f.severity.word, "message": f.message}
        if f.fix:
            row["fix"] = list(f.fix)
        if f.hint:
            row["hint"] = f.hint
        if f.facts:
            row["facts"] = json.loads(json.dumps(f.facts))
        rows.append(row)
    return rows


def compare(found: tuple[Finding, ...], file: Path) -> None:
    assert found, "the bad example is not found"
    if ACCEPT:
        file.write_text(json.dumps(data(found), indent=2, ensure_ascii=False) + "\n")
    assert data(found) == json.loads(file.read_text())


@pytest.fixture(params=FOLDERS, ids=lambda p: p.name)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.mark.usefixtures("others")
def test_bad_is_found(case: Case, request: pytest.FixtureRequest) -> None:
    if case.text_only:
        found = case.said_of_built("bad.sql", request.getfixturevalue("scratch")) if case.built else case.said_of_text("bad.sql")
        compare(found, case.folder / "expected.json")
        return
    dsn = request.getfixturevalue("database")
    case.require_version(dsn)
    execute(dsn, case.sql("bad.sql"))
    found = case.findings(case.read(dsn))
    compare(found, case.folder / "expected.json")
    mendable = [f for f in found if f.fix]
    for finding in mendable:
        for statement in finding.fix:
            execute(dsn, statement + ";")
    if mendable:
        left = {f.key for f in case.findings(case.read(dsn))} & {f.key for f in mendable}
        assert not left, "applying the fix does not clear the finding"


@pytest.mark.usefixtures("others")
def test_good_is_silent(case: Case, request: pytest.FixtureRequest) -> None:
    if case.built:
        assert data(case.said_of_built("good.sql", request.getfixturevalue("scratch"))) == []
    elif not case.text_only:
        dsn = request.getfixturevalue("database")
        case.require_version(dsn)
        execute(dsn, case.sql("good.sql"))
        assert data(case.findings(case.read(dsn))) == []
    if not case.built:
        assert data(case.said_of_text("good.sql")) == []


def has_twin(folder: Path) -> bool:
    rule = engine.load().get(Case(folder).code)
    return rule is not None and rule.twin is not None


@pytest.mark.parametrize("folder", list(filter(has_twin, FOLDERS)), ids=lambda p: p.name)
def test_bad_is_found_in_text(folder: Path) -> None:
    case = Case(folder)
    compare(case.said_of_text("bad.sql"), folder / "expected-text.json")
