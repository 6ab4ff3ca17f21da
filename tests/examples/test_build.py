"""Building from a folder: in order, each file whole or not at all, never twice, never over an edited file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pgcharter.db import Connection, connect
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.examples import build

ONE = "-- Description: the first\nCREATE TABLE one (id int PRIMARY KEY);\n"
TWO = "BEGIN;\nCREATE TABLE two (id int REFERENCES one);\nCOMMIT;\n"


def write(folder: Path, **files: str) -> list[build.File]:
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return build.read_files(folder)


def tables(conn: Connection) -> list[str]:
    return [
        n for (n,) in conn.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1")
    ]


@pytest.fixture
def conn(database: str):
    with connect(database) as made:
        build.install(made)
        yield made


def test_files_run_in_natural_order_and_once(conn: Connection, tmp_path: Path) -> None:
    files = write(tmp_path, **{"10_two": TWO, "2_one": ONE})
    assert build.build(conn, files) == 2
    assert build.build(conn, build.read_files(tmp_path)) == 0
    assert tables(conn) == ["one", "two"]
    rows = conn.execute("SELECT version, length(checksum), description FROM pgcharter.schema_migrations ORDER BY 1").fetchall()
    assert rows == [("10_two", 64, None), ("2_one", 64, "the first")]


def test_a_failing_file_leaves_nothing_and_earlier_ones_stay(conn: Connection, tmp_path: Path) -> None:
    files = write(tmp_path, a=ONE, b="CREATE TABLE b ();\n\n  SELECT nothing FROM one;\n")
    with pytest.raises(PgcharterError, match='column "nothing" does not exist') as caught:
        build.build(conn, files)
    assert caught.value.place.endswith("b.sql:3:10")
    assert tables(conn) == ["one"]
    assert build.build(conn, write(tmp_path, b="CREATE TABLE b ();")) == 1
    assert tables(conn) == ["b", "one"]


def test_an_edited_file_is_refused_before_anything_runs(conn: Connection, tmp_path: Path) -> None:
    build.build(conn, write(tmp_path, a=ONE))
    files = write(tmp_path, a=ONE + "-- edited\n", b="CREATE TABLE b ();")
    with pytest.raises(RefusedError, match=r"a\.sql was applied on .* and has been edited since"):
        build.build(conn, files)
    assert tables(conn) == ["one"]


def test_settings_of_one_file_do_not_reach_the_next(conn: Connection, tmp_path: Path) -> None:
    files = write(tmp_path, a="CREATE SCHEMA s; SET search_path = s; CREATE TABLE t ();", b="CREATE TABLE u ();")
    build.build(conn, files)
    assert tables(conn) == ["u"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CREATE TABLE a ();\nROLLBACK;", "ROLLBACK would break the transaction"),
        ("CREATE INDEX CONCURRENTLY ON one (id);", "cannot run in a transaction"),
        ("DROP INDEX CONCURRENTLY x;", "cannot run in a transaction"),
        ("REINDEX (CONCURRENTLY) TABLE one;", "cannot run in a transaction"),
        ("VACUUM;", "cannot run in a transaction"),
        ("COPY one FROM stdin;\n1\n\\.\n", "takes its data from psql"),
    ],
)
def test_what_cannot_be_applied_whole_is_said_and_nothing_stays(conn: Connection, tmp_path: Path, text: str, says: str) -> None:
    build.build(conn, write(tmp_path, a=ONE))
    with pytest.raises(PgcharterError, match=says):
        build.build(conn, write(tmp_path, b=text))
    assert tables(conn) == ["one"]
    assert build.build(conn, write(tmp_path, b="CREATE TABLE b ();")) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CREATE TABEL x ();", "this is not SQL"),
        ("\\i other.sql\n", r"\\i is a command of psql"),
        ("\\! rm -rf x\n", "is a command of psql"),
    ],
)
def test_what_is_not_sql_is_refused_before_a_server_is_asked(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PgcharterError, match=says):
        write(tmp_path, a=text)


def test_harmless_psql_commands_and_down_sections_are_left_out(conn: Connection, tmp_path: Path) -> None:
    build.build(conn, write(tmp_path, a="\\set ON_ERROR_STOP on\n-- +goose Up\nCREATE TABLE a ();\n-- +goose Down\nDROP TABLE a;\n"))
    assert tables(conn) == ["a"]


def test_a_folder_without_sql_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no SQL file"):
        build.read_files(tmp_path)


def test_one_builder_at_a_time(database: str) -> None:
    told, order = threading.Event(), []

    def second() -> None:
        with connect(database) as conn, build.alone(conn, told.set):
            order.append("second")

    with connect(database) as first, build.alone(first):
        other = threading.Thread(target=second)
        other.start()
        assert told.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]
