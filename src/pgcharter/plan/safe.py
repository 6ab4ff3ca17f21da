"""From operations to steps that disturb nobody: each family of objects has its forms in a `safe_*.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pgcharter.catalog.model import Index, UserType, View
from pgcharter.names import quote
from pgcharter.plan import (
    safe_columns,
    safe_constraints,
    safe_drops,
    safe_indexes,
    safe_partitions,
    safe_renames,
    safe_retyped,
    safe_types,
    safe_views,
)
from pgcharter.plan.grades import grade
from pgcharter.plan.model import Operation
from pgcharter.plan.safe_ground import Ground, Plain, Safe, Sequence, Style, dressing

__all__ = ["Ground", "Plain", "Safe", "Sequence", "Style", "direct", "plainly", "replacement", "sequence"]

Form = Callable[[Operation, Ground], Sequence | None]

_FORMS: Mapping[tuple[str, str], Form] = {
    ("create", "index"): safe_indexes.created,
    ("create", "constraint"): safe_constraints.created,
    ("create", "column"): safe_columns.created,
    ("create", "table"): safe_partitions.created,
    ("alter", "column"): safe_columns.altered,
    ("alter", "table"): safe_partitions.altered,
    ("drop", "index"): safe_indexes.dropped,
    ("drop", "column"): safe_columns.dropped,
}


def sequence(operation: Operation, ground: Ground) -> Sequence:
    """The safe form of an operation; the plain one where that disturbs nobody, or where there is no other (which a note says)."""
    return _form(operation)(operation, ground) or direct(operation, ground)


def _form(operation: Operation) -> Form:
    if operation.change == "rename":
        return safe_renames.renamed
    form = _FORMS.get((operation.change, operation.object.kind))
    if operation.change == "drop":
        return form or safe_drops.dropped
    if isinstance(operation.old, UserType) and operation.old.kind == "enum" and "labels" in operation.fields:
        return safe_types.enum_altered
    return form or direct


def replacement(old: Operation, new: Operation, ground: Ground) -> Sequence | None:
    """The safe form of a drop and a creation of the same object that nothing else asks for; None when they are done one by one."""
    if isinstance(new.new, Index):
        return safe_indexes.replaced(old, new, ground)
    if new.object.kind == "constraint" and new.object.owner in ground.a.table:
        return safe_constraints.replaced(old, new, ground)
    return safe_views.replaced(old, new, ground) if isinstance(new.new, View) else None


def direct(operation: Operation, ground: Ground) -> Sequence:
    """The plain statements; with a note when they make others wait."""
    how, loses = grade(operation, ground)
    words = title(operation)
    steps = tuple(
        ground.step(
            sql, words if place == 0 else dressing(sql, operation.object), operation.object, grade=how, loses=loses if place == 0 else ""
        )
        for place, sql in enumerate(ground.plain(operation))
    )
    long = any(ground.hurts(step.effect) for step in steps)
    note = f"to {words} others have to wait until data is read or written anew: there is no gentler form"
    return Sequence(tuple((step,) for step in steps), notes=(note,) if long else ())


def plainly(operation: Operation, ground: Ground) -> Sequence:
    """The plain statements, where nobody else uses the database: what can be done in one is."""
    return safe_retyped.at_once(operation, ground) or direct(operation, ground)


def title(operation: Operation) -> str:
    """What an operation does, in a few words."""
    if operation.change == "alter":
        names = [n for n in operation.fields if n != "definition" or len(operation.fields) == 1]
        return f"change {', '.join(_WORDS.get(n, n.replace('_', ' ')) for n in names)} of {operation.object}"
    if operation.change == "rename":
        of_table = operation.object.kind == "constraint"
        return f"rename {quote(operation.object.part) if of_table else operation.object} to {quote(operation.new.name)}"
    return f"{'add' if operation.change == 'create' and operation.object.kind == 'column' else operation.change} {operation.object}"


_WORDS = {"acl": "privileges", "partition_of": "parent", "partition_bound": "bounds", "inherits": "parents", "not_null": "NOT NULL"}
