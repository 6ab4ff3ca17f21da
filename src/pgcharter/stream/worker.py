"""The worker of one slot: one reader, a lane for each sink. It goes on through lost connections until it is stopped."""

from __future__ import annotations

import fcntl
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from pgcharter import faults
from pgcharter.db import Connection
from pgcharter.errors import ConnectError, PgcharterError, RefusedError
from pgcharter.stream import capture, source
from pgcharter.stream.capture import Feed
from pgcharter.stream.channel import PATIENCE
from pgcharter.stream.checkpoints import Checkpoints, Kept
from pgcharter.stream.errors import SinkOlderError
from pgcharter.stream.lane import Lane
from pgcharter.stream.mapper import Make
from pgcharter.stream.model import Stamp
from pgcharter.stream.replication import SlotBusyError, lsn_text
from pgcharter.stream.seeds import Seeding
from pgcharter.stream.source import Table, TypeNames
from pgcharter.stream.transactions import Transaction
from pgcharter.stream.writing import sparing

Say = Callable[[str], None]
SHORTEST, LONGEST = 0.1, 15.0
"""Least and most seconds between two attempts to reach the source."""


@dataclass(frozen=True)
class Job:
    """What a worker works on."""

    dsn: str
    slot: str
    publication: str
    tables: tuple[str, ...]
    """Tables that must be published, as the charter names them."""
    sinks: tuple[str, ...]
    folder: Path
    """Where the files of sinks are."""
    heartbeat: float = 10.0
    """Seconds without a transaction after which the log is written to."""
    patience: float = PATIENCE
    chunk: int = 20_000
    """Rows that a seed beside the stream reads at a time."""
    origin: str = "any"
    capture: str = "stream"
    """Where changes come from: stream or triggers."""
    keep: int = 10 << 30
    """Most bytes of changes that the source keeps for us."""
    replay: float = 0.0
    """Seconds for which the slot keeps what every sink has, so that a store that is set back by less gets it again."""


class _AgainError(Exception):
    """The slot is to be read again from what it has confirmed."""


