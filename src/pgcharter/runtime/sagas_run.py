"""One saga under a lease: its steps done one after the other or side by side, each with its checkpoint, until it ends or has to wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pgcharter import faults
from pgcharter.errors import ConnectError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.context import Context as Around
from pgcharter.runtime.feeds_outcomes import said
from pgcharter.runtime.outcomes import UnknownOutcomeError
from pgcharter.runtime.pools import PoolExhaustedError
from pgcharter.runtime.sagas_data import Raw, fields, made, read, written
from pgcharter.runtime.sagas_define import AbortError, Context, Leaf, Saga, Step, UncertainError
from pgcharter.runtime.sagas_link import LinkClosedError
from pgcharter.runtime.sagas_machine import DONE, Machine, Next
from pgcharter.runtime.sagas_state import Changes, Instance

if TYPE_CHECKING:
    from pgcharter.runtime.sagas_worker import AnyWorker

log = logging.getLogger("pgcharter.sagas")
POINTS = (
    "saga claimed", "saga marked", "saga acted", "saga checkpointed", "saga inside acted", "saga inside written", "saga inside committed",
    "saga undone", "saga undo checkpointed", "saga releasing", "saga released",
)  # fmt: skip
"""Fault points of a worker."""
_HOLD = 0.05
"""Seconds for which a saga that waits is kept in hand."""
_AGAIN = 30.0
"""Seconds after which a saga is looked at again whose definition or data does not fit."""
Outcome = Callable[[Machine], None]


@dataclass(frozen=True, slots=True)
class _Moved:
    """A step inside whose transaction is committed."""

    fork: Instance
    found: Next | None
    outcome: Outcome
    signals: int


class LostError(Exception):
    """The lease is somebody else's, or may be: nothing more may be written."""


