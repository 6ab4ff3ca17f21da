"""Tests of aggregates without a database: what has happened, what is done, what happens then.

given(Order, OrderPlaced(total)).when(lambda order: order.ship()).then(OrderShipped())
given(Order).when(lambda order: order.ship()).raises(NotPlacedError)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

from pgcharter.runtime.aggregates import Aggregate
from pgcharter.runtime.events_model import AggregateId

A = TypeVar("A", bound=Aggregate)
SOME = UUID(int=1)


class When(Generic[A]):
    """What came of it."""

    def __init__(self, aggregate: A, error: BaseException | None) -> None:
        self.aggregate = aggregate
        self.error = error

    def then(self, *events: Any) -> A:
        """Exactly these events happened, in this order; the aggregate as it is then. Raises AssertionError otherwise."""
        if self.error is not None:
            raise AssertionError(f"it raised {self.error!r}, and these were to happen: {list(events)}") from self.error
        if self.aggregate.pending != list(events):
            raise AssertionError(f"what happened: {self.aggregate.pending}\nwhat was to happen: {list(events)}")
        return self.aggregate

    def raises(self, kind: type[BaseException], match: str = "") -> None:
        """It was refused with such an error, with `match` in its text, and nothing happened. Raises AssertionError otherwise."""
        if not isinstance(self.error, kind) or match not in str(self.error):
            raise AssertionError(
                f"it was to raise {kind.__name__} {match}, and {'raised ' + repr(self.error) if self.error else 'was done'}"
            ) from self.error
        if self.aggregate.pending:
            raise AssertionError(f"it was refused, and these happened all the same: {self.aggregate.pending}")


class Given(Generic[A]):
    """An aggregate to which something has happened."""

    def __init__(self, aggregate: A) -> None:
        self.aggregate = aggregate

    def when(self, do: Callable[[A], Any]) -> When[A]:
        """Do something with it."""
        try:
            do(self.aggregate)
        except Exception as error:
            return When(self.aggregate, error)
        return When(self.aggregate, None)


def given(kind: type[A], *events: Any, id: AggregateId = SOME) -> Given[A]:  # noqa: A002
    """An aggregate to which these have happened."""
    made = kind(id)
    for event in events:
        made.apply(event)
        made.version += 1
    return Given(made)
