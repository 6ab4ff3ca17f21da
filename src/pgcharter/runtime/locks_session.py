"""Locks by name that outlast transactions: they belong to the session, so nothing may stand between the client and its session.

    with session_lock(conn, "nightly"):                 # async with async_session_lock(…)
        with conn.transaction(): …
        with conn.transaction(): …

A pooler in transaction mode gives every transaction another session: the lock would stay with one that somebody else gets, for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.runtime.connections import AnyConnection, sent
from pgcharter.runtime.locks import LockedError, Name, key_of, milliseconds

Wait = Generator[Any, Any, None]


@contextmanager
def session_lock(conn: psycopg.Connection[Any], name: Name, *, shared: bool = False, wait: float | None = None) -> Iterator[None]:
    """Hold a lock over several transactions of a connection of psycopg, of which none may be open at the beginning or the end.

    Raises LockedError after `wait` seconds (None: as lock_timeout says), RefusedError through a pooler, UsageError where a transaction is
    open; one that is open at the end is rolled back, and so is what an error leaves.
    """
    with conn.lock:
        conn.wait(_locked(conn, name, shared=shared, wait=wait))
    try:
        yield
    except BaseException:
        if not conn.closed:
            conn.rollback()
            with conn.lock:
                conn.wait(_unlocked(conn, name, shared=shared))
        raise
    with conn.lock:
        conn.wait(_unlocked(conn, name, shared=shared))


@asynccontextmanager
async def async_session_lock(
    conn: psycopg.AsyncConnection[Any], name: Name, *, shared: bool = False, wait: float | None = None
) -> AsyncIterator[None]:
    """The async twin of `session_lock`."""
    async with conn.lock:
        await conn.wait(_locked(conn, name, shared=shared, wait=wait))
    try:
        yield
    except BaseException:
        if not conn.closed:
            await conn.rollback()
            async with conn.lock:
                await conn.wait(_unlocked(conn, name, shared=shared))
        raise
    async with conn.lock:
        await conn.wait(_unlocked(conn, name, shared=shared))


def own_session(conn: AnyConnection) -> Wait:
    """Raise RefusedError where a pooler stands between: the session that answers is not the one that the connection was made to."""
    results = yield from sent(conn, b"SELECT pg_catalog.pg_backend_pid()")
    if int(results[0].get_value(0, 0)) != conn.info.backend_pid:
        raise RefusedError(
            "a pooler stands between this connection and its session, so a lock of the session could stay with somebody else's",
            hint="connect to the server itself, or take a lock of the transaction: lock(conn, …)",
        )


def _locked(conn: AnyConnection, name: Name, *, shared: bool, wait: float | None) -> Wait:
    key = key_of(name)
    if conn.pgconn.transaction_status != TransactionStatus.IDLE:
        raise UsageError("a transaction is open, and a lock of the session outlasts it", hint="commit it first, or lock(conn, …)")
    yield from own_session(conn)
    setting = "" if wait is None else f"SELECT pg_catalog.set_config('lock_timeout', '{milliseconds(wait)}', true); "
    try:
        yield from sent(conn, f"{setting}SELECT pg_catalog.pg_advisory_lock{'_shared' * shared}({key})".encode())
    except psycopg.errors.LockNotAvailable:
        raise LockedError(f"lock {name} is held by another session, and was not given up in time") from None


def _unlocked(conn: AnyConnection, name: Name, *, shared: bool) -> Wait:
    left_open = conn.pgconn.transaction_status != TransactionStatus.IDLE
    if left_open:
        yield from sent(conn, b"ROLLBACK")
    results = yield from sent(conn, f"SELECT pg_catalog.pg_advisory_unlock{'_shared' * shared}({key_of(name)})".encode())
    if left_open:
        raise UsageError(f"a transaction was open when lock {name} ended; it was rolled back", hint="commit inside the lock")
    if results[0].get_value(0, 0) != b"t":
        raise PgcharterError(f"lock {name} was lost before its end: something has released all locks of the session")
