"""Copies in ClickHouse 18.16: the conformance suite, and what only ClickHouse can do to us."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import pytest
from tests.conftest import lacking
from tests.sinks import servers
from tests.sinks.conformance import Conformance, Harness, Rows, delete, put, shape, whole
from tests.sinks.servers import Store

from pgcharter.sinks import clickhouse_tables
from pgcharter.sinks.clickhouse import ClickHouseSink
from pgcharter.sinks.clickhouse_http import Http, literal, quoted
from pgcharter.sinks.clickhouse_rows import encoded
from pgcharter.sinks.clickhouse_types import kind, wanted
from pgcharter.stream import values
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Field, Row, Shape, Stamp


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


def _query(server: Store, statement: str) -> list[list[str]]:
    http = Http(server.url)
    try:
        return http.table(statement)
    finally:
        http.close()


def _opened(server: Store, *shapes: Shape) -> ClickHouseSink:
    sink = ClickHouseSink(server.url, "copy")
    sink.open(shapes)
    return sink


WIDE = Shape(
    "wide",
    (
        Field("id", "integer", key=True), Field("part", "uuid", key=True), Field("n", "numeric(12,2)"), Field("big", "numeric(38,10)"),
        Field("day", "date"), Field("at", "timestamp with time zone"), Field("raw", "bytea"), Field("f", "real"), Field("ok", "boolean"),
        Field("tags", "text[]"), Field("any", "numeric"), Field("ref", "uuid"),
    ),
    "app.wide",
)  # fmt: skip


def _wide(at: int, /, **other: Any) -> Row:
    usual = {
        "n": Decimal("-1.50"), "big": Decimal("9" * 28 + ".0123456789"), "day": date(2024, 2, 29), "any": Decimal("1.000"),
        "at": datetime(2024, 1, 1, 1, 2, 3, 4, UTC), "raw": b"\x00\xff", "f": 1.1, "ok": True, "tags": ["a", None],
        "ref": UUID(int=at << 70),
    }  # fmt: skip
    return Row(WIDE, "put", (at, _part(at)), {"id": at, "part": _part(at), **usual, **other}, Stamp(at, 1))


def _part(at: int) -> UUID:
    return UUID(int=(5 - at) << 64 | at)


def _texts(values: Any) -> dict[str, str]:
    return {name: repr(value) for name, value in values.items()}


def test_rows_are_read_back_as_they_were(server: Store) -> None:
    """With what a column cannot hold: the nearest it can is in the column, the text beside it."""
    sink = _opened(server, WIDE)
    odd = {"n": Decimal("NaN"), "day": "infinity", "at": "0044-03-15 12:00:00 BC", "f": float("inf"), "any": Decimal("Infinity")}
    rows = [
        _wide(1),
        _wide(2, **odd),
        _wide(3, **dict.fromkeys(odd), raw=None, ok=None, tags=None, big=None, ref=None),
        _wide(4, day=date(1812, 1, 1)),
    ]
    sink.write([*rows, delete(WIDE, 9, 4, _part(4)), rows[3]], Stamp(9, 1))
    sink.write([_wide(4, day=date(1812, 1, 1))._replace(stamp=Stamp(10, 0))], Stamp(10, 1))
    found = list(sink.read(WIDE, None, None))
    assert [_texts(s.values) for s in found] == [_texts(r.values) for r in rows]
    assert [s.stamp for s in found] == [*[r.stamp for r in rows[:3]], Stamp(10, 0)]
    said = _query(server, "SELECT day, isNull(n) FROM wide FINAL WHERE id IN (2, 4) ORDER BY id")
    assert said == [["2105-12-31", "1"], ["0000-00-00", "0"]], "which is how 18.16 writes 1970-01-01"
    some = list(sink.read(WIDE, found[0].key, found[2].key))
    assert [s.key for s in some] == [s.key for s in found[1:3]]
    sink.close()


@pytest.mark.parametrize("page", [2, 5, 100])
def test_keys_come_in_order(server: Store, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of UUIDs as PostgreSQL sorts them, of texts by their bytes."""
    for type_, keys in {
        "uuid": [UUID(int=n) for n in (1 << 100, 1 << 10, 3, 1 << 63, 1 << 64)],
        "text": ["ü", "a", "B", "", "a'\\"],
    }.items():
        of = shape(f"by_{type_}", Field("id", type_, key=True), Field("v", "integer"))
        sink = _opened(server, of)
        sink.write([put(of, 1, key, v=1) for key in keys], Stamp(1, 1))
        wanted = sorted(keys, key=lambda key: str(key).encode())
        assert [s.key[0] for s in sink.read(of, None, None)] == wanted
        assert [s.key[0] for s in sink.read(of, (wanted[1],), (wanted[3],))] == wanted[2:4]
        sink.close()


