"""Values in this process: bounded in number and bytes, the least recently used go first, found by tag when one is invalidated.

Used in front of a server (then fed by what is read from there and emptied by what the server says) and as what `MemoryStore` keeps.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from pgcharter.runtime.cache_store import Item


class Local:
    """Values of one process. `items` may be read without the lock; a lookup that is to count as a use calls `touch`."""

    def __init__(self, entries: int = 10_000, size: int = 64 << 20) -> None:
        self.items: OrderedDict[str, Item] = OrderedDict()
        self.until = float("inf")
        """Nothing is to be served from here later than this (seconds since 1970): the server has not been heard of since."""
        self.round = 0
        """Invalidations seen: what was read before one of them is not stored after it."""
        self.evicted = 0
        self._entries, self._size = entries, size
        self._bytes = 0
        self._tags: dict[str, set[str]] = {}
        self.lock = threading.RLock()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def size(self) -> int:
        """Bytes in use, about."""
        return self._bytes

    def touch(self, name: str) -> None:
        """Note that it was used."""
        try:  # noqa: SIM105  # suppress() takes as long as the rest of a hit
            self.items.move_to_end(name)
        except KeyError:  # another thread has just dropped it
            pass

    def store(self, name: str, item: Item, seen: int) -> bool:
        """Keep a value that was read when `round` was `seen`. False, and not kept: something was invalidated since, or it is too big."""
        with self.lock:
            if seen != self.round or item.size > self._size:
                return False
            self._drop(name)
            self.items[name] = item
            self._bytes += item.size
            for tag in item.tags:
                self._tags.setdefault(tag, set()).add(name)
            while len(self.items) > self._entries or self._bytes > self._size:
                self._drop(next(iter(self.items)))
                self.evicted += 1
            return True

    def invalidate(self, names: Iterable[str], tags: Iterable[str]) -> None:
        """Drop values by name and by tag."""
        with self.lock:
            self.round += 1
            for name in names:
                self._drop(name)
            for tag in tags:
                for name in tuple(self._tags.get(tag, ())):
                    self._drop(name)

    def clear(self) -> None:
        """Drop all of them."""
        with self.lock:
            self.round += 1
            self.items.clear()
            self._tags.clear()
            self._bytes = 0

    def _drop(self, name: str) -> None:
        item = self.items.pop(name, None)
        if item is None:
            return
        self._bytes -= item.size
        for tag in item.tags:
            names = self._tags.get(tag)
            if names is not None:
                names.discard(name)
                if not names:
                    del self._tags[tag]
