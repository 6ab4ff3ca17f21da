"""Sagas: work in several steps, each with what takes it back, that goes on whatever dies meanwhile.

    order = Saga("order", [
        Step("reserve", reserve, undo=release, inside=True),
        Step("charge", charge, undo=refund, timeout=20),
        Step("ship", ship, pivot=True),
    ], data=Order)

    start(conn, order, Order(sku="a"), key="o-17")      # in the caller's transaction
    SagaWorker(db, [order]).run()                       # somewhere, any number of times

The tables are made by `[messaging]`. A checkpoint is one statement that checks the worker's fencing token: who has lost its lease can
write nothing. Either all steps come to be done, or all that were done before the pivot are compensated, the latest first.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

import psycopg

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime.context import current
from pgcharter.runtime.feeds_wake import Waker
from pgcharter.runtime.sagas_asked import KINDS
from pgcharter.runtime.sagas_colours import AsyncSagaWorker, SagaWorker
from pgcharter.runtime.sagas_data import fields, read, written
from pgcharter.runtime.sagas_define import (
    AbortError,
    Child,
    Context,
    Parallel,
    Retrying,
    Saga,
    Sleep,
    Step,
    UncertainError,
    Wait,
)
from pgcharter.runtime.sagas_link import SQL, unavailable
from pgcharter.runtime.sagas_run import POINTS
from pgcharter.runtime.sagas_settings import Alarm, Ended, SagaCounts, SagaSettings
from pgcharter.runtime.sagas_worker import CHANNEL
from pgcharter.runtime.work import current_work

__all__ = [
    "POINTS",
    "AbortError",
    "Alarm",
    "AsyncSagaWorker",
    "Child",
    "Context",
    "Ended",
    "Parallel",
    "Retrying",
    "Saga",
    "SagaCounts",
    "SagaSettings",
    "SagaWorker",
    "Sleep",
    "Started",
    "Status",
    "Step",
    "UncertainError",
    "UnknownSagaError",
    "Wait",
    "ask",
    "cancel",
    "found",
    "history",
    "purge",
    "signal",
    "signals",
    "start",
    "status",
    "steps",
    "wakes",
]  # fmt: skip

D = TypeVar("D")
LONGEST_KEY = 1000
"""Most bytes of a business key."""
_wakers: dict[Any, Waker] = {}
Asking = Literal["cancel", "compensate", "retry", "resume", "skip"]


class UnknownSagaError(PgcharterError):
    """There is no such saga, or it is another tenant's."""


@dataclass(frozen=True, slots=True)
class Started(Generic[D]):
    """A saga that was started, now or before."""

    saga_id: uuid.UUID
    new: bool
    """False: its business key had one already, and nothing was done."""
    status: str


@dataclass(frozen=True, slots=True)
class Status:
    """How a saga stands."""

    saga_id: uuid.UUID
    tenant: str
    type: str
    version: int
    key: str | None
    status: str
    """started, completed, compensating, failed (all is compensated)."""
    step_number: int
    waiting: str | None
    """What it waits for."""
    stuck_at: datetime | None
    """Since when it needs a person."""
    next_at: datetime | None
    deadline: datetime | None
    worker: str | None
    lease_until: datetime | None
    error: str | None
    parent_id: uuid.UUID | None
    correlation: str | None
    round: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    data: Mapping[str, Any]
    result: Any
    step: str | None
    """Name of the step that was begun last."""
    overdue: bool
    """It is due for more than a minute, and nobody has taken it."""

    @property
    def ended(self) -> bool:
        """It is completed or failed."""
        return self.completed_at is not None


@flow
def start(
    saga: Saga[D], data: D, *, key: str | None = None, id: uuid.UUID | None = None, after: float = 0, correlation: str | None = None,  # noqa: A002
) -> Steps[Started[D]]:  # fmt: skip
    """Start a saga in the caller's transaction: it runs when that is committed. With a `key` there is one for each, and this finds it.

    `after` is seconds until its first step. Raises UsageError for data of another class, UnavailableError where the tables are not there.
    """
    if key is not None and (not key or "\0" in key or len(key.encode()) > LONGEST_KEY):
        raise UsageError(f"the business key of saga {saga.name} is empty, has a NUL byte, or more than {LONGEST_KEY} bytes")
    given = (id or uuid.uuid4(), saga.name, saga.version, json.dumps(fields(data, saga.data)), key)
    rest = (correlation or current().correlation or None, _interval(saga.deadline), _interval(after))
    try:
        rows = yield Query(SQL["start"], (*given, *rest))
    except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege) as error:
        raise unavailable(error) from error
    _wake()
    return Started(*rows[0])


@flow
def signal(
    saga: uuid.UUID | tuple[str, str], name: str, payload: Any = None, *, id: uuid.UUID | None = None,  # noqa: A002
) -> Steps[uuid.UUID]:  # fmt: skip
    """Tell a saga something in the caller's transaction: by its id, or by type and business key. Kept until a step waits for it.

    The same `id` sent again is one signal: give it the id of the event that it comes from. Raises UnknownSagaError.
    """
    return (yield from _told(saga, "signal", name, json.dumps(written(payload)), id, None))


@flow
def cancel(saga: uuid.UUID | tuple[str, str], reason: str) -> Steps[uuid.UUID]:
    """Have a saga turn round, unless it is past its pivot, in the caller's transaction. Raises UnknownSagaError."""
    return (yield from _told(saga, "cancel", "", None, None, reason))


