"""Changes posted to a URL: the conformance suite before a real HTTP server that checks signatures and keeps what `order` says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.sinks.conformance import Harness, Partial, Rows, clear, delete, put, shape, whole
from tests.sinks.servers import free_port

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.runtime.targets_signing import verify_webhook
from pgcharter.sinks import nats_json
from pgcharter.sinks.webhook import WebhookSink, make
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Field, Shape, Stamp

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXMgIS4u"


class Receiver:
    """A server that takes batches; it keeps them over a restart."""

    def __init__(self) -> None:
        self.port = free_port()
        self.batches: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.status: Callable[[dict[str, Any]], int] = lambda batch: 204
        self.server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                message_id = verify_webhook(body, dict(self.headers), {"default": SECRET})
                batch = json.loads(body)
                status = receiver.status(batch)
                if status < 300:
                    receiver.batches.append(batch)
                    receiver.ids.append(message_id)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def bodies(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch["rows"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


class WebhookHarness(Harness):
    keeps_stamp = False

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def sink(self) -> WebhookSink:
        return WebhookSink(self.receiver.url, "copy", secrets={"default": SECRET})

    def rows(self, shape: Shape) -> Rows:
        """As a receiver has them that applies what is later than what it has."""
        found: dict[str, dict[str, Any]] = {}
        for body in sorted((b for b in self.receiver.bodies() if b["to"] == shape.to), key=lambda body: body["order"]):
            key = json.dumps(body["key"])
            if body["op"] == "clear":
                found = {k: row for k, row in found.items() if row["order"] >= body["order"]}
            elif body["op"] == "delete":
                found.pop(key, None)
            elif key in found or not body["unchanged"]:
                found[key] = {"order": body["order"], "row": {**found.get(key, {"row": {}})["row"], **body["values"]}}
        numeric = {f.name for f in shape.fields if f.type == "numeric"}
        rows = [{f.name: row["row"].get(f.name) for f in shape.fields} for row in found.values()]
        rows = [{n: str(v) if n in numeric and type(v) is int else v for n, v in row.items()} for row in rows]
        return {tuple(row[name] for name in shape.key): row for row in rows}

    def value(self, field: Field, value: Any) -> Any:
        return nats_json.plain(value)

    def stop(self) -> None:
        self.receiver.stop()

    def start(self) -> None:
        self.receiver.start()

    def spoil(self, shape: Shape) -> None:
        self.receiver.status = lambda batch: 422 if any(row["to"] == shape.to for row in batch["rows"]) else 204

    def fill(self) -> Callable[[], None]:
        self.receiver.status = lambda batch: 507

        def room() -> None:
            self.receiver.status = lambda batch: 204

        return room


class TestWebhook(Partial):
    @pytest.fixture
    def harness(self, receiver: Receiver) -> WebhookHarness:
        return WebhookHarness(receiver)


def test_a_batch_says_how_far_it_is(receiver: Receiver) -> None:
    """In its last request only; the same batch has the same id."""
    of, sink = shape(), WebhookSink(receiver.url, "copy", secrets={"default": SECRET})
    rows = [*[whole(of, n, n) for n in range(1, 1200)], delete(of, 1200, 1), clear(of, 1201), put(of, 1202, 5, name="x")]
    for _ in range(2):
        sink.write(rows, Stamp(1202, 1))
    first, again = receiver.batches[:3], receiver.batches[3:]
    assert first == again
    assert receiver.ids[:3] == receiver.ids[3:]
    assert len(set(receiver.ids)) == 3
    assert [batch["upto"] for batch in first] == [None, None, f"{1202:016x}{1:016x}"]
    assert [len(batch["rows"]) for batch in first] == [500, 500, 202]
    assert first[2]["rows"][-1]["unchanged"] == ["amount", "body"]
    assert first[2]["rows"][-2]["op"] == "clear"
    sink.write([], Stamp(2000, 1))
    sink.close()


@pytest.mark.parametrize(
    ("status", "error"), [(500, SinkDownError), (429, SinkDownError), (401, SinkRefusedError), (302, SinkRefusedError)]
)
def test_answers_other_than_yes(receiver: Receiver, status: int, error: type[Exception]) -> None:
    """Nothing after the request that failed is sent."""
    of, sink = shape(), WebhookSink(receiver.url, "copy", secrets={"default": SECRET})
    receiver.status = lambda batch: status if any(row["key"].get("id") == 600 for row in batch["rows"]) else 204
    with pytest.raises(error, match=f"answered {status}"):
        sink.write([whole(of, n, n) for n in range(1, 1600)], Stamp(1600, 1))
    assert len(receiver.batches) == 1
    sink.close()


def test_what_the_charter_says(receiver: Receiver, tmp_path: Any) -> None:
    table = SinkTable("partner", "webhook", options={"secret_env": "S", "topic": "shop"})
    sink = make(table, receiver.url, tmp_path, {"S": SECRET})
    assert sink.open([]) is None
    assert receiver.batches == [{"format": "pgcharter-changes", "version": 1, "sink": "partner", "upto": None, "rows": []}]
    sink.close()
    with pytest.raises(CharterError, match="S is not set"):
        make(table, receiver.url, tmp_path, {})
    with pytest.raises(CharterError, match="option retries"):
        make(SinkTable("partner", "webhook", options={"retries": "3"}), receiver.url, tmp_path)
