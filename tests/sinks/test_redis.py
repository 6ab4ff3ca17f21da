"""Copies in Redis: the conformance suite on redis-server, and what only Redis can do to us."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.sinks import servers
from tests.sinks.conformance import Conformance, Harness, Partial, Rows, delete, put, shape, whole
from tests.sinks.servers import Store

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks import nats_json, registry
from pgcharter.sinks.redis import RedisSink, make
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Field, Row, Shape, Stamp

_DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture(scope="module")
def kept() -> Iterator[Store]:
    """A Redis that forgets nothing."""
    with servers.running("redis-server", *_DURABLE) as server:
        yield server


@pytest.fixture
def server(kept: Store) -> Iterator[Store]:
    with _client(kept) as client:
        client.config_set("maxmemory", "0")
        client.flushall()
    yield kept
    if kept.process is None:
        kept.start()


def _client(server: Store) -> redis.Redis:
    return redis.Redis(port=server.port, decode_responses=True)


class RedisHarness(Harness):
    form = "hash"

    def __init__(self, server: Store) -> None:
        self.server = server

    def sink(self) -> RedisSink:
        return RedisSink(self.server.url, "copy", form=self.form)

    def rows(self, shape: Shape) -> Rows:
        """Without the sink's own reading: keys by their prefix."""
        with _client(self.server) as client:
            found: Rows = {}
            for name in client.scan_iter(match="*", count=1000):
                if name.startswith(f"{shape.to}:"):
                    row = self._row(client, name)
                    row = {f.name: row.get(f.name) for f in shape.fields}
                    found[tuple(row[n] for n in shape.key)] = row
            return found

    def _row(self, client: redis.Redis, name: str) -> dict[str, Any]:
        return client.hgetall(name)  # type: ignore[return-value]

    def value(self, field: Field, value: Any) -> Any:
        from pgcharter.stream import values

        return None if value is None else values.text(value, ";" if field.type == "box[]" else ",")

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def spoil(self, shape: Shape) -> None:
        with _client(self.server) as client:
            client.lpush(f"{shape.to}:1", "a list")

    def fill(self) -> Callable[[], None]:
        with _client(self.server) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)

        def room() -> None:
            with _client(self.server) as client:
                client.config_set("maxmemory", 0)

        return room


class JsonHarness(RedisHarness):
    form = "json"

    def _row(self, client: redis.Redis, name: str) -> dict[str, Any]:
        return json.loads(client.get(name))  # type: ignore[arg-type, no-any-return]

    def rows(self, shape: Shape) -> Rows:
        """A number whose column has become numeric since is what it is."""
        numeric = {f.name for f in shape.fields if f.type == "numeric"}
        found = super().rows(shape).items()
        return {k: {n: str(v) if n in numeric and type(v) is int else v for n, v in row.items()} for k, row in found}

    def value(self, field: Field, value: Any) -> Any:
        return nats_json.plain(value)


class TestHash(Partial):
    @pytest.fixture
    def harness(self, server: Store) -> RedisHarness:
        return RedisHarness(server)


class TestJson(Conformance):
    @pytest.fixture
    def harness(self, server: Store) -> JsonHarness:
        return JsonHarness(server)


def _opened(server: Store, **options: Any) -> RedisSink:
    sink = RedisSink(server.url, "copy", **options)
    sink.open([])
    return sink


def test_a_server_that_has_forgotten_everything_is_noticed() -> None:
    """By the next write, which reaches the new process without an error of the network; and at open, which then has no stamp."""
    of = shape()
    with servers.running("redis-server") as server:
        sink = _opened(server)
        sink.write([whole(of, 1, 1)], Stamp(1, 1))
        server.kill()
        server.start()
        with pytest.raises(SinkDownError):
            sink.write([whole(of, 2, 2)], Stamp(2, 1))
        assert sink.open([of]) is None
        with _client(server) as client:
            client.flushall()
        with pytest.raises(SinkDownError, match="lost everything"):
            sink.write([whole(of, 3, 3)], Stamp(3, 1))
        sink.close()


