"""A server that somebody named: marked for tests or refused, never production's, left as it was, swept after a killed run."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.testing.conftest import Inner

from pgcharter.errors import RefusedError, UnavailableError
from pgcharter.names import quote
from pgcharter.testing import project, servers
from pgcharter.testing.sessions import Run

MARK = "ALTER DATABASE {} SET pgcharter.for_tests = on"


def name_of(dsn: str) -> str:
    with psycopg.connect(dsn) as conn:
        return conn.info.dbname


def mark(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(MARK.format(quote(conn.info.dbname)).encode())


def there(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as conn:
        return {row[0] for row in conn.execute("SELECT datname FROM pg_database WHERE starts_with(datname, 'pgct_')")}


def test_refused_without_its_mark(inner: Inner, database: str) -> None:
    ran = inner("small", "-n", "0", "-k", "test_a_clone", "-x", env={"PGCHARTER_TEST_DSN": database})
    name = name_of(database)
    assert ran.count("error") == 1, ran.output
    assert f"database {name} is not marked for tests, so nothing is made or dropped on its server" in ran.output
    assert f"hint: if nothing there is of worth to anybody: ALTER DATABASE {name} SET pgcharter.for_tests = on" in ran.output
    assert not there(database)


@pytest.mark.parametrize("value", ["off", "no"])
def test_a_mark_that_says_no_is_none(database: str, value: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {quote(conn.info.dbname)} SET pgcharter.for_tests = {value}".encode())
    with pytest.raises(RefusedError, match="not marked"), servers.given(database, project.Project(Path())):
        pass
    with (
        pytest.raises(RefusedError, match="not marked"),
        servers.given(f"{database}&options=-c%20pgcharter.for_tests%3Don", project.Project(Path())),
    ):
        pass


def test_used_and_left_as_it_was(inner: Inner, database: str) -> None:
    mark(database)
    ran = inner("small", "-n", "2", "--pgcharter-dsn", database, "-k", "clone or session", "-v")
    assert ran.code == 0, ran.output
    assert ran.count("passed") > 8, ran.output
    assert re.search(
        r"^pgcharter: PostgreSQL at \S+, beside database test_\d+, schema from migrations/ \(2 files\)$", ran.output, re.MULTILINE
    )
    assert not there(database)


def test_what_a_killed_run_leaves_is_swept_and_nothing_else(inner: Inner, database: str) -> None:
    mark(database)
    case = "import os, signal\ndef test_x(pg_dsn, pg_conn):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    inner("killed", "-n", "0", "--pgcharter-dsn", database, files={"case_x.py": case})
    left = there(database)
    assert len(left) == 3
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE DATABASE pgct_mine")
        conn.execute("COMMENT ON DATABASE pgct_mine IS 'pgcharter tests, lock 1 in 1: mine'")
    try:
        with servers.given(database, project.Project(Path())):
            assert there(database) == {"pgct_mine"}
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("DROP DATABASE pgct_mine")


def test_databases_of_a_run_that_lives_stay(database: str, tmp_path: Path) -> None:
    mark(database)
    (tmp_path / "test_x.py").write_text("import time\ndef test_x(pg_database):\n    open('there', 'w').close()\n    time.sleep(60)\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:pgcharter",
        "-p",
        "pgcharter.testing.plugin",
        "-n",
        "0",
        "--pgcharter-dsn",
        database,
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 60
            while not (tmp_path / "there").exists() and time.monotonic() < until:
                time.sleep(0.05)
            before = there(database)
            with servers.given(database, project.Project(Path())):
                assert there(database) == before
            assert len(before) == 2
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 2
    assert not there(database)


def test_production_is_refused_whatever_its_mark(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark(database)
    (tmp_path / "pgcharter.toml").write_text('[environments.live]\ndsn_env = "LIVE_DSN"\nproduction = true\n\n[roles]\nunknown_here = 1\n')
    found = project.read(tmp_path)
    with servers.given(database, found):  # the variable is not set here, so nobody knows where it is
        pass
    monkeypatch.setenv("LIVE_DSN", re.sub(r"/test_\d+", "/quite_another", database))
    with pytest.raises(RefusedError, match="the one of environment live, which is production"), servers.given(database, found):
        pass
    parts = {k: v for k, v in conninfo_to_dict(database).items() if v}
    (tmp_path / "services").write_text("[there]\n" + "".join(f"{k}={v}\n" for k, v in parts.items()))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    with pytest.raises(RefusedError, match="which is production"), servers.given("service=there", found):
        pass


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("postgresql://a@localhost/x", "host=127.0.0.1 dbname=y", True),
        ("postgresql://a@localhost:5433/x", "postgresql://b@localhost/y", False),
        ("host=/var/run/postgresql", "postgresql://localhost", True),
        ("postgresql://10.0.0.1,10.0.0.2:5433/x", "postgresql://10.0.0.2:5433/y", True),
        ("postgresql://10.0.0.1/x", "postgresql://10.0.0.2/x", False),
        ("postgresql://nowhere.invalid/x", "postgresql://NOWHERE.invalid/y", True),
    ],
)
def test_two_ways_to_name_a_server(ours: str, theirs: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVE_DSN", theirs)
    (tmp_path / "pgcharter.toml").write_text('[environments.live]\ndsn_env = "LIVE_DSN"\nproduction = true\n')
    if same:
        with pytest.raises(RefusedError):
            project.refuse_production(project.read(tmp_path), ours)
    else:
        project.refuse_production(project.read(tmp_path), ours)


def test_who_may_make_no_database_is_told(database: str) -> None:
    mark(database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE ROLE testing_poor LOGIN PASSWORD 'x'")
    try:
        dsn = re.sub(r"//[^@]*@", "//testing_poor:x@", database)
        with (
            servers.given(dsn, project.Project(Path())) as server,
            pytest.raises(UnavailableError, match="may not make databases") as raised,
        ):
            Run(server, "", lambda _: "")
        assert raised.value.hint == "as a superuser: ALTER ROLE testing_poor CREATEDB"
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("DROP ROLE testing_poor")
