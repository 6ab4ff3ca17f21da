"""One sink and its thread: whatever becomes of it, the others and the slot go on."""

from __future__ import annotations

import queue
import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pgcharter import faults
from pgcharter.errors import ConnectError, PgcharterError
from pgcharter.stream.channel import Channel
from pgcharter.stream.checkpoints import Kept
from pgcharter.stream.errors import SinkDownError, SinkLostError, SinkOlderError, SinkRefusedError
from pgcharter.stream.mapper import Target
from pgcharter.stream.model import Change, Relation, Stamp
from pgcharter.stream.passed import Passed
from pgcharter.stream.pgoutput import TypeName
from pgcharter.stream.spill import Spill, SpillDamagedError, SpillFullError
from pgcharter.stream.transactions import Transaction
from pgcharter.stream.writing import Writing

SHORTEST, LONGEST = 0.2, 30.0
"""Least and most seconds between two attempts at a sink that is down."""
PULSE = 10.0
"""Seconds after which an idle store that keeps how far it is gets that written: one that was emptied or set back is found out."""
REFUSED = 60.0
"""Seconds after which a sink that refused is tried again: somebody may have put it right."""


@dataclass
class Chunk:
    """Rows of a table on their way to a sink, beside the stream."""

    relation: Relation
    changes: Sequence[Change]
    clear: Stamp | None = None
    """Instead of writing: have older rows go."""
    done: threading.Event = field(default_factory=threading.Event)
    sent: Stamp | None = None
    """Where the store stood when it was written. Whether the store has it is known once it stands further."""
    written: bool = False


