"""What both colours of a cache share: its settings, its keys, and the steps of every operation."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from pgcharter.errors import UsageError
from pgcharter.runtime.cache_codec import Codec, Typed
from pgcharter.runtime.cache_core import Core, Loader, Terms, Versioned, apart, texts, typed
from pgcharter.runtime.cache_flights import Colour
from pgcharter.runtime.cache_keys import Key, Own, Tag, check_scope, depends_on, named, scope, touched_by
from pgcharter.runtime.cache_local import Local
from pgcharter.runtime.cache_memory import MemoryStore
from pgcharter.runtime.cache_metrics import CacheMetrics
from pgcharter.runtime.cache_store import Change, Store, StoreError, wall
from pgcharter.runtime.colours import Steps

T = TypeVar("T")
ANY: Any = Typed()


class Work(Protocol):
    """What the cache needs of a unit of work."""

    def after_commit(self, hook: Callable[[], Any], /) -> Any:
        """Call a hook when it has committed."""

    def after_rollback(self, hook: Callable[[], Any], /) -> Any:
        """Call a hook when it has not."""

    def after_unknown(self, hook: Callable[[], Any], /) -> Any:
        """Call a hook when nobody can tell."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A value that is in the cache."""

    value: T
    stale: bool
    """Its time has ended: it is there for when a loader fails."""
    version: int


