"""Keys, values, tenants, times, sizes and modes of a cache, in process."""

from __future__ import annotations

import asyncio
import datetime
import enum
import math
import threading
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.runtime.cache import AsyncCache, Cache, Key, MemcachedStore, Typed, own
from pgcharter.runtime.cache_behind import WriteBehind
from pgcharter.runtime.cache_codec import UnreadableError, packed, unpacked
from pgcharter.runtime.cache_keys import written
from pgcharter.runtime.context import NoTenantError, OtherContextError, context, no_tenant


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Line:
    start: Point
    colours: tuple[Colour, ...] = ()


@dataclass
class Order:
    id: uuid.UUID
    total: Decimal
    at: datetime.datetime
    lines: list[Line] = field(default_factory=list)


class Money(int):
    pass


PARIS = ZoneInfo("Europe/Paris")
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.decimals(allow_nan=False) |
    st.uuids()
    | st.dates() | st.datetimes(timezones=st.none() | st.just(PARIS) | st.just(datetime.UTC)) | st.times() | st.timedeltas()
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def shape(value: Any) -> Any:
    """A value with the types of all its parts: what must be the same when it comes back."""
    if isinstance(value, dict):
        return dict, [(shape(k), shape(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [shape(v) for v in value]
    if isinstance(value, datetime.datetime | datetime.time):
        return type(value), value.isoformat(), value.fold, str(value.tzinfo)
    return type(value), repr(value)


@given(VALUES, VALUES)
def test_different_arguments_have_different_keys(one: Any, other: Any) -> None:
    assert (written(one) == written(other)) == (_unordered(one) == _unordered(other))


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return dict, sorted((repr(_unordered(k)), repr(_unordered(v))) for k, v in value.items())
    if isinstance(value, list | tuple):
        return type(value), [_unordered(v) for v in value]
    return shape(value)


def test_what_looks_alike_is_told_apart() -> None:
    alike: list[Any] = [
        1, "1", True, 1.0, Decimal(1), Decimal("1.0"), b"1", (1,), [1], {1}, frozenset({1}), {1: 1}, ("1",), None, "None", "", 0, False,
        0.0, -0.0,
        (), [], ((),), ("", ""), ("ab", "c"), ("a", "bc"), Colour.RED, Point(1, 2), (1, 2), Line(Point(1, 2)), math.inf,
        datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 1, tzinfo=PARIS),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))), uuid.UUID(int=1), uuid.UUID(int=1).hex,
        datetime.datetime(2026, 10, 25, 2, 30, tzinfo=PARIS), datetime.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=PARIS),
    ]  # fmt: skip
    cache = Cache()
    assert len({cache.key("f", v).name for v in alike}) == len(alike)
    assert cache.key("f", 1, 2) != cache.key("f", (1, 2))
    assert cache.key("f", "x") != cache.key("g", "x")
    assert cache.key("f:1") != cache.key("f", 1)
    assert Cache(version="2").key("f", 1) != cache.key("f", 1)


@pytest.mark.parametrize("value", [object(), Money(1), print, (i for i in ()), [object()], {1: {2: object()}}])
def test_arguments_of_unknown_types_are_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="cannot be part of a cache key"):
        Cache().key("f", value)


def test_a_decorated_function_tells_its_arguments_apart_also_when_it_remembers_them() -> None:
    cache, seen = Cache(), []

    @cache.cached()
    def f(a: Any, b: Any = 2, *rest: Any, **more: Any) -> str:
        seen.append((a, b))
        return repr((a, b, rest, more))

    for _ in range(2):
        for args in ((1,), (True,), ("1",), (1.0,), (0.0,), (-0.0,), (Decimal(1),), (1, 3), ((1,),), ([1],), ((True,),)):
            assert f(*args) == repr((args[0], args[1] if len(args) > 1 else 2, (), {}))
        assert f(1, b=3, c=4) == repr((1, 3, (), {"c": 4}))
        assert f(1, 3, 4) == repr((1, 3, (4,), {}))
    assert f(1, b=2) == f(a=1) == f(1, 2)
    assert len(seen) == 13
    with pytest.raises(TypeError):
        f()  # type: ignore[call-arg]


