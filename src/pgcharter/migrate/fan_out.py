"""The same migrations over many targets, some at a time: a canary first, no new ones after so many failures, each told how it ended.

Every target is a run of its own, with its own ledger and lock: whatever ends the whole, the next one goes on only where something is left.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import psycopg

from pgcharter.errors import ConnectError, PgcharterError, RefusedError
from pgcharter.redact import redact

if TYPE_CHECKING:
    from pgcharter.migrate.endings import Outcome
    from pgcharter.migrate.ledger import Direction
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.targets import Target

Word = Literal["done", "up to date", "stopped", "refused", "failed", "interrupted", "not begun"]
"""stopped: by a gate, a window, or because somebody asked. refused: nothing was run there. not begun: its turn did not come."""
CANARY, STOPPED, INTERRUPTED = "a canary is not done", "so many failed that no other was begun", "the run was interrupted"
"""Why targets were not begun."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done in one target."""

    target: Target
    migrations: tuple[Migration, ...]
    direction: Direction


@dataclass(frozen=True, slots=True)
class Ended:
    """How one target ended."""

    target: Target
    word: Word
    applied: tuple[Migration, ...] = ()
    seconds: float = 0.0
    outcome: Outcome | None = None
    """None where nothing was run."""
    message: str = ""
    hint: str = ""
    place: str = ""

    @property
    def bad(self) -> bool:
        """Whether it counts as a failure. A gate that is closed is none: the target is as far as it may be."""
        return self.word in ("failed", "refused", "interrupted") or (self.outcome is not None and self.outcome.reason == "refused")

    @property
    def ends_all(self) -> bool:
        """Whether what ended it holds for all the others too."""
        return self.word == "interrupted" or (self.outcome is not None and self.outcome.reason in ("window", "asked"))


@dataclass(frozen=True, slots=True)
class Tally:
    """How far the whole has come."""

    counts: Counter[Word]
    running: tuple[str, ...]
    left: int
    """Not begun yet."""
    last: Ended | None = None
    """The target that has just ended; None when one has begun."""


Tell = Callable[[Tally], None]


def ended(job: Job, outcome: Outcome, seconds: float) -> Ended:
    """How a target ended, by the outcome of its run."""
    word: Word = "up to date" if outcome.status == "done" and not outcome.applied else outcome.status  # type: ignore[assignment]
    return Ended(job.target, word, outcome.applied, seconds, outcome, outcome.message, outcome.hint, outcome.place)


def refused(target: Target, error: PgcharterError, seconds: float = 0.0) -> Ended:
    """How a target ended in which nothing was run."""
    word: Word = "refused" if isinstance(error, RefusedError) else "failed"
    return Ended(target, word, (), seconds, None, error.message, error.hint, error.place)


def attempt(job: Job, work: Callable[[Job], Outcome]) -> Ended:
    """Do a job; whatever goes wrong with it is told by the value."""
    began = time.monotonic()
    try:
        return ended(job, work(job), time.monotonic() - began)
    except PgcharterError as error:
        return refused(job.target, error, time.monotonic() - began)
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error).strip().partition("\n")[0] or "the connection was lost"
        lost = ConnectError(f"the server ended the connection: {redact(said)}", hint="run the same command again")
        return refused(job.target, lost, time.monotonic() - began)
    except KeyboardInterrupt:
        return Ended(job.target, "interrupted", seconds=time.monotonic() - began, message="interrupted before anything was begun")


@dataclass
class FanOut:
    """A run over many targets. `run` is called in the main thread, where Ctrl-C arrives and from where `tell` is called."""

    work: Callable[[Job], Outcome]
    """Does one job, in a thread of its own."""
    tell: Tell
    parallel: int
    stop_after: int = 1
    """0: never."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when all is to end at once; `work` must heed it."""
    _all: dict[str, Ended] = field(default_factory=dict)
    _running: dict[str, None] = field(default_factory=dict)
    _waiting: deque[Job] = field(default_factory=deque)
    _left: int = 0
    """Jobs not begun yet, those after the canaries too."""
    _why: str = ""
    """Why no other target is begun; empty while they are."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _said: queue.SimpleQueue[Tally | Exception] = field(default_factory=queue.SimpleQueue)

    def run(self, jobs: Sequence[Job], canaries: Collection[str] = (), before: Sequence[Ended] = ()) -> tuple[Ended, ...]:
        """Do the jobs, those of the targets named `canaries` before the others; return how each ended, and those `before` without a run.

        A second Ctrl-C does not wait for those at work.
        """
        self._left = len(jobs)
        for one in before:
            self._note(one)
        self._wave([j for j in jobs if j.target.name in canaries])
        if any(self._all[name].bad for name in canaries if name in self._all):
            self._end(CANARY)
        self._wave([j for j in jobs if j.target.name not in canaries])
        left = [j for j in jobs if j.target.name not in self._all]
        return (*self._all.values(), *(Ended(j.target, "not begun", message=self._why) for j in left))

    def _wave(self, jobs: Sequence[Job]) -> None:
        if self._why:
            return
        self._waiting.extend(jobs)
        threads = [threading.Thread(target=self._worker, daemon=True) for _ in range(min(self.parallel, len(jobs)))]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) or not self._said.empty():
            try:
                self._hear()
            except KeyboardInterrupt:
                if self.stop.is_set():
                    raise
                self._end(INTERRUPTED)
                self.stop.set()

    def _hear(self) -> None:
        try:
            said = self._said.get(timeout=0.2)
        except queue.Empty:
            return
        if isinstance(said, Exception):
            raise said
        self.tell(said)

    def _worker(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._note(attempt(job, self.work))
            except Exception as error:
                self._end(INTERRUPTED)
                self._said.put(error)

    def _next(self) -> Job | None:
        with self._lock:
            if self._why or not self._waiting:
                return None
            job = self._waiting.popleft()
            self._running[job.target.name] = None
            self._left -= 1
            self._said.put(self._tally(None))
            return job

    def _note(self, one: Ended) -> None:
        with self._lock:
            self._all[one.target.name] = one
            self._running.pop(one.target.name, None)
            failures = sum(e.bad for e in self._all.values())
            if one.ends_all:
                self._why = self._why or one.message
            elif self.stop_after and failures >= self.stop_after:
                self._why = self._why or STOPPED
            self._said.put(self._tally(one))

    def _end(self, why: str) -> None:
        with self._lock:
            self._why = self._why or why

    def _tally(self, last: Ended | None) -> Tally:
        return Tally(Counter(e.word for e in self._all.values()), tuple(self._running), self._left, last)
