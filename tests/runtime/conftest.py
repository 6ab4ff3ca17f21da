"""A real PgBouncer in transaction mode, as a private process without rights on a free port of the loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pgcharter.servers import account
from pgcharter.servers.lifecycle import Server

SETTINGS = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
logfile = {folder}/log
"""


Pooler = Callable[[Server, Mapping[str, str], int], AbstractContextManager[int]]


@pytest.fixture
def pooler() -> Pooler:
    """`with pooler(server, {"user": "password"}, 4) as port`: a PgBouncer with 4 sessions of the server for each user."""
    return _pooler


def program() -> str:
    """The PgBouncer of this machine; skips the test without one, fails it when env CI is set."""
    found = os.environ.get("PGCHARTER_PGBOUNCER") or shutil.which("pgbouncer")
    if found:
        return found
    sentence = 'no PgBouncer here: export PGCHARTER_PGBOUNCER="$(bash tools/fetch_service.sh pgbouncer)"'
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextmanager
def _pooler(server: Server, users: Mapping[str, str], sessions: int) -> Iterator[int]:
    """A PgBouncer before `server`, for users with their passwords, with `sessions` of the server for each; its port."""
    path, who = program(), account.current()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = who.make_folder(server.socket_dir / f"pgbouncer-{port}")
    try:
        text = SETTINGS.format(host=server.socket_dir, port=server.port, listen=port, folder=folder, sessions=sessions)
        for name, content in {"settings": text, "users": "".join(f'"{u}" "{p}"\n' for u, p in users.items())}.items():
            (folder / name).write_text(content)
            who.give(folder / name)
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([path, "-q", str(folder / "settings")], stdin=quiet, stdout=quiet, stderr=quiet, **who.options())
        try:
            _wait(process, port, folder / "log")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
    finally:
        shutil.rmtree(folder)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"PgBouncer does not answer: {log.read_text() if log.exists() else 'it wrote no log'}")
