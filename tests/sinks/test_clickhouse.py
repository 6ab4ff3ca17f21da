"""Copies in ClickHouse 18.16: the conformance suite, and what only ClickHouse can do to us."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.sinks import servers
from tests.sinks.conformance import Conformance, Harness, Rows
from tests.sinks.servers import Store

from pgcharter.sinks.clickhouse import ClickHouseSink
from pgcharter.sinks.clickhouse_http import Http, quoted
from pgcharter.stream import values
from pgcharter.stream.errors import SinkDownError
from pgcharter.stream.model import Field, Shape


@pytest.fixture(scope="module")
def kept() -> Iterator[Store]:
    with servers.running("clickhouse-server", parts=60) as server:
        yield server


@pytest.fixture
def server(kept: Store) -> Iterator[Store]:
    """With an empty database."""
    http = Http(kept.url)
    for name, engine in http.table("SELECT name, engine FROM system.tables WHERE database = currentDatabase()"):
        del engine
        http.run(f"DROP TABLE {quoted(name)}")
    http.close()
    yield kept
    if kept.process is None:
        kept.start()


class ClickHouseHarness(Harness):
    def __init__(self, server: Store) -> None:
        self.server = server

    def sink(self) -> ClickHouseSink:
        return ClickHouseSink(self.server.url, "copy")

    def rows(self, shape: Shape) -> Rows:
        """By ClickHouse's own texts of the values, of the table; the view must have as many."""
        columns = ", ".join(f"{'hex' if f.type == 'bytea' else 'toString'}({quoted(f.name)}) AS x{n}" for n, f in enumerate(shape.fields))
        http = Http(self.server.url)
        said = http.run(f"SELECT {columns}, _exact FROM {quoted(shape.to)} FINAL WHERE _deleted = 0 FORMAT JSONCompact")
        found: Rows = {}
        for *texts, exact in json.loads(said)["data"]:
            row = dict(zip((f.name for f in shape.fields), texts, strict=True)) | json.loads(exact or "{}")
            row = {f.name: self._same(f, row[f.name]) for f in shape.fields}
            found[tuple(row[name] for name in shape.key)] = row
        ((count,),) = http.table(f"SELECT count() FROM {quoted(shape.to + '_current')}")
        assert int(count) == len(found)
        http.close()
        return found

    def _same(self, field: Field, text: str | None) -> Any:
        if text is None:
            return None
        if field.type == "boolean":
            return {"1": "t", "0": "f"}[text]
        if field.type == "bytea":
            return "\\x" + text.lower()
        if field.type in ("real", "double precision"):
            return repr(float(text))
        return text

    def value(self, field: Field, value: Any) -> Any:
        if value is None:
            return None
        return repr(value) if isinstance(value, float) else values.text(value, ";" if field.type == "box[]" else ",")

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def spoil(self, shape: Shape) -> None:
        http = Http(self.server.url)
        http.run(f"CREATE TABLE {quoted(shape.to)} (id Int32) ENGINE = MergeTree ORDER BY id")
        http.close()

    def fill(self) -> Callable[[], None]:
        """As many parts as it allows, with merges stopped."""
        http = Http(self.server.url)
        http.run("SYSTEM STOP MERGES")
        for n in range(100):
            with suppress(SinkDownError):
                http.run(f"INSERT INTO orders (id, _deleted) VALUES ({10_000 + n}, 1)")

        def room() -> None:
            http.run("SYSTEM START MERGES")
            http.run("OPTIMIZE TABLE orders FINAL")
            http.close()

        return room


class TestClickHouse(Conformance):
    @pytest.fixture
    def harness(self, server: Store) -> ClickHouseHarness:
        return ClickHouseHarness(server)
