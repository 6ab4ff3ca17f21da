"""How copies stand: the slot and its guard, each sink, each seed, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pgcharter.db import Connection
from pgcharter.errors import PgcharterError
from pgcharter.stream import capture, captured, source
from pgcharter.stream.checkpoints import Checkpoints, Kept, Seed
from pgcharter.stream.slots import Slot
from pgcharter.stream.worker import Job

SILENT = 15.0
"""Seconds after which a worker that wrote nothing down is taken for gone."""


@dataclass(frozen=True)
class Sink:
    """How one sink stands."""

    kept: Kept
    behind_bytes: int
    """Log that was written since the last transaction that it has; 0 when it waits for nothing."""
    seeds: tuple[Seed, ...]
    behind_rows: int | None = None
    """Changes that wait for it, about; None where the source does not count them."""


@dataclass(frozen=True)
class Round:
    """How the last comparison or batch of one mapping ended."""

    sink: str
    table: str
    """With what it is called there, where that is another name."""
    said: Mapping[str, Any]
    """Of a comparison: found, repaired, remaining, unsettled, seconds, stored; of a batch: next, where the next one begins."""
    rows: int
    """Rows that the copy should have; of batches rows written since the beginning."""
    at: datetime


@dataclass(frozen=True)
class Standing:
    """How a slot and its sinks stand."""

    slot: Slot | None
    sinks: tuple[Sink, ...]
    problems: tuple[str, ...]
    """What is wrong, with its remedy."""
    compared: tuple[Round, ...] = ()
    batches: tuple[Round, ...] = ()


def look(conn: Connection, job: Job, keep: int) -> Standing:
    """Ask the source. `keep` is the most log that the slot may hold back, in bytes."""
    slot = capture.of(job).look(conn)
    checkpoints = Checkpoints(conn, job.slot)
    row = conn.execute(
        "SELECT pg_size_bytes(setting || unit), pg_current_wal_lsn() - '0/0'::pg_lsn FROM pg_settings WHERE name = 'max_slot_wal_keep_size'"
    ).fetchone()
    limit, now = (row[0], int(row[1])) if row else (-1, 0)
    seeds = checkpoints.seeds()
    kept = checkpoints.sinks()
    found = (kept.get(n) or Kept(n) for n in job.sinks)
    triggers = job.capture == "triggers"
    sinks = tuple(_waiting(conn, k, seeds, slot) if triggers else _sink(k, seeds, now) for k in found)
    compared, batches = _rounds(conn, "reconcile"), _rounds(conn, "batch")
    problems = (*_slot(conn, job, slot, keep, limit), *_sinks(sinks, slot), *_differing(compared))
    return Standing(slot, sinks, problems, compared, batches)


def _rounds(conn: Connection, slot: str) -> tuple[Round, ...]:
    rows = conn.execute(
        "SELECT sink, source, after[1]::jsonb - 'looks' || jsonb_build_object('stored', total), rows, updated_at"
        "  FROM pgcharter.sync_snapshots WHERE slot = %s ORDER BY sink, source",
        [slot],
    )
    return tuple(Round(*row) for row in rows)


def _differing(compared: tuple[Round, ...]) -> Iterator[str]:
    for one in compared:
        left = one.said.get("remaining", 0) + one.said.get("unsettled", 0)
        if left:
            yield f"{left} rows of {one.table} differ in sink {one.sink}: pgcharter sync reconcile {one.sink} --repair"


def _sink(kept: Kept, seeds: list[Seed], now: int) -> Sink:
    waits = kept.behind > 0 or kept.spilling
    return Sink(kept, max(0, now - kept.stamp.lsn) if waits else 0, tuple(s for s in seeds if s.sink == kept.sink))


def _waiting(conn: Connection, kept: Kept, seeds: list[Seed], slot: Slot | None) -> Sink:
    """A sink whose changes are rows of a table; those in its file are in it no more, so they are not counted."""
    rows, size = captured.behind(conn, kept.stamp.lsn) if slot is not None else (0, 0)
    return Sink(kept, size, tuple(s for s in seeds if s.sink == kept.sink), rows)


def _slot(conn: Connection, job: Job, slot: Slot | None, keep: int, limit: int) -> Iterator[str]:
    if not job.sinks:
        return  # all copies are made by batches
    of = capture.of(job)
    if slot is None:
        what = "no changes are captured for" if job.capture == "triggers" else "there is no replication slot"
        yield f"{what} {job.slot}, so nothing is copied: pgcharter sync init"
        return
    try:
        of.usable(conn)
        of.complete(conn, source.tables(conn, job.publication))
    except PgcharterError as error:
        yield f"{error.message}: {error.hint}" if error.hint else error.message
    if job.capture == "triggers":
        yield from _log(slot, keep)
        return
    if slot.held > keep / 2:
        yield f"slot {job.slot} holds back {slot.held} bytes of the server's log, more than half of the {keep} that [sync] keep allows"
    if slot.status in ("extended", "unreserved"):
        yield f"slot {job.slot} is {slot.status}: the server has begun to hold log only for it, or is about to let go of it"
    if limit < 0:
        yield (
            "max_slot_wal_keep_size is -1, so a worker that stays away lets the log fill the server's disk:"
            f" ALTER SYSTEM SET max_slot_wal_keep_size = '{keep // (1 << 20)}MB'; SELECT pg_reload_conf()"
        )
    if slot.pid is None:
        yield f"no worker reads slot {job.slot}, so nothing is copied: pgcharter sync run"


def _log(slot: Slot, keep: int) -> Iterator[str]:
    if slot.held > keep / 2:
        yield (
            f"changes for {slot.name} take {slot.held} bytes of the database, more than half of the {keep} that [sync] keep allows: beyond"
            " that they are not written down any more, and copies are lost"
        )
    if slot.pid is None:
        yield f"no worker reads the changes for {slot.name}, so nothing is copied: pgcharter sync run"


def _sinks(sinks: tuple[Sink, ...], slot: Slot | None) -> Iterator[str]:
    for sink in sinks:
        kept = sink.kept
        if kept.state in ("down", "refused", "lost"):
            yield f"sink {kept.sink} is {kept.state}: {kept.reason}"
        if kept.state == "paused":
            yield f"sink {kept.sink} is paused, and its changes are kept in its file: pgcharter sync resume {kept.sink}"
        old = (datetime.now(UTC) - kept.updated_at).total_seconds() if kept.updated_at else 0.0
        if slot is not None and slot.pid is not None and old > SILENT:
            yield f"sink {kept.sink} was last heard of {old:.0f} s ago, though slot {slot.name} is read by process {slot.pid}"
