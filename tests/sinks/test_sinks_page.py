"""The blocks of docs/how-to/sinks.md are read and run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tests.sinks.conformance import clear, delete, shape, whole

from pgcharter import charter
from pgcharter.policy.sync_settings import SECTION
from pgcharter.sinks import registry
from pgcharter.sinks.files_sink import FilesSink
from pgcharter.sinks.jsonl import Jsonl
from pgcharter.stream import mapping
from pgcharter.stream.model import Stamp

PAGE = (Path(__file__).parents[2] / "docs/how-to/sinks.md").read_text(encoding="utf-8")


def _block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_charter_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text(_block("toml"), encoding="utf-8")
    assert tomllib.loads(_block("toml"))
    section = charter.read(tmp_path / "pgcharter.toml", sections=[SECTION]).section(SECTION)
    mapping.check(section)
    for table in section.sink:
        assert registry.make(table, tmp_path, {"REPORTS_DB": "postgresql://nowhere"})


def test_files_are_read_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink, of = FilesSink(tmp_path / "copies", Jsonl()), shape()
    sink.open([of])
    sink.write([whole(of, 1, 9), clear(of, 2), whole(of, 3, 1), whole(of, 4, 2)], Stamp(4, 1))
    sink.write([delete(of, 5, 1), whole(of, 6, 2, name="new"), whole(of, 4, 2)], Stamp(6, 1))
    names: dict[str, list[dict[str, str]]] = {}
    exec(compile(_block("python"), "sinks.md", "exec"), names)
    assert [(r["id"], r["name"]) for r in names["rows"]] == [(2, "new")]
    sink.close()
