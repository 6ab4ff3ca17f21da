"""Workers: they lease sagas that are due and run several at a time, in threads or in tasks.

worker = SagaWorker(db, [order], concurrency=8)
worker.run()                       # until worker.stop(), from another thread or a handler of signals

Any number of workers share the sagas. One that dies loses its leases after `lease` seconds; what it writes after that is refused.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.context import Context as Around
from pgcharter.runtime.sagas_data import Raw, read
from pgcharter.runtime.sagas_define import Child, Context, Leafy, Saga, Step
from pgcharter.runtime.sagas_link import SQL, Link, LinkClosedError, checkpoint, unavailable
from pgcharter.runtime.sagas_run import LostError, Run
from pgcharter.runtime.sagas_state import Instance, Letter

if TYPE_CHECKING:
    pass

log = logging.getLogger("pgcharter.sagas")
CHANNEL = "sagas"
_ORPHANS = 10.0
"""Seconds between looks for sagas whose definition nobody has."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A saga needs a person. It goes on trying."""

    saga_id: str
    type: str
    version: int
    tenant: str
    key: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A saga has come to its end in this worker."""

    saga_id: str
    type: str
    status: str
    result: Any
    error: str | None


@dataclass(frozen=True)
class SagaSettings:
    """Times are seconds. Raises UsageError for what makes no sense."""

    concurrency: int = 16
    """Sagas that run at a time."""
    lease: float = 30.0
    """A worker that says nothing for so long has lost its sagas. It says something every third of that, however long a step takes."""
    poll_least: float = 0.01
    poll_most: float = 0.25
    """Pause between looks while nothing is due: it doubles from the one to the other."""
    listen: bool = False
    """Be woken by NOTIFY (`wakes`), on a connection of its own; `poll_most` is 5 s then."""
    grace: float = 10.0
    """Sagas that are due for so long and not taken by anybody have no worker with their definition: they say so."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        if self.concurrency < 1 or min(self.lease, self.poll_least, self.poll_most) <= 0 or self.grace < 0:
            raise UsageError(f"{self} makes no sense: at least one saga at a time, and times above zero")


@dataclass(eq=False, slots=True)
class _Entry:
    """A checkpoint on its way."""

    saga: Raw
    rest: Raw
    bell: Any
    """Rung when it has been written, or is to be sent by who waits for it."""
    found: bool = False
    signals: int | None = None
    error: Exception | None = None


@dataclass(slots=True)
class SagaCounts:
    """What a worker has done."""

    claimed: int = 0
    checkpoints: int = 0
    round_trips: int = 0
    lost: int = 0
    alarms: int = 0


