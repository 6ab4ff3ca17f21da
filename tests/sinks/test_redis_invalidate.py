"""Caches hear of what writers outside our units of work have done: a cache in Redis, rows in PostgreSQL, psql's way of writing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from tests.sinks import servers
from tests.sinks.conformance import delete, put, shape
from tests.sinks.servers import Store

from pgcharter.policy.sync_settings import SinkTable
from pgcharter.runtime.cache import Cache, RedisStore, own
from pgcharter.runtime.context import context
from pgcharter.sinks import registry
from pgcharter.sinks.redis_invalidate import InvalidatingSink
from pgcharter.stream.errors import SinkDownError
from pgcharter.stream.model import Field, Row, Shape, Stamp

PRODUCTS = shape("products", Field("id", "integer", key=True), Field("price", "integer"))


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with servers.running("redis-server") as running:
        yield running


@pytest.fixture
def sink(server: Store) -> Iterator[InvalidatingSink]:
    made = registry.make(
        SinkTable("cache", "redis", url_env="R", form="invalidate", options={"namespace": "shop"}), environ={"R": server.url}
    )
    assert isinstance(made, InvalidatingSink)
    made.open([PRODUCTS])
    yield made
    made.close()


def _position(conn: psycopg.Connection) -> int:
    found = conn.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
    assert found is not None
    return int(found[0])


def test_a_loader_that_was_overtaken_by_a_raw_writer_fills_nothing(server: Store, sink: InvalidatingSink, database: str) -> None:
    """A reader has the old price, psql commits the new one, the change arrives, the reader stores: refused, and the next reads anew."""
    with Cache(RedisStore(server.url, namespace="shop")) as cache, psycopg.connect(database, autocommit=True) as psql:
        psql.execute("CREATE TABLE products (id integer PRIMARY KEY, price integer)")
        psql.execute("INSERT INTO products VALUES (1, 100)")
        has_read, may_store, answers = threading.Event(), threading.Event(), list[int]()

        @cache.cached(ttl=600, tags=lambda id: [f"products:{id}"])  # noqa: A006
        def price(id: int) -> int:  # noqa: A002
            with psycopg.connect(database) as conn:
                found = conn.execute("SELECT price FROM products WHERE id = %s", (id,)).fetchone()
            assert found is not None
            if threading.current_thread() is not threading.main_thread():
                has_read.set()
                may_store.wait(10)
            return int(found[0])

        reader = threading.Thread(target=lambda: answers.append(price(1)))
        reader.start()
        assert has_read.wait(10)
        at = _position(psql)
        psql.execute("UPDATE products SET price = 200 WHERE id = 1")
        sink.write([put(PRODUCTS, at, 1, price=200)], Stamp(at, 1))
        may_store.set()
        reader.join()
        assert answers == [100]
        assert price(1) == 200
        psql.execute("UPDATE products SET price = 300 WHERE id = 1")
        assert price(1) == 200, "the change has not arrived yet: this is what is cached"
        sink.write([put(PRODUCTS, at + 1000, 1, price=300)], Stamp(at + 1000, 1))
        assert price(1) == 300


def test_whose_values_go(server: Store, sink: InvalidatingSink) -> None:
    """Those of the table's tag, of the row's tag, and every tenant's own; others stay."""
    with Cache(RedisStore(server.url, namespace="shop")) as cache:
        kept = {"table": ["products"], "row": ["products:1"], "other row": ["products:2"], "other": ["customers"]}

        def fill() -> None:
            for name, tags in kept.items():
                cache.set(cache.key(name), name, tags=tags)
            with context(tenant="t1"):
                cache.set(cache.key("own"), "own", tags=[own("products")])

        def left() -> set[str]:
            found = {name for name in kept if cache.get(cache.key(name))}
            with context(tenant="t1"):
                return found | ({"own"} if cache.get(cache.key("own")) else set())

        everything = {*kept, "own"}
        fill()
        assert left() == everything
        sink.write([put(PRODUCTS, 10, 1, price=1)], Stamp(10, 1))
        assert left() == {"other row", "other"}
        fill()
        sink.write([delete(PRODUCTS, 11, 2)], Stamp(11, 1))
        assert left() == {"row", "other"}
        fill()
        sink.write([Row(PRODUCTS, "put", (1,), {"id": 1, "price": 1}, Stamp(12, 0))], Stamp(12, 0))
        assert left() == {"row", "other row", "other"}, "a seeded row is no change"
        fill()
        sink.write([Row(PRODUCTS, "clear", (), {}, Stamp(13, 1))], Stamp(13, 1))
        assert left() == set()


def test_a_fill_that_read_before_the_commit_is_refused_by_its_version(server: Store, sink: InvalidatingSink) -> None:
    """A replica's answer: the position it was read at is that of the commit's record, which it has not applied."""
    sink.write([put(PRODUCTS, 1 << 40, 1, price=2)], Stamp(1 << 40, 1))
    with Cache(RedisStore(server.url, namespace="shop")) as cache:
        cache.set(cache.key("p"), "old", tags=["products:1"], version=1 << 40)
        assert cache.get(cache.key("p")) is None
        cache.set(cache.key("p"), "new", tags=["products:1"], version=(1 << 40) + 8)
        assert cache.get(cache.key("p")) == "new"


def test_the_stamp_is_kept_and_a_cache_of_before_is_not_trusted(server: Store, sink: InvalidatingSink) -> None:
    of = Shape("products", PRODUCTS.fields, "app.products")
    sink.write([put(of, n, n, price=n) for n in range(1, 2000)], Stamp(2000, 3))
    assert sink.open([of]) == Stamp(2000, 3)
    other = InvalidatingSink(server.url, "another", namespace="shop")
    with Cache(RedisStore(server.url, namespace="shop")) as cache:
        cache.set(cache.key("p"), "of before", tags=["products:1"])
        assert other.open([of]) is None
        assert cache.get(cache.key("p")) is None
    other.close()


def test_down_and_back() -> None:
    with servers.running("redis-server") as server:
        sink = InvalidatingSink(server.url, "cache")
        sink.open([PRODUCTS])
        sink.write([put(PRODUCTS, 1, 1, price=1)], Stamp(1, 1))
        server.kill()
        for _ in range(2):
            with pytest.raises(SinkDownError):
                sink.write([put(PRODUCTS, 2, 1, price=1)], Stamp(2, 1))
            with pytest.raises(SinkDownError):
                sink.open([PRODUCTS])
        server.start()
        assert sink.open([PRODUCTS]) is None
        sink.write([put(PRODUCTS, 2, 1, price=1)], Stamp(2, 1))
        sink.close()
        sink.close()
