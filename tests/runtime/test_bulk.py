"""Bulk load: every kind of source and type, into every kind of table, exactly."""

from __future__ import annotations

import gzip
import importlib
import io
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range
from pydantic import BaseModel
from tests.conftest import every_major

from pgcharter.errors import RefusedError, UsageError
from pgcharter.names import quote
from pgcharter.runtime import bulk
from pgcharter.runtime.bulk import BadRowError


def rows_of(conn: Any, query: str) -> list[Any]:
    return list(conn.execute(query.encode()).fetchall())


class Mood(Enum):
    happy = 1
    sad = 2


class Worded(str, Enum):  # noqa: UP042
    HAPPY = "happy"


@dataclass
class Order:
    id: int
    note: str | None = None


class Model(BaseModel):
    note: str
    id: int


class Thing:
    def __init__(self, number: int) -> None:
        self.id = number
        self.other = "no column"


VALUES: list[tuple[str, Any]] = [
    ("smallint", -32768),
    ("integer", 2**31 - 1),
    ("bigint", -(2**63)),
    ("real", 1.5),
    ("double precision", float("-inf")),
    ("numeric", Decimal("NaN")),
    ("numeric", Decimal("-Infinity")),
    ("numeric(40, 20)", Decimal("12345678901234567890.12345678901234567890")),
    ("numeric", 10**100),
    ("boolean", False),
    ("text", "tab\tnew\nback\\slash \\N \\. €"),
    ("text", ""),
    ("varchar(5)", "äöüß€"),
    ("char(3)", "a  "),
    ('"char"', "x"),
    ("name", "n"),
    ("bytea", b"\0\xff\\"),
    ("uuid", UUID(int=7)),
    ("date", date(1, 1, 1)),
    ("time", time(23, 59, 59, 999999)),
    ("timetz", time(1, tzinfo=UTC)),
    ("timestamp", datetime(9999, 12, 31)),
    ("timestamptz", datetime(2020, 1, 1, tzinfo=UTC)),
    ("interval", timedelta(days=-1, microseconds=1)),
    ("jsonb", {"a": [1, None, "\u20ac"]}),
    ("json", ["x"]),
    ("jsonb", "a string"),
    ("jsonb", 1.5),
    ("jsonb[]", [{"a": 1}, None]),
    ("integer[]", []),
    ("integer[]", [[1, None], [3, 4]]),
    ("text[]", ['"', "\\", "NULL", "", None, "{a,b}"]),
    ("boolean[]", [True, None]),
    ("real[]", [1.5]),
    ("numeric[]", [Decimal("1.10"), Decimal(2)]),
    ("int4range", Range(1, 5)),
    ("tstzrange", Range(datetime(2020, 1, 1, tzinfo=UTC), None)),
    ("int4multirange", Multirange([Range(1, 5)])),
    ("inet", ip_address("10.0.0.1")),
    ("positive", 5),
    ("mood", "happy"),
    ("mood[]", ["sad"]),
]
DEFINITIONS = "CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)"


@pytest.mark.parametrize(("type_", "value"), VALUES, ids=[f"{t}-{i}" for i, (t, _) in enumerate(VALUES)])
def test_a_value_is_stored_as_an_insert_stores_it(conn: Any, type_: str, value: Any) -> None:
    conn.execute(DEFINITIONS)
    conn.execute(f"CREATE TABLE t (n serial, v {type_})")
    for how in ("auto", "text"):
        bulk.load(conn, "t", [(value,), (None,)], columns=["v"], format=how)  # type: ignore[arg-type]
    given_ = psycopg.types.json.Json(value) if type_.startswith("json") and not isinstance(value, list) else value
    given_ = psycopg.types.json.Json(value) if type_ == "json" else given_
    if type_ == "jsonb[]":
        given_ = [psycopg.types.json.Json(v) if v is not None else None for v in value]
    conn.execute("CREATE TABLE expected AS SELECT v FROM t LIMIT 0")
    conn.execute(f"INSERT INTO expected VALUES (%s::{type_})", (given_,))
    wanted = rows_of(conn, "SELECT v::text FROM expected")[0]
    assert rows_of(conn, "SELECT v::text FROM t ORDER BY n") == [wanted, (None,)] * 2


