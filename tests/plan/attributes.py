"""Which attributes of the model the pairs of the law change, and which of them must be changed by some pair.

`pairs/attributes.txt` says of every attribute which pair changes it, and of every kind of object which pair makes one; that pair's test
holds it to its word. What no pair can change stands there with the reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pgcharter.catalog import model
from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Argument, Catalog, Column, Constraint, DataType, Grant, IndexKey, OtherObject, UserType, View
from pgcharter.plan.ddl import writers
from pgcharter.plan.uses import Uses

LIST = Path(__file__).parent / "pairs" / "attributes.txt"
_OBJECTS = (
    model.Sequence, Column, Constraint, model.Index, model.Trigger, model.Policy, model.RewriteRule, model.Table, View, model.Function,
    UserType, model.Schema, model.Extension, model.EventTrigger, model.Publication, model.Subscription, model.ExtendedStatistics,
    model.ForeignServer, model.Collation, model.DefaultPrivilege, model.SecurityLabel, model.Database,
)  # fmt: skip
_VALUES = (Grant, IndexKey, DataType, Argument)
_ADDRESSES = frozenset(("schema", "name", "extension"))
"""Fields that say which object it is, and whose: with another one it is another object."""
_PARTS = frozenset(("columns", "attributes", "constraints", "indexes", "triggers", "policies", "rules"))
"""Fields that hold objects with addresses of their own."""


def required() -> set[str]:
    """`Table.unlogged` for every attribute of the model that a plan may have to change, `a new table` for every kind that it writes."""
    found = {f"{of.__name__}.{f.name}" for of in (*_OBJECTS, *_VALUES) for f in dataclasses.fields(of) if f.compare}
    found -= {f"{of.__name__}.{name}" for of in _OBJECTS for name in _ADDRESSES}
    found -= {f"{of.__name__}.{name}" for of in (model.Table, View, UserType) for name in _PARTS}
    return found | {f"a new {kind}" for kind in writers()}


def listed() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Attributes with the pair that changes them, and those that no pair changes with the reason."""
    lines = [line for line in LIST.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    by_pair = dict(line.split(": ", 1) for line in lines if " # " not in line)
    return by_pair, dict(line.split(" # ", 1) for line in lines if " # " in line)


def changed(a: Catalog, b: Catalog) -> Iterator[str]:
    """What differs between two catalogs, as `required` names it."""
    one, other = Uses(a), Uses(b)
    for difference in compare(a, b):
        old, new = one.find(difference.object), other.find(difference.object)
        if difference.change != "changed":
            yield f"a new {difference.object.kind}"
        elif old is not None and type(old) is type(new):
            yield from _attributes(old, new, _label(new, other.container(difference.object)))


def _label(value: Any, whole: object) -> str:
    if isinstance(value, OtherObject):
        return value.kind
    within: Mapping[tuple[type, type], str] = {
        (Column, UserType): "attribute", (Column, View): "view's column", (Constraint, UserType): "domain's constraint",
    }  # fmt: skip
    return within.get((type(value), type(whole)), type(value).__name__)


def _attributes(old: Any, new: Any, label: str) -> Iterator[str]:
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if not field.compare or before == after:
            continue
        yield f"{label}.{field.name}"
        pairs = zip(before, after, strict=False) if isinstance(before, tuple) and isinstance(after, tuple) else ((before, after),)
        for one, other in pairs:
            if isinstance(one, _VALUES) and type(one) is type(other):
                yield from _attributes(one, other, type(one).__name__)
