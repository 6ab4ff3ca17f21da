"""What a fix promises (docs/decisions/0008-fixes.md), proven for every finding of every case by itself.

Applied alone, the statements of a fix clear their finding and no other of the rule, bring no finding of any rule, change no object
but those they name, and leave the rows as they were. A fix that names new objects is proven again in a house with templates of its own.

And again after everything was given names that are hard to write.

The second and third time CONCURRENTLY is left out, so that a clone is not needed.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.rules import strange
from tests.rules.casework import FOLDERS, Case, OneRule, as_text, execute
from tests.rules.promise import look, mine, prove
from tests.rules.rows import fill

from pgcharter.guides.options import Options
from pgcharter.rules import engine
from pgcharter.sources import live

HOUSE = {
    "index_name": "ix_{table}_{columns}", "index_name_strict": True, "unique_name": "ux_{singular}_{columns}",
    "foreign_key_name": "ref_{table}_{columns}", "check_name": "ck_{table}_{description}", "primary_key_constraint_name": "pk_{table}",
    "sequence_name": "sq_{table}_{column}", "on_delete_required": True,
}  # fmt: skip
"""Templates that nobody has by default."""
EMPTY = {"DES01": "the fix drops a table without columns, whose rows hold nothing"}
"""Rules that are proven without rows of ours: why."""
KNOWN = {"CON22", "DES07", "DES09", "DES11", "DES13", "KEY03", "NAM14", "SEC45", "TYP26"}
"""Rules that know columns by their names, or a view's column by that of its table: these stay."""
UNSEEN = {
    "CST04": "its tables are listed in the options",
    "KEY11": "the new name needs a noun whose singular is certain",
    "NAM15": "the new name needs a noun whose singular is certain",
    "SEC32": "a trail is known by the end of its name",
    "NAM19": "a name of 63 bytes has no room for a prefix",
    "NAM20": "a name of 63 bytes has no room for a prefix",
}
"""Rules that have no fix for objects with strange names: why. Their cases have milder ones."""


def has_fix(folder: Path) -> bool:
    expected = folder / "expected.json"
    return expected.exists() and '"fix"' in expected.read_text(encoding="utf-8")


MENDABLE = [f for f in FOLDERS if has_fix(f)]
WRITTEN = [f for f in MENDABLE if Case(f).text_only]
BUILT = [f for f in MENDABLE if f not in WRITTEN]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("folder", BUILT, ids=lambda p: p.name)
def test_each_fix_keeps_its_promise(folder: Path, database: str) -> None:
    case = Case(folder)
    case.require_version(database)
    execute(database, case.sql("bad.sql"))
    if case.rule.needs not in ("stats", "samples") and case.code not in EMPTY:
        with psycopg.connect(database, autocommit=True) as conn:
            fill(conn, live.read_catalog(conn))
    found = [*as_it_is(case, database), *in_a_house(case, database), *with_strange_names(case, database)]
    assert not found, "\n".join(found)


def as_it_is(case: Case, dsn: str) -> list[str]:
    with psycopg.connect(dsn) as conn:
        old = look(conn, case, case.options)
    mendable = [f for f in mine(case, old).values() if f.fix]
    expected = json.loads((case.folder / "expected.json").read_text(encoding="utf-8"))
    assert sorted(f.fix for f in mendable) == sorted(tuple(e["fix"]) for e in expected if "fix" in e)
    return prove(case, dsn, old, mendable, case.options, at_once=False)


def in_a_house(case: Case, dsn: str) -> list[str]:
    options = housed(case.options)
    with psycopg.connect(dsn) as conn:
        old = look(conn, case, options)
    return [f"in the house: {f}" for f in prove(case, dsn, old, [f for f in mine(case, old).values() if makes(f.fix)], options)]


def with_strange_names(case: Case, dsn: str) -> list[str]:
    """The last one: the database keeps the names."""
    options = housed(case.options)
    keep = (options.tenant_column, options.soft_delete_column)
    with psycopg.connect(dsn, autocommit=True) as conn:
        strange.make(conn, live.read_catalog(conn), keep, columns=case.code not in KNOWN)
        old = look(conn, case, options)
    mendable = [f for f in mine(case, old).values() if f.fix]
    assert bool(mendable) == (case.code not in UNSEEN)
    return prove(case, dsn, old, mendable, options)


def makes(fix: tuple[str, ...]) -> bool:
    """Whether the fix makes something that must have a name."""
    return any(re.search(r"\b(?:CREATE|ADD)\b", statement) for statement in fix)


def housed(options: Options) -> Options:
    """The options with the templates of a house where the case has none."""
    return replace(options, **{k: v for k, v in HOUSE.items() if not getattr(options, k)})


@pytest.mark.parametrize("folder", WRITTEN, ids=lambda p: p.name)
def test_statements_put_behind_clear_what_was_written(folder: Path) -> None:
    case = Case(folder)
    sql = case.sql("bad.sql")
    mendable = [f for f in case.said_of_text("bad.sql") if f.fix]
    for finding in mendable:
        more = sql + "".join(f"\n{statement};" for statement in finding.fix)
        left = engine.run(as_text(more, "bad.sql"), OneRule(case.code, case.options), only=(case.code,)).findings
        assert [f.place for f in left] == [f.place for f in case.said_of_text("bad.sql") if f.place != finding.place]
