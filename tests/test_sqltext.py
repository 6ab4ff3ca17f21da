"""SQL text: statements, places, psql's own parts, broken pieces, suppressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.errors import UsageError
from pgcharter.sqltext import node_place, offset_place, parse
from pgcharter.sqltext.source import Source
from pgcharter.sqltext.split import Piece, pieces


def kinds(text: str) -> list[str]:
    return [s.kind for s in parse(text, "f.sql").statements]


def test_a_statement_begins_after_its_comments_and_ends_before_its_semicolon() -> None:
    text = "-- head\n/* more */\n  SELECT 1 -- tail\n;\nSELECT 2 -- no semicolon\n-- end"
    first, second = parse(text, "f.sql").statements
    assert (first.text, str(first.place), first.place.end_line) == ("SELECT 1", "f.sql:3:3", 3)
    assert (second.text, str(second.place)) == ("SELECT 2", "f.sql:5:1")


@pytest.mark.parametrize("text", ["", "-- only\n/* comments */", ";;\n;"])
def test_text_without_a_statement_has_none(text: str) -> None:
    parsed = parse(text, "f.sql")
    assert parsed.statements == ()
    assert parsed.errors == ()


def test_columns_count_characters_not_bytes() -> None:
    text = "SELECT 'é😀'; CREATE TABLE t (\n\t\"Größe 😀\" int, b int\n);"
    statement = parse(text, "f.sql").statements[1]
    assert str(statement.place) == "f.sql:1:14"
    assert text[statement.offset :].startswith("CREATE")
    columns = [e.column_def for e in statement.node.table_elts]
    assert [str(node_place(statement, c.location)) for c in columns] == ["f.sql:2:2", "f.sql:2:17"]
    assert str(offset_place(statement, statement.text.index("b int") + 1)) == "f.sql:2:17"


def test_a_byte_order_mark_and_windows_line_ends_shift_nothing() -> None:
    parsed = parse("\ufeffSELECT 1;\r\n\r\nSELECT 2;\r\n", "f.sql")
    assert [str(s.place) for s in parsed.statements] == ["f.sql:1:1", "f.sql:3:1"]


def test_a_nul_byte_is_refused_with_its_place() -> None:
    with pytest.raises(UsageError, match="NUL byte") as caught:
        parse("SELECT 1;\nSELECT '\0';", "f.sql")
    assert caught.value.place == "f.sql:2:9"


def test_a_broken_statement_hides_nothing_and_is_told_at_its_own_place() -> None:
    parsed = parse("SELECT 1;\n-- é\nCREATE TABEL x ();\nSELECT 2;", "f.sql")
    assert [s.text for s in parsed.statements] == ["SELECT 1", "SELECT 2"]
    (broken,) = parsed.errors
    assert broken.message == 'syntax error at or near "TABEL"'
    assert (str(broken.place), str(broken.start)) == ("f.sql:3:8", "f.sql:3:1")


def test_an_unterminated_string_is_told_where_it_begins() -> None:
    parsed = parse("SELECT 1; SELECT 'abc;\nSELECT 2;", "f.sql")
    assert [s.text for s in parsed.statements] == ["SELECT 1"]
    assert str(parsed.errors[0].place) == "f.sql:1:18"
    assert parsed.errors[0].message.startswith("unterminated quoted string")


BROKEN = "; CREATE TABEL nope;"
"""After this the text is cut into pieces instead of being parsed as a whole."""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ';', \";\" FROM t",
        "SELECT E'\\';', 'it''s;'",
        "SELECT $$ ; $$, $q$ ; $$ ; $q$",
        "SELECT 1 /* ; /* ; */ ; */ + 1",
        "SELECT 1 -- ;\n+ 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN 1; END $f$",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)",
        "DO $$ BEGIN PERFORM 1; END $$",
        "SELECT $1, a$b FROM t",
    ],
)
def test_semicolons_that_end_nothing_do_not_split(sql: str) -> None:
    whole = parse(f"{sql}; SELECT 99;", "f.sql")
    cut = parse(f"{sql}{BROKEN} SELECT 99;", "f.sql")
    assert [s.text for s in whole.statements] == [sql, "SELECT 99"]
    assert [s.text for s in cut.statements] == [sql, "SELECT 99"]
    assert len(cut.errors) == 1


def test_psql_commands_are_set_aside() -> None:
    parsed = parse("\\set ON_ERROR_STOP on\n\\c shop\nSELECT 1 \\gexec\nSELECT 2;\n\\restrict abc\nSELECT 3 \\; SELECT 4;", "f.sql")
    assert [s.text for s in parsed.statements] == ["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"]
    assert [(m.command, m.argument) for m in parsed.metas] == [("set", "ON_ERROR_STOP on"), ("c", "shop"), ("restrict", "abc")]
    assert parsed.errors == ()


def test_copy_data_is_skipped() -> None:
    parsed = parse("COPY t (a) FROM stdin;\n1\t';\n\\N\t$$\n\\.\n\nCREATE TABLE after (x int);\n", "f.sql")
    assert [(s.kind, s.place.line) for s in parsed.statements] == [("copy_stmt", 1), ("create_stmt", 6)]


def test_psql_variables_are_noted_and_looked_through() -> None:
    parsed = parse("CREATE SCHEMA :name;\nSELECT :'word', x::int, :\"col\" FROM t;", "f.sql")
    assert [(s.kind, s.variables) for s in parsed.statements] == [("create_schema_stmt", ("name",)), ("select_stmt", ("word", "col"))]
    assert parsed.statements[0].text == "CREATE SCHEMA :name"


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("-- +goose Up", "-- +goose Down"),
        ("-- migrate:up", "-- migrate:down"),
        ("-- migrate:up transaction:false", "-- migrate:down"),
        ("-- +migrate Up", "-- +migrate Down"),
        ("-- Up", "-- Down"),
        ("-- Up Migration", "-- Down Migration"),
        ("--", "--//@UNDO"),
        ("-- rollback is below", "-- rollback"),
    ],
)
def test_sections_of_migration_tools_give_the_direction(up: str, down: str) -> None:
    parsed = parse(f"{up}\nCREATE TABLE t (x int);\n{down}\nDROP TABLE t;\n", "f.sql")
    assert [s.direction for s in parsed.statements] == ["up", "down"]


def test_suppressions_reach_the_statement_they_stand_at() -> None:
    parsed = parse(
        "-- pgcharter: allow KEY01, no-primary-key because it is a log\nCREATE TABLE a (x int);\n"
        "CREATE TABLE b (x int); -- pgcharter: allow TYP02 because old\n"
        "CREATE TABLE c (\n  x int /* pgcharter: allow TYP03\n  because of them */\n);\nCREATE TABLE d (x int);\n",
        "f.sql",
    )
    allows = [[(a.codes, a.reason) for a in s.allows] for s in parsed.statements]
    assert allows == [[(("KEY01", "no-primary-key"), "it is a log")], [(("TYP02",), "old")], [(("TYP03",), "of them")], []]
    assert parsed.remarks == ()


def test_a_file_wide_suppression_reaches_every_statement() -> None:
    parsed = parse("-- pgcharter: allow-file NAM01 because legacy\n\nSELECT 1;\nSELECT 2;", "f.sql")
    assert [s.allows[0].codes for s in parsed.statements] == [("NAM01",), ("NAM01",)]


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("-- pgcharter: allow KEY01", "no reason"),
        ("-- pgcharter: allow KEY01 because", "no reason"),
        ("-- pgcharter: allow because it is fine", "names no rule"),
        ("-- pgcharter: ignore KEY01 because x", "means nothing"),
    ],
)
def test_a_suppression_that_says_nothing_is_told(comment: str, says: str) -> None:
    parsed = parse(f"{comment}\nSELECT 1;", "f.sql")
    assert parsed.statements[0].allows == ()
    assert says in parsed.remarks[0].message


def test_a_suppression_beside_nothing_is_told() -> None:
    parsed = parse("-- pgcharter: allow KEY01 because x\n\nSELECT 1;", "f.sql")
    assert parsed.statements[0].allows == ()
    assert "beside no statement" in parsed.remarks[0].message


def test_a_suppression_inside_a_string_is_data() -> None:
    parsed = parse("SELECT '-- pgcharter: allow KEY01 because x';", "f.sql")
    assert parsed.statements[0].allows == ()
    assert parsed.remarks == ()


@pytest.mark.parametrize("odd", ["\u00a0", "\u0085", "\u2003", "\x1c"])
def test_white_space_that_is_none_to_postgresql_is_left_in_place(odd: str) -> None:
    parsed = parse(f"SELECT 1; nonsense {odd} x -- {odd}\n; SELECT 2;{odd}", "f.sql")
    assert [s.text for s in parsed.statements] == ["SELECT 1", "SELECT 2"]
    assert [e.text for e in parsed.errors] == [f"nonsense {odd} x", odd]


def test_a_large_text_is_never_parsed_in_one_piece() -> None:
    rows = "INSERT INTO t VALUES (1, 'x;y');\n" * 60_000
    parsed = parse(f"CREATE TABLE t (a int, b text);\n{rows}CREATE INDEX i ON t (a);\n", "f.sql")
    assert [s.kind for s in parsed.statements] == ["create_stmt", "index_stmt"]
    assert (parsed.skipped, parsed.statements[1].place.line) == (60_000, 60_002)


_FRAGMENTS = st.lists(
    st.sampled_from(
        ["SELECT 1", "'", '"', "$$", "$a$", "--x\n", "/*", "*/", ";", "\n", " ", "\\", "\\c x", "é😀", "E'\\''", "(", ")", "CREATE RULE r",
         "CREATE FUNCTION f()", "BEGIN ATOMIC", "END", "CASE", "COPY t FROM stdin;\n", "\\.\n", ":v", "pgcharter: allow X", "-- Down\n"]
    )
    | st.text(max_size=5).map(lambda s: s.replace("\0", "")),
    max_size=25,
).map("".join)  # fmt: skip


NOTHING = " \n\t\r\f\v;."
"""What may stand between pieces besides comments and psql commands (the period is that of `\\.`)."""


@given(_FRAGMENTS)
def test_cutting_loses_nothing_and_keeps_order(text: str) -> None:
    start = end = 0
    for item in pieces(text):
        if isinstance(item, Piece):
            assert item.start >= end
            assert item.end > item.start
            between = text[end : item.start]
            assert not between.strip(NOTHING) or any(mark in between for mark in ("--", "/*", "\\"))
            start, end = item.start, item.end
        else:
            assert item.start >= start
            assert text[item.start] == "\\"
            end = max(end, item.start + 2 + (0 if item.name == ";" else len(item.name) + len(item.argument)))
    rest = text[end:]
    assert not rest.strip(NOTHING) or any(mark in rest for mark in ("--", "/*", "\\")) or "COPY" in text


@given(_FRAGMENTS)
def test_whatever_the_text_every_place_maps_back(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    parsed = parse(text, "f.sql")
    lines = parsed.text.split("\n")
    for statement in parsed.statements:
        assert parsed.text[statement.offset :].startswith(statement.text.split("\\")[0].split(" ")[0])
        assert lines[statement.place.line - 1][statement.place.column - 1 :].startswith(statement.text.split("\n")[0][:1])
    for broken in parsed.errors:
        assert 1 <= broken.place.line <= len(lines)


@given(st.text(alphabet="aé😀\n\t\r", max_size=60))
def test_bytes_and_characters_convert_both_ways(text: str) -> None:
    source = Source(text, "f")
    for char in range(len(text) + 1):
        byte = len(text[:char].encode())
        assert source.byte(char) == byte
        assert source.char(byte) == char
        place = source.place(char)
        assert source.offset(place.line, place.column) == char


@pytest.mark.parametrize("terms", [60, 3_000, 25_000])
def test_deep_expressions_are_parsed(terms: int) -> None:
    parsed = parse("CREATE VIEW v AS SELECT " + "1+" * terms + "1;\nCREATE TABLE t (x int);", "f.sql")
    assert parsed.errors == () or "nested" in parsed.errors[0].message
    assert parsed.statements[-1].kind == "create_stmt"
    assert terms > 10_000 or parsed.statements[0].kind == "view_stmt"


def test_a_comment_that_is_never_closed_is_told() -> None:
    parsed = parse("CREATE TABLE t (x int);\n  /* a /* b */ \nCREATE TABLE u (x int);", "f.sql")
    assert [s.kind for s in parsed.statements] == ["create_stmt"]
    assert [(e.message, str(e.place)) for e in parsed.errors] == [("unterminated /* comment", "f.sql:2:3")]
