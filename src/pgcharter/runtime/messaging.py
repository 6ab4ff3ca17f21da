"""What an application has to do with messages, in one object: `[messaging] app` of the charter names it, and commands run its parts.

# shop/flow.py
messaging = Messaging(
    database=lambda dsn: Database(dsn, application="shop worker"),
    subscriptions=[…], projections=[…], routes=[…], sagas=[…],
)

# pgcharter.toml
[messaging]
app = "shop.flow:messaging"
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pgcharter.errors import UsageError
from pgcharter.runtime.context import for_everybody
from pgcharter.runtime.events_model import LOG
from pgcharter.runtime.projections import Projection, register
from pgcharter.runtime.subscriptions import Subscription

if TYPE_CHECKING:
    from pgcharter.runtime.database import AsyncDatabase, Database
    from pgcharter.runtime.outbox_relay import Route
    from pgcharter.runtime.sagas import SagaSettings
    from pgcharter.runtime.sagas_define import Saga

T = TypeVar("T")
Part = Literal["subscriptions", "projections", "outbox", "sagas"]
PARTS: tuple[Part, ...] = ("subscriptions", "projections", "outbox", "sagas")
log = logging.getLogger("pgcharter.messaging")


@dataclass(frozen=True)
class Messaging:
    """Handlers and definitions of an application. Nothing is opened before it is run."""

    database: Callable[[str], Database | AsyncDatabase]
    """Makes the database of workers from a DSN; an AsyncDatabase runs all of it in tasks."""
    subscriptions: Sequence[Subscription[Any]] = ()
    projections: Sequence[Projection] = ()
    routes: Sequence[Route] | Callable[[], Sequence[Route]] = ()
    """Where messages of the outbox go; a function is called when they are needed."""
    sagas: Sequence[Saga[Any]] = ()
    saga_settings: SagaSettings | None = None

    def workers(self, database: Database | AsyncDatabase, parts: Iterable[Part] = PARTS) -> list[Any]:
        """A worker of each thing in these parts, each with `run` and `stop`. Raises UsageError where there is nothing to run."""
        wanted = set(parts)
        made: list[Any] = []
        if "subscriptions" in wanted:
            made += [s.feed(database, LOG) for s in self.subscriptions]
        if "projections" in wanted:
            made += [p.feed(database) for p in self._followed(tuple(wanted))]
        if "outbox" in wanted and (routes := self.routes() if callable(self.routes) else self.routes):
            made.append(self._relay(database, routes))
        if "sagas" in wanted and self.sagas:
            made.append(self._saga_worker(database))
        if not made:
            raise UsageError(f"the application has no {' and no '.join(sorted(wanted))} to run", hint="give Messaging(…) some")
        return made

    def _followed(self, parts: Sequence[Part]) -> list[Projection]:
        """Projections that follow the events, where they are wanted."""
        return [p for p in self.projections if p.mode == "async" and "projections" in parts]

    def _relay(self, database: Any, routes: Sequence[Route]) -> Any:
        from pgcharter.runtime.outbox_relay import AsyncRelay, Relay

        return (AsyncRelay if _waits(database) else Relay)(database, routes)

    def _saga_worker(self, database: Any) -> Any:
        from pgcharter.runtime.sagas import AsyncSagaWorker, SagaWorker

        return (AsyncSagaWorker if _waits(database) else SagaWorker)(database, self.sagas, self.saga_settings)

    def projection(self, name: str) -> Projection:
        """The projection of that name. Raises UsageError where there is none."""
        return _named(self.projections, name, "projection")

    def saga(self, name: str) -> Saga[Any]:
        """The newest definition of that name. Raises UsageError where there is none."""
        return _named(sorted(self.sagas, key=lambda s: -s.version), name, "saga")

    def serve(self, dsn: str, parts: Sequence[Part] = PARTS, stopping: threading.Event | None = None) -> None:
        """Run these parts until `stopping` is set, then let all finish what they are at. Raises what has ended one of them, and so all."""
        stopping = stopping or threading.Event()
        database = self.database(dsn)
        with for_everybody("messaging"):
            if _waits(database):
                asyncio.run(self._serve_async(database, parts, stopping))
            else:
                self._serve(database, parts, stopping)

    def _serve(self, database: Any, parts: Sequence[Part], stopping: threading.Event) -> None:
        failed: list[BaseException] = []

        def run(worker: Any) -> None:
            try:
                worker.run()
            except BaseException as error:
                failed.append(error)
                stopping.set()

        with database:
            for projection in self._followed(parts):
                database.run(lambda work, p=projection: register(work.conn, p))
            workers = self.workers(database, parts)
            threads = [threading.Thread(target=run, args=(worker,), name=f"pgcharter-{type(worker).__name__}") for worker in workers]
            for thread in threads:
                thread.start()
            try:
                stopping.wait()
            finally:
                while any(thread.is_alive() for thread in threads):
                    for worker in workers:
                        worker.stop()
                    for thread in threads:
                        thread.join(0.05)
        if failed:
            raise failed[0]

    async def _serve_async(self, database: Any, parts: Sequence[Part], stopping: threading.Event) -> None:
        async with database:
            for projection in self._followed(parts):
                await database.run(lambda work, p=projection: register.aio(work.conn, p))
            workers = self.workers(database, parts)
            tasks = [asyncio.create_task(worker.run()) for worker in workers]
            told = asyncio.create_task(asyncio.to_thread(stopping.wait))
            try:
                await asyncio.wait([*tasks, told], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.set()
                while any(not task.done() for task in tasks):
                    for worker in workers:
                        worker.stop()
                    await asyncio.wait(tasks, timeout=0.05)
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                await told
        for error in ended:
            if isinstance(error, BaseException):
                raise error


def _waits(database: Any) -> bool:
    from pgcharter.runtime.database import AsyncDatabase

    return isinstance(database, AsyncDatabase)


def _named(among: Sequence[T], name: str, noun: str) -> T:
    for one in among:
        if one.name == name:  # type: ignore[attr-defined]
            return one
    known = ", ".join(sorted({o.name for o in among})) or "none"  # type: ignore[attr-defined]
    raise UsageError(f"the application has no {noun} {name!r}", hint=f"it has: {known}")
