from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import every_major
from tests.sinks.conformance import TYPES

from pgcharter.db import Connection
from pgcharter.stream import values


def _session(conn: Connection) -> None:
    for name, value in values.SESSION.items():
        conn.execute("SELECT set_config(%s, %s, false)", (name, value))


def _copied(conn: Connection, of: str, text: str) -> str:
    """Text read and written by PostgreSQL."""
    with conn.cursor().copy(f"COPY (SELECT %s::{of}) TO STDOUT".encode(), (text,)) as copy:
        (row,) = copy.rows()
    return str(row[0])


@every_major
def test_what_the_suite_takes_for_postgresqls_text_is_that(conn: Connection, major: int) -> None:
    _session(conn)
    for of, texts in TYPES.items():
        for text in texts if of != "xml" else ():
            assert _copied(conn, of, text) == text, of


@every_major
def test_values_are_the_same_after_a_round_trip(conn: Connection, major: int) -> None:
    _session(conn)
    for of, texts in TYPES.items():
        for text in texts if of != "xml" else ():
            load = values.load(of)
            back = values.text(load(text) if load else text, ";" if of == "box[]" else ",")
            assert _copied(conn, of, back) == text, of


@pytest.mark.parametrize(
    ("of", "text", "value"),
    [
        ("integer", "7", 7),
        ("numeric(10,2)", "1.50", Decimal("1.50")),
        ("boolean", "f", False),
        ("boolean", "true", True),
        ("bytea", "\\x00ff", b"\x00\xff"),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("time without time zone", "23:59:59.5", time(23, 59, 59, 500000)),
        ("timestamp(3) without time zone", "2024-02-29 12:00:00", datetime(2024, 2, 29, 12)),
        ("timestamp with time zone", "2024-02-29 12:00:00+05:30", datetime(2024, 2, 29, 6, 30, tzinfo=UTC)),
        ("timestamp with time zone", "infinity", "infinity"),
        ("json", '{"a": 1}', '{"a": 1}'),
        ("integer[]", "{{1,NULL},{3,4}}", [[1, None], [3, 4]]),
        ("text[]", '{NULL,"NULL","a\\"b",""}', [None, "NULL", 'a"b', ""]),
        ("integer[]", "[0:0]={7}", "[0:0]={7}"),
        ("app.mood[]", "{sad}", ["sad"]),
    ],
)
def test_loads(of: str, text: str, value: Any) -> None:
    load = values.load(of)
    assert (load(text) if load else text) == value


@pytest.mark.parametrize(
    ("of", "bare"),
    [
        ("numeric(12,2)[]", "numeric[]"),
        ("character(3)", "bpchar"),
        ("bit(4)", "bit varying"),
        ("timestamp(3) with time zone", "timestamp with time zone"),
        ("interval day to second(3)", "interval"),
        ("interval", "interval"),
        ('app."Odd (1)"', 'app."Odd (1)"'),
        ("numeric(3,-2)", "numeric"),
    ],
)
def test_types_without_length(of: str, bare: str) -> None:
    assert values.plain(of) == bare


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.recursive(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.none(),
        lambda s: st.lists(s, min_size=1, max_size=1),
        max_leaves=3,
    ).filter(lambda v: isinstance(v, list))
    | st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.none())
)
def test_arrays_of_any_text(conn: Connection, array: list[Any]) -> None:
    load = values.load("text[]")
    assert load is not None
    assert load(_copied(conn, "text[]", values.text(array))) == array


def test_keys_become_hashable() -> None:
    nan = Decimal("NaN")
    assert values.hashable((1, "a")) == (1, "a")
    assert {values.hashable((nan, [1])), values.hashable((Decimal("NaN"), [1]))} == {("NaN", '{"1"}')}