def _told(
    saga: uuid.UUID | tuple[str, str], kind: str, name: str, payload: str | None, given: uuid.UUID | None, reason: str | None
) -> Steps[uuid.UUID]:
    at, kind_of, key = (saga, None, None) if isinstance(saga, uuid.UUID) else (None, *saga)
    try:
        rows = yield Query(SQL["signal"], (given or uuid.uuid4(), at, kind_of, key, kind, name, payload, current().actor or None, reason))
    except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege) as error:
        raise unavailable(error) from error
    if rows[0][0] is None:
        raise _unknown(at or f"{kind_of} {key}")
    _wake()
    return rows[0][0]  # type: ignore[no-any-return]


@flow
def ask(saga: uuid.UUID, what: Asking, *, actor: str, reason: str, step: str = "") -> Steps[None]:
    """What a person asks of a saga; the next worker that has it does it, and writes who asked and why into its history.

    cancel and compensate: turn round (compensate also one that is completed), unless it is past its pivot. retry: try at once what waits
    for another attempt. resume: run one that failed once more, from what was compensated. skip: take a step as done, or as compensated,
    by hand. As the tables' owner or a worker. Raises UnknownSagaError.
    """
    if what not in KINDS or (what == "skip") != bool(step):
        raise UsageError(f"{what!r} is not what a saga can be asked for; skip needs a step, and nothing else does", hint=", ".join(KINDS))
    try:
        rows = yield Query(SQL["ask"], (what, step, actor, reason, saga))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
        raise unavailable(error) from error
    if not rows:
        raise _unknown(saga)


@flow
def status(saga: uuid.UUID | tuple[str, str]) -> Steps[Status]:
    """How a saga stands: by its id, or by type and business key. Raises UnknownSagaError."""
    at, kind, key = (saga, None, None) if isinstance(saga, uuid.UUID) else (None, *saga)
    rows = yield from _listed(at, kind, key, None, False, 1)
    if not rows:
        raise _unknown(at or f"{kind} {key}")
    return rows[0]


@flow
def found(
    *, type: str | None = None, status: str | None = None, key: str | None = None, stuck: bool = False, limit: int = 100  # noqa: A002
) -> Steps[list[Status]]:  # fmt: skip
    """Sagas, the newest first. `stuck`: those that need a person, or that nobody takes."""
    return (yield from _listed(None, type, key, status, stuck, limit))


def _listed(at: uuid.UUID | None, kind: str | None, key: str | None, state: str | None, stuck: bool, limit: int) -> Steps[list[Status]]:
    wanted = {"id": at, "type": kind, "key": key, "status": state, "stuck": stuck, "limit": limit}
    try:
        rows = yield Query(SQL["list"], wanted)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
        raise unavailable(error) from error
    return [Status(*(_kept(v) if i in (20, 21) else v for i, v in enumerate(row))) for row in rows]


def _kept(text: str | None) -> Any:
    return None if text is None else read(json.loads(text))


@flow
def steps(saga: uuid.UUID) -> Steps[list[dict[str, Any]]]:
    """The steps of a saga that have been begun, in order."""
    names = (
        "number", "step", "kind", "status", "started_at", "completed_at", "compensated_at", "error", "failed", "undo_failed", "uncertain",
        "next_at", "result",
    )  # fmt: skip
    rows = yield Query(SQL["steps"], (saga,))
    return [{**dict(zip(names, row, strict=True)), "result": _kept(row[12])} for row in rows]


@flow
def history(saga: uuid.UUID) -> Steps[list[dict[str, Any]]]:
    """Attempts of a saga that failed, where it turned, and what persons asked for, in order."""
    names = ("at", "number", "event", "attempt", "message", "actor", "worker")
    rows = yield Query(SQL["history"], (saga,))
    return [dict(zip(names, row, strict=True)) for row in rows]


@flow
def signals(saga: uuid.UUID) -> Steps[list[dict[str, Any]]]:
    """What a saga was told, in order; `taken_at` None: nothing has waited for it yet."""
    names = ("kind", "name", "payload", "actor", "reason", "sent_at", "taken_at")
    rows = yield Query(SQL["letters"], (saga,))
    return [{**dict(zip(names, row, strict=True)), "payload": _kept(row[2])} for row in rows]


@flow
def purge(older: timedelta, limit: int = 1000) -> Steps[int]:
    """Delete sagas that ended so long ago, with those inside them, the oldest first and at most so many; how many. As the owner."""
    return len((yield Query(SQL["purge"], (older, limit))))


def wakes(database: Any) -> Waker:
    """From now on, starts and signals in a unit of work of this database wake workers that listen, right after the commit.

    It does so on a connection of its own, many commits at a time, never in the transaction that does the work; `close()` what this gives
    when the database is closed.
    """
    if database not in _wakers:
        _wakers[database] = _Registered(database, CHANNEL)
    return _wakers[database]


class _Registered(Waker):
    """A waker that is forgotten when it is closed."""

    def close(self) -> None:
        """Send what is to be sent, and wake nobody any more."""
        _wakers.pop(self.database, None)
        super().close()


def _wake() -> None:
    work = current_work() if _wakers else None
    if work is not None and (waker := _wakers.get(work.database)) is not None:
        work.after_commit(waker.poke)


def _interval(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds} s"


def _unknown(what: object) -> UnknownSagaError:
    return UnknownSagaError(
        f"there is no saga {what}, or it is another tenant's, so nothing was told to it",
        hint="pgcharter saga list shows those that there are",
    )
