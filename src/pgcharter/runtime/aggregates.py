"""Aggregates: objects that decide by what has happened to them, and say what happens next. Nobody needs them to append or read events.

class Order(Aggregate):
    category = "order"

    def apply(self, event: Any) -> None:
        match event:
            case OrderPlaced(): self.placed = True

    def place(self, total: Decimal) -> None:
        if self.version: raise AlreadyPlaced
        self.record(OrderPlaced(total))

order = load(conn, Order, order_id, types)      # await load.aio(conn, …)
order.place(Decimal("12.50"))
save(conn, order, types)                        # VersionConflictError where another one was faster
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

from pgcharter.db.flows import Steps, flow
from pgcharter.errors import UsageError
from pgcharter.runtime.events import Appended, append, read_aggregate
from pgcharter.runtime.events_model import AggregateId
from pgcharter.runtime.events_snapshots import keep_snapshot, read_snapshot
from pgcharter.runtime.events_types import Types, values

A = TypeVar("A", bound="Aggregate")


class Aggregate(ABC):
    """What events of one id make together. Made with its id alone; what `apply` sets is its state."""

    category: ClassVar[str] = ""
    """Type of the aggregate in the store."""
    snapshot_every: ClassVar[int] = 0
    """A snapshot is kept whenever so many events more are there; 0: never. `state` and `restore` then say what of."""

    def __init__(self, id: AggregateId) -> None:  # noqa: A002
        self.id = id
        self.version = 0
        """Of the last event that is applied, pending ones too."""
        self.pending: list[Any] = []
        """Events that are recorded and not saved yet."""

    @abstractmethod
    def apply(self, event: Any) -> None:
        """Become what an event makes of it. It decides nothing: the event has happened."""

    def record(self, event: Any) -> None:
        """Let an event happen: it is applied now, and appended by `save`."""
        self.apply(event)
        self.version += 1
        self.pending.append(event)

    def state(self) -> Any:
        """What a snapshot keeps: an object of a class that the types know."""
        raise UsageError(f"{type(self).__name__} has snapshot_every, and no state() that says what to keep")

    def restore(self, state: Any) -> None:
        """Become what a snapshot kept."""
        raise UsageError(f"{type(self).__name__} has snapshot_every, and no restore(state) that takes {type(state).__name__} back")


@flow
def load(kind: type[A], id: AggregateId, types: Types, *, version: int | None = None) -> Steps[A]:  # noqa: A002
    """An aggregate as its events made it, up to a version where one is given; one without events has version 0.

    Raises what `read_aggregate` and `values` raise.
    """
    made = kind(id)
    _named(kind)
    if kind.snapshot_every and version is None:
        found = yield from read_snapshot.steps(types, kind.category, id)
        if found is not None:
            made.restore(found.state)
            made.version = found.version
    events = yield from read_aggregate.steps(kind.category, id, after=made.version, upto=version)
    for event in (yield from values.steps(types, events)):
        made.apply(event)
    made.version += len(events)
    return made


@flow
def save(aggregate: Aggregate, types: Types, *, causation: str | None = None) -> Steps[Appended | None]:
    """Append what an aggregate has recorded, in the open transaction; None where that is nothing.

    Raises VersionConflictError where another one was faster. When the transaction is rolled back the object knows of events that have never
    happened: load it again.
    """
    kind = type(aggregate)
    _named(kind)
    if not aggregate.pending:
        return None
    before = aggregate.version - len(aggregate.pending)
    done = yield from append.steps(kind.category, aggregate.id, aggregate.pending, expected=before, causation=causation, types=types)
    aggregate.pending = []
    if kind.snapshot_every and done.version // kind.snapshot_every > before // kind.snapshot_every:
        yield from keep_snapshot.steps(types, kind.category, aggregate.id, done.version, aggregate.state())
    return done


def _named(kind: type[Aggregate]) -> None:
    if not kind.category:
        raise UsageError(f"{kind.__name__} does not say of which type it is in the store", hint=f'category = "{kind.__name__.lower()}"')
