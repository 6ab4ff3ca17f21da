"""What goes wrong around a runner at work: the server dies, the network breaks; and people who write meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

SETTINGS: dict[str, lifecycle.Setting] = {**lifecycle.EPHEMERAL, "synchronous_commit": True, "listen_addresses": ""}
"""Of a server that is to lose nothing that was committed, unless the machine dies."""


def kill(running: Server, number: signal.Signals = signal.SIGKILL, settings: dict[str, lifecycle.Setting] = SETTINGS) -> None:
    """End the server, by SIGQUIT (immediate stop) or kill -9 of all its processes, and start it again on its folder, which recovers."""
    process = running.process
    assert process
    if number == signal.SIGKILL:
        process.send_signal(signal.SIGSTOP)  # or it would make another child while its children are counted
        children = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(int(pid)) == process.pid]  # noqa: PTH208
        for pid in (*children, process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        while any(_parent(pid) for pid in children):
            time.sleep(0.01)
    else:
        process.send_signal(number)
    process.wait()
    (running.data / "postmaster.pid").unlink(missing_ok=True)
    lifecycle.launch(running, settings)


def _parent(pid: int) -> int:
    """The parent of a process that lives; 0 when it does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            state, parent = file.read().rpartition(")")[2].split()[:2]
            return 0 if state == "Z" else int(parent)
    except OSError:
        return 0


class Proxy:
    """A network between a client and the server that can break: at once, or just before an answer to the migrating session arrives."""

    def __init__(self, dsn: str, session: str = "pgcharter migrate") -> None:
        """`session` is the application name of the session whose answers can be lost."""
        self._session = f"application_name\0{session}\0".encode()
        parts = urlsplit(dsn)
        query = dict(pair.split("=") for pair in parts.query.split("&"))
        self._behind = f"{unquote(query['host'])}/.s.PGSQL.{query['port']}"
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._at_answer = threading.Event()
        self.broke = threading.Event()
        port = self._listening.getsockname()[1]
        self.dsn = f"postgresql://{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}{parts.path}?sslmode=disable&gssencmode=disable"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                front, _ = self._listening.accept()
                back = socket.socket(socket.AF_UNIX)
                try:
                    back.connect(self._behind)
                except OSError:
                    front.close()
                    continue
                self._ends += [front, back]
                migrating = threading.Event()
                threading.Thread(target=self._there, args=(front, back, migrating), daemon=True).start()
                threading.Thread(target=self._back, args=(front, back, migrating), daemon=True).start()

    def _there(self, front: socket.socket, back: socket.socket, migrating: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := front.recv(65536):
                if self._session in data:
                    migrating.set()
                back.sendall(data)
        with contextlib.suppress(OSError):
            back.shutdown(socket.SHUT_WR)

    def _back(self, front: socket.socket, back: socket.socket, migrating: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := back.recv(65536):
                if self._at_answer.is_set() and migrating.is_set():
                    self.reset()
                    return
                front.sendall(data)
        with contextlib.suppress(OSError):
            front.shutdown(socket.SHUT_RDWR)

    def reset_at_answer(self) -> None:
        """Break all connections once the migrating session is answered: what it asked is done, and nobody hears of it."""
        self._at_answer.set()

    def reset(self) -> None:
        """Break all connections."""
        self._at_answer.clear()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()
        self.broke.set()

    def close(self) -> None:
        """Nobody comes through any more."""
        self._listening.close()
        self.reset()


@dataclass
class Writer:
    """Somebody who changes, adds and takes away rows all the time, and knows what must be there in the end."""

    dsn: str
    insert: str
    update: str
    delete: str
    read: str
    """The number kept in row `%s`; nothing when it is gone."""
    rows: dict[int, int]
    """What must be there: key to number. Only this writer changes these."""
    fresh: Iterator[int]
    """Keys of rows that are not there yet."""
    longest: float = 0.0
    """Seconds that a statement took at most while the server was there."""
    done: int = 0
    problems: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Writer:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread
        self._thread.join(30)

    def _run(self) -> None:
        chosen = random.Random(7)
        while not self._over.is_set():
            try:
                with psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None, connect_timeout=5) as conn:
                    while not self._over.is_set():
                        self._one(conn, chosen)
                        time.sleep(0.003)
            except psycopg.OperationalError:
                time.sleep(0.05)
            except psycopg.Error as error:
                self.problems.append(str(error))
                return

    def _one(self, conn: psycopg.Connection[Any], chosen: random.Random) -> None:
        dice, number = chosen.random(), chosen.randint(0, 1_000_000)
        if dice < 0.15 or not self.rows:
            key = next(self.fresh)
            self._send(conn, key, number, self.insert, (key, number))
        else:
            key = chosen.choice(list(self.rows)) if len(self.rows) < 200 else self._any(chosen)
            gone = dice > 0.93
            self._send(conn, key, None if gone else number, self.delete if gone else self.update, (key,) if gone else (number, key))

    def _any(self, chosen: random.Random) -> int:
        keys = self._keys = getattr(self, "_keys", None) or sorted(self.rows)
        while (key := chosen.choice(keys)) not in self.rows:
            pass
        return key

    def _send(self, conn: psycopg.Connection[Any], key: int, number: int | None, sql: str, parameters: tuple[int, ...]) -> None:
        began = time.monotonic()
        try:
            if conn.execute(sql.encode(), parameters).rowcount != 1:
                self.problems.append(f"row {key} is not as it was left: {sql}")
        except psycopg.OperationalError:
            self._settle(key)
            raise
        self.longest = max(self.longest, time.monotonic() - began)
        self._keep(key, number)
        self.done += 1

    def _keep(self, key: int, number: int | None) -> None:
        if number is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = number

    def _settle(self, key: int) -> None:
        """The connection broke in the statement: what the server has of the row is what is true."""
        while True:
            try:
                with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as conn:
                    found = conn.execute(self.read.encode(), (key,)).fetchone()
                    self._keep(key, int(found[0]) if found else None)
                    return
            except psycopg.OperationalError:
                if self._over.is_set():
                    return
                time.sleep(0.05)


def beside(dsn: str, sql: str, until: Callable[[], bool], every: float = 0.005) -> None:
    """Ask the server the same again and again until it is enough."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not until():
            conn.execute(sql.encode())
            time.sleep(every)
