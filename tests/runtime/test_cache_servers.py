"""A cache whose server is slow, gone, started anew or cut off, and the level in process before a server."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import lacking
from tests.runtime.cacheservers import Running, program, running

from pgcharter.runtime.cache import AsyncCache, Cache, MemcachedStore, RedisStore, StoreError, Versioned
from pgcharter.servers.valkey import embedded


@pytest.fixture(params=["valkey", "redis-server", "memcached"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    yield from _server(request.param)


@pytest.fixture
def valkey() -> Iterator[Running]:
    yield from _server("valkey")


def _server(kind: str) -> Iterator[Running]:
    if program(kind) is None:
        lacking(f"no {kind} here")
    with running(kind) as found:
        yield found


def store(server: Running, timeout: float = 0.2) -> Any:
    if "memcached" in server.command[0]:
        return MemcachedStore(port=server.port, timeout=timeout)
    return RedisStore(server.url, timeout=timeout)


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


class Row:
    def __init__(self) -> None:
        self.version, self.reads = 1, 0

    def read(self) -> int:
        self.reads += 1
        return self.version


def test_without_its_server_a_cache_goes_to_the_database_and_says_so_once(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    cache, row = Cache(store(server), pause=0.01), Row()
    key = cache.key("row")
    with caplog.at_level(logging.WARNING, "pgcharter.cache"):
        assert cache.get_or_load(key, row.read) == 1
        server.stop()
        row.version = 2
        assert [cache.get_or_load(key, row.read) for _ in range(10)] == [2] * 10
        assert cache.metrics.degraded
        assert cache.metrics.bypassed == 10
        assert len(caplog.records) == 1
        server.start()
        until(lambda: (cache.get_or_load(key, row.read), not cache.metrics.degraded)[1])
    assert len(caplog.records) == 2
    reads = row.reads
    cache.get_or_load(key, row.read)
    assert [cache.get_or_load(key, row.read) for _ in range(5)] == [2] * 5
    assert row.reads <= reads + 1
    cache.close()


def test_an_invalidation_that_is_not_delivered_is_before_anything_is_read(server: Running) -> None:
    """The server hangs; another process could still read it; this one reads nothing before it has told of version 2."""
    cache, row = Cache(store(server), pause=0.01), Row()
    key = cache.key("row")
    assert cache.get_or_load(key, row.read, tags=("rows",)) == 1
    server.signal(signal.SIGSTOP)
    row.version = 2
    assert not cache.invalidate(tags=("rows",))
    assert cache.metrics.pending == 1
    assert [cache.get_or_load(key, row.read, tags=("rows",)) for _ in range(3)] == [2] * 3
    row.version = 3
    assert not cache.invalidate(key)
    server.signal(signal.SIGCONT)
    until(lambda: not cache.metrics.degraded)  # told in the background, though nobody asks
    assert cache.metrics.pending == 0
    assert [cache.get_or_load(key, row.read, tags=("rows",)) for _ in range(3)] == [3] * 3
    assert row.reads == 5
    cache.close()


def test_many_callers_without_a_server_do_not_stampede(server: Running) -> None:
    cache, running_now, most = Cache(store(server), pause=60), [0], [0]
    server.stop()
    key = cache.key("row")

    def load() -> int:
        running_now[0] += 1
        most[0] = max(most[0], running_now[0])
        time.sleep(0.002)
        running_now[0] -= 1
        return 1

    for _ in range(4):
        cache.get_or_load(key, load)
    threads = [threading.Thread(target=lambda: [cache.get_or_load(key, load) for _ in range(5)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert cache.metrics.stampedes_prevented
    cache.close()


def test_what_cannot_be_announced_is_refused_when_that_is_required(server: Running) -> None:
    class Work:
        def after_commit(self, hook: Any) -> None: ...

        def after_rollback(self, hook: Any) -> None: ...
        def after_unknown(self, hook: Any) -> None: ...

    cache = Cache(store(server), pause=0.01)
    cache.invalidates(Work(), "rows", announce=1, required=True)
    server.stop()
    with pytest.raises(StoreError, match="before its commit"):
        cache.invalidates(Work(), "rows", announce=1, required=True)
    cache.invalidates(Work(), "rows", announce=1)
    cache.close()


def test_a_damaged_record_is_a_miss(server: Running) -> None:
    cache, row = Cache(store(server)), Row()
    key = cache.key("row")
    for bad in (b"V", b"Vxx", b"garbage", b"V" + b"z" * 200, b"", b"X123"):
        cache.get_or_load(key, row.read)
        name = key.name.encode()
        if isinstance(cache.store, RedisStore):
            cache.store._client.set(cache.store._v + name, bad)
        else:
            cache.store._wire.set(cache.store._key("v", key.name), bad, 60)
        assert cache.get_or_load(key, row.read) == 1, bad
    cache.close()


def test_a_server_started_from_an_old_copy_has_nothing_that_is_good(valkey: Running) -> None:
    """It saved version 1, then took the invalidation, then was killed before it saved that."""
    valkey.stop()
    valkey.command = [*valkey.command, "--dbfilename", "old.rdb"]
    valkey.start()
    cache, row = Cache(store(valkey), pause=0.01), Row()
    key = cache.key("row")
    assert [cache.get_or_load(key, row.read, tags=("rows",)) for _ in range(2)] == [1, 1]
    cache.store._client.save()
    row.version = 2
    assert cache.invalidate(tags=("rows",))
    assert valkey.process is not None
    valkey.process.kill()
    valkey.process.wait(10)
    valkey.start()
    until(lambda: (cache.get_or_load(key, row.read, tags=("rows",)), not cache.metrics.degraded)[1])
    assert cache.get_or_load(key, row.read, tags=("rows",)) == 2
    assert cache.store._client.get(cache.store._v + key.name.encode()) is not None
    cache.close()


def test_a_level_in_process_follows_what_others_invalidate(valkey: Running) -> None:
    near, far, row = Cache(store(valkey), local=True), Cache(store(valkey)), Row()

    @near.cached(tags=("rows",))
    def read(n: int) -> int:
        return row.read()

    assert [read(1), read(1), read(1)] == [1, 1, 1]
    assert near.metrics.local_hits >= 1
    for how in (
        lambda: far.invalidate(tags=("rows",)),
        lambda: far.invalidate(read.key(1)),
        far.clear,
        lambda: far.set(read.key(1), row.version, tags=("rows",)),
    ):
        row.version += 1
        how()
        until(lambda: read(1) == row.version)
    row.version += 1
    near.invalidate(tags=("rows",))
    assert read(1) == row.version  # its own counts at once
    hits = near.metrics.local_hits
    read(1)
    assert near.metrics.local_hits > hits
    near.close()
    far.close()


def test_a_level_in_process_serves_nothing_once_the_stream_is_silent(valkey: Running) -> None:
    near, row = Cache(store(valkey), local=True, silence=0.2, pause=60), Row()

    @near.cached()
    def read() -> int:
        return row.read()

    assert [read(), read()] == [1, 1]
    assert near._core.local is not None
    until(lambda: near._core.local.until > 0 and len(near._core.local) > 0)  # type: ignore[union-attr]
    valkey.signal(signal.SIGSTOP)
    row.version = 2
    until(lambda: read() == 2)
    assert read() == 2
    valkey.signal(signal.SIGCONT)
    near.close()


def test_a_stream_that_was_cut_is_taken_up_again_with_nothing_kept(valkey: Running) -> None:
    near, far, row = Cache(store(valkey), local=True, silence=0.5), Cache(store(valkey)), Row()

    @near.cached(tags=("rows",))
    def read() -> int:
        return row.read()

    read()
    far.store._client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    row.version = 2
    far.invalidate(tags=("rows",))
    until(lambda: read() == 2)
    hits = near.metrics.local_hits
    until(lambda: (read(), near.metrics.local_hits > hits)[1])
    near.close()
    far.close()


def test_a_level_in_process_for_tasks(valkey: Running) -> None:
    async def go() -> None:
        near, far, row = AsyncCache(store(valkey), local=True), AsyncCache(store(valkey)), Row()

        @near.cached(tags=("rows",))
        async def read() -> int:
            return row.read()

        assert [await read(), await read()] == [1, 1]
        assert near.metrics.local_hits
        row.version = 2
        await far.invalidate(tags=("rows",))
        for _ in range(1000):
            if await read() == 2:
                break
            await asyncio.sleep(0.002)
        assert await read() == 2
        await near.close()
        await far.close()

    asyncio.run(go())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_processes_that_were_forked_do_not_share_connections(valkey: Running) -> None:
    """A child that used its parent's connection would read the answers to its parent's questions."""
    cache = Cache(store(valkey, timeout=5), local=True)
    keys = [cache.key("row", n) for n in range(20)]
    for n, key in enumerate(keys):
        cache.set(key, n)
        assert cache.get(key) == n

    fork = multiprocessing.get_context("fork")
    wrong = fork.Value("i", 0)

    def read() -> None:
        for turn in range(300):
            n = turn % 20
            wrong.value += cache.get(keys[n]) != n

    children = [fork.Process(target=read) for _ in range(2)]
    for child in children:
        child.start()
    read()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert wrong.value == 0
    cache.close()


def test_an_embedded_server() -> None:
    if program("valkey") is None:
        lacking("no valkey here")
    with embedded() as url:
        cache = Cache(RedisStore(url))
        key = cache.key("x")
        cache.set(key, {"a": 1}, version=3)
        assert cache.get(key) == {"a": 1}
        assert cache.get_or_load(key, lambda: Versioned({}, 1)) == {"a": 1}
        cache.close()
