"""The law of sagas, on drawn ones: either all steps come to be done, or all that were done are taken back, the latest first.

`python -m tests.runtime.test_sagas_law 2000` draws so many.
"""

from __future__ import annotations

import sys
import time
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from pgcharter.runtime.sagas import Parallel, Retrying, Saga, Step, Wait
from pgcharter.runtime.sagas_define import Leaf
from pgcharter.runtime.sagas_machine import DONE, Machine
from pgcharter.runtime.sagas_state import Changes, Instance, Letter

RETRY = Retrying(attempts=2, base=1, longest=1)


@st.composite
def definitions(draw: st.DrawFn) -> Saga[Any]:
    names = iter(f"s{i}" for i in range(100))
    pivot = draw(st.none() | st.integers(0, 5))

    def leaf(main: int | None) -> Any:
        if draw(st.integers(0, 7)) == 0:
            return Wait(next(names), "go", timeout=draw(st.sampled_from([None, 1.0])))
        undo = print if draw(st.integers(0, 5)) else None
        when = draw(st.sampled_from([None, None, None, lambda data: False]))
        return Step(next(names), print, undo=undo, retry=RETRY, pivot=main is not None and main == pivot, when=when)

    nodes: list[Any] = []
    for i in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 3)) == 0:
            branches = [[leaf(None) for _ in range(draw(st.integers(1, 3)))] for _ in range(draw(st.integers(1, 3)))]
            nodes.append(Parallel(branches))
        else:
            nodes.append(leaf(i))
    return Saga("drawn", nodes)


class World:
    """What really happened, whatever the machine believes."""

    def __init__(self) -> None:
        self.done: set[int] = set()
        """Steps that are done in it. Asked again with the same key it does nothing again."""


def again(saga: Saga[Any], it: Instance, world: World, draw: Any) -> Machine:
    """As after a crash: what was noted is read anew, what was under way is lost, be it done or not."""
    for number in it.active:
        effect(it, number, world, draw)
    it.active, it.changes = frozenset(), Changes()
    machine = Machine(saga, it)
    assert machine.loaded() == ""
    return machine


def play(saga: Saga[Any], draw: Any) -> tuple[Instance, World]:
    """Run a saga against a world that fails, forgets and crashes as drawn; time is ours."""
    it = Instance(
        "a", 1, "drawn", 1, "started", 0, {}, None, None, None, 0, False, 0, None, "", None, None, None, None, {}, []
    )  # fmt: skip
    world, now, machine = World(), [0.0], Machine(saga, it)
    with mock.patch.object(time, "monotonic", side_effect=lambda: now[0]):
        for turn in range(3000):
            found = machine.next()
            calm = turn > 200
            if it.ended:
                break
            for leaf in found.act:
                begun(machine, leaf, world)
                it.active |= {leaf.number}
            if it.active:
                end(machine, saga.leaves[draw(st.sampled_from(sorted(it.active))) - 1], world, draw, calm)
                if not calm and draw(st.integers(0, 15)) == 0:
                    machine = again(saga, it, world, draw)
            else:
                now[0] = max(now[0] + 0.01, found.due or 0)
                if calm or draw(st.integers(0, 3)) == 0:
                    it.letters.append(Letter(f"l{turn}", "signal", "go", None, None, None))
                if not calm and draw(st.integers(0, 15)) == 0:
                    it.letters.append(Letter(f"c{turn}", "cancel", "", None, None, "drawn"))
    return it, world


def effect(it: Instance, number: int, world: World, draw: Any) -> None:
    """Something was asked for, nobody was answered, and it was done, or not."""
    if draw(st.booleans()):
        (world.done.discard if it.rows[number].status in ("completed", "failed") else world.done.add)(number)


def begun(machine: Machine, leaf: Leaf, world: World) -> None:
    """What must hold whenever a step is begun, or begun to be taken back."""
    saga = machine.saga
    if machine.it.status == "started":
        assert all(machine.status(n) in DONE for n in leaf.after)
    else:
        assert not machine.passed
        for later in saga.following[leaf.number]:
            assert later not in world.done or saga.leaves[later - 1].node.undo is None, "taken back before what came after it"


def end(machine: Machine, leaf: Leaf, world: World, draw: Any, calm: bool) -> None:
    """One step that is under way comes to its end."""
    it = machine.it
    row = it.rows[leaf.number]
    undoing = row.status in ("completed", "failed")
    it.active -= {leaf.number}
    how = "good" if calm else draw(st.sampled_from(["good", "good", "good", "bad", "unsure", "final"]))
    if how == "good" and undoing:
        world.done.discard(leaf.number)
        machine.undone(leaf, {}, {})
    elif how == "good":
        world.done.add(leaf.number)
        machine.done(leaf, {}, {}, None)
    elif undoing:
        machine.undo_failed(leaf, "no")
    else:
        if how == "unsure":
            effect(it, leaf.number, world, draw)
        machine.failed(leaf, "no", uncertain=how == "unsure", final=how == "final")


def law(saga: Saga[Any], draw: Any) -> None:
    it, world = play(saga, draw)
    assert it.ended, (it.status, it.rows)
    for leaf in saga.leaves:
        status = it.rows[leaf.number].status if leaf.number in it.rows else "pending"
        if it.status == "completed":
            assert status in DONE
            assert (leaf.number in world.done) == (isinstance(leaf.node, Step) and status == "completed")
        elif isinstance(leaf.node, Step) and leaf.node.undo is not None:
            assert leaf.number not in world.done, "done, and not taken back"
            assert status != "completed"
    pivot = saga.pivot
    if it.status == "failed" and pivot is not None:
        assert pivot.number not in it.rows or it.rows[pivot.number].status not in DONE


@given(definitions(), st.data())
@settings(max_examples=150, deadline=None)
def test_all_or_nothing(saga: Saga[Any], data: st.DataObject) -> None:
    law(saga, data.draw)


if __name__ == "__main__":
    settings(max_examples=int(sys.argv[1]), deadline=None)(given(definitions(), st.data())(lambda s, d: law(s, d.draw)))()