@pytest.mark.parametrize(
    ("type_", "value", "stored"),
    [
        ("boolean", "false", "false"),
        ("boolean", "t", "true"),
        ("integer", "12", "12"),
        ("numeric", "1e3", "1000"),
        ("uuid", str(UUID(int=1)), str(UUID(int=1))),
        ("timestamptz", "infinity", "infinity"),
        ("date", "-infinity", "-infinity"),
        ("mood", Mood.sad, "sad"),
        ("mood", Worded.HAPPY, "happy"),
        ("numeric", 1.5, "1.5"),
        ("integer[]", "{1,2}", "{1,2}"),
        ("int4range", "[1,3)", "[1,3)"),
        ("point", "(1,2)", "(1,2)"),
        ("money", "1.00", "$1.00"),
        ("pair", (1, "a,b"), '(1,"a,b")'),
        ("tsvector", "a b", "'a' 'b'"),
        ("bit(3)", "101", "101"),
    ],
)
def test_what_has_no_exact_binary_form_goes_as_text(conn: Any, type_: str, value: Any, stored: str) -> None:
    """psycopg's binary dumper, told the type, stores 'false' as true."""
    conn.execute(DEFINITIONS + "; CREATE TYPE pair AS (a int, b text)")
    conn.execute("SET LOCAL lc_monetary = 'C'")
    conn.execute(f"CREATE TABLE t (n int, v {type_})")
    done = bulk.load(conn, "t", [(1, None), (2, value), (3, value)])
    assert rows_of(conn, "SELECT v::text FROM t ORDER BY n") == [(None,), (stored,), (stored,)]
    assert "text" in done.format or isinstance(value, Worded)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("smallint", 70_000),
        ("integer", 2**40),
        ("real", 1e300),
        ("integer[]", [2**40]),
        ("smallint[]", [[70_000]]),
        ("int4range", Range(1, 2**40)),
        ("oid", -1),
        ("bigint", 2**70),
        ("boolean[]", ["maybe"]),
    ],
)
def test_what_does_not_fit_is_refused_and_never_cut(conn: Any, type_: str, value: Any) -> None:
    conn.execute(f"CREATE TABLE t (n int, v {type_})")
    if type_ == "oid":
        bulk.load(conn, "t", [(1, value)])  # PostgreSQL's own text reads -1 as 4294967295
        assert rows_of(conn, "SELECT v::text FROM t") == [("4294967295",)]
        return
    with pytest.raises(BadRowError) as caught:
        bulk.load(conn, "t", [(i, None) for i in range(5000)] + [(1, value)])
    assert caught.value.bad.number == 5001
    assert rows_of(conn, "SELECT count(*) FROM t") == [(0,)]


Pair = namedtuple("Pair", "note id")
SOURCES: dict[str, Any] = {
    "tuples": [(1, "a"), (2, "b")],
    "lists": [[1, "a"], [2, "b"]],
    "generator": lambda: ((i, n) for i, n in ((1, "a"), (2, "b"))),
    "mappings": [{"note": "a", "id": 1}, {"id": 2, "note": "b"}],
    "named tuples": [Pair("a", 1), Pair("b", 2)],
    "dataclasses": [Order(1, "a"), Order(2, "b")],
    "pydantic": [Model(id=1, note="a"), Model(id=2, note="b")],
    "text file": lambda: bulk.Csv(io.StringIO("note,id\na,1\nb,2")),
    "bytes file": lambda: bulk.Csv(io.BytesIO("\ufeffid;note\r\n1;a\r\n2;b\r\n".encode()), delimiter=";"),
    "latin-1": lambda: bulk.Csv(io.BytesIO(b"id,note\n1,a\n2,b\n"), encoding="latin-1"),
    "without header": lambda: bulk.Csv(io.StringIO("1,a\n2,b\n"), header=False),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("bad", ["raise", "aside"])
def test_every_source(conn: Any, name: str, bad: Any) -> None:
    conn.execute("CREATE TABLE t (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, note text, own int GENERATED ALWAYS AS IDENTITY)")
    source = SOURCES[name]
    columns = ["id", "note"] if name == "without header" else None
    done = bulk.load(conn, "t", source() if callable(source) else source, columns=columns, bad=bad)
    assert done.rows == 2
    assert rows_of(conn, "SELECT id, twice, note, own FROM t ORDER BY id") == [(1, 2, "a", 1), (2, 4, "b", 2)]


def test_objects_give_what_the_table_has(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int, note text)")
    bulk.load(conn, "t", [Thing(1), Thing(2)])
    assert rows_of(conn, "TABLE t") == [(1, None), (2, None)]


def test_csv_as_it_stands(conn: Any, tmp_path: Path) -> None:
    """NULL and the empty text differ; breaks inside quotes, doubled quotes and the old end mark are data."""
    conn.execute("CREATE TABLE t (note text)")
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress('note\n""\n\n"a\nb ""c"""\n\\.\nä\n'.encode()))
    assert bulk.load(conn, "t", path).rows == 5
    assert rows_of(conn, "TABLE t") == [("",), (None,), ('a\nb "c"',), ("\\.",), ("ä",)]


