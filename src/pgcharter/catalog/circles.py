"""Circles in a graph of what waits for, or refers to, what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


def circles(graph: Mapping[T, Iterable[T]]) -> list[list[T]]:
    """Groups of more than one node that reach each other (Tarjan's strongly connected components, without recursion).

    `graph` gives the nodes that follow each node; one that is no key has none. Where the order of both is fixed, so is the result.
    """
    number: dict[T, int] = {}
    low: dict[T, int] = {}
    stack: list[T] = []
    waiting: set[T] = set()
    found: list[list[T]] = []
    work: list[tuple[T, Iterator[T]]] = []

    def enter(node: T) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        waiting.add(node)
        work.append((node, iter(graph.get(node, ()))))

    for root in graph:
        if root not in number:
            enter(root)
        while work:
            node, following = work[-1]
            step = next(following, None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    group = [stack.pop()]
                    while group[-1] != node:
                        group.append(stack.pop())
                    waiting.difference_update(group)
                    found += [group] if len(group) > 1 else []
            elif step not in number:
                enter(step)
            elif step in waiting:
                low[node] = min(low[node], number[step])
    return found
