"""What a person may ask of a saga, and what becomes of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pgcharter.runtime.sagas_define import Child
from pgcharter.runtime.sagas_state import Letter, Row

if TYPE_CHECKING:
    from pgcharter.runtime.sagas_machine import Machine


def asked(machine: Machine, letter: Letter) -> None:
    """Do what a person asks, or write into the history why not."""
    machine.it.take(letter)
    refused = _DOING[letter.kind](machine, letter)
    said = f"{letter.kind} {letter.name}".strip() + (f": {letter.reason}" if letter.reason else "")
    machine.it.note("refused" if refused else "asked", f"{said}; {refused}" if refused else said, actor=letter.actor)


def _cancel(machine: Machine, letter: Letter) -> str:
    if machine.it.status != "started":
        return "" if machine.it.status == "compensating" else f"it is {machine.it.status}"
    if machine.passed:
        return "it is past its pivot"
    machine.turn(f"cancelled: {letter.reason or 'no reason given'}", actor=letter.actor)
    return ""


def _compensate(machine: Machine, letter: Letter) -> str:
    it = machine.it
    if it.status == "failed":
        machine.report("failed")
        return "it is failed"
    if machine.passed:
        if it.status == "completed":
            machine.report("completed")
        return "it is past its pivot"
    if it.status != "compensating":
        machine.turn(f"taken back: {letter.reason or 'no reason given'}", actor=letter.actor)
    return ""


def _retry(machine: Machine, _letter: Letter) -> str:
    if machine.it.ended:
        return f"it is {machine.it.status}"
    for row in list(machine.it.rows.values()):
        if row.status in ("pending", "completed", "failed") and row.due is not None and row.kind == "step":
            machine.it.row(row.number).due = None
            row.failed, row.undo_failed = (0, row.undo_failed) if row.status == "pending" else (row.failed, 0)
    machine.unstuck()
    return ""


def _resume(machine: Machine, _letter: Letter) -> str:
    it = machine.it
    if it.status != "failed":
        return f"it is {it.status}, and only one that is failed is resumed"
    it.status, it.error, it.why, it.changes.whole = "started", None, None, True
    it.round += 1
    it.deadline = None
    for number, row in list(it.rows.items()):
        if row.status in ("compensated", "failed"):
            it.changes.steps.add(number)
            it.rows[number] = Row(number, row.name, row.kind)
    return ""


def _skip(machine: Machine, letter: Letter) -> str:
    leaf = machine.saga.leaf(letter.name)
    row = machine.it.rows.get(leaf.number) if leaf else None
    if leaf is None or row is None:
        return "it has no such step under way"
    by_hand = f"skipped by {letter.actor or 'somebody'}: {letter.reason or ''}"
    if machine.it.status == "started" and row.status in ("pending", "running") and not isinstance(leaf.node, Child):
        machine.done(leaf, {}, {}, None)
        row.status, row.error = "skipped", by_hand
    elif machine.it.status == "compensating" and machine.owes(leaf):
        machine.undone(leaf, {}, {})
        row.error = by_hand
    else:
        return f"step {leaf.name} is {row.status}"
    return ""


_DOING: Mapping[str, Callable[[Machine, Letter], str]] = {
    "cancel": _cancel,
    "compensate": _compensate,
    "retry": _retry,
    "resume": _resume,
    "skip": _skip,
}
KINDS = tuple(_DOING)
"""What a saga may be asked for."""
