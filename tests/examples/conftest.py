"""Every example, built once for each session and major; ways to open it, to copy it, to ask it and to bring it up as a process."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import MAJORS

from pgcharter import examples
from pgcharter.cli.project import open_project
from pgcharter.db import Connection, connect
from pgcharter.examples import build
from pgcharter.servers import project
from pgcharter.servers.lifecycle import Server

oldest_and_newest = pytest.mark.parametrize("major", [MAJORS[0], MAJORS[-1]], ids=lambda major: f"pg{major}")
"""For what an example does at run time; that it builds and passes is held on every major."""
Template = Callable[[str, Server], str]
Copy = Callable[[str], str]
Open = Callable[[str], Connection]
Up = Callable[..., "subprocess.Popen[str]"]

_names = itertools.count(1)


def files_of(example: str) -> list[build.File]:
    """What `pgcharter up` runs: the files that the example's charter names."""
    folder = examples.folder(example)
    return build.read_files(folder, open_project(folder).charter.check.targets)


@contextmanager
def _fresh(server: Server, template: str) -> Iterator[str]:
    """Name of a new database on `server`, dropped afterwards."""
    name = f"example_{next(_names)}"
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
    try:
        yield name
    finally:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def _roles(server: Server) -> set[str]:
    with psycopg.connect(server.dsn()) as admin:
        return {name for (name,) in admin.execute("SELECT quote_ident(rolname) FROM pg_roles")}


@contextmanager
def _built(example: str, server: Server) -> Iterator[str]:
    """Name of a database with the example in it; the roles that its files made go with it."""
    before = _roles(server)
    made: set[str] = set()
    with _fresh(server, "template0") as name:
        try:
            with connect(server.dsn(name)) as conn:
                build.install(conn)
                build.build(conn, files_of(example))
        finally:
            made = _roles(server) - before
        yield name
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for role in made:
            admin.execute(f"DROP ROLE {role}")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def template_of(server_of: Callable[[int | None], Server]) -> Iterator[Template]:
    """`template_of("blog", server)`: name of the database there that has the example with its seeds in it. Leave nothing behind in it."""
    made: dict[tuple[str, int], str] = {}
    with ExitStack() as stack:

        def get(example: str, server: Server) -> str:
            if (example, server.major) not in made:
                made[example, server.major] = stack.enter_context(_built(example, server))
            return made[example, server.major]

        yield get


@pytest.fixture
def opened(template_of: Template, major_server: Server) -> Iterator[Open]:
    """`opened("blog")`: a superuser's connection, in a transaction that is rolled back; to the test's parameter `major` when it has one."""
    with ExitStack() as stack:

        def get(example: str) -> Connection:
            conn = stack.enter_context(connect(major_server.dsn(template_of(example, major_server))))
            stack.enter_context(conn.transaction(force_rollback=True))
            return conn

        yield get


@pytest.fixture
def copy(template_of: Template, major_server: Server) -> Iterator[Copy]:
    """`copy("blog")`: DSN, as superuser, of a copy that a test may commit to."""
    with ExitStack() as stack:
        yield lambda example: major_server.dsn(stack.enter_context(_fresh(major_server, template_of(example, major_server))))


@pytest.fixture
def shop(copy: Copy) -> str:
    """DSN, as superuser, of a copy of the empty shop."""
    return copy("shop")


@pytest.fixture
def another(copy: Copy) -> str:
    """DSN of a second empty shop."""
    return copy("shop")


@contextmanager
def acting(conn: Connection, role: str, **settings: object) -> Iterator[None]:
    """Inside, be `role`, with these settings of `app` (None leaves one as it is); undone afterwards."""
    with conn.transaction(force_rollback=True):
        conn.execute(f"SET LOCAL ROLE {role}")  # type: ignore[arg-type]
        for name, value in settings.items():
            if value is not None:
                conn.execute("SELECT set_config(%s, %s, true)", (f"app.{name}", str(value)))
        yield


def one(conn: Connection, query: str, *values: object) -> Any:
    """The first value of the first row."""
    row = conn.execute(query, values or None).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def refused(conn: Connection, error: type[psycopg.Error], query: str, *values: object, match: str | None = None) -> psycopg.Error:
    """The error with which the server refuses the query; the transaction goes on."""
    with pytest.raises(error, match=match) as caught, conn.transaction():
        conn.execute(query, values or None)  # type: ignore[arg-type]
    return caught.value


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the account of the server can enter; whatever server is left in it is stopped."""
    memory = Path("/dev/shm")  # what these servers write need not outlast the machine, and waiting for its disk is most of the time
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
    path = Path(tempfile.mkdtemp(prefix="pgcharter-up-", dir=memory if roomy else "/tmp"))
    path.chmod(0o755)
    yield path
    for folder in (path / "notes", *data_home(path, "").glob("*")):
        if folder.is_dir():
            project.stop(folder)
    shutil.rmtree(path)


def data_home(home: Path, example: str) -> Path:
    """Where the server of an example lives when `up` was started by the fixture `up`."""
    return home / "data" / "pgcharter" / "examples" / example


@pytest.fixture
def up(home: Path) -> Iterator[Up]:
    """Start `pgcharter up` with these arguments."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        environment = {**os.environ, "XDG_DATA_HOME": str(home / "data"), "COLUMNS": "100"}
        command = [sys.executable, "-m", "pgcharter", "up", *map(str, arguments)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=home, **options)
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()


def finish(child: subprocess.Popen[str], *codes: int) -> tuple[str, str]:
    """What the process said, once it has ended with one of these exit codes."""
    out, err = child.communicate(timeout=120)
    assert child.returncode in codes, (child.returncode, out, err)
    return out, err
