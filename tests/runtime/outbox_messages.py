"""Messages as a relay would give them to a target, and an HTTP server that takes them."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pgcharter.runtime.outbox import Message
from pgcharter.runtime.outbox_codec import encode

_positions = itertools.count(1)


def message(payload: Any = None, key: str | None = None, topic: str = "t.a", **more: Any) -> Message:
    binary = isinstance(payload, bytes)
    parts: dict[str, Any] = {
        "id": uuid.uuid4(), "headers": None, "tenant": "", "actor": None, "correlation": None, "created_at": datetime.now(UTC),
    } | more  # fmt: skip
    return Message(
        position=next(_positions), topic=topic, key=key, text=None if binary else encode(payload), data=payload if binary else None, **parts
    )


class Web:
    """What a server was sent, and what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[dict[str, str], bytes], tuple[int, dict[str, str]]] = lambda _headers, _body: (200, {})
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self.url = ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.got.append((path, headers, body))
        try:
            return self.answer(headers, body)
        finally:
            with self._lock:
                self._now -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none."""


@contextmanager
def web(port: int = 0) -> Iterator[Web]:
    """An HTTP server on the loopback."""
    made = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, headers = made.take(self.path, {n.lower(): v for n, v in self.headers.items()}, body)
            self.send_response(status)
            for name, value in {"content-length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", port), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/in"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def until(what: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)
    return found
