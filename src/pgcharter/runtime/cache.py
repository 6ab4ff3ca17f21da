"""A cache that does not serve what was true once: fenced fills, tags, one load for many callers, for threads (`Cache`) and tasks
(`AsyncCache`).

    cache = Cache(RedisStore("redis://localhost:6379", namespace="shop"), tables={"shop.products": "products"})

    @cache.cached(ttl=60, tags=("products",))
    def product(id: int) -> Product: ...

    cache.invalidates(work, "products")        # once the unit of work has committed

**What holds.** Once `invalidate` (or the hook after commit) has returned, no read that begins later is given a value that was loaded
before, by this process or another one, however slow its loader was, whatever was evicted, and whoever shared the load. This needs: the
loader reads what is committed (a primary, or `version`, see below), and the cache server does what it says it did. Exceptions, each
bounded:

- *A level in process over a server* (`local=True`): invalidations of other processes arrive by a stream, usually within a
  millisecond; one that is silent for `silence` seconds is believed to be gone, and what this process has is neither used nor kept. So at
  worst `silence` seconds. What this process invalidates counts at once.
- *A crash between COMMIT and invalidation*: values live until their time ends. `announce` closes that: keys or tags are held from before
  COMMIT, readers go past the cache, and when the process dies the hold ends by itself, with everything before it already invalid. Then only
  a commit that takes effect after the hold has run out, and whose process died, can leave a stale value.
- *Server down*: reads go past the cache. Invalidations that were not delivered are kept, and this process reads nothing from the cache
  until they are delivered; other processes that still reach the server serve what they find until then, or until the value's time ends
  if this process dies first. Announced ones do not have this gap: what cannot be announced is refused before COMMIT (`required=True`).
- *Server restarted from an old copy, replica promoted without the last writes*: another run id begins a new epoch: everything is a miss.
- *Loaders that read a replica*: an invalidation with `version` (the log position of the commit) refuses fills of lower versions, for as
  long as its record is kept (a day at least; evicted, the highest version of the namespace takes its place). Or `holdoff`: so many
  seconds after an invalidation nothing is filled; right where no replica lags more.

Inside a unit of work what is there is served, and what is not is loaded for that unit alone, neither kept nor shared: it may not be
committed yet, or be of an older moment. So a hit shows what is committed, not what the unit itself has written; `function.uncached` does.
Only a unit that is `readonly`, at READ COMMITTED, fills the cache, as long as its session has loaded nothing.

Expired values are served only when a loader fails and `stale_for` allows it; what was invalidated never is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from pgcharter.runtime.cache_codec import Codec, Typed
from pgcharter.runtime.cache_common import Common, Found, Work
from pgcharter.runtime.cache_core import Versioned, texts
from pgcharter.runtime.cache_flights import Tasks, Threads
from pgcharter.runtime.cache_functions import AsyncCached, Cached, Options
from pgcharter.runtime.cache_keys import Key, Own, Tag, own
from pgcharter.runtime.cache_memcached import MemcachedStore
from pgcharter.runtime.cache_memory import MemoryStore
from pgcharter.runtime.cache_metrics import CacheMetrics
from pgcharter.runtime.cache_redis import RedisStore
from pgcharter.runtime.cache_store import Change, StoreError
from pgcharter.runtime.colours import awaited, driven

__all__ = ["AsyncCache", "AsyncCached", "Cache", "CacheMetrics", "Cached", "Codec", "Found", "Key", "MemcachedStore", "MemoryStore", "Own"]
__all__ += ["RedisStore", "StoreError", "Tag", "Typed", "Versioned", "Work", "own"]

P = ParamSpec("P")
T = TypeVar("T")


class Cache(Common):
    """A cache for code that blocks; threads share it."""

    _colours = Threads

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cached(
        self,
        *,
        ttl: float | None = None,
        tags: Iterable[Tag] | Callable[..., Iterable[Tag]] = (),
        shared: bool = False,
        result_tags: Callable[[Any], Iterable[Tag]] | None = None,
        none_ttl: float | None = None,
        stale_for: float | None = None,
        refresh: float | None = None,
        ignore: Iterable[str] = (),
        name: str = "",
        version: Callable[[Any], int] | None = None,
        codec: Codec | None = None,
    ) -> Callable[[Callable[P, T]], Cached[P, T]]:
        """Cache what a function returns, by its arguments.

        `tags`: of every value, or a function of the arguments that gives them; `result_tags`: those that only the value tells. `shared`:
        the value is the same for all tenants. `none_ttl`: for None. `stale_for`: seconds after its end in which it is served when the
        function fails. `refresh`: part of the time after which a hit has it loaded anew in the background. `ignore`: parameters that are
        no part of the key (a connection, `self`). `name`: in place of the function's own, so that it may move. `version`: how new a value
        is, see `Versioned`.
        """
        options = Options(ttl, none_ttl, stale_for, refresh, tags, result_tags, shared, texts(ignore), name, version, codec)
        return lambda function: Cached(self, function, options)

    def get(self, key: Key, default: Any = None, *, codec: Codec | None = None) -> Any:
        """The value that is there, or `default`. A cached None is a value: `lookup` tells it from nothing."""
        return driven(self._get(key, default, codec))

    def lookup(self, key: Key, *, codec: Codec | None = None) -> Found[Any] | None:
        """What is there, expired or not; None for nothing."""
        return driven(self._lookup(key, codec))

    def set(
        self, key: Key, value: Any, *, ttl: float | None = None, tags: Iterable[Tag] = (), version: int = 0, codec: Codec | None = None
    ) -> bool:
        """Store a value that the caller vouches for, in place of what is there or being loaded. Whether it is stored.

        It is for values that the caller just wrote or that only the cache has. What was *read* from a database may be old by now:
        `get_or_load` fences that. With `version` an older one never replaces a newer.
        """
        return driven(self._set(key, value, ttl, tags, version, codec))

    def get_or_load(
        self,
        key: Key,
        loader: Callable[[], T | Versioned[T]],
        *,
        ttl: float | None = None,
        tags: Iterable[Tag] = (),
        none_ttl: float | None = None,
        stale_for: float | None = None,
        refresh: float | None = None,
        codec: Codec | None = None,
    ) -> T:
        """The value, loaded where there is none. `loader` may return `Versioned(value, version)`."""
        return driven(self._get_or_load(key, loader, tags, self._with(ttl, none_ttl, stale_for, refresh, codec)))  # type: ignore[no-any-return]

    def invalidate(self, *keys: Key, tags: Iterable[Tag] = (), version: int = 0) -> bool:
        """Have values read anew, by key and by tag; to be called after the commit. False: the server could not be told, and will be.

        `version`: log position of the commit; what is then loaded from a replica must be that new (`Versioned`).
        """
        return driven(self._invalidate(keys, tags, version))

    def _dropped(self, keys: tuple[Key, ...]) -> None:
        """Invalidate keys whoever they are for."""
        driven(self._named(Change(tuple(key.name for key in keys))))

    def clear(self) -> bool:
        """Invalidate everything in the store's namespace, of all tenants. False: the server could not be told, and will be."""
        return driven(self._clear())

    def written(self, tables: Iterable[str], *, version: int = 0) -> bool:
        """Invalidate what `tables=` says of tables that a transaction has written; to be called once it has committed."""
        return driven(self._written(tables, version))

    def invalidates(self, work: Work, *tags: Tag, keys: tuple[Key, ...] = (), announce: float = 0.0, required: bool = False) -> None:
        """Invalidate once a unit of work has committed.

        `announce`: seconds for which readers go past the cache from now on, so that a crash between COMMIT and invalidation leaves
        nothing stale; the commit is to take effect within them. One more round trip. `required`: raise StoreError where the server cannot
        be told, so that the work is not committed.
        """
        driven(self._invalidates(work, tags, keys, announce, required, driven))

    def write_through(
        self,
        key: Key,
        write: Callable[[], T | Versioned[T]],
        *,
        ttl: float | None = None,
        tags: Iterable[Tag] = (),
        hold: float = 30.0,
        codec: Codec | None = None,
    ) -> T:
        """Write to the database, then to the cache. Readers go past it meanwhile, for `hold` seconds at most should this process die.

        `write` commits, and returns the value, as `Versioned` when it knows the version that it wrote (`RETURNING version`). Without a
        version two writers cannot be put in order, so the key is invalidated instead of set. If `write` raises, the key is invalidated
        too.
        """
        return driven(self._write_through(key, write, tags, self._with(ttl, None, None, None, codec), hold))  # type: ignore[no-any-return]

    def close(self) -> None:
        """Deliver what is owed if that is possible, and give up connections."""
        driven(self._close())


