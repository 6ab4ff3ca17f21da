"""What a cache has done, as numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CacheMetrics:
    """Counts since the cache was made. Threads count without a lock: under load a few may be missing."""

    server_hits: int = 0
    local_hits: int = 0
    """Hits in this process."""
    misses: int = 0
    loads: int = 0
    """Times that a loader was called."""
    stale_served: int = 0
    """Expired values served because the loader failed."""
    stampedes_prevented: int = 0
    """Callers who waited for another one's load instead of loading."""
    fills: int = 0
    fenced: int = 0
    """Fills refused: invalidated while it was loaded, or the lease had run out."""
    older: int = 0
    """Fills refused: a newer version was there or announced."""
    held: int = 0
    """Reads that went past the cache because somebody was about to commit."""
    waited_too_long: int = 0
    refreshes: int = 0
    oversized: int = 0
    unreadable: int = 0
    errors: int = 0
    """Calls that the cache server did not answer."""
    bypassed: int = 0
    """Reads that went past the cache because its server is down."""
    invalidations: int = 0
    pending: int = 0
    """Keys and tags whose invalidation has not been delivered yet."""
    degraded: bool = False
    """Whether reads go past the cache now."""

    @property
    def hits(self) -> int:
        """Hits, wherever the value was."""
        return self.server_hits + self.local_hits

    @property
    def hit_ratio(self) -> float:
        """Hits of all reads, 0 to 1; 0 before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0
