"""The blocks of docs/how-to/sinks.md are read and run."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sinks import servers
from tests.sinks.conformance import clear, delete, shape, whole

from pgcharter import charter
from pgcharter.policy.sync_settings import SECTION
from pgcharter.sinks import registry
from pgcharter.sinks.clickhouse import ClickHouseSink
from pgcharter.sinks.clickhouse_http import Http
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


@pytest.fixture
def store() -> Iterator[servers.Store]:
    with servers.running("clickhouse-server") as server:
        yield server


def test_deleted_keys_are_removed_as_the_page_says(store: servers.Store) -> None:
    of, sink, http = shape("orders"), ClickHouseSink(store.url, "copy"), Http(store.url)
    sink.open([of])
    sink.write([whole(of, 1, 1), whole(of, 1, 2), whole(of, 1, 3)], Stamp(1, 3))
    sink.write([delete(of, 5, 1), delete(of, 5, 2), whole(of, 6, 2)], Stamp(6, 1))
    asked, setting, optimize, remove = (line.rstrip(";") for line in _block("sql").splitlines())
    position = http.table(asked)[0][0]
    assert position == "6"
    sink.write([delete(of, 9, 3)], Stamp(9, 1))
    http.run(optimize, settings=dict([setting.removeprefix("SET ").split(" = ")]))  # each statement is a session of its own here
    assert http.table("SELECT toString(count()), toString(sum(_deleted)) FROM orders") == [["3", "2"]]
    http.run(remove.replace("{position}", position))
    until = time.monotonic() + 20
    while http.table("SELECT toString(count()), toString(sum(_deleted)) FROM orders") != [["2", "1"]]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [s.key for s in sink.read(of, None, None)] == [(2,)]
    sink.close()
    http.close()