def test_a_server_that_has_lost_its_last_writes_is_noticed(tmp_path: Path) -> None:
    """It comes back with an old copy: rows and stamp of one moment, and the writer hears of it."""
    of = shape()
    with servers.running("redis-server", "--dbfilename", "old.rdb") as server:
        sink = _opened(server)
        sink.write([whole(of, 1, 1)], Stamp(1, 1))
        with _client(server) as client:
            client.save()
        sink.write([whole(of, 2, 2)], Stamp(2, 1))
        server.kill()
        server.start()
        with pytest.raises(SinkDownError):
            sink.write([whole(of, 3, 3)], Stamp(3, 1))
        assert sink.open([of]) == Stamp(1, 1)
        assert RedisHarness(server).rows(of).keys() == {("1",)}
        sink.close()


def test_killed_while_it_writes(kept: Store, server: Store) -> None:
    """Every moment: what is there afterwards is what the stamp says, or newer; sent again, all is there once."""
    import threading
    import time

    of, sink = shape(), _opened(server)
    rows = [whole(of, n, n, body="x" * 50) for n in range(1, 60_001)]
    at, kept_stamp = 0, 0
    killer = threading.Timer(0.3, server.kill)
    killer.start()
    with pytest.raises(SinkDownError):  # noqa: PT012
        while at < len(rows):
            sink.write(rows[at : at + 2000], rows[at + 1999].stamp)
            at += 2000
            kept_stamp = at
            time.sleep(0.01)
    killer.join()
    server.start()
    stamp = sink.open([of])
    assert (stamp.lsn if stamp else 0) in (kept_stamp, kept_stamp + 2000)
    at = stamp.lsn if stamp else 0
    assert {(str(n),) for n in range(1, at + 1)} <= RedisHarness(server).rows(of).keys()
    sink.write(rows[at : at + 4000], rows[at + 3999].stamp)
    assert len(list(sink.read(of, None, None))) == at + 4000
    sink.close()


def test_a_second_writer_shuts_out_the_first(server: Store) -> None:
    of, first = shape(), _opened(server)
    first.write([whole(of, 1, 1)], Stamp(1, 1))
    second = _opened(server)
    with pytest.raises(SinkDownError, match="another writer"):
        first.write([whole(of, 9, 1)], Stamp(9, 1))
    second.write([whole(of, 2, 1, name="second")], Stamp(2, 1))
    assert RedisHarness(server).rows(of)[("1",)]["name"] == "second"
    first.close()
    second.close()


def test_a_server_that_hangs_is_down(server: Store) -> None:
    sink = _opened(server, timeout=0.2)
    server.freeze()
    try:
        with pytest.raises(SinkDownError, match="does not answer"):
            sink.write([whole(shape(), 1, 1)], Stamp(1, 1))
    finally:
        server.thaw()
    sink.close()


def test_what_failed_must_be_opened_anew(server: Store) -> None:
    """A piece that was refused does not let later ones through, nor the stamp."""
    of, sink = shape(), _opened(server)
    with _client(server) as client:
        client.set("orders:700", "mine")
    with pytest.raises(SinkRefusedError, match="orders:700 is a string"):
        sink.write([whole(of, 1, n) for n in range(1, 3000)], Stamp(1, 1))
    with pytest.raises(SinkDownError, match="opened anew"):
        sink.write([], Stamp(2, 1))
    assert sink.open([of]) is None
    with _client(server) as client:
        assert client.exists("orders:1", "orders:2998") == 1
    sink.close()


