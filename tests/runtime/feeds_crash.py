"""The crash matrix of feeds: `python -m tests.runtime.feeds_crash [seconds]` runs all of it.

A worker is killed, cut off, or loses its server or its target at every point; another one, or itself, goes on. Inside a transaction each
message is handled once, outside at least once; each key in order; nothing is left.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psycopg
from tests.runtime.feeds_log import LOG, append, keep, made

from pgcharter.faults import VARIABLE
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.feeds import AsyncFeed, Feed, FeedSettings, Inside, Outside, TargetDownError
from pgcharter.runtime.feeds_reading import POINTS
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

SETTINGS = FeedSettings(batch=4, lease=1.0, base=0.02, longest=0.05, poll_most=0.02)
DURABLE: dict[str, Any] = {"synchronous_commit": True, "fsync": False}
OTHERS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
DONE = """
SELECT min(position) >= (SELECT max(position) FROM app.things), (SELECT count(*) FROM pgcharter.parked) FROM pgcharter.feeds
"""
KEYS, NUMBERS, MORE, BAD = ("a", "b", "c"), range(24), range(24, 30), {3, 10}


class Case(NamedTuple):
    point: str
    end: str
    """kill, terminate, immediate, or down: the target."""
    way: str
    colour: str
    occurrence: int = 1


CASES = [
    Case(point, end, way, colour)
    for point, end, way, colour in itertools.product(
        POINTS, ("kill", "terminate", "immediate", "down"), ("inside", "outside"), ("sync", "async")
    )
    if end != "down" or way == "outside"
] + [
    Case(point, "kill", way, "sync", nth)
    for (point, nth), way in itertools.product((("feed read", 3), ("feed handled", 3), ("feed parked", 2)), ("inside", "outside"))
]


class Target:
    """Where messages go outside of transactions: a file. Some fail twice; while a file `down` is there, all is down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, things: Any) -> None:
        """Raise for what is bad as long as it is."""
        if (self.folder / "down").exists():
            raise TargetDownError("the target is away")
        for thing in things:
            tries = self.folder / f"tries_{thing.number}"
            if thing.number in BAD and (not tries.exists() or tries.stat().st_size < 2):
                with tries.open("ab") as file:
                    file.write(b"x")
                raise ValueError("not yet")

    def deliver(self, things: Any) -> None:
        self.check(things)
        with (self.folder / "target").open("a", encoding="utf-8") as file:
            file.write("".join(f"{t.key} {t.number}\n" for t in things))

    def handle(self, work: Any, things: Any) -> None:
        self.check(things)
        keep("c")(work, things)

    async def adeliver(self, things: Any) -> None:
        self.deliver(things)

    async def ahandle(self, work: Any, things: Any) -> None:
        self.check(things)
        for thing in things:
            await work.conn.execute("INSERT INTO app.done (consumer, position, key, number) VALUES ('c', %s, %s, %s)", thing)


def child(dsn: str, folder: str, way: str, colour: str) -> None:
    """A worker in a process of its own, until SIGTERM."""
    target = Target(Path(folder))
    if colour == "sync":
        with Database(dsn) as db:
            feed = Feed(db, LOG, "c", Inside(target.handle) if way == "inside" else Outside(target.deliver), slots=2, settings=SETTINGS)
            signal.signal(signal.SIGTERM, lambda *_: feed.stop())
            feed.run()
    else:
        asyncio.run(_child_async(dsn, target, way))


async def _child_async(dsn: str, target: Target, way: str) -> None:
    async with AsyncDatabase(dsn) as db:
        handle: Any = Inside(target.ahandle) if way == "inside" else Outside(target.adeliver)
        feed = AsyncFeed(db, LOG, "c", handle, slots=2, settings=SETTINGS)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, feed.stop)
        await feed.run()


