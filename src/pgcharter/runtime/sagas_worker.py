"""Workers: they lease sagas that are due and run several at a time, in threads or in tasks.

worker = SagaWorker(db, [order], concurrency=8)
worker.run()                       # until worker.stop(), from another thread or a handler of signals

Any number of workers share the sagas. One that dies loses its leases after `lease` seconds; what it writes after that is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from pgcharter.errors import UnavailableError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.context import Context as Around
from pgcharter.runtime.feeds_leases import TO_THE_PRIMARY
from pgcharter.runtime.sagas_claims import Claims
from pgcharter.runtime.sagas_data import Raw, read
from pgcharter.runtime.sagas_define import Context, Leafy, Saga, Step
from pgcharter.runtime.sagas_link import SQL, Link, LinkClosedError
from pgcharter.runtime.sagas_run import Run
from pgcharter.runtime.sagas_settings import Alarm, Ended, SagaSettings
from pgcharter.runtime.sagas_state import Instance, Letter

log = logging.getLogger("pgcharter.sagas")
CHANNEL = "sagas"
_ORPHANS = 10.0
"""Seconds between looks for sagas whose definition nobody has."""


class AnyWorker(Claims):
    """What both colours of a worker share."""

    _call: Any
    _joined: Callable[[Any], Any]
    _gate: Callable[[], Any]
    _spawn: Callable[[Steps[None]], Any]
    _unit: Any
    _pause: Any
    _connect: Any
    _listener: Callable[[Any, str], Any]

    def __init__(
        self, db: Any, sagas: Iterable[Saga[Any]], settings: SagaSettings | None = None, *, name: str = "",
        on_alarm: Callable[[Alarm], Any] | None = None, on_end: Callable[[Ended], Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(sagas, settings, name)
        self.db = db
        self.on_alarm = on_alarm
        self.on_end = on_end
        self._ended = 0
        """Runs that are over."""
        self._ear: Any = None
        """Listens, where that is wanted."""

    # serving

    def _serve(self, until_idle: bool) -> Steps[None]:
        self.stopping = False
        self._links = Link(self._connect, self._gate(), self._sleep), Link(self._connect, self._gate(), self._sleep)
        spawned = [self._spawn(self._beating())]
        if self.settings.listen:
            spawned.append(self._spawn(self._listening()))
        try:
            with suppress(LinkClosedError):  # told to stop while the server does not answer
                yield from self._serving(until_idle)
            yield from self._left()
        finally:
            self.stopping = True
            for link in self._links:
                yield from link.close()
            for each in spawned:
                yield partial(self._joined, each)

    def _listening(self) -> Steps[None]:
        self._ear = self._listener(self.db, CHANNEL)
        try:
            while not self.stopping:
                if (yield partial(self._ear.wait, 60.0, _Stopping(self))):
                    self._woken(True)
        finally:
            yield self._ear.close

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
                pause = min(pause * 2, 5.0 if self._ear is not None and self._ear.hears else self.settings.poll_most)

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

    # what a run asks for

    def _letters(self, it: Instance) -> Steps[list[Letter]]:
        rows = yield from self._control.rows(SQL["untaken"].encode(), {"id": it.id})
        return [Letter(*row) for row in rows]

    def _threshold(self, conn: Any, row: Any) -> int | None:
        """From which time on statements are prepared; never through a pooler, which gives each transaction another session.

        Raises UnavailableError where a worker begins on a standby; later the server may have changed its part with another one.
        """
        if row[1] and not self._answered:
            raise UnavailableError(f"what is given as {self.db.primary.name} is a standby, where no sagas can be run", hint=TO_THE_PRIMARY)
        threshold: int | None = self.db.connect_options.get("prepare_threshold", 1)
        return threshold if row[0] == conn.info.backend_pid else None

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
