"""One runner at a time: an advisory lock on a connection of its own, tried again and again and never waited for inside the server.

A session that waits for an advisory lock holds a snapshot, and CREATE INDEX CONCURRENTLY waits for every old snapshot: two runners would
wait for each other for ever. The session that runs the statements holds a second such lock, the fence: when a runner is killed,
its statement may live on in the server for a moment, and the next runner waits for its end.
"""

from __future__ import annotations

import contextlib
import random
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgcharter.db import connect, queries
from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.migrate import blockers, home
from pgcharter.migrate.watch import RunnerWaits, Watch
from pgcharter.names import quote

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.watch import Backend

RUNNER, FENCE = 1885823847, 1885823848
"""First integer of the two locks (the second: 0, or the oid of the schema); the bytes of `pgcg` and the number after it."""
POLL = 0.25
"""Seconds between two tries, give or take a third."""


ASK = 1.0
"""Seconds between two times that the server is asked whether the lock is still held."""


@dataclass
class RunnerLock:
    """The lock, held."""

    conn: Connection
    pid: int
    _asked: float = 0.0

    def check(self) -> None:
        """Raise PgcharterError when the lock is no longer ours: its connection is lost, or a pooler gave us another session.

        The server is asked at most once a second; in between only whether it has closed the connection. The fence holds in any case.
        """
        if time.monotonic() - self._asked < ASK and not select.select([self.conn.fileno()], [], [], 0)[0]:
            return
        self._asked = time.monotonic()
        try:
            row = self.conn.execute(_sql("held"), (RUNNER, home.of(self.conn).schema)).fetchone()
        except psycopg.Error as error:
            said = str(error).strip().splitlines()
            raise PgcharterError(
                f"the connection that holds the runner's lock is lost, so nothing more was begun: {said[0] if said else 'closed'}",
                hint="run the same command again: it goes on where this one ended",
            ) from None
        if row != (self.pid, True):
            raise PgcharterError(
                "the runner's lock is not held any more: a pooler in transaction mode stands between pgcharter and the server, or somebody"
                " released it, so nothing more was begun",
                hint="connect to the server itself, or to a pool in session mode",
            )


@contextlib.contextmanager
def held(dsn: str, wait: float, watch: Watch) -> Iterator[RunnerLock]:
    """Hold the runner's lock. Raises PgcharterError with who holds it after `wait` seconds, UnavailableError on a standby."""
    conn = connect(dsn, application_name="pgcharter migrate lock", keepalives_idle=30, keepalives_interval=10)
    try:
        if _value(conn, _sql("recovering")):
            raise UnavailableError("this server is a standby, on which nothing can be changed", hint="connect to its primary")
        with contextlib.suppress(psycopg.Error):
            conn.execute("SET idle_session_timeout = 0")
        home.refuse_elsewhere(conn)
        take(conn, RUNNER, wait, watch)
        yield RunnerLock(conn, conn.info.backend_pid)
    finally:
        with contextlib.suppress(psycopg.Error):
            conn.close()


def take(conn: Connection, key: int, wait: float, watch: Watch) -> None:
    """Take one of the two locks for the session `conn`. Raises PgcharterError when somebody else holds it for all of `wait` seconds."""
    began, told = time.monotonic(), -1.0
    while not _value(conn, _sql("try"), (key, home.of(conn).schema)):
        waited = time.monotonic() - began
        found = holders(conn, key)
        if waited >= wait:
            raise _busy(found, waited, home.of(conn).schema)
        if waited - told >= 1.0 or told < 0:
            watch(RunnerWaits(found, waited, wait))
            told = waited
        time.sleep(min(POLL * random.uniform(0.67, 1.33), max(wait - waited, 0.01)))  # noqa: S311


def holders(conn: Connection, key: int = RUNNER) -> tuple[Backend, ...]:
    """The sessions that hold the lock here."""
    return tuple(
        blockers.backend(row) for row in conn.execute(_sql("holders"), ([conn.info.backend_pid], key, home.of(conn).schema)).fetchall()
    )


def _busy(found: tuple[Backend, ...], waited: float, schema: str) -> PgcharterError:
    where = f"schema {quote(schema)}" if schema else "this database"
    who = "; ".join(str(session) for session in found) or "somebody who has just ended"
    return PgcharterError(
        f"another runner is at work in {where}, so nothing was run after {waited:.0f} s of waiting: {who}",
        hint="wait for it; if it is dead: " + "; ".join(f"SELECT pg_terminate_backend({session.pid})" for session in found),
    )


def _value(conn: Connection, query: str, parameters: tuple[object, ...] | None = None) -> object:
    row = conn.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None


def _sql(name: str) -> str:
    return queries.load("pgcharter.migrate", "lock.sql")[name]
