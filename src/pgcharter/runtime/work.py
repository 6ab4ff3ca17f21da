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
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from types import CoroutineType
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


class Inside:
    """Where a thread or task is: in which unit of work, how many nested ones deep, and what is around that."""

    __slots__ = ("depth", "outer", "work")

    def __init__(self, work: AnyWork, depth: int, outer: Inside | None) -> None:
        self.work = work
        self.depth = depth
        self.outer = outer


_current: ContextVar[Inside | None] = ContextVar("pgcharter_work", default=None)


class AnyWork:
    """What both colours of a unit of work share."""

    over = False
    """Its connection has been given back. A task that was started inside it may outlive it."""
    key: Any = None
    """The idempotency key that it runs under."""
    broken = False
    """Its connection was gone when it was given back."""
    _begin: Any
    """Begins the transaction at once: what comes with BEGIN is known from the start, and nothing in it can begin another one."""
    _commit_session: Any
    _join: Any

    def __init__(self, database: Any, server: Server, conn: Any, terms: Terms, attempt: int) -> None:
        self.database = database
        self.server = server
        self._conn = conn
        self.attempt = attempt
        """1 on the first call of the function, one more on each further one."""
        self.held = Held(terms)
        self._depth = 0
        """How many nested units of work are open."""
        self._plain = 0
        """Those of them whose savepoint no session knows of."""
        self._session: Any = None
        self._committed: list[Hook] = []
        self._undone: list[Hook] = []
        self._unsure: list[Hook] = []
        self._made = conn.row_factory, conn.cursor_factory, conn.prepare_threshold
        """What the function may set on the connection, which others get after it."""
        conn.held = self.held

    def after_commit(self, hook: Hook) -> None:
        """Call `hook` once the transaction is known to be committed, in the order given. What it raises is logged: the work is done.

        With an AsyncDatabase it may be a coroutine function. In a nested unit of work it is forgotten when that one is rolled back.
        """
        self.still_open()
        self._committed.append(hook)

    def after_rollback(self, hook: Hook) -> None:
        """Call `hook` after this try has been rolled back, latest first: before the next try, or before the error reaches the caller."""
        self.still_open()
        self._undone.append(hook)

    def after_unknown(self, hook: Hook) -> None:
        """Call `hook` before UnknownOutcomeError is raised: nobody can tell whether the transaction is committed.

        It is called for nested units of work that were rolled back, too.
        """
        self.still_open()
        self._unsure.append(hook)

    def still_open(self) -> None:
        """Raise EndedError where it is over."""
        if self.over:
            raise EndedError("the unit of work is over, and its connection may be somebody else's by now")

    @property
    def session(self) -> Any:
        """A session of SQLAlchemy in the same transaction, made when it is first asked for."""
        if self._session is None:
            if self._plain:
                raise UsageError(
                    "work.session is asked for in a nested unit of work whose savepoint it cannot know of",
                    hint="import sqlalchemy at the top of the application, as its sessions need it anyway",
                )
            self.still_open()
            self._session = self._made_session()
        return self._session

    def _made_session(self) -> Any:
        conn = self._conn
        if conn.joined is None or conn.joined.closed or conn.joined.invalidated:
            engine = self.database.engine_of(self.server)
            if not self.server.met:
                self.database._late(self.server)
                self.server.met = True
            conn.joined = self._join(engine)
        return self.database.session_class(bind=conn.joined, **self.database.session_options)

    @property
    def terms(self) -> Terms:
        """Isolation, timeouts and whether it may write."""
        return self.held.terms

    @property
    def apart(self) -> bool:
        """Whether it may see what others do not: it may write, reads all of one moment, or has a session that keeps what it has read."""
        terms, session = self.held.terms, getattr(self._session, "sync_session", self._session)
        return not terms.readonly or terms.isolation not in ("", "read committed") or (session is not None and bool(session.identity_map))

    def _closed(self) -> Steps[None]:
        """Let go of the session, whose objects stay as they were loaded, and of what the function has set on the connection."""
        conn = self._conn
        conn.row_factory, conn.cursor_factory, conn.prepare_threshold = self._made
        session, self._session = self._session, None
        if session is None:
            return
        plain = getattr(session, "sync_session", session)
        if plain.in_transaction():
            yield session.close
        else:
            plain.close()
        plain.bind = None  # one that somebody has kept would go on, in the transaction of the next
        joined = self._conn.joined
        if joined is not None:
            joined = getattr(joined, "sync_connection", joined)
            if joined.in_transaction() or joined._execution_options is not joined.engine._execution_options:
                self._conn.let_go()

    def _ended(self) -> Steps[None]:
        """Commit. Whatever it raises, `held.said.state` says how far it came."""
        said, conn = self.held.said, self._conn
        if conn.pgconn.transaction_status == TransactionStatus.IDLE and said.state == "open":
            said.state = "ended"
        if said.state != "open":
            raise EndedError(
                "the transaction ended inside the unit of work, so what came after it, if anything, was not in it",
                hint="leave COMMIT and ROLLBACK out of the function: returning commits, raising rolls back",
            )
        self.held.ending = True
        if self._session is not None and self._session.in_transaction():
            yield self._commit_session
        if said.state == "open":
            yield conn.commit

    def _undo(self) -> Steps[None]:
        """Roll back what is open. A connection that cannot even do that is closed: the pool replaces it."""
        self.held.ending = True
        conn = self._conn
        try:
            if self._session is not None:
                yield self._session.rollback
            if conn.pgconn.transaction_status != TransactionStatus.IDLE and not conn.closed:
                yield conn.rollback
        except BaseException as error:
            log.debug("rolling back failed, the connection is given up: %s", error)
            conn.pgconn.finish()
            if not isinstance(error, Exception):
                raise

    def _hooks(self, hooks: list[Hook]) -> Steps[None]:
        for hook in hooks:
            try:
                _done((yield hook))
            except Exception:
                self.database.counts.add("hooks_failed")
                log.exception("a hook of a unit of work failed: %r; the transaction itself has ended as it should", hook)


