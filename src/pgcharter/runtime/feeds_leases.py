"""Slots under lease: claimed, renewed while a handler is at work, shared among workers, given back."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from pgcharter import faults
from pgcharter.errors import ConnectError, PgcharterError, UnavailableError, UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.feeds_model import FeedSettings, FencedError, Log, Start
from pgcharter.runtime.feeds_sql import statement

log = logging.getLogger("pgcharter.feeds")
TO_THE_PRIMARY = "connect to the primary; of several hosts in a connection string, target_session_attrs=read-write finds it"


@dataclass(slots=True)
class Slot:
    """A slot that this worker has the lease of."""

    number: int
    slots: int
    position: int
    """Everything up to here is done; nothing between `stored` and this is of interest."""
    token: int
    at: str
    """Address of its row, as far as known."""
    was_slots: int | None = None
    was: list[int] | None = None
    stored: int = 0
    stored_at: float = 0.0
    span: int = 0
    row: int = 0
    """Failures since the last success."""
    away: int = 0
    """Failures of the target as a whole since the last success."""
    wait_until: float = 0.0


class Leases:
    """What both colours of a feed do about leases, on a connection of their own."""

    database: Any
    consumer: str
    log: Log[Any]
    settings: FeedSettings
    slots_wanted: int
    start: Start

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        """How this worker is called in pgcharter.feeds."""
        self.held: dict[int, Slot] = {}
        self.called_at = 0.0
        """When the handler that is at work was called; 0: none is."""
        self._conn: Any = None
        self._tick_at = 0.0
        self._known = False

    def _asked(self, sql: str, parameters: Any) -> Steps[list[tuple[Any, ...]]]:
        """Run a statement on the feed's own connection, each a transaction of its own."""
        if self._conn is None or self._conn.closed:
            self.held.clear()
            conn = yield partial(self.database._dial, self.database.primary, 10.0)
            cursor = yield partial(conn.execute, "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()")
            pid, standby = yield cursor.fetchone
            if standby:
                yield conn.close
                raise self._of_a_standby()
            if pid == conn.info.backend_pid:  # else a pooler stands between, which gives each transaction another session
                conn.prepare_threshold = 3
            self._conn = conn
        cursor = yield partial(self._conn.execute, sql.encode(), parameters)
        return (yield cursor.fetchall) if cursor.description else []

    def _of_a_standby(self) -> PgcharterError:
        """At the start an end; later the server may have changed its part with another one, which is waited for."""
        said = f"what is given as {self.database.primary.name} is a standby, which keeps no cursor of {self.consumer} and knows no appender"
        return ConnectError(said) if self._known else UnavailableError(said, hint=TO_THE_PRIMARY)

    def _named(self, **more: Any) -> dict[str, Any]:
        return {"consumer": self.consumer, "owner": self.owner, "log": self.log.name, "lease": self.settings.lease, **more}

    def _begun(self) -> Steps[None]:
        """See that the consumer has cursors. Raises UsageError for one of another log, UnavailableError where there are none to be had."""
        try:
            found = yield from self._asked(statement("known", self.log), self._named())
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege) as error:
            raise UnavailableError(
                f"{self.consumer} can have no cursors here: {error.diag.message_primary}",
                hint="write [messaging] in the charter, with this role among its workers, and pgcharter policy apply",
            ) from error
        if not found:
            position = yield from self._first(self.start)
            yield from self._asked(statement("begun", self.log), self._named(slots=self.slots_wanted, position=position))
        elif found[0][0] != self.log.name:
            raise UsageError(
                f"consumer {self.consumer} reads log {found[0][0]}, and not {self.log.name}", hint="give this one a name of its own"
            )
        self._known = True

    def _first(self, start: Start) -> Steps[int]:
        """The position after which a consumer begins."""
        if isinstance(start, int):
            return start
        if start == "first":
            return int((yield from self._asked(statement("kept", self.log), self._named()))[0][0])
        settled = int((yield from self._asked("SELECT pgcharter.settled(%(log)s)", self._named()))[0][0])
        if start == "now":
            return settled
        found = yield from self._asked(statement("at_time", self.log), self._named(time=start))
        return settled if found[0][0] is None else int(found[0][0])

    def _tick(self) -> Steps[None]:
        """Renew what is held, let go what others should have, claim what is free, ask for a share."""
        now = time.monotonic()
        if now < self._tick_at:
            return
        if not self._known:
            yield from self._begun()
        if self.held:
            yield from self._renewed()
        claimed = yield from self._asked(statement("claim", self.log), self._named(held=list(self.held)))
        for number, slots, position, token, at, was_slots, was in claimed:
            slot = Slot(number, slots, position, token, at, was_slots, was, position, now, self.settings.span)
            self.held[number] = slot
        if claimed:
            faults.point("feed claimed")
        yield from self._asked(statement("ask", self.log), self._named())
        self._tick_at = now + (self.settings.lease / 3 if self.held else min(0.5, self.settings.lease / 3))

    def _renewed(self) -> Steps[None]:
        rows = yield from self._asked(statement("renew", self.log), self._named())
        mine = {number: (token, at, asked) for number, token, at, asked in rows}
        for number, slot in list(self.held.items()):
            token, slot.at, asked = mine.get(number, (None, slot.at, False))
            if token != slot.token:
                self._lost(slot)
            elif asked:
                yield from self._released([slot])

    def _lost(self, slot: Slot) -> None:
        log.info("%s: slot %s has gone to another worker, or was set anew", self.consumer, slot.number)
        self.held.pop(slot.number, None)
        self._tick_at = min(self._tick_at, time.monotonic() + 0.05)

    def _released(self, slots: Sequence[Slot]) -> Steps[None]:
        """Give slots back, so that others have them at once."""
        for slot in slots:
            if slot.position > slot.stored:
                try:
                    yield from self._moved(slot, slot.position)
                except FencedError:
                    continue
        yield from self._asked(statement("release", self.log), self._named(released=[s.number for s in slots]))
        faults.point("feed released")
        for slot in slots:
            self.held.pop(slot.number, None)

    def _moved(self, slot: Slot, upto: int) -> Steps[None]:
        """Move a cursor. Raises FencedError where the lease is lost."""
        named = self._moving(slot, upto)
        rows = yield from self._asked(statement("move", self.log, at=True), named)
        if not rows:
            rows = yield from self._asked(statement("move", self.log), named)
        self._has_moved(slot, upto, rows)

    def _moving(self, slot: Slot, upto: int) -> dict[str, Any]:
        past = slot.was is not None and upto >= max(slot.was)
        return self._named(slot=slot.number, token=slot.token, at=slot.at, upto=upto, past=past)

    def _has_moved(self, slot: Slot, upto: int, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            raise FencedError(f"{self.consumer} has lost the lease of slot {slot.number}, so its cursor is not moved")
        slot.at, slot.position, slot.stored, slot.stored_at = rows[0][0], upto, upto, time.monotonic()
        if slot.was is not None and upto >= max(slot.was):
            slot.was = slot.was_slots = None

    def _kept_alive(self) -> Steps[bool]:
        """Renew the leases while a handler takes long; whether to go on with that."""
        if 0 < self.called_at < time.monotonic() - self.settings.lease / 4 and self._conn is not None:
            if time.monotonic() - self.called_at > self.settings.patience:
                return True
            try:
                yield from self._asked_as_is(statement("renew", self.log))
            except psycopg.Error as error:
                log.warning("%s: leases could not be renewed: %s", self.consumer, error)
        return True

    def _asked_as_is(self, sql: str) -> Steps[None]:
        if not self._conn.closed:
            yield partial(self._conn.execute, sql.encode(), self._named())
