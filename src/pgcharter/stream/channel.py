"""What is on its way to one sink: in memory, and in its file once the sink is down, slow or paused."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from pgcharter import faults
from pgcharter.stream.model import Change, Stamp
from pgcharter.stream.spill import Spill
from pgcharter.stream.transactions import Transaction

MEMORY = 32 << 20
"""Bytes of messages in memory for one sink."""
PATIENCE = 5.0
"""Seconds after which what a sink has not taken goes to its file, so that the slot lets go of it."""
_START = Stamp(0, 0)
BATCH = 5_000
"""Changes that a sink is given at a time, about."""


@dataclass
class Batch:
    """Changes for a sink."""

    changes: list[Change] = field(default_factory=list)
    upto: Stamp = _START
    time: int = 0
    """When the newest of them was committed, microseconds since 1970."""


class Channel:
    """From the reader's thread to the sink's. Nothing is lost: what was offered is in memory, in the file, or durable in the sink."""

    def __init__(self, spill: Spill, durable: Stamp, *, memory: int = MEMORY) -> None:
        self.durable = durable
        """Everything up to it is in the sink."""
        self.held = False
        """Whether the sink is known to take nothing for now: all goes to the file."""
        self.since = 0
        """When the first transaction was committed that went to the file, microseconds since 1970."""
        self._spill, self._memory = spill, memory
        self._condition = threading.Condition()
        self._queue: deque[tuple[Transaction, float]] = deque()
        self._size = 0
        self._taken = 0
        self._current: Iterator[list[Change]] | None = None
        self._spilling = not spill.empty
        self._given_up = False
        self.offered = max(durable.lsn - 1, spill.last if self._spilling else 0)
        """Position of the last transaction that came; those up to it are not taken again."""

    @property
    def spilling(self) -> bool:
        """Whether the file has what the sink has not."""
        return self._spilling

    @property
    def synced(self) -> bool:
        """Whether the file has something that the slot may have let go of: only then must it be there after a crash."""
        return self._spilling and self._spill.marked

    @property
    def empty(self) -> bool:
        """Whether the sink has everything."""
        with self._condition:
            return not self._spilling and not self._queue

    @property
    def kept(self) -> int:
        """Bytes in the file."""
        return self._spill.size

    def oldest(self) -> int:
        """When the oldest was committed that waits in memory, microseconds since 1970; 0: none does."""
        with self._condition:
            return self._queue[0][0].time if self._queue else 0

    def offer(self, transaction: Transaction) -> None:
        """Take a transaction. Raises SpillFullError when it has to go to the file and that is full."""
        with self._condition:
            if self._given_up or transaction.lsn <= self.offered:
                return
            self.offered = transaction.lsn
            if not self._spilling:
                self.since = transaction.time
            if not self._spilling and (self.held or self._size + transaction.held.memory > self._memory):
                self._keep()
            if self._spilling or self.held:
                self._spilling = True
                self._spill.append(transaction)
            else:
                self._queue.append((transaction, time.monotonic()))
                self._size += transaction.held.memory
            self._condition.notify()

    def keep(self, *, older: float = 0.0) -> None:
        """Write to the file what the sink has not taken, when it waits for more than so many seconds."""
        with self._condition:
            if self._queue and time.monotonic() - self._queue[0][1] >= older:
                self._keep()

    def _keep(self) -> None:
        if not self._queue:
            return
        self._spilling, self.since = True, self._queue[0][0].time
        for transaction, _ in self._queue:
            self._spill.append(transaction)
        self._queue.clear()
        self._size = self._taken = 0
        self._current = None

    def safe(self) -> int | None:
        """Position from which the server must send again after a crash; None: from where it is.

        What is in the file is synchronised first. Raises SpillFullError where that fails.
        """
        with self._condition:
            if self._spilling:
                self._spill.sync()
                faults.point("sync spilled")
                return None
            return self._queue[0][0].first or self._queue[0][0].lsn if self._queue else None

    def take(self, wait: float, most: int = BATCH) -> Batch | None:
        """What comes next for the sink; None when there is nothing after `wait` seconds. Raises SpillDamagedError."""
        with self._condition:
            if not self._ready():
                self._condition.wait_for(self._ready, wait)
            if not self._ready():
                return None
            spilling = self._spilling
            if spilling:
                return self._from_spill(most)
        return self._from_memory(most)

    def _ready(self) -> bool:
        return not self._spill.drained if self._spilling else self._current is not None or self._taken < len(self._queue)

    def _from_spill(self, most: int) -> Batch:
        batch = Batch(upto=self.durable)
        while len(batch.changes) < most:
            piece = self._spill.read()
            if piece is None:
                break
            self._add(batch, piece.changes)
            batch.time = piece.time
        return batch

    def _from_memory(self, most: int) -> Batch:
        batch = Batch(upto=self.durable)
        while len(batch.changes) < most:
            with self._condition:
                if self._spilling or self._taken >= len(self._queue):
                    break
                transaction = self._queue[self._taken][0]
                if self._current is None:
                    self._current = transaction.changes()
                current = self._current
            piece = next(current, None)
            with self._condition:
                if piece is None and current is self._current:
                    self._taken += 1
                    self._current = None
            self._add(batch, piece or [])
            batch.time = transaction.time
        return batch

    def _add(self, batch: Batch, changes: list[Change]) -> None:
        if changes and changes[0].stamp <= batch.upto:
            changes = [c for c in changes if c.stamp > batch.upto]
        if changes:
            batch.changes += changes
            batch.upto = changes[-1].stamp

    def done(self, upto: Stamp) -> None:
        """What was taken is durable in the sink."""
        with self._condition:
            self.durable = max(self.durable, upto)
            if self._spilling:
                self._spill.consumed()
                if self._spill.empty and not self.held:
                    self._spill.clear()
                    self._spilling = False
                return
            for _ in range(self._taken):
                self._size -= self._queue.popleft()[0].held.memory
            self._taken = 0

    def reached(self, received: int) -> Stamp:
        """What the sink can be told that it has, of all that was offered up to a position: more than it knows of, when nothing waits.

        Commits stand at multiples of eight, so none is at the byte before the position.
        """
        with self._condition:
            at = self.durable
            if self._spilling or self._queue or at.lsn > received - 1:
                return at
            return Stamp(received - 1, at.ordinal + 1 if at.lsn == received - 1 else 0)

    def again(self) -> None:
        """What was taken and is not done will be taken again."""
        with self._condition:
            self._taken, self._current = 0, None
            if self._spilling:
                self._spill.again()

    def hold(self, held: bool) -> None:
        """Keep everything in the file from now on, or no longer."""
        with self._condition:
            self.held = held
            if held:
                self._keep()
            elif self._spilling and self._spill.empty:
                self._spill.clear()
                self._spilling = False

    def give_up(self) -> None:
        """Take nothing any more, and let go of everything."""
        with self._condition:
            self._given_up = True
            self._queue.clear()
            self._size = self._taken = 0
            self._current = None
            self._spill.drop()
            self._spilling = False

    def close(self) -> None:
        """Let go of the file, which stays."""
        with self._condition:
            self._spill.close()
