"""What goes wrong with migrations, as a person sees it: the sentence, what is applied, what to do next, and that doing it helps."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.cli.conftest import Done
from tests.conftest import installation

from pgcharter.servers import lifecycle

Run = Callable[..., Done]
TABLE = "CREATE TABLE {} (id int PRIMARY KEY);\n"


@pytest.fixture
def shop(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_URL", database)
    (tmp_path / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n')
    lay(tmp_path, {"001_a.sql": TABLE.format("a"), "002_b.sql": TABLE.format("b")})
    return tmp_path


@pytest.fixture
def guest(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A role that may log in and nothing else; its DSN is in GUEST."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS test_bad_guest")
        conn.execute("CREATE ROLE test_bad_guest LOGIN PASSWORD 'right'")
        dsn = make_conninfo(database, user="test_bad_guest", password="right")
        monkeypatch.setenv("GUEST", dsn)
        yield dsn
        conn.execute("DROP OWNED BY test_bad_guest; DROP ROLE test_bad_guest")


def lay(folder: Path, texts: dict[str, str]) -> None:
    (folder / "migrations").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / "migrations" / name).write_text(text, "utf-8")


def does(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.encode())


def told(done: Done, code: int, *parts: str) -> str:
    text = " ".join(done.stderr.split())
    assert done.returncode == code, text
    for part in parts:
        assert part in text, text
    return text


def test_two_files_of_one_version(shop: Path, program: Run) -> None:
    lay(shop, {"002_c.sql": "SELECT 1;"})
    told(
        program("migrate", "up"),
        2,
        "002_b.sql and migrations/002_c.sql both have version 002",
        "hint: give the younger one the next version",
    )


def test_a_gap_is_told_and_allowed(shop: Path, program: Run) -> None:
    lay(shop, {"004_d.sql": "SELECT 1;"})
    told(program("migrate", "up"), 0, "warning: between migrations/002_b.sql and migrations/004_d.sql there is no 003")
    (shop / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate]\ngaps = "refuse"\n')
    told(program("migrate", "up"), 4, "there is no 003", "was a file forgotten?")


def test_a_lost_record_is_not_taken_for_a_file_out_of_order_only(shop: Path, program: Run, database: str) -> None:
    program("migrate", "up")
    does(database, "DELETE FROM pgcharter.schema_migrations WHERE version = '001'")
    told(program("migrate", "up"), 4, "would run out of order", "only the record is lost: pgcharter migrate baseline 001")
    assert program("migrate", "baseline", "001", "--yes").returncode == 0
    assert program("migrate", "up").stdout == "nothing to do: 2 applied\n"


def test_a_row_changed_by_hand(shop: Path, program: Run, database: str) -> None:
    program("migrate", "up")
    does(database, "UPDATE pgcharter.schema_migrations SET checksum = 'x' WHERE version = '001'")
    told(
        program("migrate", "up"),
        3,
        "the ledger is damaged in run 1: its checksum is no SHA-256",
        "SELECT * FROM pgcharter.schema_migrations",
    )


def test_the_whole_ledger_is_gone(shop: Path, program: Run, database: str) -> None:
    program("migrate", "up")
    does(database, "DROP SCHEMA pgcharter CASCADE")
    told(program("migrate", "up"), 3, 'relation "a" already exists', "pgcharter migrate baseline 001")
    assert program("migrate", "baseline", "002", "--yes").returncode == 0
    assert program("migrate", "up").stdout == "nothing to do: 2 applied\n"


def test_changed_by_hand_is_told_by_the_statement_and_by_drift(shop: Path, program: Run, database: str) -> None:
    program("migrate", "up")
    does(database, "ALTER TABLE a ADD x int")
    lay(shop, {"003_x.sql": "ALTER TABLE a ADD x int;"})
    told(program("migrate", "up"), 3, 'column "x" of relation "a" already exists; of this unit nothing is applied')
    done = program("migrate", "drift")
    assert (done.returncode, "+ column public.a.x" in done.stdout) == (1, True)


def test_a_database_that_may_only_be_read(shop: Path, program: Run, database: str) -> None:
    name = database.partition("?")[0].rpartition("/")[2]
    does(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    told(program("migrate", "up"), 3, "this session may only read", f"ALTER DATABASE {name} RESET default_transaction_read_only")
    wrong = make_conninfo(database, options="-c default_transaction_read_only=on")
    told(program("migrate", "up", "--on", "env:WRONG", WRONG=wrong), 3, "take default_transaction_read_only out of the connection string")
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SET default_transaction_read_only = off")
        conn.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
    assert program("migrate", "up").returncode == 0


def test_a_wrong_password(shop: Path, program: Run, guest: str) -> None:
    text = told(
        program("migrate", "up", "--on", "env:WRONG", WRONG=make_conninfo(guest, password="hush")), 3,
        "refused the password of role test_bad_guest", "~/.pgpass",
    )  # fmt: skip
    assert "hush" not in text


def test_rights_one_after_another(shop: Path, program: Run, database: str, guest: str) -> None:
    up = ("migrate", "up", "--on", "env:GUEST")
    told(program(*up), 3, "the ledger cannot be made in this database", "CREATE SCHEMA pgcharter AUTHORIZATION test_bad_guest")
    program("migrate", "up")
    told(program(*up), 3, "the ledger cannot be read: permission denied for schema pgcharter", "GRANT USAGE ON SCHEMA pgcharter")
    does(database, "GRANT USAGE ON SCHEMA pgcharter TO test_bad_guest; GRANT SELECT ON ALL TABLES IN SCHEMA pgcharter TO test_bad_guest")
    lay(shop, {"003_c.sql": "ALTER TABLE a ADD y int;", "004_d.sql": "CREATE TABLE d ();", "005_e.sql": "INSERT INTO b VALUES (1);"})
    told(program(*up), 3, "role test_bad_guest may not write to pgcharter.schema_migration_units, pgcharter.schema_migrations")
    does(database, "GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA pgcharter TO test_bad_guest")
    for denied, remedy in (
        ("must be owner of table a", "ALTER TABLE a OWNER TO test_bad_guest"),
        ("permission denied for schema public", "GRANT USAGE, CREATE ON SCHEMA public TO test_bad_guest"),
        ("permission denied for table b", "GRANT ALL ON TABLE b TO test_bad_guest"),
    ):
        told(program(*up), 3, denied, f"{remedy}, or connect as the owner")
        does(database, remedy)
    assert program(*up).returncode == 0


def test_no_connection_is_left(shop: Path, program: Run, database: str, guest: str) -> None:
    name = database.partition("?")[0].rpartition("/")[2]
    does(database, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    told(
        program("migrate", "up", "--on", "env:GUEST"), 3, f"all the connections that database {name} may have on ",
        f"ALTER database {name} CONNECTION LIMIT",
    )  # fmt: skip
    does(database, f"ALTER DATABASE {name} CONNECTION LIMIT -1; ALTER ROLE test_bad_guest CONNECTION LIMIT 0")
    told(program("migrate", "up", "--on", "env:GUEST"), 3, "all the connections that role test_bad_guest may have on ")


def test_a_limit_of_the_server(shop: Path, program: Run) -> None:
    lay(
        shop,
        {"003_s.sql": "SET temp_file_limit = '1MB';\nCREATE TABLE s AS SELECT i FROM generate_series(1, 300000) i ORDER BY md5(i::text);"},
    )
    told(
        program("migrate", "up"),
        3,
        'temporary file size exceeds "temp_file_limit"',
        "003_s.sql:2",
        "applied before it: 2",
        "raise that limit",
    )


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 130 MB, where this account may mount one (root may)."""
    folder = Path(tempfile.mkdtemp(prefix="pgc-disk-"))
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=130m,mode=1777", "tmpfs", str(folder)]
    if os.geteuid() or mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("this account may mount no disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def test_a_disk_that_is_full_and_then_has_room(small_disk: Path, tmp_path: Path, program: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ballast = small_disk / "ballast"
    with monkeypatch.context() as here:
        here.setattr("tempfile.tempdir", str(small_disk))
        here.setenv("TMPDIR", str(small_disk))
        with lifecycle.start_ephemeral(installation()) as server:
            assert any(small_disk.iterdir())
            here.chdir(tmp_path)
            fill = "CREATE TABLE c (x text);\nINSERT INTO c SELECT md5(i::text) FROM generate_series(1, 20000) i;\nCREATE TABLE d ();\n"
            lay(tmp_path, {"001_a.sql": TABLE.format("a"), "002_c.sql": f"-- pgcharter: up\n{fill}"})
            free = shutil.disk_usage(small_disk).free
            ballast.write_bytes(b"x" * (free - 400_000))
            text = told(program("migrate", "up", "--on", "env:FULL", FULL=server.dsn()), 3, "No space left on device")
            assert "the server has no space left" in text
            assert "make room on the server's disk" in text
            ballast.unlink()
            done = program("migrate", "up", "--on", "env:FULL")
            assert done.returncode == 0, done.stderr
            with psycopg.connect(server.dsn()) as conn:
                assert conn.execute("SELECT count(*) FROM c").fetchone() == (20000,)
