"""What every sink must do, against its real store. A test module of a sink makes a class of it:

    class TestRedis(Conformance):
        @pytest.fixture
        def harness(self) -> Iterator[Harness]: yield RedisHarness(…)

and says in its Harness how to look into the store without the sink's own code. A sink that keeps what a put leaves out takes `Partial`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from pgcharter.stream import values
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Field, Row, Shape, Sink, Stamp

Rows = dict[tuple[Any, ...], dict[str, Any]]


class Harness:
    """How the suite reaches a store."""

    keeps_stamp: bool = True
    """Whether `open` gives back the stamp of the last `write`."""
    widens: bool = True
    """Whether a field that was added is read back of rows written later."""
    full: type[SinkDownError | SinkRefusedError] = SinkDownError
    """What `fill` makes of a write."""

    def sink(self) -> Sink:
        """A new sink of the store, not opened."""
        raise NotImplementedError

    def rows(self, shape: Shape) -> Rows:
        """What the store has of a shape now: key → fields, both as `value` gives them; deleted rows are not there. Of stores that pass
        messages on, what a reader has who keeps the message with the greatest stamp of each key."""
        raise NotImplementedError

    def value(self, field: Field, value: Any) -> Any:
        """How a Python value of a field is read back by `rows`."""
        return value

    def stop(self) -> None:
        """Make the store unreachable; it keeps what it has."""
        raise NotImplementedError

    def start(self) -> None:
        """Make it reachable again at the same address."""
        raise NotImplementedError

    def spoil(self, shape: Shape) -> None:
        """Put something into the store's place of this shape that does not fit it, before it is opened."""
        raise NotImplementedError

    def fill(self) -> Callable[[], None]:
        """Leave the store no room for more; the function that is given back makes room."""
        raise NotImplementedError


def shape(to: str = "orders", *fields: Field, source: str = "app.orders") -> Shape:
    """A shape; without fields one with an integer key, a text, a numeric and a long text."""
    usual = (Field("id", "integer", key=True), Field("name", "text"), Field("amount", "numeric"), Field("body", "text"))
    return Shape(to, fields or usual, source)


def put(of: Shape, stamp: int | Stamp, *key: Any, **fields: Any) -> Row:
    """A put; fields that are not given are absent."""
    return Row(of, "put", key, {**dict(zip(of.key, key, strict=True)), **fields}, _stamp(stamp))


def delete(of: Shape, stamp: int | Stamp, *key: Any) -> Row:
    return Row(of, "delete", key, {}, _stamp(stamp))


def clear(of: Shape, stamp: int | Stamp) -> Row:
    return Row(of, "clear", (), {}, _stamp(stamp))


def _stamp(stamp: int | Stamp) -> Stamp:
    return stamp if isinstance(stamp, Stamp) else Stamp(stamp, 1)


def whole(of: Shape, stamp: int, key: int, name: str | None = "n", amount: str | None = "1.50", body: str | None = "b") -> Row:
    """A put of all fields of the usual shape."""
    return put(of, stamp, key, name=name, amount=None if amount is None else Decimal(amount), body=body)


def expected(harness: Harness, of: Shape, rows: Sequence[Row]) -> Rows:
    """What `rows` of a harness gives for these puts."""
    by_name = {f.name: f for f in of.fields}
    return {
        tuple(harness.value(by_name[n], v) for n, v in zip(of.key, r.key, strict=True)): {
            n: harness.value(by_name[n], v) for n, v in r.values.items()
        }
        for r in rows
    }