@given(VALUES)
def test_values_come_back_with_their_types(value: Any) -> None:
    codec = Typed()
    assert shape(codec.loads(codec.dumps(value))) == shape(value)


def test_classes_that_a_type_mentions_come_back_and_others_are_refused() -> None:
    order = Order(uuid.uuid4(), Decimal("9.90"), datetime.datetime.now(PARIS), [Line(Point(1, 2), (Colour.RED,))])
    codec = Typed(dict[str, list[Order] | None])
    assert codec.loads(codec.dumps({"a": [order]})) == {"a": [order]}
    assert codec.loads(codec.dumps({"\0": ["C", "os.system", []]})) == {"\0": ["C", "os.system", []]}
    assert math.isnan(codec.loads(codec.dumps(math.nan)))
    for bad in (order, object(), Money(1), {1: object()}, [range(3)]):
        with pytest.raises(UsageError, match="cannot be cached"):
            Typed().dumps(bad)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="holds itself"):
        codec.dumps(endless)
    for wrong in (b"", b"x", b"j{", b'j{"\\u0000":["C","os.system",[]]}', b'j{"\\u0000":["E","x","y"]}', b"\x80\x04N."):
        with pytest.raises(UnreadableError):
            codec.loads(wrong)


@given(st.binary(max_size=3000), st.integers(0, 2000))
def test_compressed_bytes_come_back(payload: bytes, threshold: int) -> None:
    assert unpacked(*packed(payload * 3, threshold), 100_000) == payload * 3


def test_a_compressed_value_that_grows_too_much_is_unreadable() -> None:
    flag, small = packed(bytes(10_000_000), 1)
    assert flag == "1"
    for most, data in ((1_000_000, small), (100_000_000, small[:-10]), (100_000_000, b"junk")):
        with pytest.raises(UnreadableError):
            unpacked(flag, data, most)


def test_no_tenant_is_served_what_another_ones_is() -> None:
    cache, strict = Cache(), Cache(tenants=True)

    @cache.cached()
    def who(n: int) -> str:
        from pgcharter.runtime.context import current

        return current().tenant

    @cache.cached(shared=True)
    def all_alike(n: int) -> str:
        from pgcharter.runtime.context import current

        return current().tenant

    for _ in range(2):
        for tenant in ("a", "b"):
            with context(tenant=tenant):
                assert who(1) == tenant
                assert all_alike(1) == "a"
        with no_tenant("report"):
            assert who(1) == ""
        assert who(1) == ""
    with context(tenant="a"):
        key = cache.key("x")
        cache.set(key, "of a")
    with context(tenant="b"), pytest.raises(OtherContextError):
        cache.get(key)
    with pytest.raises(UsageError):
        cache.get("x")  # type: ignore[arg-type]
    with pytest.raises(NoTenantError):
        strict.key("x")
    strict.key("x", shared=True)
    with no_tenant("all"):
        strict.key("x")


