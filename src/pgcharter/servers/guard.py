"""The guard of a scratch server: ends what runs too long or takes too much room, whatever the SQL under check has set for itself.

`SET statement_timeout = 0` is allowed to everyone (every pg_dump file begins with it), so the limit is held from outside: a thread with
its own connection looks at `pg_stat_activity` and first cancels, then ends the session, and as the last resort kills the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pgcharter.errors import PgcharterError

if TYPE_CHECKING:
    from pgcharter.db import Connection

_RUNNING = """
SELECT pid, datname::text, query_start, extract(epoch FROM clock_timestamp() - query_start)::float8
  FROM pg_catalog.pg_stat_activity
 WHERE usename = %s AND pid <> pg_catalog.pg_backend_pid() AND state IN ('active', 'fastpath function call') AND datname = ANY(%s)
"""

_POLITE, _PATIENT = 1.5, 6.0
"""Seconds over the limit after which a session is ended instead of cancelled, and after which its process is killed."""

_STOP = """
SELECT {function}(pid) FROM pg_catalog.pg_stat_activity
 WHERE pid = %s AND query_start = %s AND state IN ('active', 'fastpath function call')
"""
"""Looks again at the moment of acting: the statement may have ended since, and the next one is innocent."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the SQL under check may take."""

    seconds: float = 30.0
    """For one statement."""
    disk: int = 4 << 30
    """For all data of the server, in bytes; held only where we started the server."""
    memory: int = 2 << 30
    """Address space of each server process, in bytes; held only where we started the server (and where the system knows such limits)."""


class Session(NamedTuple):
    """A session of the owner that is running a statement."""

    pid: int
    database: str
    began: datetime
    seconds: float


class Guard:
    """Watches the sessions of one role in the databases that are registered."""

    def __init__(self, limits: Limits, role: str, connect: Callable[[], Connection], data: Path | None) -> None:
        self.limits = limits
        self.role = role
        self.databases: set[str] = set()
        self.stopped: dict[str, str] = {}
        """Why the last session of a database was ended, by database."""
        self._connect = connect
        self._data = data
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pgcharter-scratch-guard", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; returns when it has ended."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _watch(self) -> None:
        import psycopg

        connection: Connection | None = None
        interval = min(0.25, self.limits.seconds / 4)
        while not self._over.wait(interval):
            try:
                if connection is None:
                    connection = self._connect()
                for session in self._running(connection):
                    self._judge(session, connection)
            except (psycopg.Error, PgcharterError, OSError):  # the server is starting anew or stopping: try again
                if connection:
                    connection.close()
                connection = None
        if connection:
            connection.close()

    def _running(self, connection: Connection) -> list[Session]:
        databases = list(self.databases)
        return [Session(*row) for row in connection.execute(_RUNNING, [self.role, databases]).fetchall()] if databases else []

    def _judge(self, session: Session, connection: Connection) -> None:
        over = session.seconds - self.limits.seconds
        if over > 0:
            self._end(session, connection, over, f"it ran longer than {self.limits.seconds:g} s")
        elif session.seconds > 0.5 and self._data and used(self._data) > self.limits.disk:
            self._end(session, connection, _POLITE, f"the scratch server held more than {self.limits.disk >> 20} MB")

    def _end(self, session: Session, connection: Connection, over: float, reason: str) -> None:
        function = "pg_catalog.pg_cancel_backend" if over < _POLITE else "pg_catalog.pg_terminate_backend"
        known = session.database in self.stopped
        self.stopped[session.database] = reason  # known before the statement fails, for it is asked right then
        row = connection.execute(_STOP.format(function=function).encode(), [session.pid, session.began]).fetchone()
        if not row and not known:
            self.stopped.pop(session.database, None)
        if row and over > _PATIENT and self._data:
            with contextlib.suppress(ProcessLookupError):
                os.kill(session.pid, signal.SIGKILL)


def used(folder: Path) -> int:
    """Bytes that the files below a folder take on disk."""
    total = 0
    pending = [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total
