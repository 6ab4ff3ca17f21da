"""Values in Memcached: a hit is one multi-get of epoch, value and tags; a fill is its `cas` with the number of the record that the lease
left.

The lease stands where the value will be. Deleting it, replacing it, evicting it and its running out all change the number, so the fill
is refused by the server itself. There are no scripts: an invalidation is a counter, then its tags, then its keys, each exact by itself.
Holds are
compared with the clocks of the application's machines, which must agree to within the seconds that a hold lasts. Nothing tells of
invalidations elsewhere, so there is no level in process before it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.cache_store import (
    TAG_KEPT,
    Change,
    Item,
    Lease,
    Leased,
    Mark,
    StoreError,
    Verdict,
    body,
    good,
    head,
    mark_of,
    parsed,
    written_mark,
)
from pgcharter.runtime.colours import Steps

_ATTEMPTS = 100
_MONTH = 30 * 86_400
"""Seconds; Memcached takes more for a date."""
_GONE = _MONTH + 1
"""A date long ago: the record is gone at once. (Not every client lets a negative time through.)"""
_HINTS = 50_000


class MemcachedStore:
    """Values in one Memcached server. With `Cache` it blocks, with `AsyncCache` it awaits. Values are at most 1 MB unless the server says
    more.
    """

    watched = False

    def __init__(self, host: str = "127.0.0.1", port: int = 11211, *, namespace: str = "app", timeout: float = 1.0, pool: int = 32) -> None:
        self._host, self._port, self._timeout, self._pool = host, port, timeout, pool
        self._prefix = b"pgc:%s:" % blake2b(namespace.encode(), digest_size=6).hexdigest().encode()
        self._wire: Any = None
        self._errors: tuple[type[Exception], ...] = ()
        self._hints: dict[str, tuple[str, ...]] = {}

    colour = ""

    def connect(self, colour: str) -> None:
        """Make the client, `sync` or `async`. Raises UnavailableError without its package."""
        if self.colour:
            raise UsageError("a store has a cache already, and its connections are that one's", hint="make a store for each cache")
        self.colour = colour
        try:
            self._wire, self._errors = (_sync if colour == "sync" else _async)(self._host, self._port, self._timeout, self._pool)
        except ImportError as error:
            raise UnavailableError(
                f"{error.name} is not installed, and a cache in Memcached needs it", hint="pip install 'pgcharter[memcached]'"
            ) from None

    def read(self, name: str, tags: Sequence[str]) -> Steps[Item | None]:
        """A value that is good."""
        expected = self._hints.get(name, tags)
        keys = [self._key("v", name), self._key("e"), *(self._key("t", t) for t in expected)]
        with self._named_errors():
            found = yield partial(self._wire.get_many, keys)
            record, epoch = found.get(keys[0]), found.get(keys[1])
            if record is None or record[:1] != b"V" or record[1:9] != epoch:
                return None
            begun, born, item = parsed(record)
            if item.tags != tuple(expected):
                if len(self._hints) >= _HINTS:
                    self._hints.clear()
                self._hints[name] = item.tags
                keys[2:] = [self._key("t", t) for t in item.tags]
                found = yield partial(self._wire.get_many, keys[2:])
        return item if good(begun, born, [mark_of(found.get(k)) for k in keys[2:]]) else None

    def lease(self, name: str, tags: Sequence[str], token: str, seconds: float, now: float, refresh: bool) -> Steps[Leased]:
        """Ask to fill a value."""
        with self._named_errors():
            epoch, born = yield from self._clock()
            for tag in tags:
                mark, born = yield from self._tag(tag, epoch, born)
                if mark.pruned(now):
                    return Leased("held")
                if mark.holds:
                    yield from self._marked("t", tag, Change(), Lease("", epoch, mark.clock), now, True)
            key = self._key("v", name)
            for _ in range(_ATTEMPTS):
                record, stamp = yield partial(self._wire.gets, key)
                if record is not None and record[:1] == b"L" and record[1:17] != token.encode():
                    return Leased("taken", holder=record[1:17].decode())
                if record is not None and record[:1] == b"X":
                    mark_ = mark_of(record)
                    if mark_ is not None and mark_.pruned(now):
                        return Leased("held")
                    lock = self._key("l", name)
                    if not (yield partial(self._wire.add, lock, token.encode(), _life(seconds))):
                        holder = yield partial(self._wire.get_many, [lock])
                        return Leased("taken", holder=holder.get(lock, b"").decode())
                    return Leased("won", Lease(token, epoch, born, stamp))
                if record is not None and record[:1] == b"V":
                    state, item = yield from self._state(record, epoch, now)
                    if state == "held":
                        return Leased("held")
                    if state == "good":
                        if item.expires > now and not refresh:
                            return Leased("value", item=item)
                        lock = self._key("l", name)
                        if not (yield partial(self._wire.add, lock, token.encode(), _life(seconds))):
                            holder = yield partial(self._wire.get_many, [lock])
                            return Leased("taken", holder=holder.get(lock, b"").decode())
                        return Leased("won", Lease(token, epoch, born, stamp))
                    yield partial(self._wire.cas, key, b"L" + token.encode(), stamp, _life(seconds))
                    continue
                if record is None:
                    yield partial(self._wire.add, key, b"L" + token.encode(), _life(seconds))
                    continue
                return Leased("won", Lease(token, epoch, born, stamp))
        raise StoreError("the cache server gave no lease: too many want the same value")

    def fill(self, name: str, lease: Lease, item: Item, now: float) -> Steps[Verdict]:
        """Store what was loaded, if what the lease left is still there."""
        with self._named_errors():
            verdict = yield from self._judged(name, item, lease, now)
            if verdict == "stored":
                record = head(lease.epoch, lease.born) + body(item)
                done = yield partial(self._wire.cas, self._key("v", name), record, lease.stamp, _life(item.dead - now))
                verdict = "stored" if done and (yield from self._still(item, lease)) else "fenced"
            yield from self._unlocked(name, lease)
            if verdict != "stored":
                yield from self._yielded(name, lease)
        return verdict

    def _still(self, item: Item, lease: Lease) -> Steps[bool]:
        """Whether no tag was touched until the value was stored.

        Readers of the record see it by themselves; those who wait for this load do not, and may have begun to wait after the invalidation.
        """
        epoch, *tags = (self._key("e"), *(self._key("t", t) for t in item.tags))
        found = yield partial(self._wire.get_many, [epoch, *tags])
        return found.get(epoch) == lease.epoch.encode() and good(lease.epoch, lease.born, [mark_of(found.get(tag)) for tag in tags])

    def give_up(self, name: str, lease: Lease) -> Steps[None]:
        """End a lease without a value."""
        with self._named_errors():
            yield from self._unlocked(name, lease)
            yield from self._yielded(name, lease)

    def put(self, name: str, item: Item, now: float, release: str = "", lease: Lease | None = None) -> Steps[Verdict]:
        """Store a value that its caller vouches for; where others keep changing the key, it is invalidated instead."""
        key = self._key("v", name)
        with self._named_errors():
            if release:
                yield from self._changed(Change((name,), item.tags, release=release), now, only_release=True)
            epoch, _ = yield from self._clock()
            clock = yield from self._raised()
            born = lease or Lease("", epoch, clock)
            verdict: Verdict = "fenced"
            for _ in range(_ATTEMPTS):
                record, stamp = yield partial(self._wire.gets, key)
                verdict = yield from self._judged(name, item, born, now)
                if verdict != "stored":
                    break
                whole, life = head(born.epoch, born.born) + body(item), _life(item.dead - now)
                if record is None:
                    done = yield partial(self._wire.add, key, whole, life)
                else:
                    done = yield partial(self._wire.cas, key, whole, stamp, life)
                if done:
                    return "stored"
                verdict = "fenced"
            if verdict != "older":
                yield from self._changed(Change((name,)), now)
        return verdict

    def change(self, change: Change, now: float) -> Steps[Lease]:
        """Invalidate."""
        with self._named_errors():
            return (yield from self._changed(change, now))

    def close(self) -> Steps[None]:
        """Close the connections."""
        if self._wire is not None:
            yield self._wire.close

    def _changed(self, change: Change, now: float, only_release: bool = False) -> Steps[Lease]:
        if change.everything:
            yield partial(self._wire.set, self._key("e"), _epoch(), 0)
        epoch, _ = yield from self._clock()
        clock = yield from self._raised()
        for kind, names in (("t", change.tags), ("v", change.keys)):
            for name in names:
                yield from self._marked(kind, name, change, Lease("", epoch, clock), now, only_release)
        return Lease("", epoch, clock)

    def _marked(self, kind: str, name: str, change: Change, at: Lease, now: float, only_release: bool) -> Steps[None]:
        key = self._key(kind, name)
        for _ in range(_ATTEMPTS):
            record, stamp = yield partial(self._wire.gets, key)
            there = mark_of(record)
            if only_release and there is None:
                return
            if kind == "v":
                yield partial(self._wire.delete, self._key("l", name))
            holds = there.pruned(now, change.release) if there else ()
            if change.hold:
                holds = (*(h for h in holds if h[0] != change.hold), (change.hold, now + change.hold_for))
            same = there is not None and there.epoch == at.epoch
            floor = max(there.floor if there and same else 0, change.version)
            if change.hold and record is not None and record[:1] == b"V" and record[1:9] == at.epoch.encode():
                floor = max(floor, parsed(record)[2].version)
            raised = max(there.clock if there and same else 0, there.clock if there and only_release else at.born)
            if kind == "v" and not holds and not floor:
                if record is None or (yield partial(self._wire.delete, key)):
                    return
                continue
            made = written_mark(Mark(at.epoch, raised, floor, holds))
            life = _life(max(TAG_KEPT * 30, change.hold_for))
            if record is None:
                done = yield partial(self._wire.add, key, made, life)
            else:
                done = yield partial(self._wire.cas, key, made, stamp, life)
            if done:
                return
        raise StoreError("the cache server did not take an invalidation: too many change the same record")

    def _judged(self, name: str, item: Item, lease: Lease, now: float) -> Steps[Verdict]:
        """Whether a value may be stored, by its tags and what is there. Tags that are missing are made."""
        epoch, _ = yield from self._clock()
        if epoch != lease.epoch:
            return "fenced"
        verdict: Verdict = "stored"
        for tag in item.tags:
            mark, _ = yield from self._tag(tag, epoch, lease.born, filling=True)
            if mark.pruned(now):
                return "held"
            if mark.clock > lease.born:
                verdict = "fenced"
            elif 0 < item.version < mark.floor:
                verdict = "older"
        key = self._key("v", name)
        record = (yield partial(self._wire.get_many, [key])).get(key)
        mark_ = mark_of(record)
        if mark_ is not None:
            if mark_.pruned(now):
                return "held"
            return "older" if 0 < item.version < mark_.floor else verdict
        if record is not None and record[:1] == b"V":
            begun, _, there = parsed(record)
            if begun == epoch and 0 < item.version < there.version:
                return "older"
        return verdict

    def _tag(self, name: str, epoch: str, born: int, filling: bool = False) -> Steps[tuple[Mark, int]]:
        """A tag, made when it is missing, and the clock that something may be born at which has it.

        While filling, one that is made does not refuse the value where the clock has not moved since that was born.
        """
        key = self._key("t", name)
        for _ in range(_ATTEMPTS):
            record, stamp = yield partial(self._wire.gets, key)
            mark = mark_of(record)
            if mark is not None and mark.epoch == epoch:
                return mark, max(born, mark.clock)
            unmoved = filling and (yield from self._clock()) == (epoch, born)
            clock = born if unmoved else (yield from self._raised())
            made = Mark(epoch, clock, 0, mark.holds if mark else ())
            if record is None:
                done = yield partial(self._wire.add, key, written_mark(made), _life(TAG_KEPT * 30))
            else:
                done = yield partial(self._wire.cas, key, written_mark(made), stamp, _life(TAG_KEPT * 30))
            if done:
                return made, clock
        raise StoreError("the cache server did not take a tag: too many make the same one")

    def _state(self, record: bytes, epoch: str, now: float) -> Steps[tuple[str, Item]]:
        begun, born, item = parsed(record)
        keys = [self._key("t", t) for t in item.tags]
        found = (yield partial(self._wire.get_many, keys)) if keys else {}
        marks = [mark_of(found.get(k)) for k in keys]
        if any(m is not None and m.pruned(now) for m in marks):
            return "held", item
        fine = begun == epoch and all(m is not None and m.epoch == epoch and m.clock <= born for m in marks)
        return ("good" if fine else "bad"), item

    def _unlocked(self, name: str, lease: Lease) -> Steps[None]:
        lock = self._key("l", name)
        held, stamp = yield partial(self._wire.gets, lock)
        if held == lease.token.encode():
            yield partial(self._wire.cas, lock, b"-", stamp, _GONE)

    def _yielded(self, name: str, lease: Lease) -> Steps[None]:
        """Remove what the lease left, if that is still there."""
        key = self._key("v", name)
        record, stamp = yield partial(self._wire.gets, key)
        if record == b"L" + lease.token.encode():
            yield partial(self._wire.cas, key, b"-", stamp, _GONE)

    def _clock(self) -> Steps[tuple[str, int]]:
        keys = [self._key("e"), self._key("c")]
        for _ in range(_ATTEMPTS):
            found = yield partial(self._wire.get_many, keys)
            if len(found) == 2:
                return found[keys[0]].decode(), int(found[keys[1]])
            if keys[1] not in found:
                if keys[0] in found:  # the number alone is gone, and those that were born before could look as if they came after
                    yield partial(self._wire.set, keys[0], _epoch(), 0)
                yield partial(self._wire.add, keys[1], b"1", 0)
            yield partial(self._wire.add, keys[0], _epoch(), 0)
        raise StoreError("the cache server does not keep what it is told")

    def _raised(self) -> Steps[int]:
        for _ in range(_ATTEMPTS):
            clock = yield partial(self._wire.incr, self._key("c"))
            if clock is not None:
                return int(clock)
            yield from self._clock()
        raise StoreError("the cache server does not keep what it is told")

    def _key(self, kind: str, name: str = "") -> bytes:
        return self._prefix + kind.encode() + name.encode()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise StoreError(f"the cache server did not answer as it should ({type(error).__name__})") from error
        except (ValueError, TypeError, IndexError) as error:
            raise StoreError(f"a record of the cache server is damaged ({type(error).__name__})") from error


def _epoch() -> bytes:
    return secrets.token_hex(4).encode()


def _life(seconds: float) -> int:
    """Seconds as Memcached counts them: whole ones, at least 1; more than 30 days as a date."""
    whole = max(1, int(seconds + 0.999)) if seconds != float("inf") else 0
    return whole if whole <= _MONTH else int(time.time()) + whole


def _sync(host: str, port: int, timeout: float, pool: int) -> tuple[Any, tuple[type[Exception], ...]]:
    from pymemcache.client.base import PooledClient  # type: ignore[import-untyped]
    from pymemcache.exceptions import MemcacheError  # type: ignore[import-untyped]

    client = PooledClient((host, port), timeout=timeout, connect_timeout=timeout, no_delay=True, default_noreply=False, max_pool_size=pool)
    return _SyncWire(client), (MemcacheError, OSError)


def _async(host: str, port: int, timeout: float, pool: int) -> tuple[Any, tuple[type[Exception], ...]]:
    import asyncio

    import aiomcache
    from aiomcache.exceptions import ClientException, ValidationException

    client = aiomcache.Client(host, port, pool_size=pool)
    return _AsyncWire(client, timeout), (ClientException, ValidationException, OSError, EOFError, asyncio.TimeoutError)


class _SyncWire:
    """pymemcache, in the words that both clients have."""

    def __init__(self, client: Any) -> None:
        self.get_many, self.gets, self.delete, self.close = client.get_many, client.gets, client.delete, client.close
        self._client = client

    def add(self, key: bytes, value: bytes, life: int) -> Any:
        return self._client.add(key, value, expire=life)

    def set(self, key: bytes, value: bytes, life: int) -> Any:
        return self._client.set(key, value, expire=life)

    def cas(self, key: bytes, value: bytes, stamp: Any, life: int) -> Any:
        return self._client.cas(key, value, stamp, expire=life)

    def incr(self, key: bytes) -> Any:
        return self._client.incr(key, 1)


class _AsyncWire:
    """aiomcache, in the words that both clients have, each with a timeout.

    A call of aiomcache that is cancelled gives its connection back with the answer still to come, and the next caller, whoever that is,
    reads
    it. So no call is ever cancelled: one that takes too long goes on by itself, and is not waited for.
    """

    def __init__(self, client: Any, timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self._calls: set[Any] = set()
        self.close = client.close

    async def _in_time(self, call: Any) -> Any:
        import asyncio

        task = asyncio.ensure_future(call)
        self._calls.add(task)
        task.add_done_callback(self._over)
        done, _ = await asyncio.wait((task,), timeout=self._timeout)
        if not done:
            raise TimeoutError
        return task.result()

    def _over(self, task: Any) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()

    async def get_many(self, keys: list[bytes]) -> dict[bytes, bytes]:
        found = await self._in_time(self._client.multi_get(*keys))
        return {key: value for key, value in zip(keys, found, strict=True) if value is not None}

    async def gets(self, key: bytes) -> Any:
        return await self._in_time(self._client.gets(key))

    async def delete(self, key: bytes) -> Any:
        return await self._in_time(self._client.delete(key))

    async def add(self, key: bytes, value: bytes, life: int) -> Any:
        return await self._in_time(self._client.add(key, value, exptime=life))

    async def set(self, key: bytes, value: bytes, life: int) -> Any:
        return await self._in_time(self._client.set(key, value, exptime=life))

    async def cas(self, key: bytes, value: bytes, stamp: Any, life: int) -> Any:
        return await self._in_time(self._client.cas(key, value, stamp, exptime=life))

    async def incr(self, key: bytes) -> Any:
        return await self._in_time(self._client.incr(key, 1))
