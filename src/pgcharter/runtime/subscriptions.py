"""Subscriptions: functions that are called with the events of a log, in order, each once or at least once.

def bill(work, event): …

Subscription("billing", bill, types=("order-placed",), mode="inside").feed(db, EVENTS).run()

| `mode` | the handler is called | each event has its effect |
|---|---|---|
| `inside` | `handler(work, event)`: the unit of work in which the cursor moves | once |
| `inbox` | `handler(work, event)`: a unit of work of another database, which keeps an inbox | once |
| `outside` | `handler(event)` | at least once |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, overload

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.feeds import AsyncFeed, Feed
from pgcharter.runtime.feeds_model import FeedSettings, Inside, Log, Outside, Start
from pgcharter.runtime.feeds_outcomes import plain
from pgcharter.runtime.inbox import once

if TYPE_CHECKING:
    from pgcharter.runtime.database import AsyncDatabase, Database

M = TypeVar("M")


class _Named(NamedTuple):
    """An event with what names it for the inbox."""

    id: str
    event: Any


@dataclass(frozen=True)
class Subscription(Generic[M]):
    """Who is called with which events. Raises UsageError for what makes no sense."""

    name: str
    """Names the consumer: what it has read is known by it."""
    handler: Callable[..., Any]
    """With an AsyncDatabase it may be a coroutine function. What it raises parks the key of its event alone."""
    types: tuple[str, ...] = ()
    """Types of events that it wants; empty: all."""
    categories: tuple[str, ...] = ()
    """Types of aggregates whose events it wants; empty: all."""
    mode: Literal["inside", "inbox", "outside"] = "outside"
    slots: int = 1
    """Parts of the keys, and so the most workers that can be at work; when it begins for the first time."""
    start: Start = "first"
    """Where it begins for the first time."""
    settings: FeedSettings = field(default_factory=FeedSettings)
    inbox: Any = None
    """With mode inbox: the Database or AsyncDatabase that the handler works on, which has pgcharter.inbox."""

    def __post_init__(self) -> None:
        """Raise UsageError for what makes no sense."""
        if not 1 <= len(self.name.encode()) <= 200:
            raise UsageError(f"{self.name!r} is no name for a subscription", hint="1 to 200 bytes")
        if (self.mode == "inbox") != (self.inbox is not None):
            raise UsageError(f"subscription {self.name} has mode {self.mode} and inbox {self.inbox!r}: both, or neither")

    @overload
    def feed(self, database: Database, log: Log[M]) -> Feed[M]: ...

    @overload
    def feed(self, database: AsyncDatabase, log: Log[M]) -> AsyncFeed[M]: ...

    def feed(self, database: Any, log: Log[M]) -> Any:
        """A worker of it on the database that has the events; make one for each thread or task."""
        from pgcharter.runtime.database import AsyncDatabase

        kind: Any = AsyncFeed if isinstance(database, AsyncDatabase) else Feed
        where, parameters = self.wanted()
        read = _named(log) if self.inbox is not None else log
        return kind(
            database, read, self.name, self._way(), where=where, parameters=parameters, slots=self.slots, start=self.start,
            settings=self.settings,
        )  # fmt: skip

    def wanted(self) -> tuple[str, dict[str, Any]]:
        """The condition for its events, over alias `l`, and the parameters in it."""
        conditions = {"l.event_type = ANY(%(types)s)": self.types, "l.aggregate_type = ANY(%(categories)s)": self.categories}
        named = {"types": list(self.types), "categories": list(self.categories)}
        return " AND ".join(c for c, given in conditions.items() if given), {n: v for n, v in named.items() if v}

    def _way(self) -> Inside[M] | Outside[M]:
        if self.mode == "inside":
            return Inside(self.handler, single=True)
        from pgcharter.runtime.database import AsyncDatabase

        if self.mode == "outside":
            return Outside(self.handler, single=True)
        return Outside(self._seen_async if isinstance(self.inbox, AsyncDatabase) else self._seen, single=True)

    def _seen(self, named: _Named) -> None:
        self.inbox.run(lambda work: driven(self._once(work, named)))

    async def _seen_async(self, named: _Named) -> None:
        async def fn(work: Any) -> None:
            await awaited(self._once(work, named))

        await self.inbox.run(fn)

    def _once(self, work: Any, named: _Named) -> Steps[None]:
        """Handle an event in a unit of work of the other database, unless its inbox has it."""
        if (yield partial(self.inbox._flow(once), work.conn, self.name, named.id)):
            plain((yield partial(self.handler, work, named.event)))


def _named(log: Log[Any]) -> Log[Any]:
    return replace(log, columns=(log.id, *log.columns), message=lambda name, *values: _Named(name, log.message(*values)))
