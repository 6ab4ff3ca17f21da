"""The server of a project: kept between runs, one for all who ask, recovered after crashes, reached by command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, datafolder, folders, processes, project

MAJORS = (15, 16, 17, 18)
Python = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(params=["shop", "my projects/größe 'x'"], ids=["plain", "spaces and unicode"])
def folder(request: pytest.FixtureRequest, open_folder: Path) -> Path:
    path = open_folder / request.param
    path.mkdir(parents=True)
    return path


@pytest.fixture
def shop(open_folder: Path) -> Path:
    path = open_folder / "shop"
    path.mkdir()
    return path


def ask(dsn: str, sql: str = "SELECT 1") -> object:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(sql.encode()).fetchone()
    return row[0] if row else None


def installed(major: int) -> None:
    if major not in binaries.majors():
        assert not os.environ.get("CI"), f"PostgreSQL {major} is missing, and CI allows no missing version"
        pytest.skip(f"PostgreSQL {major} was not found on this machine")


def test_start_reuse_stop_start(folder: Path) -> None:
    assert project.status(folder).state == "absent"
    assert project.stop(folder) is False
    first = project.start(folder)
    assert not first.reused
    dsn = first.database("shop")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE t AS SELECT 1 AS a")
    again = project.start(folder)
    assert (again.reused, again.state) == (True, first.state)
    assert project.status(folder).pid == first.state.pid
    assert project.stop(folder) is True
    assert project.stop(folder) is False
    assert project.status(folder).state == "stopped"
    assert not Path(first.state.socket_dir).exists()
    third = project.start(folder)
    assert third.state.port == first.state.port
    assert ask(third.database("shop"), "SELECT a FROM t") == 1


@pytest.mark.parametrize("major", MAJORS)
def test_every_major_and_no_other_on_its_data(shop: Path, major: int) -> None:
    installed(major)
    running = project.start(shop, major=major)
    assert ask(running.dsn(), "SELECT current_setting('server_version_num')::int / 10000") == major
    other = 18 if major == 15 else 15
    with pytest.raises(PgcharterError, match=f"runs PostgreSQL {major}, so PostgreSQL {other} cannot"):
        project.start(shop, major=other)
    project.stop(shop)
    installed(other)
    with pytest.raises(PgcharterError, match=f"was made by PostgreSQL {major}, so PostgreSQL {other}") as caught:
        project.start(shop, major=other)
    assert f"--major {major}" in caught.value.hint
    assert project.start(shop).major == major


def test_only_this_machine_reaches_it_and_only_by_password(shop: Path) -> None:
    running = project.start(shop)
    assert ask(running.dsn(), "SELECT current_setting('listen_addresses')") == "127.0.0.1"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(running.shown_dsn(), passfile="/dev/null")
    assert ask(f"{running.shown_dsn()}?passfile={running.pgpass}") == 1
    private = [running.home / name for name in ("pgpass", "server.json", "server.log", "lock")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert (running.home / ".gitignore").read_text() == "*\n"
    assert running.login.password not in repr(running) + repr(project.status(shop)) + (running.home / "server.json").read_text()


def test_killed_postmaster_is_recovered(shop: Path) -> None:
    running = project.start(shop)
    with psycopg.connect(running.dsn(), autocommit=True) as conn:
        conn.execute("CREATE TABLE t AS SELECT 42 AS a")
    os.kill(running.state.pid, signal.SIGKILL)
    assert (running.home / "data" / "postmaster.pid").exists()
    again = project.start(shop)
    assert not again.reused
    assert ask(again.dsn(), "SELECT a FROM t") == 42


def test_socket_folder_of_a_killed_server_is_swept(shop: Path) -> None:
    killed = project.start(shop)
    folders.sweep(accounts.current())
    assert Path(killed.state.socket_dir).exists()
    processes.end(killed.state.pid, killed.home / "data", (signal.SIGKILL, 10.0))
    folders.sweep(accounts.current())
    assert not Path(killed.state.socket_dir).exists()


def test_killed_postmaster_with_a_backend_that_loops_is_recovered(shop: Path) -> None:
    """The backend does not notice the end of its postmaster and would keep the data folder in use."""
    running = project.start(shop)
    loop = subprocess.Popen(
        [sys.executable, "-c", f"import psycopg; psycopg.connect({running.dsn()!r}).execute('DO $$ BEGIN LOOP END LOOP; END $$')"],
        stderr=subprocess.DEVNULL,
    )
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %LOOP%' AND pid <> pg_backend_pid() AND state = 'active'"
    while ask(running.dsn(), busy) != 1:
        time.sleep(0.05)
    os.kill(running.state.pid, signal.SIGKILL)
    assert ask(project.start(shop).dsn()) == 1
    loop.wait(20)


@pytest.mark.parametrize("state", ["ready", ""])
def test_pid_file_that_names_another_process(shop: Path, state: str) -> None:
    """After a crash the number may belong to anybody; here it is a living process of the same account."""
    running = project.start(shop)
    os.kill(running.state.pid, signal.SIGKILL)
    who = accounts.current()
    with subprocess.Popen(["/bin/sleep", "60"], **who.options()) as stranger:
        file = running.home / "data" / "postmaster.pid"
        lines = file.read_text().splitlines()
        lines[0] = str(stranger.pid)
        file.write_text("\n".join([*lines[:7], state] if state else lines[:2]) + "\n")
        assert project.status(shop).state == "stopped"
        assert project.stop(shop) is False
        assert ask(project.start(shop).dsn()) == 1
        assert stranger.poll() is None
        stranger.kill()


def test_killed_in_the_middle_of_initdb(shop: Path, python: Python) -> None:
    program = "import sys; from pathlib import Path; from pgcharter.servers import project; project.start(Path(sys.argv[1]))"
    with python(program, shop) as starter:
        while not list((shop / project.HOME).glob("data.partial-*")):
            time.sleep(0.002)
        starter.kill()
    assert not (shop / project.HOME / "data").exists()
    assert ask(project.start(shop).dsn()) == 1


def test_many_ask_at_once_and_one_starts(shop: Path, python: Python) -> None:
    program = """
