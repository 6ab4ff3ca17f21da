"""Every rule against its case: bad.sql is found exactly as expected and mended by its own fixes, good.sql is silent.

A case is the folder `cases/<CODE>-<slug>/`:

    bad.sql             what the rule flags; built on a real database, statement by statement
    good.sql            the good code that looks like it
    expected.json       the findings on bad.sql
    expected-text.json  what the rule says about bad.sql as text, without a server (rules with a twin)
    options.toml        house options of the case
    text                marker: never build, the rule reads text (implied by needs="text")
    connect             name of the database that bad.sql and good.sql create and that is to be read
    since               oldest PostgreSQL major version that can build it

A statement that follows the comment `-- fails` is expected to be refused (it leaves an invalid index, for example). `PGCHARTER_ACCEPT=1`
rewrites the expected results.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import psycopg.conninfo
import pytest

from pgcharter import sqltext
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Severity
from pgcharter.guides.files import options_of
from pgcharter.guides.options import Options
from pgcharter.rules import engine
from pgcharter.tomlfile import TomlFile

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(p for p in CASES.iterdir() if p.is_dir())
ACCEPT = bool(os.environ.get("PGCHARTER_ACCEPT"))


@dataclass(frozen=True)
class OneRule:
    """A guide that uses nothing but one rule."""

    code: str
    options: Options = field(default_factory=Options)
    rules: tuple[str, ...] = ()

    def severity(self, code: str, default: Severity) -> Severity:
        return default

    def clauses_of(self, code: str) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class Case:
    folder: Path

    @property
    def code(self) -> str:
        return self.folder.name.partition("-")[0]

    @property
    def rule(self) -> engine.Rule:
        return engine.load()[self.code]

    @property
    def text_only(self) -> bool:
        return self.rule.needs == "text" or (self.folder / "text").exists()

    @property
    def options(self) -> Options:
        file = self.folder / "options.toml"
        if not file.exists():
            return Options()
        return options_of((toml := TomlFile.read(file)), toml.data, (), Options())

    def sql(self, name: str) -> str:
        return (self.folder / name).read_text()

    def findings(self, reading: Reading) -> tuple[Finding, ...]:
        result = engine.run(reading, OneRule(self.code, self.options), only=(self.code,))
        assert not result.not_run, f"{self.code} could not look: {result.not_run[self.code]}"
        return result.findings

    def said_of_text(self, name: str) -> tuple[Finding, ...]:
        """What the rule, or its twin, says without a server."""
        return engine.run(as_text(self.sql(name), name), OneRule(self.code, self.options), only=(self.code,)).findings

    def read(self, dsn: str) -> Reading:
        """Read the database, or the one it created, with no more evidence than the rule asks for, so that the case proves what it needs."""
        from pgcharter.sources import live, sampling

        file = self.folder / "connect"
        needs = self.rule.needs
        target = psycopg.conninfo.make_conninfo(dsn, dbname=file.read_text().strip()) if file.exists() else dsn
        whole = live.read(target, looks=[sampling.look(60)] if needs == "samples" else ())
        stats = whole.stats if needs in ("stats", "samples") else None
        return replace(whole, cluster=whole.cluster if needs == "cluster" else None, stats=stats, source="live")

    def require_version(self, dsn: str) -> None:
        file = self.folder / "since"
        if file.exists():
            with psycopg.connect(dsn) as conn:
                if conn.info.server_version // 10000 < int(file.read_text()):
                    pytest.skip(f"needs PostgreSQL {file.read_text().strip()}")


def as_text(sql: str, name: str) -> Reading:
    return Reading(target=name, source="sql", statements=sqltext.parse(sql, name).statements)


def execute(dsn: str, sql: str) -> None:
    """Run the statements one by one in autocommit."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        before = 0
        for statement in sqltext.parse(sql, "case.sql").statements:
            comment = sql[before : statement.offset]
            before = statement.offset + len(statement.text)
            if "-- fails" in comment:
                with pytest.raises(psycopg.Error):
                    conn.execute(statement.text.encode())
            else:
                conn.execute(statement.text.encode())


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
        compare(case.said_of_text("bad.sql"), case.folder / "expected.json")
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
    if not case.text_only:
        dsn = request.getfixturevalue("database")
        case.require_version(dsn)
        execute(dsn, case.sql("good.sql"))
        assert data(case.findings(case.read(dsn))) == []
    assert data(case.said_of_text("good.sql")) == []


def has_twin(folder: Path) -> bool:
    rule = engine.load().get(Case(folder).code)
    return rule is not None and rule.twin is not None


@pytest.mark.parametrize("folder", list(filter(has_twin, FOLDERS)), ids=lambda p: p.name)
def test_bad_is_found_in_text(folder: Path) -> None:
    case = Case(folder)
    compare(case.said_of_text("bad.sql"), folder / "expected-text.json")
