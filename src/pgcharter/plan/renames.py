"""Renames: only what somebody declares is one. What looks like one and is not declared becomes a question."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgcharter.catalog.model import Catalog, Column, Table, UserType
from pgcharter.catalog.model import Sequence as SequenceModel
from pgcharter.errors import UsageError
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl import Sides, statements
from pgcharter.plan.draft import Draft
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses


@dataclass(frozen=True, slots=True, order=True)
class Intent:
    """Somebody's word that an object is to be called otherwise and is to keep what it holds."""

    object: ObjectId
    """Its old address; of parts of renamed relations with the relation's old name."""
    name: str
    """The new bare name."""


def operations(a: Catalog, b: Catalog, intents: Iterable[Intent]) -> tuple[Operation, ...]:
    """The renames as operations, parts before the relations they live in. Those already done are passed over.

    Afterwards the catalog must be read back from a server on which they were run: names stand in views, checks and defaults too.
    Raises UsageError for an intent that fits neither side.
    """
    before, after = Uses(a), Uses(b)
    wanted = sorted(set(intents), key=lambda i: (not i.object.part, i.object))
    return tuple(o for intent in wanted for o in _rename(before, after, intent, wanted))


def _rename(a: Uses, b: Uses, intent: Intent, all_: Sequence[Intent]) -> Iterator[Operation]:
    old = a.find(intent.object)
    target = _target(intent, all_)
    if old is None:
        if b.find(target) is None:
            raise UsageError(f"{intent.object} is to be renamed to {quote(intent.name)}, but there is neither the one nor the other",
                             hint="take the rename out of the charter, or correct it")  # fmt: skip
        return
    if b.find(target) is None:
        raise UsageError(f"{intent.object} is to be renamed to {quote(intent.name)}, which the wanted schema does not have",
                         hint=f"name {target} in the wanted schema, or take the rename out of the charter")  # fmt: skip
    if a.find(replace(target, schema=intent.object.schema, name=intent.object.name if target.part else target.name)) is not None:
        raise UsageError(f"{intent.object} is to be renamed to {quote(intent.name)}, which there is already",
                         hint=f"in a plan of its own before this one, drop {target} or rename it to a name that nobody has")  # fmt: skip
    yield Operation("rename", intent.object, old, replace(old, name=intent.name), ("name",), "declared as a rename")


def _target(intent: Intent, all_: Sequence[Intent]) -> ObjectId:
    """The new address, with the relation's own new name for parts."""
    at = intent.object
    if not at.part:
        if "(" in at.name:
            return replace(at, name=intent.name + at.name[at.name.rindex("(") :])
        return replace(at, name=intent.name)
    for other in all_:
        if not other.object.part and (other.object.schema, other.object.name) == (at.schema, at.name):
            return replace(at, name=other.name, part=intent.name)
    return replace(at, part=intent.name)


def implied(a: Catalog, b: Catalog, intents: Iterable[Intent]) -> tuple[Intent, ...]:
    """The renames that follow from others, or from nothing but a name: the sequence behind a serial column that stays keeps its position.

    Made anew it would begin at its start value, and hand out keys that are taken.
    """
    wanted = tuple(intents)
    names, taken = {i.object: i.name for i in wanted}, {s.id for s in a.sequences}
    behind = {column: s for table in b.tables for column, s in _serials(b, table).items()}
    found = []
    for table in a.tables:
        there = _target(Intent(table.id, names.get(table.id, table.name)), wanted)
        for column, old in _serials(a, table).items():
            new = behind.get(replace(column, name=there.name, part=names.get(column, column.part)))
            if new and (old.schema, new.id in taken) == (new.schema, False) and old.name != new.name and old.id not in names:
                found.append(Intent(old.id, new.name))
    return tuple(found)


def _serials(catalog: Catalog, table: Table) -> dict[ObjectId, SequenceModel]:
    """The sequences of serial columns, by column; a column that owns several is none."""
    found: dict[ObjectId, list[SequenceModel]] = {}
    for sequence in catalog.sequences_of.get(table.id, ()):
        if sequence.owned_by is not None and not sequence.identity:
            found.setdefault(sequence.owned_by, []).append(sequence)
    return {column: several[0] for column, several in found.items() if len(several) == 1}


def rename_statements(a: Catalog, b: Catalog, intents: Iterable[Intent]) -> tuple[str, ...]:
    """The SQL of the renames, to be run on a copy of `a` whose catalog is then read back."""
    sides = Sides(a, b)
    return tuple(text for operation in operations(a, b, intents) for text in statements(operation, sides))


def likely(draft: Draft, apart: Collection[ObjectId]) -> list[str]:
    """A question for every object that goes while one just like it comes, unless its address is in `apart`."""
    gone = [o for o in draft.drops.values() if o.object not in draft.creates and o.object not in apart]
    come: dict[tuple[Any, ...], list[Operation]] = {}
    for operation in draft.creates.values():
        shape = _shape(operation.object, operation.new)
        if shape is not None and operation.object not in draft.drops:
            come.setdefault(shape, []).append(operation)
    found = []
    for operation in gone:
        shape = _shape(operation.object, operation.old)
        if shape is not None:
            found += [_question(operation.object, made.object) for made in come.get(shape, ())]
    return found


def _shape(address: ObjectId, value: Any) -> tuple[Any, ...] | None:
    """What two objects have in common when one may be the other's new name; None for what holds nothing that a rename would keep."""
    if isinstance(value, Column):
        return "column", address.schema, address.name, value.type.sql, value.identity, bool(value.generated)
    if isinstance(value, Table) and value.columns:
        return "table", address.schema, value.kind, tuple((c.name, c.type.sql) for c in value.columns)
    if isinstance(value, UserType) and (value.labels or value.attributes):
        return "type", address.schema, value.labels, tuple((c.name, c.type.sql) for c in value.attributes)
    return None


def _question(old: ObjectId, new: ObjectId) -> str:
    name = new.part or new.name
    return (
        f"{old} goes and {new}, which is just like it, comes: if that is a rename, say --rename '{old}={name}' (or write it under [plan] "
        f"renames), and what it holds is kept; if not, say --dropped '{old}'"
    )