@every_major
def test_the_old_end_mark_of_copy_ends_nothing(conn: Any, major: int) -> None:
    conn.execute("CREATE TABLE t (note text)")
    bulk.load(conn, "t", bulk.Csv(io.StringIO("note\na\n\\.\nb\n")))
    bulk.load(conn, "t", [("\\.",)], format="text")
    assert rows_of(conn, "TABLE t") == [("a",), ("\\.",), ("b",), ("\\.",)]


@pytest.mark.parametrize("lib", ["pyarrow", "pandas", "polars"])
@pytest.mark.parametrize("bad", ["raise", "aside"])
def test_frames(conn: Any, lib: str, bad: Any) -> None:
    made = importlib.import_module(lib)
    conn.execute("CREATE TABLE t (id int, note text, amount numeric, at timestamptz, doc jsonb)")
    at = datetime(2020, 7, 1, 12, tzinfo=UTC)
    columns = {
        "id": [1, 2, 3],
        "note": ["a\tb\\\n", None, ""],
        "amount": [1.25, None, 3.0],
        "at": [at] * 3,
        "doc": ['{"a": 1}', None, "[]"],
    }
    frame = {"pyarrow": lambda: made.table(columns), "pandas": lambda: made.DataFrame(columns), "polars": lambda: made.DataFrame(columns)}[
        lib
    ]()
    assert bulk.load(conn, "t", frame, bad=bad).rows == 3
    assert rows_of(conn, "TABLE t") == [
        (1, "a\tb\\\n", Decimal("1.25"), at, {"a": 1}),
        (2, None, None, at, None),
        (3, "", Decimal(3), at, []),
    ]


def test_arrow_types_without_a_text_of_their_own_go_row_by_row(conn: Any) -> None:
    import pyarrow as pa

    conn.execute("CREATE TABLE t (tags text[], raw bytea, doc jsonb, took interval)")
    bulk.load(
        conn, "t", pa.table({"tags": [["a", "b"], []], "raw": [b"\0", None], "doc": ['{"a": 1}', None], "took": [timedelta(1), None]})
    )
    assert rows_of(conn, "TABLE t") == [(["a", "b"], b"\0", {"a": 1}, timedelta(1)), ([], None, None, None)]


def test_a_bad_row_of_a_frame_has_its_number(conn: Any) -> None:
    import pyarrow as pa

    conn.execute("CREATE TABLE t (id int CHECK (id <> 25000), note text)")
    table = pa.table({"id": list(range(30_000)), "note": ["a\nb"] * 30_000})
    with pytest.raises(BadRowError, match="row 25,001 cannot be stored"):
        bulk.load(conn, "t", table)
    done = bulk.load(conn, "t", table, bad="aside")
    assert (done.rows, [b.number for b in done.bad], done.bad[0].row) == (29_999, [25_001], (25_000, "a\nb"))


NAMES = ["A", 'say "hi"', "select", "x" * 63, "größe", "a.b", "per%cent", "%s", " "]


def test_names_of_all_kinds(conn: Any) -> None:
    conn.execute('CREATE SCHEMA "My Schema"')
    columns = ", ".join(f"{quote(n)} int".replace("%", "%%") for n in NAMES)
    conn.execute(f'CREATE TABLE "My Schema"."T, line 7 %%" ({columns}, PRIMARY KEY ("A"))', ())
    table = '"My Schema"."T, line 7 %"'
    bulk.load(conn, table, [tuple(range(9))])
    bulk.load(conn, table, [dict.fromkeys(NAMES, 9)])
    merged = bulk.merge(conn, table, [dict.fromkeys(NAMES, 9), dict.fromkeys(NAMES, 10)], returning=NAMES)
    assert (merged.inserted, merged.updated) == (1, 1)
    with pytest.raises(BadRowError) as caught:
        bulk.load(conn, table, [(50, *range(8)), (9, *range(8))])
    assert caught.value.bad.number == 2


