"""Real servers for tests, in four tiers by fixture: none, `conn` (rolled back), `database` (a clone), `server` (its own).

Servers are started when the first test asks, once per xdist worker, and die with it. A PostgreSQL version that is missing on this
machine skips its tests by name; with CI set in the environment it fails them.
"""

from __future__ import annotations

import contextvars
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import psycopg
import pytest

from pgcharter.errors import UnavailableError
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch, open_scratch

if TYPE_CHECKING:
    from pgcharter.db import Connection

for _signal, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _usual)
"""A run started in the background ignores Ctrl-C, one under nohup a hang-up, and every program it starts would inherit that."""

_MEMORY, _ROOM = Path("/dev/shm"), 8 << 30


def _work_in_memory() -> None:
    """Put what is temporary, servers above all, into memory where it has room; a TMPDIR that is set stays.

    A database is 300 files. On ext4 a new file passes over every inode freed in the last minutes (`recently_deleted` in fs/ext4/ialloc.c),
    so a run that makes and drops a thousand databases spent a third of its time looking for inodes.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return
    facts = os.statvfs(_MEMORY)
    if facts.f_bavail * facts.f_frsize > _ROOM and not facts.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None


_work_in_memory()
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of hundreds of program starts would compile all of pgcharter, a third of a second
sys.dont_write_bytecode = False
os.environ.pop("PYTHONUNBUFFERED", None)  # users have buffers: what is left in them meets a terminal that is gone

MAJORS = (15, 16, 17, 18)
"""Every supported major; parametrize with it, the fixtures skip what is missing."""

every_major = pytest.mark.parametrize("major", MAJORS, ids=lambda major: f"pg{major}")

ServerFactory = Callable[..., Server]

_names = itertools.count(1)


def pytest_report_header() -> str:
    found = {f"{i.release} ({i.provider})": None for i in reversed(binaries.installations())}
    return "PostgreSQL: " + (", ".join(found) or "none")


def lacking(why: str) -> NoReturn:
    """Skip the test for what this machine has not; fail it where env CI is set."""
    if os.environ.get("CI"):
        pytest.fail(f"{why} (CI allows nothing missing)")
    pytest.skip(why)


def installation(major: int | None = None) -> binaries.Installation:
    """The installation of `major`; skips the test when it is missing, fails it when env CI is set."""
    try:
        return binaries.choose(major)
    except UnavailableError as error:
        lacking(str(error))


@pytest.fixture(scope="session")
def majors() -> tuple[int, ...]:
    """The majors this machine has; with CI set, all of them or failure."""
    if os.environ.get("CI"):
        for major in MAJORS:
            installation(major)
    return binaries.majors()


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[int | None], Server]]:
    """`server_of(17)`: the session's shared server of a major (None: the newest), for fixtures of wider scope."""
    with ExitStack() as stack:
        running: dict[int, Server] = {}

        def get(major: int | None) -> Server:
            chosen = installation(major)
            if chosen.major not in running:
                running[chosen.major] = stack.enter_context(lifecycle.start_ephemeral(chosen, settings={"wal_level": "logical"}))
            return running[chosen.major]

        yield get


@pytest.fixture(scope="session")
def scratch_of() -> Iterator[Callable[[int | None], Scratch]]:
    """`scratch_of(17)`: the session's scratch server of a major (None: the newest), for fixtures of wider scope."""
    with ExitStack() as stack:
        running: dict[int, Scratch] = {}

        def get(major: int | None) -> Scratch:
            chosen = installation(major)
            if chosen.major not in running:
                outside = contextvars.Context()  # one that is asked for inside `kept()` would end with that
                running[chosen.major] = outside.run(stack.enter_context, open_scratch(chosen.major))
            return running[chosen.major]

        yield get


@pytest.fixture
def major_server(server_of: Callable[[int | None], Server], request: pytest.FixtureRequest) -> Server:
    """A server of the test's parameter `major` (the newest without one), shared by the session: leave no roles or settings behind."""
    return server_of(_major(request))


@pytest.fixture
def scratch(scratch_of: Callable[[int | None], Scratch], request: pytest.FixtureRequest) -> Scratch:
    """A scratch server of the test's parameter `major` (the newest without one), shared by the session."""
    return scratch_of(_major(request))


@pytest.fixture
def database(major_server: Server) -> Iterator[str]:
    """The DSN of a fresh database, as superuser; dropped after the test."""
    name = f"test_{next(_names)}"
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[arg-type]
        yield major_server.dsn(name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def conn(major_server: Server) -> Iterator[Connection]:
    """A connection as superuser, in a transaction that is rolled back after the test."""
    with psycopg.connect(major_server.dsn()) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def server() -> Iterator[ServerFactory]:
    """A factory of servers of the test's own: `server(major=17, settings={"wal_level": "minimal"})`."""
    with ExitStack() as stack:

        def make(major: int | None = None, settings: dict[str, lifecycle.Setting] | None = None) -> Server:
            return stack.enter_context(lifecycle.start_ephemeral(installation(major), settings=settings))

        yield make


def _major(request: pytest.FixtureRequest) -> int | None:
    callspec = getattr(request.node, "callspec", None)
    major = callspec.params.get("major") if callspec else None
    return major if isinstance(major, int) else None