def test_an_own_tag_touches_the_values_of_one_tenant_and_those_of_all() -> None:
    cache, loads = Cache(tables={"app.orders": own("orders")}), []

    def orders(shared: bool = False) -> int:
        key = cache.key("orders", shared=shared)
        return cache.get_or_load(key, lambda: loads.append(1) or len(loads), tags=(own("orders"),))

    def everyone() -> list[int]:
        found = []
        for tenant in ("a", "b"):
            with context(tenant=tenant):
                found.append(orders())
        return [*found, orders(shared=True)]

    assert everyone() == [1, 2, 3]
    with context(tenant="a"):
        cache.written(["app.orders", "app.other"])
    assert everyone() == [4, 2, 5]
    with no_tenant("maintenance"):
        cache.written(["app.orders"])
    assert everyone() == [6, 7, 8]
    cache.invalidate(tags=("orders",))
    assert everyone() == [9, 10, 11]


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def test_times() -> None:
    clock = Clock()
    cache, loads = Cache(now=clock, jitter=0.5), []
    for n in range(100):
        cache.get_or_load(cache.key("n", n), lambda: 1, ttl=100)
    ends = {round(i.expires - clock.now) for i in cache._core.local.items.values()}  # type: ignore[union-attr]
    assert min(ends) >= 50
    assert max(ends) <= 100
    assert len(ends) > 20
    for value, again in ((None, 20.1), (0, 101), ("", 101), (False, 101)):
        key = cache.key("falsy", value)
        for _ in range(3):
            assert cache.get_or_load(key, lambda v=value: loads.append(v) or v, ttl=100, none_ttl=20) == value  # type: ignore[misc]
        found = cache.lookup(key)
        assert found is not None
        assert found.value == value
        clock.now += again
        assert cache.get(key, "gone") == "gone"
    assert loads == [None, 0, "", False]
    cache.get_or_load(cache.key("none"), lambda: None, none_ttl=0)
    assert cache.lookup(cache.key("none")) is None


def test_an_expired_value_is_served_when_the_loader_fails_but_never_an_invalidated_one() -> None:
    clock = Clock()
    cache = Cache(now=clock, jitter=0)
    answers: list[Any] = ["first"]

    @cache.cached(ttl=10, stale_for=20, tags=("t",))
    def f() -> str:
        if isinstance(answers[0], Exception):
            raise answers[0]
        return str(answers[0])

    assert f() == "first"
    answers[0] = OSError("database gone")
    clock.now += 11
    assert [f(), f()] == ["first", "first"]
    assert cache.metrics.stale_served == 2
    found = cache.lookup(f.key())
    assert found is not None
    assert found.stale
    clock.now += 20
    with pytest.raises(OSError, match="database gone"):
        f()
    answers[0] = "second"
    assert f() == "second"
    answers[0] = OSError("database gone")
    clock.now += 11
    cache.invalidate(tags=("t",))
    with pytest.raises(OSError, match="database gone"):
        f()


def test_a_value_is_loaded_anew_before_its_end_once_and_nobody_waits() -> None:
    clock, go, done = Clock(), threading.Event(), threading.Event()
    cache, loads = Cache(now=clock, jitter=0), [0]

    @cache.cached(ttl=100, refresh=0.8)
    def f() -> int:
        loads[0] += 1
        if loads[0] > 1:
            go.wait(10)
            done.set()
        return loads[0]

    assert f() == 1
    clock.now += 81
    assert [f() for _ in range(10)] == [1] * 10
    go.set()
    assert done.wait(10)
    for _ in range(1000):
        if f() == 2:
            break
        threading.Event().wait(0.001)
    assert [f(), loads[0]] == [2, 2]
    with pytest.raises(UsageError, match="background"):
        cache.cached(refresh=0.5, ignore=("conn",))(lambda conn: 1)


def test_nobody_can_change_what_another_is_given() -> None:
    cache = Cache()

    @cache.cached()
    def f() -> list[int]:
        return [1, 2]

    f().append(3)
    f().append(4)
    assert f() == [1, 2]

    @cache.cached()
    def line() -> Line:
        return Line(Point(1, 2))

    assert line() is line()


def test_sizes() -> None:
    cache, strict = Cache(largest=1000, entries=50), Cache(largest=1000, strict=True)
    assert cache.get_or_load(cache.key("big"), lambda: "x" * 2000) == "x" * 2000
    assert cache.get(cache.key("big")) is None
    assert cache.metrics.oversized == 1
    with pytest.raises(UsageError, match="keeps at most 1000"):
        strict.get_or_load(strict.key("big"), lambda: "x" * 2000)
    for n in range(500):
        cache.get_or_load(cache.key("n", n), lambda: 1)
    assert len(cache._core.local) == 50  # type: ignore[arg-type]
    assert cache.get(cache.key("n", 499)) == 1
    small = Cache(size=10_000)
    for n in range(100):
        small.get_or_load(small.key("n", n), lambda: "x" * 500)
    assert small._core.local.size <= 10_000  # type: ignore[union-attr]


