"""Changes out of the server's log, through a replication slot."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgcharter.db import Connection
from pgcharter.stream import slots
from pgcharter.stream.passed import PREFIX, Passed
from pgcharter.stream.replication import Replication, Streaming, lsn_number
from pgcharter.stream.slots import Slot, Snapshot
from pgcharter.stream.source import Table, TypeNames
from pgcharter.stream.transactions import Assembler, Transaction

if TYPE_CHECKING:
    from pgcharter.stream.worker import Job


class Streamed:
    """A slot and its publication."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.passed = Passed()

    def look(self, conn: Connection) -> Slot | None:
        """See Capture."""
        return slots.look(conn, self._job.slot)

    def usable(self, conn: Connection) -> Slot:
        """See Capture."""
        return slots.usable(self.look(conn), self._job.slot)

    def ready(self, conn: Connection) -> Iterator[str]:
        """See Capture."""
        return slots.ready(conn)

    def missing(self, conn: Connection, tables: Iterable[Table]) -> list[str]:  # noqa: ARG002
        """See Capture."""
        return slots.lacking(self._job.tables, tables)

    def complete(self, conn: Connection, tables: Collection[Table]) -> None:
        """See Capture."""
        slots.published(conn, self._job.publication, self._job.tables, tables)

    @contextmanager
    def begin(self, conn: Connection, *, failover: bool) -> Iterator[Snapshot]:  # noqa: ARG002
        """See Capture."""
        with Replication(self._job.dsn) as replication:
            yield slots.create(replication, self._job.slot, failover=failover)

    def drop(self, conn: Connection) -> None:
        """See Capture."""
        slots.drop(conn, self._job.slot)

    @contextmanager
    def feed(self, conn: Connection, type_name: TypeNames) -> Iterator[_Feed]:
        """See Capture."""
        self.passed.earlier(conn)
        with Replication(self._job.dsn) as replication:
            replication.start(Streaming(self._job.slot, self._job.publication, self._job.origin))
            yield _Feed(self._job, replication, type_name)

    def now(self, conn: Connection) -> int:
        """See Capture."""
        conn.execute("SELECT pg_logical_emit_message(false, %s, 'once')", [PREFIX])
        row = conn.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        return lsn_number(row[0]) if row else 0


class _Feed:
    def __init__(self, job: Job, replication: Replication, type_name: TypeNames) -> None:
        self._replication, self._heartbeat = replication, job.heartbeat
        self._assembler = Assembler(type_name, job.folder, local=job.origin == "none")
        self._heard = time.monotonic()

    @property
    def received(self) -> int:
        return self._replication.received

    @property
    def bound(self) -> int:
        return self._assembler.bound or self._replication.received

    @property
    def wanted(self) -> bool:
        return self._replication.wanted

    def receive(self, wait: float) -> Iterator[Transaction]:
        for m in self._replication.receive(wait):
            told = self._assembler.feed(m)
            if isinstance(told, Transaction):
                self._heard = time.monotonic()
                yield told
            elif told is not None and told.prefix == PREFIX:
                self._heard = time.monotonic()

    def confirm(self, position: int) -> None:
        self._replication.status(position)

    def tick(self, conn: Connection) -> None:
        """Write to the log of an idle database, so that its slot moves on."""
        if time.monotonic() - self._heard > self._heartbeat:
            conn.execute("SELECT pg_logical_emit_message(false, %s, 'heartbeat')", [PREFIX])
            self._heard = time.monotonic()
