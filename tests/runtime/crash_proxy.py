"""A proxy before a server that reads along and does something at an exact message: cut, or have the server or a process die.

with Proxy(server) as proxy:
    proxy.arm("commit done", act)       # once, on the next unit of work that passes
    psycopg.connect(proxy.dsn(server))
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgcharter.servers.lifecycle import Server

Act = Callable[[int], None]
"""Called with the process id of the backend."""
POINTS = (
    "before begin", "after begin", "after statement 1", "after statement 2", "after statement 3",
    "commit held", "commit sent", "commit done", "after commit",
)  # fmt: skip
"""`commit held`: it reaches the proxy and goes no further; `sent`: it is passed on and nothing is waited for; `done`: the server's answer
is there, and the client never sees it."""


class Proxy:
    """Passes connections on to the socket of a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._point, self._act = "", None
        self._lock = threading.Lock()
        self._pairs: list[Pair] = []
        self.fired = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def dsn(self, database: str) -> str:
        """The DSN of a database, through here."""
        given: dict[str, Any] = conninfo_to_dict(database)
        return make_conninfo("", **{**given, "host": "127.0.0.1", "port": self.port, "sslmode": "disable", "gssencmode": "disable"})

    def arm(self, point: str, act: Act | None) -> None:
        """Do something once, at a point of the next unit of work that may write; None: cut the connection."""
        assert point in POINTS
        self.fired.clear()
        self._point, self._act = point, act

    def disarm(self) -> None:
        self._point = ""

    def at(self, point: str, pair: Pair) -> bool:
        """Whether it is to happen there; it is done, and the connection is cut."""
        with self._lock:
            if point != self._point:
                return False
            self._point = ""
        if self._act is not None:
            self._act(pair.pid)
        pair.cut()
        self.fired.set()
        return True

    def cut_all(self) -> None:
        """Reset every connection there is."""
        for pair in list(self._pairs):
            pair.cut()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            pair = Pair(self, client)
            self._pairs.append(pair)
            threading.Thread(target=pair.run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.cut_all()


class Pair:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.backend = socket.socket(socket.AF_UNIX)
        self.pid = 0
        self._started = False
        self._work = 0
        """Answers since the unit of work began; 0 outside of one."""
        self._committing = False
        self._up = self._down = b""

    def cut(self) -> None:
        """Reset both sides."""
        for each in (self.client, self.backend):
            try:
                if each is self.client:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR) if each is self.backend else None
                each.close()
            except OSError:
                pass

    def run(self) -> None:
        """Pass messages both ways until one side is gone."""
        try:
            self.backend.connect(str(self.proxy.server.socket_dir / f".s.PGSQL.{self.proxy.server.port}"))
            while True:
                ready, _, _ = select.select([self.client, self.backend], [], [])
                for side in ready:
                    data = side.recv(65536)
                    if not data or not (self._from_client(data) if side is self.client else self._from_backend(data)):
                        return
        except (OSError, ValueError):
            pass
        finally:
            self.cut()
            self.proxy._pairs.remove(self)

    def _from_client(self, data: bytes) -> bool:
        self._up += data
        while True:
            head = 1 if self._started else 0
            if len(self._up) < head + 4:
                return True
            size = head + int.from_bytes(self._up[head : head + 4], "big")
            if len(self._up) < size:
                return True
            message, self._up = self._up[:size], self._up[size:]
            self._started = self._started or int.from_bytes(message[4:8], "big") == 196608 or message[4:6] == b"\0\3"
            if not self._sends(message):
                return False

    def _sends(self, message: bytes) -> bool:
        if message[:1] == b"Q" and b"pg_current_xact_id()" in message:
            if self.proxy.at("before begin", self):
                return False
            self._work = 1
        if self._work and message[:1] == b"Q" and message[5:11] == b"COMMIT":
            if self.proxy.at("commit held", self):
                return False
            self._committing = True
            self.backend.sendall(message)
            return not self.proxy.at("commit sent", self)
        self.backend.sendall(message)
        return True

    def _from_backend(self, data: bytes) -> bool:
        self._down += data
        whole = b""
        while len(self._down) >= 5:
            size = 1 + int.from_bytes(self._down[1:5], "big")
            if len(self._down) < size:
                break
            message, self._down = self._down[:size], self._down[size:]
            if message[:1] == b"K":
                self.pid = int.from_bytes(message[5:9], "big")
            whole += message
            if message[:1] == b"Z":
                if self._committing and self.proxy.at("commit done", self):
                    return False
                self.client.sendall(whole)
                whole = b""
                if not self._answered():
                    return False
        self.client.sendall(whole)
        return True

    def _answered(self) -> bool:
        if self._committing:
            self._committing, self._work = False, 0
            return not self.proxy.at("after commit", self)
        if self._work:
            number, self._work = self._work - 1, self._work + 1
            return not self.proxy.at(f"after statement {number}" if number else "after begin", self)
        return True
