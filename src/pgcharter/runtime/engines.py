"""Engines of SQLAlchemy whose transactions begin with their context: one call, `bind(engine)`.

    engine = bind(create_engine("postgresql+psycopg://…"))

    with context(tenant=tenant_id), Session(engine) as session:
        …

BEGIN and the context are one round trip, for Engine and AsyncEngine, connections and sessions alike. SQLAlchemy is the application's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.pq import TransactionStatus

from pgcharter.errors import UsageError
from pgcharter.runtime.connections import alone, opened
from pgcharter.runtime.context import Context, current, unlike

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pgcharter.runtime.placement import Schemas

    E = TypeVar("E", bound=Engine | AsyncEngine)

_BEGUN = "pgcharter_context"
OPTION = "pgcharter_context"
"""Execution option that gives a connection a context of its own: `engine.execution_options(pgcharter_context=Context(tenant=…))`."""

PLACEMENT = "pgcharter_placement"
"""Execution option that says where tenants' data is, for an engine that shares its connections with another one."""


def bind(engine: E, placement: Schemas | None = None) -> E:
    """Have every transaction of an engine begin with the current context; calling it again changes nothing. Gives the engine back.

    `placement` says where tenants' data is, when it is not in rows: `bind(engine, Schemas())`. Statements raise NoTenantError where no
    tenant is named, ClosedTenantError where there is no such tenant or nobody is let in to it, and OtherContextError in another context
    than their transaction was begun in.
    Raises UsageError for an engine that does not run on psycopg 3.
    """
    from sqlalchemy import event

    sync: Any = getattr(engine, "sync_engine", engine)
    driver = getattr(getattr(sync, "dialect", None), "driver", "")
    if driver not in ("psycopg", "psycopg_async"):
        raise UsageError(
            f"the engine runs on {driver or type(engine).__name__}, and a context goes with BEGIN on psycopg 3 alone",
            hint="create_engine('postgresql+psycopg://…')",
        )
    if placement is not None:
        sync.update_execution_options(**{PLACEMENT: placement})
    for name, heard in (("begin", _begin), ("begin_twophase", _refuse), ("before_cursor_execute", _before)):
        if not event.contains(sync, name, heard):
            event.listen(sync, name, heard)
    return engine


def _context(conn: Connection) -> Context:
    return conn.get_execution_options().get(OPTION) or current()


def _begin(conn: Connection) -> None:
    chosen = _context(conn)
    adapted: Any = conn.connection.dbapi_connection
    driver = adapted.driver_connection if hasattr(adapted, "driver_connection") else adapted
    if driver.autocommit:
        if not chosen.everybody:
            raise alone()
        return
    if driver.pgconn.transaction_status != TransactionStatus.IDLE:
        raise UsageError("a transaction is open on the connection that SQLAlchemy has not begun", hint="commit it on the raw connection")
    placement = conn.get_execution_options().get(PLACEMENT)
    if hasattr(adapted, "run_async"):
        adapted.run_async(lambda d: _open_async(d, chosen, placement))
    else:
        with driver.lock:
            driver.wait(opened(driver, chosen, placement))
    conn.info[_BEGUN] = chosen


async def _open_async(driver: Any, chosen: Context, placement: Schemas | None) -> None:
    async with driver.lock:
        await driver.wait(opened(driver, chosen, placement))


def _refuse(_conn: Connection, _xid: object) -> None:
    raise UsageError("a transaction in two phases cannot begin with a context", hint="use one without, or a connection of psycopg")


def _before(conn: Connection, *_: object) -> None:
    """Before every statement: the transaction is there, and of this context."""
    adapted: Any = conn.connection.dbapi_connection
    driver = adapted.driver_connection if hasattr(adapted, "driver_connection") else adapted
    now = _context(conn)
    if driver.pgconn.transaction_status == TransactionStatus.IDLE:
        if driver.autocommit and now.everybody:
            return
        now.statements()
        raise (
            alone()
            if driver.autocommit
            else UsageError(
                "the connection could not begin its transaction before, and SQLAlchemy does not try again", hint="take a new connection"
            )
        )
    begun = conn.info.get(_BEGUN)
    if now is not begun and now != begun:
        raise unlike(begun or Context(), now)
