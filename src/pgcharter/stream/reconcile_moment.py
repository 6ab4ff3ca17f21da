"""Moments of a source: a snapshot, and a position in the log of which everything is in it.

A transaction's commit record is in the log before others see the transaction (RecordTransactionCommit in access/transam/xact.c, then
ProcArrayEndTransaction); with synchronous replication that takes as long as the standby does. So a position read before a snapshot says
nothing by itself. Here the position is read, then which transactions run, and a snapshot is taken when none of these can have committed
before that position any more: it is over, or it was seen idle or prepared, afterwards. On a standby a commit is seen when it is replayed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.pq import TransactionStatus

from pgcharter.db import Connection, queries
from pgcharter.errors import PgcharterError
from pgcharter.stream import captured
from pgcharter.stream.model import Stamp
from pgcharter.stream.reconcile_model import Reached
from pgcharter.stream.replication import lsn_number, lsn_text
from pgcharter.stream.source import flush


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot of the source, held open."""

    conn: Connection
    """In a read-only transaction of the snapshot."""
    stamp: Stamp
    """All that was committed before it is in the snapshot: a row written with it loses against every change that is not."""
    upto: int
    """Nothing that was committed after this position is in the snapshot."""


@contextmanager
def moment(conn: Connection, wait: float) -> Iterator[Moment]:
    """A moment of the source on an idle connection in autocommit, until the block is left.

    Raises PgcharterError when a transaction is about to commit for longer than `wait` seconds.
    """
    triggers = captured.here(conn)
    before = captured.settled(conn) if triggers else _position(conn)
    if triggers:
        flush(conn)
    else:
        _settled(conn, wait)
    conn.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield Moment(conn, Stamp(before, 0), captured.last(conn) if triggers else _position(conn))
    finally:
        let_go(conn)


def let_go(conn: Connection) -> None:
    """End the transaction. A connection that is in the middle of an answer is closed: it would wait for us to read the rest."""
    if conn.info.transaction_status == TransactionStatus.ACTIVE:
        conn.close()
    elif not conn.closed:
        conn.rollback()


def caught_up(conn: Connection, upto: int, reached: Reached, wait: float) -> None:
    """Wait until the copy has all commits up to a position. A mark is written into the log, so that an idle stream moves on.

    Raises PgcharterError when it is behind after `wait` seconds.
    """
    until = time.monotonic() + wait
    if reached() < upto and not captured.here(conn):
        conn.execute(query(conn, "emit"))
    while (now := reached()) < upto:
        if time.monotonic() > until:
            raise PgcharterError(
                f"the copy is at {lsn_text(now)} and the source at {lsn_text(upto)}, {upto - now} bytes of log behind after {wait:g} s,"
                " so what is on its way cannot be told from what is wrong",
                hint="pgcharter sync status says why; pgcharter sync run goes on",
            )
        time.sleep(0.02)


def streamed(conn: Connection, slot: str, sink: str) -> Reached:
    """How far the worker of `sync run` says a sink is: what the slot has let go of and is in no file is in the sink.

    The slot is asked first: a worker notes that a sink's changes go into its file before it lets the slot go on.
    """

    asked = captured.query(conn, "confirmed") if captured.here(conn) else query(conn, "confirmed")

    def reached() -> int:
        confirmed = conn.execute(asked, [slot]).fetchone()
        row = conn.execute(query(conn, "sink"), [slot, sink]).fetchone()
        if row is None:
            return 0
        state, spilling, had, _ = row
        return max(had, confirmed[0]) if confirmed and state == "running" and not spilling else had  # type: ignore[no-any-return]

    return reached


def query(conn: Connection, name: str) -> bytes:
    """A query of reconcile.sql."""
    return queries.query("pgcharter.stream", "reconcile.sql", name, conn.info.server_version // 10000).encode()


def _position(conn: Connection) -> int:
    return lsn_number(_one(conn, "position"))


def _settled(conn: Connection, wait: float) -> None:
    flush(conn)  # its number is greater than those of all that can have committed before: a snapshot names the smaller ones that run
    waiting = _one(conn, "running")
    until = time.monotonic() + wait
    while waiting:
        left = conn.execute(query(conn, "committing"), [waiting]).fetchall()
        waiting = [xid for xid, _, _ in left]
        if waiting and time.monotonic() > until:
            xid, pid, state = left[0]
            who = f"process {pid or 'unknown'}, {state or 'its state is not shown to this role'}"
            raise PgcharterError(
                f"transaction {xid} ({who}) did not end in {wait:g} s,"
                " and whether it is committing cannot be told, so no moment of the source is known exactly",
                hint="wait longer, or GRANT pg_read_all_stats to this role so that idle transactions are told apart",
            )
        if waiting:
            time.sleep(0.01)


def _one(conn: Connection, name: str) -> Any:
    row = conn.execute(query(conn, name)).fetchone()
    assert row is not None  # noqa: S101
    return row[0]
