"""What is no target, no text or no SQL: one clear sentence each."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from pgcharter import sources
from pgcharter.errors import ConnectError, Exit, PgcharterError, UsageError
from pgcharter.sources import text


def refused(target: str) -> PgcharterError:
    with pytest.raises(PgcharterError) as caught:
        sources.read(target, server=False)
    message = caught.value.message
    assert "\n" not in message
    return caught.value


def test_no_such_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("SELECT 1;")
    error = refused(str(tmp_path / "shema.sql"))
    assert error.exit_code == Exit.USAGE
    assert error.message.startswith("there is no file or folder")
    assert error.hint == f"did you mean {tmp_path / 'schema.sql'}?"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "the target is empty"),
        ("mysql://root@localhost/shop", "mysql:// is not a PostgreSQL address"),
        ("sqlite:///shop.db", "sqlite:// is not a PostgreSQL address"),
        ("hots=localhost dbname=x", 'the connection string cannot be understood: invalid connection option "hots"'),
        ("env:PGCHARTER_TEST_NOT_SET", "environment variable PGCHARTER_TEST_NOT_SET is not set"),
        ("no_such_module_here:Base", "there is no module no_such_module_here"),
        ("pathlib:Paht", "pathlib has no Paht"),
        ("pathlib:Path", "pathlib:Path is a type, not a MetaData or declarative base"),
    ],
)
def test_targets_that_make_no_sense(target: str, says: str) -> None:
    error = refused(target)
    assert isinstance(error, UsageError)
    assert says in error.message


def test_env_names_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;")
    monkeypatch.setenv("PGCHARTER_TEST_TARGET", str(tmp_path / "a.sql"))
    assert len(sources.read("env:PGCHARTER_TEST_TARGET", server=False).statements) == 1


def test_a_server_that_is_not_there_is_a_connect_error_without_the_password() -> None:
    with pytest.raises(ConnectError) as caught:
        sources.read("postgresql+psycopg://joe:hunter2@127.0.0.1:1/shop")
    assert "hunter2" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.sql", b"", "holds no SQL statement"),
        ("comments.sql", b"-- nothing\n/* here */\n", "holds no SQL statement"),
        ("nul.sql", b"SELECT 1;\nSELECT '\0';", "NUL byte"),
        ("latin.sql", "SELECT 1;\n-- é\n".encode("latin-1"), "byte 0xe9 is not UTF-8"),
        ("wide.sql", "SELECT 1;".encode("utf-16"), "UTF-16"),
        ("dump.sql", b"PGDMP\x01\x0e", "a pg_dump archive, not SQL"),
        ("dump.sql.gz", gzip.compress(b"SELECT 1;", mtime=0), "compressed with gzip"),
        ("noise.sql", bytes(range(256)) * 4, "binary, not SQL"),
        ("my.sql", b"CREATE TABLE `a` (`id` INT NOT NULL AUTO_INCREMENT) ENGINE=InnoDB;", "MySQL's SQL, not PostgreSQL's"),
        ("ms.sql", b"CREATE TABLE [dbo].[a] ([id] INT IDENTITY)\r\nGO\r\n", "SQL Server's SQL, not PostgreSQL's"),
        ("models.py", b"x = 1", "is Python"),
        ("snapshot.json", b"{", "not JSON"),
        ("other.json", b"{}", "no catalog snapshot"),
        ("plain.md", b"# nothing\n```python\nx\n```\n", "has no SQL block"),
        ("setup.ini", b"[x]\na=1\n", "no Alembic project"),
    ],
)
def test_files_that_are_no_sql(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    error = refused(str(tmp_path / name))
    assert isinstance(error, UsageError)
    assert says in error.message
    assert name.partition(".")[0] in str(error)


def test_places_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_bytes(b"SELECT 1;\n-- ab" + b"\xe9\n")
    assert refused(str(tmp_path / "a.sql")).place == f"{tmp_path / 'a.sql'}:2:6"


def test_a_database_file_is_no_sql(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as conn:
        conn.execute("create table t (x)")
    conn.close()
    assert "a SQLite database" in refused(str(path)).message


def test_folders_without_sql(tmp_path: Path) -> None:
    assert "holds no SQL file" in refused(str(tmp_path)).message
    (tmp_path / "a.sql").write_text("-- nothing")
    assert "holds no SQL statement" in refused(str(tmp_path)).message


def test_standard_input_is_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"CREATE TABLE t (x int);")))
    reading = sources.read("-", server=False)
    assert [str(s.place) for s in reading.statements] == ["-:1:1"]


@pytest.mark.slow
def test_a_dump_of_fifty_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "big.sql"
    with path.open("w") as file:
        file.write("CREATE TABLE t (a int, b text);\nCOPY t (a, b) FROM stdin;\n")
        file.writelines(f"{n}\tsome text that ends in a quote '\n" for n in range(500_000))
        file.write("\\.\n")
        file.writelines(f"INSERT INTO t VALUES ({n}, 'it''s; a \"row\"');\n" for n in range(700_000))
        file.write("CREATE INDEX t_a ON t (a);\n")
    assert path.stat().st_size > 50_000_000
    reading = sources.read(str(path), server=False)
    assert [s.kind for s in reading.statements] == ["create_stmt", "copy_stmt", "index_stmt"]
    assert [g.what for g in reading.gaps] == [f"700000 data statements of {path}"]


def test_pipes_are_read_but_not_waited_for_in_folders(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sql")
    assert "holds no SQL file" in refused(str(tmp_path)).message
    (tmp_path / "a.sql").write_text("SELECT 1;")
    assert len(sources.read(str(tmp_path), server=False).statements) == 1


def test_endless_files_are_not_read_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_BYTES", 1 << 20)
    assert refused("/dev/zero").message == "/dev/zero has more than 1 MiB, which is too much to look through"


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.sql").symlink_to("gone.sql")
    assert refused(str(tmp_path)).message == f"{tmp_path / 'a.sql'} cannot be read: it is a link that leads nowhere"