def test_what_merges_leave_is_right(server: Store) -> None:
    """Rows sent again out of order, cut anywhere, with every merge done between: nothing is lost that only a query could tell."""
    of = shape()
    sink = _opened(server, of)
    transaction = [put(of, Stamp(7, n), n % 3, name=f"n{n}", amount=None, body="") for n in range(1, 31)]
    wanted = {(n % 3,): f"n{n}" for n in range(1, 31)}
    sink.write(transaction, Stamp(7, 30))
    for at in (0, 5, 20, 27):
        sink.write(transaction[at : at + 5], Stamp(7, 30))
        _query(server, "SELECT 1")
        sink._http.run("OPTIMIZE TABLE orders FINAL")
        assert {s.key: s.values["name"] for s in sink.read(of, None, None)} == wanted
    again = _opened(server, of)
    again.write(transaction[:10], Stamp(7, 30))
    again._http.run("OPTIMIZE TABLE orders FINAL")
    assert {s.key: s.values["name"] for s in again.read(of, None, None)} == wanted
    assert _query(server, "SELECT count() FROM orders") == [["3"]]
    sink.close()
    again.close()


def test_killed_while_it_writes(server: Store) -> None:
    of = shape()
    sink = _opened(server, of)
    rows = [whole(of, n, n, body="x" * 50) for n in range(1, 100_001)]
    killer = threading.Timer(0.1, server.kill)
    killer.start()
    with pytest.raises(SinkDownError):  # noqa: PT012
        for at in range(0, len(rows), 2000):
            sink.write(rows[at : at + 2000], rows[at + 1999].stamp)
    killer.join()
    server.start()
    stamp = sink.open([of])
    at = stamp.lsn if stamp else 0
    there = {s.key[0] for s in sink.read(of, None, None)}
    assert there >= set(range(1, at + 1))
    sink.write(rows[at : at + 4000], rows[at + 3999].stamp)
    assert [s.key[0] for s in sink.read(of, None, None)] == list(range(1, at + 4001))
    sink.close()


def test_a_table_that_is_gone_has_no_stamp(server: Store) -> None:
    of = shape()
    sink = _opened(server, of)
    sink.write([whole(of, 1, 1)], Stamp(1, 1))
    _drop(server, "orders")
    with pytest.raises(SinkRefusedError, match="orders"):
        sink.write([whole(of, 2, 2)], Stamp(2, 1))
    assert sink.open([of]) is None
    assert sink.open([of]) == Stamp(0, 0), "who made the table anew has hidden that it was gone"
    sink.close()


def test_a_repair_between_two_writes_leaves_the_stamp(server: Store) -> None:
    of = shape()
    worker, repair = _opened(server, of), ClickHouseSink(server.url, "copy")
    worker.write([whole(of, 1, 1)], Stamp(5, 1))
    kept = repair.open([of])
    assert kept == Stamp(5, 1)
    worker.write([whole(of, 2, 6)], Stamp(6, 1))
    repair.write([whole(of, 3, 4)], kept)
    repair.close()
    assert worker.open([of]) == Stamp(6, 1)
    worker.close()


