"""Reading a log in order: durable cursors under leases, messages handled once inside a transaction or at least once outside of one.

feed = Feed(db, LOG, "search", Outside(send), slots=4)
feed.run()                      # until feed.stop(), from another thread or a handler of signals

Keys are spread over `slots`; workers share these, and what fails parks its key only. `AsyncFeed` is the same for tasks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.context import for_everybody
from pgcharter.runtime.feeds_leases import log
from pgcharter.runtime.feeds_model import (
    EndingError,
    Failed,
    FailedError,
    FeedSettings,
    FencedError,
    Inside,
    Log,
    Outcome,
    Outside,
    StaleFeedError,
    Start,
    TargetDownError,
)
from pgcharter.runtime.feeds_outcomes import is_passing
from pgcharter.runtime.feeds_reading import Reading
from pgcharter.runtime.feeds_wake import AsyncListener, Listener
from pgcharter.runtime.work import around

__all__ = [
    "AsyncFeed", "EndingError", "Failed", "FailedError", "Feed", "FeedSettings", "FencedError", "Inside", "Log", "Outcome", "Outside",
    "StaleFeedError", "Start", "TargetDownError",
]  # fmt: skip
M = TypeVar("M")


class _Running(Reading[M]):
    """How long a worker goes on, for both colours."""

    _wait: Any
    """Waits so many seconds, or until there may be something; whether it was woken."""

    def _caught_up(self) -> Steps[int]:
        """Look until there is nothing left to do just now."""
        self._alone_here()
        done = 0
        try:
            while count := (yield from self._looked()):
                done += count
        finally:
            yield from self._left()
        if self.stale:
            raise StaleFeedError(self.stale[0], hint=f"set its position: reset(conn, {self.consumer!r}, 'first')")
        return done

    def _ran(self) -> Steps[None]:
        """Look until told to stop; then let go of the slots."""
        self._alone_here()
        pause = self.settings.poll_least
        try:
            while not self._leaving:
                try:
                    count = yield from self._looked()
                except Exception as error:
                    if not is_passing(error):
                        raise
                    log.warning("%s: the database does not answer as it should: %s", self.consumer, error)
                    count, pause = 0, max(pause, 0.25)
                if count or (yield partial(self._wait, pause)):
                    pause = self.settings.poll_least
                else:
                    pause = min(pause * 2, 5.0 if self._listener is not None and self._listener.hears else self.settings.poll_most)
        finally:
            yield from self._left()

    def _left(self) -> Steps[None]:
        """Give back what is held, whatever state the connection is in."""
        conn, self._leaving = self._conn, False
        if conn is not None:
            try:
                if self.held and not conn.closed:
                    yield from self._released(list(self.held.values()))
            except Exception as error:
                if not is_passing(error):
                    raise
                log.warning("%s: its slots could not be given back, and are free after %s s: %s", self.consumer, self.settings.lease, error)
            finally:
                self.held.clear()
                self._conn = None
                self._tick_at = 0.0
                yield conn.close

    def _alone_here(self) -> None:
        if around(self.database) is not None:
            raise UsageError(f"feed {self.consumer} is run inside a unit of work, and has transactions of its own", hint="run it outside")
        self.stale.clear()

    _listener: Any = None


class Feed(_Running[M]):
    """A worker of a consumer, in one thread; make one for each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stops: SimpleQueue[None] = SimpleQueue()
        self._listener: Listener | None = None

    def run(self) -> None:
        """Handle messages as they come, until `stop`. A database that is away is waited for; raises what is wrong otherwise."""
        if self.settings.listen:
            self._listener = Listener(self.database, self.log.name)
        with self._keeping(), for_everybody(self.consumer):
            try:
                driven(self._ran())
            finally:
                if self._listener is not None:
                    self._listener.close()

    def catch_up(self) -> int:
        """Handle what is settled now; how many messages were looked at. Raises StaleFeedError where some of it has been archived."""
        with self._keeping(), for_everybody(self.consumer):
            return driven(self._caught_up())

    def stop(self) -> None:
        """Have `run` finish its batch, let go of its slots and return; from any thread, or a handler of signals.

        Called before `run`, it has that return at once.
        """
        self._leaving = True
        self._stops.put(None)

    def _keeping(self) -> _Keeper:
        return _Keeper(self)

    def _wait(self, seconds: float) -> bool:
        if self._listener is not None:
            return self._listener.wait(seconds, lambda: self._leaving)
        with suppress(Empty):
            self._stops.get(timeout=seconds)
        return False

    def _coloured(self, steps: Callable[[Any], Steps[Any]]) -> Callable[[Any], Any]:
        return lambda work: driven(steps(work))


class _Keeper:
    """A thread that keeps leases alive while a handler is at work."""

    def __init__(self, feed: Feed[Any]) -> None:
        self.feed = feed
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"pgcharter-{feed.consumer}", daemon=True)

    def _run(self) -> None:
        while not self.over.wait(self.feed.settings.lease / 4):
            driven(self.feed._kept_alive())

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(5)


class AsyncFeed(_Running[M]):
    """A worker of a consumer, in one task; make one for each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping = asyncio.Event()
        self._listener: AsyncListener | None = None

    async def run(self) -> None:
        """The async twin of `Feed.run`. Cancelled, it lets go of its slots too."""
        if self.settings.listen:
            self._listener = AsyncListener(self.database, self.log.name)
        keeping = asyncio.create_task(self._keep())
        try:
            with for_everybody(self.consumer):
                await awaited(self._ran())
        finally:
            keeping.cancel()
            self._stopping.clear()
            if self._listener is not None:
                await self._listener.close()

    async def catch_up(self) -> int:
        """The async twin of `Feed.catch_up`."""
        keeping = asyncio.create_task(self._keep())
        try:
            with for_everybody(self.consumer):
                return await awaited(self._caught_up())
        finally:
            keeping.cancel()

    def stop(self) -> None:
        """Have `run` finish its batch, let go of its slots and return; in its event loop."""
        self._leaving = True
        self._stopping.set()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self.settings.lease / 4)
            await awaited(self._kept_alive())

    async def _wait(self, seconds: float) -> bool:
        if self._listener is not None:
            return await self._listener.wait(seconds, self._stopping)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return False

    def _coloured(self, steps: Callable[[Any], Steps[Any]]) -> Callable[[Any], Any]:
        async def fn(work: Any) -> Any:
            return await awaited(steps(work))

        return fn
