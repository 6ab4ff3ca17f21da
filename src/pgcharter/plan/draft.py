"""What is to be done, object by object, before it has an order: drops, creations, alterations, and columns that take a detour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from pgcharter.catalog.model import Catalog, Column, Constraint, Index, Publication, Sequence, Table, Trigger, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan.ddl import Sides
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses, Whole

PARTS = frozenset(("columns", "constraints", "indexes", "triggers", "policies", "rules"))
"""Fields of a relation that are objects of their own."""


@dataclass
class Draft:
    """The operations between two catalogs by address. An address in both `drops` and `creates` is replaced."""

    a: Uses
    b: Uses
    drops: dict[ObjectId, Operation] = field(default_factory=dict)
    creates: dict[ObjectId, Operation] = field(default_factory=dict)
    alters: dict[ObjectId, Operation] = field(default_factory=dict)
    renames: dict[ObjectId, Operation] = field(default_factory=dict)
    """Constraints and indexes of which nothing but the name changes, by old address."""
    detours: dict[ObjectId, Any] = field(default_factory=dict)
    """Columns and publications that have another form in between: address → that form."""
    causes: dict[ObjectId, str] = field(default_factory=dict)
    """Why a detour is taken."""
    hollow: dict[ObjectId, frozenset[ObjectId]] = field(default_factory=dict)
    """Functions that are made without their body at first → the rest of the circle that this cuts."""
    emptied: dict[ObjectId, frozenset[ObjectId]] = field(default_factory=dict)
    """Functions that lose their body before they are dropped → the rest of the circle that this cuts."""
    misplaced: set[ObjectId] = field(default_factory=set)
    """Tables whose columns may not stand in the wanted order."""
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def between(cls, a: Catalog, b: Catalog) -> Draft:
        """An empty draft."""
        return cls(Uses(a), Uses(b))

    @cached_property
    def sides(self) -> Sides:
        """The catalogs as the writers of DDL want them."""
        return Sides(self.a.catalog, self.b.catalog)

    @property
    def major(self) -> int:
        """Major version of the server the statements are for."""
        return self.sides.major

    def create(self, address: ObjectId, made: Any, cause: str = "") -> None:
        """Create an object with the parts that are objects of their own."""
        self.creates[address] = Operation("create", address, new=made, cause=cause)
        if isinstance(made, Table | View):
            for part, value in own_parts(made):
                self.creates[part] = Operation("create", part, new=value, cause=cause)

    def drop(self, address: ObjectId, gone: Any, cause: str = "") -> None:
        """Drop an object; what goes with it needs no operation any more."""
        if isinstance(gone, Table | View | UserType):
            for part, value in parts(gone):
                for operations in (self.drops, self.alters, self.renames):
                    operations.pop(part, None)
                made = self.creates.get(part)
                if made is not None and not (isinstance(value, Index) and made.new.table != value.table):
                    del self.creates[part]
        self.alters.pop(address, None)
        self.detours.pop(address, None)
        self.drops[address] = Operation("drop", address, old=gone, cause=cause)

    def replace(self, address: ObjectId, cause: str = "") -> None:
        """Drop an object and create it anew as it is wanted, with all its parts."""
        wanted = self.b.find(address)
        if isinstance(wanted, UserType):
            for part, _ in parts(wanted):
                self.creates.pop(part, None)
        self.drop(address, self.a.find(address), cause)
        self.create(address, wanted, cause)

    def rename(self, old: ObjectId, new: ObjectId) -> None:
        """Rename what is otherwise as it is wanted, but for its comment and the like."""
        before, after = self.drops.pop(old).old, self.creates.pop(new).new
        if isinstance(before, Constraint):
            before = replace(before, inherited=before.inherited and after.inherited)
        self.renames[old] = Operation("rename", old, before, after, ("name",))
        rest = changed(replace(before, name=after.name), after)
        if "comment" in rest:
            self.alters[new] = Operation("alter", new, replace(after, comment=before.comment), after, ("comment",))

    def alter(self, address: ObjectId, names: tuple[str, ...]) -> None:
        """Alter an object in the given fields of the model."""
        self.alters[address] = Operation("alter", address, self.a.find(address), self.b.find(address), names)

    def detour(self, address: ObjectId, cause: str, **form: Any) -> None:
        """Give a column or publication the fields `form` for the time in between."""
        self.detours[address] = replace(self.detours.get(address) or self.a.find(address), **form)
        self.causes.setdefault(address, cause)

    def alterations(self, address: ObjectId) -> tuple[Operation, ...]:
        """The one operation of an alteration, or the two of a detour."""
        between = self.detours.get(address)
        if between is None:
            return (self.alters[address],)
        old, new, cause = self.a.find(address), self.b.find(address), self.causes[address]
        wanted = set(self.alters[address].fields) if address in self.alters else set()
        there = changed(old, between)
        back = tuple(f for f in changed(between, new) if f in wanted or f in there)
        return Operation("alter", address, old, between, there, cause), Operation("alter", address, between, new, back, cause)


def changed(old: Any, new: Any) -> tuple[str, ...]:
    """Names of the fields in which two objects differ, without parts and the place of a column."""
    names = (f.name for f in fields(old) if f.compare and f.name not in PARTS and f.name not in ("position", "inherited"))
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))


def parts(relation: Whole) -> Iterator[tuple[ObjectId, Any]]:
    """Every part of a relation or type with its address."""
    at = relation.schema, relation.name
    columns = relation.attributes if isinstance(relation, UserType) else relation.columns
    yield from ((ObjectId("column", *at, c.name), c) for c in columns)
    if not isinstance(relation, View):
        yield from ((ObjectId("constraint", *at, c.name), c) for c in relation.constraints)
    if isinstance(relation, UserType):
        return
    yield from ((i.id, i) for i in relation.indexes)
    yield from ((ObjectId("trigger", *at, t.name), t) for t in relation.triggers)
    yield from ((ObjectId("rule", *at, r.name), r) for r in relation.rules)
    if isinstance(relation, Table):
        yield from ((ObjectId("policy", *at, p.name), p) for p in relation.policies)


def own_parts(relation: Table | View) -> Iterator[tuple[ObjectId, Any]]:
    """The parts that are created after their relation: foreign keys, indexes, triggers, policies, rules."""
    return ((address, part) for address, part in parts(relation) if comes_later(part))


def comes_later(part: Any) -> bool:
    """Whether a part is created after its relation."""
    inner = isinstance(part, Column) or (isinstance(part, Constraint) and part.kind != "foreign key")
    return not inner and not (isinstance(part, Index) and part.constraint)


def follows(part: Any) -> bool:
    """Whether an object comes and goes with another one, as a rule: then it has an operation only where the writer of DDL wants one."""
    if isinstance(part, Column):
        return part.inherited
    if isinstance(part, Constraint):
        return part.inherited or part.kind in ("trigger", "not null")
    if isinstance(part, Index):
        return bool(part.constraint) or part.parent is not None
    if isinstance(part, Trigger):
        return part.parent
    return isinstance(part, Sequence) and part.owned_by is not None


def detoured(publication: Publication, table: ObjectId) -> tuple[str, ...]:
    """The tables of a publication without `table`."""
    name = f"{ObjectId('table', table.schema, table.name).sql()}"
    return tuple(t for t in publication.tables if t != name and not t.startswith(f"{name} "))
