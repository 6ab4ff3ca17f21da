"""Changes as messages in NATS JetStream: the conformance suite, seen by a reader that goes by `order`, and what only NATS can do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError
from tests.sinks import servers
from tests.sinks.conformance import Harness, Partial, Rows, delete, put, shape, whole
from tests.sinks.servers import Store

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks import nats_json, registry
from pgcharter.sinks.nats import NatsSink, subject
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Field, Shape, Stamp


@pytest.fixture(scope="module")
def kept() -> Iterator[Store]:
    with servers.running("nats-server") as server:
        yield server


@pytest.fixture
def server(kept: Store) -> Iterator[Store]:
    """With no streams."""

    async def empty(js: JetStreamContext) -> None:
        for stream in await js.streams_info():
            await js.delete_stream(stream.config.name or "")

    asked(kept, empty)
    yield kept
    if kept.process is None:
        kept.start()


def asked(server: Store, what: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
    """Ask the server over a connection of its own."""

    async def run() -> Any:
        client = await nats.connect(server.url, allow_reconnect=False)
        try:
            return await what(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


def messages(server: Store, to: str) -> list[dict[str, Any]]:
    """Bodies of all messages of a subject, in the order of the stream."""

    async def read(js: JetStreamContext) -> list[dict[str, Any]]:
        try:
            reader = await js.subscribe(to, ordered_consumer=True)
        except NotFoundError:
            return []
        info = await reader.consumer_info()
        count = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
        return [json.loads((await reader.next_msg(5)).data) for _ in range(count)]

    return asked(server, read)  # type: ignore[no-any-return]


class NatsHarness(Harness):
    def __init__(self, server: Store) -> None:
        self.server = server

    def sink(self) -> NatsSink:
        return NatsSink(self.server.url, "copy")

    def rows(self, shape: Shape) -> Rows:
        """As a reader has them that applies what is later than what it has."""
        found: dict[str, dict[str, Any]] = {}
        for body in sorted(messages(self.server, subject("", shape.to)), key=lambda body: body["order"]):
            key = json.dumps(body["key"])
            if body["op"] == "clear":
                found = {k: row for k, row in found.items() if row["order"] >= body["order"]}
            elif body["op"] == "delete":
                found.pop(key, None)
            elif key in found or not body["unchanged"]:
                found[key] = {"order": body["order"], "row": {**found.get(key, {"row": {}})["row"], **body["values"]}}
        rows = [{f.name: row["row"].get(f.name) for f in shape.fields} for row in found.values()]
        numeric = {f.name for f in shape.fields if f.type == "numeric"}
        rows = [{n: str(v) if n in numeric and type(v) is int else v for n, v in row.items()} for row in rows]
        return {tuple(row[name] for name in shape.key): row for row in rows}

    def value(self, field: Field, value: Any) -> Any:
        return nats_json.plain(value)

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def spoil(self, shape: Shape) -> None:
        asked(self.server, lambda js: js.add_stream(api.StreamConfig(name="other", subjects=[shape.to], no_ack=True)))

    def fill(self) -> Callable[[], None]:
        async def limit(js: JetStreamContext, room: int | None) -> None:
            info = await js.stream_info("copy")
            config, size = info.config, info.state.bytes
            config.max_bytes = -1 if room is None else size + room
            config.discard = api.DiscardPolicy.NEW
            await js.update_stream(config)

        asked(self.server, lambda js: limit(js, 100_000))
        return lambda: asked(self.server, lambda js: limit(js, None))


class TestNats(Partial):
    @pytest.fixture
    def harness(self, server: Store) -> NatsHarness:
        return NatsHarness(server)


def test_a_body_says_everything(server: Store) -> None:
    of = shape("shop.acme.orders")
    sink = NatsSink(server.url, "copy")
    assert sink.open([of]) is None
    sink.write([put(of, Stamp(0x16B3748, 2), 1, name="ü", amount=None), delete(of, Stamp(0x16B3748, 3), 2)], Stamp(0x16B3748, 3))
    first, second = messages(server, "shop.acme.orders")
    assert first == {
        "op": "put", "table": "app.orders", "to": "shop.acme.orders", "key": {"id": 1}, "values": {"id": 1, "name": "ü", "amount": None},
        "unchanged": ["body"], "stamp": {"lsn": "0/16B3748", "ordinal": 2}, "order": "00000000016b37480000000000000002",
    }  # fmt: skip
    assert (second["op"], second["key"], second["values"], second["unchanged"]) == ("delete", {"id": 2}, {}, [])
    sink.close()


def test_what_is_sent_again_is_stored_once_and_in_order(server: Store) -> None:
    of, sink = shape(), NatsSink(server.url, "copy")
    sink.open([of])
    rows = [whole(of, n, n % 7) for n in range(1, 2501)]
    for at in range(0, len(rows), 700):
        sink.write(rows[max(0, at - 300) : at + 700], rows[min(at + 700, len(rows)) - 1].stamp)
    orders = [body["order"] for body in messages(server, "orders")]
    assert len(orders) == len(rows)
    assert orders == sorted(orders)
    sink.close()


def test_killed_while_it_writes(server: Store) -> None:
    """What the stamp says is there, and sent again nothing is missing."""
    of, sink = shape(), NatsSink(server.url, "copy")
    sink.open([of])
    rows = [whole(of, n, n) for n in range(1, 30_001)]
    killer = threading.Timer(0.2, server.kill)
    killer.start()
    with pytest.raises(SinkDownError):  # noqa: PT012
        for at in range(0, len(rows), 1000):
            sink.write(rows[at : at + 1000], rows[at + 999].stamp)
    killer.join()
    server.start()
    stamp = sink.open([of])
    at = stamp.lsn if stamp else 0
    assert len(messages(server, "orders")) >= at
    sink.write(rows[at : at + 3000], rows[at + 2999].stamp)
    assert {body["key"]["id"] for body in messages(server, "orders")} >= set(range(1, at + 3001))
    sink.close()


def test_a_stream_that_is_gone_has_no_stamp(server: Store) -> None:
    of, sink = shape(), NatsSink(server.url, "copy")
    sink.open([of])
    sink.write([whole(of, 1, 1)], Stamp(1, 1))
    asked(server, lambda js: js.delete_stream("copy"))
    with pytest.raises(SinkDownError, match="no stream of NATS takes"):
        sink.write([whole(of, 2, 2)], Stamp(2, 1))
    assert sink.open([of]) is None
    assert sink.open([of]) == Stamp(0, 0), "that it was gone is forgotten"
    sink.close()


def test_a_stamp_never_goes_back(server: Store) -> None:
    """A batch beside the worker gives back what was kept when it was opened."""
    of = shape()
    worker, batch = NatsSink(server.url, "copy"), NatsSink(server.url, "copy")
    worker.open([of])
    worker.write([whole(of, 1, 1)], Stamp(5, 1))
    kept = batch.open([of])
    assert kept is not None
    worker.write([whole(of, 2, 6)], Stamp(6, 1))
    batch.write([whole(of, 3, 4)], kept)
    batch.close()
    assert worker.open([of]) == Stamp(6, 1)
    worker.close()


def test_a_stream_of_somebody_else_is_used(server: Store) -> None:
    asked(server, lambda js: js.add_stream(api.StreamConfig(name="all", subjects=["shop.>"])))
    of = shape("orders")
    table = SinkTable("bus", "nats", url_env="N", options={"prefix": "shop."})
    sink = registry.make(table, environ={"N": server.url})
    sink.open([of])
    sink.write([whole(of, 1, 1)], Stamp(1, 1))
    assert [body["to"] for body in messages(server, "shop.orders")] == ["orders"]
    assert sink.open([of]) == Stamp(1, 1)
    sink.close()


def test_too_large_and_wrong_names(server: Store) -> None:
    of, sink = shape(), NatsSink(server.url, "copy")
    sink.open([of])
    with pytest.raises(SinkRefusedError, match=r"row \(1,\) of orders makes a message of 2\d{6} bytes"):
        sink.write([whole(of, 1, 1, body="x" * 2_000_000)], Stamp(1, 1))
    sink.open([of])
    with pytest.raises(SinkRefusedError, match="may be empty"):
        sink.write([whole(shape("a..b"), 1, 1)], Stamp(1, 1))
    assert subject("", "a b*>ü$") == "a%20b%2A%3E%C3%BC%24"
    with pytest.raises(CharterError, match="option acks"):
        registry.make(SinkTable("bus", "nats", url_env="N", options={"acks": "1"}), environ={"N": server.url})
    sink.close()


def test_a_server_that_hangs_is_down(server: Store) -> None:
    sink = NatsSink(server.url, "copy", timeout=0.3)
    sink.open([shape()])
    server.freeze()
    try:
        with pytest.raises(SinkDownError):
            sink.write([whole(shape(), 1, 1)], Stamp(1, 1))
    finally:
        server.thaw()
    sink.close()
