"""Two databases that are copied both ways, their writers, and their workers as one process.

`python -m tests.stream.twoway_ground law 3`: the law for every rule, three times over.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from tests.stream.copying import own_tables, wait

from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.stream import twoway
from pgcharter.stream.twoway_begin import TwoWay, begin
from pgcharter.stream.worker import Worker

SETTINGS: dict[str, lifecycle.Setting] = {
    "wal_level": "logical", "max_wal_senders": 10, "max_replication_slots": 20, "track_commit_timestamp": True,
}  # fmt: skip
TABLE = """
CREATE TABLE notes (id int PRIMARY KEY, body text, n int, tag int UNIQUE, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
"""
FULL = "ALTER TABLE notes REPLICA IDENTITY FULL"
RULES: dict[str, twoway.Rule] = {
    "here": twoway.source("here"), "there": twoway.source("there"), "latest": twoway.latest, "newest": twoway.newest("updated_at"),
    "merge": lambda here, comes: (
        {**comes.values, "n": str(max(int(here.values["n"] or 0), int(comes.values["n"] or 0)))}
        if here.values and comes.values else comes.values or here.values
    ),
}  # fmt: skip
_numbers = itertools.count(1)


class Ground:
    """A database that decides, one that follows."""

    def __init__(self, server: Server, folder: Path, rule: str, *, full: bool = True, table: str = TABLE) -> None:
        self.name, self.rule = f"two{next(_numbers)}", rule
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            for side in ("a", "b"):
                admin.execute(f"CREATE DATABASE {self.name}{side}".encode())
        self.here, self.there = (server.dsn(f"{self.name}{side}") for side in ("a", "b"))
        self.folder = folder
        for dsn in (self.here, self.there):
            own_tables(dsn)
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute((table + (FULL if full else "")).encode())
        self.two = TwoWay(self.name, self.here, self.there, ("public.notes",), RULES[rule], folder, heartbeat=1.0)
        self.said: list[str] = []

    def begin(self, **options: Any) -> None:
        begin(self.two, **options)

    def do(self, dsn: str, *statements: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            for sql in statements:
                conn.execute(sql.encode())

    def rows(self, dsn: str, what: str = "*") -> Any:
        return self.ask(dsn, f"SELECT {what} FROM notes ORDER BY id")

    def ask(self, dsn: str, sql: str) -> Any:
        with psycopg.connect(dsn) as conn:
            return conn.execute(sql.encode()).fetchall()

    def once(self) -> None:
        """Both ways, and the way to the follower again, until all is there."""
        for job, make in ((self.two.out, self.two.make_out), (self.two.back, self.two.make_back), (self.two.out, self.two.make_out)):
            Worker(job, make, self.said.append).run(once=True)

    def back(self) -> None:
        Worker(self.two.back, self.two.make_back, self.said.append).run(once=True)

    def out(self) -> None:
        Worker(self.two.out, self.two.make_out, self.said.append).run(once=True)

    def worker(self, fault: str = "") -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "tests.stream.twoway_ground", self.name, self.here, self.there, self.rule, str(self.folder)]
        return subprocess.Popen(words, env={**os.environ, "PGCHARTER_FAULT": fault}, stderr=subprocess.DEVNULL)

    @contextmanager
    def running(self) -> Iterator[None]:
        workers = _workers(self.two, self.said.append)
        threads = [threading.Thread(target=w.run, daemon=True) for w in workers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for w in workers:
                w.stop()
            for thread in threads:
                thread.join(30)

    def equal(self) -> bool:
        """Whether both sides have the same, when everything that was committed has come through."""
        for dsn, other in ((self.here, self.there), (self.there, self.here)):
            mark = -next(_numbers)
            self.do(dsn, f"INSERT INTO notes (id) VALUES ({mark})")
            wait(lambda at=other, of=mark: self.ask(at, f"SELECT FROM notes WHERE id = {of}"), 60)  # type: ignore[misc]
        with suppress(AssertionError):
            wait(lambda: self.rows(self.here) == self.rows(self.there), 20)
        return bool(self.rows(self.here) == self.rows(self.there))

    def close(self) -> None:
        for dsn, job in ((self.here, self.two.out), (self.there, self.two.back)):
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s", [job.slot])
                conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [job.slot])
                conn.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
                    [f"pgcharter sync {job.slot}"],
                )
                conn.execute("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = %s", [job.slot])


def write(dsn: str, seed: int, count: int, over: threading.Event | None = None) -> None:
    """Anything that applications do, rows locked in any order: who loses a deadlock, or has a tag that is taken, goes on."""
    draw = random.Random(seed)
    with psycopg.connect(dsn) as conn:
        for n in range(count):
            if over is not None and over.wait(0.004):
                break
            values = {"i": draw.randint(1, 9), "j": draw.randint(1, 9), "body": f"{seed}: {n}", "tag": draw.choice((None, *range(6)))}
            set_time = "updated_at = greatest(clock_timestamp(), notes.updated_at + interval '1 us')"
            sql = draw.choice(
                (
                    f"INSERT INTO notes VALUES (%(i)s, %(body)s, 1, %(tag)s) ON CONFLICT (id)"
                    f" DO UPDATE SET body = excluded.body, {set_time}",
                    f"UPDATE notes SET n = n + 1, {set_time} WHERE id = %(i)s",
                    f"UPDATE notes SET tag = %(tag)s, {set_time} WHERE id = %(i)s",
                    f"UPDATE notes SET id = %(j)s, {set_time} WHERE id = %(i)s",
                    "DELETE FROM notes WHERE id = %(i)s",
                )
            )
            try:
                conn.execute(sql.encode(), values)
                if draw.random() < 0.6:
                    conn.rollback() if draw.random() < 0.1 else conn.commit()
            except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                conn.rollback()


def _workers(two: TwoWay, say: Any) -> list[Worker]:
    return [Worker(two.out, two.make_out, say), Worker(two.back, two.make_back, say)]


def law(make: Callable[..., Ground], rule: str, *faults: str, **options: Any) -> None:
    """Both sides end with the same, though workers are killed while both write. Raises AssertionError."""
    two, over = make(rule, **options), threading.Event()
    writers = [threading.Thread(target=write, args=(dsn, n, 100_000, over)) for n, dsn in enumerate((two.here, two.there))]
    for writer in writers:
        writer.start()
    try:
        for fault in faults:
            assert two.worker(fault).wait(60) == -signal.SIGKILL
    finally:
        over.set()
    for writer in writers:
        writer.join()
    with two.running():
        assert two.equal(), (set(two.rows(two.here)) ^ set(two.rows(two.there)), two.said)
    assert two.ask(two.here, "SELECT count(*) FROM pgcharter_copies.verdicts") == [(0,)]
    assert two.ask(two.there, "SELECT count(*) FROM pgcharter_copies.parked") == [(0,)]
    assert two.ask(two.here, "SELECT count(*) > 0 FROM pgcharter_copies.conflicts") == [(True,)]


def all_laws(rounds: int) -> None:
    """Every rule, with old rows and without, and a kill at every point."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        for n in range(rounds):
            for rule, full in itertools.product(RULES, (True, False)):
                with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

                    def make(rule: str, at: str = folder, on: ExitStack = stack, **options: bool) -> Ground:
                        made = Ground(server, Path(at), rule, **options)
                        on.callback(made.close)
                        made.begin()
                        if random.random() < 0.5:  # as if the clock there had been set back by an hour: nothing waits for a decision
                            made.do(made.there, "UPDATE pgcharter_copies.ways SET acked = now() + interval '1 hour'")
                        return made

                    law(make, rule, *(f"{point}:{random.randint(1, 20)}" for point in twoway.POINTS), full=full)
                    sys.stderr.write(f"{n} {rule} {full}: right\n")


def work(name: str, here: str, there: str, rule: str, folder: str) -> None:
    threads = [
        threading.Thread(target=w.run)
        for w in _workers(TwoWay(name, here, there, ("public.notes",), RULES[rule], Path(folder), heartbeat=1.0), print)
    ]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    all_laws(int(sys.argv[2])) if sys.argv[1] == "law" else work(*sys.argv[1:])
