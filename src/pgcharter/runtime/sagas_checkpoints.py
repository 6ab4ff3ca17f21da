"""Checkpoints: what a saga has come to is written down in one statement, together with what others of the worker wait to write."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from pgcharter.runtime.colours import Steps
from pgcharter.runtime.sagas_data import Raw
from pgcharter.runtime.sagas_link import Link, checkpoint
from pgcharter.runtime.sagas_run import LostError
from pgcharter.runtime.sagas_settings import SagaCounts, SagaSettings
from pgcharter.runtime.sagas_state import Instance

_STATEMENTS = {(more, whole): checkpoint(more, whole) for more in (False, True) for whole in (False, True)}


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


class Checkpoints:
    """What both colours of a worker do about checkpoints. One sends those of all that wait; the server refuses who has lost its lease."""

    owner: str
    settings: SagaSettings
    counts: SagaCounts
    _links: tuple[Link, Link] | None
    _woken: Callable[[bool], None]
    _mailbox: Callable[[], Any]

    def __init__(self) -> None:
        self._waiting: deque[_Entry] = deque()
        self._leading = threading.Lock()
        """Held by the one that sends checkpoints, those of others with its own."""
        self._soonest = float("inf")

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


def _rest(it: Instance) -> Raw:
    """What a checkpoint writes beside the saga's own row."""
    changes = it.changes
    found: Raw = {"steps": [it.rows[n].written(it.id) for n in sorted(changes.steps)], "history": changes.history}
    found |= {"taken": [{"id": t, "saga": it.id} for t in changes.taken], "children": changes.children, "told": changes.told}
    return {name: items for name, items in found.items() if items}
