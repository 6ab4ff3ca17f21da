"""Watching the servers of a `Database`: a thread or a task for each, with a connection of its own, that asks how far the server is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.pools import Server
from pgcharter.runtime.replicas import Facts
from pgcharter.runtime.tokens import lsn_of

log = logging.getLogger("pgcharter.runtime")

TIMELINE = """
greatest((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),
         (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
         (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()))
"""
"""The timeline that a standby follows, at least. The first of them is shown to members of pg_read_all_stats alone; without it
the answer comes with the standby's next restart point."""

HISTORY = f"SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), {TIMELINE}"
"""Asked of each connection to a replica: of which system it is, and on which timeline at least."""

_LOOK = f"""
SELECT s.standby, CASE WHEN s.standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END::text,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       CASE WHEN s.standby THEN {TIMELINE}
            ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
       pg_catalog.current_setting('wal_block_size')::int,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')),
       CASE WHEN NOT s.standby THEN pg_catalog.pg_current_wal_insert_lsn() END::text
  FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) AS s
"""
_ALERT = {"connect_timeout": "3", "tcp_user_timeout": "3000", "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "2"}
"""A server that is gone without a word is noticed in seconds, where its DSN says nothing else."""
_BACKOFF = 5.0
"""Longest pause, in seconds, between two tries to reach a server that is gone."""


class Watcher:
    """Looks at one server again and again."""

    def __init__(
        self,
        server: Server,
        poll: float,
        options: dict[str, Any],
        heard: Callable[[Facts], Steps[None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.server = server
        self.poll = poll
        self._options = options
        self._heard = heard
        self._failed = failed
        self._conn: Any = None
        self._over = False
        self._event: Any = None
        self._runner: Any = None

    def start(self) -> None:
        """Watch in a thread."""
        self._event, self._over = threading.Event(), False
        self._runner = threading.Thread(target=lambda: driven(self._watch()), name=f"pgcharter-watches-{self.server.name}", daemon=True)
        self._runner.start()

    def stop(self) -> None:
        """Watch no more; a look that hangs is left to itself."""
        if self._runner is not None:
            self._over = True
            self._event.set()
            self._runner.join(2)

    def start_async(self) -> None:
        """Watch in a task of the running event loop."""
        self._event, self._over = asyncio.Event(), False
        self._runner = asyncio.create_task(awaited(self._watch()), name=f"pgcharter watches {self.server.name}")

    async def stop_async(self) -> None:
        """Watch no more."""
        if self._runner is not None:
            self._over = True
            self._runner.cancel()
            await asyncio.wait([self._runner], timeout=2)

    def wake(self) -> None:
        """Look at once."""
        if self._event is not None:
            self._event.set()

    def _watch(self) -> Steps[None]:
        pause = self.poll
        try:
            while not self._over:
                try:
                    yield from self._look()
                    pause = self.poll
                except Exception as error:
                    log.debug("a look at %s failed: %s", self.server.name, error)
                    self._failed(error)
                    yield from self._closed()
                    pause = min(_BACKOFF, pause * 1.5)
                yield partial(self._rest, pause)
        finally:
            yield from self._closed()

    def _look(self) -> Steps[None]:
        if self._conn is None:
            self._conn = yield self._connect
        cursor = yield partial(self._conn.execute, _LOOK)
        standby, lsn, system, timeline, page, segment, end = yield cursor.fetchone
        yield from self._heard(Facts(standby, lsn_of(lsn or "0/0"), system, timeline or 0, page, segment, lsn_of(end or "0/0")))

    def _closed(self) -> Steps[None]:
        conn, self._conn = self._conn, None
        if conn is not None:
            yield conn.close

    def _connect(self) -> Any:
        conninfo = self.server.conninfo()
        said = {*conninfo_to_dict(conninfo), *self._options}
        alert = {name: value for name, value in _ALERT.items() if name not in said}
        options = {**alert, **self._options, "autocommit": True, "prepare_threshold": None, "row_factory": tuple_row}
        kind = psycopg.Connection if isinstance(self._event, threading.Event) else psycopg.AsyncConnection
        return kind.connect(conninfo, **options)

    def _rest(self, seconds: float) -> Any:
        if isinstance(self._event, threading.Event):
            self._event.wait(seconds)
            self._event.clear()
            return None
        return self._rest_async(seconds)

    async def _rest_async(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()
