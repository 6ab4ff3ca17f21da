"""Transactions of psycopg that begin with their context: connections that do so by themselves, and `transaction` for any connection.

    pool = ConnectionPool(dsn, connection_class=ContextConnection)

    with context(tenant=tenant_id), pool.connection() as conn:
        conn.execute("SELECT …")                 # BEGIN and the context are one round trip

BEGIN and the settings go in one message of the simple protocol: psycopg by itself sends BEGIN alone and waits for its answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import psycopg
from psycopg import generators, pq
from psycopg.errors import error_from_result
from psycopg.pq import TransactionStatus
from psycopg.rows import Row

from pgcharter.errors import UsageError
from pgcharter.runtime.context import NOTHING, Context, current, unlike
from pgcharter.runtime.placement import Schemas

Steps = Generator[Any, Any, None]
AnyConnection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]
_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


def begin(conn: AnyConnection) -> str:
    """The statement that begins a transaction as the connection is set: isolation level, READ ONLY, DEFERRABLE."""
    parts = ["BEGIN"]
    if conn.isolation_level is not None:
        parts.append(f"ISOLATION LEVEL {psycopg.IsolationLevel(conn.isolation_level).name.replace('_', ' ')}")
    if conn.read_only is not None:
        parts.append("READ ONLY" if conn.read_only else "READ WRITE")
    if conn.deferrable is not None:
        parts.append("DEFERRABLE" if conn.deferrable else "NOT DEFERRABLE")
    return " ".join(parts)


def sent(conn: AnyConnection, message: bytes) -> Generator[Any, Any, list[Any]]:
    """Send statements in one message and wait for their results. Raises psycopg's error for the first that fails."""
    conn.pgconn.send_query(message)
    results: list[Any] = yield from generators.execute(conn.pgconn)
    last = results[-1]  # after one that fails there is none
    if last.status not in _GOOD:
        raise error_from_result(last, encoding=conn.info.encoding)
    return results


def begun(conn: AnyConnection, message: bytes, chosen: Context, placement: Schemas | None) -> Steps:
    """Begin a transaction with a context. One that cannot begin is not left open; raises ClosedTenantError where the tenant is why."""
    try:
        results = yield from sent(conn, message)
    except psycopg.Error as error:
        if conn.pgconn.transaction_status == TransactionStatus.INERROR:
            yield from sent(conn, b"ROLLBACK")
        _refuse(error, chosen, placement)
        raise
    if isinstance(conn, _Opens):
        conn.began(results)


def _refuse(error: psycopg.Error, chosen: Context, placement: Schemas | None) -> None:
    refusal = placement.refusal(chosen.tenant, error) if placement and chosen.tenant else None
    if refusal:
        raise refusal from None


def _encoded(sql: str, encoding: str) -> bytes:
    try:
        return sql.encode(encoding)
    except UnicodeEncodeError as error:
        wrong = sql[error.start]
        raise UsageError(f"client_encoding is {error.encoding}, which has no character {wrong!r}", hint="client_encoding=utf8") from None


def alone() -> UsageError:
    """The error of a statement in autocommit mode, where nothing lasts long enough to have a context."""
    return UsageError(
        "the connection is in autocommit mode and no transaction is open, so the statement would run without a context",
        hint='with conn.transaction(): … around it, or with no_tenant("why"): … where no tenant is meant',
    )


class _Opening(bytes):
    """A message of several statements: BEGIN and the context."""


def _start_query(conn: Any) -> Steps:
    """What psycopg does before every statement, with the context: begin, or see that the open transaction is of the same."""
    now = current()
    if conn.pgconn.transaction_status != TransactionStatus.IDLE:
        if now is not conn.context_begun and now != conn.context_begun:
            raise unlike(conn.context_begun, now)
    elif conn.autocommit:
        if not now.everybody:
            raise alone()
    elif conn._pipeline:
        statements = conn.opening(now)
        conn.context_begun = now
        try:
            for statement in statements:
                yield from conn._exec_command(_encoded(statement, conn.info.encoding))
            yield from conn._pipeline._sync_gen()
        except psycopg.Error as error:
            _refuse(error, now, conn.placement)
            raise
    else:
        yield from conn._exec_command(_start_command(conn))


