"""The order of operations: a topological one over what depends on what on either side, and the same every time.

Drops that are in the way of something come first, the others last; within that by kind and name, so that a person can read it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pgcharter.catalog.circles import circles
from pgcharter.catalog.model import Column, Constraint, Index, Sequence, Table, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan.cuts import cut, recursive
from pgcharter.plan.ddl_routines import hollow
from pgcharter.plan.draft import Draft, comes_later, parts
from pgcharter.plan.links import Node, link
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


def ordered(draft: Draft) -> tuple[Operation, ...]:
    """The operations of a draft in an order in which they can be run.

    Circles are cut where PostgreSQL lets one be made (`cuts`).
    """
    recursive(draft)
    while True:
        nodes = _nodes(draft)
        link(nodes, draft)
        if not [circle for circle in _circles(nodes) if cut(draft, [nodes[i].operation for i in circle])]:
            break
    _keys(nodes)
    return tuple(nodes[i].operation for i in _gathered(nodes, _sorted(nodes)))


def _nodes(draft: Draft) -> list[Node]:
    found = [node for o in draft.drops.values() if not _falls(draft, o) for node in _dropped(draft, o)]
    found += [Node(o, after=_needs(draft, draft.b, o)) for o in draft.renames.values()]
    found += [node for o in draft.creates.values() for node in _created(draft, o)]
    for address in dict.fromkeys((*draft.alters, *draft.detours)):
        steps = draft.alterations(address)
        first = Node(steps[0], before=_needs(draft, draft.a, steps[0]), leaves=len(steps) > 1)
        last = first if len(steps) == 1 else Node(steps[1])
        last.after = _needs(draft, draft.b, steps[-1])
        found += [first] if first is last else [first, last]
    return found


def _dropped(draft: Draft, operation: Operation) -> Iterator[Node]:
    """The node of a drop; before it that of a function's way to a hollow one."""
    circle = draft.emptied.get(operation.object)
    needs = _needs(draft, draft.a, operation)
    if circle is not None:
        empty, why = hollow(operation.old), f"{operation.object} and what it needs need each other"
        yield Node(Operation("alter", operation.object, operation.old, empty, ("definition",), why), needs, leaves=True, unseen=circle)
        operation, needs = replace(operation, old=empty), needs - draft.a.body(operation.old)
    yield Node(operation, before=needs, leaves=True)


def _created(draft: Draft, operation: Operation) -> Iterator[Node]:
    """The node of a creation; of a function that is hollow at first, also that of its way to a whole one."""
    circle = draft.hollow.get(operation.object)
    needs = _needs(draft, draft.b, operation)
    if circle is None:
        yield Node(operation, after=needs)
        return
    first, why = hollow(operation.new), f"{operation.object} and what it needs need each other"
    yield Node(replace(operation, new=first), after=needs - draft.b.body(operation.new))
    yield Node(Operation("alter", operation.object, first, operation.new, ("definition",), why), after=needs, unseen=circle)


def _falls(draft: Draft, operation: Operation) -> bool:
    """An index of a partition goes with the one it is attached to."""
    return isinstance(operation.old, Index) and operation.old.parent is not None and operation.old.parent in draft.drops


def _needs(draft: Draft, uses: Uses, operation: Operation) -> set[ObjectId]:
    """What the object needs on one side, with those of its parts that come or go with it, and its schema."""
    address = operation.object
    found = set(uses.of.get(address, ()))
    whole = operation.old if operation.change == "drop" else operation.new
    if operation.change != "alter" and isinstance(whole, Table | View | UserType):
        mine = set()
        for part, value in parts(whole):
            mine.add(part)
            if _rides(draft, operation, part, value):
                needs = uses.of.get(part, ())
                found |= {n for n in needs if n.kind not in _CALLED} if part in draft.alters else needs
        found -= mine | {address}
    if isinstance(whole, Sequence) and "owned_by" in operation.fields:
        owner = operation.old.owned_by if uses is draft.a else operation.new.owned_by
        found |= {owner} if owner else set()
    if address.schema:
        found.add(ObjectId("schema", "", address.schema))
    if address.part or isinstance(whole, Index):
        holder = uses.container(address) or (uses.index[address][0] if address in uses.index else None)
        found |= {holder.id} if holder is not None else set()
    return {uses.member.get(x, x) for x in found}


def _rides(draft: Draft, operation: Operation, part: ObjectId, value: Any) -> bool:
    """Whether a part comes or goes with its whole and has no operation of its own."""
    if operation.change == "drop":
        return part not in draft.drops
    return part not in draft.creates and (isinstance(operation.new, UserType) or not comes_later(value))


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
    several = [same for same in at.values() if len(same) > 1]
    if not several:
        return order
    tied = [replace(node, next=set(node.next)) for node in nodes]
    for first, *_, last in several:
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
