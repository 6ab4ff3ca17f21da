"""Readers against writers who invalidate: how many reads are given what was no longer true before they asked. Ours and three peers.

`python -m bench.cache_race [operations] [operations of peers]`. The database is an array of versions, one a key. A writer raises a
version, then
invalidates the key, then notes the version as told. A reader notes what is told, then reads through the cache: what it gets must not be
older. A loader reads the version and then takes its time, as a query on a busy server does. Sync: 2 processes of 4 threads, on one server;
async: 32 tasks. "Adversary": somebody deletes records of the cache at random (leases, tags, the clock), as eviction may.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.runtime.cacheservers import program, running

from pgcharter.runtime.cache import AsyncCache, Cache, MemcachedStore, RedisStore

KEYS = 20
WRITES = 0.1
Get = Callable[[int, Callable[[], Any]], Any]
Drop = Callable[[int], Any]


class World:
    """The database, and what has been told of it."""

    def __init__(self) -> None:
        self.versions = multiprocessing.RawArray("Q", KEYS)
        self.told = multiprocessing.RawArray("Q", KEYS)
        self.locks = [multiprocessing.Lock() for _ in range(KEYS)]

    def write(self, key: int, drop: Drop) -> None:
        with self.locks[key]:
            self.versions[key] += 1
            drop(key)
            self.told[key] = self.versions[key]

    def load(self, key: int) -> int:
        version = self.versions[key]
        pause()
        return int(version)


def pause() -> None:
    """What a query takes after it has seen its snapshot: mostly nothing, sometimes longer than an invalidation."""
    chance = random.random()
    if chance < 0.3:
        time.sleep(0)
    elif chance < 0.35:
        time.sleep(random.random() * 0.002)


def race(world: World, get: Get, drop: Drop, operations: int, seed: int) -> tuple[int, int]:
    """One thread's reads and writes: stale reads, and reads."""
    chance, stale, reads = random.Random(seed), 0, 0
    for _ in range(operations):
        key = chance.randrange(KEYS)
        if chance.random() < WRITES:
            world.write(key, drop)
        else:
            told = world.told[key]
            stale += get(key, lambda key=key: world.load(key)) < told  # type: ignore[misc]
            reads += 1
    return stale, reads