def test_looked_at_only(server: Store) -> None:
    of, sink = shape(), ClickHouseSink(server.url, "copy")
    with pytest.raises(SinkRefusedError, match="orders of ClickHouse cannot be read: it is not there"):
        sink.look([of])
    assert _query(server, "SELECT count() FROM system.tables WHERE database = currentDatabase()") == [["0"]]
    _opened(server, of).close()
    sink.look([of])
    assert list(sink.read(of, None, None)) == []
    sink.close()


def test_opened_again_after_it_was_closed(server: Store) -> None:
    of = shape()
    sink = _opened(server, of)
    sink.write([whole(of, 1, 1)], Stamp(1, 1))
    sink.close()
    sink.close()
    assert sink.open([of]) == Stamp(1, 1)
    sink.write([whole(of, 2, 2)], Stamp(2, 1))
    sink.close()


def _drop(server: Store, name: str) -> None:
    http = Http(server.url)
    http.run(f"DROP TABLE {quoted(name)}")
    http.close()


def test_tables_that_do_not_fit(server: Store) -> None:
    """Another engine, another key, a key too narrow: refused by name. Types of its own that hold as much: used."""
    http, of = Http(server.url), shape()
    own = "_version UInt64, _ordinal UInt64, _deleted UInt8, _exact String"
    for ddl, why in {
        f"(id Int64, {own}) ENGINE = MergeTree ORDER BY id": "engine MergeTree",
        f"(id Int64, name String, {own}) ENGINE = ReplacingMergeTree(_version) ORDER BY (id, name)": r"ordered by \(id, name\)",
        f"(id Int16, {own}) ENGINE = ReplacingMergeTree(_version) ORDER BY id": "cannot hold integer",
        "(id Int64) ENGINE = MergeTree ORDER BY id": "no copy that we keep",
    }.items():
        http.run(f"CREATE TABLE orders {ddl}")
        sink = ClickHouseSink(server.url, "copy")
        with pytest.raises(SinkRefusedError, match=why):
            sink.open([of])
        sink.close()
        http.run("DROP TABLE orders")
    http.run(
        f"CREATE TABLE orders (id Int64, body Nullable(String), amount Nullable(String), {own}) "
        "ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    )
    http.close()
    sink = _opened(server, of)
    sink.write([whole(of, 1, 1)], Stamp(1, 1))
    assert ClickHouseHarness(server).rows(of) == {("1",): {"id": "1", "name": "n", "amount": "1.50", "body": "b"}}
    sink.close()


def test_logins(server: Store) -> None:
    """With a password that needs escaping; one that may only read is refused; a wrong one too, and never printed."""
    sink = ClickHouseSink(server.url.replace("//", "//clerk:pa%3Ass%2Fw%40rd@") + "/default", "copy")
    assert sink.open([shape()]) is None
    sink.close()
    for login in ("seer:", "clerk:wrong-word"):
        sink = ClickHouseSink(server.url.replace("//", f"//{login}@"), "copy")
        with pytest.raises(SinkRefusedError) as refused:
            sink.open([shape("other")])
        assert "wrong-word" not in refused.value.message
        sink.close()


def test_a_server_that_hangs_is_down(server: Store) -> None:
    sink = ClickHouseSink(server.url, "copy", timeout=0.3)
    sink.open([])
    server.freeze()
    try:
        with pytest.raises(SinkDownError, match="does not answer"):
            sink.write([], Stamp(1, 1))
    finally:
        server.thaw()
    sink.close()


_MODERN = """
import json, sys
from chdb import session
s = session.Session()
for statement in json.load(sys.stdin):
    try:
        print(json.dumps(s.query(statement, "TabSeparatedRaw").bytes().decode()))
    except Exception as error:
        print(json.dumps("error: " + str(error)[:300]))
"""


def test_what_we_say_is_good_on_a_current_server() -> None:
    """chDB, the engine of a ClickHouse of this year: the same statements, with Date32 and DateTime64, and bytes of RowBinary."""
    if find_spec("chdb") is None:
        lacking("chdb is not installed")
    sent: list[str] = []

    class Recorded:
        def run(self, statement: str, data: Any = (), settings: Any = None) -> bytes:
            sent.append(statement)
            return b""

        def table(self, statement: str) -> list[list[str]]:
            sent.append(f"{statement} FORMAT TabSeparatedRaw")
            return []

    recorder: Any = Recorded()
    modern = (26, 9)
    sent.append(clickhouse_tables._create(WIDE, modern, ""))
    clickhouse_tables._view(recorder, WIDE, modern)
    clickhouse_tables._view(recorder, WIDE, modern)
    clickhouse_tables.control(recorder, "")
    kinds = tuple(kind(f, wanted(f, modern), not f.key) for f in WIDE.fields)
    table = clickhouse_tables.Table(WIDE, tuple(k for k in kinds if k is not None))
    rows = [
        _wide(1),
        _wide(2, day="infinity", at="-infinity", n=Decimal("NaN")),
        _wide(3)._replace(op="delete", key=(3, _part(3))),
    ]
    raw = b"".join(encoded(table, rows)).hex()
    types = ", ".join(f"{quoted(f.name)} {clickhouse_tables._declared(f, modern)}" for f in WIDE.fields)
    own = ", ".join(f"{name} {type_}" for name, type_ in clickhouse_tables.OWN.items())
    made = f"SELECT * FROM format(RowBinary, {literal(f'{types}, {own}')}, unhex('{raw}'))"
    order = ", ".join(["id", "toString(part)"])
    asked = [
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'wide'",
        "SELECT engine_full, sorting_key FROM system.tables WHERE database = currentDatabase() AND name = 'wide'",
        f"SELECT id, part, n, big, day, at, hex(raw), f, ok, tags, any, ref, _exact FROM wide FINAL "
        f"WHERE _deleted = 0 AND ({order}) > (0, 'a') ORDER BY {order}",
        "SELECT count() FROM wide_current",
        "ALTER TABLE wide ADD COLUMN more Nullable(Int32), MODIFY COLUMN n Nullable(String)",
        "INSERT INTO wide (id, part, _version, _ordinal, _deleted) "
        "SELECT id, part, toUInt64(9), toUInt64(1), toUInt8(1) FROM wide FINAL WHERE _deleted = 0",
        "SELECT count() FROM wide_current",
    ]
    said = subprocess.run(
        [sys.executable, "-c", _MODERN],
        input=json.dumps([*sent, f"INSERT INTO wide {made}", *asked]),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert not [a for a in answers if a.startswith("error")]
    columns, ((engine, key),), found, (current,), _, _, (after,) = (
        [line.split("\t") for line in answer.splitlines()] for answer in answers[len(sent) + 1 :]
    )
    assert all(clickhouse_tables.bare(type_)[0] == wanted(f, modern) for f, (_, type_) in zip(WIDE.fields, columns, strict=False))
    assert ("ReplacingMergeTree(_version)" in engine, key) == (True, "id, part")
    assert (current, after) == (["2"], ["0"])
    assert found[0][2:12] == [
        "-1.5", "9" * 28 + ".0123456789", "2024-02-29", "2024-01-01 01:02:03.000004", "00FF", "1.1", "1", '{"a",NULL}', "1.000",
        str(UUID(int=1 << 70)),
    ]  # fmt: skip
    assert (found[1][2], found[1][4], found[1][5]) == ("\\N", "2299-12-31", "1900-01-01 00:00:00.000000")
    assert json.loads(found[1][12]) == {"n": "NaN", "day": "infinity", "at": "-infinity"}