class AsyncCache(Common):
    """A cache for coroutines of one event loop."""

    _colours = Tasks

    async def __aenter__(self) -> AsyncCache:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def cached(
        self,
        *,
        ttl: float | None = None,
        tags: Iterable[Tag] | Callable[..., Iterable[Tag]] = (),
        shared: bool = False,
        result_tags: Callable[[Any], Iterable[Tag]] | None = None,
        none_ttl: float | None = None,
        stale_for: float | None = None,
        refresh: float | None = None,
        ignore: Iterable[str] = (),
        name: str = "",
        version: Callable[[Any], int] | None = None,
        codec: Codec | None = None,
    ) -> Callable[[Callable[P, Awaitable[T]]], AsyncCached[P, T]]:
        """Cache what a function returns, by its arguments.

        `tags`: of every value, or a function of the arguments that gives them; `result_tags`: those that only the value tells. `shared`:
        the value is the same for all tenants. `none_ttl`: for None. `stale_for`: seconds after its end in which it is served when the
        function fails. `refresh`: part of the time after which a hit has it loaded anew in the background. `ignore`: parameters that are
        no part of the key (a connection, `self`). `name`: in place of the function's own, so that it may move. `version`: how new a value
        is, see `Versioned`.
        """
        options = Options(ttl, none_ttl, stale_for, refresh, tags, result_tags, shared, texts(ignore), name, version, codec)
        return lambda function: AsyncCached(self, function, options)

    async def get(self, key: Key, default: Any = None, *, codec: Codec | None = None) -> Any:
        """The value that is there, or `default`. A cached None is a value: `lookup` tells it from nothing."""
        return await awaited(self._get(key, default, codec))

    async def lookup(self, key: Key, *, codec: Codec | None = None) -> Found[Any] | None:
        """What is there, expired or not; None for nothing."""
        return await awaited(self._lookup(key, codec))

    async def set(
        self, key: Key, value: Any, *, ttl: float | None = None, tags: Iterable[Tag] = (), version: int = 0, codec: Codec | None = None
    ) -> bool:
        """Store a value that the caller vouches for, in place of what is there or being loaded. Whether it is stored.

        It is for values that the caller just wrote or that only the cache has. What was *read* from a database may be old by now:
        `get_or_load` fences that. With `version` an older one never replaces a newer.
        """
        return await awaited(self._set(key, value, ttl, tags, version, codec))

    async def get_or_load(
        self,
        key: Key,
        loader: Callable[[], Awaitable[T | Versioned[T]] | T | Versioned[T]],
        *,
        ttl: float | None = None,
        tags: Iterable[Tag] = (),
        none_ttl: float | None = None,
        stale_for: float | None = None,
        refresh: float | None = None,
        codec: Codec | None = None,
    ) -> T:
        """The value, loaded where there is none. `loader` may return `Versioned(value, version)`."""
        return await awaited(self._get_or_load(key, loader, tags, self._with(ttl, none_ttl, stale_for, refresh, codec)))

    async def invalidate(self, *keys: Key, tags: Iterable[Tag] = (), version: int = 0) -> bool:
        """Have values read anew, by key and by tag; to be called after the commit. False: the server could not be told, and will be.

        `version`: log position of the commit; what is then loaded from a replica must be that new (`Versioned`).
        """
        return await awaited(self._invalidate(keys, tags, version))

    async def clear(self) -> bool:
        """Invalidate everything in the store's namespace, of all tenants. False: the server could not be told, and will be."""
        return await awaited(self._clear())

    async def written(self, tables: Iterable[str], *, version: int = 0) -> bool:
        """Invalidate what `tables=` says of tables that a transaction has written; to be called once it has committed."""
        return await awaited(self._written(tables, version))

    async def invalidates(self, work: Work, *tags: Tag, keys: tuple[Key, ...] = (), announce: float = 0.0, required: bool = False) -> None:
        """Invalidate once a unit of work has committed.

        `announce`: seconds for which readers go past the cache from now on, so that a crash between COMMIT and invalidation leaves
        nothing stale; the commit is to take effect within them. One more round trip. `required`: raise StoreError where the server cannot
        be told, so that the work is not committed.
        """
        await awaited(self._invalidates(work, tags, keys, announce, required, awaited))

    async def write_through(
        self,
        key: Key,
        write: Callable[[], Awaitable[T | Versioned[T]] | T | Versioned[T]],
        *,
        ttl: float | None = None,
        tags: Iterable[Tag] = (),
        hold: float = 30.0,
        codec: Codec | None = None,
    ) -> T:
        """Write to the database, then to the cache. Readers go past it meanwhile, for `hold` seconds at most should this process die.

        `write` commits, and returns the value, as `Versioned` when it knows the version that it wrote (`RETURNING version`). Without a
        version two writers cannot be put in order, so the key is invalidated instead of set. If `write` raises, the key is invalidated
        too.
        """
        return await awaited(self._write_through(key, write, tags, self._with(ttl, None, None, None, codec), hold))

    async def close(self) -> None:
        """Deliver what is owed if that is possible, and give up connections."""
        await awaited(self._close())
