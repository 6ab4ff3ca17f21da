"""Throwaway servers: they start on every version, leave nothing behind, and die with their process however it ends."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, folders, lifecycle, processes

MAJORS = (15, 16, 17, 18)
Python = Callable[..., "subprocess.Popen[str]"]

HOLDER = """
import json, sys, time
from pgcharter.servers import binaries, lifecycle
server = lifecycle.start_ephemeral(binaries.choose())
print(json.dumps({"folder": str(server.folder), "pid": server.process.pid, "watchdog": server.watchdog.pid}), flush=True)
time.sleep(600)
"""


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("major", MAJORS)
def test_every_major_starts_and_leaves_nothing(server: Callable[..., lifecycle.Server], major: int) -> None:
    running = server(major=major)
    assert running.folder is not None
    assert running.process is not None
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    with psycopg.connect(running.dsn()) as conn:
        row = conn.execute("SELECT current_setting('server_version_num')::int / 10000, upper('é'), current_setting('listen_addresses')")
        assert row.fetchone() == (major, "É", "")
    running.stop()
    running.stop()
    assert not running.folder.exists()
    assert running.process is None


def test_settings_reach_the_server(server: Callable[..., lifecycle.Server]) -> None:
    running = server(settings={"work_mem": "7MB", "jit": False, "application_name": "it's \\ here"})
    with psycopg.connect(running.dsn(), application_name="") as conn:
        shown = "SELECT current_setting('work_mem'), current_setting('jit'), reset_val FROM pg_settings WHERE name = 'cluster_name'"
        assert conn.execute(shown).fetchone() == ("7MB", "off", "")


def test_queries_may_run_in_parallel(server: Callable[..., lifecycle.Server]) -> None:
    """A parallel worker takes over every setting anew; one that cannot be set again stops it."""
    force = {"parallel_setup_cost": 0, "parallel_tuple_cost": 0, "min_parallel_table_scan_size": 0, "max_parallel_workers": 2}
    with psycopg.connect(server(settings=force).dsn(), autocommit=True) as conn:
        conn.execute("CREATE TABLE numbers AS SELECT g FROM generate_series(1, 100000) g")
        plan = str(conn.execute("EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM numbers").fetchone())
    assert "'Workers Launched': 2" in plan


@pytest.mark.parametrize("major", MAJORS)
def test_wrong_password_is_refused(major_server: lifecycle.Server, major: int) -> None:
    running = major_server
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(running.dsn(password="wrong"))
    with psycopg.connect(running.dsn()) as conn:
        stored = conn.execute("SELECT rolpassword FROM pg_authid WHERE rolname = current_user").fetchone()
    assert stored is not None
    assert stored[0].startswith("SCRAM-SHA-256$1:")
    assert running.login.password not in repr(running)
    assert running.login.password in running.dsn()


def test_a_setting_that_does_not_exist_is_told_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, open_folder: Path) -> None:
    open_folder.chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", str(open_folder))
    with pytest.raises(PgcharterError, match=r"ended while starting: .*unrecognized configuration parameter .*no_such_setting"):
        lifecycle.start_ephemeral(binaries.choose(), settings={"no_such_setting": 1})
    assert list(open_folder.iterdir()) == []


def test_hostile_environment_does_not_steer_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    for name, value in {
        "PGDATA": "/",
        "PGPORT": "1",
        "PGUSER": "evil",
        "PGHOST": "nowhere",
        "TMPDIR": str(long),
        "LC_ALL": "tr_TR",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", None)
    old = os.umask(0)
    try:
        with lifecycle.start_ephemeral(binaries.choose()) as running, psycopg.connect(running.dsn()) as conn:
            assert conn.execute("SELECT current_user").fetchone() == (running.login.user,)
            assert len(os.fsencode(running.socket_dir)) < 90
            assert stat.S_IMODE(running.socket_dir.stat().st_mode) == 0o700
    finally:
        os.umask(old)


def test_stopping_in_a_forked_child_leaves_the_parents_server_alone(server: Callable[..., lifecycle.Server]) -> None:
    running = server()
    child = subprocess.run(["true"], check=True)
    assert child.returncode == 0
    running.starter += 1  # what os.getpid() differs by in a fork
    running.stop()
    running.starter -= 1
    with psycopg.connect(running.dsn()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda how: how.name)
def test_dies_with_its_process(python: Python, how: signal.Signals) -> None:
    with python(HOLDER) as holder:
        assert holder.stdout is not None
        said = json.loads(holder.stdout.readline())
        folder = Path(said["folder"])
        assert processes.is_postmaster(said["pid"], folder / "data")
        holder.send_signal(how)
        holder.wait(20)
    assert eventually(lambda: not folder.exists())
    assert not processes.is_postmaster(said["pid"], folder / "data")


def test_ctrl_c_in_the_terminal_stops_it_in_order(python: Python) -> None:
    """The signal goes to the whole foreground group; the server is in a session of its own and is stopped by us."""
    lines = HOLDER.strip().splitlines()
    body = "\n".join("    " + line for line in lines[3:])
    program = "\n".join([*lines[:3], "try:", body, "except KeyboardInterrupt:", "    server.stop()", "    print('stopped')"])
    with python(program, start_new_session=True) as holder:
        assert holder.stdout is not None
        said = json.loads(holder.stdout.readline())
        os.killpg(holder.pid, signal.SIGINT)
        assert holder.stdout.readline() == "stopped\n"
    assert not Path(said["folder"]).exists()


def test_a_busy_session_does_not_outlive_its_process(python: Python) -> None:
    """A backend in an endless loop does not notice that the postmaster is gone: the watchdog ends it too."""
    program = HOLDER.replace(
        "time.sleep(600)", "import psycopg\npsycopg.connect(server.dsn()).execute('DO $$ BEGIN LOOP END LOOP; END $$')"
    )
    with python(program) as holder:
        assert holder.stdout is not None
        data = Path(json.loads(holder.stdout.readline())["folder"]) / "data"
        assert eventually(lambda: len(list(processes.processes_in(data))) > 3)
        holder.kill()
    assert eventually(lambda: not data.exists())
    assert list(processes.processes_in(data)) == []


def test_what_survives_its_watchdog_too_is_swept_by_the_next_run(python: Python) -> None:
    with python(HOLDER) as holder:
        assert holder.stdout is not None
        said = json.loads(holder.stdout.readline())
        os.kill(said["watchdog"], signal.SIGKILL)
        holder.kill()
    folder = Path(said["folder"])
    assert processes.is_postmaster(said["pid"], folder / "data")
    folders.sweep(accounts.current())
    assert not folder.exists()
    assert not processes.is_postmaster(said["pid"], folder / "data")


def test_sweeping_leaves_servers_in_use_alone(server: Callable[..., lifecycle.Server]) -> None:
    running = server()
    folders.sweep(accounts.current())
    with psycopg.connect(running.dsn()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_no_room_for_files_is_one_clear_sentence(python: Python) -> None:
    """As a full disk does, a limit on file sizes stops initdb in the middle."""
    program = """
