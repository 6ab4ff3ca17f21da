"""How a value is read, loaded and invalidated: the steps behind `Cache` and `AsyncCache` (what each guarantees stands in `cache`)."""

from __future__ import annotations

import random
import secrets
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime.cache_breaker import LOG, Breaker, without_holds
from pgcharter.runtime.cache_codec import Codec, Typed, packed, unchanging, unpacked
from pgcharter.runtime.cache_flights import Colour, Flight, Turns
from pgcharter.runtime.cache_local import Local
from pgcharter.runtime.cache_memory import MemoryStore
from pgcharter.runtime.cache_metrics import CacheMetrics
from pgcharter.runtime.cache_store import ENCODED, Change, Item, Lease, Now, Store, StoreError, Verdict
from pgcharter.runtime.colours import Steps

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """What a loader may return to say how new its value is: a row's version, or the log position that its replica had replayed *before*
    the query. A value never replaces one of a higher version, nor is it stored below the version of an invalidation."""

    value: T
    version: int


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a value is kept. Times are seconds."""

    ttl: float
    none_ttl: float
    """For None; 0: never kept."""
    jitter: float
    """Part of the time that is taken off at random, 0 to 1, so that values made together do not end together."""
    stale_for: float
    """How long after its end a value may be served when the loader fails."""
    refresh: float | None
    """Part of the time after which a hit has it loaded anew in the background."""
    lease: float
    """How long a load may take for its value to be stored."""
    wait: float
    """How long a caller waits for another one's load."""
    codec: Codec
    tags_of: Callable[[Any], tuple[str, ...]] | None = None
    """Tags by the value."""
    version_of: Callable[[Any], int] | None = None

    def __post_init__(self) -> None:
        if not self.ttl > 0 or self.none_ttl < 0 or self.stale_for < 0 or not 0 <= self.jitter < 1 or self.lease <= 0 or self.wait < 0:
            raise UsageError("a cached value has a time of 0 seconds or less, or a jitter that is not between 0 and 1")
        if self.refresh is not None and not 0 < self.refresh < 1:
            raise UsageError(f"refresh is {self.refresh}, and is the part of the time after which a value is loaded anew, between 0 and 1")


class _DownError(PgcharterError):
    """The store cannot be asked now."""


class _OversizedError(PgcharterError):
    """A value is too big to be kept."""


MISSING: Any = object()
"""No value; a value may well be None."""
Loader = Callable[[], Any]


