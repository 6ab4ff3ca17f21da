"""Reading a guide: what is right comes through, what is wrong is said whole, with file, line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcharter import guides
from pgcharter.errors import CharterError, Exit
from pgcharter.findings import Severity

HEAD = 'id = "ours"\ntitle = "Our standards"\n'
CLAUSE = '[[clause]]\nid = "O1"\nsection = "Keys"\ntext = "Every table has a primary key"\nrules = ["KEY01"]\n'


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "ours.toml") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


def test_a_guide_of_ones_own(guide) -> None:
    text = HEAD + 'extends = "core"\n[options]\ntable_number = "singular"\n[severity]\nKEY01 = "info"\nTYP01 = "off"\n' + CLAUSE
    ours = guides.load(guide(text))
    core = guides.load("core")
    assert (ours.id, ours.title, ours.extends) == ("ours", "Our standards", "core")
    assert ours.clauses[0].guide == "ours"
    assert ours.clauses[1:] == core.clauses
    assert ours.rules == (core.rules | {"KEY01"}) - {"TYP01"}
    assert ours.options.table_number == "singular"
    assert ours.severity("KEY01", Severity.ERROR) is Severity.INFO
    assert ours.severity("KEY02", Severity.ERROR) is Severity.ERROR
    assert ours.clauses_of("KEY01")[0] == "O1"
    assert ours.clauses_of("XXX99") == ()
    assert ours.clause("O1").text == "Every table has a primary key"
    with pytest.raises(KeyError):
        ours.clause("O2")


def test_a_parent_is_found_beside_its_child(guide, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "base.toml").write_text(HEAD + CLAUSE)
    (tmp_path / "deep" / "team.toml").write_text('id = "team"\ntitle = "Team"\nextends = "base.toml"\n')
    assert [c.id for c in guides.load("deep/team.toml").clauses] == ["O1"]


def test_any_takes_an_option_back(guide) -> None:
    guide(HEAD + '[options]\ntable_number = "plural"\ncomments = ["table"]\n', "base.toml")
    text = 'id = "child"\ntitle = "Child"\nextends = "base.toml"\n[options]\ntable_number = "any"\ncomments = []\n'
    options = guides.load(guide(text, "child.toml")).options
    assert options.table_number is None
    assert options.comments == ()


def test_a_child_switches_on_what_its_parent_switched_off(guide) -> None:
    guide(HEAD + '[severity]\nKEY01 = "off"\n' + CLAUSE, "base.toml")
    child = guides.load(guide('id = "child"\ntitle = "Child"\nextends = "base.toml"\n[severity]\nKEY01 = "error"\n', "child.toml"))
    assert guides.load("base.toml").rules == frozenset()
    assert child.rules == {"KEY01"}


WRONG = [
    ("", "ours.toml:1", 'the guide has no "id", which it needs', 'write id = "…" at the top'),
    ('id = "ours"\n', "ours.toml:1", 'the guide has no "title", which it needs', 'write title = "…" at the top'),
    ("id = 7\n", "ours.toml:1", 'key "id" must be text in quotes, not 7', ""),
    (HEAD + "claus = []\n", "ours.toml:3", 'there is no key "claus" in a guide', 'did you mean "clause"?'),
    (HEAD + '[clause]\nid = "O1"\n', "ours.toml:3", "clauses are written [[clause]], with two brackets", ""),
    (HEAD + CLAUSE + 'sectoin = "x"\n', "ours.toml:8", 'there is no key "sectoin" in clause O1', 'did you mean "section"?'),
    (HEAD + CLAUSE + 'guide = "core"\n', "ours.toml:8", 'there is no key "guide" in clause O1',
     "known here: evidence, id, level, note, on, proof, reason, requirement, rules, section, sql, text, timeout"),
    (HEAD + '[[clause]]\nid = "O1"\nsection = "Keys"\n', "ours.toml:3", 'clause O1 has no "text", which it needs', ""),
    (HEAD + '[[clause]]\nsection = "Keys"\ntext = "x"\n', "ours.toml:3", 'clause 1 has no "id", which it needs', ""),
    (HEAD + CLAUSE + 'level = "shoud"\n', "ours.toml:8", 'key "level" must be "must", "should" or "may", not "shoud"',
     'did you mean "should"?'),
    (HEAD + CLAUSE.replace('["KEY01"]', '"KEY01"'), "ours.toml:7", 'key "rules" must be a list, not "KEY01"', ""),
    (HEAD + CLAUSE.replace('["KEY01"]', "[1]"), "ours.toml:7", 'key "rules" must be a list of text in quotes, not 1', ""),
    (HEAD + CLAUSE.replace('"O1"', '"O 1"'), "ours.toml:4", '"O 1" is no clause id, which is letters, digits, dots and dashes', ""),
    (HEAD + CLAUSE.replace('["KEY01"]', "[]"), "ours.toml:3", "clause O1 is proven by rule but names no rules", ""),
    (HEAD + CLAUSE + 'proof = "document"\n', "ours.toml:8", 'clause O1 is document only but gives no "reason"', ""),
    (HEAD + CLAUSE + 'proof = "later"\n', "ours.toml:8", 'clause O1 waits for a feature to come but names no "requirement"', ""),
    (HEAD + CLAUSE + 'proof = "drill"\n', "ours.toml:8", 'clause O1 is proven by a drill but names no "evidence"', ""),
    (HEAD + CLAUSE + 'proof = "drill"\nevidence = ["dril.restore"]\n', "ours.toml:9",
     '"dril.restore" is no evidence, whose name begins with one of '
     "advise, backup, business, health, jobs, partitions, policy, probe, purge, retention, sync, upkeep and a dot", ""),
    (HEAD + CLAUSE + 'requirement = "soon"\n', "ours.toml:8",
     '"soon" is no requirement row, which is two letters and a number such as MG3', ""),
    (HEAD + CLAUSE + CLAUSE, "ours.toml:9", "clause id O1 is already used on line 3", ""),
    (HEAD + 'extends = "core"\n' + CLAUSE.replace("O1", "H1.1"), "ours.toml:5", "clause id H1.1 is already used in guide core", ""),
    (HEAD + 'extends = "cor"\n', "ours.toml:3", 'there is no guide "cor"', "did you mean core?"),
    (HEAD + 'extends = "ours.toml"\n', "ours.toml:3", "the guide extends itself: ours → ours", "take one of them out of the circle"),
    (HEAD + "[options]\ntabel_number = 1\n", "ours.toml:4", 'there is no option "tabel_number"', 'did you mean "table_number"?'),
    (HEAD + '[options]\ntable_number = "plurals"\n', "ours.toml:4",
     'option "table_number" must be "plural" or "singular" (or "any"), not "plurals"', 'did you mean "plural"?'),
    (HEAD + "[options]\nindex_name = 3\n", "ours.toml:4", 'option "index_name" must be text in quotes (or "any"), not 3', ""),
    (HEAD + '[options]\nmax_indexes = "many"\n', "ours.toml:4", 'option "max_indexes" must be a whole number, not "many"', ""),
    (HEAD + "[options]\nmax_indexes = true\n", "ours.toml:4", 'option "max_indexes" must be a whole number, not true', ""),
    (HEAD + "[options]\non_delete_required = 1\n", "ours.toml:4", 'option "on_delete_required" must be true or false, not 1', ""),
    (HEAD + "options = 3\n", "ours.toml:3", "options must be a table, not 3", ""),
    (HEAD + '[options]\ncomments = ["tables"]\n', "ours.toml:4",
     'option "comments" must be a list of "table", "column", "view", "function" or "type", not "tables"', 'did you mean "table"?'),
    (HEAD + '[severity]\nKEY01 = "eror"\n', "ours.toml:4",
     'severity of KEY01 must be "error", "warning", "info" or "off", not "eror"', 'did you mean "error"?'),
    (HEAD + "[severity]\nKEY01 = 3\n", "ours.toml:4", 'severity of KEY01 must be "error", "warning", "info" or "off", not 3', ""),
    (HEAD + "severity = 3\n", "ours.toml:3", "[severity] must be a table, not 3", ""),
    (HEAD + "[options\n", "ours.toml:3:9", "the file is not valid TOML: expected ']' at the end of a table declaration", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "message", "hint"), WRONG, ids=[w[2][:50] for w in WRONG])
def test_what_is_wrong_is_said_whole(guide, text: str, place: str, message: str, hint: str) -> None:
    with pytest.raises(CharterError) as caught:
        guides.load(guide(text))
    assert (caught.value.place, caught.value.message, caught.value.hint) == (place, message, hint)
    assert caught.value.exit_code is Exit.USAGE


def test_a_circle_of_three_names_all(guide) -> None:
    for name, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        guide(f'id = "{name}"\ntitle = "{name}"\nextends = "./{parent}.toml"\n', f"{name}.toml")
    with pytest.raises(CharterError) as caught:
        guides.load("a.toml")
    assert str(caught.value) == "c.toml:3: the guide extends itself: a → b → c → a"


def test_no_such_guide() -> None:
    with pytest.raises(CharterError) as caught:
        guides.load("clodlab")
    assert (caught.value.message, caught.value.hint) == ('there is no guide "clodlab"', "did you mean cloudlab?")
    with pytest.raises(CharterError) as caught:
        guides.load("zzz")
    assert caught.value.hint == f"built in are {', '.join(guides.available())}; a path ending in .toml names your own"
    with pytest.raises(CharterError) as caught:
        guides.load("nowhere/ours.toml")
    assert str(caught.value) == "nowhere/ours.toml: nowhere/ours.toml cannot be read: no such file or directory"


def test_unknown_rule_codes_are_refused_when_the_rules_are_handed_in(guide) -> None:
    name = guide(HEAD + CLAUSE)
    assert guides.load(name, codes={"KEY01"}).rules == {"KEY01"}
    with pytest.raises(CharterError) as caught:
        guides.load(name, codes={"KEY02", "TYP01"})
    assert (str(caught.value), caught.value.hint) == ('ours.toml:7: there is no rule "KEY01"', "did you mean KEY02?")
    with pytest.raises(CharterError) as caught:
        guides.load(guide(HEAD + '[severity]\nQQQ99 = "off"\n'), codes={"KEY01"})
    assert (str(caught.value), caught.value.hint) == ('ours.toml:4: there is no rule "QQQ99"', "`pgcharter rules list` shows all")


def test_codes_of_the_parent_are_checked_too(guide) -> None:
    guide(HEAD + CLAUSE, "base.toml")
    name = guide('id = "child"\ntitle = "Child"\nextends = "base.toml"\n', "child.toml")
    with pytest.raises(CharterError, match=r'base.toml:7: there is no rule "KEY01"'):
        guides.load(name, codes={"KEY02"})


def test_windows_line_ends_and_byte_order_mark(guide, tmp_path: Path) -> None:
    text = (HEAD + CLAUSE).replace("\n", "\r\n")
    (tmp_path / "ours.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [c.id for c in guides.load("ours.toml").clauses] == ["O1"]


def test_not_utf8(guide, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_bytes(HEAD.encode() + b'source = "M\xfcnchen"\n')
    with pytest.raises(CharterError) as caught:
        guides.load("ours.toml")
    assert str(caught.value) == "ours.toml:3: the file is not UTF-8 text, which TOML demands"
