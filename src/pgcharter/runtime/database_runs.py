"""How a unit of work runs, for both colours: begun, called, committed, tried again, and asked about where its commit was not answered."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from pgcharter.errors import ConnectError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.database_outcome import Outcomes
from pgcharter.runtime.database_parts import Parts
from pgcharter.runtime.outcomes import Retry, UnknownOutcomeError, judge, left
from pgcharter.runtime.pools import Server
from pgcharter.runtime.routing import Token
from pgcharter.runtime.served import ID, EndedError, Terms
from pgcharter.runtime.work import AnyWork, Doing, around, called, log, nested

if TYPE_CHECKING:
    from pgcharter.runtime.idempotency import Key


class Runs(Parts, Outcomes):
    """Units of work of both colours."""

    def _run(self, fn: Callable[[Any], Any], terms: Terms, retry: Retry, after: Token | None, key: Key | None) -> Steps[Any]:
        doing = called if key is None else partial(self._once, key)
        inside = around(self)
        if inside is not None:
            return (yield from nested(inside, fn, terms, doing))
        began = time.monotonic()
        deadline = began + retry.deadline
        self.counts.add("runs")
        self.budget.earn()
        attempt = 1
        while True:
            work: AnyWork | None = None
            try:
                work = yield from self._begun(terms, attempt, after)
                work.key = key
                return (yield from self._attempt(work, fn, retry, doing))
            except BaseException as error:
                verdict = judge(error, retry, work is None or work.broken)
                if work is not None and work.held.said.state in ("sent", "committed"):
                    raise
                pause = retry.pause(attempt)
                if isinstance(error, ConnectError):
                    deadline = min(deadline, began + retry.away)
                if verdict == "final" or attempt >= retry.attempts or pause > left(deadline) or not self.budget.take():
                    if attempt > 1:
                        error.add_note(f"pgcharter: tried {attempt} times")
                    raise
                if verdict == "lost":
                    self.counts.add("lost")
            self.counts.add("tried_again")
            attempt += 1
            yield partial(self._sleep, pause)

    def _begun(self, terms: Terms, attempt: int, after: Token | None) -> Steps[AnyWork]:
        """Begin where the work belongs: what only reads on a replica that is far enough, all else on the primary."""
        if terms.readonly and self.router is not None:
            work = yield from self.router.begun(terms, attempt, after)
            if work is not None:
                return work
        return (yield from self.begun_on(self.primary, terms, attempt))

    def begun_on(
        self, server: Server, terms: Terms, attempt: int, wait: float | None = None, fit: Callable[[Any], Terms] | None = None
    ) -> Steps[AnyWork]:
        """Borrow a connection of a server, waiting at most `wait` seconds, and begin on it; `fit` may have other terms for a connection."""
        conn = yield from server.borrow(wait)
        try:
            if not server.met and "sqlalchemy" in sys.modules:
                yield partial(self._meet, server, conn)
                server.met = True
            work: AnyWork = self._work(server, conn, terms if fit is None else fit(conn), attempt)
        except BaseException:
            yield from server.give_back(conn)
            raise
        try:
            yield work._begin
        except BaseException as error:
            standby = isinstance(error, psycopg.errors.ReadOnlySqlTransaction) and terms.asks == ID
            try:
                if standby:
                    yield from server.outdated(conn)
            finally:
                yield from self._released(work)
            if standby:
                raise ConnectError(f"{server.name} is a standby now, and nothing can be written there") from error
            raise
        return work

    def _attempt(self, work: AnyWork, fn: Callable[[Any], Any], retry: Retry, doing: Doing) -> Steps[Any]:
        value = error = None
        try:
            value = yield from doing(work, fn, 0)
        except BaseException as raised:
            error = raised
        yield from self._finished(work, error, retry.settle)
        return value

    def _once(self, key: Key, work: AnyWork, fn: Callable[[Any], Any], depth: int) -> Steps[Any]:
        """Call the function under an idempotency key; where its request was answered before, give that answer and do not call it."""
        from pgcharter.runtime.idempotency import Answer, answer, claim

        found = yield partial(self._flow(claim), work._conn, key)
        if isinstance(found, Answer):
            return found.value
        value = yield from called(work, fn, depth)
        yield partial(self._flow(answer), work._conn, key, value)
        return value

    def _finished(self, work: AnyWork, error: BaseException | None, settle: float) -> Steps[None]:
        """Commit, or roll back after an error; then, with the connection given back, the hooks. Raises what went wrong."""
        said = work.held.said
        tellings: list[Callable[[], Any]] = []
        unknown: UnknownOutcomeError | None = None
        try:
            if error is None:
                try:
                    yield from work._ended()
                except BaseException as raised:
                    error = raised
            if error is not None:
                try:
                    yield from self._failed(work, error, settle)
                except UnknownOutcomeError as raised:
                    unknown = raised
            if unknown is not None or said.state == "committed":
                tellings = self._tellings(work)
        finally:
            yield from self._released(work)
        if unknown is not None:
            yield from work._hooks([*tellings, *work._unsure])
            raise unknown
        if said.state == "committed":
            self.counts.add("committed")
            if self.router is not None:
                try:
                    self.router.committed(work)
                except Exception:
                    log.exception("what a commit has written could not be noted for reads that come after it")
            if tellings or work._committed:
                yield from work._hooks([*tellings, *work._committed])
            if isinstance(error, EndedError):
                raise error
            if isinstance(error, Exception):
                log.info("a unit of work is committed, though what ended it raised %r", error)
                return
        else:
            self.counts.add("rolled_back")
            if work._undone:
                yield from work._hooks(work._undone[::-1])
        if error is not None:
            raise error

    def _failed(self, work: AnyWork, error: BaseException, settle: float) -> Steps[None]:
        """Find out what became of a transaction whose function or commit raised; undo it where it is open. Raises UnknownOutcomeError."""
        said = work.held.said
        if said.state in ("sent", "ended"):
            told = yield from self._asked(work, error, settle)
            said.state = "committed" if told == "committed" else "rolled back"
        if said.state != "committed":
            yield from work._undo()

    def _released(self, work: AnyWork) -> Steps[None]:
        """Give the connection back, whatever happens. What goes wrong here is nothing of the transaction, which has ended."""
        conn = work._conn
        work.over = True
        try:
            yield from work._closed()
        except Exception as error:
            log.debug("a session could not be closed, its connection is given up: %s", error)
            conn.let_go()
            conn.pgconn.finish()
        finally:
            work.broken = bool(conn.closed)
            conn.held = None
            if conn.pgconn.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
                conn.pgconn.finish()
            yield from work.server.give_back(conn)
