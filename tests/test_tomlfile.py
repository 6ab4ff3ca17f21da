"""Lines of keys in TOML, and the words of its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.errors import CharterError
from pgcharter.tomlfile import TomlFile, build, listed, nearest, shown

TEXT = '''\
# a comment with key = 1
title = "x"
text = """
inside = "not a key"
[not-a-table]
"""
"quoted key" = 1
a.b = 2

[one]
key = [
  "x = 1",
  "y",
]
same = 1
[ one . two ]  # spaced
same = { inner = 1 }

[[many]]
same = 1
  [many.deep]
  same = 1
  [[many.list]]
  same = 1
[[many]]
same = """one line"""
after = 1
[[many.list]]
same = 1
[[many.list]]
same = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("text",), 3),
        (("inside",), 1),
        (("not-a-table",), 1),
        (("quoted key",), 7),
        (("a", "b"), 8),
        (("one",), 10),
        (("one", "key"), 11),
        (("one", "same"), 15),
        (("one", "two"), 16),
        (("one", "two", "same"), 17),
        (("one", "two", "same", "inner"), 17),
        (("one", "missing"), 10),
        (("many", 0), 19),
        (("many", 0, "same"), 20),
        (("many", 0, "deep", "same"), 22),
        (("many", 0, "list", 0, "same"), 24),
        (("many", 1), 25),
        (("many", 1, "after"), 27),
        (("many", 1, "list", 1, "same"), 31),
        (("nowhere",), 1),
        ((), 1),
    ],
)
def test_the_line_of_a_key(path: tuple[str | int, ...], line: int) -> None:
    file = TomlFile.parse(TEXT.encode(), "x.toml")
    assert file.line(*path) == line
    assert file.place(*path) == f"x.toml:{line}"


names = st.sampled_from(["a", "b", "c-d", "e_1"])
tables = st.lists(st.tuples(names, st.lists(names, unique=True, max_size=3)), max_size=6)


@given(tables, st.integers(0, 2))
def test_every_key_is_found_on_its_own_line(written: list[tuple[str, list[str]]], blanks: int) -> None:
    lines: list[str] = []
    wanted: dict[tuple[str | int, ...], int] = {}
    counts: dict[str, int] = {}
    for table, keys in written:
        lines += [""] * blanks + [f"[[{table}]]"]
        counts[table] = counts.get(table, -1) + 1
        for key in keys:
            lines.append(f"{key} = '{table} = 1'")
            wanted[table, counts[table], key] = len(lines)
    file = TomlFile.parse("\n".join(lines).encode(), "x.toml")
    assert {path: file.line(*path) for path in wanted} == wanted


def test_words() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b or c"
    assert listed(["a", "b"], "and") == "a and b"
    assert listed([]) == ""
    assert nearest("fial_on", ["fail_on", "only"]) == 'did you mean "fail_on"?'
    assert nearest("zzz", ["fail_on", "only"]) == ""
    assert [shown(v) for v in ("x", True, 3, {}, [])] == ['"x"', "true", "3", "a table", "a list"]


@dataclass(frozen=True)
class Part:
    name: str
    size: int = 1
    kind: Literal["small", "large"] = "small"

    def __post_init__(self) -> None:
        if self.kind == "large" and self.size < 10:
            raise ValueError(f'part "{self.name}" is no large one')


@dataclass(frozen=True)
class Whole:
    title: str = ""
    parts: tuple[Part, ...] = ()


def made(text: str) -> Whole:
    file = TomlFile.parse(text.encode(), "x.toml")
    return build(file, file.data.get("w", {}), Whole, ("w",), where="w", base=Whole("before"))


def test_an_array_of_tables_makes_a_tuple_of_dataclasses() -> None:
    assert made("[[w.parts]]\nname = 'a'\n[[w.parts]]\nname = 'b'\nsize = 3") == Whole("before", (Part("a"), Part("b", 3)))
    assert made("[w]\nparts = [{ name = 'a' }]") == Whole("before", (Part("a"),))
    assert made("") == Whole("before")


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ("[[w.parts]]\nname = 'a'\n\n[[w.parts]]\nnam = 'b'", "x.toml:5", 'there is no key "nam" in number 2 of parts'),
        ("[[w.parts]]\nname = 'a'\n[[w.parts]]\nsize = 2", "x.toml:3", 'number 2 of parts has no "name", which it needs'),
        ("[[w.parts]]\nname = 'a'\nsize = 'x'", "x.toml:3", 'key "size" must be a whole number, not "x"'),
        ("[[w.parts]]\nname = 'a'\nkind = 'smal'", "x.toml:3", 'key "kind" must be "small" or "large", not "smal"'),
        ("\n[[w.parts]]\nname = 'a'\nkind = 'large'", "x.toml:2", 'part "a" is no large one'),
        ("[w.parts]\nname = 'a'", "x.toml:1", "parts are written [[w.parts]], with two brackets"),
        ("[w]\nparts = ['a']", "x.toml:2", 'number 1 of parts must be a table, not "a"'),
        ("[w]\nparts = [\n  { nme = 'a' },\n]", "x.toml:2", 'there is no key "nme" in number 1 of parts'),
    ],
)
def test_errors_inside_an_array_of_tables_have_their_line(text: str, place: str, sentence: str) -> None:
    with pytest.raises(CharterError) as error:
        made(text)
    assert (error.value.place, error.value.message) == (place, sentence)
