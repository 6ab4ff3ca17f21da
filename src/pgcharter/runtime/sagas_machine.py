"""What a saga does next: pure, but for the clock and for what definitions ask of the data (`when`, `seconds`, a child's data)."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from pgcharter.runtime.sagas_asked import KINDS, asked
from pgcharter.runtime.sagas_data import Raw, fields, made
from pgcharter.runtime.sagas_data import changes as differing
from pgcharter.runtime.sagas_define import Child, Leaf, Retrying, Saga, Sleep, Step, Wait
from pgcharter.runtime.sagas_state import SPACE, Instance, Row

DONE = ("completed", "skipped")
_AWAY = Retrying(base=1.0)
_LOUD = 20
"""Failures of one compensation that are all written into the history; of later ones every hundredth."""


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be done: steps to act on now; else when it is due again."""

    act: tuple[Leaf, ...] = ()
    due: float | None = None
    """Monotonic clock; None: when it is told something."""


class Machine:
    """Moves a saga in memory; what it changes is in `instance.changes`."""

    def __init__(self, saga: Saga[object], instance: Instance) -> None:
        self.saga = saga
        self.it = instance

    # state

    def status(self, leaf: int) -> str:
        """The status of a step; pending where it was not begun."""
        row = self.it.rows.get(leaf)
        return "pending" if row is None else row.status

    @property
    def passed(self) -> bool:
        """The pivot is done: there is no way back."""
        pivot = self.saga.pivot
        return pivot is not None and self.status(pivot.number) in DONE

    def owes(self, leaf: Leaf) -> bool:
        """Whether a step has, or may have, something that is to be taken back."""
        row = self.it.rows.get(leaf.number)
        if row is None or leaf.node.undo is None:
            return False
        return row.status == "completed" or (row.status == "failed" and row.uncertain)

    def _clear(self, number: int) -> bool:
        """Whether nothing of a step and of what came after it is left to take back."""
        return (
            not self.owes(self.saga.leaves[number - 1])
            and number not in self.it.active
            and all(map(self._clear, self.saga.following[number]))
        )

    def _begun(self, leaf: Leaf) -> Row:
        if leaf.number not in self.it.rows:
            self.it.rows[leaf.number] = Row(leaf.number, leaf.name, leaf.node.kind)
        return self.it.row(leaf.number)

    # what happened

    def loaded(self) -> str:
        """Take account of what the worker before left. A text where the definition is not the one it was begun with."""
        for row in self.it.rows.values():
            leaf = self.saga.leaves[row.number - 1] if row.number <= len(self.saga.leaves) else None
            if leaf is None or leaf.name != row.name:
                now = f"is {leaf.name} now" if leaf else "is none now"
                return f"definition {self.saga} as it was: step {row.number} was {row.name} and {now}"
        for row in self.it.rows.values():
            leaf = self.saga.leaves[row.number - 1]
            if row.status == "running" and isinstance(leaf.node, Step):
                self.failed(leaf, "the worker that did it was lost", uncertain=not leaf.node.inside, event="lost")
                if self.it.status == "started" and row.status == "pending":
                    row.due = None
        return ""

    def done(self, leaf: Leaf, before: Raw, after: Raw, result: object) -> None:
        """A step was done."""
        self.changed(before, after)
        row = self.it.row(leaf.number)
        row.status, row.result, row.error, row.due, row.began = "completed", result, None, None, False
        self.unstuck()

    def changed(self, before: Raw, after: Raw) -> None:
        """A step has changed the data."""
        patch, gone = differing(before, after)
        raw, changes = self.it.raw, self.it.changes
        for name in gone:
            raw.pop(name, None)
            changes.patch.pop(name, None)
        raw.update(patch)
        changes.patch.update(patch)
        changes.gone = [*changes.gone, *gone]

    def failed(self, leaf: Leaf, error: str, *, uncertain: bool = False, final: bool = False, event: str = "failed") -> None:
        """An attempt at a step has failed: it is tried again, or the saga turns round."""
        row = self._begun(leaf)
        retry = leaf.node.retry if isinstance(leaf.node, Step) else Retrying(attempts=1)
        row.failed += 1
        row.uncertain = row.uncertain or uncertain
        row.error, row.began, row.status = error, False, "pending"
        row.due = time.monotonic() + retry.pause(row.failed)
        if row.failed <= _LOUD or row.failed % 100 == 0:
            self.it.note(event, error, step=leaf.number, attempt=row.failed)
        out = final or row.failed >= retry.attempts
        if self.it.status != "started":
            row.status, row.due = "failed", None
        elif out and self.passed:
            if row.failed >= max(self.saga.alarm, retry.attempts) or final:
                self.stick(f"step {leaf.name} past the pivot fails: {error}", leaf)
        elif out:
            row.status, row.due = "failed", None
            self.turn(f"step {leaf.name}: {error}", leaf)

    def away(self, leaf: Leaf, error: str) -> None:
        """The database could not be reached: that is no attempt of the step, which is looked at again soon."""
        row = self.it.row(leaf.number)
        row.error, row.began, row.due = error, False, time.monotonic() + _AWAY.pause(1)
        if row.status == "running":
            row.status = "pending"

    def undone(self, leaf: Leaf, before: Raw, after: Raw) -> None:
        """A step was taken back."""
        self.changed(before, after)
        row = self.it.row(leaf.number)
        row.status, row.due, row.error, row.uncertain = "compensated", None, None, False
        self.unstuck()

    def undo_failed(self, leaf: Leaf, error: str) -> None:
        """Taking a step back has failed: it is tried again for ever, with an alarm."""
        row = self.it.row(leaf.number)
        retry = leaf.node.retry if isinstance(leaf.node, Step) else Retrying()
        row.undo_failed += 1
        row.error, row.due = error, time.monotonic() + retry.pause(row.undo_failed)
        if row.undo_failed <= _LOUD or row.undo_failed % 100 == 0:
            self.it.note("undo failed", error, step=leaf.number, attempt=row.undo_failed)
        if row.undo_failed >= self.saga.alarm:
            self.stick(f"compensating step {leaf.name} fails: {error}", leaf)

    def turn(self, why: str, leaf: Leaf | None = None, actor: str | None = None) -> None:
        """Go back from here."""
        it = self.it
        it.status, it.error, it.stuck, it.changes.whole = "compensating", why, False, True
        it.why = {"step": leaf.name if leaf else None, "error": why, "actor": actor}
        it.note("turned", why, step=leaf.number if leaf else None, actor=actor)

    def stick(self, why: str, leaf: Leaf | None = None) -> None:
        """Raise an alarm, once, until it moves again."""
        if not self.it.stuck:
            self.it.note("stuck", why, step=leaf.number if leaf else None)
        self.it.stuck, self.it.changes.whole = True, True
        if self.it.status == "started":
            self.it.error = why

    def unstuck(self) -> None:
        """It moves again."""
        if self.it.stuck:
            self.it.stuck, self.it.changes.whole = False, True
            if self.it.status == "started":
                self.it.error = None

    # what comes next

    def next(self) -> Next:
        """Do all that needs no outside code, and say what is to be done then."""
        for letter in [x for x in self.it.letters if x.kind in KINDS]:
            asked(self, letter)
        found = self._forward() if self.it.status == "started" else Next()
        if self.it.status == "compensating":
            found = self._back()
        return found

    def _forward(self) -> Next:
        it, now = self.it, time.monotonic()
        if it.deadline is not None and now >= it.deadline:
            if not self.passed:
                self.turn("its deadline has passed")
                return Next()
            self.stick("its deadline has passed, and it is past its pivot")
        act: list[Leaf] = []
        dues: list[float] = [it.deadline] if it.deadline is not None and not self.passed else []
        waiting: list[str] = []
        for leaf in self.saga.leaves:  # each comes after those that it needs
            if self.status(leaf.number) in DONE or leaf.number in it.active or not all(self.status(n) in DONE for n in leaf.after):
                continue
            try:
                due = self._look(leaf, now, waiting)
            except Exception as error:
                self.failed(leaf, f"{type(error).__name__}: {error}", final=True)
                due = it.rows[leaf.number].due if self.passed else None
            if it.status != "started":
                return Next()
            if due is not None and due <= now:
                act.append(leaf)
            elif due is not None:
                dues.append(due)
        it.waiting = ", ".join(waiting) or None
        if not act and not it.active and all(self.status(leaf.number) in DONE for leaf in self.saga.leaves):
            self._end("completed")
        for leaf in act:
            row = self._begun(leaf)
            row.status, row.began, row.due = "running", True, None
            it.step = leaf.number
        return Next(tuple(act), min(dues, default=None))

    def _look(self, leaf: Leaf, now: float, waiting: list[str]) -> float | None:
        """When a step is to be acted on; None: not by that. Waits that are over are done here."""
        row, node = self.it.rows.get(leaf.number), leaf.node
        if (row is None or (row.status == "pending" and not row.failed)) and node.when is not None and not node.when(self._data()):
            self._begun(leaf).status = "skipped"
            return None
        if isinstance(node, Step):
            if row is not None and row.due is not None and row.due > now:
                waiting.append(f"another attempt at {leaf.name}")
                return row.due
            return now
        if isinstance(node, Child):
            return self._child(leaf, node, row, waiting)
        return self._wait(leaf, node, row, now, waiting)

    def _wait(self, leaf: Leaf, node: Wait | Sleep, row: Row | None, now: float, waiting: list[str]) -> float | None:
        wanted = (node.signal or node.name) if isinstance(node, Wait) else None
        letter = next((x for x in self.it.letters if x.kind == "signal" and x.name == wanted), None)
        if letter is not None:
            self._begun(leaf)
            self.it.take(letter)
            self.done(leaf, {}, {}, letter.payload)
            return None
        if row is None or row.status != "running":
            length = node.timeout if isinstance(node, Wait) else node.seconds(self._data()) if callable(node.seconds) else node.seconds
            row = self._begun(leaf)
            row.status, row.began, row.due = "running", True, None if length is None else now + float(length)
            self.it.step = leaf.number
        if row.due is not None and row.due <= now:
            if isinstance(node, Sleep) or node.otherwise == "go on" or self.passed:
                self.done(leaf, {}, {}, None)
            else:
                self.failed(leaf, f"no signal {wanted} came in {node.timeout:g} s", final=True)
            return None
        waiting.append(f"signal {wanted}" if wanted else "time")
        return row.due

    def child_id(self, leaf: Leaf) -> str:
        """The id of the saga that a step is."""
        return str(uuid.uuid5(SPACE, f"{self.it.id} {leaf.number} {self.it.round}"))

    def _child(self, leaf: Leaf, node: Child, row: Row | None, waiting: list[str]) -> float | None:
        told = self._told(leaf)
        if told is not None and told["status"] == "completed":
            self.done(leaf, {}, {}, told["result"])
            return None
        if told is not None:
            self.failed(leaf, f"saga {node.saga.name} failed: {told['error']}", final=True)
            return None
        if row is None or row.status != "running":
            row = self._begun(leaf)
            row.status, row.began, row.due = "running", True, None
            self.it.step = leaf.number
            data = fields(node.data(self._data()), node.saga.data)
            self.it.changes.children.append(
                {
                    "guard": self.it.id, "id": self.child_id(leaf), "type": node.saga.name, "version": node.saga.version, "data": data,
                    "within": node.saga.deadline, "step": leaf.number, "correlation": self.it.correlation, "tenant": self.it.tenant,
                }
            )  # fmt: skip
        waiting.append(f"saga {node.saga.name}")
        return None

    def _told(self, leaf: Leaf) -> Raw | None:
        """How the saga that a step is has ended, as far as it was told."""
        found = None
        for letter in [x for x in self.it.letters if x.kind == "ended" and x.name == self.child_id(leaf)]:
            found = letter.payload
            self.it.take(letter)
        return found

    def _back(self) -> Next:
        it, now = self.it, time.monotonic()
        act: list[Leaf] = []
        dues: list[float] = []
        waiting: list[str] = []
        for leaf in reversed(self.saga.leaves):
            row = it.rows.get(leaf.number)
            if row is None or leaf.number in it.active:
                continue
            if row.status in ("pending", "running"):
                self._given_up(leaf, it.row(leaf.number), waiting)
            if not self.owes(leaf) or not all(map(self._clear, self.saga.following[leaf.number])):
                continue
            if isinstance(leaf.node, Child):
                self._take_back(leaf, it.row(leaf.number), waiting)
            elif row.due is not None and row.due > now:
                dues.append(row.due)
                waiting.append(f"another attempt at compensating {leaf.name}")
            else:
                act.append(leaf)
        it.waiting = ", ".join(waiting) or None
        owing = any(self.owes(leaf) or self.status(leaf.number) == "running" for leaf in self.saga.leaves)
        if not act and not it.active and not owing:
            self._end("failed")
        return Next(tuple(act), min(dues, default=None))

    def _given_up(self, leaf: Leaf, row: Row, waiting: list[str]) -> None:
        """A step that had been begun when the saga turned. A saga inside is told, and what becomes of it waited for."""
        if not isinstance(leaf.node, Child) or row.status == "pending":
            row.status, row.due = "failed", None
            row.error = row.error or "given up: the saga turned round"
            return
        told = self._told(leaf)
        if told is None:
            self.it.tell(self.child_id(leaf), "cancel", "", None, f"cancel {self.it.round}", self.it.error)
            waiting.append(f"the end of saga {leaf.node.saga.name}")
        else:
            row.status, row.error = ("completed", None) if told["status"] == "completed" else ("failed", str(told["error"]))

    def _take_back(self, leaf: Leaf, row: Row, waiting: list[str]) -> None:
        told = self._told(leaf)
        if told is not None and told["status"] == "failed":
            self.undone(leaf, {}, {})
            return
        if told is not None and not row.undo_failed:
            self.undo_failed(leaf, f"saga {self.child_id(leaf)} is completed and cannot be taken back")
            self.stick(f"saga {self.child_id(leaf)} is completed and cannot be taken back", leaf)
        row.due = None
        self.it.tell(self.child_id(leaf), "compensate", "", None, f"compensate {self.it.round}", self.it.error)
        waiting.append(f"saga {leaf.name} to be taken back")

    def _end(self, status: str) -> None:
        it = self.it
        it.status, it.waiting, it.stuck, it.changes.whole = status, None, False, True
        if status == "completed":
            it.error = None
            it.result = it.rows[self.saga.leaves[-1].number].result
        self.report(status)

    def report(self, status: str) -> None:
        """Tell the saga of which this is a step."""
        if self.it.parent:
            payload = {"status": status, "result": self.it.result, "error": self.it.error}
            self.it.tell(self.it.parent, "ended", self.it.id, payload, f"{status} {self.it.round} {self.it.token}")

    def _data(self) -> object:
        return made(self.it.raw, self.saga.data)
