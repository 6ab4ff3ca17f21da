"""Relays: deliver what was published, in the order of each key, and empty the ring behind them.

    relay = Relay(db, [Route("mail", Call(send), topics=("mail.*",)), Route("bus", RedisStream("redis://…", "events"))])
    relay.run()                        # until relay.stop(), from another thread or a handler of signals

    await AsyncRelay(async_db, routes).run()

A route is a consumer of its own, with its own cursor: one whose target is down holds up nobody else, but keeps parts of the ring from being
emptied. Any number of processes may run the same routes: they share slots, and one of them delivers a key at a time. A topic that no route
wants is delivered to nobody; a relay says so, and `pgcharter outbox status` too.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pgcharter import faults
from pgcharter.db.flows import Query, flow
from pgcharter.db.flows import Steps as FlowSteps
from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.context import for_everybody
from pgcharter.runtime.feeds import AsyncFeed, Feed
from pgcharter.runtime.feeds_model import Failed, FeedSettings, Outcome, Outside, Park, Start
from pgcharter.runtime.feeds_model import Message as Read
from pgcharter.runtime.feeds_outcomes import is_elsewhere, outcomes
from pgcharter.runtime.outbox import LOG, Message
from pgcharter.runtime.outbox_look import Unrouted, declare, unrouted
from pgcharter.runtime.targets import PartlyDownError, Target

log = logging.getLogger("pgcharter.outbox")
POINTS = ("outbox delivered", "outbox rotated")
"""Points at which a test may end the process (`faults`), beside those of feeds."""
FULL = 8 << 20
"""Bytes of a part of the ring from which on the next one is filled."""
_USUAL = FeedSettings()
_EARLY = "it is not due yet"


@dataclass(frozen=True)
class Route:
    """Messages of some topics, and where they go."""

    name: str
    """Name of its cursor, which outlives the process."""
    target: Target
    topics: tuple[str, ...] = ("*",)
    """Patterns, of which one must fit: `*` stands for any text, dots too."""
    slots: int = 1
    """Parts that its keys are spread over, so that as many workers can deliver at a time; set when the route is first run."""
    start: Start = "first"
    """Where it begins when it is first run."""
    settings: FeedSettings = _USUAL

    def __post_init__(self) -> None:
        """Raise UsageError for what is no route."""
        if not self.name or not self.topics or not all(self.topics):
            raise UsageError(f"route {self.name!r} has no name or no topics", hint='Route("mail", target, topics=("mail.*",))')

    @property
    def where(self) -> tuple[str, dict[str, Any]]:
        """The condition on messages and its parameters."""
        if "*" in self.topics:
            return "", {}
        patterns = [t.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%") for t in self.topics]
        return "l.topic LIKE ANY (%(topics)s::text[])", {"topics": patterns}


class _Delivery:
    """Delivers batches of a route: what is due and not expired goes to the target."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.taken: frozenset[int] = frozenset()
        """What the target had taken of a batch before it was down."""

    def __call__(self, messages: Sequence[Message]) -> Steps[list[Outcome]]:
        """Raises what the target raises."""
        early: dict[int, Outcome] = {}
        waiting: set[str] = set()
        wanted: list[Message] = []
        for message in messages:
            if message.key is not None and message.key in waiting:
                continue
            if message.expired:
                continue
            if message.due_in is not None and message.due_in > 0:
                early[message.position] = Failed(_EARLY, after=message.due_in)
                if message.key is not None:
                    waiting.add(message.key)
            elif message.position not in self.taken:
                wanted.append(message)
        said = (yield from self._handed(wanted)) if wanted else ()
        found = {m.position: outcome for m, outcome in zip(wanted, said, strict=True)} | early
        return [found.get(m.position) for m in messages]

    def _handed(self, wanted: Sequence[Message]) -> Steps[Sequence[Outcome]]:
        try:
            value = yield lambda: self.route.target.deliver(wanted)
        except PartlyDownError as error:
            self.taken |= error.done
            raise
        faults.point("outbox delivered")
        self.taken = frozenset()
        return outcomes(value, len(wanted))


