"""What a worker does, for both colours: look what is settled, read, have it handled, move the cursor, try again what is parked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Generic, TypeVar

from pgcharter import faults
from pgcharter.db.flows import Query, flow
from pgcharter.db.flows import Steps as FlowSteps
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.feeds_leases import Leases, Slot, log
from pgcharter.runtime.feeds_model import (
    EndingError,
    Failed,
    FeedSettings,
    FencedError,
    Inside,
    Log,
    Message,
    Outcome,
    Outside,
    Park,
    Start,
)
from pgcharter.runtime.feeds_outcomes import delivered, failed, is_elsewhere, is_passing, parks, plain
from pgcharter.runtime.feeds_sql import statement
from pgcharter.runtime.outcomes import UnknownOutcomeError

M = TypeVar("M")
POINTS = ("feed claimed", "feed read", "feed handled", "feed moved", "feed parked", "feed retried", "feed released")
"""Points at which a test may end the process (`faults`)."""
Note = Callable[[], None]
Write = Callable[[list[Message[Any]], Sequence[Outcome], Any], Steps[Note]]
_FRESH = 0.05
"""Seconds for which a worker that has more to read than it can handle does not ask what else is settled."""
_LAZY = 1.0
"""Seconds after which a cursor is written down that has passed nothing of interest."""


@flow
def _written(statements: Sequence[str], parameters: Mapping[str, Any]) -> FlowSteps[list[tuple[Any, ...]]]:
    """The first statement that gives a row, in the caller's transaction."""
    for sql in statements:
        rows: list[tuple[Any, ...]] = yield Query(sql, parameters)
        if rows:
            return rows
    return []


