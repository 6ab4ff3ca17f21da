"""Rows that were there before: read in chunks by key, at the snapshot of the slot or beside the stream, and resumed after the last chunk.

Beside the stream a chunk has a snapshot of its own, and the stamp of its rows must not be greater than that of any change that the
snapshot does not see. A transaction is seen some time after its commit was written to the log (with a synchronous standby perhaps long
after), so the position before the snapshot is not enough: of the transactions that were running for the snapshot, those that the stream has
brought already lower the stamp to their commit.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg

from pgcharter import faults
from pgcharter.db import Connection
from pgcharter.errors import ConnectError
from pgcharter.stream import source
from pgcharter.stream.checkpoints import Checkpoints, Seed
from pgcharter.stream.lane import Chunk, Lane
from pgcharter.stream.mapper import Target
from pgcharter.stream.model import Change, Stamp, Value
from pgcharter.stream.passed import Passed
from pgcharter.stream.source import Table
from pgcharter.stream.writing import Writing, sparing

ROWS = 20_000
"""Rows of a chunk."""
Advance = Callable[[str, int, int], None]
"""Told what is copied, how many rows of it are, and how many there are in all."""


class Seeding:
    """Seeds the tables of one sink beside the stream, in a thread of its own."""

    def __init__(self, lane: Lane, dsn: str, slot: str, publication: str, passed: Passed, *, rows: int = ROWS) -> None:
        self._lane, self._dsn, self._slot, self._publication, self._passed, self._rows = lane, dsn, slot, publication, passed, rows
        self._stop = threading.Event()
        self.problem = ""
        """Why it waits."""
        self._thread = threading.Thread(target=self._run, name=f"seed {lane.name}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End; what was written is kept, and the rest is gone on with later."""
        self._stop.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        while not self._stop.is_set() and self._lane.alive:
            try:
                with source.open_source(self._dsn) as conn, source.open_source(self._dsn) as own:
                    self.problem = ""
                    self._all(conn, own)
                return
            except (psycopg.Error, ConnectError) as error:
                self.problem = f"tables of sink {self._lane.name} cannot be seeded just now: {error}"
                self._stop.wait(1.0)

    def _all(self, conn: Connection, own: Connection) -> None:
        checkpoints = Checkpoints(own, self._slot)
        seeds = [s for s in checkpoints.seeds() if s.sink == self._lane.name and s.state != "done"]
        self._lane.seeding.update(s.source for s in seeds)
        while self._passed.unseen(*source.shown(conn)) is not None and not self._stop.wait(0.02):
            pass  # what the lane has left out before must be in every chunk
        for seed in seeds:
            table = next((t for t in source.tables(conn, self._publication) if t.sql == seed.source), None)
            if table is not None and not self._table(conn, own, seed, table):
                return
            self._lane.seeding.discard(seed.source)

    def _table(self, conn: Connection, own: Connection, seed: Seed, table: Table) -> bool:
        """Seed a table; False where that has not come to its end."""
        checkpoints, key_of, waiting = Checkpoints(own, self._slot), source.key_of(table), None
        after: Sequence[Value] | None = seed.after
        more = True
        while more:
            count = 0
            for stamp, rows in self._chunk(conn, own, table, after):
                if waiting is not None and not self._wait(checkpoints, seed, *waiting):
                    return False
                count += len(rows)
                after = key_of(rows[-1]) if rows and table.keys else after
                if seed.began:
                    seed.began = min(seed.began, stamp.lsn)
                chunk = Chunk(table.relation, source.inserts(table.relation, rows, stamp))
                waiting = chunk, [str(v) for v in after] if after else None, len(rows)
                if not self._give(chunk):
                    return False
            more = count == self._rows and bool(table.keys)
            if self._stop.is_set():
                return False
        return (waiting is None or self._wait(checkpoints, seed, *waiting)) and self._end(checkpoints, seed, table)

    def _chunk(
        self, conn: Connection, own: Connection, table: Table, after: Sequence[Value] | None
    ) -> Iterator[tuple[Stamp, list[tuple[Value, ...]]]]:
        """Rows, and a stamp that is not greater than that of any change that they do not show."""
        low = self._passed.low(conn)
        source.flush(conn)  # its number is greater than those of all that can have committed: a snapshot names the smaller ones that run
        while not self._passed.wait(low, 0.5):
            if self._stop.is_set():
                return
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        try:
            found = conn.execute("SELECT array(SELECT pg_snapshot_xip(pg_current_snapshot())::text)").fetchone()
            source.flush(own)  # else the position and rows could be of a log that a crash has cut off
            stamp = Stamp(self._passed.lowest(low, [int(x) for x in found[0]] if found else []), 0)
            rows: list[tuple[Value, ...]] = []
            for more in source.read(conn, table, after, self._rows):
                if rows:
                    yield stamp, rows
                rows = more
        finally:
            with suppress(psycopg.Error):
                conn.execute("COMMIT")
        faults.point("sync chunk read")
        yield stamp, rows  # who takes them may take long, and the snapshot is not held for that; none have a stamp, too

    def _give(self, chunk: Chunk) -> bool:
        while not self._stop.is_set() and self._lane.alive:
            with suppress(queue.Full):
                self._lane.chunks.put(chunk, timeout=0.5)
                return True
        return False

    def _wait(self, checkpoints: Checkpoints, seed: Seed, chunk: Chunk, after: list[str] | None, rows: int) -> bool:
        """Wait until a chunk is written, and write down that it is."""
        while not chunk.done.wait(0.5):
            if self._stop.is_set() or not self._lane.alive:
                return False
        if not chunk.written:
            return False
        seed.state, seed.after, seed.rows = "copying", after, seed.rows + rows
        return checkpoints.seeded(seed, self._lane.durable)

    def _end(self, checkpoints: Checkpoints, seed: Seed, table: Table) -> bool:
        if seed.began:
            chunk = Chunk(table.relation, (), clear=Stamp(seed.began, 0))
            if not self._give(chunk) or not self._wait(checkpoints, seed, chunk, seed.after, 0):
                return False
        seed.state, seed.began = "done", self._lane.durable.lsn
        done = checkpoints.seeded(seed)
        faults.point("sync seeded")
        return done