def test_wrong_words() -> None:
    cache = Cache()
    for wrong in ({"ttl": 0}, {"ttl": -1}, {"refresh": 1.5}, {"stale_for": -1}, {"ignore": ("nothing",)}, {"tags": "products"}):
        with pytest.raises(UsageError):
            cache.cached(**wrong)(lambda: 1)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tells nobody"):
        Cache(MemcachedStore(), local=True)
    with pytest.raises(UsageError):
        cache.invalidate(tags=("",))


def test_methods_warming_and_leaving_out() -> None:
    cache = Cache()

    class Shop:
        @cache.cached(ignore=("self",))
        def product(self, number: int, conn: Any = None) -> int:
            return number * 2

    assert Shop().product(2) == Shop().product(2) == 4
    assert cache.metrics.loads == 1

    @cache.cached(ignore=("conn",))
    def stock(conn: Any, product: int) -> int:
        return product

    assert stock(object(), 3) == stock(conn=object(), product=3) == 3
    assert stock.warm([(None, n) for n in range(5)]) == 4
    assert cache.metrics.loads == 6
    assert stock.__name__ == "stock"
    assert stock.uncached(None, 9) == 9
    stock.invalidate(None, 3)
    stock(None, 3)
    assert cache.metrics.loads == 7
    assert cache.metrics.hit_ratio > 0


def test_tasks_share_one_load_and_loops_are_told_apart() -> None:
    cache = AsyncCache()
    loads = []

    @cache.cached(ttl=60)
    async def f(n: int) -> list[int]:
        loads.append(n)
        await asyncio.sleep(0.01)
        return [n]

    async def go() -> list[list[int]]:
        found = await asyncio.gather(*(f(1) for _ in range(20)))
        found[0].append(9)
        return found

    found = asyncio.run(go())
    assert found[0] == [1, 9]
    assert found[1:] == [[1]] * 19
    assert loads == [1]
    with pytest.raises(UsageError, match="another event loop"):
        asyncio.run(f(1))


def test_a_loader_that_fails_fails_for_all_who_wait_and_is_not_kept() -> None:
    async def go() -> None:
        cache, loads = AsyncCache(), []

        async def fail() -> int:
            loads.append(1)
            await asyncio.sleep(0.01)
            raise OSError("database gone")

        key = cache.key("row")
        found = await asyncio.gather(*(cache.get_or_load(key, fail) for _ in range(10)), return_exceptions=True)
        assert {type(f) for f in found} == {OSError}
        assert len(loads) == 1
        assert await cache.get_or_load(key, lambda: asyncio.sleep(0, 5)) == 5

    asyncio.run(go())


def test_writing_behind() -> None:
    cache, database, fail = Cache(), dict[Key, int](), [False]
    key, other = cache.key("row", 1), cache.key("row", 2)

    def write(values: Any) -> None:
        if fail[0]:
            raise OSError("database gone")
        database.update(values)

    behind = WriteBehind(cache, write, interval=60, most=2, wait=0.02)
    cache.get_or_load(key, lambda: 0)
    for value in (1, 2, 3):
        behind.put(key, value)
    assert behind.get(key) == 3
    assert cache.get(key) == 0  # for all others it is not so until it is written
    behind.flush()
    assert database == {key: 3}
    assert cache.get(key) is None
    assert behind.get(key, "none") == "none"
    fail[0] = True
    behind.put(key, 4)
    behind.put(other, 5)
    with pytest.raises(UnavailableError, match="2 values wait"):
        behind.put(cache.key("row", 3), 6)
    with pytest.raises(PgcharterError, match="2 values could not be written"):
        behind.close()
    with pytest.raises(UsageError, match="closed"):
        behind.put(key, 5)
    fail[0] = False
    behind.flush()
    assert database == {key: 4, other: 5}