@pytest.mark.parametrize("form", ["hash", "json"])
def test_rows_are_read_back(server: Store, form: str) -> None:
    """As Python values with their stamps; deleted and evicted ones are not there."""
    fields = (
        Field("id", "bigint", key=True),
        Field("at", "timestamp with time zone", key=True),
        Field("n", "numeric"),
        Field("a", "integer[]"),
    )
    of = Shape("t", (*fields, Field("f", "real"), Field("b", "bytea")), "app.t")
    from datetime import UTC, datetime

    rows = [
        put(of, n, n, datetime(2024, 1, n, tzinfo=UTC), n=Decimal("1.50"), a=[1, None], f=float(n), b=b"\x00") for n in range(1, 6)
    ] + [put(of, 6, 6, "infinity", n=None, a=None, f=None, b=None)]  # fmt: skip
    sink = _opened(server, form=form)
    sink.write([*rows, delete(of, 7, *rows[0].key)], Stamp(7, 1))
    with _client(server) as client:
        client.delete(next(name for name in client.keys("t:2:*")))
    found = {s.key: s for s in sink.read(of, None, None)}
    assert {s.key: (s.values, s.stamp) for s in found.values()} == {r.key: (dict(r.values), r.stamp) for r in rows[2:]}
    some = {s.key[0] for s in sink.read(of, (2, datetime(2024, 1, 2, tzinfo=UTC)), (4, datetime(2024, 1, 4, tzinfo=UTC)))}
    assert some == {3, 4}
    sink.close()


def test_tombstones_end(server: Store) -> None:
    of, sink = shape(), _opened(server, tombstones=0)
    sink.write([whole(of, 1, n) for n in (1, 2)], Stamp(1, 1))
    sink.write([delete(of, 2, 1), delete(of, 3, 2), whole(of, 4, 2)], Stamp(4, 1))
    for n in range(5, 60):
        sink.write([], Stamp(n, 1))
    with _client(server) as client:
        assert client.hgetall("pgcharter:copy:of:orders").keys() == {"2"}
        assert client.zcard("pgcharter:copy:dead") == 0
    sink.close()


def test_prefix_and_names(server: Store) -> None:
    """With a hash tag all keys of a copy are in one slot of a cluster."""
    of = shape("orders", Field("a", "text", key=True), Field("b", "text", key=True))
    sink = _opened(server, prefix="{shop}:")
    sink.write([put(of, 1, "x:y%", "ü")], Stamp(1, 1))
    with _client(server) as client:
        assert all(name.startswith("{shop}:") for name in client.scan_iter())
        assert client.hgetall("{shop}:orders:x%3Ay%25:ü") == {"a": "x:y%", "b": "ü"}
    sink.close()


def test_clearing_many_in_pieces(server: Store) -> None:
    of, other, sink = shape(), shape("other"), _opened(server)
    sink.write([whole(of, 1, n) for n in range(20_000)] + [whole(other, 1, 1)], Stamp(1, 1))
    sink.write([Row(of, "clear", (), {}, Stamp(2, 1)), whole(of, 3, 7)], Stamp(3, 1))
    assert RedisHarness(server).rows(of).keys() == {("7",)}
    with _client(server) as client:
        assert client.exists("other:1")
        assert client.hlen("pgcharter:copy:of:orders") == 1
    sink.close()


def test_a_server_that_drops_any_key_is_refused(server: Store) -> None:
    with _client(server) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", 100_000_000)
        sink = RedisSink(server.url, "copy")
        try:
            with pytest.raises(SinkRefusedError, match="allkeys-lru"):
                sink.open([])
        finally:
            client.config_set("maxmemory-policy", "noeviction")
        assert sink.open([]) is None
        sink.close()


def test_what_the_charter_says(server: Store) -> None:
    table = SinkTable("hot", "redis", url_env="R", form="json", options={"prefix": "p:"})
    sink = registry.make(table, environ={"R": server.url})
    assert sink.open([]) is None
    assert sink.whole
    sink.write([whole(shape(), 1, 1)], Stamp(1, 1))
    with _client(server) as client:
        assert json.loads(client.get("p:orders:1"))["amount"] == "1.50"  # type: ignore[arg-type]
    sink.close()
    with pytest.raises(CharterError, match="form 'tree'"):
        make(SinkTable("hot", "redis", form="tree"), "", Path())
    with pytest.raises(CharterError, match="option ttl"):
        make(SinkTable("hot", "redis", options={"ttl": "1"}), "", Path())


