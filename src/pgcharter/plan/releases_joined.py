"""The plans between two releases as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pgcharter.names import ObjectId
from pgcharter.plan.model import Phase, Plan, Step
from pgcharter.plan.releases import Releases


@dataclass(frozen=True)
class Beside:
    """Columns that are there in the old type and in the new one while both releases run."""

    types: Plan
    """From the old types to the new ones."""
    views: Plan
    """The new release's views, made when both columns are filled."""
    reverse: tuple[Step, ...]
    """The whole way back, in which the releases do not run side by side."""


def joined(first: Plan, middle: Plan, last: Plan, names: Releases, beside: Beside | None = None) -> Plan:
    """The whole way: the old release gets its views, both have theirs, and when no old one runs only the new one's are left.

    `first` leads from the database as it is to one with the old release's views, `middle` to both releases', `last` to the new one's. With
    `beside` what `middle` leads to lacks the new types and the new release's views.
    """
    early = [s for s in middle.steps if s.phase is not Phase.CONTRACT]
    late = [s for s in middle.steps if s.phase is Phase.CONTRACT and not s.gate]
    types, fresh = (beside.types.steps, beside.views.steps) if beside else ((), ())
    filled = [s for s in types if s.phase is not Phase.CONTRACT]
    exchanged = [s for s in types if s.phase is Phase.CONTRACT and not s.gate]
    end = [replace(s, phase=Phase.CONTRACT) for s in last.steps if not s.gate]
    views = [replace(s, block=1) for s in end if _in(names.home(names.old), s.object)]
    rest = [s for s in end if not _in(names.home(names.old), s.object)]
    return Plan(
        steps=_numbered(first.steps, _moved(names) if first.steps else (), early, filled, fresh,
                        [_gate(middle, last, names)], views, exchanged, late, rest),
        reverse=beside.reverse if beside else _numbered(last.reverse, middle.reverse, first.reverse),
        operations=(*first.operations, *middle.operations, *(beside.types.operations if beside else ()), *last.operations),
        questions=tuple(dict.fromkeys((*first.questions, *middle.questions, *last.questions))),
        notes=tuple(dict.fromkeys((*middle.notes, *(beside.types.notes if beside else ()), *last.notes))),
        major=middle.major, before=first.before, after=last.after,
    )  # fmt: skip


def _in(schema: str, address: ObjectId) -> bool:
    return address.schema == schema or address == ObjectId("schema", "", schema)


def _moved(names: Releases) -> tuple[Step]:
    """The old release must look through its views before anything beneath them is called otherwise."""
    gate = f"every session of release {names.old} has search_path = {names.path(names.old)}"
    title = f"wait for release {names.old} to use its views"
    return (Step("", title, ObjectId("schema", "", names.home(names.old)), gate=gate),)


_SHOWN = 5


def _gate(middle: Plan, last: Plan, names: Releases) -> Step:
    """The one gate before the contract phase."""
    home = names.home(names.old)
    used = [s.gate.removeprefix("no running release uses ") for s in middle.steps if s.gate]
    used += [str(o.object) for o in last.operations if o.change == "drop" and o.object.kind in ("table", "column") and not o.cause]
    told = ", ".join(used[:_SHOWN]) + (f" and {len(used) - _SHOWN} more" if len(used) > _SHOWN else "")
    gate = f"no release {names.old} runs any more" + (f", and no running release uses {told}" if told else "")
    return Step("", f"wait for the last release {names.old} to stop", ObjectId("schema", "", home), Phase.CONTRACT, gate=gate)


def _numbered(*parts: Iterable[Step]) -> tuple[Step, ...]:
    """All steps in order; transactions of different parts stay different, and their numbers have no gaps."""
    numbers: dict[tuple[int, int], int] = {}
    return tuple(
        replace(step, block=step.block and numbers.setdefault((part, step.block), len(numbers) + 1))
        for part, steps in enumerate(parts)
        for step in steps
    )