def threads(world: World, get: Get, drop: Drop, operations: int, number: int, seed: int) -> tuple[int, int]:
    """Several threads of this process."""
    found: list[tuple[int, int]] = []
    each = [
        threading.Thread(target=lambda n=n: found.append(race(world, get, drop, operations // number, seed * 100 + n)))
        for n in range(number)
    ]
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()
    if len(found) < number:
        raise RuntimeError("a thread of the race has failed")
    return sum(s for s, _ in found), sum(r for _, r in found)


def processes(make: Callable[[], tuple[Get, Drop]], operations: int, number: int = 2, each: int = 4) -> tuple[int, int]:
    """Several processes of several threads; the cache is made in each."""
    world, fork = World(), multiprocessing.get_context("fork")
    answers = fork.Queue()

    def work(seed: int) -> None:
        get, drop = make()
        answers.put(threads(world, get, drop, operations // number, each, seed))

    jobs = [fork.Process(target=work, args=(n,)) for n in range(number)]
    for job in jobs:
        job.start()
    found = [answers.get(timeout=3600) for _ in jobs]
    for job in jobs:
        job.join()
    return sum(s for s, _ in found), sum(r for _, r in found)


AsyncGet = Callable[[int, Callable[[], Awaitable[int]]], Awaitable[Any]]
AsyncDrop = Callable[[int], Awaitable[Any]]


async def tasks(get: AsyncGet, drop: AsyncDrop, operations: int, number: int = 32) -> tuple[int, int]:
    """Several tasks of one event loop."""
    versions, told, stale, reads = [0] * KEYS, [0] * KEYS, 0, 0
    locks = [asyncio.Lock() for _ in range(KEYS)]

    async def load(key: int) -> int:
        version = versions[key]
        await asyncio.sleep(0 if random.random() < 0.9 else random.random() * 0.002)
        return version

    async def one(seed: int) -> None:
        nonlocal stale, reads
        chance = random.Random(seed)
        for _ in range(operations // number):
            key = chance.randrange(KEYS)
            if chance.random() < WRITES:
                async with locks[key]:
                    versions[key] += 1
                    await drop(key)
                    told[key] = versions[key]
            else:
                floor = told[key]
                stale += await get(key, lambda key=key: load(key)) < floor  # type: ignore[misc]
                reads += 1
            if chance.random() < 0.05:
                await asyncio.sleep(0)

    await asyncio.gather(*(one(n) for n in range(number)))
    return stale, reads


def ours(store: Any, **settings: Any) -> tuple[Get, Drop]:
    """A cache of ours: half of the keys are invalidated by key, a quarter by a tag known before, a quarter by one that the value tells."""
    cache = Cache(store, jitter=0.5, ttl=settings.pop("ttl", 60), **settings)
    local = threading.local()

    @cache.cached(
        tags=lambda key: (f"before-{key}",) if key % 4 == 2 else (), result_tags=lambda v: (f"after-{v[0]}",) if v[0] % 4 == 3 else ()
    )
    def read(key: int) -> tuple[int, int]:
        return key, local.loader()

    def get(key: int, loader: Callable[[], int]) -> int:
        local.loader = loader
        return read(key)[1]

    def drop(key: int) -> None:
        if key % 4 < 2:
            read.invalidate(key)
        else:
            cache.invalidate(tags=(f"before-{key}" if key % 4 == 2 else f"after-{key}",))

    return get, drop


def ours_async(store: Any, **settings: Any) -> tuple[AsyncGet, AsyncDrop, AsyncCache]:
    """The same for tasks."""
    cache = AsyncCache(store, jitter=0.5, ttl=60, **settings)

    async def get(key: int, loader: Callable[[], Awaitable[int]]) -> int:
        return await cache.get_or_load(cache.key("race", key), loader, tags=(f"before-{key}",) if key % 2 else ())

    async def drop(key: int) -> None:
        if key % 2:
            await cache.invalidate(tags=(f"before-{key}",))
        else:
            await cache.invalidate(cache.key("race", key))

    return get, drop, cache


def adversary(port: int, stop: Any, pace: float) -> int:
    """Delete records at random until told to stop."""
    import redis

    client, deleted = redis.Redis(port=port), 0
    while not stop.wait(pace):
        name = client.randomkey()
        if name is not None:
            deleted += int(client.delete(name))
    return deleted


def show(name: str, found: tuple[int, int], began: float) -> None:
    """One line of the table."""
    stale, reads = found
    print(f"{name:48} {reads:>9,} reads  {stale:>7,} stale  {time.perf_counter() - began:7.1f} s", flush=True)


def run(operations: int = 1_000_000, few: int = 40_000) -> None:
    """Race ours, then the peers."""
    began = time.perf_counter()
    get, drop = ours(None)
    show("ours, in process, 8 threads", threads(World(), get, drop, operations, 8, 1), began)
    if program("valkey"):
        with running("valkey") as server:
            began = time.perf_counter()
            show("ours, Valkey, 2 × 4 threads", processes(lambda: ours(RedisStore(server.url)), operations), began)
        with running("valkey") as server:
            began = time.perf_counter()
            near = processes(lambda: ours(RedisStore(server.url, namespace="near"), local=True), operations // 5, 1, 8)
            show("ours, Valkey and in process, 8 threads", near, began)
            began = time.perf_counter()
            stop = multiprocessing.Event()
            other = multiprocessing.get_context("fork").Process(target=adversary, args=(server.port, stop, 0.001))
            other.start()
            show("ours, Valkey, adversary", processes(lambda: ours(RedisStore(server.url)), operations // 5), began)
            stop.set()
            other.join()
            began = time.perf_counter()
            show("ours, Valkey, 32 tasks", asyncio.run(_ours_tasks(RedisStore(server.url, namespace="tasks"), operations // 5)), began)
        _peers(few)
    if program("memcached"):
        with running("memcached") as server:
            began = time.perf_counter()
            show("ours, Memcached, 2 × 4 threads", processes(lambda: ours(MemcachedStore(port=server.port)), operations // 5), began)


async def _ours_tasks(store: Any, operations: int) -> tuple[int, int]:
    get, drop, cache = ours_async(store)
    found = await tasks(get, drop, operations)
    await cache.close()
    return found


def _peers(operations: int) -> None:
    with running("valkey") as server:
        for name, peer in (
            ("dogpile.cache, Redis, lock", _dogpile),
            ("cashews, Redis, lock", _cashews),
            ("aiocache, Redis, stampede", _aiocache),
        ):
            began = time.perf_counter()
            try:
                found = peer(server.port, operations)
            except ImportError as error:
                print(f"{name:48} not measured: {error.name} is not installed", flush=True)
            else:
                show(name, found, began)


def _dogpile(port: int, operations: int) -> tuple[int, int]:
    from dogpile.cache import make_region

    def make() -> tuple[Get, Drop]:
        region = make_region().configure(
            "dogpile.cache.redis", arguments={"host": "127.0.0.1", "port": port, "distributed_lock": True, "thread_local_lock": False}
        )
        return (lambda key, loader: region.get_or_create(str(key), loader, 60)), (lambda key: region.delete(str(key)))

    return processes(make, operations)


def _cashews(port: int, operations: int) -> tuple[int, int]:
    from cashews import Cache as Peer

    async def go() -> tuple[int, int]:
        peer = Peer()
        peer.setup(f"redis://127.0.0.1:{port}/1")
        loaders: dict[int, Any] = {}

        @peer(ttl="60s", key="race:{key}", lock=True)
        async def read(key: int) -> int:
            return await loaders[key]()

        async def get(key: int, loader: Any) -> int:
            loaders[key] = loader
            return await read(key)

        async def drop(key: int) -> None:
            await peer.delete(f"race:{key}")

        found = await tasks(get, drop, operations)
        await peer.close()
        return found

    return asyncio.run(go())


def _aiocache(port: int, operations: int) -> tuple[int, int]:
    from aiocache import RedisCache, cached_stampede
    from aiocache.serializers import PickleSerializer

    async def go() -> tuple[int, int]:
        where: dict[str, Any] = {"endpoint": "127.0.0.1", "port": port, "db": 2, "serializer": PickleSerializer()}
        loaders: dict[int, Any] = {}

        @cached_stampede(lease=2, ttl=60, cache=RedisCache, key_builder=lambda _f, key: f"race:{key}", **where)
        async def read(key: int) -> int:
            return await loaders[key]()

        async def get(key: int, loader: Any) -> int:
            loaders[key] = loader
            while True:
                try:
                    return await read(key)
                except KeyError:  # its lock takes away an event that another caller has taken away already
                    continue

        async def drop(key: int) -> None:
            await read.cache.delete(f"race:{key}")

        found = await tasks(get, drop, operations)
        await read.cache.close()
        return found

    return asyncio.run(go())


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