def test_1600_columns(conn: Any) -> None:
    names = [f"c{i}" for i in range(1600)]
    conn.execute(f"CREATE TABLE t ({', '.join(f'{n} boolean' for n in names)})")
    assert bulk.load(conn, "t", [(True,) * 1600] * 3).rows == 3
    assert bulk.load(conn, "t", [dict.fromkeys(names)]).rows == 1
    with pytest.raises(BadRowError, match="1599 values for 1600 columns"):
        bulk.load(conn, "t", [(True,) * 1599])


def test_a_hundred_megabytes_in_one_value(conn: Any) -> None:
    conn.execute("CREATE TABLE t (v text)")
    conn.execute("ALTER TABLE t ALTER v SET STORAGE EXTERNAL")
    assert bulk.load(conn, "t", [("x" * (100 << 20),)]).rows == 1
    assert rows_of(conn, "SELECT length(v) FROM t") == [(100 << 20,)]


@pytest.mark.parametrize("source", [[], (), iter(()), "empty.csv", "header.csv"])
def test_nothing_is_no_error(conn: Any, source: Any, tmp_path: Path) -> None:
    conn.execute("CREATE TABLE t (id int PRIMARY KEY, note text)")
    if isinstance(source, str):
        path = tmp_path / source
        path.write_text("" if source == "empty.csv" else "id,note\n")
        source = path
    if source and isinstance(source, Path) and source.name == "empty.csv":
        with pytest.raises(UsageError, match="is empty"):
            bulk.load(conn, "t", source)
        return
    assert bulk.load(conn, "t", source).rows == 0
    assert bulk.merge(conn, "t", source if not isinstance(source, str) else []).rows == 0


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ("abc", {}, "str holds no rows"),
        ({"a": 1}, {}, "dict holds no rows"),
        (5, {}, "int holds no rows"),
        ([5], {}, "row 1 is of type int"),
        ([None], {}, "row 1 is of type NoneType"),
        ([{"nope": 1}], {}, "has no column nope"),
        ([(1,)], {"columns": "id"}, "not names"),
        ([(1,)], {"columns": ["id", "id"]}, "given a column twice"),
        ([(1,)], {"columns": ["twice"]}, "is generated"),
        ([(1,)], {"columns": ["own"]}, "GENERATED ALWAYS AS IDENTITY"),
        ([("(1,2)",)], {"columns": ["at"], "format": "binary"}, "no binary form of point"),
    ],
)
def test_wrong_use_is_said(conn: Any, rows: Any, options: Any, says: str) -> None:
    conn.execute("CREATE TABLE t (id int, twice int GENERATED ALWAYS AS (1) STORED, own int GENERATED ALWAYS AS IDENTITY, at point)")
    with pytest.raises(UsageError, match=says):
        bulk.load(conn, "t", rows, **options)
    assert rows_of(conn, "SELECT count(*) FROM t") == [(0,)]


def test_tables_that_are_none(conn: Any) -> None:
    conn.execute("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE VIEW v AS SELECT count(*) FROM pg_class; CREATE SEQUENCE s")
    for name in ("m", "v", "s"):
        with pytest.raises(RefusedError, match="takes no rows"):
            bulk.load(conn, name, [(1,)])
    for name in ("nowhere", "a.b.c.d", "a b", '"', ""):
        with pytest.raises(UsageError):
            bulk.load(conn, name, [(1,)])
    assert rows_of(conn, "SELECT 1") == [(1,)]


def test_identity_is_said(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, note text)")
    bulk.load(conn, "t", [(7, "a")], overriding="system")
    bulk.load(conn, "t", [{"id": 8, "note": "b"}], overriding="system")
    assert bulk.load(conn, "t", [{"id": 9, "note": "c"}], overriding="user").staged
    assert rows_of(conn, "SELECT id FROM t ORDER BY note") == [(7,), (8,), (1,)]


