"""Appends of many callers as one: whoever comes while a call is on its way goes along with the next one.

    writer = Writer(db)
    writer.append(Append("order", order_id, [New("order-placed", {…})], expected=0))    # from any thread

Each caller gets its own outcome, and a conflict of one is its own alone. The transaction is the writer's: when `append` returns, it is
committed. What belongs to other work of the caller goes through `events.append` in the caller's transaction instead.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import weakref
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import generators
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

from pgcharter import faults
from pgcharter.db.flows import Steps as FlowSteps
from pgcharter.db.flows import flow
from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.context import Context, current, using
from pgcharter.runtime.events import Append, Appended, Conflict, VersionConflictError, outcomes, request, sent
from pgcharter.runtime.events_reading import SQL
from pgcharter.runtime.outcomes import UnknownOutcomeError
from pgcharter.runtime.work import around

if TYPE_CHECKING:
    from pgcharter.runtime.database import AsyncDatabase, Database
    from pgcharter.runtime.events_types import Types

POINTS = ("events group sent", "events group committed")
"""Fault points: before the transaction of a group is committed, and after."""
Given = Sequence[bytes | None]
"""What the stored function is given, as text."""
_NAME, _CALL = b"pgcharter_append_each", SQL["at_once"].encode()
_PREPARED: weakref.WeakSet[Any] = weakref.WeakSet()
"""Connections on which the call is prepared."""
_PATIENCE = 0.02
"""Seconds for which an append may wait for others to go along while a lane is free."""
_KEPT = 0.05
"""Seconds for which a connection goes from call to call before others may borrow it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Asked:
    """What one caller waits for."""

    __slots__ = ("append", "context", "group", "key", "outcome", "overdue", "wake")

    def __init__(self, append: Append, context: Context, wake: Any) -> None:
        self.append = append
        self.context = context
        self.key = append.aggregate_type, str(append.aggregate_id)
        self.wake = wake
        self.overdue = False
        self.group: Sequence[_Asked] = ()
        self.outcome: Appended | BaseException | None = None


@flow
def append_each(appends: Sequence[Append], *, types: Types | None = None) -> FlowSteps[list[Appended | Conflict]]:
    """Append what can be appended; for each what became of it. Raises UsageError as `append` does, for all of them."""
    return (yield from sent(appends, types, "each"))


