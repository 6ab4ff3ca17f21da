"""A project's server for as long as somebody here needs it: the first `up` starts it, the last one stops it.

A server that was started in another way (`pgcharter server start`) is used and left running.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.db import connect
from pgcharter.errors import RefusedError
from pgcharter.names import quote
from pgcharter.servers import project

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.servers.project import ProjectServer

APPLICATION = "pgcharter up"
"""By this name the runs of `up` that need a server know of each other."""
SETTINGS = {"idle_in_transaction_session_timeout": "5min"}
"""Of servers started here: a transaction that somebody forgot in psql must not stand in the way for ever."""
_OTHERS = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE application_name = %s AND pid <> pg_catalog.pg_backend_pid()"


@contextmanager
def shared(folder: Path, database: str, *, major: int | None = None, fresh: bool = False) -> Iterator[ProjectServer]:
    """Start the server of `folder`, with this database, or join those who use it; stop it on leaving as the last of them.

    `fresh` drops the database first. Raises RefusedError when others are at work in it.
    """
    with _door(folder):
        server = project.start(folder, major=major, settings=SETTINGS)
        presence = connect(server.dsn(), application_name=APPLICATION)
        if fresh:
            _drop(presence, database)
        server.database(database)
        if not server.reused:
            (server.home / "up").write_text(f"{server.state.pid}\n", encoding="ascii")
    try:
        yield server
    finally:
        with _undisturbed(), _door(folder):
            last = _is_last(presence)
            presence.close()
            if last and _started_here(server):
                project.stop(folder)


def _drop(conn: Connection, database: str) -> None:
    import psycopg

    try:
        conn.execute(f"DROP DATABASE IF EXISTS {quote(database)}".encode())
    except psycopg.errors.ObjectInUse:
        raise RefusedError(
            f"others are connected to database {database}, so it was not dropped", hint="close their sessions and run this again"
        ) from None


def _is_last(presence: Connection) -> bool:
    """Whether no other run of `up` is connected; also when the server is gone."""
    import psycopg

    with contextlib.suppress(psycopg.Error):
        row = presence.execute(_OTHERS, (APPLICATION,)).fetchone()
        return bool(row and row[0] == 0)
    return True


def _started_here(server: ProjectServer) -> bool:
    """Whether the running server is one that an `up` has started, perhaps one that was killed since."""
    try:
        return int((server.home / "up").read_text(encoding="ascii")) == server.state.pid
    except (OSError, ValueError):
        return False


@contextmanager
def _door(folder: Path) -> Iterator[None]:
    """One comes or goes at a time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Inside, Ctrl-C does nothing: a second one must not leave a server behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
