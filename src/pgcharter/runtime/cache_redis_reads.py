"""Reads of many callers in one command: up to four are under way at a time, and who comes meanwhile goes with the next.

A caller alone is not kept waiting. A shared command is sent after all who share it have asked, so nobody is given what was true before.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from pgcharter.runtime.colours import Steps

_LANES = 4


class _Batch:
    """Keys of callers who wait for one command."""

    __slots__ = ("answer", "done", "error", "go", "keys")

    def __init__(self, event: Callable[[], Any]) -> None:
        self.keys: dict[bytes, None] = {}
        self.go, self.done = event(), event()
        self.answer: dict[bytes, Any] | None = None
        self.error: Exception | None = None


class Reads:
    """MGET over the connections of a redis-py client, of either colour."""

    _next: _Batch | None
    """Who waits for a lane."""

    def __init__(self, client: Any, event: Callable[[], Any], errors: tuple[type[Exception], ...]) -> None:
        self._pool, self._event, self._errors = client.connection_pool, event, errors
        older = inspect.signature(self._pool.get_connection).parameters["command_name"].default is inspect.Parameter.empty
        self._connection = partial(self._pool.get_connection, "MGET") if older else self._pool.get_connection
        self._awaits = event is asyncio.Event
        self.lanes = _LANES
        self._begun()

    def fetch(self, keys: Sequence[bytes]) -> Steps[Sequence[Any]]:
        """The records of keys, None for one that is missing."""
        if self._pid != os.getpid():
            self._begun()
        while True:
            with self._lock:
                alone = self._under_way < self.lanes and self._next is None
                if alone:
                    self._under_way += 1
                else:
                    leads = self._next is None
                    batch = self._next = self._next or _Batch(self._event)
                    batch.keys.update(dict.fromkeys(keys))
            if alone:
                try:
                    return (yield from self._mget(keys))
                finally:
                    self._pass_on()
            if leads:
                yield from self._lead(batch)
            else:
                yield batch.done.wait
            if batch.error is not None:
                raise batch.error
            if batch.answer is not None:
                return [batch.answer[key] for key in keys]

    def _lead(self, batch: _Batch) -> Steps[None]:
        """Wait for a free lane, then ask for all."""
        try:
            yield batch.go.wait
        except BaseException:
            with self._lock:
                if self._next is batch:
                    self._next = None
            if batch.go.is_set():
                self._pass_on()
            batch.done.set()
            raise
        keys = tuple(batch.keys)
        try:
            batch.answer = dict(zip(keys, (yield from self._mget(keys)), strict=True))
        except self._errors as error:
            batch.error = error
        finally:
            self._pass_on()
            batch.done.set()

    def _pass_on(self) -> None:
        with self._lock:
            batch, self._next = self._next, None
            if batch is None:
                self._under_way -= 1
            else:
                batch.go.set()

    def _mget(self, keys: Iterable[bytes]) -> Steps[Sequence[Any]]:
        """Ask by hand, on a connection that is kept: what redis-py does around a command takes as long as the command.

        A connection on which anything went wrong is closed, so that no answer is left on it for the next. One that the server had closed is
        replaced once.
        """
        parts = [b"$%d\r\n%b\r\n" % (len(key), key) for key in keys]
        command = [b"*%d\r\n$4\r\nMGET\r\n%b" % (len(parts) + 1, b"".join(parts))]
        while True:
            kept = self._kept.pop() if self._kept else None
            conn = kept or (yield self._connection)
            try:
                limit = conn.socket_timeout
                if self._awaits:  # a timeout for sending makes a task of it; what is sent fits into the socket's buffer
                    conn.socket_timeout = None
                try:
                    yield partial(conn.send_packed_command, command, check_health=False)
                finally:
                    conn.socket_timeout = limit
                answer = yield conn.read_response
            except BaseException as error:
                yield conn.disconnect
                yield partial(self._pool.release, conn)
                if kept is None or not isinstance(error, self._errors) or isinstance(error, TimeoutError):
                    raise
            else:
                self._kept.append(conn)
                return answer  # type: ignore[no-any-return]

    def _begun(self) -> None:
        """Nothing under way, no connection kept: at first, and in a process that was forked, whose parent goes on using them."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._under_way = 0
        self._next = None
        self._kept: list[Any] = []