class _Groups:
    """Who waits, and which of them go together."""

    _appended: Any
    """Appends in a unit of work of the colour's."""

    _message: Any
    """Calls the stored function once on a connection that is borrowed."""

    def __init__(self, database: Any, types: Types | None, most: int, lanes: int, at_once: bool) -> None:
        if most < 1 or lanes < 1:
            raise UsageError(f"{lanes} groups of {most} appends are none")
        self.database = database
        self.types = types
        self.most = most
        self.at_once = at_once
        self._lanes = lanes
        self._lock = threading.Lock()
        self._kept: list[tuple[Any, float]] = []
        self._using = 0
        self._waiting: deque[_Asked] = deque()

    def _asked(self, append: Append, wake: Any) -> _Asked:
        if around(self.database) is not None:
            raise UsageError(
                "a writer appends in a transaction of its own, and a unit of work is open around here: one could be kept without the other",
                hint="append(work.conn, …) in it",
            )
        return _Asked(append, current(), wake)

    def _group(self) -> list[_Asked]:
        """The first who waits and whoever can go along: of the same tenant and role, each aggregate once, in the order they came."""
        group: list[_Asked] = []
        left: deque[_Asked] = deque()
        busy: set[tuple[str, str]] = set()
        for asked in self._waiting:
            fits = not group or (asked.context.tenant, asked.context.role) == (group[0].context.tenant, group[0].context.role)
            (group if fits and len(group) < self.most and asked.key not in busy else left).append(asked)
            busy.add(asked.key)
        self._waiting = left
        return group

    def _outcomes(self, group: Sequence[_Asked]) -> Steps[list[Appended | BaseException]]:
        """What became of each of a group. What one of them cannot have appended keeps the others from nothing."""
        appends = [_own(a) for a in group]
        try:
            found = (yield from self._at_once(appends, group[0].context)) if self._can(group[0].context) else None
            if found is None:
                with using(group[0].context if len(group) == 1 else replace(group[0].context, actor="", correlation="", reason="")):
                    found = yield partial(self.database.run, partial(self._appended, appends))
            faults.point("events group committed")
        except UsageError as error:
            if len(group) == 1:
                return [error]
            each: list[Appended | BaseException] = []
            for one in group:
                each += yield from self._outcomes([one])
            return each
        except Exception as error:
            return [error] * len(group)
        return [VersionConflictError([f]) if isinstance(f, Conflict) else f for f in found]

    def _can(self, context: Context) -> bool:
        """Whether one message does: no role to take on, no tenant lacking, no keys of persons to be asked for."""
        lacking = self.database.tenants and not context.tenant
        return self.at_once and not context.role and not lacking and not (self.types and self.types.vault.used)

    def _at_once(self, appends: Sequence[Append], context: Context) -> Steps[list[Appended | Conflict] | None]:
        """A group as one statement that is its own transaction: one round trip. None where the server refused it whole."""
        made = self.types.made(appends) if self.types else appends
        wanted, parameters = request(made)
        given = [None if p is None else p.encode() for p in (*parameters, context.tenant, "each")]
        if any(b"\0" in g for g in given if g):
            return None
        server = self.database.primary
        if server.pool is None:
            yield self.database.open
        conn, since = yield from self._connection(server)
        keeps = False
        try:
            faults.point("events group sent")
            results = yield partial(self._message, conn, given)
            keeps = time.monotonic() - since < _KEPT
        except psycopg.Error as error:
            _PREPARED.discard(conn)
            if conn.pgconn.transaction_status != TransactionStatus.IDLE:
                raise UnknownOutcomeError(
                    "the connection was lost before the server said whether events were appended, and nobody knows it",
                    hint="read the aggregate; or append again with the version that is expected. at_once=False asks the server",
                ) from error
            return None
        finally:
            yield from self._let_go(server, conn, since, keeps)
        versions, position, at, conflicts = (results[-1].get_value(0, n) for n in range(4))
        moment = _EPOCH + timedelta(microseconds=int(at or 0))
        numbers = [None if v == b"-" else int(v) for v in versions.split(b",")]
        return outcomes(made, wanted, numbers, int(position or 0), moment, json.loads(conflicts) if conflicts else None)

    def _connection(self, server: Any) -> Steps[tuple[Any, float]]:
        """One that is kept, or borrowed, and since when."""
        with self._lock:
            self._using += 1
            if self._kept:
                return self._kept.pop()
        try:
            return (yield from server.borrow()), time.monotonic()
        except BaseException:
            yield from self._let_go(server, None, 0.0, False)
            raise

    def _let_go(self, server: Any, conn: Any, since: float, keeps: bool) -> Steps[None]:
        """Keep a connection for the next call while others are on their way, but not for long; the last one gives all back."""
        with self._lock:
            self._using -= 1
            if keeps:
                self._kept.append((conn, since))
            over = [] if self._using else [c for c, _ in self._kept]
            if not self._using:
                self._kept.clear()
        for one in [*over, *([] if keeps or conn is None else [conn])]:
            yield from server.give_back(one)


def _called(conn: Any, given: Given) -> Generator[Any, Any, list[Any]]:
    """Call the stored function as a transaction of its own, prepared where the connection may keep statements."""
    if conn.prepare_threshold is None:
        conn.pgconn.send_query_params(_CALL, given)
    else:
        if conn not in _PREPARED:
            conn.pgconn.send_prepare(_NAME, _CALL)
            yield from _answers(conn)
            _PREPARED.add(conn)
        conn.pgconn.send_query_prepared(_NAME, given)
    return (yield from _answers(conn))


def _answers(conn: Any) -> Generator[Any, Any, list[Any]]:
    results: list[Any] = yield from generators.execute(conn.pgconn)
    if results[-1].status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise error_from_result(results[-1], encoding=conn.info.encoding)
    return results


def _own(asked: _Asked) -> Append:
    """An append that says itself who did it: the transaction is for many."""
    own, context = asked.append, asked.context
    if not context.actor and not context.correlation:
        return own
    return replace(own, actor=own.actor or context.actor or None, correlation=own.correlation or context.correlation or None)


