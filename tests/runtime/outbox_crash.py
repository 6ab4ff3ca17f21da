"""The crash matrix of the outbox: a relay that dies at every point in every way. `python -m tests.runtime.outbox_crash` runs all of it.

Messages of ten keys are published, some of which fail once, and one in a transaction that is open while it happens. Afterwards everything
that was committed has been delivered and nothing else, each key's messages for the first time in their order; and what came twice came
twice only where a worker ended between delivering and writing that down.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tests.runtime import own_tables

from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.feeds_model import Failed, FeedSettings, TargetDownError
from pgcharter.runtime.feeds_reading import POINTS as FEED_POINTS
from pgcharter.runtime.outbox import Message, Outgoing, publish, publish_many
from pgcharter.runtime.outbox_relay import POINTS as RELAY_POINTS
from pgcharter.runtime.outbox_relay import AsyncRelay, Relay, Route
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

POINTS = tuple(p for p in (*FEED_POINTS, *RELAY_POINTS))
ENDS = ("kill", "reset", "immediate", "target", "zombie")
"""The worker is killed; its sessions are terminated; the server is stopped at once and started again; the target is down for a while; the
worker sleeps for longer than its lease, wakes up and goes on as if nothing had been."""
COLOURS = ("sync", "async")
BETWEEN = ("feed handled", "outbox delivered")
"""Points at which messages have been delivered and nothing of it is written down."""
SETTINGS: dict[str, lifecycle.Setting] = {"synchronous_commit": True}
LEASE, BATCH, KEYS = 1.0, 7, 10
_DONE = "SELECT position >= pgcharter.settled('outbox') AND NOT EXISTS (SELECT FROM pgcharter.parked) FROM pgcharter.feeds"
_TOKEN = "SELECT token FROM pgcharter.feeds"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    point: str
    end: str
    colour: str

    def __str__(self) -> str:
        return f"{self.point}, {self.end}, {self.colour}"


CASES = [Case(*each) for each in itertools.product(POINTS, ENDS, COLOURS)]


class File:
    """A target that writes down what it gets; some messages fail when a process sees them first, and it is down while a file is there."""

    ordered = False

    def __init__(self, folder: Path) -> None:
        self.down = folder / "down"
        self.file = os.open(folder / "got", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self.seen: set[int] = set()

    def deliver(self, messages: Sequence[Message]) -> list[Failed | None]:
        if self.down.exists():
            raise TargetDownError("away")
        return [self._one(m) for m in messages]

    def _one(self, message: Message) -> Failed | None:
        if message.payload % 13 == 5 and message.position not in self.seen:
            self.seen.add(message.position)
            return Failed("the first time it fails", after=0.02)
        os.write(self.file, f"{message.key} {message.payload}\n".encode())
        return None

    def close(self) -> None:
        """The file stays open."""


def worker(dsn: str, folder: str, colour: str, name: str) -> None:
    """A relay in a process of its own, until SIGTERM."""
    settings = FeedSettings(batch=BATCH, lease=LEASE, base=0.02, longest=0.1, poll_most=0.02)
    routes = [Route(name, File(Path(folder)), settings=settings)]
    more = {"full": 1, "rotate_every": 0.05}

    def until_told(relay: Any) -> None:
        signal.sigwait({signal.SIGTERM})
        relay.stop()

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if colour == "sync":
        with Database(dsn) as db:
            relay = Relay(db, routes, **more)
            threading.Thread(target=until_told, args=(relay,), daemon=True).start()
            relay.run()
        return

    async def run() -> None:
        async with AsyncDatabase(dsn) as db:
            relay = AsyncRelay(db, routes, **more)
            loop, told = (
                asyncio.get_running_loop(),
                threading.Thread(target=lambda: (signal.sigwait({signal.SIGTERM}), stop()), daemon=True),
            )

            def stop() -> None:
                loop.call_soon_threadsafe(relay.stop)

            told.start()
            await relay.run()

    asyncio.run(run())


class Post:
    """A server with an outbox."""

    def __init__(self, server: Server) -> None:
        self.server = server
        own_tables.install(server.dsn(), "messaging")

    def publish(self, numbers: Sequence[int]) -> None:
        with psycopg.connect(self.server.dsn()) as conn:
            publish_many(conn, [Outgoing("t", n, key=n % KEYS) for n in numbers])

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        until = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
                    return conn.execute(sql.encode(), values).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def restart(self) -> None:
        """Stop the server at once, without a checkpoint, and start it again."""
        process = self.server.process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        lifecycle.launch(self.server, {**lifecycle.EPHEMERAL, **SETTINGS, "listen_addresses": ""})


@contextmanager
def post(major: int | None = None) -> Iterator[Post]:
    """A server of its own."""
    with lifecycle.start_ephemeral(binaries.choose(major), settings=SETTINGS) as server:
        yield Post(server)


class Workers:
    """Worker processes of one case."""

    def __init__(self, made: Post, folder: Path, case: Case, name: str) -> None:
        self.command = [sys.executable, "-c", "import sys; from tests.runtime import outbox_crash as c; c.worker(*sys.argv[1:])"]
        self.command += [made.server.dsn(), str(folder), case.colour, name]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = (folder / "log").open("ab")

    def start(self, fault: str = "") -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PGCHARTER_FAULT": fault}
        started = subprocess.Popen(self.command, cwd=Path(__file__).parents[2], env=environment, stderr=self.log)
        self.processes.append(started)
        return started

    def end(self) -> None:
        """Let them go, and see that they do."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError("a worker did not stop when it was told") from None
        self.log.close()


