"""Flows: a runtime operation written once, called sync and async, on psycopg and on SQLAlchemy over psycopg alike.

A flow is a generator that yields what it wants of the server and is sent what came of it:

    @flow
    def publish(topic: str, body: str) -> Steps[int]:
        rows = yield Query("INSERT … RETURNING id", (topic, body))
        return rows[0][0]

    publish(conn, "orders", "…")            # psycopg.Connection, SQLAlchemy Connection or Session
    await publish.aio(conn, "orders", "…")  # their async twins

A flow joins the caller's transaction: it never begins, commits or rolls back one. A Session is flushed first. It reads rows as tuples
whatever the caller's row factory is. What the server refuses is raised at the `yield` that asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgcharter.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One statement; it is answered with its rows, or with an empty list where it has none."""

    sql: str
    parameters: Parameters = ()
    binary: bool = False
    """Rows come in binary form: cheaper for uuid, timestamps and numbers, on both ends."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Several statements in one round trip; answered with a list of rows for each.

    None of them sees a value that another one returns. When one fails, so does the batch.
    """

    queries: tuple[Query, ...]


Step = Query | Batch
Steps = Generator[Step, Any, T]
"""What a flow's generator is: it yields steps, is sent rows, and returns a T."""


class Flow(Generic[P, T]):
    """A flow, callable on a sync connection; `aio` on an async one."""

    def __init__(self, steps: Callable[P, Steps[T]]) -> None:
        self.steps = steps
        """The flow inside another one: `found = yield from read.steps(…)`."""
        update_wrapper(self, steps)

    def __call__(self, conn: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run on a psycopg.Connection, or on a Connection or Session of SQLAlchemy over psycopg.

        Raises UsageError for anything else, and where there is no transaction to join.
        """
        driver = sync_driver(conn)
        steps = self.steps(*args, **kwargs)
        with driver.cursor(row_factory=tuple_row) as cursor:
            try:
                step = next(steps)
                while True:
                    sent: Any
                    try:
                        if isinstance(step, Query):
                            cursor.execute(step.sql.encode(), step.parameters or None, binary=step.binary or None)
                            sent = cursor.fetchall() if cursor.description else []
                        else:
                            sent = _batch(driver, step)
                    except psycopg.Error as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(sent)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    async def aio(self, conn: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same on a psycopg.AsyncConnection, or on an AsyncConnection or AsyncSession of SQLAlchemy over psycopg."""
        driver = await async_driver(conn)
        steps = self.steps(*args, **kwargs)
        async with driver.cursor(row_factory=tuple_row) as cursor:
            try:
                step = next(steps)
                while True:
                    sent: Any
                    try:
                        if isinstance(step, Query):
                            await cursor.execute(step.sql.encode(), step.parameters or None, binary=step.binary or None)
                            sent = await cursor.fetchall() if cursor.description else []
                        else:
                            sent = await _abatch(driver, step)
                    except psycopg.Error as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(sent)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]


def flow(steps: Callable[P, Steps[T]]) -> Flow[P, T]:
    """Make a flow of a generator function."""
    return Flow(steps)


def _batch(driver: psycopg.Connection[Any], batch: Batch) -> list[list[Row]]:
    """In pipeline mode; a BEGIN that psycopg has to send first makes a round trip of its own."""
    with driver.pipeline():
        cursors = [driver.cursor(row_factory=tuple_row) for _ in batch.queries]
        for cursor, query in zip(cursors, batch.queries, strict=True):
            cursor.execute(query.sql.encode(), query.parameters or None, binary=query.binary or None)
    return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


async def _abatch(driver: psycopg.AsyncConnection[Any], batch: Batch) -> list[list[Row]]:
    async with driver.pipeline():
        cursors = [driver.cursor(row_factory=tuple_row) for _ in batch.queries]
        for cursor, query in zip(cursors, batch.queries, strict=True):
            await cursor.execute(query.sql.encode(), query.parameters or None, binary=query.binary or None)
    return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]


def sync_driver(conn: Any) -> psycopg.Connection[Any]:
    """The psycopg.Connection of what a flow is called on; a Session is flushed. Raises UsageError as a call of a flow does."""
    if isinstance(conn, psycopg.Connection):
        return _joined(conn)
    if _is(conn, "Session"):
        conn.flush()
        conn = conn.connection()
    if _is(conn, "Connection"):
        conn = conn.connection.driver_connection
    if not isinstance(conn, psycopg.Connection):
        raise _unknown(conn, "psycopg.Connection, or a Connection or Session of SQLAlchemy over psycopg")
    return _joined(conn)


async def async_driver(conn: Any) -> psycopg.AsyncConnection[Any]:
    """The async twin of `sync_driver`."""
    if isinstance(conn, psycopg.AsyncConnection):
        return _joined(conn)
    if _is(conn, "AsyncSession"):
        await conn.flush()
        conn = await conn.connection()
    if _is(conn, "AsyncConnection"):
        conn = (await conn.get_raw_connection()).driver_connection
    if not isinstance(conn, psycopg.AsyncConnection):
        raise _unknown(conn, "psycopg.AsyncConnection, or an AsyncConnection or AsyncSession of SQLAlchemy over psycopg")
    return _joined(conn)


_C = TypeVar("_C", psycopg.Connection[Any], psycopg.AsyncConnection[Any])


def _joined(driver: _C) -> _C:
    """The driver's connection. Raises UsageError where every statement would be a transaction of its own."""
    if driver.autocommit and driver.info.transaction_status == TransactionStatus.IDLE:
        raise UsageError(
            "the connection is in autocommit mode and no transaction is open, so what belongs together would be torn apart",
            hint="open one: with conn.transaction(): …",
        )
    return driver


def _is(conn: object, name: str) -> bool:
    """Whether it is a class of SQLAlchemy of that name, or one made from it; SQLAlchemy itself is not imported for it."""
    return any(c.__name__ == name and c.__module__.startswith("sqlalchemy.") for c in type(conn).__mro__)


def _unknown(conn: object, wanted: str) -> UsageError:
    kind = f"{type(conn).__module__}.{type(conn).__qualname__}"
    return UsageError(f"a flow cannot run on {kind}: it needs a {wanted}", hint="create_engine('postgresql+psycopg://…') drives psycopg 3")
