"""The two colours of a worker of sagas: threads, and tasks of an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.context import Context as Around
from pgcharter.runtime.context import using
from pgcharter.runtime.feeds_wake import AsyncListener, Listener
from pgcharter.runtime.sagas_define import Context, Saga
from pgcharter.runtime.sagas_settings import SagaSettings
from pgcharter.runtime.sagas_worker import AnyWorker

if TYPE_CHECKING:
    from pgcharter.runtime.database import AsyncDatabase, Database

_PLACE = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()"


class SagaWorker(AnyWorker):
    """Runs sagas in threads. Actions may be coroutine functions where they are not inside: each gets a loop of its own."""

    def __init__(self, db: Database, sagas: Iterable[Saga[Any]], settings: SagaSettings | None = None, **more: Any) -> None:
        super().__init__(db, sagas, settings, **more)
        self._wake = threading.Event()
        self._gate = threading.Lock
        self._mailbox = queue.SimpleQueue
        self._listener = Listener

    def run(self, *, until_idle: bool = False) -> None:
        """Run sagas until `stop()`; or until none is due and none waits for its time within an hour."""
        driven(self._serve(until_idle))

    def _spawn(self, steps: Steps[None]) -> Any:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(driven, steps), name="pgcharter-saga", daemon=True)
        thread.start()
        return thread

    def _joined(self, spawned: Any) -> None:
        spawned.join(5.0)

    def _woken(self, on: bool) -> None:
        self._wake.set() if on else self._wake.clear()

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _connect(self) -> Any:
        conn = psycopg.connect(self.db.primary.conninfo(), autocommit=True, **self.db._connect_kwargs())
        try:
            conn.prepare_threshold = self._threshold(conn, conn.execute(_PLACE, prepare=False).fetchone())
        except BaseException:
            conn.close()
            raise
        return conn

    def _unit(self, body: Callable[[Any], Steps[None]], around: Around) -> None:
        with using(around):
            self.db.run(lambda work: driven(body(work)))

    def _call(self, function: Callable[[Any], Any], context: Context[Any], timeout: float | None, around: Around | None) -> Any:
        if around is None:
            return _in_time(function, context, timeout)
        if timeout is None:
            with using(around):
                return _value(function, context)
        answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                with using(around):
                    answers.put((True, _value(function, context)))
            except BaseException as error:
                answers.put((False, error))

        threading.Thread(target=ask, name=f"pgcharter-saga-{context.step}", daemon=True).start()
        try:
            good, value = answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no answer in {timeout:g} s") from None
        if not good:
            raise value
        return value


class AsyncSagaWorker(AnyWorker):
    """Runs sagas in tasks of one event loop. Actions that are no coroutine functions run in threads, unless they are inside."""

    def __init__(self, db: AsyncDatabase, sagas: Iterable[Saga[Any]], settings: SagaSettings | None = None, **more: Any) -> None:
        super().__init__(db, sagas, settings, **more)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Lock
        self._mailbox = asyncio.Queue
        self._listener = AsyncListener

    async def run(self, *, until_idle: bool = False) -> None:
        """The async twin of `SagaWorker.run`."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        await awaited(self._serve(until_idle))

    def _spawn(self, steps: Steps[None]) -> Any:
        task = asyncio.create_task(awaited(steps))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _joined(self, spawned: Any) -> None:
        await asyncio.wait([spawned], timeout=5.0)

    def _woken(self, on: bool) -> None:
        if self._wake is None or self._loop is None:
            return
        if not on:
            self._wake.clear()
        elif asyncio._get_running_loop() is self._loop:
            self._wake.set()
        else:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    async def _pause(self, seconds: float) -> None:
        assert self._wake is not None  # noqa: S101 - it is serving
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _connect(self) -> Any:
        conn = await psycopg.AsyncConnection.connect(self.db.primary.conninfo(), autocommit=True, **self.db._connect_kwargs())
        try:
            conn.prepare_threshold = self._threshold(conn, await (await conn.execute(_PLACE, prepare=False)).fetchone())
        except BaseException:
            await conn.close()
            raise
        return conn

    async def _unit(self, body: Callable[[Any], Steps[None]], around: Around) -> None:
        async def doing(work: Any) -> None:
            await awaited(body(work))

        with using(around):
            await self.db.run(doing)

    async def _call(self, function: Callable[[Any], Any], context: Context[Any], timeout: float | None, around: Around | None) -> Any:
        try:
            async with asyncio.timeout(timeout):
                if around is None:
                    return await _either(function, context)
                with using(around):
                    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
                        return await function(context)
                    return await asyncio.to_thread(function, context)
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"no answer in {timeout or 0:g} s") from error


def _in_time(function: Callable[[Any], Any], context: Context[Any], timeout: float | None) -> Any:
    """Inside a transaction: too late is rolled back."""
    began = time.monotonic()
    value = function(context)
    if inspect.isawaitable(value):
        value.close() if inspect.iscoroutine(value) else None
        raise UsageError(f"step {context.step} is inside, and a coroutine function needs an AsyncSagaWorker there")
    if timeout is not None and time.monotonic() - began > timeout:
        raise TimeoutError(f"it took longer than {timeout:g} s, and is rolled back")
    return value


def _value(function: Callable[[Any], Any], context: Context[Any]) -> Any:
    value = function(context)
    if not inspect.isawaitable(value):
        return value

    async def waited() -> Any:
        return await value

    return asyncio.run(waited())


async def _either(function: Callable[[Any], Any], context: Context[Any]) -> Any:
    value = function(context)
    return await value if inspect.isawaitable(value) else value