TYPES: Mapping[str, Sequence[str]] = {
    "smallint": ["-32768", "32767"],
    "integer": ["0", "-2147483648"],
    "bigint": ["9223372036854775807", "-9223372036854775808"],
    "numeric": ["0", "-1.50", "9" * 100 + "." + "1" * 50, "NaN", "Infinity", "-Infinity"],
    "numeric(12,2)": ["1234567890.12"],
    "real": ["1.1", "NaN", "-Infinity", "3.4028235e+38"],
    "double precision": ["0.1", "Infinity", "2.2250738585072014e-308", "-0"],
    "money": ["$1,234.56"],
    "boolean": ["t", "f"],
    "text": ["", "ü€𝄞", "a\tb\nc\\d\r\x01", "NULL", "\\N", "'\"{}", "x" * 100_000],
    "character varying(20)": ["short"],
    "character(5)": ["ab   "],
    '"char"': ["x"],
    "name": ["pg_class"],
    "bytea": ["\\x", "\\x00ff5c0a"],
    "date": ["2024-02-29", "0044-03-15 BC", "infinity", "-infinity", "5874897-12-31"],
    "time without time zone": ["00:00:00", "23:59:59.999999", "24:00:00"],
    "time with time zone": ["12:00:00+05:30", "23:59:59.999999-15:59:59"],
    "timestamp without time zone": ["2024-02-29 12:34:56.789", "0044-03-15 12:00:00 BC", "infinity", "294276-12-31 23:59:59.999999"],
    "timestamp with time zone": ["2024-02-29 12:34:56.789+00", "0001-01-01 00:00:00+00", "4713-01-01 00:00:00+00 BC", "-infinity"],
    "interval": ["1 year 2 mons 3 days 04:05:06.789", "-1 years -2 mons", "00:00:00"],
    "json": ['{"a": 1,  "a": 2, "n": 12345678901234567890.123456789}', "null", '"\\u00fc"'],
    "jsonb": ['{"a": [1, 2.50, null], "ü": "€"}', "null", "12345678901234567890.1234567890"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "inet": ["192.168.0.1/24", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:ff:fe:01:02:03"],
    "bit(4)": ["1010"],
    "bit varying": ["", "10101"],
    "point": ["(1,2)"],
    "line": ["{1,2,3}"],
    "lseg": ["[(0,0),(1,1)]"],
    "box": ["(1,1),(0,0)"],
    "path": ["((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(1,0))"],
    "circle": ["<(0,0),1>"],
    "tsvector": ["'a':1A 'fat':2,4C"],
    "tsquery": ["'fat' & ( 'rat' | 'cat' )"],
    "xml": ["<a>ü</a>"],
    "jsonpath": ['$."a"[*]?(@ > 1)'],
    "pg_lsn": ["16/B374D848"],
    "oid": ["4294967295"],
    "int4range": ["[1,10)", "empty", "(,)"],
    "numrange": ["[1.5,2.5]"],
    "tstzrange": ['["2024-01-01 00:00:00+00",infinity)'],
    "int4multirange": ["{[1,2),[5,9)}", "{}"],
    "integer[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={7,8}"],
    "text[]": ['{a,"b,c",NULL,"NULL","",\\"q\\"}'.replace('\\"q\\"', '"\\"q\\\\"'), '{"\n\t",ü}'],
    "numeric(10,2)[]": ["{1.50,NaN}"],
    "timestamp with time zone[]": ['{"2024-02-29 12:34:56.789+00",infinity}'],
    "bytea[]": ['{"\\\\x00ff",NULL}'],
    "jsonb[]": ['{"{\\"a\\": 1}",NULL}'],
    "boolean[]": ["{t,f,NULL}"],
    "uuid[]": ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"],
    "box[]": ["{(1,1),(0,0);(2,2),(1,1)}"],
    "int4range[]": ['{"[1,2)",empty}'],
    "interval[]": ['{"1 day",00:00:01}'],
}
"""Type → values as PostgreSQL writes them (tests/stream/test_values.py asks a server)."""
MADE: Mapping[str, Sequence[str]] = {
    "app.mood": ["sad", "Über 'glücklich'"],
    "app.mood[]": ["{sad,\"Über 'glücklich'\"}"],
    "app.pair": ["(1,)", '(2,"a ""b"", c")'],
    "app.pair[]": ['{"(1,x)",NULL}'],
    "hstore": ['"a"=>"1", "b"=>NULL'],
    "ltree": ["Top.Science"],
    "citext": ["MiXed"],
}
"""Types that are made, or come with extensions; domains reach a sink as what they are of."""

LONG = "ü" * 31 + "z"
"""A name of 63 bytes."""


class Conformance:
    """The suite."""

    @pytest.fixture(autouse=True)
    def _closed(self, harness: Harness) -> Iterator[None]:
        """Close what a test that failed left open."""
        made: list[Sink] = []
        make = harness.sink
        harness.sink = lambda: made.append(sink := make()) or sink  # type: ignore[method-assign, func-returns-value]
        yield
        for sink in made:
            sink.close()

    def test_it_says_whether_rows_must_be_whole(self, harness: Harness) -> None:
        assert harness.sink().whole is not isinstance(self, Partial)

    def test_put_update_delete(self, harness: Harness) -> None:
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 1, 1), whole(of, 2, 2), whole(of, 3, 3)], Stamp(3, 1))
        last = whole(of, 4, 2, name="other", amount=None)
        sink.write([last, delete(of, 5, 3)], Stamp(5, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, 1, 1), last])
        sink.close()
        sink.close()

    def test_replay_changes_nothing(self, harness: Harness) -> None:
        of = shape()
        history = [whole(of, 1, 1), whole(of, 2, 2), delete(of, 3, 1), whole(of, 4, 1, name="again"), delete(of, 5, 2), whole(of, 6, 3)]
        sink = _opened(harness, of)
        sink.write(history, Stamp(6, 1))
        first = harness.rows(of)
        assert first == expected(harness, of, [history[3], history[5]])
        sink.write(history, Stamp(6, 1))
        for row in history:
            sink.write([row], Stamp(6, 1))
        assert harness.rows(of) == first
        sink.close()

    def test_older_is_refused(self, harness: Harness) -> None:
        """In one batch and in the next; and a put that is older than a delete does not bring a row back."""
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 5, 1, name="newest"), whole(of, 4, 1, name="older"), delete(of, 9, 2), whole(of, 8, 2)], Stamp(9, 1))
        sink.write([whole(of, 3, 1, name="oldest"), delete(of, 2, 1), whole(of, 7, 2), delete(of, 6, 3)], Stamp(9, 1))
        sink.write([whole(of, 5, 3)], Stamp(9, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, 5, 1, name="newest")])
        sink.write([whole(of, 10, 2, name="new life")], Stamp(10, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, 5, 1, name="newest"), whole(of, 10, 2, name="new life")])
        sink.close()

    def test_ordinals_order_one_transaction(self, harness: Harness) -> None:
        of = shape()
        sink = _opened(harness, of)
        row = put(of, Stamp(1, 12), 1, name="twelfth", amount=None, body="")
        sink.write([row], Stamp(1, 12))
        sink.write([put(of, Stamp(1, 2), 1, name="second", amount=None, body="")], Stamp(1, 12))
        assert harness.rows(of) == expected(harness, of, [row])
        sink.close()

    def test_large_positions(self, harness: Harness) -> None:
        """Positions past 2^53, where floats lose count, and past 2^31."""
        of = shape()
        sink = _opened(harness, of)
        far = (1 << 60) + 1
        sink.write([whole(of, far, 1, name="later")], Stamp(far, 1))
        sink.write([whole(of, far - 1, 1, name="earlier")], Stamp(far, 1))
        sink.write([whole(of, 7 << 32, 1, name="much earlier")], Stamp(far, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, far, 1, name="later")])
        sink.close()
        again = harness.sink()
        assert not harness.keeps_stamp or again.open([of]) == Stamp(far, 1)
        again.close()

    def test_key_change(self, harness: Harness) -> None:
        """Two rows that change places in one transaction: deletes and puts in turn."""
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 1, 1, name="a"), whole(of, 2, 2, name="b")], Stamp(2, 1))
        moves = [(1, 9, "a"), (2, 1, "b"), (9, 2, "a")]
        rows = []
        for ordinal, (before, after, name) in enumerate(moves, 1):
            moved = put(of, Stamp(3, ordinal), after, name=name, amount=Decimal(1), body="")
            rows += [delete(of, Stamp(3, ordinal), before), moved]
        for upto in (2, 4, 6):
            sink.write(rows[upto - 2 : upto], Stamp(3, upto // 2))
        assert harness.rows(of) == expected(harness, of, [rows[3], rows[5]])
        sink.close()

    def test_truncate(self, harness: Harness) -> None:
        of, other = shape(), shape("customers")
        sink = _opened(harness, of, other)
        sink.write([whole(of, 1, 1), whole(of, 2, 2), whole(other, 2, 1)], Stamp(2, 1))
        sink.write([whole(of, 3, 3), clear(of, 4), whole(of, 5, 4)], Stamp(5, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, 5, 4)])
        sink.write([whole(of, 3, 3), whole(of, 3, 9)], Stamp(5, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, 5, 4)]), "what is older than a truncate came back"
        assert harness.rows(other) == expected(harness, other, [whole(other, 2, 1)])
        sink.close()

    def test_clear_leaves_what_is_newer(self, harness: Harness) -> None:
        """As after a seed: rows that were written since it began stay."""
        of = shape()
        sink = _opened(harness, of)
        seeded, later = put(of, Stamp(5, 0), 2, name="seeded", amount=None, body=""), whole(of, 6, 3)
        sink.write([whole(of, 1, 1), seeded, later], Stamp(6, 1))
        sink.write([clear(of, Stamp(5, 0))], Stamp(6, 1))
        assert harness.rows(of) == expected(harness, of, [seeded, later])
        sink.close()

    def test_null(self, harness: Harness) -> None:
        of = shape()
        sink = _opened(harness, of)
        rows = [whole(of, 1, 1, name=None, amount=None, body=None), whole(of, 2, 2, name="", body="NULL")]
        sink.write([whole(of, 0, 1), *rows], Stamp(2, 1))
        assert harness.rows(of) == expected(harness, of, rows)
        sink.close()

    def test_every_type(self, harness: Harness) -> None:
        kinds = [(t, x) for t, texts in {**TYPES, **MADE}.items() for x in texts]
        fields = [Field(f"c{n}", t) for n, (t, _) in enumerate(kinds)]
        of = shape("types", Field("id", "bigint", key=True), *fields)
        sink = _opened(harness, of)
        loaded = {f.name: (load(x) if (load := values.load(t)) else x) for f, (t, x) in zip(fields, kinds, strict=True)}
        rows = [put(of, 1, 1, **loaded), put(of, 1, 2, **dict.fromkeys(loaded))]
        sink.write(rows, Stamp(1, 1))
        found, wanted = harness.rows(of), expected(harness, of, rows)
        assert found.keys() == wanted.keys()
        for key in wanted:
            wrong = {
                k[:60]: (str(found[key].get(n))[:80], str(v)[:80]) for (k, v, n) in _named(kinds, wanted[key]) if found[key].get(n) != v
            }
            assert not wrong, wrong
        sink.close()

    @pytest.mark.parametrize("type", ["bigint", "text", "uuid", "numeric", "timestamp with time zone", "bytea", "app.mood"])
    def test_keys_of_types(self, harness: Harness, type: str) -> None:  # noqa: A002
        of = shape("keyed", Field("id", type, key=True), Field("part", "text", key=True), Field("v", "integer"))
        read = values.load(type) or str
        texts = [x for x in {**TYPES, **MADE}[type] if len(x) < 200]
        sink = _opened(harness, of)
        rows = [put(of, 1, read(x), part, v=1) for x in texts for part in ("", "ü:/'\"%|\t")]
        sink.write(rows, Stamp(1, 1))
        assert harness.rows(of) == expected(harness, of, rows)
        sink.write([delete(of, 2, *rows[0].key), put(of, 2, *rows[1].key, v=2)], Stamp(2, 1))
        assert harness.rows(of) == expected(harness, of, [put(of, 2, *rows[1].key, v=2), *rows[2:]])
        sink.close()

    def test_names(self, harness: Harness) -> None:
        """Quoted, mixed case, 63 bytes, words of SQL, what needs escaping."""
        strange = ["select", "Mixed Case", LONG, 'with "quotes"', "a.b", "per%cent", "dash-ed", "tab:le", "$1", "{x}", "id"]
        fields = [Field(n, "text") for n in strange[:-1]]
        of = shape('Täble "of" Names', Field("id", "integer", key=True), *fields, source='"App"."Täble ""of"" Names"')
        sink = _opened(harness, of)
        row = put(of, 1, 1, **{n: n for n in strange[:-1]})
        sink.write([row], Stamp(1, 1))
        assert harness.rows(of) == expected(harness, of, [row])
        sink.close()

    def test_restart_of_the_worker(self, harness: Harness) -> None:
        """A new process: the stamp is where it was, with the rows, and nothing is lost."""
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 1, 1), delete(of, 2, 2)], Stamp(3, 7))
        sink.close()
        again = harness.sink()
        kept = again.open([of])
        assert kept == (Stamp(3, 7) if harness.keeps_stamp else None)
        again.write([whole(of, 1, 2), whole(of, 4, 3)], Stamp(4, 1))
        again.write([], Stamp(9, 3))
        assert harness.rows(of) == expected(harness, of, [whole(of, 1, 1), whole(of, 4, 3)])
        again.close()
        third = harness.sink()
        assert third.open([of]) == (Stamp(9, 3) if harness.keeps_stamp else None), "a stamp without rows was not kept"
        third.close()

    def test_first_open_has_no_stamp(self, harness: Harness) -> None:
        sink = harness.sink()
        assert sink.open([shape()]) is None
        assert sink.open([shape(), shape("customers")]) is None
        sink.close()

    def test_store_down_for_a_while(self, harness: Harness) -> None:
        """SinkDownError while it is away, at `write` and at `open`; afterwards all arrives."""
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 1, 1)], Stamp(1, 1))
        harness.stop()
        for _ in range(2):
            with pytest.raises(SinkDownError):
                sink.write([whole(of, 2, 2)], Stamp(2, 1))
            with pytest.raises(SinkDownError):
                sink.open([of])
        harness.start()
        assert sink.open([of]) == (Stamp(1, 1) if harness.keeps_stamp else None)
        sink.write([whole(of, 2, 2)], Stamp(2, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, 1, 1), whole(of, 2, 2)])
        sink.close()

    def test_store_restarts_between_writes(self, harness: Harness) -> None:
        """What `write` returned from is there after the store was killed."""
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 1, 1), delete(of, 2, 2)], Stamp(2, 1))
        harness.stop()
        harness.start()
        try:
            sink.write([whole(of, 3, 3)], Stamp(3, 1))
        except SinkDownError:
            sink.open([of])
            sink.write([whole(of, 3, 3)], Stamp(3, 1))
        sink.write([whole(of, 1, 2)], Stamp(3, 1))
        assert harness.rows(of) == expected(harness, of, [whole(of, 1, 1), whole(of, 3, 3)])
        sink.close()

    def test_columns_come_and_go(self, harness: Harness) -> None:
        """A column added, one renamed, one dropped: rows written later have what the shape has."""
        first = shape()
        sink = _opened(harness, first)
        sink.write([whole(first, 1, 1)], Stamp(1, 1))
        then = shape("orders", *first.fields[:2], Field("note", "text"), Field("extra", "boolean"))
        sink.open([then])
        sink.write([put(then, 2, 2, name="n", note="m", extra=True), put(then, 3, 1, name="p", note=None, extra=None)], Stamp(3, 1))
        names = {f.name for f in then.fields}
        found = {k: {n: v for n, v in r.items() if n in names} for k, r in harness.rows(then).items()}
        assert found == expected(
            harness, then, [put(then, 2, 2, name="n", note="m", extra=True), put(then, 3, 1, name="p", note=None, extra=None)]
        )
        sink.close()

    def test_type_widened(self, harness: Harness) -> None:
        narrow = shape("orders", Field("id", "integer", key=True), Field("n", "smallint"), Field("x", "integer"))
        sink = _opened(harness, narrow)
        sink.write([put(narrow, 1, 1, n=1, x=1)], Stamp(1, 1))
        wide = shape("orders", Field("id", "bigint", key=True), Field("n", "bigint"), Field("x", "numeric"))
        sink.open([wide])
        rows = [put(wide, 2, 1 << 40, n=1 << 50, x=Decimal("1.5"))]
        sink.write(rows, Stamp(2, 1))
        assert harness.rows(wide) == expected(harness, wide, [put(wide, 1, 1, n=1, x=Decimal(1)), *rows])
        sink.close()

    def test_shape_that_open_did_not_see(self, harness: Harness) -> None:
        """A tenant's first row names a place of its own."""
        of, new = shape(), shape("orders_new")
        sink = _opened(harness, of)
        sink.write([whole(new, 1, 1)], Stamp(1, 1))
        assert harness.rows(new) == expected(harness, new, [whole(new, 1, 1)])
        sink.close()

    def test_wrong_schema_is_refused(self, harness: Harness) -> None:
        of = shape("spoiled")
        harness.spoil(of)
        sink = harness.sink()
        with pytest.raises(SinkRefusedError) as refused:  # noqa: PT012
            sink.open([of])
            sink.write([whole(of, 1, 1)], Stamp(1, 1))
        assert "spoiled" in refused.value.message
        sink.close()

    def test_store_full(self, harness: Harness) -> None:
        """It says so, loses nothing, and goes on when there is room."""
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 1, 1)], Stamp(1, 1))
        room = harness.fill()
        big = [whole(of, 2, n, body=random.Random(n).randbytes(10_000).hex()) for n in range(2, 500)]
        with pytest.raises(harness.full) as full:
            sink.write(big, Stamp(2, 1))
        assert full.value.message
        room()
        kept = sink.open([of])
        assert kept in ((Stamp(1, 1),) if harness.keeps_stamp else (None,))
        sink.write([whole(of, 3, 2)], Stamp(3, 1))
        found = harness.rows(of)
        assert found.items() >= expected(harness, of, [whole(of, 1, 1), whole(of, 3, 2)]).items()
        sink.close()

    @pytest.mark.parametrize("seed", range(4))
    def test_any_cutting_and_repetition(self, harness: Harness, seed: int) -> None:
        """The law: however a history is cut, and whatever of it is sent again, the store ends as one who applied it once."""
        chance = random.Random(seed)
        of = shape()
        sink = harness.sink()
        history, wanted = _history(of, chance, 200, partial=not sink.whole)
        sink.open([of])
        at = 0
        while at < len(history):
            start, at = max(0, at - chance.choice([0, 0, 3, 40])), min(len(history), at + chance.choice([1, 2, 7, 50, 90]))
            sink.write(history[start:at], history[at - 1].stamp)
            if chance.random() < 0.1:
                sink.close()
                sink = harness.sink()
                sink.open([of])
        assert harness.rows(of) == expected(harness, of, list(wanted.values()))
        sink.close()


