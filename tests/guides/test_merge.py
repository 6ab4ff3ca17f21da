"""A guide under a charter: the project's overrides win, everything else stays."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter import charter, guides
from pgcharter.errors import CharterError
from pgcharter.findings import Severity
from pgcharter.guides.files import Codes
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.options import Options
from pgcharter.tomlfile import TomlFile

CODES = ("KEY01", "KEY02", "TYP01", "CON01")
BASE = Guide(
    "base", "Base", clauses=(Clause("B1", "Keys", "x", rules=CODES),), severities={"KEY02": Severity.INFO}, off=frozenset({"TYP01"})
)


def under(text: str, guide: Guide = BASE, codes: Codes | None = None) -> Guide:
    file = TomlFile.parse(text.encode(), "pgcharter.toml")
    made = charter.Charter(options=file.data.get("options", {}), severity=file.data.get("severity", {}), file=file)
    return guides.effective(guide, made, codes=codes)


def test_no_charter_changes_nothing() -> None:
    assert guides.effective(BASE, charter.Charter()) is BASE


words = st.sampled_from(["error", "warning", "info", "off"])
tables = st.dictionaries(st.sampled_from(CODES), words)


def as_toml(table: dict[str, str]) -> str:
    return "[severity]\n" + "".join(f'{code} = "{word}"\n' for code, word in table.items())


@given(tables)
def test_the_charter_wins_and_the_rest_stays(table: dict[str, str]) -> None:
    merged = under(as_toml(table))
    for code in CODES:
        if code in table:
            assert (code in merged.rules) == (table[code] != "off")
            if table[code] != "off":
                assert merged.severity(code, Severity.WARNING).word == table[code]
        else:
            assert (code in merged.rules) == (code in BASE.rules)
            assert merged.severity(code, Severity.WARNING) is BASE.severity(code, Severity.WARNING)
    assert (merged.clauses, merged.options) == (BASE.clauses, BASE.options)


@given(tables, tables)
def test_two_layers_are_one_with_the_later_on_top(first: dict[str, str], second: dict[str, str]) -> None:
    twice, once = under(as_toml(second), under(as_toml(first))), under(as_toml({**first, **second}))
    assert twice.rules == once.rules
    assert all(twice.severity(c, Severity.WARNING) is once.severity(c, Severity.WARNING) for c in once.rules)


@given(tables)
def test_a_layer_laid_twice_is_laid_once(table: dict[str, str]) -> None:
    once = under(as_toml(table))
    assert under(as_toml(table), once) == once


def toml_value(value: object) -> str:
    if value is None:
        return '"any"'
    if isinstance(value, tuple):
        return f"[{', '.join(toml_value(v) for v in value)}]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize("guide", guides.available())
@pytest.mark.parametrize("base", [Options(), guides.load("cloudlab").options], ids=["defaults", "cloudlab"])
def test_options_written_out_read_back(guide: str, base: Options) -> None:
    options = guides.load(guide).options
    text = "[options]\n" + "".join(f"{name} = {toml_value(value)}\n" for name, value in asdict(options).items())
    assert tomllib.loads(text)["options"].keys() == {f.name for f in fields(Options)}
    assert under(text, replace(BASE, options=base)).options == options


WRONG = [
    ('[options]\ntabel_number = "plural"\n', ":2", 'there is no option "tabel_number"', 'did you mean "table_number"?'),
    ('[severity]\nKEY01 = "of"\n', ":2", 'severity of KEY01 must be "error", "warning", "info" or "off", not "of"', 'did you mean "off"?'),
    ("[options]\nindex_name_strict = true\n", ":2",
     "index_name_strict is set, but there is no index_name to be strict about", "set index_name"),
    ('[severity]\nKEY09 = "off"\n', ":2", 'there is no rule "KEY09"', "did you mean KEY02?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message", "hint"), WRONG)
def test_what_is_wrong_is_said_whole(text: str, line: str, message: str, hint: str) -> None:
    with pytest.raises(CharterError) as caught:
        under(text, codes=("KEY02", "KEY01"))
    assert (caught.value.place, caught.value.message, caught.value.hint) == (f"pgcharter.toml{line}", message, hint)


@dataclass(frozen=True)
class Reader:
    options: tuple[str, ...] = ()


def test_an_option_of_the_charter_brings_the_rules_that_read_it() -> None:
    rules = {"KEY01": Reader(), "NAM11": Reader(("unique_name",)), "NAM12": Reader(("foreign_key_name",))}
    text = '[options]\nunique_name = "uq_{table}_{columns}"\n'
    assert under(text, codes=rules).rules == BASE.rules | {"NAM11"}
    assert under(text + '[severity]\nNAM11 = "off"\n', codes=rules).rules == BASE.rules
    assert under(text).rules == BASE.rules


def test_a_waiver_of_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pgcharter.toml"
    path.write_text("[[waiver]]\nrule = 'KYE01'\nobject = 'a'\nreason = 'x'\n[check]\nonly = ['KEY1']\n")
    read = charter.read(path, name="pgcharter.toml")
    assert guides.effective(BASE, read) == BASE
    with pytest.raises(CharterError) as caught:
        guides.effective(BASE, read, codes=("KEY01",))
    assert (str(caught.value), caught.value.hint) == ('pgcharter.toml:2: there is no rule "KYE01"', "did you mean KEY01?")
    with pytest.raises(CharterError) as caught:
        guides.effective(BASE, replace(read, waivers=()), codes=("KEY01",))
    assert (str(caught.value), caught.value.hint) == ('pgcharter.toml:6: there is no rule "KEY1"', "did you mean KEY01?")
