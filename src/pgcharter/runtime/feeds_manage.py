"""What a person does with consumers: look, pause, set a position, change the number of slots, decide about what is dead.

Flows: they join the caller's transaction, and hold when it is committed. Workers in the middle of something write nothing of it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.db.queries import load
from pgcharter.errors import RefusedError, UsageError
from pgcharter.runtime.feeds_model import Log, Start
from pgcharter.runtime.feeds_sql import filled, statement

SQL = load("pgcharter.runtime", "feeds_manage.sql")
MOST_ROWS = 100_000
"""So many rows are counted, and no more."""


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """How far a slot of a consumer is."""

    consumer: str
    slot: int
    slots: int
    position: int
    state: Literal["running", "paused", "stale"]
    owner: str | None
    lease_until: datetime | None
    moved_at: datetime
    error: str | None
    settled: int
    seconds: float
    """Age of the oldest row of the log that it has not passed; 0: there is none."""
    rows: int
    """Settled rows of its keys that it has not passed, whether it wants them or not; at most MOST_ROWS."""
    parked: int
    dead: int


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that waits."""

    key: str
    position: int
    state: Literal["waiting", "dead", "behind"]
    attempts: int
    due_at: datetime | None
    parked_at: datetime
    failed_at: datetime | None
    error: str | None
    message: Any
    """Row of the log, as jsonb."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was known of a consumer."""

    log: str
    position: int
    parked: int
    """Messages that it had parked."""
    seen: int
    """Messages that its inbox had."""