class Initial:
    """Seeds all sinks at the snapshot that the slot was made with, several tables at a time. Each sink is written to by one thread."""

    def __init__(self, dsn: str, snapshot: str, lsn: int, *, jobs: int = 2, rows: int = ROWS, advance: Advance | None = None) -> None:
        self._dsn, self._snapshot, self._stamp, self._jobs, self._rows = dsn, snapshot, Stamp(lsn, 0), jobs, rows
        self._advance = advance
        self._lock = threading.Lock()
        self._failed: dict[str, Exception] = {}
        self._done = 0

    @sparing()
    def run(
        self, targets: Sequence[tuple[Target, Sequence[Table]]], tables: Sequence[Table], checkpoints: Checkpoints
    ) -> dict[str, Exception]:
        """Seed tables in the sinks that want them; gives back the sinks that failed, with why. What they have is kept for later."""

        total = sum(max(t.rows, 0) for t in tables)
        work: queue.Queue[Table] = queue.Queue()
        for table in sorted(tables, key=lambda t: -t.rows):
            work.put(table)
        queues = {target.name: queue.Queue[tuple[Table, list[Change] | None] | None](2) for target, _ in targets}
        wanted = {target.name: {t.sql for t in of} for target, of in targets}
        seeds = {(s.sink, s.source): s for s in checkpoints.seeds()}
        saved: queue.SimpleQueue[tuple[Seed, Stamp]] = queue.SimpleQueue()
        errors: list[Exception] = []

        def read() -> None:
            try:
                with source.open_source(self._dsn) as conn:
                    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    conn.execute(f"SET TRANSACTION SNAPSHOT '{self._snapshot}'".encode())
                    while True:
                        self._read(conn, work.get_nowait(), queues, wanted, total)
            except queue.Empty:
                pass
            except Exception as error:
                errors.append(error)

        def write(target: Target) -> None:
            writing, at = Writing(target, self._dsn), Stamp(0, 0)
            try:
                writing.open([t.relation for t in tables])
                while (item := queues[target.name].get()) is not None:
                    table, changes = item
                    seed, at = seeds[target.name, table.sql], Stamp(0, at.ordinal + 1)  # a store that loses some of it stands lower
                    if changes is not None:
                        writing.write(changes, at, chunk=True)
                        seed.after = _after(table, changes)
                        seed.rows, seed.state = seed.rows + len(changes), "copying"
                    else:
                        if seed.began:
                            writing.clear(table.relation, Stamp(seed.began, 0), at)
                        seed.state = "done"
                    saved.put((replace(seed), at))
                target.sink.write([], self._stamp)
            except Exception as error:
                self._failed[target.name] = error
            finally:
                with suppress(Exception):
                    writing.close()

        readers = [threading.Thread(target=read, daemon=True) for _ in range(min(self._jobs, max(1, len(tables))))]
        writers = [threading.Thread(target=write, args=(target,), daemon=True) for target, _ in targets]
        for thread in (*readers, *writers):
            thread.start()
        for thread in readers:
            while thread.is_alive():
                thread.join(0.1)
                _save(checkpoints, saved)
        for target, _ in targets:
            while target.name not in self._failed:
                with suppress(queue.Full):
                    queues[target.name].put(None, timeout=0.2)
                    break
        for thread in writers:
            while thread.is_alive():
                thread.join(0.1)
                _save(checkpoints, saved)
        _save(checkpoints, saved)
        if errors:
            raise errors[0]
        return self._failed

    def _read(self, conn: Connection, table: Table, queues: Mapping[str, Any], wanted: Mapping[str, set[str]], total: int) -> None:
        after: Sequence[Value] | None = None
        more = True
        while more:
            count = 0
            for rows in source.read(conn, table, after, self._rows):
                changes = source.inserts(table.relation, rows, self._stamp)
                self._give(table, changes, queues, wanted)
                after, count = _after(table, changes), count + len(rows)
                with self._lock:
                    self._done += len(rows)
                    if self._advance:
                        self._advance(f"{table.sql}", self._done, max(total, self._done))
            more = count == self._rows and bool(table.keys)
        self._give(table, None, queues, wanted)

    def _give(self, table: Table, changes: list[Change] | None, queues: Mapping[str, Any], wanted: Mapping[str, set[str]]) -> None:
        """Have rows of a table written to all that want them; None: there are no more."""
        for name, to in queues.items():
            while table.sql in wanted[name] and name not in self._failed:
                with suppress(queue.Full):
                    to.put((table, changes), timeout=0.2)
                    break


def _after(table: Table, changes: Sequence[Change]) -> list[str] | None:
    """The key behind which the next rows are."""
    return [str(v) for v in source.key_of(table)(changes[-1].new or ())] if table.keys else None


def _save(checkpoints: Checkpoints, saved: queue.SimpleQueue[tuple[Seed, Stamp]]) -> None:
    """Write down how far seeds are, and where their stores stand; the last word of each."""
    latest: dict[tuple[str, str], tuple[Seed, Stamp]] = {}
    with suppress(queue.Empty):
        while True:
            seed, at = saved.get_nowait()
            latest[seed.sink, seed.source] = seed, at
    for seed, at in latest.values():
        checkpoints.seeded(seed, at)