class Work(AnyWork):
    """A unit of work of a `Database`."""

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """The transaction's connection of psycopg. Raises EndedError when the unit of work is over."""
        if self.over:
            self.still_open()
        return self._conn  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        @property
        def session(self) -> Session: ...  # noqa: D102

    def _join(self, engine: Any) -> Any:
        from pgcharter.runtime.pools_sqlalchemy import joined

        return joined(engine, self._conn)

    def _begin(self) -> Any:
        with self._conn.lock:
            self._conn.wait(self._conn.beginning())

    def _commit_session(self) -> Any:
        self._session.commit()


class AsyncWork(AnyWork):
    """A unit of work of an `AsyncDatabase`."""

    @property
    def conn(self) -> psycopg.AsyncConnection[Any]:
        """The transaction's connection of psycopg. Raises EndedError when the unit of work is over."""
        if self.over:
            self.still_open()
        return self._conn  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        @property
        def session(self) -> AsyncSession: ...  # noqa: D102

    def _join(self, engine: Any) -> Any:
        from pgcharter.runtime.pools_sqlalchemy import joined_async

        return joined_async(engine, self._conn)

    async def _begin(self) -> Any:
        async with self._conn.lock:
            await self._conn.wait(self._conn.beginning())

    def _commit_session(self) -> Any:
        return self._session.commit()


def current_work() -> AnyWork | None:
    """The innermost unit of work of this thread or task; None outside."""
    inside = _current.get()
    while inside is not None and inside.work.over:
        inside = inside.outer
    return inside.work if inside is not None else None


def around(database: Any) -> Inside | None:
    """The innermost unit of work of a database that is open around here, be there one of another database between or not."""
    inside = _current.get()
    while inside is not None and (inside.work.database is not database or inside.work.over):
        inside = inside.outer
    return inside


def apart() -> bool:
    """Whether a unit of work is open around here that may see what others do not: what it has written, or what was true before now."""
    inside = _current.get()
    while inside is not None:
        if not inside.work.over and inside.work.apart:
            return True
        inside = inside.outer
    return False