from pgcharter.errors import PgcharterError
from pgcharter.servers import binaries, lifecycle
try:
    lifecycle.start_ephemeral(binaries.choose())
except PgcharterError as error:
    print(type(error).__name__, error.message)
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    with python(program, preexec_fn=limit) as process:
        said = process.communicate(timeout=60)[0]
    assert said.startswith(f"PgcharterError no data folder could be made in {tempfile.gettempdir()}/pgc-"), said
    assert not Path(said.split(" in ")[1].split(":")[0]).parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another account")
def test_installation_below_a_private_home_is_copied(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment in a home of mode 0700, unpacked under umask 077: the servers' account can read none of it."""
    original = binaries.choose(18)
    package = original.bin.parent.parent
    home = open_folder / "home"
    site = home / "venv" / "site-packages"
    shutil.copytree(original.bin.parent, site / package.name / "pginstall", symlinks=True)
    if (libraries := package.with_name(package.name + ".libs")).is_dir():
        shutil.copytree(libraries, site / libraries.name, symlinks=True)
    for path in home.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    home.chmod(0o700)
    cache = open_folder / "cache"
    cache.mkdir()
    monkeypatch.setattr(accounts, "cache_folder", lambda: cache)
    hidden = replace(original, bin=site / package.name / "pginstall" / "bin")
    usable = accounts.readable(hidden, accounts.current())
    assert cache in usable.bin.parents
    assert accounts.readable.__wrapped__(hidden, accounts.current()) == usable
    assert len(list(cache.iterdir())) == 1
    with lifecycle.start_ephemeral(hidden) as running, psycopg.connect(running.dsn()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another account")
def test_cache_made_by_another_account_is_not_used(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who = accounts.current()
    for place in ("foreign", "linked", "writable", "good"):
        (open_folder / place).mkdir()
    os.chown(open_folder / "foreign", who.uid, who.gid)
    (open_folder / "writable").chmod(0o777)
    (open_folder / "link").symlink_to(open_folder / "linked")
    ours = [name for name in ("foreign", "link", "writable", "good", "new") if accounts.is_ours(open_folder / name, 0)]
    assert ours == ["good", "new"]


def test_works_as_an_ordinary_user(plain_user_python: tuple[list[str], dict[str, object]]) -> None:
    command, options = plain_user_python
    program = """
import os
from pgcharter.servers.scratch import open_scratch
with open_scratch() as scratch, scratch.database() as database:
    database.conn.execute("CREATE TABLE t AS SELECT 1 AS a")
    print(os.geteuid() != 0, scratch.server.account.dropped, database.admin.execute("SELECT count(*) FROM public.t").fetchone())
"""
    done = subprocess.run([*command, "-W", "error", "-c", program], capture_output=True, text=True, timeout=90, check=False, **options)  # type: ignore[call-overload]
    assert (done.returncode, done.stdout) == (0, "True False (1,)\n"), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another account")
@pytest.mark.parametrize(("name", "words"), [("root", "is root"), ("no-such-account", "does not exist")])
def test_account_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.setenv(accounts.RUN_AS, name)
    with pytest.raises(UnavailableError, match=words):
        accounts.current.__wrapped__()


def test_start_keeps_its_data_between_runs(open_folder: Path) -> None:
    for _ in range(2):
        with (
            lifecycle.start(open_folder, binaries.choose(), ephemeral=True) as running,
            psycopg.connect(running.dsn(), autocommit=True) as conn,
        ):
            conn.execute("CREATE TABLE IF NOT EXISTS t (a integer); INSERT INTO t VALUES (1)")
            count = conn.execute("SELECT count(*) FROM t").fetchone()
    assert count == (2,)
