from __future__ import annotations

import psycopg
import pytest

from pgcharter.errors import CharterError
from pgcharter.stream import values
from pgcharter.stream.mapping_filter import parse

_UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
_CASES: dict[str, tuple[list[str | None], list[str]]] = {
    "integer": (
        ["-3", "7", None],
        ["c = 7", "c <> 7", "c != 7", "c < 7", "c <= 7", "c > -4", "c >= 7", "c in (7, 8)", "c not in (7)", "c is null", "c IS NOT NULL"],
    ),
    "text": (
        ["a", "B", "", "it's", "10", None],
        ["c = 'a'", "c <> ''", "c = 'it''s'", "c in ('a','B')", "c NOT IN ('a', '10')", "c > 'A'"],
    ),
    "numeric": (["1.50", "-2", None], ["c = 1.5", "c in (1.5, 2)", "c > -1e1", "c <> 1.50"]),
    "boolean": (["t", "f", None], ["c = true", "c <> false", "c = 'f'"]),
    "character(5)": (["ab   ", "b    ", None], ["c = 'ab'", "c in ('b')", "c <> 'ab  '"]),
    "date": (
        ["2024-01-01", "infinity", "-infinity", "0044-03-15 BC", None],
        ["c > '2023-12-31'", "c < '2025-01-01'", "c = 'infinity'", "c <= '2024-01-01'"],
    ),
    "timestamp with time zone": (
        ["2024-01-01 12:00:00+00", "infinity", None],
        ["c >= '2024-01-01'", "c = '2024-01-01 12:00:00+00'", "c < '2024-01-01 13:00:00+00:00'"],
    ),
    "uuid": ([_UUID, None], [f"c = '{_UUID}'", f"c <> '{_UUID.upper()}'"]),
    "bytea": (["\\x00ff", None], ["c = '\\x00FF'"]),
    "interval": (["1 day", None], ["c = '1 day'", "c is null"]),
}
_NONE = ["", "a", "a =", "a = b", "= 1", "a like 'x'", "a in ()", "a = 'x", "a = 1 and b = 2", "a is 5", "a in (1", "a == 1"]


@pytest.mark.parametrize("of", _CASES)
def test_conditions_hold_as_in_postgresql(conn: psycopg.Connection[tuple[bool]], of: str) -> None:
    for name, value in values.SESSION.items():
        conn.execute("SELECT set_config(%s, %s, false)", (name, value))
    load = values.load(of)
    for text in _CASES[of][0]:
        loaded = None if text is None else load(text) if load else text
        for condition in _CASES[of][1]:
            collated = 'c COLLATE "C"' if of == "text" else "c"
            sql = f"SELECT coalesce(({condition.replace('c ', collated + ' ', 1)}), false) FROM (SELECT %s::{of} AS c) x"
            row = conn.execute(sql.encode(), (text,)).fetchone()
            assert row is not None
            assert parse(condition, "p").of(of)(loaded) == row[0], (condition, text)


@pytest.mark.parametrize("text", _NONE)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(CharterError, match="cannot be read") as refused:
        parse(text, "the place")
    assert refused.value.place == "the place"


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ('"Odd ""x" = 1', 'Odd "x'),
        ("STATUS = 1", "status"),
        ("größe = 1", "größe"),
        ("  a1$ IS  NULL ", "a1$"),
        ("inn in(1)", "inn"),
    ],
)
def test_columns(text: str, column: str) -> None:
    assert parse(text, "").column == column


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ("integer", "c = 'x'"),
        ("date", "c > 'soon'"),
        ("interval", "c > '1 day'"),
        ("jsonb", "c < '1'"),
        ("uuid", "c = '1'"),
        ("bytea", "c = 'zz'"),
    ],
)
def test_literals_of_another_type(of: str, text: str) -> None:
    with pytest.raises(CharterError, match="condition "):
        parse(text, "").of(of)