def outside() -> None:
    """Be in no unit of work: in a process that was forked inside one, which is its parent's; in what goes on in the background."""
    _current.set(None)


@contextmanager
def entered(work: AnyWork) -> Iterator[None]:
    """Inside, it is the current unit of work."""
    token = _current.set(Inside(work, 0, _current.get()))
    try:
        yield
    finally:
        with suppress(ValueError):  # a framework may leave a generator in another context than it entered it in
            _current.reset(token)


Doing = Callable[[AnyWork, Callable[[Any], Any], int], Steps[Any]]
"""How the function of a unit of work is called: `called`, or something around it."""


def called(work: AnyWork, fn: Callable[[Any], Any], depth: int = 0) -> Steps[Any]:
    """Call the function of a unit of work with it as the current one."""
    token = _current.set(Inside(work, depth, _current.get()))
    try:
        return _done((yield partial(fn, work)))
    finally:
        _current.reset(token)


def _done(value: Any) -> Any:
    """What a function has given. Raises UsageError for a coroutine, which nobody would run."""
    if type(value) is CoroutineType:
        value.close()
        raise UsageError(
            f"{value.__qualname__} is a coroutine function, and nothing awaits it in a Database", hint="AsyncDatabase is for those"
        )
    return value


def nested(inside: Inside, fn: Callable[[Any], Any], terms: Terms, doing: Doing) -> Steps[Any]:
    """A unit of work inside another one: a savepoint of it. Raises UsageError where it asks for what the outer one is not."""
    outer = inside.work
    if (terms.isolation and terms.isolation != outer.terms.isolation) or (outer.terms.readonly and not terms.readonly):
        raise UsageError(
            f"a unit of work inside another one asks for {terms.isolation or 'writing'}, and the transaction has begun as "
            f"{outer.terms.isolation or 'the server is set'}{', read only' if outer.terms.readonly else ''}",
            hint="ask for it where the outermost one begins",
        )
    if outer._depth != inside.depth:
        raise UsageError(
            "two units of work inside one are open at a time, in two tasks or threads, and savepoints of a transaction must nest",
            hint="await one after the other; or begin each outside, in a transaction of its own",
        )
    marks = len(outer._committed), len(outer._undone)
    point = _in_session if "sqlalchemy" in sys.modules else _in_plain
    outer._depth += 1
    try:
        return (yield from point(outer, partial(doing, outer, fn)))
    except BaseException:
        hooks = outer._undone[marks[1] :]
        del outer._committed[marks[0] :], outer._undone[marks[1] :]
        yield from outer._hooks(hooks[::-1])
        raise
    finally:
        outer._depth -= 1


def _in_plain(outer: AnyWork, call: Callable[[int], Steps[Any]]) -> Steps[Any]:
    yield partial(outer._conn.execute, "SAVEPOINT pgcharter_nested")
    outer._plain += 1
    try:
        value = yield from call(outer._depth)
        yield partial(outer._conn.execute, "RELEASE pgcharter_nested")
    except BaseException:
        if _open(outer):
            yield partial(outer._conn.execute, "ROLLBACK TO pgcharter_nested")
            yield partial(outer._conn.execute, "RELEASE pgcharter_nested")
        raise
    finally:
        outer._plain -= 1
    return value


def _in_session(outer: AnyWork, call: Callable[[int], Steps[Any]]) -> Steps[Any]:
    """Through the session, which has to know of the savepoint: a flush that fails rolls back as far as it knows."""
    point: Any = yield outer.session.begin_nested
    leave = getattr(point, "__aexit__", None) or point.__exit__
    try:
        yield outer.session.connection  # sends SAVEPOINT, which else waits for the session's first statement
        value = yield from call(outer._depth)
        yield outer.session.flush
    except BaseException as error:
        if _open(outer):
            yield partial(leave, type(error), error, error.__traceback__)
        raise
    yield partial(leave, None, None, None)
    return value


def _open(work: AnyWork) -> bool:
    """Whether there is a transaction yet that a savepoint of it could be rolled back in."""
    return not work._conn.closed and work.held.said.state == "open"
