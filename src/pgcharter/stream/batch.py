"""Copies by batches, without replication: rows whose delta column has grown since the last batch, and none that was committed late.

A column such as updated_at says when a row was written, not when that was committed: what a transaction wrote at ten and commits at eleven
is older than what a batch at half past ten has seen. Each batch notes the time and the largest value there is, then when the oldest open
transaction began. The next batch starts at the largest value that was noted *before* that: whoever began later drew larger values, if the
server gives them (now(), clock_timestamp(), a sequence). Where applications give them, `margin` covers what their clocks are behind. What
is read twice is written twice, which changes nothing. Deletes leave no trace in such a column: `reconcile` finds them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import psycopg

from pgcharter import faults
from pgcharter.db import Connection, queries
from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.names import literal, quote
from pgcharter.stream.model import Stamp
from pgcharter.stream.reconcile import Side
from pgcharter.stream.reconcile_moment import Moment, let_go, query
from pgcharter.stream.reconcile_source import Source, from_
from pgcharter.stream.replication import lsn_number
from pgcharter.stream.source import flush, open_source

POINTS = ("batch read", "batch written", "batch kept")
"""Fault points of batches."""
_HISTORY = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch did."""

    table: str
    sink: str
    rows: int
    """Rows written, with those that had been before."""
    since: str | None
    """The delta it began at, `margin` not taken off; None: at the beginning."""
    next: str | None
    """The delta at which the next one begins."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was noted at one time."""

    at: int
    """Microseconds since 1970, by the server's clock."""
    xmax: int
    """Transactions had numbers below this one."""
    most: str | None
    """The largest delta."""
    oldest: int
    """When the oldest transaction began that was open then."""


@dataclass(frozen=True)
class State:
    """What is kept between batches."""

    next: str | None = None
    looks: tuple[Look, ...] = field(default=())

    def after(self, look: Look, prepared: int | None) -> State:
        """With one more look. `prepared` is the number of the oldest prepared transaction."""
        looks = (*self.looks, look)[-_HISTORY:]
        before = look.oldest
        if prepared is not None:
            before = min(before, next((at.oldest for at in reversed(looks) if at.xmax <= prepared), 0))
        usable = [at for at in looks if at.at <= before]
        return State(usable[-1].most if usable else self.next, looks)


def batch(side: Side, *, margin: str = "", size: int = 1_000) -> Batch:
    """Copy what has changed since the last batch of this mapping. One that was interrupted is done again as if it had never been.

    `margin` is an interval for times (`5 min`), a number for numbers: by how much clocks of applications may be behind. Raises UsageError
    for a mapping without delta, UnavailableError where this role is not shown since when transactions of others are open.
    """
    if not side.mapping.delta:
        raise UsageError(f"mapping of {side.mapping.table} has no delta, so nothing says what has changed", hint='delta = "updated_at"')
    with open_source(side.source) as conn, open_source(side.source) as notes:
        try:
            return _Batch(side, margin, size, conn, notes).all()
        except psycopg.errors.UndefinedTable as error:
            raise PgcharterError(f"a table is not there: {error.diag.message_primary}", hint="pgcharter policy apply") from None
        finally:
            side.sink.close()


@dataclass
class _Batch:
    side: Side
    margin: str
    size: int
    conn: Connection
    notes: Connection

    def all(self) -> Batch:
        """One batch."""
        source = Source(self.side.source, self.side.mapping, secret=self.side.secret)
        source.look(self.conn)
        typed = self._typed(source)
        state = self._kept(source)
        if _row(self.notes, "hidden")[0]:
            raise UnavailableError(
                "this role is not shown since when transactions of others are open, so rows that they commit late would be lost",
                hint="GRANT pg_read_all_stats TO the role that copies",
            )
        look, prepared = self._look(source)
        rows = self._copy(source, self._since(state, typed))
        after = state.after(look, prepared)
        self._keep(source, after, rows)
        faults.point("batch kept")
        return Batch(self.side.mapping.table, self.side.name, rows, state.next, after.next)

    def _typed(self, source: Source) -> str:
        """Type of the delta column."""
        found = {c.name: c.type for c in source.table.relation.columns}.get(self.side.mapping.delta)
        if found is None:
            raise UsageError(f"{source.table.sql} has no column {quote(self.side.mapping.delta)}, which is the mapping's delta")
        return found

    def _look(self, source: Source) -> tuple[Look, int | None]:
        """The largest delta, then the time, then what is open: in this order."""
        row = self.notes.execute(f"SELECT max({quote(self.side.mapping.delta)})::text FROM {from_(source.table)}".encode()).fetchone()
        at, xmax = _row(self.notes, "now")
        ours = [self.conn.info.backend_pid, self.notes.info.backend_pid]
        oldest, prepared = _row(self.notes, "open", [ours])
        return Look(at, xmax, row[0] if row else None, oldest), prepared

    def _since(self, state: State, typed: str) -> str:
        if state.next is None:
            return ""
        start = f"{literal(state.next)}::{typed}"
        if self.margin:
            start += f" - {literal(self.margin)}::{'interval' if typed.startswith(('timestamp', 'date')) else typed}"
        return f"{quote(self.side.mapping.delta)} >= {start}"

    def _copy(self, source: Source, where: str) -> int:
        """Write the rows of a snapshot. Its stamp is a position read before, which grows from batch to batch."""
        stamp = Stamp(lsn_number(str(self.notes.execute(query(self.notes, "position")).fetchall()[0][0])), 0)
        self.conn.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        rows = 0
        try:
            at = Moment(self.conn, stamp, stamp.lsn)
            with source.mapper(at) as made:
                flush(self.notes)  # what the snapshot shows must not be undone by a crash of the source
                kept = self.side.sink.open(made.shapes) or Stamp(0, 0)
                changes = source.changes(at, where, "update")
                while some := list(islice(changes, self.size)):
                    faults.point("batch read")
                    self.side.sink.write(made.rows(some), kept)
                    faults.point("batch written")
                    rows += len(some)
        finally:
            let_go(self.conn)
        return rows

    def _kept(self, source: Source) -> State:
        row = self.notes.execute(_sql(self.notes, "kept"), [self.side.name, self._name(source)]).fetchone()
        if row is None or row[0] is None:
            return State()
        found = json.loads(row[0])
        return State(found["next"], tuple(Look(**look) for look in found["looks"]))

    def _keep(self, source: Source, state: State, rows: int) -> None:
        self.notes.execute(_sql(self.notes, "keep"), [self.side.name, self._name(source), json.dumps(asdict(state)), rows])

    def _name(self, source: Source) -> str:
        to = self.side.mapping.to
        return f"{source.table.sql} → {to}" if to else source.table.sql


def _sql(conn: Connection, name: str) -> bytes:
    return queries.query("pgcharter.stream", "batch.sql", name, conn.info.server_version // 10000).encode()


def _row(conn: Connection, name: str, parameters: Any = None) -> tuple[Any, ...]:
    return conn.execute(_sql(conn, name), parameters).fetchall()[0]
