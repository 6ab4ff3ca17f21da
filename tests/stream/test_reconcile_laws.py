"""Laws of reconciling: the report is the symmetric difference, exactly; after a repair both sides are equal; and then nothing differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stream.test_reconcile import Streamed, pair  # noqa: F401

from pgcharter.policy.sync_settings import MappingTable
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.reconcile import Side, reconcile
from pgcharter.stream.reconcile_model import Options

COLUMNS = '"Key" text COLLATE {}, n int, body text, amount numeric, real float8, at timestamptz, list text[], raw bytea'
TABLE = "CREATE TABLE laws (" + COLUMNS + '{}, PRIMARY KEY ("Key", n))'
STAMPS = ", pgcharter_lsn bigint NOT NULL DEFAULT 0, pgcharter_ordinal bigint NOT NULL DEFAULT 0"
LAWS = MappingTable("copies", "public.laws")

_texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=4)
_keys = st.tuples(st.sampled_from(["", "a", "A", "ä", "b", "a b", "(,)", '"', "\\", "Z", "ß", "NULL"]), st.integers(-2, 3))
_rows = st.tuples(
    st.none() | _texts,
    st.none() | st.decimals(allow_infinity=True, allow_nan=False, places=2) | st.sampled_from(["NaN", "1.5", "1.50"]),
    st.none() | st.floats(width=64),
    st.none()
    | st.sampled_from(["infinity", "2024-02-29 12:00:00.000001+01", "0044-03-15 12:00:00+00 BC", "2024-02-29 11:00:00.000001+00"]),
    st.none() | st.lists(st.none() | _texts, max_size=3),
    st.none() | st.binary(max_size=3),
)
_tables = st.dictionaries(_keys, _rows, max_size=12)


@pytest.fixture
def laws(pair: tuple[str, str]) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:  # noqa: F811
    with psycopg.connect(pair[0], autocommit=True) as source, psycopg.connect(pair[1], autocommit=True) as copy:
        source.execute(TABLE.format('"default"', "").encode())
        copy.execute(TABLE.format('"C"', STAMPS).encode())
        yield source, copy


def _fill(conn: psycopg.Connection[Any], rows: dict[Any, Any]) -> None:
    conn.execute("DELETE FROM laws")
    names = '"Key", n, body, amount, real, at, list, raw'
    with conn.cursor() as cursor:
        sql = f"INSERT INTO laws ({names}) VALUES (%s, %s, %s, %s::text::numeric, %s, %s::text::timestamptz, %s::text[], %s)"
        cursor.executemany(sql, [(*k, v[0], None if v[1] is None else str(v[1]), *v[2:]) for k, v in rows.items()])


def _read(conn: psycopg.Connection[Any]) -> dict[Any, Any]:
    found = conn.execute('SELECT "Key", n, ROW(body, trim_scale(amount), real, at, list, raw)::text FROM laws').fetchall()
    return {(k, n): row for k, n, row in found}


@pytest.mark.parametrize("streamed", [False, True], ids=["sql", "rows"])
def test_the_report_is_the_difference(
    laws: tuple[psycopg.Connection[Any], psycopg.Connection[Any]],
    pair: tuple[str, str],  # noqa: F811
    streamed: bool,
) -> None:
    source, copy = laws

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(_tables, _tables, st.sets(_keys))
    def holds(wanted: dict[Any, Any], stored: dict[Any, Any], shared: set[Any]) -> None:
        stored = {**stored, **{k: v for k, v in wanted.items() if k in shared}}
        _fill(source, wanted)
        _fill(copy, stored)
        here, there = _read(source), _read(copy)
        expected = {("missing", k) for k in here.keys() - there.keys()} | {("extra", k) for k in there.keys() - here.keys()}
        expected |= {("different", k) for k in here.keys() & there.keys() if here[k] != there[k]}

        def compared(options: Options) -> Any:
            sink = PostgresqlSink(pair[1], name="copies")
            return reconcile(Side(pair[0], Streamed(sink) if streamed else sink, LAWS, "copies"), options)

        report = compared(Options(repair=True, share=1))
        assert {(d.kind, d.key) for d in report.differences} == expected
        assert report.repaired == len(expected)
        assert _read(copy) == _read(source)
        assert compared(Options()).found == 0

    holds()
