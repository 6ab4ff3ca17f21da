"""What changes inside stored code: the definitions before and after as a unified diff, or that only their layout differs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgcharter.catalog.model import Function, RewriteRule, Trigger, View
from pgcharter.names import ObjectId
from pgcharter.plan.model import Plan, Step
from pgcharter.sqltext.tokens import words

CONTEXT = 3
"""Unchanged lines around a change."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one piece of stored code differs from what it was."""

    lines: tuple[str, ...] = ()
    """Hunks of a unified diff of the definitions, without the names of files; none when it is made anew just as it was."""
    layout: bool = False
    """Whether nothing but white space and comments differs."""

    @property
    def sentence(self) -> str:
        """What is to be said in place of a diff; empty where the diff says it."""
        if not self.lines:
            return "made anew, just as it was"
        return "only white space and comments differ" if self.layout else ""

    @property
    def text(self) -> str:
        """The diff as one text."""
        return "\n".join(self.lines)


def changes(plan: Plan) -> Mapping[ObjectId, Change]:
    """How the code that a plan changes, or drops and makes anew, differs from what it was; not what is only created or dropped."""
    before: dict[ObjectId, Any] = {}
    found: dict[ObjectId, Change] = {}
    for operation in plan.operations:
        if operation.change == "drop":
            before[operation.object] = operation.old
        elif operation.change in ("alter", "create"):
            old = operation.old or before.get(operation.object)
            if (change := _change(old, operation.new)) is not None and (change.lines or operation.change == "create"):
                found[operation.object] = change
    return found


def shown(step: Step, found: Mapping[ObjectId, Change]) -> Change | None:
    """The change that is read instead of the SQL of `step`; None where the SQL says it."""
    return found.get(step.object) if step.sql.startswith("CREATE ") else None


def _change(old: Any, new: Any) -> Change | None:
    if not isinstance(new, Function | View | Trigger | RewriteRule) or type(old) is not type(new):
        return None
    before, after = _lines(old), _lines(new)
    lines = tuple(difflib.unified_diff(before, after, n=CONTEXT, lineterm=""))[2:]
    return Change(lines, bool(lines) and _only_layout(old, new))


def _lines(code: Any) -> list[str]:
    text = str(code.definition)
    options = [f"WITH ({', '.join(code.options)})"] if isinstance(code, View) and code.options else []
    return options + [line.rstrip("\r") for line in text.strip("\n").split("\n")]


def _only_layout(old: Any, new: Any) -> bool:
    if not isinstance(old, Function) or not old.body or _around(old) != _around(new):
        return False
    one, other = words(old.body), words(new.body)
    return one is not None and one == other


def _around(function: Function) -> str:
    """The definition without its body and the tag around that, which depends on it."""
    head, _, tail = function.definition.partition(function.body)
    return head.rpartition("AS $")[0] + tail.partition("$\n")[2]
