"""Sagas under lease: claimed when they are due, kept while they run, and those that no worker has a definition for."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Any

import psycopg

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.sagas_checkpoints import Checkpoints
from pgcharter.runtime.sagas_data import Raw
from pgcharter.runtime.sagas_define import Child, Saga
from pgcharter.runtime.sagas_link import SQL, Link, LinkClosedError, unavailable
from pgcharter.runtime.sagas_run import Run
from pgcharter.runtime.sagas_settings import SagaCounts, SagaSettings

log = logging.getLogger("pgcharter.sagas")


class Claims(Checkpoints):
    """What both colours of a worker do about leases."""

    _sleep: Any

    def __init__(self, sagas: Iterable[Saga[Any]], settings: SagaSettings | None, name: str) -> None:
        super().__init__()
        self.settings = settings or SagaSettings()
        self.definitions = _known(sagas)
        self.owner = f"{name or socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        """Names this life of the worker."""
        self.counts = SagaCounts()
        self.stopping = False
        self._answered = False
        """The server has once been a primary with tables of sagas."""
        self._running: dict[str, Run] = {}
        self._links: tuple[Link, Link] | None = None

    def _claimed(self, free: int) -> Steps[list[Raw]]:
        kinds = list(self.definitions)
        wanted = {
            "owner": self.owner, "lease": f"{self.settings.lease} s", "types": [t for t, _ in kinds], "versions": [v for _, v in kinds],
            "most": free, "busy": list(self._running),
        }  # fmt: skip
        try:
            rows = yield from self._control.rows(SQL["claim"].encode(), wanted, self._is_stopping)
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege) as error:
            raise unavailable(error) from error
        self._answered = True
        self.counts.claimed += len(rows)
        return [row[0] for row in rows]

    def _is_stopping(self) -> bool:
        return self.stopping

    @property
    def _control(self) -> Link:
        assert self._links is not None  # noqa: S101 - it is serving
        return self._links[1]

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
            self._is_stopping,
        )
        for kind, version in sorted({(r[0], r[1]) for r in rows}):
            many = sum(1 for r in rows if (r[0], r[1]) == (kind, version))
            log.warning("%d sagas wait for definition %s v%d, which no worker has", many, kind, version)


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
