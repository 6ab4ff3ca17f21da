"""A worker's own connection: single statements, each a transaction; made anew when it is lost, and what was under way is sent again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from pgcharter.db import queries
from pgcharter.errors import UnavailableError
from pgcharter.runtime.colours import Steps

log = logging.getLogger("pgcharter.sagas")
SQL = queries.load("pgcharter.runtime", "sagas.sql")
_AGAIN = ("40001", "40P01", "25006")
"""Serialization failure, deadlock, and a server that is a standby now: another connection may lead to the primary."""


def checkpoint(more: bool, whole: bool = True) -> bytes:
    """The statement of a checkpoint: without what most of them do not need, unless `more`."""
    parts = ("begin", "moved" if whole else "touched", "stepped", *(("more",) if more else ()), "answer")
    return "\n".join(SQL[p] for p in parts).encode()


class LinkClosedError(Exception):
    """The worker is closed: nothing more is sent."""


class Link:
    """A connection of a worker, used by one at a time. All that is sent may be sent again: it names what it writes."""

    def __init__(self, connect: Any, gate: Any, sleep: Any) -> None:
        self._connect = connect
        self._gate = gate
        self._sleep = sleep
        self._conn: Any = None
        self.closed = False

    def rows(self, sql: bytes, parameters: dict[str, Any], idle: Callable[[], bool] = lambda: False) -> Steps[list[Any]]:
        """Rows of a statement. Tried until the server answers, or nobody needs them any more (`idle`).

        Raises what the server says, and LinkClosedError where it is given up.
        """
        yield self._gate.acquire
        try:
            return (yield from self.sent(sql, parameters, idle))
        finally:
            self._gate.release()

    def sent(self, sql: bytes, parameters: dict[str, Any], idle: Callable[[], bool] = lambda: False) -> Steps[list[Any]]:
        """As `rows`, for who has the gate."""
        pause, since = 0.02, time.monotonic()
        while not self.closed and not idle():
            try:
                if self._conn is None or self._conn.closed:
                    self._conn = yield self._connect
                cursor = yield partial(self._conn.execute, sql, parameters)
                return list((yield cursor.fetchall))
            except psycopg.Error as error:
                broken = self._conn is None or self._conn.closed or isinstance(error, psycopg.OperationalError)
                if not broken and error.sqlstate not in _AGAIN:
                    raise
                yield from self._dropped()
                log.log(logging.WARNING if time.monotonic() - since > 5 else logging.INFO, "sagas: the server does not answer: %s", error)
            yield partial(self._sleep, pause)
            pause = min(pause * 1.5, 1.0)
        raise LinkClosedError

    def _dropped(self) -> Steps[None]:
        conn, self._conn = self._conn, None
        if conn is not None and not conn.closed:
            yield conn.close

    def close(self) -> Steps[None]:
        """Close it, once whoever uses it has done."""
        self.closed = True
        yield self._gate.acquire
        try:
            yield from self._dropped()
        finally:
            self._gate.release()


def unavailable(error: psycopg.Error) -> UnavailableError:
    """What to do where the tables are not there, or may not be used."""
    why = "may not be used by this role" if isinstance(error, psycopg.errors.InsufficientPrivilege) else "are not there"
    return UnavailableError(
        f"the tables of sagas {why}, so none can be kept",
        hint='parts = ["sagas"] and writers = ["…"], workers = ["…"] in [messaging] of pgcharter.toml, then: pgcharter policy apply',
    )
