"""Circles of a graph: two nodes share one exactly when each reaches the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgcharter.catalog.circles import circles

graphs = st.integers(1, 9).flatmap(lambda n: st.dictionaries(st.integers(0, n), st.lists(st.integers(0, n), max_size=4), max_size=n))


def reach(graph: dict[int, list[int]], start: int) -> set[int]:
    found: set[int] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph.get(node, ())
    return found


@given(graphs)
def test_who_reach_each_other_are_together(graph: dict[int, list[int]]) -> None:
    nodes = {*graph, *(n for out in graph.values() for n in out)}
    expected = {frozenset(m for m in nodes if m in reach(graph, n) and n in reach(graph, m)) | {n} for n in nodes}
    assert {frozenset(c) for c in circles(graph)} == {group for group in expected if len(group) > 1}


def test_a_long_chain_is_no_recursion_and_no_square() -> None:
    chain = {n: [n + 1] for n in range(100_000)}
    assert circles(chain) == []
    assert len(circles({**chain, 100_000: [0]})[0]) == 100_001
