"""A unit of work: one transaction, what is to happen when it has ended, and how it is tried again.

def place(work: Work) -> int:
    work.session.add(order)
    work.after_commit(lambda: send_receipt(order_id))
    …

db.run(place)                 # tried again whole after a deadlock, a serialization failure, a lost connection
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.served import EndedError, Held, Terms

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

    from pgcharter.runtime.pools import Server

log = logging.getLogger("pgcharter.runtime")
Hook = Callable[[], Any]
_current: ContextVar[AnyWork | None] = ContextVar("pgcharter_work", default=None)


class AnyWork:
    """What both colours of a unit of work share."""

    def __init__(self, database: Any, server: Server, conn: Any, terms: Terms, attempt: int) -> None:
        self.database = database
        self.server = server
        self._conn = conn
        self.attempt = attempt
        """1 on the first call of the function, one more on each further one."""
        self.held = Held(terms)
        self._plain = 0
        """Savepoints that no session knows of."""
        self._session: Any = None
        self._joined: Any = None
        self._committed: list[Hook] = []
        self._undone: list[Hook] = []
        conn.held = self.held

    def after_commit(self, hook: Hook) -> None:
        """Call `hook` once the transaction is known to be committed, in the order given. What it raises is logged: the work is done.

        With an AsyncDatabase it may be a coroutine function. In a nested unit of work it is forgotten when that one is rolled back.
        """
        self._committed.append(hook)

    def after_rollback(self, hook: Hook) -> None:
        """Call `hook` after this try has been rolled back, latest first: before the next try, or before the error reaches the caller."""
        self._undone.append(hook)

    @property
    def session(self) -> Any:
        """A session of SQLAlchemy in the same transaction, made when it is first asked for."""
        if self._session is None:
            if self._plain:
                raise UsageError(
                    "work.session is asked for in a nested unit of work whose savepoint it cannot know of",
                    hint="import sqlalchemy at the top of the application, as its sessions need it anyway",
                )
            self._joined = self._join(self.database.engine_of(self.server))
            self._session = self.database.session_class(bind=self._joined, **self.database.session_options)
        return self._session

    def _join(self, engine: Any) -> Any:
        raise NotImplementedError

    @property
    def terms(self) -> Terms:
        """Isolation, timeouts and whether it may write."""
        return self.held.terms

    def _opened(self) -> Steps[None]:
        """Begin the transaction at once: what comes with BEGIN is known from the start, and nothing in it can begin another one."""
        yield self._begin

    def _begin(self) -> Any:
        raise NotImplementedError

    def _closed(self) -> Steps[None]:
        """Let go of the session; its objects stay as they were loaded."""
        session, self._session = self._session, None
        joined, self._joined = self._joined, None
        if session is not None:
            yield session.close
        if joined is not None:
            yield joined.close

    def _ended(self) -> Steps[None]:
        """Commit. Whatever it raises, `held.said.state` says how far it came."""
        if self._session is not None:
            yield self._session.flush
        if self._conn.pgconn.transaction_status == TransactionStatus.IDLE and not self.held.said.state:
            self.held.said.state = "ended"
        if self.held.said.state:
            raise EndedError(
                "the transaction ended inside the unit of work, so what came after it, if anything, was not in it",
                hint="leave COMMIT and ROLLBACK out of the function: returning commits, raising rolls back",
            )
        self.held.ending = True
        if self._session is not None and self._session.in_transaction():
            yield self._session.commit
        yield self._conn.commit

    def _undo(self) -> Steps[None]:
        """Roll back what is open. A connection that cannot even do that is closed: the pool replaces it."""
        self.held.ending = True
        try:
            if self._session is not None:
                yield self._session.rollback
            if not self._conn.closed:
                yield self._conn.rollback
        except Exception as error:
            log.debug("rolling back failed, the connection is given up: %s", error)
            yield self._conn.close

    def _hooks(self, hooks: list[Hook]) -> Steps[None]:
        for hook in hooks:
            try:
                yield hook
            except Exception:
                self.database.counts.hooks_failed += 1
                log.exception("a hook of a unit of work failed: %r; the transaction itself has ended as it should", hook)


class Work(AnyWork):
    """A unit of work of a `Database`."""

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """The transaction's connection of psycopg."""
        return self._conn  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        @property
        def session(self) -> Session: ...  # noqa: D102

    def _join(self, engine: Any) -> Any:
        from pgcharter.runtime.pools_sqlalchemy import joined

        return joined(engine, self._conn)

    def _begin(self) -> Any:
        with self._conn.lock:
            self._conn.wait(self._conn._start_query())


