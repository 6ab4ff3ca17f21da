"""The crash matrix of reconciling, of batches and of copies both ways. `python -m tests.stream.reconcile_crash
[beginning of a point …]` runs all of it.

A process works on a copy with damage while a writer changes the source; at the point it is killed, or stopped while its connections are
ended or the server is stopped at once and started again. It is then run once more. In the end the copy is the source, every row that was
written has been noted, and nothing is done twice.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from tests.stream.copying import own_tables
from tests.stream.crash import restart

from pgcharter import faults
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream import batch as batches
from pgcharter.stream import reconcile as reconciling
from pgcharter.stream.reconcile import Side, reconcile
from pgcharter.stream.reconcile_model import Options

WAYS = ("kill", "reset", "immediate")
NOTES = MappingTable("copy", "public.notes", delta="updated_at")
SETTINGS: dict[str, lifecycle.Setting] = {"fsync": True, "full_page_writes": True, "synchronous_commit": True}
DAMAGE = (
    "DELETE FROM notes WHERE id % 10 = 1",
    "UPDATE notes SET body = 'damaged' WHERE id % 10 = 2",
    "INSERT INTO notes (id, body) SELECT id + 1000, 'extra' FROM notes WHERE id % 10 = 3",
)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    point: str
    way: str

    @property
    def work(self) -> str:
        return self.point.split()[0]


CASES = [Case(point, way) for point in (*reconciling.POINTS, *batches.POINTS) for way in WAYS]


@contextmanager
def ground() -> Iterator[Server]:
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        yield server


def side(source: str, copy: str) -> Side:
    return Side(source, PostgresqlSink(copy, name="copy"), NOTES, "copy")


def work(kind: str, source: str, copy: str) -> None:
    if kind == "reconcile":
        reconcile(side(source, copy), Options(repair=True, share=1, batch=25, wait=10))
    else:
        batches.batch(side(source, copy), size=50)


def attack(server: Server, case: Case) -> None:
    """One case; raises AssertionError."""
    names = [f"crash_{next(_numbers)}" for _ in range(2)]
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    source, copy = (server.dsn(name) for name in names)
    own_tables(source)
    with psycopg.connect(source, autocommit=True) as conn:
        conn.execute("CREATE TABLE notes (id int PRIMARY KEY, body text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp())")
        conn.execute("INSERT INTO notes SELECT n, 'a' FROM generate_series(1, 200) n")
    if case.work == "reconcile":
        work("reconcile", source, copy)
        with psycopg.connect(copy, autocommit=True) as conn:
            for statement in DAMAGE:
                conn.execute(statement.encode())
    _struck(server, case, source, copy)
    with psycopg.connect(source, autocommit=True) as conn:
        conn.execute("UPDATE notes SET body = 'later', updated_at = clock_timestamp() WHERE id IN (2, 5)")
        conn.execute("INSERT INTO notes VALUES (500, 'new')")
    work(case.work, source, copy)
    _proven(case, source, copy)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for name in names:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _struck(server: Server, case: Case, source: str, copy: str) -> None:
    how = "kill" if case.way == "kill" else "stop"
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.stream.reconcile_crash", case.work, source, copy],
        env={**os.environ, faults.VARIABLE: f"{case.point}:1:{how}"}, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if case.way == "kill":
            assert child.wait(60) == -signal.SIGKILL, "the point was not passed"
            return
        _until_stopped(child)
        if case.way == "reset":
            with psycopg.connect(server.dsn(), autocommit=True) as admin:
                ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgcharter sync%'"
                assert admin.execute(ended).fetchall()
        else:
            restart(server)
        child.send_signal(signal.SIGCONT)
        child.wait(60)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def _until_stopped(child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < until, "the point was not passed"
        assert child.poll() is None, "it ended before the point"
        time.sleep(0.02)


def _proven(case: Case, source: str, copy: str) -> None:
    sql = "SELECT id, body, updated_at FROM notes ORDER BY id"
    with psycopg.connect(source) as here, psycopg.connect(copy) as there:
        assert here.execute(sql).fetchall() == there.execute(sql).fetchall(), f"{case}: the copy is not the source"
        if case.work == "reconcile":
            noted = here.execute("SELECT DISTINCT (key->>'id')::int FROM pgcharter.sync_corrections").fetchall()
            damaged = {n for n in range(1, 201) if n % 10 in (1, 2)} | {n + 1000 for n in range(1, 201) if n % 10 == 3}
            assert damaged <= {n for (n,) in noted}, f"{case}: corrections that were not noted"
    assert reconcile(side(source, copy)).found == 0


def main(cases: list[Case]) -> None:
    done = 0
    with ground() as server:
        for case in cases:
            attack(server, case)
            done += 1
            sys.stdout.write(f"{case.point} × {case.way}: held\n")
    sys.stdout.write(f"{done} of {len(cases)} cases held\n")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        work(*sys.argv[1:])
    else:
        main([c for c in CASES if c.point.startswith(tuple(sys.argv[1:]) or "")])