def _fenced(consumer: str) -> Steps[list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = yield Query(SQL["fence"], {"consumer": consumer})
    if not rows:
        raise UsageError(f"there is no consumer {consumer!r}", hint="SELECT DISTINCT consumer FROM pgcharter.feeds")
    return rows


@flow
def status(log: Log[Any], consumer: str = "") -> Steps[list[SlotStatus]]:
    """How far each slot of a consumer is, or of all consumers of a log. In a transaction that is READ COMMITTED."""
    sql = filled(SQL["status"], log)
    rows = yield Query(sql, {"log": log.name, "consumer": consumer, "most": MOST_ROWS})
    return [SlotStatus(*row) for row in rows]


@flow
def parked(consumer: str, state: Literal["", "waiting", "dead", "behind"] = "", limit: int = 100) -> Steps[list[Parked]]:
    """What a consumer has parked, the oldest first; of one state or all."""
    return [Parked(*row) for row in (yield Query(SQL["parked"], {"consumer": consumer, "state": state, "limit": limit}))]


@flow
def pause(consumer: str) -> Steps[None]:
    """Let a consumer handle nothing more; what its handlers are just doing is done again after `resume`. Raises UsageError."""
    yield from _fenced(consumer)
    yield Query(SQL["pause"], {"consumer": consumer})


@flow
def resume(consumer: str) -> Steps[None]:
    """Let a paused consumer go on. Raises UsageError where it is not paused."""
    if not (yield Query(SQL["resume"], {"consumer": consumer})):
        raise UsageError(f"there is no consumer {consumer!r} that is paused", hint="SELECT consumer, state FROM pgcharter.feeds")


@flow
def reset(log: Log[Any], consumer: str, to: Start, *, forget_inbox: bool = True) -> Steps[int]:
    """Have a consumer begin anew: at the oldest kept, after what is settled now, after a position, or at a time. Gives the position.

    What is parked from later positions is read again; of earlier ones it stays parked. What its inbox has seen is forgotten unless
    `forget_inbox` is false, so that messages have their effect again. Raises UsageError; RefusedError for a position that is archived.
    """
    rows = yield from _fenced(consumer)
    if rows[0][6] != log.name:
        raise UsageError(f"consumer {consumer!r} reads log {rows[0][6]}, and not {log.name}")
    kept = (yield Query(statement("kept", log), {"log": log.name}))[0][0]
    position = yield from _position(log, to, kept)
    if position < kept:
        raise RefusedError(
            f"log {log.name} is archived up to {kept}, so {consumer} cannot begin after {position}", hint="to='first' is the oldest kept"
        )
    named = {"consumer": consumer, "position": position}
    yield Query(SQL["reset"], named)
    yield Query(SQL["unpark_after"], named)
    if forget_inbox:
        yield Query(SQL["forget_inbox"], named)
    return position


def _position(log: Log[Any], to: Start, kept: int) -> Steps[int]:
    if isinstance(to, int):
        return to
    if to == "first":
        return kept
    settled = (yield Query("SELECT pgcharter.settled(%s)", (log.name,)))[0][0]
    if to == "now":
        return int(settled)
    found = (yield Query(statement("at_time", log), {"time": to}))[0][0]
    return int(settled if found is None else found)


@flow
def reslot(consumer: str, slots: int) -> Steps[None]:
    """Spread the keys of a consumer over another number of slots; nothing is read twice or left out, each key stays in order.

    Raises UsageError; RefusedError where it is still on its way from the last change.
    """
    if not 1 <= slots <= 1000:
        raise UsageError(f"{slots} slots make no sense", hint="1 to 1000")
    rows = sorted((yield from _fenced(consumer)))
    positions = [row[2] for row in rows]
    low, high, token, old = min(positions), max(positions), max(row[3] for row in rows), rows[0][1]
    if any(row[5] is not None and row[2] < max(row[5]) for row in rows):
        raise RefusedError(f"{consumer} has not passed yet where its number of slots was changed last", hint="let it run, then try again")
    states = {row[0] for row in (yield Query(SQL["unslot"], {"consumer": consumer}))}
    was = None if low == high else positions
    named = {
        "consumer": consumer, "slots": slots, "log": rows[0][6], "position": low, "token": token,
        "state": next((s for s in ("stale", "paused") if s in states), "running"), "was_slots": old if was else None, "was": was,
    }  # fmt: skip
    yield Query(SQL["slot_anew"], named)


@flow
def requeue(consumer: str, key: str | None = None) -> Steps[int]:
    """Have what failed tried again at once, with all its attempts: one key, or all that are dead. Gives the number of keys."""
    yield from _fenced(consumer)
    keys = [key] if key is not None else [row[0] for row in (yield Query(SQL["dead_keys"], {"consumer": consumer}))]
    return len((yield Query(SQL["requeue"], {"consumer": consumer, "keys": keys})))


@flow
def skip(consumer: str, key: str, position: int | None = None) -> Steps[int]:
    """Leave out what is parked: one message, or all that there are of a key. Those of it that follow go on. Gives their number."""
    if not (yield Query(SQL["fence_key"], {"consumer": consumer, "key": key})):
        raise UsageError(f"there is no consumer {consumer!r}", hint="SELECT DISTINCT consumer FROM pgcharter.feeds")
    gone = yield Query(SQL["skip"], {"consumer": consumer, "key": key, "position": position})
    yield Query(SQL["heads"], {"consumer": consumer, "keys": [key]})
    return len(gone)


@flow
def forget(consumer: str, log: str = "") -> Steps[Forgotten]:
    """Forget a consumer that nobody runs any more: its cursors, what it has parked, its inbox. Its name is as new then.

    Raises UsageError where there is none (of that log, where one is named), RefusedError while a worker has a lease of it.
    """
    rows = yield Query(SQL["to_forget"], {"consumer": consumer, "log": log})
    if not rows:
        raise UsageError(
            f"there is no consumer {consumer!r}" + (f" of log {log}" if log else ""), hint="SELECT consumer, log FROM pgcharter.feeds"
        )
    for _, _, owner, left in rows:
        if left > 0:
            raise RefusedError(
                f"{consumer} is at work in {owner}, which has its lease for {left:.1f} s more, so it is not forgotten",
                hint="stop its workers; what one that was killed has left is free when its lease ends",
            )
    named = {"consumer": consumer}
    yield Query(SQL["forget_cursors"], named)
    parked = yield Query(SQL["forget_parked"], named)
    seen = yield Query(SQL["forget_inbox"], named)
    if consumer.startswith("projection "):
        yield Query(SQL["forget_model"], named)
    return Forgotten(rows[0][0], min(row[1] for row in rows), len(parked), len(seen))
