"""Every race between a load and an invalidation that we know of, each as a fixed schedule: the other side acts from inside the loader."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import lacking
from tests.runtime.cacheservers import Running, program, running

from pgcharter.runtime.cache import AsyncCache, Cache, MemcachedStore, MemoryStore, RedisStore, Versioned
from pgcharter.runtime.cache_store import Change, Store
from pgcharter.runtime.colours import driven

KINDS = ("memory", "valkey", "redis-server", "memcached")
SERVERS = KINDS[1:]
_names = itertools.count(1)
Stores = Callable[[], Store]


@pytest.fixture(scope="module")
def server_of() -> Iterator[Callable[[str], Running]]:
    with ExitStack() as stack:
        started: dict[str, Running] = {}

        def get(kind: str) -> Running:
            if program(kind) is None:
                lacking(f"no {kind} here")
            if kind not in started:
                started[kind] = stack.enter_context(running(kind))
            return started[kind]

        yield get


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, server_of: Callable[[str], Running]) -> Iterator[Stores]:
    """Makes stores that see the same values, as several processes do."""
    with _stores(request.param, server_of) as make:
        yield make


@pytest.fixture(params=SERVERS)
def remote(request: pytest.FixtureRequest, server_of: Callable[[str], Running]) -> Iterator[Stores]:
    with _stores(request.param, server_of) as make:
        yield make


@contextmanager
def _stores(kind: str, server_of: Callable[[str], Running]) -> Iterator[Stores]:
    name, made, one = f"test{next(_names)}", list[Any](), MemoryStore()
    server = server_of(kind) if kind != "memory" else None

    def make() -> Store:
        if server is None:
            return one
        made.append(MemcachedStore(port=server.port, namespace=name) if kind == "memcached" else RedisStore(server.url, namespace=name))
        return made[-1]

    yield make
    for store in made:
        if store.colour == "sync":
            driven(store.close())


class Table:
    """A row with a version, and how often it was read."""

    def __init__(self) -> None:
        self.version, self.reads = 1, 0

    def read(self, then: Callable[[], Any] = lambda: None) -> int:
        self.reads += 1
        version = self.version
        then()
        return version

    def write(self, cache: Cache, **how: Any) -> None:
        self.version += 1
        cache.invalidate(*how.get("keys", ()), tags=how.get("tags", ()))


@pytest.mark.parametrize("by", ["key", "tag", "tag of the value", "clear", "set"])
def test_what_was_read_before_an_invalidation_is_not_kept(stores: Stores, by: str) -> None:
    mine, other, table = Cache(stores()), Cache(stores()), Table()
    key = mine.key("row")

    def meanwhile() -> None:
        table.version += 1
        if by == "key":
            other.invalidate(key)
        elif by == "clear":
            other.clear()
        elif by == "set":
            other.set(key, table.version)
        else:
            other.invalidate(tags=("rows",))

    if by == "tag of the value":
        first = [meanwhile]

        @mine.cached(result_tags=lambda _: ("rows",))
        def row() -> int:
            return table.read(first.pop() if first else lambda: None)

        assert row() == 1
        assert row() == 2
    else:
        assert mine.get_or_load(key, lambda: table.read(meanwhile), tags=("rows",)) == 1
        assert mine.get_or_load(key, table.read, tags=("rows",)) == 2
    assert mine.metrics.fenced == 1


def test_an_invalidation_before_the_load_does_not_fence_it(stores: Stores) -> None:
    cache, table = Cache(stores()), Table()
    key = cache.key("row")
    table.write(cache, keys=(key,), tags=("rows",))
    assert [cache.get_or_load(key, table.read, tags=("rows",)) for _ in range(3)] == [2, 2, 2]
    assert table.reads == 1


def test_a_tag_that_only_the_value_tells_is_checked_at_every_read(stores: Stores) -> None:
    mine, other, table = Cache(stores()), Cache(stores()), Table()

    @mine.cached(result_tags=lambda v: (f"row-{v}",))
    def row() -> int:
        return table.read()

    assert [row(), row()] == [1, 1]
    table.write(other, tags=("row-1",))
    assert [row(), row()] == [2, 2]
    other.invalidate(tags=("row-1",))
    assert row() == 2
    assert table.reads == 2


def test_a_lease_that_ran_out_fills_nothing(stores: Stores) -> None:
    mine, other, table = Cache(stores(), lease=30), Cache(stores()), Table()
    key = mine.key("row")
    if isinstance(mine.store, MemoryStore):
        clock = [1e9]
        mine = Cache(mine.store, lease=1, now=lambda: clock[0])
        other = Cache(mine.store, lease=1, now=lambda: clock[0])

    def meanwhile() -> None:
        if isinstance(mine.store, MemoryStore):
            clock[0] += 2
        else:
            _remove(mine.store, "l" + key.name if isinstance(mine.store, RedisStore) else "v" + key.name)
        assert other.get_or_load(key, table.read) == 1  # takes the lease over
        table.write(other, keys=(key,))

    assert mine.get_or_load(key, lambda: table.read(meanwhile)) == 1
    assert mine.get_or_load(key, table.read) == 2


@pytest.mark.parametrize("record", ["v", "l", "t", "c", "e"])
@pytest.mark.parametrize("when", ["during", "after"])
def test_no_eviction_brings_an_old_value_back(remote: Stores, record: str, when: str) -> None:
    mine, other, table = Cache(remote()), Cache(remote()), Table()
    key = mine.key("row")
    tag = driven(_tag_record())
    name = {"v": "v" + key.name, "l": "l" + key.name, "t": "t" + tag}.get(record, record)

    def meanwhile() -> None:
        table.write(other, tags=("rows",))
        if when == "during":
            _remove(mine.store, name)

    assert mine.get_or_load(key, lambda: table.read(meanwhile), tags=("rows",)) == 1
    if when == "after":
        _remove(mine.store, name)
    assert mine.get_or_load(key, table.read, tags=("rows",)) == 2
    table.write(other, tags=("rows",))
    _remove(mine.store, name)
    assert mine.get_or_load(key, table.read, tags=("rows",)) == 3


def _tag_record() -> Any:
    from pgcharter.runtime.cache_keys import touched_by

    yield from ()
    return touched_by(("rows",))[0]


def _remove(store: Any, name: str) -> None:
    """As eviction does."""
    if isinstance(store, RedisStore):
        store._client.delete(store._prefix + name.encode())
    else:
        store._wire.delete(store._prefix + name.encode())


def test_one_who_asks_after_an_invalidation_does_not_share_a_load_from_before(stores: Stores) -> None:
    """The load has read version 1; version 2 is told; then somebody asks and finds the load still under way."""
    cache, table = Cache(stores(), wait=5), Table()
    key = cache.key("row")
    read, told, answers = threading.Event(), threading.Event(), []

    def slow() -> int:
        return table.read(lambda: (read.set(), told.wait(10)))

    first = threading.Thread(target=lambda: answers.append(cache.get_or_load(key, slow, tags=("rows",))))
    first.start()
    assert read.wait(10)
    table.write(cache, tags=("rows",))
    second = threading.Thread(target=lambda: answers.append(cache.get_or_load(key, table.read, tags=("rows",)) * 10))
    second.start()
    second.join(0.05)
    told.set()
    first.join(10)
    second.join(10)
    assert sorted(answers) == [1, 20]


def test_many_callers_load_once_and_those_elsewhere_wait(stores: Stores) -> None:
    caches, table = [Cache(stores()), Cache(stores())], Table()
    go = threading.Barrier(16)

    def one(n: int) -> None:
        go.wait()
        assert caches[n % 2].get_or_load(caches[0].key("row"), lambda: table.read(lambda: threading.Event().wait(0.02))) == 1

    threads = [threading.Thread(target=one, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.reads == 1
    assert sum(c.metrics.stampedes_prevented for c in caches) + sum(c.metrics.hits for c in caches) == 15


def test_a_lease_of_one_who_died_does_not_stop_others_for_ever(stores: Stores) -> None:
    cache, table = Cache(stores(), wait=0.05), Table()
    key = cache.key("row")
    driven(cache.store.lease(key.name, (), "f" * 16, 30.0, cache._core.now(), False))
    assert cache.get_or_load(key, table.read) == 1
    assert cache.metrics.waited_too_long == 1


def test_versions_keep_a_lagging_replica_out(stores: Stores) -> None:
    """The commit at position 20 is told; a replica that has replayed 10 answers; then one that has replayed 20."""
    cache = Cache(stores())
    key = cache.key("row")
    assert cache.get_or_load(key, lambda: Versioned("old", 10), tags=("rows",)) == "old"
    cache.invalidate(tags=("rows",), version=20)
    assert cache.get_or_load(key, lambda: Versioned("old", 10), tags=("rows",)) == "old"
    assert cache.get(key) is None
    assert cache.metrics.older == 1
    assert cache.get_or_load(key, lambda: Versioned("new", 20), tags=("rows",)) == "new"
    assert cache.get(key) == "new"


def test_a_key_invalidated_with_a_version_takes_no_older_one(stores: Stores) -> None:
    cache = Cache(stores())
    key = cache.key("row")
    cache.invalidate(key, version=2**60)
    assert cache.get_or_load(key, lambda: Versioned("old", 2**60 - 1)) == "old"
    assert cache.get(key) is None
    assert cache.get_or_load(key, lambda: Versioned("new", 2**60)) == "new"
    assert cache.get(key) == "new"
    assert not cache.set(key, "older", version=5)
    assert cache.get(key) == "new"


@pytest.mark.parametrize("by", ["key", "tag"])
def test_between_announcement_and_commit_nobody_uses_or_fills(stores: Stores, by: str) -> None:
    """Whoever reads while it is announced goes past the cache; also after another announcement of the same thing has ended."""
    mine, other, table = Cache(stores()), Cache(stores()), Table()
    key = mine.key("row")
    what: dict[str, Any] = {"keys": (key,)} if by == "key" else {}
    tags = () if by == "key" else ("rows",)

    def get(cache: Cache) -> int:
        return cache.get_or_load(key, table.read, tags=("rows",))

    assert get(mine) == 1
    works = [Work(), Work()]
    for work in works:
        other.invalidates(work, *tags, announce=30, **what)
    assert [get(mine), get(other), get(mine)] == [1, 1, 1]
    assert table.reads == 4
    table.version = 2
    works[0].commit()
    assert [get(mine), get(mine)] == [2, 2]
    assert table.reads == 6  # the second is still to commit
    works[1].roll_back()
    assert [get(mine), get(mine)] == [2, 2]
    assert table.reads == 7


def test_the_hold_of_one_who_died_ends(stores: Stores) -> None:
    mine, table = Cache(stores()), Table()
    key = mine.key("row")
    mine.invalidates(Work(), "rows", announce=0.05)
    threading.Event().wait(0.06)
    assert [mine.get_or_load(key, table.read, tags=("rows",)) for _ in range(3)] == [1, 1, 1]
    assert table.reads == 1


class Work:
    """What the cache needs of a unit of work."""

    def __init__(self) -> None:
        self.committed: list[Callable[[], Any]] = []
        self.undone: list[Callable[[], Any]] = []

    def after_commit(self, hook: Callable[[], Any]) -> None:
        self.committed.append(hook)

    def after_rollback(self, hook: Callable[[], Any]) -> None:
        self.undone.append(hook)

    def after_unknown(self, hook: Callable[[], Any]) -> None:
        """Here it is always known."""

    def commit(self) -> None:
        for hook in self.committed:
            hook()

    def roll_back(self) -> None:
        for hook in self.undone:
            hook()


def test_a_hold_off_keeps_fills_away_while_replicas_may_lag(stores: Stores) -> None:
    cache, table = Cache(stores(), holdoff=30), Table()
    key = cache.key("row")
    cache.invalidate(tags=("rows",))
    for _ in range(2):
        cache.get_or_load(key, table.read, tags=("rows",))
    assert table.reads == 2
    soon = Cache(stores(), holdoff=0.02)
    other = soon.key("other")
    soon.invalidate(tags=("others",))
    threading.Event().wait(0.03)
    for _ in range(2):
        soon.get_or_load(other, table.read, tags=("others",))
    assert table.reads == 3


def test_writing_through_keeps_the_newest_whoever_ends_last(stores: Stores) -> None:
    """A writes version 2, B version 3, A ends after B."""
    a, b = Cache(stores()), Cache(stores())
    key = a.key("row")

    def write_a() -> Versioned[str]:
        assert b.write_through(key, lambda: Versioned("three", 3)) == "three"
        return Versioned("two", 2)

    assert a.write_through(key, write_a) == "two"
    assert a.get(key) in (None, "three")
    assert a.get_or_load(key, lambda: Versioned("three", 3)) == "three"
    assert b.write_through(key, lambda: "unversioned") == "unversioned"
    assert b.get(key) is None
    with pytest.raises(ZeroDivisionError):
        b.write_through(key, lambda: 1 // 0)
    assert b.get_or_load(key, lambda: Versioned("three", 3)) == "three"
    assert b.get(key) == "three"


def test_an_early_refresh_is_fenced_too(stores: Stores) -> None:
    cache, table = Cache(stores()), Table()
    first = [lambda: table.write(cache, tags=("rows",))]

    @cache.cached(tags=("rows",))
    def row() -> int:
        return table.read(first.pop() if first and table.reads == 1 else lambda: None)

    assert row() == 1
    assert not row.renew()
    assert [row(), row()] == [2, 2]
    assert row.renew()


def test_a_waiter_that_is_cancelled_and_a_leader_that_is(stores: Stores) -> None:
    async def go() -> None:
        cache, started, end = AsyncCache(stores()), asyncio.Event(), asyncio.Event()
        key, loads = cache.key("row"), []

        async def slow() -> int:
            loads.append(1)
            started.set()
            await end.wait()
            return len(loads)

        leader = asyncio.create_task(cache.get_or_load(key, slow))
        await started.wait()
        waiters = [asyncio.create_task(cache.get_or_load(key, slow)) for _ in range(3)]
        await asyncio.sleep(0.02)
        waiters[0].cancel()
        leader.cancel()
        end.set()
        assert await asyncio.gather(*waiters[1:]) == [2, 2]
        assert len(loads) == 2
        await cache.close()

    asyncio.run(go())


def test_cancelled_calls_never_leave_their_answer_to_another(remote: Stores) -> None:
    """A client that gives back a connection with an unread answer serves it to the next caller, who asked for something else."""

    async def go() -> None:
        cache = AsyncCache(remote())
        keys = [cache.key("row", n) for n in range(50)]
        for n, key in enumerate(keys):
            await cache.set(key, n)
        for delay in range(40):
            calls = [asyncio.create_task(cache.get(key)) for key in keys]
            for _ in range(delay):
                await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            for n, found in enumerate(await asyncio.gather(*calls, return_exceptions=True)):
                assert found == n or (n % 2 == 0 and isinstance(found, asyncio.CancelledError)), (n, found)
        assert [await cache.get(key) for key in keys] == list(range(50))
        await cache.close()

    asyncio.run(go())


def test_replaying_a_change_changes_nothing(stores: Stores) -> None:
    """A change whose answer was lost is told again."""
    cache, table = Cache(stores()), Table()
    key = cache.key("row")
    change = Change((key.name,), (driven(_tag_record()),), version=7)
    for _ in range(2):
        driven(cache.store.change(replace(change), cache._core.now()))
    assert cache.get_or_load(key, lambda: Versioned(table.read(), 8), tags=("rows",)) == 1
    assert cache.get(key) == 1


def test_an_invalidation_between_check_and_store_is_not_shared_with_those_who_wait(server_of: Callable[[str], Running]) -> None:
    """Memcached has no scripts: tags are looked at, then the value is stored. Found by `python -m bench cache_race`."""
    with _stores("memcached", server_of) as make:
        mine, other, table = Cache(make()), Cache(make()), Table()
        wire: Any = mine.store._wire  # type: ignore[attr-defined]
        cas, first = wire.cas, [True]

        def late(key: bytes, value: bytes, *rest: Any) -> Any:
            if value[:1] == b"V" and first:
                first.clear()
                table.write(other, tags=("rows",))
            return cas(key, value, *rest)

        wire.cas = late
        key = mine.key("row")
        assert mine.get_or_load(key, table.read, tags=("rows",)) == 1
        assert mine.metrics.fills == 0
        assert mine.metrics.fenced == 1
        assert mine.get_or_load(key, table.read, tags=("rows",)) == 2