class Lane:
    """A sink, what is on its way to it, and the thread that writes."""

    def __init__(
        self, target: Target, kept: Kept, dsn: str, folder: Path, type_name: TypeName, relations: Sequence[Relation], passed: Passed
    ) -> None:
        self.name, self.kept = target.name, kept
        self.chunks: queue.Queue[Chunk] = queue.Queue(1)
        self.opened = False
        """Whether the sink was reached in this life."""
        self.older: SinkOlderError | None = None
        """What the store misses, until the worker has decided what becomes of it."""
        self._relations, self._passed = relations, passed
        self._writing = Writing(target, dsn, passed)
        self._writing.had = kept.stamp if kept.stamp.lsn or kept.rows else None
        self._rows = kept.rows
        self._time = 0
        self._written = 0.0
        self._resting = False
        self._wait = SHORTEST
        self._stop, self._wake = threading.Event(), threading.Event()
        self._chunk: Chunk | None = None
        self._channel = self._begin(Spill, folder / target.name, target.spill, type_name)
        self._thread = threading.Thread(target=self._run, name=f"sink {target.name}", daemon=True)

    def _begin(self, make: Callable[..., Spill], folder: Path, limit: int, type_name: TypeName) -> Channel:
        """Take up what the last run has left in the file, or say that it is gone."""
        if self.kept.state == "new" and not self.kept.spilling:
            shutil.rmtree(folder, ignore_errors=True)
        why = self.kept.reason if self.kept.state == "lost" else ""
        try:
            spill = make(folder, limit, type_name)
            if self.kept.spilling and not spill.marked and not why:
                why = f"{folder} is gone, and with it changes that the sink has not taken"
        except SpillDamagedError as error:
            why = error.message
            spill = make(folder.with_name(f"{folder.name}.damaged"), limit, type_name)
        channel = Channel(spill, self.kept.stamp)
        if why:
            channel.give_up()
            self._lose(why)
        return channel

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def seeding(self) -> set[str]:
        """Tables that are being seeded, as SQL."""
        return self._writing.seeding

    @property
    def durable(self) -> Stamp:
        """Up to where the sink has everything."""
        return self._channel.durable

    @property
    def alive(self) -> bool:
        """Whether it takes changes, now or later."""
        return self.kept.state != "lost"

    @property
    def stuck(self) -> bool:
        """Whether it waits for something other than changes."""
        return not self.alive or self._resting or self.kept.wanted == "paused"

    @property
    def empty(self) -> bool:
        """Whether the sink has everything that was offered."""
        return self._channel.empty

    def offer(self, transaction: Transaction) -> None:
        """Take a transaction; when there is no room for it, the sink is given up."""
        try:
            self._channel.offer(transaction)
        except SpillFullError as error:
            self.give_up(error.message)

    def safe(self) -> int | None:
        """Position from which the server would have to send again; None: from where it is."""
        try:
            return self._channel.safe()
        except SpillFullError as error:
            self.give_up(error.message)
            return None

    def tick(self, patience: float) -> None:
        """What waits for too long goes to the file, so that the slot lets go of it."""
        try:
            self._channel.keep(older=patience)
        except SpillFullError as error:
            self.give_up(error.message)

    def told(self) -> Kept:
        """How far it is, to be written down."""
        kept = self.kept
        kept.stamp, kept.rows = self._channel.durable, self._rows + self._writing.rows
        kept.reached = self._channel.reached(self._passed.at).lsn
        kept.spilling, kept.spilled = self._channel.synced, self._channel.kept
        oldest = max(self._time, self._channel.since) if self._channel.spilling else self._channel.oldest()
        kept.behind = max(0.0, time.time() - oldest / 1e6) if oldest else 0.0
        return kept

    def want(self, wanted: str) -> None:
        """Pause it, or go on."""
        if wanted != self.kept.wanted:
            self.kept.wanted = wanted
            self._wake.set()

    def stop(self) -> None:
        """End the thread after what it is writing; what it has not written is sent again, or stays in the file."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=20)
        self._abandon()
        self._channel.close()

    def _lose(self, why: str) -> None:
        self.kept.state = "lost"
        self.kept.reason = why if "sync reset" in why else f"{why}; its copies must be seeded anew: pgcharter sync reset {self.name}"

    def give_up(self, why: str) -> None:
        """Take nothing any more: its copies must be seeded anew."""
        self._lose(why)
        self._channel.give_up()
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set() and self.alive:
            try:
                if self.kept.wanted == "paused":
                    self._pause()
                    continue
                self._open()
                self._channel.hold(False)
                self._set("running", "")
                self.opened = True
                self._work()
            except (SinkDownError, ConnectError) as error:
                self._rest("down", error, self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                self._wait = min(self._wait * 2, LONGEST)
            except SinkOlderError as error:
                self._set_back(error)
            except (SpillDamagedError, SinkLostError) as error:
                self.give_up(error.message)
            except SinkRefusedError as error:
                self._rest("refused", error, REFUSED)
            except Exception as error:
                self._rest("refused", error, REFUSED)
        self._writing.close()
        self._abandon()

    def _set_back(self, error: SinkOlderError) -> None:
        """Wait for the worker: it has what is missing sent again, to another lane, or gives this one up."""
        self._set("down", error.message)
        with suppress(Exception):
            self._writing.close()
        self.older = error
        while self.alive and not self._stop.is_set():
            self._wake.wait(0.5)
            self._wake.clear()

    def _open(self) -> None:
        if self._chunk is not None:
            self._chunk.sent = None
        stamp = self._writing.open(self._relations)
        if stamp is not None:
            self._channel.done(stamp)
            self._channel.again()

    def _work(self) -> None:
        """Write until something is wanted otherwise."""
        while not self._stop.is_set() and self.alive and self.kept.wanted != "paused":
            self._seed()
            batch = self._channel.take(0.05 if self.seeding else 0.2)
            if batch is None:
                self._pulse()
                continue
            self._written = time.monotonic()
            if batch.changes:
                self._writing.write(batch.changes, batch.upto)
            self._time = batch.time
            self._channel.done(batch.upto)
            self._wait = SHORTEST

    def _pulse(self) -> None:
        if self._writing.target.sink.keeps and time.monotonic() - self._written > PULSE:
            self._written = time.monotonic()
            upto = self._channel.reached(self._passed.at)
            if upto > self._channel.durable:
                self._writing.write([], upto)
                self._channel.done(upto)

    def _seed(self) -> None:
        """Write a chunk, if there is one; it counts once the store keeps a position behind it."""
        if self._chunk is None:
            try:
                self._chunk = self.chunks.get_nowait()
            except queue.Empty:
                return
        chunk, before = self._chunk, self._channel.durable
        upto = self._channel.reached(self._passed.at)
        if chunk.sent is None:
            if chunk.clear is not None:
                self._writing.clear(chunk.relation, chunk.clear, upto)
            else:
                self._writing.write(chunk.changes, upto, chunk=True)
            faults.point("sync chunk written")
            chunk.sent = before
        elif upto > before == chunk.sent:
            self._writing.write([], upto)
        else:
            upto = before  # what has come meanwhile says enough
        self._channel.done(upto)
        if self._channel.durable > chunk.sent:
            chunk.written, self._chunk = True, None
            chunk.done.set()

    def _abandon(self) -> None:
        """Tell whoever waits for chunks that they were not written."""
        while True:
            if self._chunk is not None:
                self._chunk.done.set()
                self._chunk = None
            try:
                self._chunk = self.chunks.get_nowait()
            except queue.Empty:
                return

    def _pause(self) -> None:
        self._set("paused", "")
        self._writing.close()
        self._hold()
        while self.kept.wanted == "paused" and self.alive and not self._stop.is_set():
            self._wake.wait(1.0)
            self._wake.clear()
        self._channel.again()

    def _rest(self, state: str, error: Exception, wait: float) -> None:
        """Wait after a failure, while changes go to the file."""
        said = error.message if isinstance(error, PgcharterError) else f"{type(error).__name__}: {error}"
        hint = f" ({error.hint})" if isinstance(error, PgcharterError) and error.hint else ""
        self._set(state, said + hint)
        try:
            self._writing.close()
        except Exception as closing:
            self._set(state, f"{said}{hint}; and closing it: {closing}")
        self._hold()
        self._resting = True
        until = time.monotonic() + wait
        while time.monotonic() < until and not self._stop.is_set() and not self._wake.is_set():
            self._wake.wait(min(0.5, max(0.0, until - time.monotonic())))
        self._wake.clear()
        self._resting = False
        self._channel.again()

    def _hold(self) -> None:
        try:
            self._channel.hold(True)
        except SpillFullError as error:
            self.give_up(error.message)

    def _set(self, state: str, reason: str) -> None:
        if self.alive:
            self.kept.state, self.kept.reason = state, reason
