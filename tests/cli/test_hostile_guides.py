"""Guides and charters that somebody wrote in a hurry, by accident or to do harm."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from pgcharter import guides
from pgcharter.errors import CharterError, Exit

HEAD = 'id = "own"\ntitle = "Own"\n'


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ('extends = "\\u0000.toml"', ":3", "there can be no file"),
        ('extends = "gone/gone.toml"', ":3", "gone.toml cannot be read: no such file or directory"),
        ('extends = "folder.toml"', ":3", "folder.toml cannot be read: is a directory"),
        (f"version = {'9' * 5000}", "", "the file holds a number that is too long to be one"),
        (f"deep = {'[' * 5000}{']' * 5000}", "", "the file is nested too deeply to be read"),
        ('extends = "other.toml"', ":1", "the guide calls itself own, like one that it extends, so nobody could tell their clauses apart"),
        ('[[clause]]\nid = "A"\nsection = "S"\ntext = " "\nproof = "document"\nreason = "r"', ":6", "clause A has no text"),
        (
            '# \u2028\n[[clause]]\nid = "A"\nsection = "S"\ntext = "T"\nproof = "sql"\nsql = "select 1 \\u0000"',
            ":9",
            "own SQL of clause A must be one query that only reads: the text holds a NUL byte",
        ),
    ],
    ids=["nul-in-path", "missing", "folder", "number", "nested", "same-id", "no-text", "nul-in-sql"],
)  # fmt: skip
def test_guides_that_cannot_be_are_told_with_their_line(tmp_path: Path, text: str, place: str, said: str) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "other.toml").write_text(HEAD)
    path = tmp_path / "own.toml"
    path.write_text(f"{HEAD}{text}\n", encoding="utf-8")
    with pytest.raises(CharterError) as caught:
        guides.load(str(path))
    assert said in caught.value.message
    assert caught.value.place == f"{path}{place}"


def test_a_chain_of_guides_has_an_end(tmp_path: Path) -> None:
    for n in range(1500):
        (tmp_path / f"c{n}.toml").write_text(f'id = "c{n}"\ntitle = "C"\nextends = "c{n + 1}.toml"\n')
    with pytest.raises(CharterError, match="more than 50 guides extend each other"):
        guides.load(str(tmp_path / "c0.toml"))


@pytest.mark.parametrize("title", ['Acme "DB" \\ {id} {0}', "two\nlines", "bell\x07 tab\t del\x7f", "守 😀", "\udcff\udcfe"])
def test_a_new_guide_can_be_read_back_whatever_its_title(program: Any, tmp_path: Path, title: str) -> None:
    made = program("guides", "new", "own.toml", "--title", title, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert guides.load(str(tmp_path / "own.toml")).title == title.encode("utf-8", errors="replace").decode()
    assert program("guides", "new", "child.toml", "--extends", "own.toml").returncode == 0
    assert guides.load(str(tmp_path / "child.toml")).extends == "own.toml"
    assert program("init", "--guide", "child.toml", "--no-look").returncode == 0
    assert tomllib.loads((tmp_path / "pgcharter.toml").read_text(encoding="utf-8"))["guide"] == "child.toml"


def test_the_path_of_a_parent_starts_from_the_new_guide(program: Any, tmp_path: Path) -> None:
    assert program("guides", "new", "db/a.toml", cwd=tmp_path).returncode == 0
    done = program("guides", "new", "db/b.toml", "--extends", "db/a.toml")
    assert done.returncode == Exit.USAGE
    assert "hint: --extends a.toml" in done.stderr
    assert program("guides", "new", "db/b.toml", "--extends", "a.toml").returncode == 0
