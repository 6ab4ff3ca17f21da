"""Identifiers: our quoting is the server's own; nouns are guessed only when sure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pgcharter import nouns
from pgcharter.keywords import QUOTED_KEYWORDS, RESERVED_KEYWORDS
from pgcharter.names import ObjectId, address, literal, quote

_ident = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
_plain = st.from_regex(r"[a-z_][a-z0-9_$]{0,8}", fullmatch=True)
_once = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_once
@given(name=st.one_of(_ident, _plain, st.sampled_from(sorted(QUOTED_KEYWORDS))))
@example(name="a$b")
@example(name="user")
@example(name="1st")
@example(name='say "hi"')
@example(name="größe")
def test_quoting_is_the_servers_own(conn: Any, name: str) -> None:
    row = conn.execute("select quote_ident(%s)", [name]).fetchone()
    assert quote(name) == row[0]


@_once
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
@example(text="\\'")
def test_a_literal_reads_back_as_the_text(conn: Any, text: str) -> None:
    for how in ("on", "off"):
        conn.execute(f"set standard_conforming_strings = {how}")
        assert conn.execute(f"select {literal(text)}").fetchone()[0] == text


def test_key_words_are_those_of_the_server(conn: Any) -> None:
    listed = conn.execute("select word, catcode::text from pg_get_keywords()").fetchall()
    quoted = {word for word, category in listed if category != "U"}
    reserved = {word for word, category in listed if category in "RT"}
    assert quoted <= QUOTED_KEYWORDS
    assert reserved <= RESERVED_KEYWORDS
    if conn.info.server_version >= 180000:
        assert (quoted, reserved) == (QUOTED_KEYWORDS, RESERVED_KEYWORDS)


@pytest.mark.parametrize(
    ("target", "sql"),
    [
        (ObjectId("column", "app", "Order", "end"), 'app."Order"."end"'),
        (ObjectId("function", "app", "F(integer, text)"), 'app."F"(integer, text)'),
        (ObjectId("role", "", "reader"), "reader"),
        (ObjectId("function", "app", "half (open(integer)"), 'app."half (open"(integer)'),
        (ObjectId("function", "app", 'f(app."My(Type", "a)""(b")'), 'app.f(app."My(Type", "a)""(b")'),
        (ObjectId("procedure", "app", "f(x)()"), 'app."f(x)"()'),
        (ObjectId("aggregate", "app", "hits(*)"), "app.hits(*)"),
        (ObjectId("operator", "App", "=== (integer, app.mood)"), '"App".=== (integer, app.mood)'),
        (ObjectId("cast", "", "(integer AS app.mood)"), "(integer AS app.mood)"),
        (ObjectId("operator class", "app", "My Class USING btree"), 'app."My Class" USING btree'),
        (ObjectId("operator family", "app", "a USING b USING hash"), 'app."a USING b" USING hash'),
        (ObjectId("transform", "", "FOR app.point LANGUAGE PL"), 'FOR app.point LANGUAGE "PL"'),
    ],
)
def test_addresses_are_written_as_sql(target: ObjectId, sql: str) -> None:
    assert target.sql() == sql


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("orders", "plural"), ("people", "plural"), ("OrderItems", "plural"), ("user_keys", "plural"), ("indices", "plural"),
        ("statuses", "plural"), ("heroes", "plural"), ("order", "singular"), ("address", "singular"), ("order_status", "singular"),
        ("child", "singular"), ("film_actor", "singular"), ("inventory", None), ("order_history", None), ("audit_log", None),
        ("series", None), ("settings", None), ("orders_archive", None), ("data", None), ("news", None), ("lotus", None), ("", None),
    ],
)  # fmt: skip
def test_number_of_a_table_name(name: str, number: str | None) -> None:
    assert nouns.number_of_name(name) == number


@pytest.mark.parametrize(
    ("plural", "single"),
    [
        ("order_items", "order_item"), ("categories", "category"), ("addresses", "address"), ("boxes", "box"), ("houses", "house"),
        ("statuses", "status"), ("people", "person"), ("movies", "movie"), ("keys", "key"), ("user", "user"), ("series", None),
        ("synapses", "synapse"),
    ],
)  # fmt: skip
def test_singular_of_a_table_name(plural: str, single: str | None) -> None:
    assert nouns.singular_name(plural) == single


@pytest.mark.parametrize(
    "wanted",
    [
        ObjectId("table", "app", "users"),
        ObjectId("column", "app", "users", "e mail"),
        ObjectId("materialized view", 'We"ird. one', "Größe"),
        ObjectId("schema", "", "App"),
        ObjectId("event trigger", "", "on_ddl"),
        ObjectId("function", "app", "f(integer, text)"),
        ObjectId("procedure", "app", 'P x(numeric(10,2), "My Type"[])'),
        ObjectId("trigger", "app", "a.b", "t"),
    ],
    ids=str,
)
def test_an_address_is_read_back(wanted: ObjectId) -> None:
    assert address(str(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "users", "table users", "column app.users", "table a.b.c", "schema a.b", 'table "a', "TABLE a.b"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="write it as"):
        address(text)
