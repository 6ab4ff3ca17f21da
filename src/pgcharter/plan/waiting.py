"""Which drops wait for the end of a plan, when no old release runs any more, and which cannot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from pgcharter.catalog.model import Function, Table, View
from pgcharter.names import ObjectId
from pgcharter.plan.ddl import Sides
from pgcharter.plan.ddl_inheritance import as_partition_of
from pgcharter.plan.draft import parts
from pgcharter.plan.model import Operation
from pgcharter.plan.safe_drops import WAITING
from pgcharter.plan.uses import Uses

_LENT = frozenset((
    "language", "access method", "collation", "operator", "operator class", "operator family", "foreign-data wrapper",
    "text search configuration", "text search dictionary", "text search template", "text search parser",
))  # fmt: skip
"""Kinds that nobody uses but other objects, which may wait for the end of the plan: they go after those."""


@dataclass(frozen=True)
class Waiting:
    """The drops among operations."""

    sides: Sides
    operations: tuple[Operation, ...]
    uses: Uses
    """Who uses what before."""
    replaced: Collection[ObjectId]
    """What is dropped and made again."""

    def may(self, operation: Operation) -> bool:
        """Whether it is a drop that somebody asked for, of a kind that can wait."""
        gone = operation.change == "drop" and (operation.object.kind in WAITING or operation.object.kind in _LENT)
        return gone and not operation.cause and operation.object not in self.replaced

    def plainly(self, operation: Operation) -> bool:
        """Whether it waits in its plain form: what only other objects use, and what is in the way of a drop that waits."""
        return _prepares(operation, self._judged[1]) or (operation.object.kind in _LENT and self.may(operation))

    @property
    def kept(self) -> frozenset[int]:
        """Places of drops that cannot wait: something that stays to be done needs them gone."""
        return self._judged[0]

    def parents_columns(self, table: Table) -> set[ObjectId]:
        """Columns of the partitioned table that a partition belongs to."""
        parent = self.sides.a.table.get(table.partition_of) if table.partition_of else None
        return {parent.part("column", c.name) for c in parent.columns} if parent else set()

    @cached_property
    def _judged(self) -> tuple[frozenset[int], frozenset[ObjectId]]:
        """Places of drops that cannot wait, and what waits; from the last operation to the first."""
        disturbed, waiting, found = set[ObjectId](), set[ObjectId](), set[int]()
        names = {
            (o.object.schema, _bare(o.object.name if o.change == "create" else o.new.name))
            for o in self.operations
            if o.change in ("create", "rename")
        }
        for place in range(len(self.operations) - 1, -1, -1):
            operation = self.operations[place]
            waits = self.may(operation) or _prepares(operation, waiting)
            needs = self._needs(operation) if waits else set()
            taken = waits and not names.isdisjoint(self._frees(operation))
            if waits and not taken and operation.object not in disturbed and not needs & disturbed:
                waiting.add(operation.object)
                continue
            if operation.change == "drop":
                found.add(place)
            disturbed |= self._disturbs(operation)
        return frozenset(found), frozenset(waiting)

    def _disturbs(self, operation: Operation) -> set[ObjectId]:
        """What is not as it was once this is done."""
        found = {operation.object}
        if operation.change == "create" and isinstance(operation.new, Table) and not as_partition_of(operation.new, self.sides):
            found |= self.parents_columns(operation.new)
        if operation.change == "drop" and isinstance(operation.old, Table | View):
            found |= {part for part, _ in parts(operation.old)}
        return found

    def _frees(self, operation: Operation) -> set[tuple[str, str]]:
        """Names in schemas that are free again after a drop: its own, and those of indexes and sequences that go with it."""
        at, gone = operation.object, operation.old
        found = {(at.schema, _bare(at.name))} if not at.part else set()
        if isinstance(gone, Table | View):
            found |= {(index.schema, index.name) for index in gone.indexes}
        owned = self.sides.a.sequences_of.get(at.owner, ()) if at.kind in ("table", "column") else ()
        return found | {(s.schema, s.name) for s in owned if not at.part or s.owned_by == at}

    def _needs(self, operation: Operation) -> set[ObjectId]:
        """What an object and its parts need."""
        found = set(self.uses.of.get(operation.object, ()))
        if isinstance(operation.old, Table | View):
            for part, _ in parts(operation.old):
                found |= self.uses.of.get(part, set())
        return found


def _prepares(operation: Operation, waiting: Collection[ObjectId]) -> bool:
    """Whether it only takes away what is in the way of a drop that waits for the end: a function's body, a part of a table."""
    emptied = operation.change == "alter" and isinstance(operation.old, Function)
    part = operation.change == "drop" and bool(operation.object.part)
    return bool(operation.cause) and (emptied or part) and operation.object.owner in waiting


def _bare(name: str) -> str:
    """A name without a function's arguments: namesakes make calls ambiguous."""
    return name.partition("(")[0]
