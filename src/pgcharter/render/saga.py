"""A saga's definition as a state diagram, in Mermaid. Pure text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """A step as it is drawn."""

    name: str
    kind: str = "step"
    """step, wait, sleep, saga."""
    undo: bool = False
    pivot: bool = False
    maybe: bool = False
    """It has a condition."""


Part = State | tuple[tuple[State, ...], ...]
"""A step, or branches side by side."""


def mermaid(title: str, parts: Sequence[Part]) -> str:
    """The diagram: forward by the steps, back by what compensates them, as far as the pivot."""
    return "\n".join(["---", f"title: {_safe(title)}", "---", "stateDiagram-v2", *(f"    {line}" for line in _lines(parts))]) + "\n"


def _lines(parts: Sequence[Part]) -> Iterator[str]:
    last, back, before_pivot = ["[*]"], "", True
    for number, part in enumerate(parts, 1):
        branches = ((part,),) if isinstance(part, State) else part
        side_by_side = len(branches) > 1
        if side_by_side:
            yield f"state fork{number} <<fork>>"
            yield f"state join{number} <<join>>"
            yield from (f"{one} --> fork{number}" for one in last)
        ends = []
        for row, branch in enumerate(branches):
            at = [f"fork{number}"] if side_by_side else last
            for place, state in enumerate(branch):
                name = f"s{number}_{row}_{place}"
                yield f'state "{_label(state)}" as {name}'
                yield from (f"{one} --> {name}" for one in at)
                if before_pivot:
                    yield f"{name} --> {back or 'failed'}: fails"
                at = [name]
            ends += at
        if side_by_side:
            yield from (f"{one} --> join{number}" for one in ends)
        last = [f"join{number}"] if side_by_side else ends
        taken = [s.name for branch in branches for s in branch if s.undo]
        if any(s.pivot for branch in branches for s in branch):
            before_pivot = False
        if taken and before_pivot:
            yield f'state "compensate {_safe(", ".join(taken))}" as u{number}'
            yield f"u{number} --> {back or 'failed'}"
            back = f"u{number}"
    yield from (f"{one} --> completed" for one in last)
    yield "completed --> [*]"
    yield "failed --> [*]"


def _label(state: State) -> str:
    kinds = {"wait": "wait for ", "sleep": "sleep: ", "saga": "saga "}
    marks = (" (pivot)" if state.pivot else "") + (" (maybe)" if state.maybe else "")
    return kinds.get(state.kind, "") + _safe(state.name) + marks


def _safe(text: str) -> str:
    """Text in which nothing steers Mermaid or ends the line."""
    return "".join(c if c.isalnum() or c in " _-.,()/" else f"#{ord(c)};" for c in text)
