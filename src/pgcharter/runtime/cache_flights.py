"""Waiting, sleeping and working in the background, for threads and for tasks; and loads that several callers share.

Whom a caller may share a load with decides whether it can be served what was true before it asked:

- a load under a lease, when what it gave was stored: then nothing was invalidated from its beginning to its end;
- otherwise only one that begins after the caller has asked (`Turns`), so at most two loads of a value run one after the other for any
  number of callers.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps, awaited, driven


class Flight:
    """A load that others may wait for."""

    def __init__(self, event: Any) -> None:
        self.event = event
        self.value: Any = None
        self.error: BaseException | None = None
        self.shared = False
        """Whether those who waited may have what it gave."""
        self.unstored = False
        """Whether it gave what is not to be cached."""

    def land(self, value: Any, shared: bool) -> None:
        """It gave a value."""
        self.value, self.shared = value, shared
        self.event.set()

    def fail(self, error: BaseException | None) -> None:
        """It raised an error; None: it was given up, and those who waited look again."""
        self.error, self.shared = error, error is not None
        self.event.set()

    def outcome(self) -> Any:
        """The value. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Threads:
    """Callers that block."""

    name = "sync"

    def check(self) -> None:
        """Any thread will do."""

    def run(self, steps: Steps[Any]) -> Any:
        """Run to the end."""
        return driven(steps)

    def sleep(self, seconds: float) -> Any:
        """Do nothing for a while."""
        time.sleep(seconds)

    def flight(self) -> Flight:
        """A load to wait for."""
        return Flight(threading.Event())

    def landed(self, flight: Flight, seconds: float) -> Any:
        """Wait for a load. Whether it ended in time."""
        return flight.event.wait(max(seconds, 0))

    def spawn(self, make: Callable[[], Steps[Any]], name: str) -> Any:
        """Run in the background, in the context of now, but in no unit of work."""
        where = _background()
        thread = threading.Thread(target=where.run, args=(lambda: driven(make()),), name=name, daemon=True)
        thread.start()
        return thread

    def joined(self, job: Any, seconds: float) -> Any:
        """Wait for background work."""
        job.join(seconds)


class Tasks:
    """Callers that await."""

    name = "async"

    def __init__(self) -> None:
        self._jobs: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Raise UsageError in another event loop than before: connections belong to one."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise UsageError(
                "a cache is used in another event loop than before, and its connections are that one's", hint="make a cache in each loop"
            )

    def run(self, steps: Steps[Any]) -> Coroutine[Any, Any, Any]:
        """Run to the end."""
        return awaited(steps)

    def sleep(self, seconds: float) -> Any:
        """Do nothing for a while."""
        return asyncio.sleep(seconds)

    def flight(self) -> Flight:
        """A load to wait for."""
        return Flight(asyncio.Event())

    async def landed(self, flight: Flight, seconds: float) -> bool:
        """Wait for a load. Whether it ended in time."""
        try:
            await asyncio.wait_for(flight.event.wait(), max(seconds, 0))
        except TimeoutError:
            return False
        return True

    def spawn(self, make: Callable[[], Steps[Any]], name: str) -> Any:
        """Run in the background, in the context of now, but in no unit of work."""
        job = asyncio.get_running_loop().create_task(awaited(make()), name=name, context=_background())
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def joined(self, job: Any, seconds: float) -> None:
        """Wait for background work, then end it."""
        await asyncio.wait((job,), timeout=seconds)
        job.cancel()


Colour = Threads | Tasks


def _background() -> contextvars.Context:
    """The context of now without the units of work that are open, which are the caller's."""
    where, work = contextvars.copy_context(), sys.modules.get("pgcharter.runtime.work")
    if work is not None:
        where.run(work.outside)
    return where


class Turns:
    """Loads without a lease: one at a time for each value, shared only by callers who asked before it began."""

    def __init__(self, colour: Colour) -> None:
        self._colour = colour
        self._lock = threading.Lock()
        self._running: dict[str, Flight] = {}
        self._next: dict[str, Flight] = {}

    def load(self, name: str, loading: Callable[[], Steps[Any]], wait: float) -> Steps[tuple[Any, bool]]:
        """Load, or share a load that had not begun: what it gave, and whether it was shared. Who has waited `wait` seconds loads alone."""
        until = time.monotonic() + wait
        while True:
            with self._lock:
                running, coming = self._running.get(name), self._next.get(name)
                mine = self._colour.flight() if running is None or coming is None else None
                if mine is not None:
                    (self._running if running is None else self._next)[name] = mine
            if mine is not None:
                return (yield from self._lead(name, mine, running, loading, until)), False
            if coming is None:  # cannot be: without one, the place would be ours
                continue
            if not (yield partial(self._colour.landed, coming, until - time.monotonic())):
                return (yield from loading()), False
            if coming.shared:
                return coming.outcome(), True

    def _lead(self, name: str, mine: Flight, before: Flight | None, loading: Callable[[], Steps[Any]], until: float) -> Steps[Any]:
        try:
            if before is not None:
                yield partial(self._colour.landed, before, until - time.monotonic())
                with self._lock:
                    if self._next.get(name) is mine:  # the one before takes too long: go beside it, and let nobody join any more
                        del self._next[name]
            value = yield from loading()
        except BaseException as error:
            self._over(name, mine)
            mine.fail(error if isinstance(error, Exception) else None)
            raise
        self._over(name, mine)
        mine.land(value, True)
        return value

    def _over(self, name: str, mine: Flight) -> None:
        """It has ended: the next one's turn begins."""
        with self._lock:
            if self._running.get(name) is mine:
                coming = self._next.pop(name, None)
                if coming is None:
                    del self._running[name]
                else:
                    self._running[name] = coming
            elif self._next.get(name) is mine:
                del self._next[name]
