"""Labels of enums: what is at their addresses, and what is asked before one goes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pgcharter.catalog.model import Catalog, Stats, Table, UserType
from pgcharter.names import ObjectId
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses


@dataclass(frozen=True, slots=True)
class Label:
    """A label of an enum."""

    name: str


def find(uses: Uses, at: ObjectId) -> Any:
    """What is at an address, labels included; None where nothing is."""
    if at.kind != "label":
        return uses.find(at)
    enum = uses.wholes.get((at.schema, at.name))
    return Label(at.part) if isinstance(enum, UserType) and at.part in enum.labels else None


def gone(operations: Iterable[Operation], a: Catalog, sizes: Stats | None, apart: Collection[ObjectId]) -> Iterator[str]:
    """A question for every label of an enum that goes while rows may hold it, unless it, or its type, is in `apart`."""
    enums = {o.object: o.old for o in operations if o.change == "drop" and isinstance(o.old, UserType) and o.old.kind == "enum"}
    for operation in operations:
        old, new = enums.get(operation.object), operation.new
        if old is None or operation.change != "create" or new.kind != "enum" or old.id in apart or not (held := _held(old, a, sizes)):
            continue
        for label in old.labels:
            at = ObjectId("label", old.schema, old.name, label)
            if label not in new.labels and at not in apart:
                likely_ = next((c for c in new.labels if c not in old.labels and _in_place_of(old, new, label, c)), "")
                yield (
                    f"{at} goes, and rows of {held} may hold it: give them another, then say --dropped '{at}'; if it is only to be called "
                    f"otherwise, say --rename '{at}={likely_ or 'NAME'}' (or write it under [plan] renames)"
                )


def _held(enum: UserType, a: Catalog, sizes: Stats | None) -> str:
    """The columns whose rows may hold a label; empty when there are none, or only in tables without rows."""
    found = [
        str(table.part("column", column.name))
        for table in a.root_tables
        for column in table.columns
        if (column.type.schema, column.type.name) == (enum.schema, enum.name) and not _empty(table, a, sizes)
    ]
    return " and ".join([found[0], *[f"{len(found) - 1} more"] * (len(found) > 1)]) if found else ""


def _empty(table: Table, a: Catalog, sizes: Stats | None) -> bool:
    """Whether a table is known to hold nothing."""
    if table.kind == "partitioned table":
        return all(_empty(p, a, sizes) for p in a.partitions.get(table.id, ()))
    size = sizes.relations.get(table.id) if sizes else None
    return size is not None and max(size.rows, size.live) == 0 and not size.bytes


def _in_place_of(old: UserType, new: UserType, label: str, other: str) -> bool:
    """Whether a new label stands where a label that goes stood."""
    turned = [other if x == label else x for x in old.labels]
    return [x for x in turned if x in new.labels] == [x for x in new.labels if x in turned]