import sys
from pathlib import Path
from pgcharter.servers import project
server = project.start(Path(sys.argv[1]))
print(server.state.pid, server.reused)
"""
    starters = [python(program, shop) for _ in range(4)]
    said = sorted(starter.communicate(timeout=120)[0].split() for starter in starters)
    assert len({pid for pid, _ in said}) == 1
    assert sorted(reused for _, reused in said) == ["False", "True", "True", "True"]
    assert processes.is_postmaster(int(said[0][0]), shop / project.HOME / "data")


def test_port_taken_meanwhile(shop: Path) -> None:
    port = project.start(shop).state.port
    project.stop(shop)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        running = project.start(shop)
        assert running.state.port != port
        assert ask(running.dsn()) == 1


def test_data_that_postgresql_cannot_read_is_told(shop: Path) -> None:
    project.start(shop)
    project.stop(shop)
    (shop / project.HOME / "data" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(PgcharterError, match=r"ended while starting: .*pg_control"):
        project.start(shop)


def test_lost_password_file_is_told(shop: Path) -> None:
    project.start(shop)
    project.stop(shop)
    (shop / project.HOME / "pgpass").unlink()
    with pytest.raises(PgcharterError, match=r"password file .* is missing") as caught:
        project.start(shop)
    assert caught.value.hint.startswith("remove ")


def test_no_such_folder(open_folder: Path) -> None:
    with pytest.raises(PgcharterError, match="is not a folder"):
        project.start(open_folder / "nowhere")


@pytest.mark.parametrize("kind", ["link", "file"])
def test_home_that_is_not_ours(open_folder: Path, shop: Path, kind: str) -> None:
    (open_folder / "elsewhere").mkdir()
    if kind == "link":
        (shop / project.HOME).symlink_to(open_folder / "elsewhere")
    else:
        (shop / project.HOME).write_text("")
    with pytest.raises(RefusedError, match="not a folder"):
        project.start(shop)
    assert list((open_folder / "elsewhere").iterdir()) == []


@pytest.fixture
def state_folder(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(project, "ROOT_STATE", open_folder / "state")
    monkeypatch.setenv("XDG_STATE_HOME", str(open_folder / "state"))
    return open_folder / "state"


@pytest.fixture
def private(shop: Path) -> Iterator[Path]:
    """A project in a folder that the servers' account cannot enter (root), or that cannot be written (others)."""
    shop.chmod(0o700 if os.geteuid() == 0 else 0o500)
    yield shop
    project.stop(shop)
    shop.chmod(0o700)


