"""Which rows come after a place in an order, as conditions that an index answers: NULLs, mixed directions and ties included.

Rows after a place (x, y) of `ORDER BY a, b` are `(a, b) > (x, y)` where both go the same way and are never NULL. Else they are the union of
parts that have no row in common, each a range of the index on (a, b): `a = x AND b < y`, `a > x`, `a IS NULL`, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from pgcharter.runtime.cursors import Value

Operator = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Direction:
    """How one part of an order goes."""

    descending: bool = False
    nulls_first: bool = False
    nullable: bool = True

    @property
    def reverse(self) -> Direction:
        """The other way."""
        return Direction(not self.descending, not self.nulls_first, self.nullable)

    @property
    def ends_in_nulls(self) -> bool:
        """Whether NULLs come after all values."""
        return self.nullable and not self.nulls_first


@dataclass(frozen=True, slots=True)
class Compare:
    """Parts `first` to `last` (both in it) of the order stand so to their values, as a row."""

    first: int
    last: int
    operator: Operator


@dataclass(frozen=True, slots=True)
class Equal:
    """The part has the value of the place."""

    at: int


@dataclass(frozen=True, slots=True)
class Null:
    """The part is NULL, or it is not."""

    at: int
    wanted: bool = True


Condition = tuple[Compare | Equal | Null, ...]
"""All of them hold."""


def after(order: Sequence[Direction], values: Sequence[Value], *, inclusive: bool = False) -> list[Condition]:
    """Conditions that together hold for the rows after a place (and at it), each for rows that no other one holds for."""
    return _after(order, values, 0, inclusive)


def _after(order: Sequence[Direction], values: Sequence[Value], at: int, inclusive: bool) -> list[Condition]:
    if at == len(order):
        return [()] if inclusive else []
    if values[at] is None:
        deeper: list[Condition] = [(Null(at), *rest) for rest in _after(order, values, at + 1, inclusive)]
        return [*deeper, (Null(at, wanted=False),)] if order[at].nulls_first else deeper
    run = list(takewhile(lambda i: values[i] is not None and order[i].descending == order[at].descending, range(at, len(order))))
    last = run[-1]
    equal = tuple(Equal(i) for i in run)
    ends = last == len(order) - 1
    beyond: list[Condition] = [] if ends else [(*equal, *rest) for rest in _after(order, values, last + 1, inclusive)]
    nulls: list[Condition] = [(*equal[: i - at], Null(i)) for i in run if order[i].ends_in_nulls]
    return [*beyond, (Compare(at, last, _operator(order[at], inclusive and ends)),), *nulls]


def bound(order: Sequence[Direction], values: Sequence[Value]) -> Condition:
    """One range of the index that all rows after the place are in, as narrow as one range can be; empty where there is none."""
    kept = takewhile(
        lambda i: values[i] is not None and not order[i].ends_in_nulls and order[i].descending == order[0].descending, range(len(order))
    )
    last = max(kept, default=-1)
    return (Compare(0, last, _operator(order[0], orequal=True)),) if last >= 0 else ()


def _operator(direction: Direction, orequal: bool) -> Operator:
    if direction.descending:
        return "<=" if orequal else "<"
    return ">=" if orequal else ">"
