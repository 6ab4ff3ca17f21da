"""Copies both ways between two PostgreSQL databases whose applications write to the same tables.

Each way has a slot and a worker of its own, whose job says `origin = "none"`; this sink applies what comes, into the tables themselves,
under a replication origin, so that the worker of the other way does not send it back. Where both sides changed a row, a rule decides by the
two rows alone. A rule that gives the same row at both places whichever of the two comes first makes the databases converge: `newest` does.

Deletes are applied as they come. A row deleted here while it is changed there comes back here and goes there: mark rows as deleted by a
column instead, or compare the databases afterwards (`reconcile`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from pgcharter import faults
from pgcharter.db import Connection, connect
from pgcharter.errors import ConnectError
from pgcharter.names import quote
from pgcharter.redact import redact
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.values import SESSION, load, text

POINTS = ("twoway applied", "twoway kept")
"""Fault points of copies both ways."""
Values = Mapping[str, Any]
Rule = Callable[[Values, Values], Values]
"""Given the row that is here and the one that comes, both whole, gives the row that shall be."""
_STATE = """
CREATE SCHEMA IF NOT EXISTS pgcharter_copies;
CREATE TABLE IF NOT EXISTS pgcharter_copies.twoway (origin text PRIMARY KEY, lsn bigint NOT NULL, ordinal bigint NOT NULL);
CREATE TABLE IF NOT EXISTS pgcharter_copies.conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, origin text NOT NULL, target text NOT NULL, key jsonb NOT NULL,
    fields text[] NOT NULL, done text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
