"""A connection whose transaction never ends while a test runs: COMMIT becomes a savepoint that is kept, and the end of the test rolls back.

It is done in the driver, so that it holds for psycopg and for SQLAlchemy, for sessions and engines, sync and async alike: whoever calls
`commit()` believes it. The async connection is a second object over the same session of the server, so sync factories and async code under
test see the same rows, and it is bound to no event loop: it waits in whichever runs.

What a real COMMIT would do beyond that: checks that are deferred are made, and a failing one rolls back, as it would. Nothing is seen by
other connections, NOTIFY is not delivered, and now() stands still, since all of it is one transaction.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import generators, pq
from psycopg.errors import error_from_result
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgcharter.errors import PgcharterError
from pgcharter.names import literal, quote
from pgcharter.runtime.context import NOTHING, Context, current, unlike

Steps = Generator[Any, Any, Any]
_KEPT = "pgcharter_kept"
_CHECKED = "pgcharter_checked"
_SETTINGS = ("tenant", "actor", "reason", "correlation")
_COMMIT = (
    f"SAVEPOINT {_CHECKED}", "SET CONSTRAINTS ALL IMMEDIATE", f"ROLLBACK TO {_CHECKED}", f"RELEASE {_CHECKED}",
    f"RELEASE {_KEPT}", f"SAVEPOINT {_KEPT}",
)  # fmt: skip
"""Checking what is deferred, and taking back that it was: the mode of constraints is the transaction's."""
_END = ("ROLLBACK", "SELECT pg_advisory_unlock_all()")
_TOKEN = "pgcharter.rolled_back"  # noqa: S105
"""Setting that ends with the transaction: where it is gone, somebody has ended that by SQL of his own."""


@dataclass
class State:
    """What the two connections over one session share."""

    strict: bool = False
    """Whether a transaction must have a context (a tenant, or none on purpose), as it must on connections of `runtime`."""
    role: str = ""
    """Who the session is when a transaction begins; empty: who logged in."""
    fresh: bool = True
    """Whether no statement has run since the last commit or rollback."""
    begun: Context = NOTHING
    outer: bool = False
    """Whether a block of `conn.transaction()` is open that would be the transaction itself."""
    apart: bool = False
    """Whether what runs now is the plugin's own, for which no context holds, and which neither commits nor rolls back."""
    settling: bool = False
    """Whether SQLAlchemy is asking what it asks of every new connection."""


class _RolledBack:
    """What both colours share. Mixed into psycopg's connections, whose generators it takes the place of."""

    state: State
    pgconn: Any
    _num_transactions: int
    _pipeline: Any
    _prepared: Any

    def _start_query(self) -> Steps:
        if self.state.apart or self.state.settling:
            return
        now = current()
        if self.state.fresh:
            statements = self._context(now)
            self.state.fresh, self.state.begun = False, now
            if statements:
                yield from self._sent(*statements)
        elif self.state.strict and now is not self.state.begun and now != self.state.begun:
            raise unlike(self.state.begun, now)

    def _context(self, now: Context) -> tuple[str, ...]:
        """What makes the context hold. Names that are not said are emptied: the transaction before this one may have set them."""
        if not self.state.strict and now == NOTHING == self.state.begun:
            return ()
        said = now.statements() if self.state.strict else replace(now, everybody=True).statements()
        cleared = tuple(f"SET LOCAL pgcharter.{name} = ''" for name in _SETTINGS)
        return (*cleared, self._as_role(), *said)

    def _as_role(self) -> str:
        return f"SET LOCAL ROLE {quote(self.state.role)}" if self.state.role else "SET LOCAL ROLE NONE"

    def _sent(self, *statements: str) -> Steps:
        """Send statements in one message, one by one in a pipeline; their results. Raises psycopg's error for the first that fails."""
        if self._pipeline:
            for statement in statements:
                yield from self._exec_command(statement.encode())
            yield from self._synced()
            return ()
        self.pgconn.send_query("; ".join(statements).encode())
        found = yield from generators.execute(self.pgconn)
        for result in found:
            if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
                raise error_from_result(result, encoding="utf-8")
        return found

    def _synced(self) -> Steps:
        """Await everything sent in the pipeline. psycopg raises for the first failure it reads and leaves the rest unread."""
        try:
            yield from self._pipeline._sync_gen()
        except psycopg.Error:
            with suppress(psycopg.errors.PipelineAborted):
                yield from self._pipeline._fetch_gen(flush=False)
            raise

    def _exec_command(self, command: Any, result_format: pq.Format = pq.Format.TEXT) -> Steps:
        """A block of `conn.transaction()` outside of any transaction would be one: its end is a commit or a rollback."""
        text = bytes(command) if isinstance(command, bytes | bytearray) else b""
        if self.state.fresh and not self.state.apart and self._num_transactions == 1 and text.startswith(b"SAVEPOINT "):
            self.state.outer = True
        ends = self.state.outer and self._num_transactions == 0 and text.startswith(b"RELEASE ")
        failed = self.pgconn.transaction_status == TransactionStatus.INERROR
        done = None if ends and failed else (yield from super()._exec_command(command, result_format))  # type: ignore[misc]
        if ends:
            self.state.outer = False
            yield from self._ended()
        return done

    def _ended(self) -> Steps:
        if self._pipeline:
            yield from self._synced()
        self.state.fresh = True
        if self.pgconn.transaction_status == TransactionStatus.INERROR:  # a real COMMIT would roll back
            yield from self._sent(f"ROLLBACK TO {_KEPT}")
            return
        try:
            yield from self._sent(*_COMMIT)
        except psycopg.Error:
            if self.pgconn.transaction_status == TransactionStatus.INERROR:
                yield from self._sent(f"ROLLBACK TO {_KEPT}")
            raise

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside, statements are the plugin's own: for no tenant, and as who logged in; a transaction of the test goes on after them."""
        before, self.state.apart = self.state.apart, True
        try:
            yield
        finally:
            self.state.apart = before

    def as_admin(self) -> Steps:
        """Become who logged in, for work of the plugin's own."""
        if self.state.role:
            yield from self._sent("SET LOCAL ROLE NONE")

    def as_before(self) -> Steps:
        """Become the role of the tests again. Work before a transaction of the test is kept, whatever the test rolls back after it."""
        if self.state.role:
            yield from self._sent(self._as_role())
        if self.state.fresh and not self._num_transactions:
            yield from self._sent(f"RELEASE {_KEPT}", f"SAVEPOINT {_KEPT}")

    def _commit_gen(self) -> Steps:
        if self._num_transactions or self.pgconn.transaction_status == TransactionStatus.IDLE:
            yield from super()._commit_gen()  # type: ignore[misc]  # which refuses it, or has nothing to do
            return
        if not self.state.fresh and not self.state.apart:
            yield from self._ended()

    def _rollback_gen(self) -> Steps:
        if self._num_transactions or self.pgconn.transaction_status == TransactionStatus.IDLE:
            yield from super()._rollback_gen()  # type: ignore[misc]
            return
        if self._pipeline:
            yield from self._synced()
        if (self.state.fresh or self.state.apart) and self.pgconn.transaction_status == TransactionStatus.INTRANS:
            return
        self.state.fresh = True
        yield from self._sent(f"ROLLBACK TO {_KEPT}")
        self._prepared.clear()
        yield from self._prepared.maintain_gen(self)

    def __del__(self, *_: Any) -> None:
        """Its session is the fixture's, and ends with that."""


