"""Changes of tables told to the caches of `runtime.cache` in Redis, so that writers outside our units of work (psql, other programs, jobs
of the server) leave nothing stale behind for longer than the copy lags.

    [[sync.mapping]]                     cache = Cache(RedisStore(url, namespace="shop"))
    sink = "cache"                       @cache.cached(ttl=3600, tags=lambda id: ["products", f"products:{id}"])
    table = "shop.products"              def product(id: int) -> Product: ...
    to = "products"

A change of the row with key 42 invalidates the tags `products` and `products:42` (a key as `redis_layout.key_text` writes it; values
tagged `own("products")` of every tenant go too). TRUNCATE invalidates all of the namespace, since nobody knows which keys there were.
A seeded row tells nothing about a change and invalidates `products` only.

**What holds.** Once a change was written here, no read that begins later is served what was loaded before it: the clock of its tags has
moved, so a loader that began earlier cannot fill any more, and fills that say at which log position they were read are refused below the
commit. Until then (the lag of the copy) the old value may be served. Sent again it costs misses, nothing worse. Options: `namespace` of the
cache (`app`). Nothing can be read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pgcharter.runtime.cache_keys import touched_by
from pgcharter.runtime.cache_redis import RedisStore
from pgcharter.runtime.cache_store import Change, StoreError, wall
from pgcharter.runtime.colours import driven
from pgcharter.sinks.redis_layout import key_text, stamp_text
from pgcharter.sinks.redis_link import Link
from pgcharter.stream.errors import SinkDownError
from pgcharter.stream.model import Row, Shape, Stamp

_AT_ONCE = 500


class InvalidatingSink:
    """A sink that keeps no rows."""

    whole = False
    keeps = False
    """What a cache has lost need not be told to it again."""

    def __init__(self, url: str, name: str, *, namespace: str = "app", prefix: str = "") -> None:
        self._store = RedisStore(url, namespace=namespace, connect_timeout=5, timeout=30)
        self._link = Link(url, f"{prefix}pgcharter:{name}")

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:  # noqa: ARG002
        """Connect. Without a stamp everything in the cache may be of before: all of it is invalidated."""
        if not self._store.colour:
            self._store.connect("sync")
        kept = self._link.open()
        if kept is None:
            self._change(Change(everything=True))
        return kept

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Invalidate what rows were about."""
        self._link.ready()
        tags = list(dict.fromkeys(tag for row in rows for tag in _tags(row)))
        version = max((row.stamp.lsn for row in rows), default=0) + 1
        if any(row.op == "clear" for row in rows):
            self._change(Change(everything=True, version=version))
        for piece in _pieces(tags):
            self._change(Change(tags=touched_by(tuple(piece)), version=version))
        self._link.send([["hash", "", "", "", "floor:"]], stamp_text(upto))

    def _change(self, change: Change) -> None:
        try:
            driven(self._store.change(change, wall()))
        except StoreError as error:
            raise SinkDownError(f"the cache's server did not take an invalidation: {error.message}") from error

    def close(self) -> None:
        """Close the connections."""
        self._link.close()
        driven(self._store.close())


def _tags(row: Row) -> Iterator[str]:
    yield row.shape.to
    if row.op != "clear" and row.stamp.ordinal:
        yield f"{row.shape.to}:{key_text(row.shape, row.key)}"


def _pieces(tags: Sequence[str]) -> Iterable[Sequence[str]]:
    return (tags[at : at + _AT_ONCE] for at in range(0, len(tags), _AT_ONCE))
