"""Good schemas of many houses: the default guide has nothing to warn of. A rule that cries wolf is worse than none.

Each `corpus/<name>.sql` is built on a real database and held against guide `core`, as a live database and as plain text. What the guide
says all the same stands in `corpus/<name>.toml`, each finding with the judgement why it is right to say it:

    generated_by = "Django 5"       # only such files may have findings above INFO
    [[finding]]
    key = "IDX01:index:public.shop_order_idx"
    severity = "warning"
    why = "true: ..."

A file that begins with `-- since: 18` needs that major version.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter import guides, sqltext
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Severity
from pgcharter.rules import engine
from pgcharter.sources import live

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("*.sql"))

every_file = pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)


def accepted(file: Path) -> dict[str, Any]:
    known = file.with_suffix(".toml")
    return tomllib.loads(known.read_text(encoding="utf-8")) if known.exists() else {"finding": []}


def judged(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return sorted((f.key, f.severity.word) for f in findings)


def require_version(file: Path, dsn: str) -> None:
    since = re.match(r"-- since: (\d+)", file.read_text(encoding="utf-8"))
    with psycopg.connect(dsn) as conn:
        if since and conn.info.server_version // 10000 < int(since[1]):
            pytest.skip(f"needs PostgreSQL {since[1]}")


@every_file
@pytest.mark.usefixtures("others")
def test_core_says_only_what_was_judged(file: Path, database: str) -> None:
    require_version(file, database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(file.read_bytes())
    result = engine.run(live.read(database), guides.load("core"), skip=[c for c in engine.load() if c.startswith("SRV")])
    assert judged(result.findings) == sorted((f["key"], f["severity"]) for f in accepted(file)["finding"])


@every_file
def test_core_says_no_more_about_the_text(file: Path) -> None:
    parsed = sqltext.parse(file.read_text(encoding="utf-8"), file.name)
    reading = Reading(file.name, "sql", statements=parsed.statements, texts={file.name: file.read_text(encoding="utf-8")})
    codes = {f["key"].partition(":")[0] for f in accepted(file)["finding"]}
    assert [(f.code, str(f.place), f.message) for f in engine.run(reading, guides.load("core")).findings if f.code not in codes] == []


@every_file
def test_judgements_are_told_and_rare(file: Path) -> None:
    known = accepted(file)
    for finding in known["finding"]:
        assert finding["why"].strip()
        assert known.get("generated_by") or finding["severity"] == Severity.INFO.word
    assert len(known["finding"]) <= (12 if known.get("generated_by") else 2)
