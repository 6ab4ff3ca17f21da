"""Legal holds: what must stay although its time is over. Rows leave under a lock that whoever places a hold waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from pgcharter.db import Connection, queries
from pgcharter.errors import RefusedError, UsageError
from pgcharter.names import ObjectId, literal, quote

SQL = queries.load("pgcharter.operate", "retention.sql")
APPLY = "pgcharter policy apply"
APART = timedelta(days=1)
"""How far the server's clock may be from ours."""


@dataclass(frozen=True)
class Hold:
    """A hold that is in force."""

    id: UUID
    table: ObjectId
    column: str
    """Column that says which rows are held; empty: all."""
    value: str
    reason: str
    by: str
    at: datetime

    def sql(self, alias: str) -> str:
        """The condition that a row is held."""
        return f"({alias}.{quote(self.column)}::text = {literal(self.value)})" if self.column else "true"

    @property
    def said(self) -> str:
        """What is held and why."""
        rows = f" where {quote(self.column)} is {self.value!r}" if self.column else ""
        return f"{self.table.sql()}{rows} is held: {self.reason}"


def read(conn: Connection) -> tuple[Hold, ...]:
    """The holds in force; none where the table is not installed. Raises RefusedError where it may not be read: then nothing may leave."""
    row = conn.execute(SQL["installed"]).fetchone()
    if not row or not row[0]:
        return ()
    try:
        rows = conn.execute(SQL["holds"]).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise RefusedError(
            "pgcharter.legal_holds may not be read, so nobody knows what must stay, and nothing leaves",
            hint="name this role in [retention] workers, then: " + APPLY,
        ) from None
    return tuple(Hold(r[0], ObjectId("table", r[1], r[2]), r[3] or "", r[4] or "", r[5], r[6], r[7]) for r in rows)


def of(holds: Sequence[Hold], *tables: ObjectId) -> tuple[Hold, ...]:
    """Those about some tables."""
    return tuple(h for h in holds if h.table in tables)


def believed(server: datetime, given: datetime | None) -> datetime:
    """The moment that decides what is old: the one that was given, else the server's.

    Raises RefusedError when the server's clock and ours are a day apart: by a clock that is wrong everything may look old.
    """
    if given is not None:
        return given
    here = datetime.now(UTC)
    if abs(server - here) > APART:
        raise RefusedError(
            f"it is {server:%Y-%m-%d %H:%M} by the server's clock and {here:%Y-%m-%d %H:%M} UTC by this machine's: one is wrong",
            hint="set the clock right that is wrong",
        )
    return server.astimezone(UTC)


def place(conn: Connection, table: ObjectId, reason: str, column: str = "", value: str | None = None) -> Hold:
    """Place a hold; when it returns nothing of that leaves any more.

    Raises UsageError for what is not there, RefusedError where the policy is not applied.
    """
    _installed(conn)
    if not reason.strip():
        raise UsageError("a hold needs a reason", hint="--reason 'case 4711'")
    with conn.transaction():
        conn.execute(SQL["holding"])
        found = conn.execute("SELECT to_regclass(%s)", [table.sql()]).fetchone()
        if not found or found[0] is None:
            raise UsageError(f"there is no table {table.sql()}, so nothing of it can be held")
        if column:
            _column(conn, table, column)
        values = (table.schema, table.name, column or None, value if column else None, reason.strip())
        sql = (
            "INSERT INTO pgcharter.legal_holds (table_schema, table_name, column_name, column_value, reason) VALUES (%s, %s, %s, %s, %s)"
            " RETURNING hold_id, held_by, held_at"
        )
        row = conn.execute(sql, values).fetchone()
    assert row  # noqa: S101
    return Hold(row[0], table, column, value or "", reason.strip(), row[1], row[2])


def _column(conn: Connection, table: ObjectId, column: str) -> None:
    sql = "SELECT FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s AND attnum > 0 AND NOT attisdropped"
    if conn.execute(sql, [table.sql(), column]).fetchone() is None:
        raise UsageError(f"{table.sql()} has no column {quote(column)}, so it cannot say which rows are held")


def release(conn: Connection, which: str) -> int:
    """Take holds away: one by its id, or all of a case by its reason; returns how many that were. Raises UsageError for none."""
    _installed(conn)
    sql = (
        "UPDATE pgcharter.legal_holds SET released_at = greatest(clock_timestamp(), held_at), released_by = SESSION_USER"
        " WHERE released_at IS NULL AND (hold_id::text = %(which)s OR reason = %(which)s)"
    )
    parameters: dict[str, Any] = {"which": which}
    count = conn.execute(sql, parameters).rowcount
    if not count:
        raise UsageError(f"no hold in force has the id or reason {which!r}", hint="pgcharter retention status")
    return count


def _installed(conn: Connection) -> None:
    row = conn.execute(SQL["installed"]).fetchone()
    if not row or not row[0]:
        raise RefusedError("pgcharter.legal_holds is not installed, so nothing can be held", hint=APPLY)


def history(conn: Connection, table: ObjectId, action: str, *, cut_off: datetime | None, rows: int, to: str = "", sha256: str = "") -> None:
    """Write down that something has left, where that is kept; in the caller's transaction."""
    row = conn.execute(SQL["installed"]).fetchone()
    if row and row[1]:
        values = {"schema": table.schema, "name": table.name, "action": action, "cut_off": cut_off, "rows": rows}
        conn.execute(SQL["history"], {**values, "to": to or None, "sha256": sha256 or None})
