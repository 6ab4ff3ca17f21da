"""The built-in guides: whole, numbered, provable as they say, and no rule without a home."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pgcharter import guides
from pgcharter.guides.files import FOLDER
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.style import contradiction
from pgcharter.rules import engine

ROWS = frozenset(
    [f"CK{n}" for n in range(1, 11)] + [f"MG{n}" for n in range(1, 14)] + [f"SE{n}" for n in range(1, 9)]
    + [f"RT{n}" for n in range(1, 10)] + [f"FL{n}" for n in range(1, 9)] + [f"OP{n}" for n in range(1, 8)]
    + [f"WA{n}" for n in range(1, 8)] + [f"EX{n}" for n in range(1, 7)] + [f"SC{n}" for n in range(1, 9)]
    + [f"PR{n}" for n in range(1, 5)]
)  # fmt: skip
"""Rows of the list of capabilities that a clause may wait for."""
WAITING = {
    "NAM07": "date_suffix", "NAM08": "boolean_prefixes", "SEC33": "allowed_extensions",
    "NAM17": "primary_key_constraint_name",
    "NAM19": "table_prefixes", "NAM20": "tenant_table_prefix", "NAM21": "reserved_words",
    "DOC07": "comment_language", "TYP31": "timestamp_type",
}  # fmt: skip
"""House style that no document taken in so far speaks of. A charter or guide that sets the option brings the rule."""
TASTE: dict[str, str] = {}
"""Rules that speak of no harm and so are not in core, with what they wait for."""
LETTERS = {"core": "H", "cloudlab": "C", "thinkalike": "T", "default": "D", "creampie": "P", "blueprint": "B"}
OWN = [(name, clause) for name in guides.available() for clause in guides.load(name).clauses if clause.guide == name]


DOCUMENTS = sorted(p.stem for p in (Path(__file__).parent / "items").glob("*.toml"))


def items(name: str) -> list[dict[str, Any]]:
    text = (Path(__file__).parent / "items" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["item"]


@pytest.fixture(params=guides.available())
def guide(request: pytest.FixtureRequest) -> Guide:
    return guides.load(request.param)


def test_core_comes_first_and_every_guide_extends_it() -> None:
    assert guides.available()[0] == "core"
    assert {guides.load(name).extends for name in guides.available()[1:]} == {"core"}
    assert guides.load("core").extends == ""


def test_loads_with_the_rules_that_exist(guide: Guide) -> None:
    known = guides.load(guide.id, codes=engine.load())
    assert (known.clauses, known.options, known.severities) == (guide.clauses, guide.options, guide.severities)
    assert guide.id == Path(FOLDER / f"{guide.id}.toml").stem
    assert guide.title
    assert guide.source
    assert contradiction(guide.options) is None


def test_ids_are_unique_and_tell_the_guide(guide: Guide) -> None:
    ids = [c.id for c in guide.clauses]
    assert len(set(ids)) == len(ids)
    for clause in guide.clauses:
        assert re.fullmatch(rf"{LETTERS[clause.guide]}\d+(\.\d+){{1,2}}", clause.id)


def test_ids_count_up_without_a_gap(guide: Guide) -> None:
    last: dict[str, int] = {}
    for clause in guide.clauses:
        group, _, number = clause.id.rpartition(".")
        assert int(number) == last.get(group, 0) + 1, clause.id
        last[group] = int(number)


@pytest.mark.parametrize(("name", "clause"), OWN, ids=[c.id for _, c in OWN])
def test_clause(name: str, clause: Clause) -> None:
    assert clause.section
    assert clause.text
    assert not clause.text.endswith(".")
    assert clause.text[:1].isupper() or not clause.text[:1].isalpha() or "_" in clause.text.split()[0]
    assert not clause.note or clause.note.endswith((".", ")"))
    assert not clause.requirement or clause.requirement in ROWS
    assert len(set(clause.rules)) == len(clause.rules)
    if clause.proof == "sql":
        assert clause.rules == (clause.code,)
    elif clause.proof != "rule":
        assert not clause.rules, "a clause with rules is proven by rule; what is missing goes into requirement"


def test_every_rule_has_a_home_in_a_guide() -> None:
    used = {code for name in guides.available() for code in guides.load(name).rules}
    rules = engine.load()
    assert sorted(set(rules) - used) == sorted((WAITING.keys() | TASTE.keys()) & rules.keys())
    assert all(option in rules[code].options for code, option in WAITING.items() if code in rules)


def test_no_house_style_in_core() -> None:
    core = guides.load("core")
    assert {code for code in core.rules if code.startswith(("DOC", "NAM"))} <= HARMFUL_NAMES
    assert not [c for c in core.clauses if c.proof in ("document", "later", "drill") or c.requirement]


HARMFUL_NAMES = {"NAM03"}
"""Naming rules whose breach breaks something, whatever the house style."""


def test_options_that_a_rule_needs_are_set_in_a_guide_that_writes_a_clause_for_it(guide: Guide) -> None:
    rules = engine.load()
    for clause in guide.clauses:
        for code in clause.rules:
            wanted = rules[code].options if code in rules else ()
            asked = not wanted or ONLY_A_CHARTER & {*wanted} or any(getattr(guide.options, name) for name in wanted)
            assert asked, f"{clause.id}: {code} is silent without {wanted}"


ONLY_A_CHARTER = {"domains"}
"""Options that name a project's own tables, so that no guide can set them: until a charter does, the clause is unproven."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_item_of_the_document_has_a_clause_or_a_reason(name: str) -> None:
    own = {c.id for c in guides.load(name).clauses if c.guide == name}
    for number, item in enumerate(items(name), start=1):
        assert item["number"] == number
        assert item["text"]
        assert ("clause" in item) != ("reason" in item), item
        assert item.get("clause", next(iter(own))) in own, item
        assert item.get("reason", "x").strip(), item
    lines = [item["line"] for item in items(name)]
    assert lines == sorted(lines)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_clause_comes_from_the_document(name: str) -> None:
    own = {c.id for c in guides.load(name).clauses if c.guide == name}
    assert own == {item["clause"] for item in items(name) if "clause" in item}


def test_every_guide_taken_from_a_document_has_its_list_of_items() -> None:
    assert [name for name in guides.available() if name != "core"] == DOCUMENTS
