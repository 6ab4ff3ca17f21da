"""Which operation must come before which: what is needed is made first, what needs something is gone first, and names are free first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from pgcharter.catalog.model import Column, Constraint, Function, Index, Table, Trigger, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan.ddl_routines import rivals
from pgcharter.plan.draft import Draft, parts
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses

_WHOLE = ("view", "materialized view", "type", "domain")
"""Kinds whose alteration changes their parts."""


@dataclass(slots=True, eq=False)
class Node:
    """An operation with what it needs on either side."""

    operation: Operation
    before: set[ObjectId] = field(default_factory=set)
    """What it stops needing: it comes before that is dropped."""
    after: set[ObjectId] = field(default_factory=set)
    """What it begins to need: it comes after that is made."""
    leaves: bool = False
    """Whether it must be done before what it needs is even altered."""
    unseen: frozenset[ObjectId] = frozenset()
    """Who need not wait for it: the rest of a circle that it cuts."""
    key: tuple[object, ...] = ()
    next: set[int] = field(default_factory=set)
    """Places of the nodes that must come later."""


def link(nodes: list[Node], draft: Draft) -> None:
    """Write into every node which must come later."""
    at: dict[ObjectId, list[int]] = {}
    for i, node in enumerate(nodes):
        at.setdefault(node.operation.object, []).append(i)
    _types_first(nodes, draft)
    in_the_way = _names_taken(nodes, draft)
    for i, node in enumerate(nodes):
        mine = node.operation.object
        for needed in node.after:
            for j in _makers(nodes, at, needed, mine):
                nodes[j].next.add(i)
        for needed in node.before:
            for j in _removers(nodes, at, needed, mine, leaves=node.leaves):
                node.next.add(j)
        for j in in_the_way.get(i, ()):
            nodes[j].next.add(i)
    for same in at.values():
        for one, other in pairwise(same):
            nodes[one].next.add(other)
            if nodes[other].operation.change == "create":
                for needed in nodes[one].before:
                    for j in at.get(needed, ()):
                        if nodes[j].operation.change == "drop":
                            nodes[j].next.add(other)
    _tables_and_parts(nodes, at)
    for i, node in enumerate(nodes):
        node.next.discard(i)


def _types_first(nodes: list[Node], draft: Draft) -> None:
    """What stores a type comes after all that changes in it: PostgreSQL refuses some of that while a column has it."""
    within: dict[ObjectId, list[int]] = {}
    for i, node in enumerate(nodes):
        whole = draft.b.container(node.operation.object)
        if isinstance(whole, UserType):
            for type_ in _enclosing(whole.id, draft.b, set()):
                within.setdefault(type_, []).append(i)
    for i, node in enumerate(nodes if within else ()):
        mine = node.operation.object
        if mine.kind in ("table", "column", "materialized view"):
            for needed in node.after & within.keys():
                if (needed.schema, needed.name) != (mine.schema, mine.name):
                    for j in within[needed]:
                        nodes[j].next.add(i)


def _enclosing(held: ObjectId, uses: Uses, seen: set[ObjectId]) -> set[ObjectId]:
    """A type and those that are made of it."""
    seen.add(held)
    for user in uses.by.get(held):
        whole = uses.container(user) or uses.find(user)
        if isinstance(whole, UserType) and whole.id not in seen:
            _enclosing(whole.id, uses, seen)
    return seen


def _tables_and_parts(nodes: list[Node], at: dict[ObjectId, list[int]]) -> None:
    """A table leaves its parents before its own parts change, and joins others, or gets options of a TOAST table, after that.

    A partition that goes leaves before its parent gets what every partition must have: an index without its share of it stays invalid. One
    that comes does so after its parent has lost what it shall not have: only equals are attached.
    """
    below = _handed_down(nodes)
    for i, node in enumerate(nodes):
        old, new = node.operation.old, node.operation.new
        if node.operation.change == "drop" and isinstance(old, Table) and old.partition_of is not None:
            node.next.update(j for j in below.get(old.partition_of, ()) if nodes[j].operation.change == "create")
        if node.operation.change == "create" and isinstance(new, Table) and new.partition_of is not None:
            for j in below.get(new.partition_of, ()):
                if nodes[j].operation.change == "drop":
                    nodes[j].next.add(i)
        if node.operation.change != "alter" or not isinstance(old, Table):
            continue
        leaves = bool(set(old.parents) - set(new.parents))
        for parent in set(new.parents) - set(old.parents):
            for j in below.get(parent, ()):
                if nodes[j].operation.change in ("drop", "alter"):
                    nodes[j].next.add(i)
        for parent in set(old.parents) - set(new.parents):
            node.next.update(below.get(parent, ()))
        kinds = ("column", "constraint") if old.parents == new.parents else ("column", "constraint", "trigger")
        mine = [j for w in (old, new) for part, _ in parts(w) if part.kind in kinds for j in at.get(part, ())]
        for j in mine:
            if leaves:
                node.next.add(j)
            else:
                nodes[j].next.add(i)
        _row_security(nodes, at, i)


def _row_security(nodes: list[Node], at: dict[ObjectId, list[int]], i: int) -> None:
    """Row security is switched on after its policies are there, and off before they go: without one, nobody but the owner sees a row."""
    old, new = nodes[i].operation.old, nodes[i].operation.new
    if old.row_security == new.row_security:
        return
    for policy in (new if new.row_security else old).policies:
        for j in at.get(new.part("policy", policy.name), ()):
            first, later = (j, i) if new.row_security else (i, j)
            nodes[later].next.discard(first)
            nodes[first].next.add(later)


def _handed_down(nodes: list[Node]) -> dict[ObjectId, list[int]]:
    """Operations of what tables hand down, by table: one that joins must have all that is left by then, one that leaves keeps all."""
    found: dict[ObjectId, list[int]] = {}
    for i, node in enumerate(nodes):
        part = node.operation.old or node.operation.new
        if isinstance(part, Index):
            found.setdefault(ObjectId("table", part.schema, part.table), []).append(i)
        elif node.operation.object.kind in ("column", "constraint"):
            found.setdefault(node.operation.object.owner, []).append(i)
    return found


def _owner(address: ObjectId) -> tuple[ObjectId, ...]:
    """The whole that an address is a part of, as every kind it may have."""
    if not address.part:
        return ()
    return tuple(ObjectId(kind, address.schema, address.name) for kind in ("table", *_WHOLE))


def _makers(nodes: list[Node], at: dict[ObjectId, list[int]], needed: ObjectId, mine: ObjectId) -> Iterator[int]:
    """Operations after which `needed` is there as it is wanted."""
    part_of_mine = (mine.schema, mine.name) == (needed.schema, needed.name) and bool(mine.part) and not needed.part
    for j in at.get(needed, ()):
        change = nodes[j].operation.change
        altered = change == "alter" and not part_of_mine and needed.kind != "schema" and mine not in nodes[j].unseen
        if change == "create" or altered:
            yield j
    for owner in _owner(needed):
        for j in at.get(owner, ()):
            change = nodes[j].operation.change
            if change == "create" or (change == "alter" and owner.kind in _WHOLE and owner != mine):
                yield j


def _removers(nodes: list[Node], at: dict[ObjectId, list[int]], needed: ObjectId, mine: ObjectId, *, leaves: bool) -> Iterator[int]:
    """Operations before which whoever needs `needed` must be gone (`leaves`) or need it no more."""
    part_of_mine = (mine.schema, mine.name) == (needed.schema, needed.name) and bool(mine.part) and not needed.part
    for address in (needed, *_owner(needed)):
        for j in at.get(address, ()):
            change = nodes[j].operation.change
            altered = change == "alter" and leaves and (address == needed or address.kind in _WHOLE) and mine not in nodes[j].unseen
            if change == "drop" or (altered and not part_of_mine and address.kind not in ("schema", "sequence")):
                yield j


def _names_taken(nodes: list[Node], draft: Draft) -> dict[int, list[int]]:
    """By place of a creation: drops that free the name it takes. Relations, indexes, sequences and types of rows share their names."""
    freed: dict[tuple[str, str, str], list[int]] = {}
    for i, node in enumerate(nodes):
        if node.operation.change == "drop":
            for name in _names(node.operation, draft.a):
                freed.setdefault(name, []).append(i)
    found: dict[int, list[int]] = {}
    if freed:
        for i, node in enumerate(nodes):
            if node.operation.change == "create":
                found[i] = [j for name in _names(node.operation, draft.b) for j in freed.get(name, ()) if _taken(nodes[j], node)]
    return found


def _taken(gone: Node, made: Node) -> bool:
    one, other = gone.operation.old, made.operation.new
    return not (isinstance(one, Function) and isinstance(other, Function)) or one.id == other.id or rivals(one, other)


def _names(operation: Operation, uses: Uses) -> set[tuple[str, str, str]]:
    address = operation.object
    value = operation.old if operation.change == "drop" else operation.new
    found = {(value.kind, *_holder(address))} if isinstance(value, Constraint) and value.kind == "primary key" else set()
    if isinstance(value, Constraint) and value.kind == "not null" and value.columns:
        found.add((value.columns[0], *_holder(address)))
    if isinstance(value, Trigger):
        found |= {(f"trigger {value.name}", *_holder(table)) for table in _below(address.owner, uses)}
    if isinstance(value, Function):
        found.add(("routine", value.schema, value.name))
    elif not address.part:
        found.add(("relation", address.schema, address.name))
    if isinstance(value, Constraint) and value.index and value.kind != "foreign key":
        found.add(("relation", address.schema, value.index))
        found |= _attached(ObjectId("index", address.schema, value.index), uses)
    if isinstance(value, Index) and operation.change == "drop":
        found |= _attached(address, uses)
    if isinstance(value, Column):
        found |= {("relation", s.schema, s.name) for s in uses.catalog.sequences_of.get(address.owner, ()) if s.owned_by == address}
    if isinstance(value, Table | View):
        found |= {("relation", value.schema, i.name) for i in value.indexes if i.constraint or operation.change == "drop"}
        sequences = uses.catalog.sequences_of.get(value.id, ())
        found |= {("relation", s.schema, s.name) for s in sequences if s.identity or operation.change == "drop"}
    return found


def _attached(index: ObjectId, uses: Uses) -> set[tuple[str, str, str]]:
    """Names of the indexes of partitions that go with a partitioned one."""
    below = uses.attached.get(index, ())
    return {("relation", i.schema, i.name) for i in below}.union(*(_attached(i, uses) for i in below))


def _below(table: ObjectId, uses: Uses) -> Iterator[ObjectId]:
    """A table and its partitions, which get a trigger of the same name."""
    yield table
    for partition in uses.catalog.partitions.get(table, ()):
        yield from _below(partition.id, uses)


def _holder(part: ObjectId) -> tuple[str, str]:
    return part.schema, part.name
