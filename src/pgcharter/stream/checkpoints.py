"""What copying keeps in the source: pgcharter.sync_sinks and pgcharter.sync_snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pgcharter.db import Connection
from pgcharter.errors import PgcharterError
from pgcharter.stream.model import Stamp
from pgcharter.stream.replication import lsn_number, lsn_text


@dataclass
class Kept:
    """What is known of a sink."""

    sink: str
    wanted: str = "running"
    """running or paused."""
    state: str = "new"
    """new, running, paused, down, refused or lost."""
    reason: str = ""
    stamp: Stamp = Stamp(0, 0)  # noqa: RUF009 - a tuple
    rows: int = 0
    spilling: bool = False
    spilled: int = 0
    behind: float = 0.0
    updated_at: datetime | None = None
    reached: int = 0
    """Position up to which nothing is on its way to it any more; it may have been told less."""


@dataclass
class Seed:
    """How far the seeding of a table in a sink is."""

    sink: str
    source: str
    """The table, as SQL."""
    state: str = "waiting"
    after: list[str] | None = None
    rows: int = 0
    total: int = 0
    began: int = 0
    """Rows with older stamps go at its end; 0: none do. Of one that is done: the store has it all where it is further than this."""
    was: int = -1
    """`began` as it was last read or written here. Another one there says that it was begun anew meanwhile."""


_SINKS = "sink, wanted, state, reason, lsn::text, ordinal, rows, spilling, spilled, behind, updated_at"
_SAVE = """
UPDATE pgcharter.sync_sinks SET state = %s, reason = %s, lsn = %s::pg_lsn, ordinal = %s, rows = %s, spilling = %s, spilled = %s,
       behind = %s, reached = %s::pg_lsn, updated_at = now() WHERE slot = %s AND sink = %s
"""
_SEED = """
UPDATE pgcharter.sync_snapshots SET state = %s, after = %s, rows = %s, began = %s::pg_lsn, updated_at = now()
 WHERE slot = %s AND sink = %s AND source = %s AND state <> 'done' AND began = %s::pg_lsn
"""
_REACHED = """
UPDATE pgcharter.sync_sinks SET lsn = %s::pg_lsn, ordinal = %s WHERE slot = %s AND sink = %s AND (lsn, ordinal) < (%s::pg_lsn, %s)
"""


class Checkpoints:
    """The rows of one slot. One thread uses it."""

    def __init__(self, conn: Connection, slot: str) -> None:
        self.conn, self.slot = conn, slot
        row = conn.execute("SELECT pg_catalog.to_regclass('pgcharter.sync_sinks') IS NULL").fetchone()
        if row and row[0]:
            raise PgcharterError(
                "the source has no table pgcharter.sync_sinks, in which copying keeps how far it is", hint="pgcharter policy apply"
            )

    def sinks(self) -> dict[str, Kept]:
        """What is kept of each sink."""
        rows = self.conn.execute(f"SELECT {_SINKS} FROM pgcharter.sync_sinks WHERE slot = %s ORDER BY sink".encode(), [self.slot])
        return {
            sink: Kept(sink, wanted, state, reason, Stamp(lsn_number(lsn), ordinal), *rest)
            for sink, wanted, state, reason, lsn, ordinal, *rest in rows
        }

    def begin(self, names: Iterable[str]) -> dict[str, Kept]:
        """The same, with new rows for sinks that have none."""
        for name in names:
            self.conn.execute("INSERT INTO pgcharter.sync_sinks (slot, sink) VALUES (%s, %s) ON CONFLICT DO NOTHING", [self.slot, name])
        return self.sinks()

    def save(self, kept: Iterable[Kept]) -> None:
        """Write what is known of sinks, but not what is wanted of them, which is a person's."""
        values = [
            (
                *(k.state, k.reason, lsn_text(k.stamp.lsn), k.stamp.ordinal, k.rows, k.spilling, k.spilled, k.behind),
                *(lsn_text(k.reached), self.slot, k.sink),
            )
            for k in kept
        ]
        with self.conn.cursor() as cursor:
            cursor.executemany(_SAVE.encode(), values)

    def want(self, sink: str, wanted: str) -> bool:
        """Say what is wanted of a sink; False when nothing is known of it."""
        done = self.conn.execute("UPDATE pgcharter.sync_sinks SET wanted = %s WHERE slot = %s AND sink = %s", [wanted, self.slot, sink])
        return done.rowcount > 0

    def seeds(self) -> list[Seed]:
        """All seeds, those done too."""
        rows = self.conn.execute(
            "SELECT sink, source, state, after, rows, total, began::text FROM pgcharter.sync_snapshots"
            " WHERE slot = %s ORDER BY sink, source",
            [self.slot],
        )
        found = [Seed(sink, of, state, after, done, total, lsn_number(began)) for sink, of, state, after, done, total, began in rows]
        return [replace(seed, was=seed.began) for seed in found]

    def plant(self, sink: str, sources: Sequence[tuple[str, int]], *, began: int = 0, anew: bool = False) -> None:
        """Have tables (as SQL, with their rows) seeded in a sink; those done are done again when `anew`."""
        again = (
            "UPDATE SET state = 'waiting', after = NULL, rows = 0, total = excluded.total, began = excluded.began" if anew else "NOTHING"
        )
        for of, total in sources:
            self.conn.execute(
                f"INSERT INTO pgcharter.sync_snapshots (slot, sink, source, total, began) VALUES (%s, %s, %s, %s, %s::pg_lsn)"
                f" ON CONFLICT (slot, sink, source) DO {again}".encode(),
                [self.slot, sink, of, max(total, 0), lsn_text(began)],
            )

    def seeded(self, seed: Seed, proof: Stamp | None = None) -> bool:
        """Write how far a seed is, with what the store keeps since; False when it was begun anew meanwhile, and nothing is written."""
        with self.conn.transaction():
            if proof is not None:
                position = lsn_text(proof.lsn)
                self.conn.execute(_REACHED.encode(), [position, proof.ordinal, self.slot, seed.sink, position, proof.ordinal])
            values = [seed.state, seed.after, seed.rows, lsn_text(seed.began), self.slot, seed.sink, seed.source, lsn_text(seed.was)]
            done = self.conn.execute(_SEED.encode(), values)
        if done.rowcount:
            seed.was = seed.began
        return done.rowcount > 0

    def anew(self, sink: str, sources: Sequence[str], began: int | None = None) -> None:
        """Have the seeds of a sink begin again, and rows go at their end that are older: what was on its way to it is dropped."""
        self.conn.execute(
            "UPDATE pgcharter.sync_snapshots SET state = 'waiting', after = NULL, rows = 0,"
            " began = coalesce(%s::pg_lsn, pg_current_wal_insert_lsn()) WHERE slot = %s AND sink = %s AND source = ANY (%s)",
            [None if began is None else lsn_text(began), self.slot, sink, list(sources)],
        )

    def forget(self) -> None:
        """Remove what is known of this slot."""
        self.conn.execute("DELETE FROM pgcharter.sync_snapshots WHERE slot = %s", [self.slot])
        self.conn.execute("DELETE FROM pgcharter.sync_sinks WHERE slot = %s", [self.slot])

    def close(self) -> None:
        """Close the connection."""
        self.conn.close()
