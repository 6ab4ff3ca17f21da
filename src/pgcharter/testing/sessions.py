"""What a process of a test run has: its server, the template, the database in which tests are rolled back, sessions of SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from pgcharter.db import connect
from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.testing.databases import Clone, Databases
from pgcharter.testing.recipes import Recipes
from pgcharter.testing.rolledback import RolledBackAsyncConnection, RolledBackConnection
from pgcharter.testing.servers import PgServer

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

    from pgcharter.db import Connection

C = TypeVar("C", RolledBackConnection, RolledBackAsyncConnection)


class Shared:
    """The database of one process of a test run in which tests are rolled back, with one session of the server."""

    def __init__(self, databases: Databases, *, strict: bool) -> None:
        self.databases = databases
        self.strict = strict
        """Whether transactions must have a context."""
        self._clone: Clone | None = None
        self._conn: RolledBackConnection | None = None
        self._twin: RolledBackAsyncConnection | None = None
        self._trial: Connection | None = None

    @property
    def clone(self) -> Clone:
        """The database."""
        if self._clone is None:
            self._clone = self.databases.clone()
        return self._clone

    @contextmanager
    def rolled_back(self, role: str | None = None) -> Iterator[RolledBackConnection]:
        """The session, in a transaction that is rolled back, as `role` instead of the one that tests run as.

        Raises PgcharterError where the test has ended that by SQL.
        """
        role = self.databases.role if role is None else role
        self.databases.enable(role)
        conn = self.conn
        conn.opened(strict=self.strict, role=role)
        if self._twin:
            self._twin.state, self._twin.lock, self._twin._num_transactions = conn.state, asyncio.Lock(), 0
        try:
            yield conn
        finally:
            self._undo(conn)

    def _undo(self, conn: RolledBackConnection) -> None:
        try:
            conn.undone()
        except psycopg.OperationalError:  # the test has ended the session
            self._forget()
        except PgcharterError:
            self._forget()
            if self._clone:
                self.databases.drop(self._clone.name)
                self._clone = None
            raise

    @property
    def conn(self) -> RolledBackConnection:
        """The session, made anew where the last one is gone."""
        if self._conn is None or self._conn.pgconn.status != psycopg.pq.ConnStatus.OK:
            self._forget()
            role = self.databases.role
            dsn = self.databases.server.database(self.clone.name, role=role)
            self._conn = RolledBackConnection.connect(dsn, application_name="pgcharter tests")
        return self._conn

    @property
    def twin(self) -> RolledBackAsyncConnection:
        """The same session for async code."""
        if self._twin is None:
            self._twin = self.conn.twin()
        return self._twin

    def _forget(self) -> None:
        if self._conn:
            self._conn.pgconn.finish()
        for name in ("engine", "async_engine"):
            engine = self.__dict__.pop(name, None)
            if engine is not None:
                with suppress(Exception):
                    getattr(engine, "sync_engine", engine).dispose(close=False)
        self._conn = self._twin = None

    @cached_property
    def engine(self) -> Engine:
        """An engine of SQLAlchemy with the one session as its only connection."""
        made: Engine = self._engine("create_engine", creator=lambda: self._lent(self.conn))
        return made

    @cached_property
    def async_engine(self) -> AsyncEngine:
        """The same for async code, in whichever event loop."""

        async def lent() -> RolledBackAsyncConnection:
            return self._lent(self.twin)

        made: AsyncEngine = self._engine("create_async_engine", async_creator=lent)
        return made

    def _engine(self, name: str, **creator: Any) -> Any:
        try:
            from sqlalchemy import engine as sync
            from sqlalchemy import event
            from sqlalchemy.ext import asyncio as coloured
        except ImportError:
            raise UnavailableError(
                "SQLAlchemy is not installed, so there are no sessions", hint="pip install 'pgcharter[testing]'"
            ) from None
        make: Callable[..., Any] = getattr(sync if name == "create_engine" else coloured, name)
        engine = make("postgresql+psycopg://", pool_size=1, max_overflow=0, pool_timeout=2, **creator)
        event.listen(getattr(engine, "sync_engine", engine), "checkout", self._taken)
        return engine

    def _lent(self, conn: C) -> C:
        """SQLAlchemy asks a new connection for this and that, before anybody's transaction begins."""
        conn.state.settling = True
        return conn

    def _taken(self, *_: object) -> None:
        self.conn.state.settling = False

    @cached_property
    def recipes(self) -> Recipes:
        """How rows of its tables are made up."""

        def connected() -> Connection:
            if self._trial is None or self._trial.closed:
                self._trial = connect(self.clone.admin_dsn, application_name="pgcharter tests")
            return self._trial

        return Recipes(connected)

    def close(self) -> None:
        """End the session and drop the database."""
        self._forget()
        if self._trial:
            self._trial.close()
        if self._clone:
            self.databases.drop(self._clone.name)


@contextmanager
def session(shared: Shared, name: str) -> Iterator[Session]:
    """A session of SQLAlchemy over the session that is rolled back."""
    from sqlalchemy.orm import Session

    with Session(shared.engine.execution_options(pgcharter_test=name)) as made:
        yield made


@contextmanager
def async_session(shared: Shared, name: str) -> Iterator[AsyncSession]:
    """The async one. It may be used in any event loop, and needs none to end: what is open then is closed in one of its own."""
    engine = shared.async_engine
    from sqlalchemy.ext.asyncio import AsyncSession

    made = AsyncSession(engine.execution_options(pgcharter_test=name), expire_on_commit=False)
    try:
        yield made
    finally:
        if made.sync_session._transaction is not None:
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(made.close())
            finally:
                loop.close()


class Run:
    """One process of a test run: its server and databases, made when they are asked for."""

    def __init__(self, server: PgServer, role: str, install: Callable[[str], str]) -> None:
        self._stack = ExitStack()
        self.server = server
        self.conn = self._stack.enter_context(connect(server.dsn, application_name="pgcharter tests"))
        self.databases = Databases(server, self.conn, role)
        try:
            self.told = self.databases.prepare(install)
            """What the schema was made from."""
        except BaseException:
            self._stack.close()
            raise

    @contextmanager
    def clone(self, role: str | None = None) -> Iterator[Clone]:
        """A database for one test."""
        made = self.databases.clone(role)
        try:
            yield made
        finally:
            self.databases.drop(made.name)

    def close(self) -> None:
        """Drop the template, and leave."""
        try:
            if not self.server.own:
                self.databases.drop(self.databases.template)
        finally:
            self._stack.close()
