"""Lines of keys in TOML, and the words of its errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.tomlfile import TomlFile, listed, nearest, shown

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
