"""Pools of psycopg_pool that come back soon: after a server's restart they connect again within half a second, however long it took."""

from __future__ import annotations

import random
import select
from typing import Any

from psycopg import pq
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from psycopg_pool.base import AttemptWithBackoff

from pgcharter.runtime.connections import sent

LONGEST = 0.5
"""Seconds: longest pause between two attempts to connect."""


class _Steady(AttemptWithBackoff):
    """Tries for ever. psycopg_pool doubles its pauses up to minutes, so that a server is back long before anybody looks."""

    def __init__(self) -> None:
        super().__init__(timeout=float("inf"))

    def update_delay(self, now: float) -> None:  # noqa: ARG002
        """Double the pause up to the longest."""
        self.delay = random.uniform(0.8, 1.0) * min(LONGEST, max(0.1, self.delay * 2))  # noqa: S311

    def time_to_give_up(self, now: float) -> bool:  # noqa: ARG002
        """Never."""
        return False


class ServedPool(ConnectionPool[Any]):
    """For threads."""

    trouble: BaseException | None = None
    """Why the last attempt to connect failed."""

    def _connect(self, timeout: float | None = None) -> Any:
        try:
            conn = super()._connect(timeout)
        except BaseException as error:
            self.trouble = error
            raise
        self.trouble = None
        return conn

    @staticmethod
    def check_connection(conn: Any) -> None:
        """One round trip outside of any transaction; psycopg_pool's own goes by way of autocommit, where no context can be."""
        with conn.lock:
            conn.wait(sent(conn, b"SELECT"))

    def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        super()._add_connection(attempt or _Steady(), growing)


class AsyncServedPool(AsyncConnectionPool[Any]):
    """For the tasks of one loop."""

    trouble: BaseException | None = None
    """Why the last attempt to connect failed."""

    async def _connect(self, timeout: float | None = None) -> Any:
        try:
            conn = await super()._connect(timeout)
        except BaseException as error:
            self.trouble = error
            raise
        self.trouble = None
        return conn

    @staticmethod
    async def check_connection(conn: Any) -> None:
        """The async twin of `ServedPool.check_connection`."""
        async with conn.lock:
            await conn.wait(sent(conn, b"SELECT"))

    async def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        await super()._add_connection(attempt or _Steady(), growing)


def dead(conn: Any) -> bool:
    """Whether the other end has hung up on an unused connection. Asks the kernel, not the server."""
    pgconn = conn.pgconn
    if pgconn.status != pq.ConnStatus.OK:
        return True
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN | select.POLLPRI)
    for _ in range(3):
        if not poll.poll(0):
            return False
        try:
            pgconn.consume_input()
        except Exception:
            return True
        if pgconn.status != pq.ConnStatus.OK or pgconn.transaction_status == pq.TransactionStatus.UNKNOWN:
            return True
    return False
