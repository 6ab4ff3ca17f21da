"""Real stores for tests and measurements: nats-server with JetStream, clickhouse-server, redis-server and Valkey, as private processes
without rights on free ports of the loopback.

    with servers.running("nats-server") as server:
        server.url            # nats://127.0.0.1:… (http:// for clickhouse-server, redis:// for redis-server and valkey)
        server.kill()         # SIGKILL, the folder stays
        server.start()        # on the same folder and port: what it had kept is there again
        server.freeze(); server.thaw()

A program is found by env PGCHARTER_NATS, PGCHARTER_CLICKHOUSE or PGCHARTER_REDIS, else on the path or in /usr/sbin.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.conftest import lacking
from tests.runtime import cacheservers
from tests.runtime.cacheservers import Running

from pgcharter.servers import account

Kind = Literal["nats-server", "clickhouse-server", "redis-server", "valkey"]

_VARIABLES = {"nats-server": "PGCHARTER_NATS", "clickhouse-server": "PGCHARTER_CLICKHOUSE", "redis-server": "PGCHARTER_REDIS"}
_SCHEMES = {"nats-server": "nats", "clickhouse-server": "http", "redis-server": "redis", "valkey": "redis"}
_NATS = """
listen: "127.0.0.1:{port}"
max_payload: 1MB
jetstream {{ store_dir: "{folder}/jetstream", max_memory_store: 64MB, max_file_store: {room} }}
"""
_CLICKHOUSE = """<yandex>
  <logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{port}</http_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/tmp/</tmp_path>
  <user_files_path>{folder}/files/</user_files_path>
  <format_schema_path>{folder}/formats/</format_schema_path>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <max_concurrent_queries>100</max_concurrent_queries>
  <merge_tree>
    <parts_to_delay_insert>{parts}</parts_to_delay_insert>
    <parts_to_throw_insert>{parts}</parts_to_throw_insert>
  </merge_tree>
</yandex>
"""
_USERS = """<yandex>
  <profiles><default><max_memory_usage>2000000000</max_memory_usage></default><seeing><readonly>1</readonly></seeing></profiles>
  <quotas><default><interval><duration>3600</duration><queries>0</queries><errors>0</errors><result_rows>0</result_rows>
    <read_rows>0</read_rows><execution_time>0</execution_time></interval></default></quotas>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
    <clerk><password>pa:ss/w@rd</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></clerk>
    <seer><password></password><networks><ip>127.0.0.1</ip></networks><profile>seeing</profile><quota>default</quota></seer>
  </users>
</yandex>
"""


class Store(Running):
    """A store's process; its folder outlives it until the test ends."""

    def __init__(self, kind: Kind, command: list[str], folder: Path) -> None:
        super().__init__(command, folder)
        self.kind = kind

    @property
    def url(self) -> str:
        return f"{_SCHEMES[self.kind]}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start on the folder and port, and wait until it answers."""
        until = time.monotonic() + 60
        super().start()
        ready = {"clickhouse-server": self._answers, "nats-server": lambda: True}.get(self.kind, self._pongs)
        while not ready():
            if time.monotonic() > until:
                log = self.folder / "errors"
                raise RuntimeError(f"{self.kind} does not answer: " + (log.read_text(errors="replace")[-2000:] if log.exists() else ""))
            time.sleep(0.01)

    def _pongs(self) -> bool:
        """Whether it has loaded what it keeps."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(100).startswith(b"+PONG")
        except OSError:
            return False

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End it. ClickHouse waits for its clients, and is not waited for."""
        if self.kind == "clickhouse-server":
            self.kill()
        else:
            super().stop()

    def kill(self) -> None:
        """End it by SIGKILL. What it had not made durable is lost."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def freeze(self) -> None:
        """Let it answer nothing, with connections open."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)


def program(kind: Kind) -> str | None:
    """The path of a server program of this machine, or None."""
    if kind == "valkey":
        return cacheservers.valkey()
    return os.environ.get(_VARIABLES[kind]) or shutil.which(kind) or shutil.which(kind, path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running(kind: Kind, *extra: str, room: str = "1GB", parts: int = 300) -> Iterator[Store]:
    """A running store, with more arguments for its program. Skips the test where there is none, fails it in CI.

    `room`: most bytes of files that NATS keeps; `parts`: most parts of a table of ClickHouse. Redis keeps nothing on disk
    unless `extra` says so: ("--appendonly", "yes").
    """
    path = program(kind)
    if path is None:
        lacking(f"{kind} is not installed here: bash tools/fetch_service.sh {kind}")
    who = account.current()
    folder = Path(tempfile.mkdtemp(prefix="pgcharter-store-"))
    try:
        who.give(folder)
        if who.run(["/bin/sh", "-c", 'test -x "$1"', "sh", path]).returncode != 0:
            path = shutil.copy(path, folder / kind)
            who.give(Path(path))
        server = Store(kind, _command(kind, path, folder, extra), folder)
        _configure(server, room, parts)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(kind: Kind, path: str, folder: Path, extra: Sequence[str]) -> list[str]:
    if kind == "nats-server":
        return [path, "-c", f"{folder}/nats.conf", *extra]
    if kind == "clickhouse-server":
        return [path, f"--config-file={folder}/config.xml", *extra]
    quiet = ["--save", "", "--appendonly", "no"]
    return [path, "--port", "{port}", "--bind", "127.0.0.1", *quiet, "--dir", "{folder}", *extra]


def _configure(server: Store, room: str, parts: int) -> None:
    texts = {
        "nats-server": {"nats.conf": _NATS},
        "clickhouse-server": {"config.xml": _CLICKHOUSE, "users.xml": _USERS},
    }.get(server.kind, {})
    for name, text in texts.items():
        file = server.folder / name
        file.write_text(text.format(port=server.port, folder=server.folder, room=room, parts=parts))
        account.current().give(file)


def free_port() -> int:
    """A port of the loopback that nothing listens on just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
