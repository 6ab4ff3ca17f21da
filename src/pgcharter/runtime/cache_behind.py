"""Writing behind: values are taken now and written to the database later, many at once, the last one of a key alone.

What holds: until it is written, a value is seen by this object (`get`) and nobody else: a cache never shows what the database may never
get. Once written, its key is invalidated for all. A key's values are written in the order in which they were put, those in between left
out. What is lost
when the process is killed: what was put since the last flush, at most `most` keys and `interval` seconds of them (more while the database
does not answer:
then `put` waits, and raises after `wait`). `close` writes what is left, and raises where it cannot.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.runtime.cache import Cache
from pgcharter.runtime.cache_keys import Key, check_scope

T = TypeVar("T")
LOG = logging.getLogger("pgcharter.cache")


class WriteBehind(Generic[T]):
    """Values that are written in the background by one thread. For code that blocks."""

    def __init__(
        self, cache: Cache, write: Callable[[Mapping[Key, T]], Any], *, interval: float = 0.5, most: int = 1000, wait: float = 5.0
    ) -> None:
        """Begin.

        `write` gets several values by key and commits them, all or none. It is called again for those that it raised on, so it has to bear
        being repeated (an upsert); it runs in a thread of its own, without a context: `Key.scope` says for whom a value is.
        """
        if most < 1 or interval <= 0:
            raise UsageError("a queue of writes needs room for at least 1 and an interval of more than 0 seconds")
        self._cache, self._write, self._interval, self._most, self._wait = cache, write, interval, most, wait
        self._waiting: dict[Key, T] = {}
        self._written: dict[Key, T] = {}
        self._changed = threading.Condition()
        self._flushing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pgcharter-write-behind", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len({**self._written, **self._waiting})

    def put(self, key: Key, value: T) -> None:
        """Take a value to write. Raises UnavailableError when there is no room for `wait` seconds, UsageError when it is closed."""
        check_scope(key)
        until = time.monotonic() + self._wait
        with self._changed:
            while not self._closed and key not in self._waiting and len(self._waiting) >= self._most:
                self._changed.notify_all()
                if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise UnavailableError(f"{len(self._waiting)} values wait to be written and the database takes none: no more are taken")
            if self._closed:
                raise UsageError("a queue of writes is closed, so a value put into it would never be written")
            self._waiting[key] = value

    def get(self, key: Key, default: Any = None) -> Any:
        """What is not yet written of a key, else `default`: read through the cache then."""
        check_scope(key)
        with self._changed:
            return self._waiting.get(key, self._written.get(key, default))

    def flush(self) -> None:
        """Write what was put until now. Raises what `write` raises; the values stay, to be tried again."""
        with self._flushing:
            with self._changed:
                self._written, self._waiting = self._waiting, {}
            if not self._written:
                return
            try:
                self._write(dict(self._written))
            except BaseException:
                with self._changed:
                    self._waiting = {**self._written, **self._waiting}
                    self._written = {}
                raise
            self._cache._dropped(tuple(self._written))
            with self._changed:
                self._written = {}
                self._changed.notify_all()

    def close(self) -> None:
        """Take no more, and write what is left. Raises PgcharterError where that fails: it says how many are lost."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        try:
            self.flush()
        except Exception as error:
            raise PgcharterError(f"{len(self)} values could not be written before the end ({type(error).__name__}) and are lost") from error

    def _run(self) -> None:
        pause = self._interval
        while True:
            with self._changed:
                if not self._closed and len(self._waiting) < self._most:
                    self._changed.wait(pause)
                if self._closed:
                    return
            try:
                self.flush()
                pause = self._interval
            except Exception as error:
                LOG.warning("values could not be written (%s) and are tried again", type(error).__name__)
                pause = min(max(pause * 2, 0.1), 30.0)
                time.sleep(min(pause, 1.0))
