"""Waking readers of a log: NOTIFY on a connection of its own after commits, many at a time, and never inside a transaction that does work.

waker = Waker(db, "outbox")
work.after_commit(waker.poke)

Nothing is lost where a NOTIFY is: readers look by themselves too.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

log = logging.getLogger("pgcharter.feeds")
_PID = "SELECT pg_catalog.pg_backend_pid()"
_SLICE = 0.25
"""Seconds after which one who listens looks whether to stop."""


def channel(log_name: str) -> str:
    """The channel of a log."""
    return f"pgcharter_{log_name}"


class Waker:
    """Says that a log has grown; for threads and tasks alike, since `poke` waits for nothing."""

    def __init__(self, database: Any, log_name: str, least: float = 0.001) -> None:
        """At most once in `least` seconds. The connection is made when it is first needed."""
        self.database = database
        self.channel = channel(log_name)
        self.least = least
        self._poked, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def poke(self) -> None:
        """Wake who listens, soon."""
        self._poked.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="pgcharter-waker", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Send what is to be sent, and end. A later `poke` begins anew."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._over.set()
            self._poked.set()
            thread.join(5)
            self._over.clear()

    def _run(self) -> None:
        conn: psycopg.Connection[Any] | None = None
        while not self._over.is_set():
            self._poked.wait()
            self._poked.clear()
            try:
                if conn is None or conn.closed:
                    conn = psycopg.connect(self.database.primary.conninfo(), autocommit=True, connect_timeout=5)
                conn.execute(f"NOTIFY {self.channel}".encode())
            except psycopg.Error as error:
                log.debug("readers of a log were not woken, they will look by themselves: %s", error)
                self._over.wait(1.0)
            self._over.wait(self.least)
        if conn is not None:
            conn.close()


class Listener:
    """Waits for a waker, in a thread."""

    def __init__(self, database: Any, log_name: str) -> None:
        self.database, self.channel = database, channel(log_name)
        self._conn: psycopg.Connection[Any] | None = None
        self._again = 0.0

    def wait(self, seconds: float, stopping: Callable[[], bool]) -> bool:
        """Whether there was a call within so many seconds, or may have been one while it could not hear; returns early when stopping.

        Without a connection it only waits.
        """
        deadline = time.monotonic() + seconds
        while not stopping() and (left := deadline - time.monotonic()) > 0:
            try:
                heard = self.hears
                if not self._connected():
                    time.sleep(min(left, _SLICE))
                    continue
                if not heard:
                    return True
                assert self._conn is not None  # noqa: S101
                if list(self._conn.notifies(timeout=min(left, _SLICE), stop_after=1)):
                    return True
            except psycopg.Error as error:
                self._gone(error)
        return False

    @property
    def hears(self) -> bool:
        """Whether a call would be heard."""
        return self._conn is not None and not self._conn.closed

    def _connected(self) -> bool:
        if not self.hears and time.monotonic() >= self._again:
            conn = psycopg.connect(self.database.primary.conninfo(), autocommit=True, connect_timeout=5)
            conn.execute(f"LISTEN {self.channel}".encode())
            if self._is_deaf(conn, conn.execute(_PID).fetchone()):
                conn.close()
            else:
                self._conn = conn
        return self.hears

    def _is_deaf(self, conn: Any, row: Any) -> bool:
        """Whether a pooler stands between, which keeps what is said to itself; looked for again in a minute."""
        if row[0] == conn.info.backend_pid:
            return False
        log.warning("a pooler stands between %s and its session, so it looks by itself; connect its database directly", self.channel)
        self._again = time.monotonic() + 60.0
        return True

    def _gone(self, error: psycopg.Error) -> None:
        log.info("listening for %s was interrupted: %s", self.channel, error)
        self._again = time.monotonic() + 1.0
        if self._conn is not None:
            self._conn.close()

    def close(self) -> None:
        """Let go of the connection."""
        if self._conn is not None:
            self._conn.close()


class AsyncListener:
    """Waits for a waker, in a task."""

    def __init__(self, database: Any, log_name: str) -> None:
        self._listener = Listener(database, log_name)
        self._conn: psycopg.AsyncConnection[Any] | None = None

    async def wait(self, seconds: float, stopping: asyncio.Event) -> bool:
        """The async twin of `Listener.wait`."""
        deadline = time.monotonic() + seconds
        while not stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            try:
                heard = self.hears
                if not await self._connected():
                    await asyncio.sleep(min(left, _SLICE))
                    continue
                if not heard:
                    return True
                assert self._conn is not None  # noqa: S101
                async for _ in self._conn.notifies(timeout=min(left, _SLICE), stop_after=1):
                    return True
            except psycopg.Error as error:
                log.info("listening for %s was interrupted: %s", self._listener.channel, error)
                self._listener._again = time.monotonic() + 1.0
                await self.close()
        return False

    @property
    def hears(self) -> bool:
        """Whether a call would be heard."""
        return self._conn is not None and not self._conn.closed

    async def _connected(self) -> bool:
        if not self.hears and time.monotonic() >= self._listener._again:
            where = self._listener.database.primary.conninfo()
            conn = await psycopg.AsyncConnection.connect(where, autocommit=True, connect_timeout=5)
            await conn.execute(f"LISTEN {self._listener.channel}".encode())
            if self._listener._is_deaf(conn, await (await conn.execute(_PID)).fetchone()):
                await conn.close()
            else:
                self._conn = conn
        return self.hears

    async def close(self) -> None:
        """Let go of the connection."""
        if self._conn is not None:
            await self._conn.close()