def run(made: Post, case: Case) -> int:
    """Run one case; how many came twice. Raises AssertionError for what must not be."""
    name = f"case_{next(_numbers)}"
    made.ask("WITH a AS (DELETE FROM pgcharter.feeds), b AS (DELETE FROM pgcharter.parked) SELECT 1")
    with psycopg.connect(made.server.dsn()) as conn:
        conn.execute("SET lock_timeout = '10s'; TRUNCATE pgcharter.outbox")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        workers = Workers(made, folder, case, name)
        try:
            wanted = _through(made, case, workers, folder)
            _until(lambda: set(_got(folder)) >= wanted, f"{case}: not all was delivered", folder)
            _until(lambda: made.ask(_DONE) == [(True,)], f"{case}: not all was written down", folder)
        finally:
            workers.end()
        return _checked(case, _got(folder), wanted)


def _through(made: Post, case: Case, workers: Workers, folder: Path) -> set[int]:
    """Publish, have it happen, publish more; what is to be delivered."""
    stops = case.end != "kill"
    made.publish(range(60))
    occurrence = 2 if case.point in ("feed read", "feed handled") else 1
    first = workers.start(f"{case.point}:{occurrence}:{'stop' if stops else 'kill'}")
    if case.point == "feed released":
        _until(lambda: len(_got(folder)) >= 30, "nothing is delivered", folder)
        first.send_signal(signal.SIGTERM)
    wanted = set(range(60))
    _until(lambda: _state(first.pid) in (("T",) if stops else ("Z", "")), f"{case}: the point was not reached", folder)
    with closing(psycopg.connect(made.server.dsn())) as late:
        publish(late, "t", 1000, key=0)
        _act(made, case, first, workers, folder)
        try:
            late.commit()
            wanted.add(1000)
        except psycopg.OperationalError:
            assert case.end == "immediate"
    made.publish(range(60, 120))
    return wanted | set(range(60, 120))


def _act(made: Post, case: Case, first: subprocess.Popen[bytes], workers: Workers, folder: Path) -> None:
    token = made.ask(_TOKEN)
    if case.end in ("kill", "zombie") or case.point == "feed released":
        workers.start()
    if case.end == "kill":
        first.wait()
        return
    if case.end == "reset":
        made.ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query !~ 'outbox_publish'"
                 " AND backend_type = 'client backend' AND datname = current_database()")  # fmt: skip
    elif case.end == "immediate":
        made.restart()
    elif case.end == "target":
        (folder / "down").touch()
    elif case.end == "zombie":
        _until(lambda: made.ask(_TOKEN) > token, f"{case}: nobody took over", folder)
        time.sleep(0.2)
    first.send_signal(signal.SIGCONT)
    if case.end == "target":
        time.sleep(0.5)
        (folder / "down").unlink()


def _checked(case: Case, got: list[int], wanted: set[int]) -> int:
    assert set(got) == wanted, f"{case}: delivered and never committed: {set(got) - wanted}"
    order: defaultdict[int, list[int]] = defaultdict(list)
    for number in dict.fromkeys(got):
        order[number % KEYS].append(number)
    for key, numbers in order.items():
        early = [n for n in numbers if n != 1000]
        assert early == sorted(early), f"{case}: key {key} was delivered in the order {numbers}"
    twice = len(got) - len(set(got))
    allowed = 0 if case.end == "target" else 2 * BATCH if case.end == "zombie" or case.point in (*BETWEEN, "feed retried") else 0
    if case.end in ("reset", "immediate"):
        allowed = 2 * BATCH  # a worker may be anywhere when its session ends, after the point as well
    assert twice <= allowed, f"{case}: {twice} came twice"
    return twice


def _got(folder: Path) -> list[int]:
    file = folder / "got"
    return [int(line.split()[1]) for line in file.read_text().splitlines()] if file.exists() else []


def _state(pid: int) -> str:
    """The state of a process: T is stopped, Z ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def _until(what: Any, why: str, folder: Path) -> None:
    deadline = time.monotonic() + 40
    while not what():
        if time.monotonic() > deadline:
            log = (folder / "log").read_text()[-1500:]
            raise AssertionError(f"{why}: {json.dumps(Counter(_got(folder)).most_common(3))} {len(_got(folder))}\n{log}")
        time.sleep(0.02)


def main(*named: str) -> int:
    """Run all cases, or those of some points or ends; print how many, and how many messages came twice."""
    twice: dict[str, Counter[int]] = {end: Counter() for end in ENDS}
    failed = 0
    with post() as made:
        for case in CASES:
            if named and case.point not in named and case.end not in named:
                continue
            try:
                began = time.monotonic()
                twice[case.end][run(made, case)] += 1
                print(f"{case}: {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
            except AssertionError as error:
                failed += 1
                print(f"WRONG  {error}", flush=True)  # noqa: T201
    for end, counts in twice.items():
        print(f"{end}: {sum(counts.values())} cases, {sum(n * times for n, times in counts.items())} messages came twice")  # noqa: T201
    print(f"{failed} wrong")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