class Run:
    """A saga in the hands of a worker."""

    def __init__(self, worker: AnyWorker, saga: Saga[Any], instance: Instance) -> None:
        self.worker = worker
        self.saga = saga
        self.it = instance
        self.machine = Machine(saga, instance)
        self.mailbox: Any = None
        self.told = instance.stuck
        """The alarm has been raised."""

    def steps(self) -> Steps[None]:
        """Run it. Whoever lost it stops; nothing else is raised."""
        faults.point("saga claimed")
        try:
            wrong = self.machine.loaded() or self._readable()
            try:
                yield from self._unfit(wrong) if wrong else self._run()
            except (LostError, LinkClosedError):
                raise
            except Exception as error:
                log.exception("saga %s %s cannot go on", self.saga, self.it.id)
                yield from self._unfit(f"its checkpoint to be written: {said(error)}")
        except LostError:
            self.it.lost = True
            log.warning("saga %s %s: the lease is lost, somebody else goes on with it", self.saga, self.it.id)

    def _readable(self) -> str:
        try:
            made(self.it.raw, self.saga.data)
        except Exception as error:
            return f"data that {self.saga.data.__name__} can hold: {said(error)}"
        return ""

    def _unfit(self, wrong: str) -> Steps[None]:
        self.it.changes = Changes(history=self.it.changes.history, whole=True)
        self.machine.stick(f"it waits for {wrong}")
        self.it.waiting = wrong
        yield from self._checkpoint(release=True, after=_AGAIN)

    def _run(self) -> Steps[None]:
        found = self.machine.next()
        yield from self._settled(found)
        faults.point("saga marked")
        while True:
            if self.it.lost:
                raise LostError
            following: Next | None = None
            if found.act and time.monotonic() > self.it.sure:
                yield from self.worker._beat()
                continue
            if len(found.act) == 1 and not self.it.active:
                following = yield from self._alone(found.act[0])
            elif found.act or self.it.active:
                yield from self._together(found.act)
            else:
                pause = None if found.due is None else max(0.0, found.due - time.monotonic())
                if pause is None or pause > _HOLD or self.it.ended or self.worker.stopping:
                    break
                yield partial(self.worker._sleep, pause)
            found = self.machine.next() if following is None else following
            if self.worker.stopping and found.act and not self.it.active:
                self._put_back(found.act)
                found = Next((), time.monotonic())
                break
            if following is None:
                yield from self._settled(found)
        yield from self._released(found.due)

    def _put_back(self, leaves: tuple[Leaf, ...]) -> None:
        """The worker is to stop: what has not begun is another one's."""
        for leaf in leaves:
            row = self.it.row(leaf.number)
            if row.status == "running":
                row.status, row.began = "pending", False

    def _settled(self, found: Next) -> Steps[None]:
        """Write what has changed, unless the saga is given back now, which writes it."""
        if (found.act or self.it.active) and not self.it.changes.empty:
            yield from self._checkpoint()

    def _released(self, due: float | None) -> Steps[None]:
        faults.point("saga releasing")
        after = None if due is None or self.it.ended else max(0.0, due - time.monotonic())
        yield from self._checkpoint(release=True, after=after)
        faults.point("saga released")

    # one step at a time

    def _alone(self, leaf: Leaf) -> Steps[Next | None]:
        """Do a step. What comes next, where that has been written with it in its transaction; else None."""
        if not _inside(leaf):
            (yield from self._outside(leaf, self.it))(self.machine)
            return None
        moved = yield from self._transaction(leaf, self.it, following=True)
        if not isinstance(moved, _Moved):
            moved(self.machine)
            return None
        self.it = moved.fork
        self.machine = Machine(self.saga, self.it)
        yield from self._written(moved.signals)
        return moved.found

    def _outside(self, leaf: Leaf, base: Instance) -> Steps[Outcome]:
        undo, before, context = _undoing(base), dict(base.raw), self._context(leaf, base)
        try:
            result = yield from self.worker._act(leaf.node, context, undo, _around(base))
        except Exception as error:
            return partial(_failing, leaf=leaf, error=error, undo=undo, inside=False)
        try:
            outcome = self._outcome(leaf, context, before, result, undo)
        except Exception as error:
            return partial(_failing, leaf=leaf, error=AbortError(f"it was done, but {error}"), undo=undo, inside=False, sure=False)
        faults.point("saga undone" if undo else "saga acted")
        return outcome

    def _transaction(self, leaf: Leaf, base: Instance, following: bool) -> Steps[_Moved | Outcome]:
        """Action and checkpoint in one transaction. What was noted in the fork counts only when that is committed."""
        undo, before = _undoing(base), dict(base.raw)
        got: list[_Moved] = []
        works: list[Any] = []

        def body(work: Any) -> Steps[None]:
            works.append(work)
            context = self._context(leaf, base)
            context.work = work
            yield from self.worker._limit(work, leaf.node)
            result = yield from self.worker._act(leaf.node, context, undo)
            fork = base.fork()
            machine = Machine(self.saga, fork)
            outcome = self._outcome(leaf, context, before, result, undo)
            outcome(machine)
            found = machine.next() if following else None
            faults.point("saga inside acted")
            signals = yield from self.worker._write(work, fork, whole=following)
            faults.point("saga inside written")
            got.append(_Moved(fork, found, outcome, signals))

        try:
            yield partial(self.worker._unit, body, _around(base))
        except LostError:
            return _losing
        except UnknownOutcomeError:
            return _losing
        except Exception as error:
            away = works[-1].broken if works else isinstance(error, ConnectError | PoolExhaustedError)
            return partial(_away, leaf=leaf, error=error) if away else partial(_failing, leaf=leaf, error=error, undo=undo, inside=True)
        faults.point("saga inside committed")
        return got[-1]

    # several side by side

    def _together(self, leaves: tuple[Leaf, ...]) -> Steps[None]:
        """Begin these, wait until one of those that are under way is over, and note what became of it."""
        if self.mailbox is None:
            self.mailbox = self.worker._mailbox()
        base = self.it.fork()
        base.changes = Changes()
        for leaf in leaves:
            self.it.active = self.it.active | {leaf.number}
            self.worker._spawn(self._branch(leaf, base))
        number, outcome = yield self.mailbox.get
        self.it.active = self.it.active - {number}
        outcome(self.machine)

    def _branch(self, leaf: Leaf, base: Instance) -> Steps[None]:
        """One of several: it works on the saga as it was when it began."""
        outcome: Outcome = _losing
        try:
            if _inside(leaf):
                moved = yield from self._transaction(leaf, base, following=False)
                outcome = moved.outcome if isinstance(moved, _Moved) else moved
            else:
                outcome = yield from self._outside(leaf, base)
        finally:
            yield partial(self.mailbox.put, (leaf.number, outcome))

    # what they share

    def _context(self, leaf: Leaf, it: Instance) -> Context[Any]:
        row, undo = it.rows[leaf.number], _undoing(it)
        mark = f"{it.id}:{leaf.name}" + (f":{it.round}" if it.round else "") + (":undo" if undo else "")
        results = {r.name: read(r.result) for r in it.rows.values() if r.status in DONE}
        attempt = 1 + (row.undo_failed if undo else row.failed)
        return Context(
            UUID(it.id), it.type, it.key, leaf.name, attempt, mark, made(it.raw, self.saga.data), results, None, it.tenant, it.correlation,
            row.status == "completed" or not undo,
        )  # fmt: skip

    def _outcome(self, leaf: Leaf, context: Context[Any], before: Raw, result: Any, undo: bool) -> Outcome:
        """What has become of a step that returned. Raises UsageError for what cannot be kept."""
        after, kept = fields(context.data, self.saga.data), written(result)
        return lambda machine: machine.undone(leaf, before, after) if undo else machine.done(leaf, before, after, kept)

    def _checkpoint(self, release: bool = False, after: float | None = None) -> Steps[None]:
        going_back = _undoing(self.it)
        signals = yield from self.worker._commit(self.it, release, after)
        if signals is None:
            raise LostError
        if release and self.it.ended:
            self.worker._over(self.it)
        faults.point("saga undo checkpointed" if going_back else "saga checkpointed")
        yield from self._written(self.it.known if release else signals)

    def _written(self, signals: int) -> Steps[None]:
        """What was to be written is. Where it was told something meanwhile, read that."""
        self.it.changes = Changes()
        for row in self.it.rows.values():
            row.began = False
        self._alarm()
        if signals != self.it.known:
            self.it.letters = yield from self.worker._letters(self.it)
            self.it.known = signals

    def _alarm(self) -> None:
        if self.it.stuck and not self.told:
            self.worker._alarm(self.it)
        self.told = self.it.stuck


def _inside(leaf: Leaf) -> bool:
    return isinstance(leaf.node, Step) and leaf.node.inside


def _undoing(it: Instance) -> bool:
    return it.status == "compensating"


def _around(it: Instance) -> Around:
    return Around(tenant=it.tenant, correlation=it.correlation or "", everybody=not it.tenant)


def _failing(machine: Machine, *, leaf: Leaf, error: Exception, undo: bool, inside: bool, sure: bool = True) -> None:
    text = said(error)
    if undo:
        machine.undo_failed(leaf, text)
        return
    never = leaf.node.retry.never if isinstance(leaf.node, Step) else ()
    unsure = not inside and (not sure or isinstance(error, UncertainError | TimeoutError | ConnectionError))
    machine.failed(leaf, text, uncertain=unsure, final=isinstance(error, (AbortError, *never)))


def _away(machine: Machine, *, leaf: Leaf, error: Exception) -> None:
    machine.away(leaf, said(error))


def _losing(machine: Machine) -> None:
    machine.it.lost = True
    raise LostError