class _Waiting:
    """What makes a feed wait for messages that are not due yet, which is no failure."""

    def _message(self, about: tuple[Any, ...], values: tuple[Any, ...], attempts: int = 0, age: float = 0.0) -> Read[Message]:
        """Failures of a message that was delayed are counted from when it was due."""
        read: Read[Message] = super()._message(about, values, attempts, age)  # type: ignore[misc]
        if read.body is not None and read.body.due_in is not None:
            read.age = min(read.age, max(0.0, -read.body.due_in))
        return read

    def _count(self, slot: Any, handled: int, failures: Sequence[Park]) -> None:
        late = [p for p in failures if p.error != _EARLY]
        super()._count(slot, handled, late)  # type: ignore[misc]
        self.counts["delayed"] += len(failures) - len(late)  # type: ignore[attr-defined]


class _RelayFeed(_Waiting, Feed[Message]):
    pass


class _AsyncRelayFeed(_Waiting, AsyncFeed[Message]):
    pass


@flow
def rotate(full: int = FULL) -> FlowSteps[int]:
    """Empty the parts of the ring that every consumer has passed, and fill the next one where this one has `full` bytes.

    Gives how many were emptied. Waits for nobody: a part that somebody is reading is left for the next time. In a transaction that is
    READ COMMITTED.
    """
    ((emptied,),) = yield Query("SELECT pgcharter.outbox_rotate(%s)", (full,))
    return int(emptied)


class _AnyRelay:
    """What both colours of a relay share."""

    _feed: Any
    """Makes the feed of a route, in this colour."""

    def __init__(
        self, database: Any, routes: Iterable[Route], *, full: int = FULL, rotate_every: float = 1.0, look_every: float = 30.0,
        settings: FeedSettings | None = None,
    ) -> None:  # fmt: skip
        """`settings` go before those of the routes. Every `look_every` seconds it says which topics have no route.

        The targets are the relay's: it closes them when it ends.
        """
        self.database, self.full, self.rotate_every, self.look_every = database, full, rotate_every, look_every
        self.routes = tuple(replace(r, settings=settings) if settings else r for r in routes)
        if len({r.name for r in self.routes}) < len(self.routes) or not self.routes:
            raise UsageError("a relay has routes, each with a name of its own")
        self.feeds: tuple[Any, ...] = tuple(self._feed(r) for r in self.routes)
        self.emptied = 0
        """Parts that this relay has emptied."""
        self.unrouted: set[str] = set()
        """Topics that it has found messages of, and no route that wants them."""
        self._care = flow(self._cared)
        self._cared_at: float | None = None
        self._looked = 0

    def _made(self, kind: type[Any], route: Route, deliver: Callable[[Sequence[Message]], Any]) -> Any:
        sql, parameters = route.where
        way: Outside[Message] = Outside(deliver, ordered=route.target.ordered)
        return kind(
            self.database,
            LOG,
            route.name,
            way,
            where=sql,
            parameters=parameters,
            slots=route.slots,
            start=route.start,
            settings=route.settings,
        )

    @property
    def _begun(self) -> bool:
        """Whether every route has a cursor: before that, what a new one is to read could be emptied out."""
        return all(feed._known for feed in self.feeds)

    def _cared(self) -> FlowSteps[tuple[int, int, list[Unrouted] | None]]:
        """Empty what can be, and look now and then what no route wants: how many parts, how far it looked, what it found."""
        looked = self._looked
        found: list[Unrouted] | None = None
        if self._cared_at is None:
            yield from declare.steps({r.name: r.topics for r in self.routes})
            found = []
        elif time.monotonic() - self._cared_at >= self.look_every:
            looked, found = yield from unrouted.steps(self._looked)
        return (yield from rotate.steps(self.full)), looked, found

    def _note(self, emptied: int, looked: int, found: list[Unrouted] | None) -> None:
        if found is not None:
            self._cared_at, self._looked = time.monotonic(), looked
        for topic in found or ():
            if topic.topic not in self.unrouted:
                log.warning(
                    "no route wants topic %s: %d messages from position %d on are delivered to nobody, and go when the ring is emptied",
                    topic.topic, topic.messages, topic.first,
                )  # fmt: skip
            self.unrouted.add(topic.topic)
        self.emptied += emptied
        if emptied:
            faults.point("outbox rotated")


