"""Indexes and constraints that follow what was renamed, where their names go round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgcharter.plan.model import Operation
from pgcharter.plan.renames import DECLARED, Intent
from pgcharter.plan.safe_names import Names


def unravelled(operations: tuple[Operation, ...], names: Names) -> tuple[Operation, ...]:
    """Indexes and constraints that are renamed on the way, each to a name that is free by then: what still has it makes way first."""
    places = {key: place for place, o in enumerate(operations) if _follows(o) for key in _names(o, o.old.name)}
    found: list[Operation] = []
    passing: dict[int, str] = {}
    for place, operation in enumerate(operations):
        for key in _names(operation, operation.new.name) if _follows(operation) else ():
            other = places.get(key, -1)
            if other > place and other not in passing:
                late = operations[other]
                passing[other] = names.relation(late.object.schema, late.old.name, "swap")
                found.append(replace(late, new=replace(late.old, name=passing[other])))
        if place in passing:
            at = Intent(operation.object, "").called(passing[place])
            operation = replace(operation, object=at, old=replace(operation.old, name=passing[place]))
        found.append(operation)
    return tuple(found)


def _follows(operation: Operation) -> bool:
    return operation.change == "rename" and operation.cause != DECLARED and operation.object.kind in ("index", "constraint")


def _names(operation: Operation, name: str) -> Iterator[tuple[str, ...]]:
    """Where a name of an index or constraint must be the only one: among the relations of its schema, the constraints of its table."""
    at = operation.object
    if at.kind == "index" or operation.old.index:
        yield at.schema, name
    if at.part:
        yield at.schema, at.name, name