def test_project_in_a_private_folder_keeps_its_server_elsewhere(private: Path, state_folder: Path) -> None:
    mode = stat.S_IMODE(private.stat().st_mode)
    running = project.start(private)
    assert state_folder in running.home.parents
    assert ask(running.dsn()) == 1
    assert project.start(private).reused
    assert stat.S_IMODE(private.stat().st_mode) == mode
    assert list(private.iterdir()) == []


def test_status_changes_nothing(shop: Path) -> None:
    project.status(shop)
    assert list(shop.iterdir()) == []


@pytest.mark.parametrize("text", ["", "x\n", "12\n/data\n"])
def test_pid_files_that_are_not_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "postmaster.pid").write_text(text)
    said = datafolder.read_pid_file(tmp_path)
    assert said is None or (said.pid, said.port, said.status) == (12, 0, "")


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgcharter", *arguments]
    environment = {**os.environ, **more}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=90)


def test_command_line(shop: Path) -> None:
    absent = run(shop, "server", "status")
    assert (absent.returncode, absent.stdout.splitlines()[0]) == (3, "PostgreSQL has no data folder yet")
    nothing = run(shop, "server", "psql")
    assert (nothing.returncode, "does not run" in nothing.stderr) == (3, True)
    started = run(shop, "server", "start")
    assert started.returncode == 0, started.stderr
    password = (shop / project.HOME / "pgpass").read_text().strip().split(":")[4]
    status = json.loads(run(shop, "server", "status", "--format", "json").stdout)
    assert (status["format"], status["version"], status["state"]) == ("pgcharter-server", 1, "running")
    assert json.loads(run(shop, "server", "start", "--format", "json").stdout)["reused"] is True
    quiet = [started.stdout, json.dumps(status), run(shop, "server", "status").stdout]
    assert all(password not in text and str(status["port"]) in text for text in quiet)
    revealed = json.loads(run(shop, "server", "status", "--show-password", "--format", "json").stdout)["dsn"]
    assert ask(revealed) == 1
    answer = run(
        shop, "server", "psql", "postgres", "-XAtc", "SELECT current_user, inet_server_addr()", PGHOST="nowhere", PGPORT="1", PGUSER="x"
    )
    assert (answer.stdout, answer.returncode) == ("postgres|127.0.0.1\n", 0), answer.stderr
    assert run(shop, "server", "psql", "-XAtc", "SELECT no_such").returncode == 1
    assert json.loads(run(shop, "server", "stop", "--format", "json").stdout)["stopped"] is True
    again = run(shop, "server", "stop")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "PostgreSQL was not running")


def test_command_line_means_the_folder_of_the_charter(shop: Path) -> None:
    (shop / "pgcharter.toml").write_text('guide = "core"\n')
    (shop / "deep" / "er").mkdir(parents=True)
    found = json.loads(run(shop / "deep" / "er", "server", "status", "--format", "json").stdout)
    assert found["project"] == str(shop)