@every_major
def test_row_policies_hold(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("CREATE TABLE t (id int, tenant text); ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT INSERT ON t TO pg_monitor")
        admin.execute("CREATE POLICY own ON t FOR INSERT WITH CHECK (tenant = current_setting('app.tenant', true))")
    with psycopg.connect(database) as conn:
        conn.execute("SET LOCAL app.tenant = 'a'; SET LOCAL ROLE pg_monitor")
        done = bulk.load(conn, "t", [(1, "a"), (2, "a")])
        assert (done.rows, done.staged) == (2, True)
        with pytest.raises(BadRowError, match=r"row 2 cannot be stored.*row-level security") as caught:
            bulk.load(conn, "t", [(3, "a"), (4, "b"), (5, "a")])
        assert caught.value.bad.number == 2
        done = bulk.load(conn, "t", [(3, "a"), (4, "b"), (5, "a")], bad="aside")
        assert (done.rows, [b.row for b in done.bad]) == (2, [(4, "b")])


def test_without_temporary_tables_it_is_said(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        admin.execute("CREATE TABLE t (id int PRIMARY KEY); GRANT ALL ON t TO pg_monitor")
    with psycopg.connect(database) as conn:
        conn.execute("SET LOCAL ROLE pg_monitor")
        assert bulk.load(conn, "t", [(1,)]).rows == 1
        with pytest.raises(Exception, match="by a temporary table only") as caught:
            bulk.merge(conn, "t", [(1,)], conflict="ignore")
        assert "GRANT TEMPORARY" in caught.value.hint
        assert rows_of(conn, "SELECT count(*) FROM t") == [(1,)]


def test_other_places(conn: Any) -> None:
    """Partitions, a view that can be inserted into, a view with a trigger."""
    conn.execute("CREATE TABLE p (id int, note text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)")
    with pytest.raises(BadRowError, match=r"row 2 .*no partition"):
        bulk.load(conn, "p", [(1, "a"), (11, "b")])
    assert not bulk.load(conn, "p", [(1, "a")]).staged
    conn.execute("CREATE VIEW simple AS SELECT id, note FROM p WHERE id < 5 WITH CHECK OPTION")
    assert bulk.load(conn, "simple", [(2, "b")]).staged
    with pytest.raises(BadRowError, match=r"row 2 .*check option"):
        bulk.load(conn, "simple", [(3, "b"), (7, "b")])
    conn.execute("CREATE VIEW guarded AS SELECT count(*) AS id FROM p")
    conn.execute(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO p VALUES (new.id, 'by view'); RETURN new; END $$"
    )
    conn.execute("CREATE TRIGGER g INSTEAD OF INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION f()")
    assert not bulk.load(conn, "guarded", [(4,)]).staged
    assert rows_of(conn, "SELECT id, note FROM p ORDER BY id") == [(1, "a"), (2, "b"), (4, "by view")]


def test_progress_is_told(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int)")
    seen: list[bulk.Progress] = []
    bulk.load(conn, "t", ((i,) for i in range(10_000)), progress=seen.append, every=0)
    assert len(seen) > 5
    assert [p.rows for p in seen] == sorted(p.rows for p in seen)
    assert seen[-1].rows == 10_000
    assert seen[-1].bytes >= 100_000 and seen[-1].rate > 0  # noqa: PT018


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**31), 2**31 - 1) | st.none(),
            st.text() | st.none(),
            st.booleans() | st.none(),
            st.floats() | st.none(),
            st.decimals(allow_nan=False, allow_infinity=False) | st.none(),
        ),
        max_size=60,
    )
)
def test_law_what_goes_in_comes_out(conn: Any, rows: list[Any]) -> None:
    """In binary, text, with bad rows set aside, from dicts and from CSV written by PostgreSQL."""
    rows = [r for r in rows if "\0" not in (r[1] or "")]
    names = ["a", "b", "c", "d", "e"]
    conn.execute("CREATE TEMP TABLE law (n serial, a int, b text, c boolean, d float8, e numeric)")
    try:
        for options in ({}, {"format": "text"}, {"bad": "aside"}):
            conn.execute("TRUNCATE law")
            bulk.load(conn, "law", rows, columns=names, **options)  # type: ignore[arg-type]
            out = list(bulk.rows(conn, "SELECT a, b, c, d, e FROM law ORDER BY n"))
            assert repr(out) == repr([(*r[:4], r[4] and Decimal(r[4]) if r[4] is None or r[4] else Decimal(str(abs(r[4])))) for r in rows])
        text = io.BytesIO()
        bulk.csv(conn, "SELECT a, b, c, d, e FROM law ORDER BY n", text)
        text.seek(0)
        conn.execute("CREATE TEMP TABLE copy AS TABLE law; TRUNCATE law")
        assert bulk.load(conn, "law", bulk.Csv(text)).rows == len(rows)
        assert rows_of(conn, "SELECT count(*) FROM (SELECT a, b, c, d, e FROM law EXCEPT ALL SELECT a, b, c, d, e FROM copy) x") == [(0,)]
    finally:
        conn.execute("DROP TABLE IF EXISTS law; DROP TABLE IF EXISTS copy")