COMMENT ON TABLE pgcharter_copies.conflicts IS 'Rows that came and were not taken as they were: kept or merged, by the rule. No values.';
"""
_PASSING = ("08", "40", "53", "57", "58030", "55P03", "55006")


def newest(column: str) -> Rule:
    """The row with the larger value of a column, such as updated_at; of equal ones the one whose text is larger. NULL is the smallest.

    The column must grow with every change of a row, also where a clock is behind: greatest(clock_timestamp(), old.updated_at + '1 us').
    """

    def rule(here: Values, comes: Values) -> Values:
        return max(here, comes, key=lambda row: ((), _text(row)) if row[column] is None else ((row[column],), _text(row)))

    return rule


def _text(row: Values) -> str:
    return json.dumps({n: None if v is None else text(v) for n, v in row.items()}, sort_keys=True)


class TwoWaySink:
    """The tables of the other database. One for each way; `origin` names where changes come from."""

    whole = True
    keeps = True

    def __init__(self, dsn: str, origin: str, rule: Rule) -> None:
        self._dsn, self._origin, self._rule = dsn, origin, rule
        self._conn: Connection | None = None

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:  # noqa: ARG002
        """Connect, take the origin (one session at a time may have it), give back how far this way is."""
        self.close()
        try:
            self._conn = conn = connect(self._dsn, application_name=f"pgcharter sync {self._origin}", client_encoding="utf8")
            with conn.transaction():
                for name, value in SESSION.items():
                    conn.execute("SELECT set_config(%s, %s, false)", (name, value))
                conn.execute("SELECT pg_advisory_xact_lock(1885824359, 0)")
                conn.execute(_STATE)
                conn.execute("SELECT pg_replication_origin_create(%s) WHERE pg_replication_origin_oid(%s) IS NULL", [self._origin] * 2)
            conn.execute("SELECT pg_replication_origin_session_setup(%s)", [self._origin])
            row = conn.execute("SELECT lsn, ordinal FROM pgcharter_copies.twoway WHERE origin = %s", [self._origin]).fetchone()
            return Stamp(*row) if row else None
        except ConnectError as error:
            raise SinkDownError(error.message, hint=error.hint) from None
        except psycopg.Error as error:
            self.close()
            raise _told(error) from None

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Apply rows in one transaction, with `upto`."""
        conn = self._conn
        if conn is None:
            raise SinkDownError("the other database is not connected")
        try:
            with conn.transaction():
                for row in sorted(rows, key=lambda r: r.stamp):
                    self._apply(conn, row)
                faults.point("twoway applied")
                conn.execute(
                    "INSERT INTO pgcharter_copies.twoway AS t VALUES (%s, %s, %s) ON CONFLICT (origin) DO UPDATE"
                    " SET lsn = excluded.lsn, ordinal = excluded.ordinal WHERE (t.lsn, t.ordinal) < (excluded.lsn, excluded.ordinal)",
                    [self._origin, *upto],
                )
            faults.point("twoway kept")
        except psycopg.Error as error:
            self.close()
            raise _told(error) from None

    def close(self) -> None:
        """Disconnect, which lets go of the origin."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _apply(self, conn: Connection, row: Row) -> None:
        to = row.shape.source
        if row.op == "clear":
            conn.execute(f"DELETE FROM {to}".encode())
        elif row.op == "delete":
            conn.execute(f"DELETE FROM {to} WHERE {_same(row.shape)}".encode(), _key(row))
        else:
            while not self._put(conn, row, to):
                """Somebody inserted it between the look and the insert: look again."""

    def _put(self, conn: Connection, row: Row, to: str) -> bool:
        names = [f.name for f in row.shape.fields]
        columns = ", ".join(map(quote, names))
        found = conn.execute(f"SELECT {_texts(row.shape)} FROM {to} WHERE {_same(row.shape)} FOR UPDATE".encode(), _key(row)).fetchone()
        if found is None:
            sql = f"INSERT INTO {to} ({columns}) VALUES ({_casts(row.shape)}) ON CONFLICT DO NOTHING"
            return conn.execute(sql.encode(), [_as_text(row.values[n], row.shape, n) for n in names]).rowcount == 1 or self._taken(
                conn, row, to
            )
        here = {f.name: _loaded(f.type, v) for f, v in zip(row.shape.fields, found, strict=True)}
        shall = self._rule(here, row.values)
        changed = [n for n in names if _differs(here[n], shall[n])]
        if changed:
            sets = ", ".join(f"{quote(n)} = %s::{_type(row.shape, n)}" for n in changed)
            values = [_as_text(shall[n], row.shape, n) for n in changed]
            conn.execute(f"UPDATE {to} SET {sets} WHERE {_same(row.shape)}".encode(), [*values, *_key(row)])
        self._note(conn, row, here, shall, to)
        return True

    def _taken(self, conn: Connection, row: Row, to: str) -> bool:
        """Whether another unique key is in the way, which waiting does not mend."""
        there = conn.execute(f"SELECT 1 FROM {to} WHERE {_same(row.shape)}".encode(), _key(row)).fetchone()
        if there is None:
            raise SinkRefusedError(
                f"a row of {to} has a value that another row there has in a unique column, so both cannot be",
                hint="change one of the two rows",
            )
        return False

    def _note(self, conn: Connection, row: Row, here: Values, shall: Values, to: str) -> None:
        """Note a row where the rule did not simply take what came."""
        lost = [n for n in here if _differs(row.values[n], shall[n])]
        if not lost:
            return
        kept = not any(_differs(here[n], shall[n]) for n in here)
        key = json.dumps([v if isinstance(v, int) else text(v) for v in row.key])
        conn.execute(
            "INSERT INTO pgcharter_copies.conflicts (origin, target, key, fields, done) VALUES (%s, %s, %s, %s, %s)",
            [self._origin, to, key, lost, "kept" if kept else "merged"],
        )


def _same(shape: Shape) -> str:
    return " AND ".join(f"{quote(k)} = %s::{_type(shape, k)}" for k in shape.key)


def _key(row: Row) -> list[str | None]:
    return [_as_text(v, row.shape, n) for n, v in zip(row.shape.key, row.key, strict=True)]


def _type(shape: Shape, name: str) -> str:
    return next(f.type for f in shape.fields if f.name == name)


def _texts(shape: Shape) -> str:
    return ", ".join(f"{quote(f.name)}::text" for f in shape.fields)


def _casts(shape: Shape) -> str:
    return ", ".join(f"%s::{f.type}" for f in shape.fields)


def _as_text(value: Any, shape: Shape, name: str) -> str | None:
    return None if value is None else text(value, ";" if _type(shape, name) == "box[]" else ",")


def _loaded(kind: str, value: str | None) -> Any:
    made = load(kind)
    if value is None or made is None:
        return value
    return made(value)


def _differs(one: Any, other: Any) -> bool:
    return one is not other and (one is None or other is None or text(one) != text(other))


def _told(error: psycopg.Error) -> SinkDownError | SinkRefusedError:
    said = redact(error.diag.message_primary or str(error).strip().replace("\n", " "))
    if error.sqlstate is None or error.sqlstate.startswith(_PASSING):
        return SinkDownError(f"the other database cannot be written just now: {said}")
    return SinkRefusedError(f"the other database refuses what is written: {said}", hint=error.diag.message_hint or "")