class Core:
    """The steps of a cache of either colour."""

    def __init__(
        self,
        store: Store,
        colour: Colour,
        local: Local | None,
        now: Now,
        failures: int,
        pause: float,
        largest: int,
        strict: bool,
        compress: int,
        local_ttl: float,
    ) -> None:
        self.store, self.colour, self.now = store, colour, now
        self.metrics = CacheMetrics()
        self.breaker = Breaker(self.metrics, failures, pause)
        self.own = isinstance(store, MemoryStore)
        self.local = store.local if isinstance(store, MemoryStore) else local
        self.largest, self.strict, self.compress, self.local_ttl = largest, strict, compress, local_ttl
        self._flights: dict[str, Flight] = {}
        self._turns = Turns(colour)
        self._refreshing: set[str] = set()
        self._lock = threading.Lock()
        self._redelivering = False
        self.closed = False

    def peek(self, name: str, terms: Terms, tags: tuple[str, ...]) -> Steps[tuple[Item, Any] | None]:
        """What is there, expired or not; None for nothing."""
        if not (yield from self._usable()):
            return None
        seen = self.local.round if self.local is not None else 0
        try:
            item = yield from self._ask(self.store.read(name, tags))
        except _DownError:
            return None
        value = MISSING if item is None else self._value(item, terms)
        if item is None or value is MISSING:
            return None
        if item.expires > self.now():
            self.metrics.server_hits += 1
            self._remember(name, item, seen)
        return item, value

    def load(self, name: str, terms: Terms, tags: tuple[str, ...], loader: Loader) -> Steps[Any]:
        """The value under `name`, loaded where there is none."""
        if apart():
            return (yield from self._apart(name, terms, tags, loader))
        if not (yield from self._usable()):
            self.metrics.bypassed += 1
            return (yield from self._beside(name, terms, loader))
        try:
            return (yield from self._through(name, terms, tags, loader))
        except _DownError:
            self.metrics.bypassed += 1
            return (yield from self._beside(name, terms, loader))

    def _apart(self, name: str, terms: Terms, tags: tuple[str, ...], loader: Loader) -> Steps[Any]:
        """The value under `name`, or what the caller's own transaction sees, which is neither kept nor shared."""
        there = yield from self.peek(name, terms, tags)
        if there is not None and there[0].expires > self.now():
            if there[0].refresh <= self.now():
                self._refresh_soon(name, terms, tags, loader)
            return there[1]
        self.metrics.bypassed += 1
        self.metrics.loads += 1
        value = yield loader
        return value.value if isinstance(value, Versioned) else value

    def _through(self, name: str, terms: Terms, tags: tuple[str, ...], loader: Loader) -> Steps[Any]:
        there = self._near(name)
        seen = self.local.round if self.local is not None else 0
        near = there is not None
        if there is None:
            there = yield from self._ask(self.store.read(name, tags))
        now = self.now()
        unreadable = False
        if there is not None and there.expires > now:
            value = self._value(there, terms)
            if value is not MISSING:
                if near:
                    self.metrics.local_hits += 1
                else:
                    self.metrics.server_hits += 1
                    self._remember(name, there, seen)
                if there.refresh <= now:
                    self._refresh_soon(name, terms, tags, loader)
                return value
            unreadable = True
        self.metrics.misses += 1
        return (yield from self._led(name, terms, tags, loader, there, unreadable))

    def _led(self, name: str, terms: Terms, tags: tuple[str, ...], loader: Loader, stale: Item | None, refresh: bool) -> Steps[Any]:
        """Load under a lease, or wait for who has it."""
        until, pause, token = self.now() + terms.wait, 0.002, secrets.token_hex(8)
        while True:
            seen = self.local.round if self.local is not None else 0
            leased = yield from self._ask(self.store.lease(name, tags, token, terms.lease, self.now(), refresh))
            if leased.state == "won" and leased.lease is not None:
                return (yield from self._fly(name, terms, tags, leased.lease, loader, stale, seen))
            if leased.state == "held":
                self.metrics.held += 1
                break
            if leased.state == "value" and leased.item is not None:
                value = self._value(leased.item, terms)
                if value is not MISSING:
                    self.metrics.stampedes_prevented += 1
                    self._remember(name, leased.item, seen)
                    return value
                refresh = True
                continue
            flight = self._flights.get(leased.holder)
            left = until - self.now()
            if left <= 0:
                self.metrics.waited_too_long += 1
                break
            if flight is None:
                yield partial(self.colour.sleep, min(pause * random.uniform(0.5, 1), left))  # noqa: S311
                pause = min(pause * 1.5, 0.05)
            elif (yield partial(self.colour.landed, flight, left)):
                if flight.unstored:
                    break
                if flight.shared:
                    self.metrics.stampedes_prevented += 1
                    return self._shared(flight, stale, terms)
        return (yield from self._beside(name, terms, loader))

    def _shared(self, flight: Flight, stale: Item | None, terms: Terms) -> Any:
        if flight.error is not None:
            return self._stale(stale, terms, flight.error)
        return self._value(flight.value, terms)

    def _fly(
        self, name: str, terms: Terms, tags: tuple[str, ...], lease: Lease, loader: Loader, stale: Item | None, seen: int
    ) -> Steps[Any]:
        flight = self._flights[lease.token] = self.colour.flight()
        try:
            self.metrics.loads += 1
            value = yield loader
        except Exception as error:
            yield from self._given_up(name, lease)
            del self._flights[lease.token]
            flight.fail(error)
            return self._stale(stale, terms, error)
        except BaseException:
            del self._flights[lease.token]
            flight.fail(None)
            yield from self._given_up(name, lease)
            raise
        verdict: Verdict | str = "unstored"
        item: Item | None = None
        try:
            value, item = self._made(value, terms, tags)
            verdict = yield from self._filled(name, lease, item, seen)
        finally:
            del self._flights[lease.token]
            flight.unstored = verdict == "unstored"
            flight.land(item, verdict == "stored")
            if item is None or verdict == "unstored":
                yield from self._given_up(name, lease)
        return value

    def _filled(self, name: str, lease: Lease, item: Item | None, seen: int) -> Steps[Verdict | str]:
        if item is None:
            return "unstored"
        try:
            verdict: Verdict = yield from self._ask(self.store.fill(name, lease, item, self.now()))
        except _DownError:
            return "unknown"
        if verdict == "stored":
            self.metrics.fills += 1
            self._remember(name, item, seen)
        elif verdict == "older":
            self.metrics.older += 1
        else:
            self.metrics.fenced += 1
        return verdict

    def _given_up(self, name: str, lease: Lease) -> Steps[None]:
        with suppress(_DownError):
            yield from self._ask(self.store.give_up(name, lease))

    def _made(self, value: Any, terms: Terms, tags: tuple[str, ...]) -> tuple[Any, Item | None]:
        """What the loader gave, and how it is kept: None where it is not. Raises UsageError for what cannot be, in strict mode."""
        version = 0
        if isinstance(value, Versioned):
            value, version = value.value, value.version
        elif terms.version_of is not None:
            version = terms.version_of(value)
        if not 0 <= version < 1 << 64:
            raise UsageError(f"a version is {version}, and must be a whole number of 64 bits that is not negative")
        life = terms.none_ttl if value is None else terms.ttl
        if life <= 0:
            return value, None
        if terms.tags_of is not None:
            tags = tuple(dict.fromkeys((*tags, *terms.tags_of(value))))
        try:
            return value, self.item(value, terms, life, tags, version)
        except _OversizedError as error:
            self.metrics.oversized += 1
            if self.strict:
                raise UsageError(error.message, hint=error.hint) from None
            return value, None

    def item(self, value: Any, terms: Terms, life: float, tags: tuple[str, ...], version: int) -> Item:
        """A value as it is kept."""
        payload = terms.codec.dumps(value)
        if len(payload) > self.largest:
            raise _OversizedError(
                f"a value has {len(payload)} bytes, and the cache keeps at most {self.largest}", hint="cache less, or raise largest="
            )
        flag, payload = packed(payload, self.compress) if not self.own else ("0", payload)
        life *= 1 - terms.jitter * random.random()  # noqa: S311
        now = self.now()
        item = Item(payload, flag, tags, version, now + life, dead=now + life + terms.stale_for)
        if terms.refresh is not None:
            item.refresh = now + life * terms.refresh
        if self.local is not None and unchanging(value):
            item.value = value
        item.fresh = min(item.expires, item.refresh)
        return item

    def _near(self, name: str) -> Item | None:
        """A value that this process has and may serve."""
        if self.local is None:
            return None
        item, now = self.local.items.get(name), self.now()
        if item is None or item.fresh <= now or self.local.until <= now:
            return None
        self.local.touch(name)
        return item

    def _value(self, item: Item, terms: Terms) -> Any:
        """The value of an item: the one object where nobody can change it, else one of the caller's own. MISSING: it cannot be read."""
        if item.value is not ENCODED:
            return item.value
        try:
            value = terms.codec.loads(unpacked(item.flag, item.payload, self.largest))
        except Exception:
            self.metrics.unreadable += 1
            return MISSING
        if self.local is not None and unchanging(value):
            item.value = value
        return value

    def _remember(self, name: str, item: Item, seen: int) -> None:
        """Keep what was read from the server in this process too."""
        if self.local is None or self.own:
            return
        now = self.now()
        if item.expires > now and self.local.until > now and self.local.items.get(name) is not item:
            kept = replace(item)
            kept.fresh = min(item.expires, item.refresh, now + self.local_ttl)
            self.local.store(name, kept, seen)

    def _stale(self, item: Item | None, terms: Terms, error: BaseException) -> Any:
        """The expired value when a loader failed. Raises its error where there is none, or it ended too long ago."""
        if item is None or not isinstance(error, Exception) or item.expires + terms.stale_for <= self.now():
            raise error
        value = self._value(item, terms)
        if value is MISSING:
            raise error
        self.metrics.stale_served += 1
        LOG.warning("a loader failed (%s): its expired value is served", type(error).__name__)
        return value

    def _refresh_soon(self, name: str, terms: Terms, tags: tuple[str, ...], loader: Loader) -> None:
        with self._lock:
            if name in self._refreshing or self.closed:
                return
            self._refreshing.add(name)
        self.colour.spawn(lambda: self.refresh(name, terms, tags, loader), "pgcharter-cache-refresh")

    def refresh(self, name: str, terms: Terms, tags: tuple[str, ...], loader: Loader) -> Steps[bool]:
        """Load a value anew though there is one, unless somebody does. Whether it was stored; what fails is logged."""
        before = self.metrics.fills
        try:
            if not apart() and (yield from self._usable()):
                seen = self.local.round if self.local is not None else 0
                leased = yield from self._ask(self.store.lease(name, tags, secrets.token_hex(8), terms.lease, self.now(), True))
                if leased.state == "won" and leased.lease is not None:
                    self.metrics.refreshes += 1
                    yield from self._fly(name, terms, tags, leased.lease, loader, None, seen)
        except _DownError:
            pass
        except Exception as error:
            LOG.warning("a value could not be loaded anew before its end: %s", type(error).__name__)
        finally:
            self._refreshing.discard(name)
        return self.metrics.fills > before

    def put(self, name: str, item: Item, lease: Lease | None = None, release: str = "") -> Steps[Verdict | str]:
        """Store a value that the caller vouches for."""
        self._forget(Change((name,)))
        if not (yield from self._usable()):
            self.breaker.owe(Change((name,)))
            return "unknown"
        try:
            verdict: Verdict = yield from self._ask(self.store.put(name, item, self.now(), release, lease), Change((name,)))
        except _DownError:
            return "unknown"
        self._forget(Change((name,)))
        self.metrics.fills += verdict == "stored"
        self.metrics.older += verdict == "older"
        self.metrics.fenced += verdict in ("fenced", "held")
        return verdict

    def change(self, change: Change) -> Steps[Lease | None]:
        """Invalidate; None: it could not be delivered, and is kept until it can be."""
        self.metrics.invalidations += 1
        self._forget(change)
        kept = without_holds(change)
        if not (yield from self._usable()):
            self.breaker.owe(kept)
            self._redeliver_soon()
            return None
        try:
            lease: Lease = yield from self._ask(self.store.change(change, self.now()), kept)
        except _DownError:
            self._redeliver_soon()
            return None
        self._forget(change)
        return lease

    def _forget(self, change: Change) -> None:
        if self.local is None or self.own:
            return
        if change.everything:
            self.local.clear()
        else:
            self.local.invalidate(change.keys, change.tags)

    def _beside(self, name: str, terms: Terms, loader: Loader) -> Steps[Any]:
        """Load without the cache, sharing loads that begin after the call."""

        def loading() -> Steps[tuple[Any, bytes | None]]:
            self.metrics.loads += 1
            value = yield loader
            if isinstance(value, Versioned):
                value = value.value
            return value, None if unchanging(value) else terms.codec.dumps(value)

        (value, payload), shared = yield from self._turns.load(name, loading, terms.wait)
        self.metrics.stampedes_prevented += shared
        return terms.codec.loads(payload) if shared and payload is not None else value

    def _ask(self, steps: Steps[Any], owed: Change | None = None) -> Steps[Any]:
        """Ask the store. Raises _DownError where it does not answer; `owed` is then kept."""
        try:
            answer = yield from steps
        except StoreError as error:
            if owed is not None:
                self.breaker.owe(owed)
            self.breaker.failed(error, at_once=owed is not None)
            raise _DownError(error.message) from error
        self.breaker.worked()
        return answer

    def _usable(self) -> Steps[bool]:
        """Whether the store may be asked; an open breaker is tried when it is time, and what is owed is delivered first."""
        if not self.breaker.open:
            return True
        if not self.breaker.due():
            return False
        owed = self.breaker.owed()
        try:
            if owed is not None:
                yield from self.store.change(owed, self.now())
            else:
                yield from self.store.read("-", ())
        except StoreError as error:
            self.breaker.failed(error)
            return False
        except BaseException:
            self.breaker.failed(StoreError("a try of the cache server was broken off"))
            raise
        return self.breaker.delivered(owed)

    def _redeliver_soon(self) -> None:
        with self._lock:
            if self._redelivering or self.closed:
                return
            self._redelivering = True
        self.colour.spawn(self._redeliver, "pgcharter-cache-deliver")

    def _redeliver(self) -> Steps[None]:
        """Try until what is owed is delivered, whether or not anybody reads."""
        try:
            while self.breaker.open and not self.closed and not (yield from self._usable()):
                yield partial(self.colour.sleep, 0.05)
        finally:
            self._redelivering = False

    def close(self) -> Steps[None]:
        """Deliver what is owed if that is possible, and give up connections."""
        self.closed = True
        owed = self.breaker.owed()
        if owed is not None:
            try:
                yield from self.store.change(owed, self.now())
            except StoreError:
                LOG.error("the cache is closed with %d invalidations undelivered: values live until their time ends", self.metrics.pending)
        yield from self.store.close()


def apart() -> bool:
    """Whether what is read here may be seen by the caller's transaction alone (`work.apart`); without units of work it never is."""
    work = sys.modules.get("pgcharter.runtime.work")
    return work is not None and work.apart()


def typed(codec: Codec | None, type_: Any) -> Codec:
    """A codec, by default the one for values of a type."""
    return codec if codec is not None else Typed(type_)


def texts(tags: Iterable[Any] | None) -> tuple[Any, ...]:
    """Tags as a tuple. Raises UsageError for a text, which would be taken for its letters."""
    if isinstance(tags, str):
        raise UsageError(f"tags is the text {tags!r}, and must be several", hint=f"tags=({tags!r},)")
    return tuple(tags or ())