class Reading(Leases, Generic[M]):
    """A worker of a consumer."""

    _coloured: Any
    """Makes the function of a unit of work of this colour from a generator function."""

    def __init__(
        self,
        database: Any,
        log: Log[M],
        consumer: str,
        way: Inside[M] | Outside[M],
        *,
        where: str = "",
        parameters: Mapping[str, Any] | None = None,
        slots: int = 1,
        start: Start = "first",
        settings: FeedSettings | None = None,
    ) -> None:
        """`where` is a condition over alias `l` with named `parameters`: which messages are wanted.

        `slots` and `start` are for a consumer that has no cursors yet; later they are changed by `feeds_manage.reslot` and `reset`.
        """
        super().__init__()
        self.database, self.log, self.consumer, self.way = database, log, consumer, way
        self._single = way.single
        self.where, self.parameters = where, {f"x_{k}": v for k, v in (parameters or {}).items()}
        for name in parameters or {}:
            self.where = self.where.replace(f"%({name})s", f"%(x_{name})s")
        self.slots_wanted, self.start, self.settings = slots, start, settings or FeedSettings()
        self.counts: Counter[str] = Counter()
        """handled, parked, dead, moved, polls: since this worker began."""
        self.stale: list[str] = []
        self._leaving = False
        self._settled, self._polled_at = 0, 0.0

    def _looked(self) -> Steps[int]:
        """Look once, and handle at most a batch of each slot; how much was done."""
        yield from self._tick()
        if not self.held:
            return 0
        settled, due = yield from self._polled()
        done = 0
        for slot in list(self.held.values()):
            if not self._leaving and slot.number in self.held:
                done += yield from self._safely(slot, self._read(slot, settled))
        if due and not self._leaving:
            done += yield from self._tried_again()
        return done

    def _polled(self) -> Steps[tuple[int, bool]]:
        """What is settled, and whether something parked is due; not asked anew while there is enough to do from the last time."""
        now = time.monotonic()
        if now - self._polled_at < _FRESH and all(slot.position < self._settled for slot in self.held.values()):
            return self._settled, False
        ((self._settled, due),) = yield from self._asked(statement("poll", self.log), self._named())
        self._polled_at = now
        self.counts["polls"] += 1
        return self._settled, due

    def _safely(self, slot: Slot, steps: Steps[int]) -> Steps[int]:
        """Do something for a slot; what goes wrong elsewhere makes it wait."""
        try:
            done = yield from steps
            slot.away = 0 if done else slot.away
            return done
        except FencedError:
            self._lost(slot)
        except Exception as error:
            if not is_passing(error):
                raise
            slot.away += 1
            pause = min(30.0, self.settings.pause(slot.away))
            slot.wait_until = time.monotonic() + pause
            if isinstance(error, UnknownOutcomeError):
                self._lost(slot)
            log.warning("%s: slot %s waits %.1f s: %s", self.consumer, slot.number, pause, error)
        finally:
            self.called_at = 0.0
        return 0

    def _set_back(self, slot: Slot) -> Steps[None]:
        """Where positions are drawn again that the cursor has passed, what has them would be left out: it stops instead."""
        ((last,),) = yield from self._asked(statement("drawn", self.log), self._named())
        if last is not None and last < slot.stored:
            yield from self._stopped(
                slot,
                f"{self.consumer} has read log {self.log.name} up to {slot.stored} in slot {slot.number}, and its last position is"
                f" {last}: the log was restored from an older copy, or its sequence set back, so what comes next would be left out",
            )

    def _read(self, slot: Slot, settled: int) -> Steps[int]:
        now = time.monotonic()
        if now < slot.wait_until:
            return 0
        if slot.position >= settled:
            if slot.stored > settled:
                yield from self._set_back(slot)
            elif slot.position > slot.stored and now - slot.stored_at > _LAZY:
                yield from self._moved(slot, slot.position)
            return 0
        upto = min(settled, slot.position + slot.span)
        rows = yield from self._fetched(slot, upto)
        faults.point("feed read")
        kept = rows[0][0]
        if kept > slot.position:
            yield from self._archived(slot, kept)
            return 0
        found = self._messages(rows) if rows[0][1] is not None else []
        if len(found) == self.settings.batch:
            upto = found[-1].position
        if not found:
            slot.position, slot.span = upto, slot.span * 2
            return int(upto < settled)
        slot.span = self.settings.span
        yield from self._handled(slot, found, upto)
        return len(found)

    def _fetched(self, slot: Slot, upto: int) -> Steps[list[tuple[Any, ...]]]:
        was = slot.was is not None and slot.position < max(slot.was)
        sql = statement("fetch", self.log, self.where, slotted=slot.slots > 1, was=was)
        named = self._named(after=slot.position, upto=upto, batch=self.settings.batch, slots=slot.slots, slot=slot.number)
        return (yield from self._asked(sql, {**named, "was": slot.was, "was_slots": slot.was_slots, **self.parameters}))

    def _messages(self, rows: list[tuple[Any, ...]]) -> list[Message[M]]:
        rows.sort(key=itemgetter(1))
        made = self.log.message
        try:
            return [Message(row[1], row[2], row[3], None if row[3] else made(*row[4:])) for row in rows]
        except Exception:
            return [self._message(row[1:4], row[4:]) for row in rows]

    def _message(self, about: tuple[Any, ...], values: tuple[Any, ...], attempts: int = 0, age: float = 0.0) -> Message[M]:
        position, key, held = about
        message: Message[M] = Message(position, key, held, attempts=attempts, age=age)
        if not held:
            try:
                message.body = self.log.message(*values)
            except Exception as error:
                message.unread = failed(error)
        return message

    def _archived(self, slot: Slot, kept: int) -> Steps[None]:
        error = (
            f"{self.consumer} has read log {self.log.name} up to {slot.position} in slot {slot.number}, and what comes up to {kept} has"
            " been archived, so it cannot go on without leaving that out"
        )
        yield from self._stopped(slot, error)

    def _stopped(self, slot: Slot, error: str) -> Steps[None]:
        yield from self._asked(statement("stale", self.log), self._named(slot=slot.number, token=slot.token, error=error))
        log.error("%s", error)
        self.stale.append(error)
        self.held.pop(slot.number, None)

    # handling

    def _handled(self, slot: Slot, found: list[Message[M]], upto: int) -> Steps[None]:
        self.called_at = time.monotonic()
        write = partial(self._move_and_park, slot, upto)
        if isinstance(self.way, Inside):
            yield from self._in_unit(found, write)
            return
        said = yield from delivered(self.way, [m for m in found if not m.held], self.settings.tolerated)
        faults.point("feed handled")
        (yield from write(found, _with_held(found, said), None))()

    def _in_unit(self, found: list[Message[M]], write: Write) -> Steps[None]:
        """Handle messages in a unit of work, together with what is written about them; one by one when together they fail.

        Where the commit fails then (a constraint that is deferred), the first message has a unit of its own, and is parked if that fails.
        """
        ways: list[Any]
        ways = [self._apart, self._only] if any(m.unread is not None for m in found) else [self._together, self._apart, self._only]
        while True:
            way = ways.pop(0)
            try:
                note = yield partial(self.database.run, self._coloured(partial(way, found, write)), isolation="read committed")
            except Exception as error:
                if is_elsewhere(error) or isinstance(error, EndingError):
                    raise
                if not ways and (is_passing(error) or isinstance(way, partial)):
                    raise
                ways = ways or [partial(self._given_up, failed(error))]
                continue
            note()
            return

    def _together(self, found: list[Message[M]], write: Write, work: Any) -> Steps[Note]:
        bodies = [m.body for m in found if not m.held]
        for body in bodies if self._single else [bodies] if bodies else []:
            plain((yield partial(self._handle, work, body)))
        faults.point("feed handled")
        return (yield from write(found, [None] * len(found), work))

    def _only(self, found: list[Message[M]], write: Write, work: Any) -> Steps[Note]:
        return (yield from self._apart(found, write, work, alone=True))

    def _given_up(self, failure: Failed, found: list[Message[M]], write: Write, work: Any) -> Steps[Note]:
        held = [m.held for m in found].index(False)
        return (yield from write(found, [*[None] * held, failure], work))

    def _apart(self, found: list[Message[M]], write: Write, work: Any, *, alone: bool = False) -> Steps[Note]:
        said: list[Outcome] = []
        stuck: set[str] = set()
        row = 0
        for message in found:
            outcome: Outcome = message.unread
            if not message.held and outcome is None and message.key not in stuck:
                outcome = yield from self._alone(message)
                row = row + 1 if outcome is not None else 0
            if outcome is not None:
                stuck.add(message.key)
            said.append(outcome)
            if row >= self.settings.tolerated or (alone and not message.held):
                break
        faults.point("feed handled")
        return (yield from write(found, said, work))

    def _alone(self, message: Message[M]) -> Steps[Outcome]:
        """Handle one message in a savepoint."""
        try:
            yield partial(self.database.run, lambda work: self._handle(work, message.body if self._single else [message.body]))
        except Exception as error:
            if is_elsewhere(error):
                raise
            return failed(error)
        return None

    def _handle(self, work: Any, given: Any) -> Any:
        assert isinstance(self.way, Inside)  # noqa: S101
        return self.way.handle(work, given)

    # writing down

    def _move_and_park(self, slot: Slot, upto: int, found: list[Message[M]], said: Sequence[Outcome], work: Any) -> Steps[Note]:
        """Move the cursor past the messages that were reached and park what failed, in one statement. Gives what to remember of it."""
        reached = found[: len(said)]
        if not reached:
            return lambda: None
        upto = upto if len(reached) == len(found) else reached[-1].position
        waiting = parks(reached, said, self.settings)
        rows = yield from self._token_checked(
            slot, "move_and_park" if waiting else "move", {**self._moving(slot, upto), **_arrays(waiting)}, work
        )
        faults.point("feed parked" if waiting else "feed moved")

        def note() -> None:
            self._has_moved(slot, upto, rows)
            self._count(slot, len(reached) - len(waiting), [p for p in waiting if p.state != "behind"])

        return note

    def _token_checked(self, slot: Slot, name: str, named: dict[str, Any], work: Any) -> Steps[list[tuple[Any, ...]]]:
        """Run a statement that writes under the lease: by the address of the cursor's row, else by its key. Raises FencedError."""
        statements = [statement(name, self.log, at=True), statement(name, self.log)]
        rows: list[tuple[Any, ...]]
        if work is not None:
            rows = yield partial(self.database._flow(_written), work.conn, statements, named)
        else:
            rows = yield from self._asked(statements[0], named)
            if not rows:
                rows = yield from self._asked(statements[1], named)
        if not rows:
            raise FencedError(f"{self.consumer} has lost the lease of slot {slot.number}, so nothing is written down")
        return rows

    def _count(self, slot: Slot, handled: int, failures: Sequence[Park]) -> None:
        self.counts["handled"] += handled
        self.counts["moved"] += 1
        slot.row = 0 if handled else slot.row + len(failures)
        for park in failures:
            self.counts["parked"] += 1
            if park.state == "dead":
                self.counts["dead"] += 1
                log.error("%s: message %s of key %r is dead: %s", self.consumer, park.message.position, park.message.key, park.error)
        if slot.row >= self.settings.tolerated:
            slot.wait_until = time.monotonic() + min(30.0, self.settings.pause(1 + slot.row - self.settings.tolerated))

    # what is parked

    def _tried_again(self) -> Steps[int]:
        slots = next(iter(self.held.values())).slots if self.held else 0
        if not slots:
            return 0
        rows = yield from self._asked(statement("due", self.log), self._named(slots=slots, held=list(self.held), batch=self.settings.batch))
        done = 0
        for key, number in rows:
            slot = self.held.get(number)
            if slot is not None and not self._leaving and time.monotonic() >= slot.wait_until:
                done += yield from self._safely(slot, self._key_again(slot, key))
        return done

    def _key_again(self, slot: Slot, key: str) -> Steps[int]:
        """Handle what is parked of a key in order, up to the first failure."""
        sql = statement("parked", self.log)
        rows = yield from self._asked(sql, self._named(key=key, batch=self.settings.batch))
        found = [self._message((p, key, False), tuple(values), attempts, age) for p, attempts, age, *values in rows]
        if not found:
            return 0
        self.called_at = time.monotonic()
        write = partial(self._keep_first_failure, slot, key)
        if isinstance(self.way, Inside):
            yield from self._in_unit(found, write)
        else:
            said = yield from delivered(self.way, found, self.settings.tolerated)
            faults.point("feed handled")
            (yield from write(found, said, None))()
        return len(found)

    def _keep_first_failure(self, slot: Slot, key: str, found: list[Message[M]], said: Sequence[Outcome], work: Any) -> Steps[Note]:
        waiting = parks(found[: len(said)], said, self.settings)[:1]
        done = [m for m in found[: len(said)] if not waiting or m.position < waiting[0].message.position]
        head = waiting[0] if waiting else Park(found[0], "waiting")
        named = self._named(
            slot=slot.number, token=slot.token, at=slot.at, key=key, done=done[-1].position if done else -1,
            state=head.state, attempts=head.attempts, pause=head.pause, error=head.error,
        )  # fmt: skip
        rows = yield from self._token_checked(slot, "retried", named, work)
        faults.point("feed retried")

        def note() -> None:
            slot.at = rows[0][0]
            self._count(slot, len(done), waiting)

        return note


def _with_held(found: Sequence[Message[Any]], said: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes of all messages, up to the first that was not reached; those of parked keys have none."""
    every: list[Outcome] = []
    left = iter(said)
    for message in found:
        outcome = None if message.held else next(left, ...)
        if outcome is ...:
            break
        every.append(outcome)
    return every


def _arrays(waiting: Sequence[Park]) -> dict[str, Any]:
    if not waiting:
        return {}
    return {
        "keys": [p.message.key for p in waiting],
        "positions": [p.message.position for p in waiting],
        "states": [p.state for p in waiting],
        "attempts": [p.attempts for p in waiting],
        "pauses": [p.pause for p in waiting],
        "errors": [p.error for p in waiting],
    }