class Common:
    """What both colours share: settings, keys, and steps."""

    _colours: Callable[[], Colour]

    def __init__(
        self,
        store: Store | None = None,
        *,
        version: str = "",
        tenants: bool = False,
        tables: Mapping[str, Tag | Iterable[Tag]] | None = None,
        ttl: float = 300.0,
        none_ttl: float | None = None,
        jitter: float = 0.1,
        stale_for: float = 0.0,
        lease: float = 30.0,
        wait: float = 30.0,
        local: bool = False,
        entries: int = 10_000,
        size: int = 64 << 20,
        local_ttl: float = 60.0,
        silence: float = 2.0,
        holdoff: float = 0.0,
        largest: int = 1_000_000,
        strict: bool = False,
        compress: int = 4096,
        failures: int = 3,
        pause: float = 1.0,
        now: Callable[[], float] = wall,
    ) -> None:
        """Make a cache.

        `version`: of the schema and the code; another one sees none of the values. `tenants`: refuse to cache for nobody (NoTenantError).
        `tables`: the tags that a write to a table touches. `ttl`, `none_ttl`, `jitter`, `stale_for`, `lease`, `wait`: defaults, in
        seconds (jitter: a part), for every value. `local`: a level in process before the server, of at most `entries` values and `size`
        bytes. `holdoff`: see the module. `largest`: bytes of the biggest value that is kept; with `strict` a bigger one raises.
        `compress`: bytes from which on values are compressed. `failures`, `pause`: errors in a row after which the server is left alone,
        and seconds until it is tried again (doubling to 30).
        """
        self._colour = type(self)._colours()
        self.store: Store = MemoryStore(entries, size) if store is None else store
        connect = getattr(self.store, "connect", None)
        if connect is not None:
            connect(self._colour.name)
        if local and not self.store.watched:
            raise UsageError(
                f"a {type(self.store).__name__} tells nobody of invalidations, so a level in process before it would serve stale values",
                hint="leave out local=True, or use a RedisStore",
            )
        level = Local(entries, size) if local else None
        self._core = Core(self.store, self._colour, level, now, failures, pause, largest, strict, compress, local_ttl)
        self._version, self._tenants, self._holdoff, self._silence = version, tenants, holdoff, silence
        self._tables = {t: texts((tags,) if isinstance(tags, str | Own) else tags) for t, tags in (tables or {}).items()}
        self._terms = Terms(ttl, ttl if none_ttl is None else none_ttl, jitter, stale_for, None, lease, wait, ANY)
        self._listening: Any = None
        self._pid = os.getpid()
        if level is not None:
            level.until = 0.0

    @property
    def metrics(self) -> CacheMetrics:
        """What it has done so far: the live counts; `dataclasses.replace(cache.metrics)` for a copy."""
        return self._core.metrics

    @property
    def watched_tables(self) -> tuple[str, ...]:
        """Tables whose writes touch tags."""
        return tuple(self._tables)

    def key(self, label: str, /, *arguments: Any, shared: bool = False) -> Key:
        """The key of a value, for the tenant of now, or for all with `shared`. Raises UsageError for arguments of unknown types."""
        whose = scope(shared=shared, tenants=self._tenants)
        return Key(named(self._version, label, whose, arguments), whose)

    def _with(
        self,
        ttl: float | None,
        none_ttl: float | None,
        stale_for: float | None,
        refresh: float | None,
        codec: Codec | None,
        type_: Any = None,
    ) -> Terms:
        t = self._terms
        return replace(
            t, ttl=t.ttl if ttl is None else ttl, none_ttl=none_ttl if none_ttl is not None else t.none_ttl if ttl is None else ttl,
            stale_for=t.stale_for if stale_for is None else stale_for, refresh=refresh, codec=typed(codec, type_),
        )  # fmt: skip

    def _get(self, key: Key, default: Any, codec: Codec | None) -> Steps[Any]:
        found = yield from self._lookup(key, codec)
        return default if found is None or found.stale else found.value

    def _lookup(self, key: Key, codec: Codec | None) -> Steps[Found[Any] | None]:
        yield from self._started()
        there = yield from self._core.peek(check_scope(key), self._with(None, None, None, None, codec), ())
        stale = there is not None and there[0].expires <= self._core.now()
        if there is None or stale:
            self.metrics.misses += 1
        return None if there is None else Found(there[1], stale, there[0].version)

    def _set(self, key: Key, value: Any, ttl: float | None, tags: Iterable[Tag], version: int, codec: Codec | None) -> Steps[bool]:
        yield from self._started()
        name, terms = check_scope(key), self._with(ttl, None, None, None, codec)
        item = self._core._made(Versioned(value, version), terms, depends_on(texts(tags), key.scope))[1]
        if item is None:
            yield from self._core.change(Change((name,)))
            return False
        return (yield from self._core.put(name, item)) == "stored"

    def _get_or_load(self, key: Key, loader: Loader, tags: Iterable[Tag], terms: Terms) -> Steps[Any]:
        yield from self._started()
        return (yield from self._core.load(check_scope(key), terms, depends_on(texts(tags), key.scope), loader))

    def _invalidate(self, keys: tuple[Key, ...], tags: Iterable[Tag], version: int, release: str = "") -> Steps[bool]:
        change = Change(tuple(check_scope(k) for k in keys), touched_by(texts(tags)), version, release)
        return (yield from self._named(change))

    def _named(self, change: Change) -> Steps[bool]:
        if self._holdoff and not change.everything:
            change = replace(change, hold=secrets.token_hex(8), hold_for=self._holdoff)
        return (yield from self._core.change(change)) is not None

    def _clear(self) -> Steps[bool]:
        return (yield from self._core.change(Change(everything=True))) is not None

    def _written(self, tables: Iterable[str], version: int) -> Steps[bool]:
        tags = [tag for table in tables for tag in self._tables.get(table, ())]
        return (yield from self._named(Change(tags=touched_by(tuple(tags)), version=version))) if tags else True

    def _announced(self, change: Change, seconds: float, required: bool) -> Steps[str]:
        hold = secrets.token_hex(8)
        told = yield from self._core.change(replace(change, hold=hold, hold_for=seconds))
        if told is None and required:
            raise StoreError(
                "the cache server was not told of a write before its commit, so other processes could go on serving what was before"
            )
        return hold

    def _invalidates(
        self, work: Work, tags: tuple[Tag, ...], keys: tuple[Key, ...], announce: float, required: bool, run: Callable[[Steps[Any]], Any]
    ) -> Steps[None]:
        """Names are resolved now: the hook may run where the context is another one."""
        change = Change(tuple(check_scope(k) for k in keys), touched_by(texts(tags)))
        if announce > 0:
            hold = yield from self._announced(change, announce, required)
            change = replace(change, release=hold)
            work.after_rollback(lambda: run(self._core.change(change)))
        work.after_commit(lambda: run(self._named(change)))
        work.after_unknown(lambda: run(self._named(change)))

    def _write_through(self, key: Key, write: Loader, tags: Iterable[Tag], terms: Terms, hold: float) -> Steps[Any]:
        name, records = check_scope(key), depends_on(texts(tags), key.scope)
        if apart():
            raise UsageError(
                "a value is written through the cache inside a unit of work, which may still be rolled back",
                hint="call it outside; or write in the work, and cache.invalidates(work, keys=(key,))",
            )
        yield from self._started()
        token = secrets.token_hex(8)
        lease = yield from self._core.change(Change((name,), hold=token, hold_for=hold))
        try:
            value = yield write
        except BaseException:
            yield from self._core.change(Change((name,), release=token))
            raise
        plain, item = self._core._made(value, terms, records)
        if not isinstance(value, Versioned) or item is None or lease is None:
            yield from self._core.change(Change((name,), release=token))
        elif (yield from self._core.put(name, item, lease, token)) not in ("stored", "older"):
            yield from self._core.change(Change((name,), version=value.version, release=token))
        return plain

    def _started(self) -> Steps[None]:
        """Listen to invalidations elsewhere, from the first call on."""
        core = self._core
        self._colour.check()
        if self._pid != os.getpid():
            self._pid, self._listening = os.getpid(), None
        if core.local is None or core.own or self._listening is not None:
            return
        self._listening = True
        listen: Any = self.store.listen  # type: ignore[attr-defined]
        level = core.local
        self._listening = self._colour.spawn(lambda: listen(level, self._silence, lambda: core.closed), "pgcharter-cache-listen")
        until = time.monotonic() + self._silence
        while level.until == 0.0 and time.monotonic() < until:
            yield partial(self._colour.sleep, 0.002)

    def _close(self) -> Steps[None]:
        self._core.closed = True
        if self._listening is not None:
            yield partial(self._colour.joined, self._listening, self._silence)
        yield from self._core.close()