class Writer(_Groups):
    """For threads. `most`: appends that go together at most; `lanes`: calls that are on their way at a time.

    `at_once`: a group takes one round trip, and where the connection is lost meanwhile nobody knows its outcome; without it, it is a unit
    of work of the database, which asks the server about that. Raises UsageError for numbers below 1.
    """

    def __init__(self, database: Database, *, types: Types | None = None, most: int = 200, lanes: int = 2, at_once: bool = True) -> None:
        super().__init__(database, types, most, lanes, at_once)
        self._busy = 0
        self._sent = 0
        """Appends that are on their way."""

    def append(self, append: Append) -> Appended:
        """Append in a transaction of the writer's own. Raises VersionConflictError for itself alone; UsageError in a unit of work."""
        asked = self._asked(append, threading.Lock())
        asked.wake.acquire()
        try:
            self._wait(asked)
        except BaseException:  # interrupted: whoever counts on this thread goes on
            with self._lock:
                if asked in self._waiting:
                    self._waiting.remove(asked)
            if asked.group:
                self._lead(asked)
            raise
        if asked.group:
            self._lead(asked)
        if isinstance(asked.outcome, BaseException):
            raise asked.outcome
        return asked.outcome  # type: ignore[return-value]

    def _wait(self, asked: _Asked) -> None:
        """Until this one is to lead a group, or has gone along."""
        with self._lock:
            self._waiting.append(asked)
            goes = self._next(asked)
        if not goes and not asked.wake.acquire(timeout=_PATIENCE):
            with self._lock:
                asked.overdue = True
                goes = self._next(asked)
            if not goes:
                asked.wake.acquire()

    def _next(self, here: _Asked | None = None) -> bool:
        """Form a group where one is to go, and wake its leader; whether that is the thread that is here.

        It goes where a lane is free, and as many wait as is its share of all who are here, or somebody has waited enough. So the last one
        to come takes the others along, and while the server writes for some, the next ones get ready.
        """
        waiting = len(self._waiting)
        share = waiting * self._lanes >= self._sent + waiting
        if not waiting or self._busy == self._lanes or not (share or self._waiting[0].overdue):
            return False
        group = self._group()
        self._busy += 1
        self._sent += len(group)
        leader = here if here in group else group[0]
        leader.group = group
        if leader is not here:
            leader.wake.release()
        return leader is here

    def _lead(self, leader: _Asked) -> None:
        """Do a group, and hand the lane on."""
        group = leader.group
        outcomes: list[Any] = [UnknownOutcomeError("the thread that appended for several was interrupted")] * len(group)
        try:
            outcomes = driven(self._outcomes(group))
        finally:
            with self._lock:
                self._busy -= 1
                self._sent -= len(group)
                self._next()
            for asked, outcome in zip(group, outcomes, strict=True):
                asked.outcome = outcome
                if asked is not leader:
                    asked.wake.release()

    def _message(self, conn: Any, given: Given) -> Any:
        with conn.lock:
            return conn.wait(_called(conn, given))

    def _appended(self, appends: Sequence[Append], work: Any) -> Any:
        found = append_each(work.conn, appends, types=self.types)
        faults.point("events group sent")
        return found


class AsyncWriter(_Groups):
    """For tasks of one event loop; otherwise as `Writer`."""

    def __init__(
        self, database: AsyncDatabase, *, types: Types | None = None, most: int = 200, lanes: int = 2, at_once: bool = True
    ) -> None:
        super().__init__(database, types, most, lanes, at_once)
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, append: Append) -> Appended:
        """The async twin of `Writer.append`. Where the caller is cancelled its events may be appended all the same."""
        asked = self._asked(append, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._lanes:
            self._lanes -= 1
            task = asyncio.create_task(self._lane(), name="pgcharter-events")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        outcome: Appended = await asked.wake
        return outcome

    async def _lane(self) -> None:
        try:
            while group := self._group():
                await self._do(group)
                await asyncio.sleep(0)  # who has got an outcome may append again, and go along
        finally:
            self._lanes += 1

    async def _do(self, group: Sequence[_Asked]) -> None:
        outcomes: list[Any] = [UnknownOutcomeError("the task that appended for several was cancelled")] * len(group)
        try:
            outcomes = await awaited(self._outcomes(group))
        finally:
            for asked, outcome in zip(group, outcomes, strict=True):
                if not asked.wake.done():
                    (asked.wake.set_exception if isinstance(outcome, BaseException) else asked.wake.set_result)(outcome)

    async def _message(self, conn: Any, given: Given) -> Any:
        async with conn.lock:
            return await conn.wait(_called(conn, given))

    async def _appended(self, appends: Sequence[Append], work: Any) -> Any:
        found = await append_each.aio(work.conn, appends, types=self.types)
        faults.point("events group sent")
        return found