def test_on_valkey() -> None:
    """The short way through, on the server of the other family."""
    of = shape()
    with ExitStack() as stack:
        server = stack.enter_context(servers.running("valkey"))
        sink = _opened(server)
        sink.write([whole(of, 1, 1), whole(of, 2, 2), put(of, 3, 1, name=None), delete(of, 4, 2)], Stamp(4, 1))
        assert sink.open([of]) == Stamp(4, 1)
        assert [(s.key, s.values["name"], s.stamp.lsn) for s in sink.read(of, None, None)] == [((1,), None, 3)]
        sink.close()


def test_a_login_that_is_not_let_in_is_refused(server: Store) -> None:
    with _client(server) as client:
        client.acl_setuser("nobody", enabled=True, passwords=["+pa:ss"], commands=["+ping"])
    for who, password in (("nobody", "wrong"), ("nobody", "pa%3Ass")):
        sink = RedisSink(f"redis://{who}:{password}@127.0.0.1:{server.port}", "copy")
        with pytest.raises(SinkRefusedError, match="does not let us in") as refused:
            sink.open([])
        assert "pa:ss" not in refused.value.message
        sink.close()


@pytest.mark.parametrize("form", ["hash", "json"])
def test_keys_of_others_are_told_and_left(server: Store, form: str) -> None:
    """Beside rows of this copy, of another whose name begins the same, and of another sink: what nobody copied."""
    of, inner, sink = shape(), Shape("things:a", shape().fields, "app.a"), _opened(server, form=form)
    of = Shape("things", of.fields, of.source)
    sink.write([*(whole(of, 1, n) for n in range(1, 4)), whole(inner, 1, 1), whole(of, 1, 9), delete(of, 2, 9)], Stamp(2, 1))
    other = RedisSink(server.url, "second", form=form)
    other.open([inner])
    other.write([whole(inner, 1, 5)], Stamp(1, 1))
    assert list(sink.foreign([of, inner])) == []
    with _client(server) as client:
        client.set("things:cache", "mine")
        client.rpush("things:9", "again")
        client.delete("things:3")
        client.zadd("things:3", {"x": 1})
        client.set("thingsx:1", "elsewhere")
        assert {s.key for s in sink.read(of, None, None)} == {(1,), (2,)}
        assert sorted(sink.foreign([of, inner])) == ["things:3", "things:9", "things:cache"]
        with pytest.raises(SinkRefusedError, match="things:3 is a zset"):
            sink.write([whole(of, 5, 3)], Stamp(5, 1))
        sink.open([of])
        sink.write([delete(of, 6, 3), Row(of, "clear", (), {}, Stamp(7, 1))], Stamp(7, 1))
        assert sorted(client.keys("things*")) == ["things:3", "things:9", "things:a:1", "things:a:5", "things:cache", "thingsx:1"]
    for one in (sink, other):
        one.close()


@pytest.mark.parametrize("form", ["hash", "json"])
def test_rows_that_cannot_be_understood_are_different(server: Store, form: str) -> None:
    of, sink = Shape("t", (Field("id", "bigint", key=True), Field("n", "numeric")), "app.t"), _opened(server, form=form)
    sink.write([put(of, 1, n, n=Decimal(1)) for n in (1, 2, 3)], Stamp(1, 1))
    with _client(server) as client:
        if form == "hash":
            client.hset("t:1", "n", "many")
        else:
            client.set("t:1", "{")
            client.set("t:3", "[1]")
    found = {s.key: s.values for s in sink.read(of, None, None)}
    assert len(found) == 3
    assert found[1,] != {"id": 1, "n": Decimal(1)}
    assert found[2,] == {"id": 2, "n": Decimal(1)}
    sink.close()