class RolledBackConnection(_RolledBack, psycopg.Connection[Any]):
    """The sync one."""

    def __init__(self, pgconn: Any) -> None:
        super().__init__(pgconn)
        self.state = State()

    def close(self) -> None:
        """Roll back what is not committed; the session stays open, until the fixture ends it."""
        if not self.closed and not self._num_transactions:
            self.rollback()

    def opened(self, *, strict: bool, role: str) -> None:
        """Begin the transaction that holds everything a test does."""
        self.state = State(strict, role)
        self.row_factory, self.cursor_factory = tuple_row, psycopg.Cursor
        self.wait(self._sent("BEGIN", self._as_role(), f"SET LOCAL {_TOKEN} = 'on'", f"SAVEPOINT {_KEPT}"))

    def undone(self) -> None:
        """Roll everything back. Raises PgcharterError where the test has ended the transaction by SQL: what it wrote is there to stay."""
        begin = (f"ROLLBACK TO {_KEPT}",) if self.pgconn.transaction_status == TransactionStatus.INERROR else ()
        try:
            found = self.wait(self._sent(*begin, f"SELECT current_setting({literal(_TOKEN)}, true)", *_END))
            whole = any(result.ntuples and result.get_value(0, 0) == b"on" for result in found)
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            self.wait(self._sent(*_END))
            whole = False
        self._prepared.clear()
        self.wait(self._prepared.maintain_gen(self))
        self._num_transactions = 0
        if not whole:
            raise PgcharterError(
                "the test has ended the transaction that its fixture rolls back, by COMMIT or ROLLBACK as SQL, so what it wrote may"
                " stay; the next test gets a new database",
                hint="commit by the connection or session, or take the fixture pg_database, a database of the test's own",
            )

    def twin(self) -> RolledBackAsyncConnection:
        """The async connection of the same session."""
        made = RolledBackAsyncConnection(self.pgconn)
        made.prepare_threshold = None  # both would call statements _pg3_0
        made.state = self.state
        return made


class RolledBackAsyncConnection(_RolledBack, psycopg.AsyncConnection[Any]):
    """The async one, over the session of a sync one, with which it shares what has been begun."""

    async def close(self) -> None:
        """Roll back what is not committed; the session stays open, until the fixture ends it."""
        if not self.closed and not self._num_transactions:
            await self.rollback()


@contextmanager
def aside(conn: Any) -> Iterator[None]:
    """Inside, a sync connection of `pg_conn` works for the plugin: as who made the database, for no tenant. Others stay as they are."""
    if not isinstance(conn, RolledBackConnection) or conn.state.apart:
        yield
        return
    with conn.apart():
        conn.wait(conn.as_admin())
        try:
            yield
        finally:
            if conn.pgconn.transaction_status == TransactionStatus.INTRANS:
                conn.wait(conn.as_before())
