"""The crash matrix of copying: every fault point × every way to fail. `python -m tests.stream.crash [triggers] [point …]` runs all of it.

While a writer changes the source, the worker (a process) seeds two sinks beside the stream, one of them down at first. At the point it is
killed; or stopped while its connections are ended, the server is stopped at once and started again, or the sinks go down. Whatever happens:
in the end both sinks hold what the source holds, and the slot has let go of the log.
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
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from tests.stream.copying import Copies, wait

from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.stream import capture
from pgcharter.stream.worker import Worker
from pgcharter.stream.writing import POINTS

WAYS = ("kill", "reset", "immediate", "down")
SETTINGS: dict[str, lifecycle.Setting] = {"wal_level": "logical", "synchronous_commit": True, "max_wal_senders": 20}
SCHEMA = """
CREATE TABLE a (id int PRIMARY KEY, v text, n int); ALTER TABLE a ALTER v SET STORAGE EXTERNAL;
CREATE TABLE b (id int PRIMARY KEY, v text);
INSERT INTO a SELECT i, repeat('v', 2500), 0 FROM generate_series(1, 250) i; INSERT INTO b SELECT i, 'b' FROM generate_series(1, 250) i;
"""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    point: str
    way: str
    occurrence: int = 1
    capture: str = "stream"


CASES = [Case(point, way, 2 if point in ("sync writing", "sync written") else 1) for point in POINTS for way in WAYS]


@contextmanager
def ground(major: int | None = None) -> Iterator[Server]:
    with lifecycle.start_ephemeral(binaries.choose(major), settings=SETTINGS) as server:
        yield server


def restart(server: Server) -> None:
    """Stop the server at once, without a checkpoint, and start it again."""
    process = server.process
    assert process is not None
    process.send_signal(signal.SIGQUIT)
    process.wait(20)
    lifecycle.launch(server, {**lifecycle.EPHEMERAL, **SETTINGS, "listen_addresses": ""})


def run(server: Server, case: Case) -> float:
    """Run one case; gives back the seconds it took to be right again. Raises AssertionError for what must not be."""
    name = f"crash_{next(_numbers)}"
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    with tempfile.TemporaryDirectory() as folder:
        dsn = server.dsn(name)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(SCHEMA)
        copies = Copies(dsn, Path(folder), ("public.a", "public.b"), ("one", "two"), capture=case.capture)
        try:
            copies.init(later=True)
            return _run(server, copies, case)
        finally:
            copies.drop()
            with psycopg.connect(server.dsn(), autocommit=True) as conn:
                conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _run(server: Server, copies: Copies, case: Case) -> float:
    copies.down("two")
    over = threading.Event()
    writer = threading.Thread(target=_write, args=(copies.dsn, over), daemon=True)
    writer.start()
    fault = f"{case.point}:{case.occurrence}:{'kill' if case.way == 'kill' else 'stop'}"
    worker = _worker(copies, fault)
    try:
        if case.way == "kill":
            assert worker.wait(90) == -signal.SIGKILL, "the point was not passed"
            worker = _worker(copies, "")
        else:
            wait(lambda: _stopped(worker.pid), 90)
            _harm(server, copies, case.way)
            worker.send_signal(signal.SIGCONT)
        copies.down("two", False)
        time.sleep(0.7)
        if case.way == "down":
            copies.down("one", False)
        began = time.monotonic()
        over.set()
        writer.join(30)
        try:
            wait(lambda: worker.poll() is not None or (copies.equal("one") and copies.equal("two")), 120)
        except AssertionError:
            found = {name: (copies.differences(name)[:2], copies.kept(name)) for name in ("one", "two")}
            raise AssertionError(f"the copies are wrong: {found}") from None
        assert worker.poll() is None, f"the worker ended: {worker.returncode}"
        took = time.monotonic() - began
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            of = capture.of(copies.job)
            upto = of.now(conn) - (case.capture == "triggers")
            try:
                wait(lambda: (s := of.look(conn)) and s.confirmed >= upto)
            except AssertionError:
                held = of.look(conn), upto, copies.kept("one"), copies.kept("two")
                raise AssertionError(f"the slot is held back: {held}") from None
        assert copies.equal("one")
        assert copies.equal("two")
        return took
    finally:
        over.set()
        writer.join(30)
        worker.kill()
        worker.wait()


def _harm(server: Server, copies: Copies, way: str) -> None:
    if way == "immediate":
        restart(server)
    elif way == "down":
        copies.down("one")
    else:
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgcharter sync'")


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _worker(copies: Copies, fault: str) -> subprocess.Popen[bytes]:
    job = copies.job
    words = [copies.dsn, str(copies.folder), job.slot, ",".join(job.tables), ",".join(job.sinks), job.capture]
    environment = {**os.environ, "PGCHARTER_FAULT": fault}
    return subprocess.Popen([sys.executable, "-m", "tests.stream.crash", "worker", *words], env=environment)


def work(dsn: str, folder: str, slot: str, tables: str, sinks: str, kind: str) -> None:
    """Be a worker."""
    from pgcharter.stream.worker import Job

    copies = Copies.__new__(Copies)
    copies.dsn, copies.folder, copies.options = dsn, Path(folder), {}
    job = Job(dsn, slot, "p", tuple(tables.split(",")), tuple(sinks.split(",")), Path(folder) / "spill")
    copies.job = replace(job, heartbeat=1.0, patience=0.3, chunk=60, capture=kind)
    Worker(copies.job, copies.make).run()


def _write(dsn: str, over: threading.Event) -> None:
    """Change the source until told otherwise; what fails is left."""
    dice = random.Random(5)
    while not over.is_set():
        with suppress(psycopg.Error), psycopg.connect(dsn) as conn:
            conn.execute(f"SET synchronous_commit = {dice.choice(('on', 'off'))}".encode())
            conn.commit()
            while not over.is_set():
                for _ in range(dice.randint(1, 6)):
                    i, j = dice.randint(1, 300), dice.randint(1, 300)
                    conn.execute(
                        dice.choice(
                            (
                                "UPDATE a SET n = n + 1 WHERE id = %(i)s",
                                "UPDATE a SET id = %(j)s WHERE id = %(i)s AND NOT EXISTS (SELECT FROM a WHERE id = %(j)s)",
                                "DELETE FROM b WHERE id = %(i)s",
                                "INSERT INTO b VALUES (%(i)s, 'new') ON CONFLICT (id) DO UPDATE SET v = b.v || 'x'",
                                "INSERT INTO a VALUES (%(i)s, repeat('w', 2600), 1) ON CONFLICT DO NOTHING",
                            )
                        ).encode(),
                        {"i": i, "j": j},
                    )
                conn.commit() if dice.random() < 0.8 else conn.rollback()
                time.sleep(0.005)


def main(*points: str) -> None:
    kind = "triggers" if "triggers" in points else "stream"
    wanted = set(points) - {"triggers"}
    cases = [replace(c, capture=kind) for c in CASES if not wanted or c.point in wanted]
    counts: Counter[str] = Counter()
    times: list[float] = []
    with ground() as server:
        for case in cases:
            try:
                times.append(run(server, case))
                counts[f"{case.way}: right"] += 1
                sys.stderr.write(f"{case}: right after {times[-1]:.1f} s\n")
            except (AssertionError, subprocess.TimeoutExpired) as error:
                counts[f"{case.way}: wrong"] += 1
                sys.stderr.write(f"{case}: {error}\n")
    median = sorted(times)[len(times) // 2]
    sys.stdout.write(f"{len(cases)} cases: {dict(counts)}; right again after {median:.1f} s (median), {max(times):.1f} s at most\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        work(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
