"""Rule cases: a folder's files, what its rule says of them, and how they are built (see test_cases.py)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import psycopg.conninfo
import pytest

from pgcharter import sqltext
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Severity
from pgcharter.guides.files import options_of
from pgcharter.guides.options import Options
from pgcharter.rules import engine
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import files, layout, script
from pgcharter.tomlfile import TomlFile

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(p for p in CASES.iterdir() if p.is_dir())


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

    @property
    def built(self) -> bool:
        """Whether a rule that reads text is to see what each statement does while it is built on a scratch server."""
        return (self.folder / "built").exists()

    def said_of_built(self, name: str, scratch: Scratch) -> tuple[Finding, ...]:
        """What the rule says after the files have been built."""
        with scratch.database() as database:
            reading = files.build_on(database, name, scripted(self.sql(name), name))
        return engine.run(reading, OneRule(self.code, self.options), only=(self.code,)).findings

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


_FILE = re.compile(r"^-- file: (\S+)\n", re.MULTILINE)


def scripted(sql: str, name: str) -> script.Script:
    """The text as a folder of files where lines `-- file: 001_first.sql` part it, else as one file."""
    pieces = _FILE.split(sql)
    texts = dict(zip(pieces[1::2], pieces[2::2], strict=True)) if len(pieces) > 1 else {name: sql}
    made = script.Script()
    listed = [layout.SqlFile(Path(n), n, layout.direction(Path(n))) for n in texts]
    for file in listed:
        script._parsed(file, texts[file.name], made)
    return script._finished(Path(), listed, made)


def as_text(sql: str, name: str) -> Reading:
    return files.text_only(name, scripted(sql, name))


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