class AsyncWork(AnyWork):
    """A unit of work of an `AsyncDatabase`."""

    @property
    def conn(self) -> psycopg.AsyncConnection[Any]:
        """The transaction's connection of psycopg."""
        return self._conn  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        @property
        def session(self) -> AsyncSession: ...  # noqa: D102

    def _join(self, engine: Any) -> Any:
        from pgcharter.runtime.pools_sqlalchemy import joined_async

        return joined_async(engine, self._conn)

    async def _begin(self) -> Any:
        async with self._conn.lock:
            await self._conn.wait(self._conn._start_query())


def current_work() -> AnyWork | None:
    """The innermost unit of work of this thread or task; None outside."""
    return _current.get()


@contextmanager
def entered(work: AnyWork) -> Iterator[None]:
    """Inside, it is the current unit of work."""
    token = _current.set(work)
    try:
        yield
    finally:
        _current.reset(token)


def called(work: AnyWork, fn: Callable[[Any], Any]) -> Steps[Any]:
    """Call the function of a unit of work with it as the current one."""
    token = _current.set(work)
    try:
        return (yield partial(fn, work))
    finally:
        _current.reset(token)


def nested(outer: AnyWork, fn: Callable[[Any], Any], terms: Terms) -> Steps[Any]:
    """A unit of work inside another one: a savepoint of it. Raises UsageError where it asks for what the outer one is not."""
    if (terms.isolation and terms.isolation != outer.terms.isolation) or (outer.terms.readonly and not terms.readonly):
        raise UsageError(
            f"a unit of work inside another one asks for {terms.isolation or 'writing'}, and the transaction has begun as "
            f"{outer.terms.isolation or 'the server is set'}{', read only' if outer.terms.readonly else ''}",
            hint="ask for it where the outermost one begins",
        )
    if "sqlalchemy" in sys.modules:
        return (yield from _nested_session(outer, fn))
    marks = len(outer._committed), len(outer._undone)
    yield partial(outer._conn.execute, "SAVEPOINT pgcharter_nested")
    outer._plain += 1
    try:
        value = yield from called(outer, fn)
        yield partial(outer._conn.execute, "RELEASE pgcharter_nested")
    except BaseException:
        if not outer._conn.closed:
            yield partial(outer._conn.execute, b"ROLLBACK TO pgcharter_nested; RELEASE pgcharter_nested")
        yield from _forgotten(outer, marks)
        raise
    finally:
        outer._plain -= 1
    return value


def _nested_session(outer: AnyWork, fn: Callable[[Any], Any]) -> Steps[Any]:
    """Through the session, which has to know of the savepoint: a flush that fails rolls back as far as it knows."""
    marks = len(outer._committed), len(outer._undone)
    point: Any = yield outer.session.begin_nested
    leave = getattr(point, "__aexit__", None) or point.__exit__
    try:
        value = yield from called(outer, fn)
        yield outer.session.flush
    except BaseException as error:
        if not outer._conn.closed:
            yield partial(leave, type(error), error, error.__traceback__)
        yield from _forgotten(outer, marks)
        raise
    yield partial(leave, None, None, None)
    return value


def _forgotten(outer: AnyWork, marks: tuple[int, int]) -> Steps[None]:
    hooks = outer._undone[marks[1] :]
    del outer._committed[marks[0] :], outer._undone[marks[1] :]
    yield from outer._hooks(hooks[::-1])