class Relay(_AnyRelay):
    """Delivers in threads, one for each route."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._stopping = threading.Event()
        self._failed: list[BaseException] = []

    def _feed(self, route: Route) -> Any:
        delivery = _Delivery(route)
        return self._made(_RelayFeed, route, lambda messages: driven(delivery(messages)))

    def run(self) -> None:
        """Deliver until `stop`. A database that is away is waited for. Raises what ended a route, after all have ended."""
        self._stopping.clear()
        self._failed.clear()
        threads = [threading.Thread(target=self._run, args=(feed,), name=f"pgcharter-relay-{feed.consumer}") for feed in self.feeds]
        for thread in threads:
            thread.start()
        try:
            while not self._stopping.wait(self.rotate_every):
                if self._begun:
                    self.rotate()
        finally:
            while any(t.is_alive() for t in threads):
                self.stop()  # again and again: a feed that is just about to begin does not know yet that it was told
                for thread in threads:
                    thread.join(0.05)
            for route in self.routes:
                route.target.close()
        if self._failed:
            raise self._failed[0]

    def _run(self, feed: Any) -> None:
        try:
            feed.run()
        except BaseException as error:
            self._failed.append(error)
            self.stop()

    def catch_up(self) -> int:
        """Deliver what is settled now, one route after the other, and empty what can be; how many messages were looked at."""
        done = sum(int(feed.catch_up()) for feed in self.feeds)
        self.rotate()
        return done

    def rotate(self) -> None:
        """See to the ring once; where the database is away, the next time."""
        try:
            with for_everybody("the outbox"):
                self._note(*self.database.run(lambda work: self._care(work.conn), isolation="read committed"))
        except Exception as error:
            _postponed(error)

    def stop(self) -> None:
        """Have `run` end after the batches that are under way; from any thread."""
        self._stopping.set()
        for feed in self.feeds:
            feed.stop()


class AsyncRelay(_AnyRelay):
    """Delivers in tasks, one for each route; on an AsyncDatabase."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._stopping = asyncio.Event()

    def _feed(self, route: Route) -> Any:
        delivery = _Delivery(route)

        async def deliver(messages: Sequence[Message]) -> list[Outcome]:
            return await awaited(delivery(messages))

        return self._made(_AsyncRelayFeed, route, deliver)

    async def run(self) -> None:
        """The async twin of `Relay.run`. Cancelled, it lets go of everything too."""
        self._stopping.clear()
        tasks = [asyncio.create_task(feed.run(), name=f"pgcharter-relay-{feed.consumer}") for feed in self.feeds]
        rotating = asyncio.create_task(self._rotating())
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (rotating, stopped):
                task.cancel()
            while any(not t.done() for t in tasks):
                self.stop()
                await asyncio.wait(tasks, timeout=0.05)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(rotating, stopped, return_exceptions=True)
            for route in self.routes:
                closing = route.target.close()
                if closing is not None:
                    await closing
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def _rotating(self) -> None:
        while True:
            await asyncio.sleep(self.rotate_every)
            if self._begun:
                await self.rotate()

    async def catch_up(self) -> int:
        """The async twin of `Relay.catch_up`."""
        done = 0
        for feed in self.feeds:
            done += await feed.catch_up()
        await self.rotate()
        return done

    async def rotate(self) -> None:
        """The async twin of `Relay.rotate`."""
        try:
            with for_everybody("the outbox"):
                self._note(*await self.database.run(lambda work: self._care.aio(work.conn), isolation="read committed"))
        except Exception as error:
            _postponed(error)

    def stop(self) -> None:
        """Have `run` end after the batches that are under way; in its event loop."""
        self._stopping.set()
        for feed in self.feeds:
            feed.stop()


def _postponed(error: Exception) -> None:
    """What keeps the ring from being seen to, for now. Raises what would keep it from it for ever."""
    if not is_elsewhere(error) and not isinstance(error, psycopg.OperationalError):
        raise error
    log.warning("the ring of the outbox was not seen to: %s", error)
