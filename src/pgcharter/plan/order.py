"""The order of operations: a topological one over what depends on what on either side, and the same every time.

Drops that are in the way of something come first, the others last; within that by kind and name, so that a person can read it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pgcharter.catalog.circles import circles
from pgcharter.catalog.model import Column, Constraint, Index, Sequence, Table, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan.draft import Draft, own_parts, parts
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses

_KINDS = (
    "schema", "extension", "language", "type", "domain", "collation", "sequence", "function", "procedure", "aggregate", "operator", "cast",
    "operator family", "operator class", "foreign-data wrapper", "server", "table", "column", "constraint", "index", "view",
    "materialized view", "statistics", "rule", "trigger", "policy", "publication", "subscription", "security label", "default privileges",
    "event trigger",
)  # fmt: skip
_RANK = {kind: rank for rank, kind in enumerate(_KINDS)}
_FIRST, _IN_THE_WAY, _USUAL, _DROP, _LAST = range(5)
_DISTURBS_OTHERS = frozenset(("event trigger", "default privileges"))
"""What acts on other statements: it goes first and comes last."""
_CALLED = ("function", "aggregate", "sequence")
"""What a default needs, while the type of its column needs something else."""
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
    key: tuple[object, ...] = ()
    next: set[int] = field(default_factory=set)
    """Places of the nodes that must come later."""


def ordered(draft: Draft) -> tuple[Operation, ...]:
    """The operations of a draft in an order in which they can be run.

    A circle is broken where PostgreSQL lets one be made: foreign keys of dropped tables are dropped by themselves first, defaults and
    checks of created tables are added by themselves afterwards.
    """
    for _ in range(3):
        nodes = _nodes(draft)
        _link(nodes, draft)
        if not any(_cut(draft, [nodes[i].operation for i in circle]) for circle in _circles(nodes)):
            break
    return tuple(nodes[i].operation for i in _gathered(nodes, _sorted(nodes)))


def _nodes(draft: Draft) -> list[Node]:
    found = [Node(o, before=_needs(draft, draft.a, o), leaves=True) for o in draft.drops.values() if not _falls(draft, o)]
    found += [Node(o, after=_needs(draft, draft.b, o)) for o in draft.renames.values()]
    found += [Node(o, after=_needs(draft, draft.b, o)) for o in draft.creates.values()]
    for address in dict.fromkeys((*draft.alters, *draft.detours)):
        steps = draft.alterations(address)
        first = Node(steps[0], before=_needs(draft, draft.a, steps[0]), leaves=len(steps) > 1)
        last = first if len(steps) == 1 else Node(steps[1])
        last.after = _needs(draft, draft.b, steps[-1])
        found += [first] if first is last else [first, last]
    return found


def _falls(draft: Draft, operation: Operation) -> bool:
    """An index of a partition goes with the one it is attached to."""
    return isinstance(operation.old, Index) and operation.old.parent is not None and operation.old.parent in draft.drops


def _needs(draft: Draft, uses: Uses, operation: Operation) -> set[ObjectId]:
    """What the object needs on one side, with those of its parts that come or go with it, and its schema."""
    address = operation.object
    found = set(uses.of.get(address, ()))
    whole = operation.old if operation.change == "drop" else operation.new
    if operation.change != "alter" and isinstance(whole, Table | View | UserType):
        for part in _riding(draft, operation.change == "drop", whole):
            needs = uses.of.get(part, ())
            found |= {n for n in needs if n.kind not in _CALLED} if part in draft.alters else needs
        found -= {part for part, _ in parts(whole)} | {address}
    if isinstance(whole, Sequence) and "owned_by" in operation.fields:
        owner = operation.old.owned_by if uses is draft.a else operation.new.owned_by
        found |= {owner} if owner else set()
    if address.schema:
        found.add(ObjectId("schema", "", address.schema))
    if address.part or isinstance(whole, Index):
        holder = uses.container(address) or (uses.index[address][0] if address in uses.index else None)
        found |= {holder.id} if holder is not None else set()
    return {uses.member.get(x, x) for x in found}


def _riding(draft: Draft, drop: bool, whole: Table | View | UserType) -> Iterator[ObjectId]:
    """The parts that come or go with their whole and have no operation of their own."""
    if drop:
        yield from (part for part, _ in parts(whole) if part not in draft.drops)
        return
    later = {part for part, _ in own_parts(whole)} if not isinstance(whole, UserType) else set()
    yield from (part for part, _ in parts(whole) if part not in draft.creates and part not in later)


def _link(nodes: list[Node], draft: Draft) -> None:
    at: dict[ObjectId, list[int]] = {}
    for i, node in enumerate(nodes):
        at.setdefault(node.operation.object, []).append(i)
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
        if len(same) == 2 and nodes[same[1]].operation.change == "create":
            for needed in nodes[same[0]].before:
                for j in at.get(needed, ()):
                    if nodes[j].operation.change == "drop":
                        nodes[j].next.add(same[1])
    _tables_and_parts(nodes, at)
    for node_index, node in enumerate(nodes):
        node.next.discard(node_index)
    _keys(nodes)


def _tables_and_parts(nodes: list[Node], at: dict[ObjectId, list[int]]) -> None:
    """A table leaves its parents before its own parts change, and joins others, or gets options of a TOAST table, after that."""
    below = _handed_down(nodes)
    for i, node in enumerate(nodes):
        old, new = node.operation.old, node.operation.new
        if node.operation.change != "alter" or not isinstance(old, Table):
            continue
        leaves = bool(set(old.parents) - set(new.parents))
        for parent in set(new.parents) - set(old.parents):
            for j in below.get(parent, ()):
                if nodes[j].operation.change in ("drop", "alter"):
                    nodes[j].next.add(i)
        for parent in set(old.parents) - set(new.parents):
            node.next.update(below.get(parent, ()))
        mine = [j for w in (old, new) for part, _ in parts(w) if part.kind in ("column", "constraint") for j in at.get(part, ())]
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
        if change == "create" or (change == "alter" and not part_of_mine and needed.kind != "schema"):
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
            altered = change == "alter" and leaves and (address == needed or address.kind in _WHOLE)
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
                found[i] = [j for name in _names(node.operation, draft.b) for j in freed.get(name, ())]
    return found


def _names(operation: Operation, uses: Uses) -> set[tuple[str, str, str]]:
    address = operation.object
    value = operation.old if operation.change == "drop" else operation.new
    found = {(value.kind, *_holder(address))} if isinstance(value, Constraint) and value.kind == "primary key" else set()
    if isinstance(value, Constraint) and value.kind == "not null" and value.columns:
        found.add((value.columns[0], *_holder(address)))
    found |= {("routine" if "(" in address.name else "relation", address.schema, address.name)} if not address.part else set()
    if isinstance(value, Constraint) and value.index and value.kind != "foreign key":
        found.add(("relation", address.schema, value.index))
    if isinstance(value, Column):
        found |= {("relation", s.schema, s.name) for s in uses.catalog.sequences_of.get(address.owner, ()) if s.owned_by == address}
    if isinstance(value, Table | View):
        found |= {("relation", value.schema, i.name) for i in value.indexes if i.constraint or operation.change == "drop"}
        sequences = uses.catalog.sequences_of.get(value.id, ())
        found |= {("relation", s.schema, s.name) for s in sequences if s.identity or operation.change == "drop"}
    return found


def _holder(part: ObjectId) -> tuple[str, str]:
    return part.schema, part.name


def _keys(nodes: list[Node]) -> None:
    """Give every node its place among those that may come next."""
    needed = _in_the_way(nodes)
    for i, node in enumerate(nodes):
        o = node.operation
        kind, drop = o.object.kind, o.change == "drop"
        dropped = _FIRST if kind in _DISTURBS_OTHERS else _IN_THE_WAY if i in needed else _DROP
        group = dropped if drop else _LAST if kind in _DISTURBS_OTHERS else _USUAL
        rank = _RANK.get(kind, _RANK["operator class"]) + (isinstance(o.new, Constraint) and o.new.kind == "foreign key") * 0.5
        place = o.new.position if isinstance(o.new, Column) else 0
        node.key = group, -rank if drop else rank, o.object.schema, o.object.name, place, o.object.part, i


def _in_the_way(nodes: list[Node]) -> set[int]:
    """Places of the drops that something other than a drop waits for, directly or through other drops."""
    back: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        for j in node.next:
            back.setdefault(j, []).append(i)
    waiting = [i for i, node in enumerate(nodes) if node.operation.change != "drop"]
    found: set[int] = set()
    while waiting:
        for j in back.get(waiting.pop(), ()):
            if nodes[j].operation.change == "drop" and j not in found:
                found.add(j)
                waiting.append(j)
    return found


def _sorted(nodes: list[Node]) -> list[int]:
    """Places in order; where a circle is left, its first member by name goes first."""
    waits = [0] * len(nodes)
    for node in nodes:
        for j in node.next:
            waits[j] += 1
    ready = [(node.key, i) for i, node in enumerate(nodes) if not waits[i]]
    heapq.heapify(ready)
    left = set(range(len(nodes)))
    found: list[int] = []
    while left:
        i = heapq.heappop(ready)[1] if ready else min(left, key=lambda n: (waits[n], nodes[n].key))
        if i not in left:
            continue
        left.discard(i)
        found.append(i)
        for j in nodes[i].next:
            waits[j] -= 1
            if not waits[j] and j in left:
                heapq.heappush(ready, (nodes[j].key, j))
    return found


def _gathered(nodes: list[Node], order: list[int]) -> list[int]:
    """The same order with nothing between a drop and its creation anew, or a detour's way there and back, but what must stand there.

    That is what lies on a circle once each end leads back to its beginning.
    """
    at: dict[ObjectId, list[int]] = {}
    for i in order:
        at.setdefault(nodes[i].operation.object, []).append(i)
    pairs = [same for same in at.values() if len(same) == 2]
    if not pairs:
        return order
    tied = [replace(node, next=set(node.next)) for node in nodes]
    for first, last in pairs:
        tied[last].next.add(first)
    place = {i: n for n, i in enumerate(order)}
    groups = [sorted(circle, key=place.__getitem__) for circle in _circles(tied)]
    group = {i: n for n, members in enumerate(groups) for i in members}
    groups += [[i] for i in order if i not in group]
    group |= {members[0]: n for n, members in enumerate(groups) if members[0] not in group}
    whole = [
        Node(nodes[members[0]].operation, key=(place[members[-1]],), next={group[j] for i in members for j in nodes[i].next} - {n})
        for n, members in enumerate(groups)
    ]
    return [i for n in _sorted(whole) for i in groups[n]]


def _circles(nodes: list[Node]) -> list[list[int]]:
    """Places of nodes that wait for each other."""
    return circles({i: sorted(node.next) for i, node in enumerate(nodes)})


def _cut(draft: Draft, circle: Iterable[Operation]) -> bool:
    """Take something out of a circle that can be done by itself; False when there is nothing."""
    circle = list(circle)
    done = False
    for operation in circle:
        if operation.change == "drop" and isinstance(operation.old, Table):
            done |= _keys_apart(draft, operation.old, {o.object for o in circle})
            done |= _expressions_first(draft, operation.old, {o.object for o in circle})
        if operation.change == "create" and isinstance(operation.new, Table):
            done |= _expressions_apart(draft, operation, {o.object for o in circle})
    return done


def _keys_apart(draft: Draft, table: Table, circle: set[ObjectId]) -> bool:
    done = False
    for key in table.foreign_keys:
        address = table.part("constraint", key.name)
        if key.references in circle and key.references != table.id and address not in draft.drops and not key.inherited:
            draft.drops[address] = Operation("drop", address, old=key, cause=f"{key.references} and {table.id} refer to each other")
            done = True
    return done


def _expressions_first(draft: Draft, table: Table, circle: set[ObjectId]) -> bool:
    """Take checks, and columns with defaults, that need something in the circle off a table before it is dropped."""
    late, done = f"{table.id} and what it needs need each other", False
    for address, part in parts(table):
        default = isinstance(part, Column) and part.default
        check = isinstance(part, Constraint) and part.kind == "check"
        if (default or check) and not part.inherited and address not in draft.drops and circle & draft.a.of.get(address):
            draft.drops[address] = Operation("drop", address, old=part, cause=late)
            done = True
    return done


def _expressions_apart(draft: Draft, operation: Operation, circle: set[ObjectId]) -> bool:
    """Create the table without the defaults and checks that need something in the circle, and add those afterwards."""
    table: Table = operation.new
    bare, late = table, f"{table.id} and what it needs need each other"
    for column in table.columns:
        address = table.part("column", column.name)
        if column.default and not column.generated and circle & draft.b.of.get(address, set()):
            without = replace(column, default="")
            bare = replace(bare, columns=tuple(without if c.name == column.name else c for c in bare.columns))
            draft.alters[address] = Operation("alter", address, without, column, ("default",), late)
    for check in table.checks:
        address = table.part("constraint", check.name)
        if circle & draft.b.of.get(address, set()) and not check.inherited:
            bare = replace(bare, constraints=tuple(c for c in bare.constraints if c.name != check.name))
            draft.creates[address] = Operation("create", address, new=check, cause=late)
    draft.creates[operation.object] = replace(operation, new=bare)
    return bare is not table
