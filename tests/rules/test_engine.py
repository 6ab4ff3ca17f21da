"""The registry of rules, and how the engine holds a Reading against a guide."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pgcharter.catalog.model import Catalog, Column, DataType, Grant, Table
from pgcharter.catalog.reading import Reading
from pgcharter.errors import UsageError
from pgcharter.findings import Finding, Place, Severity
from pgcharter.guides.options import Options
from pgcharter.names import ObjectId
from pgcharter.rules import engine
from pgcharter.rules.engine import Rule
from pgcharter.sqltext import Allow, Statement, parse

CASES = Path(__file__).parent / "cases"
SERVER_TESTS = [Path(__file__).with_name(f"test_{name}.py") for name in ("server_rules", "server_settings", "transport_rules")]
"""Settings cannot be made by SQL on the shared server: rules about them have their bad and good case there."""


class Strict:
    """A guide with one clause and one severity of its own."""

    options = Options()
    rules = frozenset({"KEY01"})

    def severity(self, code: str, default: Severity) -> Severity:
        return Severity.ERROR if code == "KEY01" else default

    def clauses_of(self, code: str) -> tuple[str, ...]:
        return ("3.1",) if code == "KEY01" else ()


def bare(name: str) -> Table:
    return Table("app", name, columns=(Column("note", 1, DataType("text", name="text")),))


def reading(*names: str, **more: object) -> Reading:
    return Reading("x.sql", "sql", Catalog(tables=tuple(bare(n) for n in names)), **more)  # type: ignore[arg-type]


def rules() -> list[Rule]:
    return list(engine.load().values())


@pytest.mark.parametrize("rule", rules(), ids=lambda r: r.code)
def test_rule_is_documented_and_has_a_case(rule: Rule) -> None:
    assert re.fullmatch(r"[A-Z]{3}\d\d", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.slug)
    assert rule.title, "a title line"
    assert "\n" not in rule.title, "one title line"
    assert rule.why, "a Why: part"
    assert rule.instead, "an Instead: part"
    if rule.needs == "cluster" and any(f'"{rule.code}"' in file.read_text() for file in SERVER_TESTS):
        return
    folder = CASES / f"{rule.code}-{rule.slug}"
    assert {"bad.sql", "good.sql", "expected.json"} <= {p.name for p in folder.glob("*")}, f"case files in {folder}"


def test_slugs_are_unique() -> None:
    slugs = [r.slug for r in rules()]
    assert sorted(slugs) == sorted(set(slugs))


def test_every_case_belongs_to_a_rule() -> None:
    """A second case of a rule, with other options, has one more word behind: NAM19-table-prefix-alone."""
    known = {f"{r.code}-{r.slug}" for r in rules()}
    cases = {p.name for p in CASES.iterdir() if p.is_dir()}
    assert [c for c in cases if c not in known and c.rpartition("-")[0] not in known] == []


def test_options_named_by_rules_exist() -> None:
    known = set(Options.__slots__)
    assert {o for r in rules() for o in r.options} <= known


def test_find_takes_code_and_slug_in_any_case() -> None:
    rule = engine.load()["KEY01"]
    assert engine.find("key01") is engine.find(rule.slug.upper()) is rule


def test_find_names_the_nearest_rule() -> None:
    with pytest.raises(UsageError) as caught:
        engine.find("missing-primary-kee")
    assert "did you mean missing-primary-key?" in caught.value.hint
    with pytest.raises(UsageError) as short:
        engine.find("key1")
    assert short.value.hint.startswith("did you mean KEY01?")


def test_run_dresses_findings_with_the_guide() -> None:
    result = engine.run(reading("logs"), Strict())
    assert [(f.code, f.severity, f.clauses) for f in result.findings] == [("KEY01", Severity.ERROR, ("3.1",))]
    assert result.ran == ("KEY01",)


def test_run_says_which_rule_could_not_look_and_why() -> None:
    result = engine.run(Reading("x.sql", "sql"), Strict())
    assert result.not_run == {"KEY01": "needs a catalog, and only text was read"}


def test_nothing_is_said_about_stand_ins() -> None:
    stand_in = frozenset({ObjectId("table", "app", "users")})
    result = engine.run(reading("logs", "users", stand_ins=stand_in), Strict())
    assert [f.object.name for f in result.findings if f.object] == ["logs"]


def test_findings_take_the_place_of_their_object_or_its_owner() -> None:
    place = Place("x.sql", 3)
    result = engine.run(reading("logs", places={ObjectId("table", "app", "logs"): place}), Strict())
    assert result.findings[0].place == place


def test_allow_comment_suppresses_by_code_or_slug_with_its_reason() -> None:
    place = Place("x.sql", 3, end_line=5)
    slug = engine.load()["KEY01"].slug
    for word in ("KEY01", slug):
        allow = Allow((word,), "rows are never changed", place)
        statement = Statement("create_stmt", "create table logs ()", place, allows=(allow,))
        held = reading("logs", places={ObjectId("table", "app", "logs"): place}, statements=(statement,))
        result = engine.run(held, Strict())
        assert result.findings == ()
        assert [why for _, why in result.suppressed] == ["rows are never changed"]


def test_findings_of_the_source_itself_are_kept() -> None:
    refused = Finding("SRC01", "statement was refused", place=Place("x.sql", 9))
    result = engine.run(reading(findings=(refused,)), Strict())
    assert [f.code for f in result.findings] == ["SRC01"]


def test_alternative_states_are_looked_at_too() -> None:
    result = engine.run(reading("logs", alternatives=(reading("traces"),)), Strict())
    assert {f.object.name for f in result.findings if f.object} == {"logs", "traces"}


def test_tables_that_a_library_makes_are_left_alone_but_for_rights() -> None:
    library = Table("public", "flyway_schema_history", columns=(Column("note", 1, DataType("text", name="text")),))
    everyday = Table("public", "jobs", columns=tuple(Column(n, 1, DataType("text", name="text")) for n in ("queue", "payload")))
    laravel = replace(everyday, schema="queue", columns=tuple(Column(n, 1, DataType("text", name="text")) for n in LARAVEL))
    held = Reading("x.sql", "sql", Catalog(tables=(library, everyday, laravel)))
    assert [str(f.object) for f in engine.run(held, Strict()).findings] == ["table public.jobs"]
    acl = (Grant("", "DELETE"),)
    opened = Reading("x.sql", "sql", Catalog(tables=(replace(library, acl=acl),)))
    assert [f.code for f in engine.run(opened, Strict(), only=("SEC24",)).findings] == ["SEC24"]


LARAVEL = ("id", "queue", "payload", "attempts", "reserved_at", "available_at", "created_at")


def test_the_way_back_of_a_migration_is_not_the_design() -> None:
    statements = tuple(parse("CREATE TABLE a (x integer);\nCREATE TABLE b (x integer);", "1.sql").statements)
    both = Reading("1.sql", "sql", statements=(statements[0], replace(statements[1], direction="down")))
    assert [f.object.name for f in engine.run(both, Strict()).findings if f.object] == ["a"]


def test_a_rule_of_an_open_house_option_does_not_look() -> None:
    result = engine.run(reading("users"), Strict(), only=["NAM05"])
    assert result.ran == ()
    assert result.not_run == {"NAM05": "the guide leaves the house option table_number open"}


def test_what_is_not_said_about_library_tables_is_told() -> None:
    gaps = engine.run(reading("notes", "django_migrations"), Strict()).gaps
    assert [g.what for g in gaps] == ["table app.django_migrations"]


def test_of_two_equal_findings_the_first_stands() -> None:
    here, there = Place("a.sql", 1), Place("a.sql", 9)
    table = bare("notes")
    earlier = Reading("a.md", "markdown", Catalog(tables=(table,)), places={table.id: there})
    both = Reading("a.md", "markdown", Catalog(tables=(table,)), places={table.id: here}, alternatives=(earlier,))
    assert [f.place for f in engine.run(both, Strict()).findings] == [here]
