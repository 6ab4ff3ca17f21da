"""The cache against a versioned dict: readers and writers advance one step at a time, in the order that hypothesis chooses.

Every operation is a generator of steps (`runtime.colours`), so an interleaving is exact: a step is one call to the server, one run of a
loader, or one
look whether somebody else's load is done. `PGCHARTER_EXAMPLES=5000 pytest tests/runtime/test_cache_machine.py` looks further.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from tests.conftest import lacking
from tests.runtime.cacheservers import program, running

from pgcharter.runtime.cache import Cache, MemcachedStore, MemoryStore, RedisStore, Versioned
from pgcharter.runtime.cache_flights import Flight, Threads
from pgcharter.runtime.colours import Steps

KEYS = 3
MOST = 6
"""Operations under way at a time."""


class Stepped(Threads):
    """Nobody waits: a look at a load says what is so now, and a sleep is a step in which others may go on."""

    def landed(self, flight: Flight, seconds: float) -> Any:
        return flight.event.is_set()

    def sleep(self, seconds: float) -> Any:
        return None


class Stepping(Cache):
    """A cache whose operations are advanced by hand."""

    _colours = Stepped


class Operation:
    """One read or write, and how far it is. A call and what follows from its answer are two steps: others may act in between."""

    def __init__(self, steps: Steps[Any], done: Any) -> None:
        self.steps, self.done = steps, done
        self.answer: Any = self.steps.send
        self.given: Any = None
        self.call: Any = None

    def advance(self) -> bool:
        """One step. Whether the operation has ended."""
        if self.call is not None:
            try:
                self.answer, self.given = self.steps.send, self.call()
            except Exception as error:
                self.answer, self.given = self.steps.throw, error
            self.call = None
            return False
        try:
            self.call = self.answer(self.given)
        except StopIteration as end:
            self.done(end.value)
            return True
        return False


class Racing(RuleBasedStateMachine):
    """Two processes on one store. `told` is what a reader may rely on: the version whose invalidation had returned before it asked."""

    make: Any = staticmethod(MemoryStore)
    versioned = False

    def __init__(self) -> None:
        super().__init__()
        store = self.make()
        one = store()
        self.caches = [Stepping(one, wait=1e9), Stepping(one if isinstance(one, MemoryStore) else store(), wait=1e9)]
        for cache in self.caches:
            if isinstance(cache.store, RedisStore):
                cache.store._reads.lanes = 100  # one thread steps them all: nobody may wait for another one's command
            cache.clear()
        self.versions = [1] * KEYS
        self.told = [1] * KEYS
        self.writing: set[int] = set()
        self.running: list[Operation] = []

    def teardown(self) -> None:
        turns = 0
        while self.running and turns < 20_000:
            self._advance(turns)
            turns += 1
        assert not self.running, "operations wait for each other for ever"
        for key in range(KEYS):
            self.read(0, key)
            self._all()
        for cache in self.caches:
            cache.close()

    def _all(self) -> None:
        while self.running:
            self._advance(0)

    def _advance(self, number: int) -> None:
        operation = self.running[number % len(self.running)]
        if operation.advance():
            self.running.remove(operation)

    def _load(self, key: int) -> Any:
        version = self.versions[key]
        return Versioned((key, version), version) if self.versioned else (key, version)

    @precondition(lambda self: len(self.running) < MOST)
    @rule(process=st.integers(0, 1), key=st.integers(0, KEYS - 1))
    def read(self, process: int, key: int) -> None:
        cache, floor = self.caches[process], self.told[key]

        def checked(found: Any) -> None:
            assert found[0] == key
            assert found[1] >= floor, f"read {found[1]} after {floor} was told"

        tags = (f"row-{key}",) if key else ()
        steps = cache._get_or_load(cache.key("row", key), lambda: self._load(key), tags, cache._with(None, None, None, None, None))
        self.running.append(Operation(steps, checked))

    @precondition(lambda self: len(self.running) < MOST)
    @rule(process=st.integers(0, 1), key=st.integers(0, KEYS - 1), announced=st.booleans(), through=st.booleans())
    def write(self, process: int, key: int, announced: bool, through: bool) -> None:
        if key in self.writing:
            return
        self.writing.add(key)
        cache = self.caches[process]

        def commit() -> Any:
            self.versions[key] += 1
            return Versioned((key, self.versions[key]), self.versions[key])

        def steps() -> Steps[Any]:
            if through and not key:
                yield from cache._write_through(cache.key("row", key), commit, (), cache._with(None, None, None, None, None), 30.0)
            else:
                work = _Work()
                tags, keys = ((f"row-{key}",), ()) if key else ((), (cache.key("row", key),))
                yield from cache._invalidates(work, tags, keys, 30.0 if announced else 0.0, False, lambda s: s)
                yield commit
                for hook in work.hooks:
                    yield from hook()
            return self.versions[key]

        def told(version: int) -> None:
            self.told[key] = version
            self.writing.discard(key)

        self.running.append(Operation(steps(), told))

    @precondition(lambda self: bool(self.running))
    @rule(numbers=st.lists(st.integers(0, MOST), min_size=1, max_size=20))
    def advance(self, numbers: list[int]) -> None:
        for number in numbers:
            if self.running:
                self._advance(number)

    @rule(process=st.integers(0, 1))
    def clear(self, process: int) -> None:
        self.caches[process].clear()


class _Work:
    def __init__(self) -> None:
        self.hooks: list[Any] = []

    def after_commit(self, hook: Any) -> None:
        self.hooks.append(hook)

    def after_rollback(self, hook: Any) -> None:
        pass

    def after_unknown(self, hook: Any) -> None:
        pass


def _examples(usual: int) -> int:
    return int(os.environ.get("PGCHARTER_EXAMPLES", usual))


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("kind", ["memory", "valkey", "memcached"])
def test_no_read_is_older_than_what_it_was_told(kind: str, versioned: bool) -> None:
    if kind != "memory" and program(kind) is None:
        lacking(f"no {kind} here")
    if kind == "memory":
        _run(lambda: MemoryStore, versioned, 60)
        return
    with running(kind) as server:
        if kind == "valkey":
            _run(lambda: lambda: RedisStore(server.url), versioned, 10)
        else:
            _run(lambda: lambda: MemcachedStore(port=server.port), versioned, 10)


def _run(make: Any, versioned: bool, usual: int) -> None:
    """`make()` gives what makes a store."""
    kind = type("Machine", (Racing,), {"make": staticmethod(make), "versioned": versioned})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=_examples(usual), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
        ),
    )


@pytest.mark.parametrize("fenced", [True, False])
def test_the_machine_finds_a_cache_without_fences(monkeypatch: pytest.MonkeyPatch, fenced: bool) -> None:
    """A check of the check: with fills that are always stored, the schedule of old fails it."""

    def unfenced(self: MemoryStore, name: str, lease: Any, item: Any, now: float) -> Any:
        yield from ()
        self._leases.pop(name, None)
        self.local.store(name, item, self.local.round)
        return "stored"

    if not fenced:
        monkeypatch.setattr(MemoryStore, "fill", unfenced)
    kind: Any = type("Machine", (Racing,), {"make": staticmethod(lambda: MemoryStore)})
    machine = kind()
    machine.read(0, 1)
    machine.advance([0, 0])  # the loader has read version 1
    machine.write(1, 1, False, False)
    while len(machine.running) > 1:
        machine.advance([1])
    assert machine.told[1] == 2
    machine.advance([0, 0])
    assert not machine.running
    machine.read(1, 1)
    if fenced:
        machine.teardown()
    else:
        with pytest.raises(AssertionError, match="read 1 after 2 was told"):
            machine.teardown()


def test_threads_race_without_a_stale_read() -> None:
    """A small run of `python -m bench cache_race`, in process."""
    cache, versions, told, wrong = Cache(jitter=0.5), [0] * 4, [0] * 4, []
    locks = [threading.Lock() for _ in range(4)]

    @cache.cached(tags=lambda key: (f"row-{key}",))
    def row(key: int) -> int:
        version = versions[key]
        threading.Event().wait(0.0001)
        return version

    def work(seed: int) -> None:
        for turn in range(400):
            key = (turn * 7 + seed) % 4
            if (turn + seed) % 10 == 0:
                with locks[key]:
                    versions[key] += 1
                    cache.invalidate(tags=(f"row-{key}",))
                    told[key] = versions[key]
            else:
                floor = told[key]
                if row(key) < floor:
                    wrong.append(key)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache.metrics.fenced