class Worker:
    """Reads a slot and has every sink's lane fed. `run` is for the main thread; `stop` may be called from any."""

    def __init__(self, job: Job, make: Make, say: Say = lambda _: None) -> None:
        self._job, self._make, self._say = job, make, say
        self.lanes: dict[str, Lane] = {}
        self._seedings: dict[str, Seeding] = {}
        self._type_name = TypeNames(job.dsn)
        self._capture = capture.of(job)
        self._passed = self._capture.passed
        self._stop = threading.Event()
        self._saved: dict[str, tuple[bool, Stamp]] = {}
        """Whether it is written down that a sink's changes are in its file, and up to where the sink has them."""
        self._safe: deque[tuple[float, int]] = deque()
        """When all sinks had everything up to a position, or had it in their files."""
        self._confirmed = 0
        self._once = 0
        self._ticked = self._told = 0.0
        self._said = ""
        self._wait = SHORTEST
        self._watched = 0.0
        self._missing: set[str] = set()
        """Tables that should be published and are not."""

    def stop(self) -> None:
        """End soon, in order."""
        self._stop.set()

    def run(self, *, once: bool = False) -> None:
        """Work until stopped; with `once` until everything is copied that was committed when it began.

        Raises SlotLostError, and RefusedError for what a person must decide.
        """
        with alone(self._job.folder), sparing():
            try:
                while not self._stop.is_set():
                    try:
                        self._session(once)
                    except SlotBusyError as error:
                        self._tell(f"{error.message}; this worker waits")
                        self._wait = min(max(self._wait, 1.0) * 1.5, LONGEST)
                    except _AgainError:
                        self._wait = SHORTEST
                    except (ConnectError, psycopg.OperationalError) as error:
                        said = error.message if isinstance(error, ConnectError) else str(error)
                        self._tell(f"{said}; it is tried again")
                        self._wait = min(self._wait * 2, LONGEST)
                    self._stop.wait(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            finally:
                self._end()

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)

    def _end(self) -> None:
        for seeding in self._seedings.values():
            seeding.stop()
        for lane in self.lanes.values():
            lane.stop()
        with suppress(psycopg.Error, PgcharterError), source.open_source(self._job.dsn) as conn:
            Checkpoints(conn, self._job.slot).save(lane.told() for lane in self.lanes.values())

    def _session(self, once: bool) -> None:
        """One connection's life."""
        job = self._job
        with source.open_source(job.dsn) as conn:
            self._capture.usable(conn)
            checkpoints = Checkpoints(conn, job.slot)
            tables = source.tables(conn, job.publication)
            self._capture.complete(conn, tables)
            with self._capture.feed(conn, self._type_name) as feed:
                self._tell(f"slot {job.slot} is read")
                self._type_name.know([t.relation for t in tables])
                self._open(checkpoints, tables)
                self._wait = SHORTEST
                if once and not self._once:
                    self._once = self._capture.now(conn)
                self._read(conn, feed, checkpoints)

    def _open(self, checkpoints: Checkpoints, tables: tuple[Table, ...]) -> None:
        """Begin the lanes that there are not yet. Only who reads the slot does so."""
        kept = checkpoints.begin(self._job.sinks)
        for name in self._job.sinks:
            if name not in self.lanes:
                self._lane(kept[name], checkpoints, tables)

    def _lane(self, kept: Kept, checkpoints: Checkpoints, tables: tuple[Table, ...]) -> None:
        if kept.wanted == "reset":
            checkpoints.anew(kept.sink, [t.sql for t in tables], self._capture.now(checkpoints.conn))
            checkpoints.want(kept.sink, "running")
            kept = Kept(kept.sink)
        kept.rows = max(kept.rows, sum(s.rows for s in checkpoints.seeds() if s.sink == kept.sink))
        self._saved[kept.sink] = kept.spilling, kept.stamp
        relations = [t.relation for t in tables]
        lane = Lane(self._make(kept.sink), kept, self._job.dsn, self._job.folder, self._type_name, relations, self._passed)
        self.lanes[kept.sink] = lane
        lane.start()

    def _read(self, conn: Connection, feed: Feed, checkpoints: Checkpoints) -> None:
        while not self._stop.is_set():
            for transaction in feed.receive(0.1):
                self._take(transaction)
            self._passed.move(feed.received)
            now = time.monotonic()
            if feed.wanted or now - self._told > 0.5:
                self._confirm(feed, checkpoints)
                self._told = now
            if now - self._ticked > 1.0:
                self._tick(conn, checkpoints)
                feed.tick(conn)
                self._ticked = now
            if self._once and self._finished(checkpoints, feed):
                self._confirm(feed, checkpoints)
                self._stop.set()

    def _take(self, transaction: Transaction) -> None:
        faults.point("sync received")
        if transaction.xid:
            self._passed.commit(transaction.xid, transaction.lsn)
        for lane in self.lanes.values():
            lane.offer(transaction)
        faults.point("sync offered")

    def _confirm(self, feed: Feed, checkpoints: Checkpoints) -> None:
        """Tell the source up to where every sink has everything, or has it in its file."""
        bounds = [feed.bound]
        for lane in self.lanes.values():
            safe = lane.safe()
            if safe is not None:
                bounds.append(safe)
        told = [lane.told() for lane in self.lanes.values()]
        self._save(checkpoints, [k for k in told if (k.spilling, k.stamp) > self._saved[k.sink]])
        now, kept = time.monotonic(), 0.0 if self._once else self._job.replay
        self._safe.append((now, min(bounds)))
        while self._safe and self._safe[0][0] <= now - kept:
            self._confirmed = max(self._confirmed, self._safe.popleft()[1])
        feed.confirm(self._confirmed)
        faults.point("sync confirmed")

    def _save(self, checkpoints: Checkpoints, told: Sequence[Kept]) -> None:
        """Write down how far sinks are, before the slot lets go of it: a store that has less later on is known to have lost something."""
        if told:
            checkpoints.save(told)
            self._saved.update((k.sink, (k.spilling, k.stamp)) for k in told)

    def _tick(self, conn: Connection, checkpoints: Checkpoints) -> None:
        """Once a second: what is wanted, how far everything is."""
        kept = checkpoints.sinks()
        for name, lane in list(self.lanes.items()):
            lane.tick(self._job.patience)
            wanted = kept[name].wanted if name in kept else "running"
            if lane.older is not None and lane.alive:
                self._set_back(lane, lane.older, checkpoints, conn)
            if wanted == "reset":
                self._reset(name, kept[name], checkpoints, conn)
            else:
                lane.want(wanted)
        self._save(checkpoints, [lane.told() for lane in self.lanes.values()])
        faults.point("sync checkpointed")
        self._seed(checkpoints)
        self._watch(conn, checkpoints)

    def _watch(self, conn: Connection, checkpoints: Checkpoints) -> None:
        """Say when a table is taken out of the publication; seed it anew when it is back, since what was changed meanwhile was not sent."""
        if time.monotonic() - self._watched < self._job.heartbeat:
            return
        self._watched = time.monotonic()
        tables = source.tables(conn, self._job.publication)
        missing = set(self._capture.missing(conn, tables))
        if missing - self._missing:
            names = ", ".join(sorted(missing))
            there = {n for t in tables for n in t.names}
            whole = "was taken out of" if there.isdisjoint(missing) else "is not whole any more in"
            why = f"{whole} publication {self._job.publication}"
            why += " or has lost its triggers" if self._job.capture == "triggers" else ""
            self._say(f"{names} {why}: what is changed there is not copied, until it is back")
        back = [t for t in tables if not (self._missing - missing).isdisjoint(t.names)]
        for name in self._job.sinks if back else ():
            mine = [t for t in back if not set(t.names).isdisjoint(self._make(name).mapper.tables)]
            checkpoints.plant(name, [(t.sql, t.rows) for t in mine], began=self._passed.at, anew=True)
        self._missing = missing

    def _set_back(self, lane: Lane, error: SinkOlderError, checkpoints: Checkpoints, conn: Connection) -> None:
        """Have what a store misses sent again, where the slot still has all of it; else it is given up. Raises _AgainError."""
        slot, at = self._capture.look(conn), error.stamp
        confirmed = max(self._confirmed, slot.confirmed if slot else 0)
        late = [s.source for s in checkpoints.seeds() if s.sink == lane.name and (s.state != "done" or s.began >= at.lsn)]
        if late:
            lane.give_up(f"{error.message}; {', '.join(late)} was seeded since, which is nowhere else")
        elif confirmed > at.lsn:
            lane.give_up(f"{error.message}; the slot has let go of the log up to {lsn_text(confirmed)}, so that cannot be sent again")
        else:
            self._stop_lane(lane.name)
            self._passed.again()
            self._safe.clear()
            self._lane(replace(lane.told(), state="new", stamp=at, spilling=False), checkpoints, source.tables(conn, self._job.publication))
            self._say(f"{error.message}; what it misses is sent again")
            raise _AgainError

    def _stop_lane(self, name: str) -> None:
        if name in self._seedings:
            self._seedings.pop(name).stop()
        self.lanes.pop(name).stop()

    def _reset(self, name: str, kept: Kept, checkpoints: Checkpoints, conn: Connection) -> None:
        self._stop_lane(name)
        self._lane(kept, checkpoints, source.tables(conn, self._job.publication))
        self._say(f"sink {name} begins anew")

    def _seed(self, checkpoints: Checkpoints) -> None:
        """Have tables seeded that wait for it."""
        job = self._job
        waiting = {s.sink for s in checkpoints.seeds() if s.state != "done"}
        for name in waiting & set(self.lanes):
            running = self._seedings.get(name)
            if running is not None and running.problem and not running.over:
                self._tell(running.problem)
            if self.lanes[name].kept.state == "running" and (running is None or running.over):
                self._seedings[name] = Seeding(self.lanes[name], job.dsn, job.slot, job.publication, self._passed, rows=job.chunk)

    def _finished(self, checkpoints: Checkpoints, feed: Feed) -> bool:
        """Whether all is copied that there was, or cannot be now."""
        if feed.received < self._once:
            return False
        going = {n for n, lane in self.lanes.items() if not lane.stuck}
        if not all(self.lanes[n].opened and self.lanes[n].empty for n in going):
            return False
        return not any(s.state != "done" and s.sink in going for s in checkpoints.seeds())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other workers of this machine away from the files. Raises RefusedError."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(f"another worker uses the folder {folder}", hint="one worker works on a slot; stop the other") from None
        yield
    finally:
        os.close(handle)