def _start_command(conn: Any) -> bytes:
    """What psycopg begins a transaction with."""
    if conn._pipeline:
        raise UsageError("a transaction is to begin inside a pipeline", hint="with conn.transaction(), conn.pipeline(): …")
    now = current()
    message = conn.message(now)
    conn.context_begun = now
    return _Opening(message)


class _Opens:
    """What a connection whose transactions begin with their context may say of that beginning."""

    placement: ClassVar[Schemas | None] = None
    """Where tenants' data is; None: in rows."""
    context_begun: Context = NOTHING
    """The context that the open transaction was begun with."""

    def opening(self, now: Context) -> tuple[str, ...]:
        """Statements that a transaction begins with, in one message."""
        return begin(self), *now.statements(self.placement)  # type: ignore[arg-type]

    def message(self: Any, now: Context) -> bytes:
        """Those statements as they are sent."""
        return _encoded("; ".join(self.opening(now)), self.info.encoding)

    def began(self, results: list[Any]) -> None:
        """Hear what those statements gave."""


class ContextConnection(_Opens, psycopg.Connection[Row]):
    """A connection whose transactions begin with the current context, in one round trip; for pools: connection_class=ContextConnection.

    A statement raises NoTenantError where no tenant is named, OtherContextError in another context than its transaction was begun in, and
    UsageError in autocommit mode outside a transaction. Where tenants are in schemas, a class of your own says so: `placement = Schemas()`.
    """

    _start_query = _start_query
    _get_tx_start_command = _start_command

    def _exec_command(self, command: Any, result_format: pq.Format = pq.Format.TEXT) -> Generator[Any, Any, Any]:
        """psycopg takes a message with one result only."""
        if isinstance(command, _Opening):
            return begun(self, command, self.context_begun, self.placement)
        return super()._exec_command(command, result_format)


class AsyncContextConnection(_Opens, psycopg.AsyncConnection[Row]):
    """The async twin of `ContextConnection`."""

    _start_query = _start_query
    _get_tx_start_command = _start_command

    def _exec_command(self, command: Any, result_format: pq.Format = pq.Format.TEXT) -> Generator[Any, Any, Any]:
        """psycopg takes a message with one result only."""
        if isinstance(command, _Opening):
            return begun(self, command, self.context_begun, self.placement)
        return super()._exec_command(command, result_format)


@contextmanager
def transaction(
    conn: psycopg.Connection[Row], chosen: Context | None = None, placement: Schemas | None = None
) -> Iterator[psycopg.Connection[Row]]:
    """A transaction on any connection of psycopg with a context, by default the current one; rolled back on an error, else committed.

    With the context given it is safe in generators. `placement` says where tenants' data is, where the connection does not. Raises
    NoTenantError, ClosedTenantError, and UsageError where a transaction is open already.
    """
    with conn.lock:
        conn.wait(opened(conn, current() if chosen is None else chosen, placement))
    try:
        yield conn
    except BaseException:
        if not conn.closed:
            conn.rollback()
        raise
    conn.commit()


@asynccontextmanager
async def async_transaction(
    conn: psycopg.AsyncConnection[Row], chosen: Context | None = None, placement: Schemas | None = None
) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
    """The async twin of `transaction`."""
    async with conn.lock:
        await conn.wait(opened(conn, current() if chosen is None else chosen, placement))
    try:
        yield conn
    except BaseException:
        if not conn.closed:
            await conn.rollback()
        raise
    await conn.commit()


def opened(conn: AnyConnection, chosen: Context, placement: Schemas | None = None) -> Steps:
    """Begin a transaction with a context, for `conn.wait`."""
    if conn.pgconn.transaction_status != TransactionStatus.IDLE or conn.pgconn.pipeline_status != pq.PipelineStatus.OFF:
        raise UsageError("a transaction or pipeline is open already, and its context cannot be changed", hint="commit it first")
    if isinstance(conn, _Opens) and placement is None:
        placement, message = conn.placement, conn.message(chosen)
    else:
        message = _encoded("; ".join((begin(conn), *chosen.statements(placement))), conn.info.encoding)
    if isinstance(conn, _Opens):
        conn.context_begun = chosen
    yield from begun(conn, message, chosen, placement)