class AnyWorker:
    """What both colours of a worker share."""

    _call: Any
    _woken: Callable[[bool], None]
    _joined: Callable[[Any], Any]
    _sleep: Any
    _gate: Callable[[], Any]
    _mailbox: Callable[[], Any]
    _spawn: Callable[[Steps[None]], Any]
    _unit: Any
    _pause: Any
    _connect: Any
    _listener: Callable[[Any, str], Any]

    def __init__(
        self, db: Any, sagas: Iterable[Saga[Any]], settings: SagaSettings | None = None, *, name: str = "",
        on_alarm: Callable[[Alarm], Any] | None = None, on_end: Callable[[Ended], Any] | None = None,
    ) -> None:  # fmt: skip
        self.db = db
        self.settings = settings or SagaSettings()
        self.definitions = _known(sagas)
        self.owner = f"{name or socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        """Names this life of the worker."""
        self.on_alarm = on_alarm
        self.on_end = on_end
        self.counts = SagaCounts()
        self.stopping = False
        self._running: dict[str, Run] = {}
        self._waiting: deque[_Entry] = deque()
        self._leading = threading.Lock()
        """Held by the one that sends checkpoints, those of others with its own."""
        self._soonest = float("inf")
        self._ended = 0
        """Runs that are over."""
        self._links: tuple[Link, Link] | None = None

    # serving

    def _serve(self, until_idle: bool) -> Steps[None]:
        self.stopping = False
        self._links = Link(self._connect, self._gate(), self._sleep), Link(self._connect, self._gate(), self._sleep)
        spawned = [self._spawn(self._beating())]
        if self.settings.listen:
            spawned.append(self._spawn(self._listening()))
        try:
            yield from self._serving(until_idle)
            yield from self._left()
        finally:
            self.stopping = True
            for link in self._links:
                yield from link.close()
            for each in spawned:
                yield partial(self._joined, each)

    def _listening(self) -> Steps[None]:
        listener = self._listener(self.db, CHANNEL)
        try:
            while not self.stopping:
                if (yield partial(listener.wait, 60.0, _Stopping(self))):
                    self._woken(True)
        finally:
            yield listener.close

    def _serving(self, until_idle: bool) -> Steps[None]:
        pause, looked = self.settings.poll_least, 0.0
        while not self.stopping:
            free = self.settings.concurrency - len(self._running)
            claimed: list[Raw] = []
            began, ended = time.monotonic(), self._ended
            self._woken(False)
            if free * 4 >= self.settings.concurrency:
                claimed = yield from self._claimed(free)
            for raw in claimed:
                self._begin(Instance.read(raw), began + self.settings.lease)
            if time.monotonic() - looked > _ORPHANS:
                looked = time.monotonic()
                yield from self._orphans()
            if claimed:
                pause = self.settings.poll_least
                continue
            if until_idle and not self._running and ended == self._ended and self._soonest > time.monotonic() + 3600:
                return
            yield partial(self._pause, max(0.0, min(pause, self._soonest - time.monotonic())))
            if self._soonest <= time.monotonic():
                self._soonest, pause = float("inf"), self.settings.poll_least
            else:
                pause = min(pause * 2, 5.0 if self.settings.listen else self.settings.poll_most)

    def _claimed(self, free: int) -> Steps[list[Raw]]:
        kinds = list(self.definitions)
        wanted = {
            "owner": self.owner, "lease": f"{self.settings.lease} s", "types": [t for t, _ in kinds], "versions": [v for _, v in kinds],
            "most": free, "busy": list(self._running),
        }  # fmt: skip
        try:
            rows = yield from self._control.rows(SQL["claim"].encode(), wanted)
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege) as error:
            raise unavailable(error) from error
        self.counts.claimed += len(rows)
        return [row[0] for row in rows]

    @property
    def _control(self) -> Link:
        assert self._links is not None  # noqa: S101 - it is serving
        return self._links[1]

    def _begin(self, instance: Instance, sure: float) -> None:
        instance.sure = sure
        run = Run(self, self.definitions[instance.type, instance.version], instance)
        self._running[instance.id] = run
        self._spawn(self._ran(run, instance.id))

    def _ran(self, run: Run, name: str) -> Steps[None]:
        try:
            yield from run.steps()
            self.counts.lost += run.it.lost
        except LinkClosedError:
            log.warning("saga %s %s is left: the worker is closed", run.saga, name)
        except Exception:
            log.exception("saga %s %s is left to who claims it next", run.saga, name)
        finally:
            self._ended += 1  # before it is seen to run no more: what it has told others may be due
            self._running.pop(name, None)
            self._woken(True)

    def _left(self) -> Steps[None]:
        """Let what runs come to its next checkpoint."""
        while self._running:
            yield partial(self._sleep, 0.01)

    def _beating(self) -> Steps[None]:
        """Keep the leases of what runs."""
        every, last = self.settings.lease / 3, time.monotonic()
        while not (self.stopping and not self._running):
            yield partial(self._sleep, min(every / 4, 0.1))
            if time.monotonic() - last < every or not self._running:
                continue
            last = time.monotonic()
            try:
                yield from self._beat()
            except LinkClosedError:
                return
            except Exception:
                log.exception("leases of sagas could not be kept; tried again")

    def _beat(self) -> Steps[None]:
        held, began = [run for run in list(self._running.values()) if not run.it.lost], time.monotonic()
        rows = yield from self._control.rows(
            SQL["beat"].encode(),
            {
                "ids": [r.it.id for r in held],
                "tokens": [r.it.token for r in held],
                "owner": self.owner,
                "lease": f"{self.settings.lease} s",
            },
        )
        kept = {row[0] for row in rows}
        for run in held:
            run.it.lost = run.it.lost or run.it.id not in kept
            run.it.sure = began + self.settings.lease

    def _orphans(self) -> Steps[None]:
        kinds = list(self.definitions)
        rows = yield from self._control.rows(
            SQL["orphaned"].encode(),
            {"grace": f"{self.settings.grace} s", "types": [t for t, _ in kinds], "versions": [v for _, v in kinds]},
        )
        for kind, version in sorted({(r[0], r[1]) for r in rows}):
            many = sum(1 for r in rows if (r[0], r[1]) == (kind, version))
            log.warning("%d sagas wait for definition %s v%d, which no worker has", many, kind, version)

    # what a run asks for

    def _commit(self, it: Instance, release: bool, after: float | None) -> Steps[int | None]:
        """Write a checkpoint, together with those of others that wait. Signals noticed so far; None: the lease is lost."""
        began = time.monotonic()
        entry = _Entry(it.document(self.owner, release, after), _rest(it), self._mailbox())
        children = bool(it.changes.children or it.changes.told)
        self._waiting.append(entry)
        while not entry.found:
            if self._leading.acquire(blocking=False):
                try:
                    yield from self._flush()
                except BaseException:
                    with suppress(ValueError):
                        self._waiting.remove(entry)
                    raise
                finally:
                    self._leading.release()
                    with suppress(IndexError):
                        self._waiting[0].bell.put_nowait(None)  # whoever came meanwhile sends for all
            else:
                yield entry.bell.get
        if entry.error is not None:
            raise entry.error
        it.sure = max(it.sure, began + self.settings.lease / 2)
        if release and after is not None:
            self._soonest = min(self._soonest, time.monotonic() + after)
        if children or (release and (after is not None and after < self.settings.poll_most)):
            self._woken(True)
        return entry.signals

    def _flush(self) -> Steps[None]:
        """Send all checkpoints that wait, in one statement."""
        assert self._links is not None  # noqa: S101 - it is serving
        link = self._links[0]
        batch: list[_Entry] = []
        with suppress(IndexError):
            while True:
                batch.append(self._waiting.popleft())
        if not batch:
            return
        try:
            yield from self._sent(link, batch)
        except psycopg.Error as error:
            for entry in batch if len(batch) > 1 else ():
                try:
                    yield from self._sent(link, [entry])
                except psycopg.Error as own:
                    entry.error, entry.found = own, True
            if len(batch) == 1:
                batch[0].error, batch[0].found = error, True
        except BaseException:
            self._waiting.extendleft(e for e in reversed(batch) if not e.found)
            raise
        finally:
            for entry in batch:
                if entry.found:
                    entry.bell.put_nowait(None)

    def _sent(self, link: Link, batch: list[_Entry]) -> Steps[None]:
        sql, parameters = self._statement([e.saga for e in batch], [e.rest for e in batch])
        rows = yield from link.sent(sql, parameters)
        found = {row[0]: row[1] for row in rows}
        self.counts.checkpoints += len(batch)
        self.counts.round_trips += 1
        for entry in batch:
            entry.signals, entry.found = found.get(entry.saga["id"]), True

    def _statement(self, sagas: list[Raw], rests: list[Raw], whole: bool = True) -> tuple[bytes, dict[str, Any]]:
        doc: dict[str, Any] = {"sagas": sagas}
        for rest in rests:
            for name, items in rest.items():
                doc.setdefault(name, []).extend(items)
        more = any(name in doc for name in ("history", "taken", "children", "told"))
        lease = self.settings.lease
        parameters = {"doc": json.dumps(doc), "half": f"{lease / 2} s", "idle": f"{max(1, round(lease * 1000))}ms"}
        return _STATEMENTS[more, whole], {**parameters, "owner": self.owner} if more else parameters

    def _write(self, work: Any, fork: Instance, whole: bool) -> Steps[int]:
        """Write a checkpoint in a unit of work. Raises LostError, which rolls it back."""
        fork.sure = max(fork.sure, time.monotonic() + self.settings.lease / 2) if whole else fork.sure
        sql, parameters = self._statement([fork.document(self.owner, False, None)], [_rest(fork)], whole)
        cursor = yield partial(work.conn.execute, sql, parameters)
        rows = yield cursor.fetchall
        if not rows:
            raise LostError
        self.counts.checkpoints += 1
        row = rows[0]
        return int(row["signals"] if isinstance(row, dict) else row[1])

    def _letters(self, it: Instance) -> Steps[list[Letter]]:
        rows = yield from self._control.rows(SQL["untaken"].encode(), {"id": it.id})
        return [Letter(*row) for row in rows]

    def _limit(self, work: Any, node: Leafy) -> Steps[None]:
        if isinstance(node, Step) and node.timeout is not None:
            yield partial(work.conn.execute, f"SET LOCAL statement_timeout = {max(1, round(node.timeout * 1000))}")

    def _act(self, node: Leafy, context: Context[Any], undo: bool, around: Around | None = None) -> Steps[Any]:
        """Call the application."""
        assert isinstance(node, Step)  # noqa: S101 - nothing else is acted on
        function = node.undo if undo else node.action
        return (yield partial(self._call, function, context, node.timeout, around))

    def _alarm(self, it: Instance) -> None:
        self.counts.alarms += 1
        message = it.waiting or next((r.error for r in it.rows.values() if r.error and r.due is not None), None) or it.error or ""
        alarm = Alarm(it.id, it.type, it.version, it.tenant, it.key, message)
        log.error("saga %s v%d %s needs a person: %s", it.type, it.version, it.id, message)
        if self.on_alarm is not None:
            try:
                self.on_alarm(alarm)
            except Exception:
                log.exception("the hook for alarms of sagas failed")

    def _over(self, it: Instance) -> None:
        if self.on_end is not None:
            try:
                self.on_end(Ended(it.id, it.type, it.status, read(it.result), it.error))
            except Exception:
                log.exception("the hook for the end of sagas failed")

    def stop(self) -> None:
        """Begin no more steps; `run` returns when those that are under way have come to their checkpoints."""
        self.stopping = True
        self._woken(True)

    def wake(self) -> None:
        """Look for what is due now, from any thread: after a start or a signal in the same process was committed."""
        self._woken(True)


class _Stopping:
    """Says to whoever listens, in both colours, whether to stop."""

    def __init__(self, worker: AnyWorker) -> None:
        self._worker = worker

    def is_set(self) -> bool:
        return self._worker.stopping

    __call__ = is_set


_STATEMENTS = {(more, whole): checkpoint(more, whole) for more in (False, True) for whole in (False, True)}


def _rest(it: Instance) -> Raw:
    """What a checkpoint writes beside the saga's own row."""
    changes = it.changes
    found: Raw = {"steps": [it.rows[n].written(it.id) for n in sorted(changes.steps)], "history": changes.history}
    found |= {"taken": [{"id": t, "saga": it.id} for t in changes.taken], "children": changes.children, "told": changes.told}
    return {name: items for name, items in found.items() if items}


def _known(sagas: Iterable[Saga[Any]]) -> dict[tuple[str, int], Saga[Any]]:
    """Definitions by name and version, with the sagas inside them. Raises UsageError for two of one version."""
    found: dict[tuple[str, int], Saga[Any]] = {}
    todo = list(sagas)
    while todo:
        saga = todo.pop()
        held = found.setdefault((saga.name, saga.version), saga)
        if held is not saga and held != saga:
            raise UsageError(f"there are two definitions of saga {saga}", hint="give the newer one a higher version, and keep both")
        if held is saga:
            todo += [leaf.node.saga for leaf in saga.leaves if isinstance(leaf.node, Child)]
    return found
