"""When the cache server does not answer: reads go past it, invalidations are kept, and nothing is read from it before they are
delivered.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import replace

from pgcharter.runtime.cache_metrics import CacheMetrics
from pgcharter.runtime.cache_store import Change

LOG = logging.getLogger("pgcharter.cache")
_MOST = 10_000
"""Keys and tags that are remembered; beyond, everything is invalidated instead."""


class Breaker:
    """Says whether the cache server may be asked, and keeps what it has to be told first."""

    def __init__(self, metrics: CacheMetrics, failures: int, pause: float) -> None:
        self._metrics, self._failures, self._pause = metrics, failures, pause
        self._lock = threading.Lock()
        self._failed = 0
        self._wait = pause
        self._again = 0.0
        self._trying = False
        self._pending: Change | None = None
        self.open = False

    def due(self) -> bool:
        """Whether this caller is the one to try an open breaker; `tried` is to follow."""
        with self._lock:
            if not self.open or self._trying or time.monotonic() < self._again:
                return False
            self._trying = True
            return True

    def owed(self) -> Change | None:
        """What has to be told before anything is read."""
        return self._pending

    def owe(self, change: Change) -> None:
        """Keep an invalidation that was not delivered, or whose delivery is not known: nothing is read until it is."""
        with self._lock:
            before = self._pending or Change()
            merged = Change(
                tuple(dict.fromkeys((*before.keys, *change.keys))),
                tuple(dict.fromkeys((*before.tags, *change.tags))),
                max(before.version, change.version),
                everything=before.everything or change.everything,
            )
            if len(merged.keys) + len(merged.tags) > _MOST:
                merged = Change(version=merged.version, everything=True)
            self._pending = merged
            self._metrics.pending = len(merged.keys) + len(merged.tags) + merged.everything

    def failed(self, error: Exception, at_once: bool = False) -> None:
        """A call was not answered. `at_once`: what was to be told must be told before anything else is asked."""
        with self._lock:
            self._metrics.errors += 1
            self._failed += 1
            self._trying = False
            if self.open:
                self._wait = min(self._wait * 2, 30.0)
            elif at_once or self._failed >= self._failures:
                self.open = self._metrics.degraded = True
                LOG.warning("%s: reads go past the cache until it does", error)
            else:
                return
            self._again = time.monotonic() + self._wait * random.uniform(0.5, 1)  # noqa: S311

    def worked(self) -> None:
        """A call was answered, with the breaker closed."""
        self._failed = 0

    def delivered(self, change: Change | None) -> bool:
        """What was owed is told. Whether that was all, so that the breaker is closed."""
        with self._lock:
            if self._pending is not change:
                self._trying = False
                self._again = 0.0
                return False
            self._pending, self.open, self._trying, self._failed, self._wait = None, False, False, 0, self._pause
            self._metrics.pending, self._metrics.degraded = 0, False
            LOG.warning("the cache server answers again: reads use the cache")
            return True


def without_holds(change: Change) -> Change:
    """An invalidation as it is kept: the hold of its own has run out or runs out by itself."""
    return replace(change, hold="", hold_for=0.0)
