"""PgBouncer in transaction mode as private processes without rights on free ports of the loopback, and servers seen through one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

import psycopg
import pytest
from tests.conftest import lacking

from pgcharter.runtime import served
from pgcharter.servers import account
from pgcharter.servers.lifecycle import Server

POOLED = bool(os.environ.get("PGCHARTER_POOLED"))
"""Whether tests of the data layer reach the shared servers through PgBouncer."""

SESSIONS = 4
"""Sessions of the server for each user and database, used in turn: the next transaction is on another one."""

SETTINGS = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
logfile = {folder}/log
"""

NAMED = "auth_type = plain\n"
ANYBODY = """\
auth_type = scram-sha-256
auth_user = {user}
auth_query = SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1
server_round_robin = 1
server_login_retry = 1
"""
"""Every role of the server may come, with the password that it has there."""

UNTIL_WE_END = 'trap "" INT; "$0" -q "$1" < /dev/null & read -r _; kill $!; wait $!'
"""PgBouncer until standard input closes, which it does whatever ends this process."""

Pooler = Callable[[Server, Mapping[str, str], int], AbstractContextManager[int]]


def program() -> str:
    """The PgBouncer of this machine; skips the test without one, fails it when env CI is set."""
    none = 'no PgBouncer here: export PGCHARTER_PGBOUNCER="$(bash tools/fetch_service.sh pgbouncer)"'
    return os.environ.get("PGCHARTER_PGBOUNCER") or shutil.which("pgbouncer") or lacking(none)


@contextmanager
def pooler(server: Server, users: Mapping[str, str], sessions: int, who_may: str = NAMED) -> Iterator[int]:
    """A PgBouncer before `server`, for users with their passwords, with `sessions` of the server for each; its port."""
    path, who = program(), account.current()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = who.make_folder(server.socket_dir / f"pgbouncer-{port}")
    try:
        text = SETTINGS.format(host=server.socket_dir, port=server.port, listen=port, folder=folder, sessions=sessions) + who_may
        for name, content in {"settings": text, "users": "".join(f'"{u}" "{p}"\n' for u, p in users.items())}.items():
            (folder / name).write_text(content)
            who.give(folder / name)
        command = ["/bin/sh", "-c", UNTIL_WE_END, path, str(folder / "settings")]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, **who.options()):
            _wait(port, folder / "log")
            yield port
    finally:
        shutil.rmtree(folder)


def _wait(port: int, log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"PgBouncer does not answer: {log.read_text() if log.exists() else 'it wrote no log'}")


class Through:
    """A server as it is, but for its connection strings, which lead through PgBouncer."""

    def __init__(self, server: Server, port: int) -> None:
        vars(self).update(direct=server, pooler_port=port)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.direct, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.direct, name, value)

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """As `Server.dsn`."""
        name, secret = user or self.direct.login.user, password or self.direct.login.password
        where = f"host=127.0.0.1&port={self.pooler_port}"
        return f"postgresql://{percent(name, '')}:{percent(secret, '')}@/{percent(database, '')}?{where}"


@contextmanager
def through(server: Server, sessions: int = SESSIONS) -> Iterator[Any]:
    """The server through a PgBouncer of its own."""
    who = server.login
    with pooler(server, {who.user: who.password}, sessions, ANYBODY.format(user=who.user)) as port:
        yield Through(server, port)


@contextmanager
def as_asked(server: Server) -> Iterator[Any]:
    """The server, through a PgBouncer where env PGCHARTER_POOLED asks for that."""
    if not POOLED:
        yield server
        return
    with through(server) as behind:
        yield behind


def past(server: Any) -> Server:
    """The server itself."""
    return server.direct if isinstance(server, Through) else server


def fill(dsn: str, sessions: int = SESSIONS) -> None:
    """Have PgBouncer open all its sessions of a database: it opens the next one only when the others are busy."""
    with ExitStack() as stack:
        busy = [stack.enter_context(psycopg.connect(dsn)) for _ in range(sessions)]
        found = {conn.execute("SELECT pg_backend_pid()").fetchone() for conn in busy}
        assert len(found) == sessions


@contextmanager
def unprepared() -> Iterator[None]:
    """Plain connections prepare nothing, as PgBouncer before 1.21 demands of all applications; a Database sees to that by itself."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (psycopg.Connection, psycopg.AsyncConnection):
            patch.setattr(kind, "connect", classmethod(_unprepared(kind.connect.__func__)))  # type: ignore[attr-defined]
        patch.setattr(psycopg, "connect", psycopg.Connection.connect)
        yield


def _unprepared(usual: Any) -> Any:
    def connect(kind: Any, conninfo: str = "", **options: Any) -> Any:
        if not issubclass(kind, served._Served):
            options.setdefault("prepare_threshold", None)
        return usual(kind, conninfo, **options)

    return connect
