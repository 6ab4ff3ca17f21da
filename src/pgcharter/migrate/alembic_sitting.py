"""One run of the project's env.py in which revisions are done one after another, as they are asked for.

env.py calls us, and the runner calls us: so env.py has a thread of its own, and only one of the two is ever at work. Between two revisions
env.py waits inside of `context.run_migrations()`, its transaction committed, its connection open. Where the transaction is env.py's own
(begun before Alembic could, or with something said in it), only env.py can end it, and it runs once for each revision.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pgcharter.db import connect, queries
from pgcharter.errors import PgcharterError
from pgcharter.migrate import alembic_env, home
from pgcharter.migrate.lock import FENCE
from pgcharter.migrate.session import APPLICATION
from pgcharter.names import literal

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection as SaConnection

    from pgcharter.db import Connection
    from pgcharter.migrate.alembic import Revisions
    from pgcharter.migrate.alembic_parts import Parts
    from pgcharter.migrate.work import Work

LIMITS = ("lock_timeout", "statement_timeout")
STOPPING = 10.0
"""Seconds that env.py is given to end after Ctrl-C."""


@dataclass
class Sitting:
    """env.py at work; it begins with the first revision and ends with the last one, or with `end`."""

    revisions: Revisions
    dsn: str
    _thread: threading.Thread | None = None
    _parts: Parts | None = None
    _asked: SimpleQueue[Parts | None] = field(default_factory=SimpleQueue)
    _told: SimpleQueue[BaseException | None] = field(default_factory=SimpleQueue)
    """After each revision None, or the error with which env.py ended."""
    _ended: bool = True
    _interrupted: bool = False
    _pid: int = 0
    _leave: str = ""
    """What gives the share of the fence back."""
    _sent: bool = False
    """Whether something was said in the transaction that is open."""
    _own: bool = False
    """Whether the transaction is env.py's own."""

    def do(self, parts: Parts) -> None:
        """Do one revision; when it is the last one, also what env.py does after it. Raises whatever the revision and env.py raise."""
        with alembic_env.around(self.revisions.alembic):
            if self._ended:
                self._begin(parts)
            else:
                self._of(parts.work)
                self._asked.put(parts)
            self._wait(parts.work)

    def end(self) -> None:
        """Let env.py come to its end. What it says then is lost: the revisions before were done."""
        if not self._ended:
            with alembic_env.around(self.revisions.alembic), contextlib.suppress(Exception):
                self._asked.put(None)
                self._told.get(timeout=STOPPING)
            self._ended = True

    # the two threads

    def _begin(self, parts: Parts) -> None:
        self._parts, self._ended, self._interrupted, self._own, self._sent = parts, False, False, False, False
        self._asked, self._told = SimpleQueue(), SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="env.py", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        """The thread of env.py."""
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            with self._listening():
                alembic_env.run(self.revisions.alembic, self.dsn, self._steps, self._attach)
        except BaseException as error:
            self._ended = True
            self._told.put(error)
        else:
            self._ended = True
            self._told.put(None)
        finally:
            loop.close()

    def _wait(self, work: Work) -> None:
        """Until the revision is done; meanwhile look from time to time who stands in the way of the statement at work."""
        longest = work.terms.lock_timeout
        pause = max(0.02, min(0.25, longest / 4)) if longest else 0.25
        try:
            while True:
                try:
                    error = self._told.get(timeout=pause)
                    break
                except Empty:
                    since = self._parts.since if self._parts else 0.0
                    if since and self._pid:
                        work.look(time.monotonic() - since)
        except KeyboardInterrupt:
            self._stop(work)
            raise
        finally:
            work.pid = 0
        if error is not None:
            raise error

    def _stop(self, work: Work) -> None:
        """End what is at work: its statements are cancelled until env.py has ended."""
        self._interrupted, began = True, time.monotonic()
        with contextlib.suppress(Exception), contextlib.closing(connect(self.dsn, application_name=APPLICATION)) as conn:
            while not self._ended and time.monotonic() - began < STOPPING:
                for pid in (self._pid, work.session.conn.info.backend_pid):
                    conn.execute("SELECT pg_catalog.pg_cancel_backend(%s)", (pid,))
                self._asked.put(None)
                with contextlib.suppress(Empty):
                    self._told.get(timeout=0.5)
        self._ended = True

    # env.py's own thread

    def _steps(self, heads: tuple[str, ...], context: MigrationContext) -> Iterable[Any]:
        """The steps for Alembic: of each revision that is asked for, unless it is done."""
        from alembic.runtime.migration import MigrationStep

        scripts, parts = self.revisions.alembic.script, self._parts
        applied = set(self.revisions.applied(heads))
        assert parts is not None  # noqa: S101  (env.py is begun with one)
        self.revisions.take_over(parts.work.session.conn, heads)
        driver: Any = context.connection.connection.dbapi_connection if context.connection else None
        limits = _limits(driver)
        while parts is not None:
            up = parts.direction == "up"
            parts.already = (parts.version in applied) is up
            if not parts.already:
                script: Any = scripts.get_revision(parts.version)
                parts.connection, parts.limits = driver, limits
                make = MigrationStep.upgrade_from_script if up else MigrationStep.downgrade_from_script
                yield make(scripts.revision_map, script)
                parts.connection = None
                applied ^= {parts.version}
                parts.committed = not self._own and alembic_env.commit(context)
                if not parts.committed:
                    return
                if parts.sets:
                    _restore(driver, limits)
            if parts.last:
                return
            self._told.put(None)
            parts = self._parts = self._asked.get()

    def _attach(self, environment: EnvironmentContext, context: MigrationContext) -> None:
        """Take part in what env.py's context does."""
        if context.connection is None:
            raise PgcharterError("env.py configured its context without a connection, so nothing can be run")
        context.on_version_apply_callbacks = (*context.on_version_apply_callbacks, self._applied)
        begin, run, connection = environment.begin_transaction, environment.run_migrations, context.connection

        def begins() -> Any:
            self._own = self._own or connection.in_transaction()
            return begin()

        def runs(**keywords: Any) -> None:
            self._own = self._own or self._sent
            run(**keywords)

        environment.begin_transaction, environment.run_migrations = begins, runs  # type: ignore[method-assign]

    def _applied(self, **_: Any) -> None:
        if self._parts:
            self._parts.applied()

    # what SQLAlchemy tells

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear what SQLAlchemy sends meanwhile."""
        from sqlalchemy import Engine, event
        from sqlalchemy.pool import Pool

        heard: list[tuple[Any, str, Any, dict[str, Any]]] = [
            (Pool, "checkout", self._opened, {}),
            (Pool, "checkin", self._closed, {}),
            (Engine, "begin", self._begun, {}),
            (Engine, "before_cursor_execute", self._statement, {"retval": True}),
            (Engine, "after_cursor_execute", self._executed, {}),
            (Engine, "handle_error", self._failed, {}),
            (Engine, "commit", self._commit, {}),
        ]
        for target, name, function, options in heard:
            event.listen(target, name, function, **options)
        try:
            yield
        finally:
            for target, name, function, _ in heard:
                event.remove(target, name, function)

    def _opened(self, connection: Any, _record: Any, _proxy: Any) -> None:
        """Our timeouts, and a share of the fence: while anything of this run lives, no other runner begins."""
        if self._parts is None:
            return
        work, cursor = self._parts.work, connection.cursor()
        milliseconds = (f"{seconds * 1000:.0f}ms" for seconds in (work.terms.lock_timeout, work.terms.statement_timeout))
        settings = {**dict(zip(LIMITS, milliseconds, strict=True)), "application_name": APPLICATION, **work.terms.settings}
        set_all = ", ".join(f"pg_catalog.set_config({literal(name)}, {literal(value)}, false)" for name, value in settings.items())
        cursor.execute(f"SELECT {set_all}")
        cursor.execute(fence("join", work.session.conn))
        self._pid = cursor.fetchone()[1]
        self._leave = fence("leave", work.session.conn)
        work.beside.own.append(self._pid)
        self._of(work)
        cursor.close()
        connection.commit()

    def _of(self, work: Work) -> None:
        work.pid = self._pid

    def _closed(self, connection: Any, _record: Any) -> None:
        if connection is not None:
            with contextlib.suppress(Exception):
                cursor = connection.cursor()
                cursor.execute(self._leave)
                cursor.close()
                connection.commit()

    def _begun(self, _conn: SaConnection) -> None:
        self._sent = False

    def _statement(self, conn: SaConnection, cursor: Any, text: str, parameters: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        if self._interrupted:
            raise KeyboardInterrupt
        self._sent = True
        parts = self._parts
        return parts.statement(cursor, text, parameters) if parts and parts.ours(conn) else (text, parameters)

    def _executed(self, conn: SaConnection, *_: Any) -> None:
        if self._parts:
            self._parts.since = 0.0
            if self._parts.ours(conn):
                self._parts.executed()

    def _failed(self, _context: Any) -> None:
        if self._parts:
            self._parts.failed()

    def _commit(self, conn: SaConnection) -> None:
        self._sent = False
        if self._parts and self._parts.ours(conn):
            self._parts.commit()


def _limits(driver: Any) -> tuple[str, ...]:
    """The statements that set the limits as they are now: ours, or what env.py has put in their place."""
    cursor, found = driver.cursor(), []
    for name in LIMITS:
        cursor.execute(f"SHOW {name}")
        found.append(f"SET {name} = {literal(cursor.fetchone()[0])}")
    cursor.close()
    return tuple(found)


def _restore(driver: Any, limits: tuple[str, ...]) -> None:
    """Bring the limits back that a revision may have changed for the session."""
    cursor = driver.cursor()
    for limit in limits:
        cursor.execute(limit)
    cursor.close()
    driver.commit()


def fence(name: str, conn: Connection) -> str:
    """A query of `alembic.sql` about the fence of the place that `conn` is at home in."""
    found = queries.load("pgcharter.migrate", "alembic.sql")[name]
    return found.format(fence=FENCE, home=literal(home.of(conn).schema))