def _opened(harness: Harness, *shapes: Shape) -> Sink:
    sink = harness.sink()
    sink.open(shapes)
    return sink


def _named(kinds: Sequence[tuple[str, str]], wanted: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    return [(f"{t} {x}", wanted[f"c{n}"], f"c{n}") for n, (t, x) in enumerate(kinds)]


def _history(of: Shape, chance: random.Random, length: int, *, partial: bool) -> tuple[list[Row], dict[int, Row]]:
    """Random changes of few keys, in order, and the rows that are left."""
    rows: list[Row] = []
    live: dict[int, Row] = {}
    for n in range(1, length + 1):
        stamp, key = Stamp(n // 5 + 1, n), chance.randrange(12)
        if chance.random() < 0.01:
            rows.append(clear(of, stamp))
            live.clear()
        elif key in live and chance.random() < 0.3:
            rows.append(delete(of, stamp, key))
            del live[key]
        elif key in live and partial and chance.random() < 0.4:
            rows.append(put(of, stamp, key, name=f"p{n}"))
            live[key] = live[key]._replace(values={**live[key].values, "name": f"p{n}"})
        else:
            live[key] = put(of, stamp, key, name=f"n{n}", amount=Decimal(n), body=chance.choice([None, "", f"b{n}"]))
            rows.append(live[key])
    return rows, live


class Partial(Conformance):
    """The suite of sinks that keep what a put leaves out; for the others the worker reads rows anew (`tests/stream`)."""

    def test_values_left_out_are_kept(self, harness: Harness) -> None:
        """Unchanged values out of line are absent and never become NULL."""
        of = shape()
        sink = _opened(harness, of)
        sink.write([whole(of, 1, 1, body="long"), whole(of, 2, 2, body="long")], Stamp(2, 1))
        sink.write([put(of, 3, 1, name="new", amount=None)], Stamp(3, 1))
        sink.write(
            [put(of, 4, 2, name="x"), put(of, 5, 2, amount=Decimal(2)), whole(of, 6, 3, body="c"), put(of, 7, 3, name="y")], Stamp(7, 1)
        )
        rows = [
            whole(of, 3, 1, name="new", amount=None, body="long"),
            whole(of, 5, 2, name="x", amount="2", body="long"),
            whole(of, 7, 3, name="y", body="c"),
        ]
        assert harness.rows(of) == expected(harness, of, rows)
        sink.write([put(of, 8, 77, name="of a row that is not there")], Stamp(8, 1))
        assert harness.rows(of) == expected(harness, of, rows)
        sink.close()