class Ground:
    """A server with the log on it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        made(server.dsn())

    def run(self, case: Case) -> str:
        """Run a case. Raises AssertionError for what must not be."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
                conn.execute("TRUNCATE app.things, app.done, pgcharter.feeds, pgcharter.parked")
                for number in NUMBERS:
                    append(conn, (KEYS[number % 3], number))
            first = self._started(case, folder, f"{case.point}:{case.occurrence}:{'kill' if case.end == 'kill' else 'stop'}")
            try:
                met = self._befallen(case, folder, first)
            finally:
                ended = self._finished(case, folder, first)
            self._judged(case, folder)
            return f"{case.end}, {ended}" if met else "not reached"

    def _started(self, case: Case, folder: Path, fault: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.runtime.feeds_crash", "child", self.server.dsn(), str(folder), case.way, case.colour]
        return subprocess.Popen(command, cwd=Path(__file__).parents[2], env={**os.environ, VARIABLE: fault})

    def _befallen(self, case: Case, folder: Path, process: subprocess.Popen[bytes]) -> bool:
        """Wait until it is at the point, and do to it what the case says; whether it came there."""
        if case.point == "feed released":
            self._wait(folder, case)
            process.send_signal(signal.SIGTERM)
        status = _stopped(process)
        if case.end == "kill" or status != "stopped":
            return status in ("stopped", "killed")
        if case.end == "terminate":
            with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
                conn.execute(OTHERS)
        elif case.end == "immediate":
            self.restart()
        else:
            (folder / "down").touch()
            threading.Timer(0.3, lambda: (folder / "down").unlink(missing_ok=True)).start()
        process.send_signal(signal.SIGCONT)
        return True

    def restart(self) -> None:
        """Stop the server at once, without a checkpoint, and start it again."""
        process = self.server.process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        lifecycle.launch(self.server, {**lifecycle.EPHEMERAL, **DURABLE, "listen_addresses": ""})

    def _finished(self, case: Case, folder: Path, first: subprocess.Popen[bytes]) -> str:
        """Let the worker end its work, or another one where it is dead."""
        if case.point == "feed released" and case.end != "kill":
            assert first.wait(30) == 0, f"{case}: ended with {first.returncode}"
        worker = first if first.poll() is None else self._started(case, folder, "")
        try:
            self._more()
            self._wait(folder, case)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0, f"{case}: ended with {worker.returncode}"
        finally:
            for process in {worker, first}:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        return "itself" if worker is first else "another"

    def _more(self) -> None:
        """Append what is there to see that a worker is at work."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
            append(conn, *[(KEYS[number % 3], number) for number in MORE])

    def _wait(self, folder: Path, case: Case) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(psycopg.OperationalError), psycopg.connect(self.server.dsn(), autocommit=True) as conn:
                if conn.execute(DONE).fetchone() == (True, 0):
                    return
            time.sleep(0.05)
        raise AssertionError(f"{case}: never done")

    def _judged(self, case: Case, folder: Path) -> None:
        if case.way == "inside":
            with psycopg.connect(self.server.dsn()) as conn:
                seen = [tuple(r) for r in conn.execute("SELECT key, number FROM app.done ORDER BY nth").fetchall()]
            assert len(seen) == len(set(seen)), f"{case}: {seen}"
        else:
            lines = (line.split() for line in (folder / "target").read_text(encoding="utf-8").splitlines())
            seen = [(key, int(number)) for key, number in lines]
        for number, key in enumerate(KEYS):
            of_key = list(dict.fromkeys(n for k, n in seen if k == key))
            assert of_key == [*NUMBERS, *MORE][number::3], f"{case}: {key} {of_key}"


def _stopped(process: subprocess.Popen[bytes]) -> str:
    """Wait until a child is stopped or dead; which."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if process.poll() is not None:
            return "killed" if process.returncode == -signal.SIGKILL else "ended"
        if Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T":
            return "stopped"
        time.sleep(0.01)
    return "running"


@contextmanager
def ground() -> Iterator[Ground]:
    """A server of its own with the log on it."""
    with lifecycle.start_ephemeral(binaries.choose(18), settings=DURABLE) as server:
        yield Ground(server)


def main(seconds: float = 1e9) -> int:
    """Run all cases, or those for which there is time; print how many and how they ended."""
    ends: Counter[str] = Counter()
    until = time.monotonic() + seconds
    with ground() as made_:
        for case in CASES:
            if time.monotonic() > until:
                print("no more time")  # noqa: T201
                break
            try:
                ends[made_.run(case)] += 1
            except (AssertionError, subprocess.TimeoutExpired) as error:
                ends["wrong"] += 1
                print(f"WRONG  {error}", flush=True)  # noqa: T201
    print(f"{sum(ends.values())} of {len(CASES)} cases: {', '.join(f'{n} {name}' for name, n in ends.most_common())}")  # noqa: T201
    return int(bool(ends["wrong"] or ends["not reached"]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        sys.exit(main(*(float(a) for a in sys.argv[1:])))
