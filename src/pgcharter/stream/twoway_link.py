"""The connection that one way of copying writes through: under its replication origin, without triggers, with how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg

from pgcharter.db import Connection, connect, queries
from pgcharter.errors import ConnectError
from pgcharter.names import quote
from pgcharter.redact import redact
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Shape, Stamp
from pgcharter.stream.replication import SETTINGS

T = TypeVar("T")
SQL = queries.load("pgcharter.stream", "twoway.sql")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PASSING = ("08", "40", "53", "57", "58030", "55P03", "55006")
_LOCK = 1885824359


class Link:
    """A connection to one side. `origin` names where what it writes comes from."""

    def __init__(self, dsn: str, origin: str) -> None:
        self.dsn, self.origin = dsn, origin
        self.acked = ""
        """Of what was changed here and committed up to it the other side has decided; as PostgreSQL writes it."""
        self._conn: Connection | None = None

    @property
    def conn(self) -> Connection:
        """The connection. Raises SinkDownError where there is none."""
        if self._conn is None:
            raise SinkDownError("the other database is not connected")
        return self._conn

    def open(self) -> Stamp | None:
        """Connect and take the origin, which one session at a time may have; gives back how far this way is."""
        self.close()
        return self.told(self._open)

    def _open(self) -> Stamp | None:
        self._conn = conn = connect(self.dsn, application_name=f"pgcharter sync {self.origin}", client_encoding="utf8")
        conn.execute(SETTINGS)
        conn.execute("SET session_replication_role = replica")
        prepare(conn)
        conn.execute(SQL["begin"].encode(), {"origin": self.origin})
        conn.execute("SELECT pg_replication_origin_session_setup(%s)", [self.origin])
        row = conn.execute(SQL["way"].encode(), {"origin": self.origin}).fetchone()
        assert row is not None  # noqa: S101 - it was made
        self.acked = row[2]
        return Stamp(row[0], row[1]) if row[0] else None

    def told(self, work: Callable[[], T]) -> T:
        """Do something with the server. Raises SinkDownError for what passes by itself, SinkRefusedError for what does not."""
        try:
            return work()
        except ConnectError as error:
            raise SinkDownError(error.message, hint=error.hint) from None
        except psycopg.Error as error:
            self.close()
            said = redact(error.diag.message_primary or str(error).strip().replace("\n", " "))
            if error.sqlstate is None or error.sqlstate.startswith(_PASSING):
                raise SinkDownError(f"the other database cannot be written just now: {said}") from None
            raise SinkRefusedError(f"the other database refuses what is written: {said}", hint=error.diag.message_hint or "") from None

    def stamp(self, upto: Stamp) -> None:
        """Keep how far this way is."""
        self.conn.execute(SQL["stamp"].encode(), {"origin": self.origin, "lsn": upto.lsn, "ordinal": upto.ordinal})

    def close(self) -> None:
        """Disconnect, which lets go of the origin."""
        if self._conn is not None:
            with suppress(psycopg.Error):
                self._conn.close()
            self._conn = None


def prepare(conn: Connection) -> None:
    """Make the tables in which copies both ways keep what they know."""
    if conn.execute("SELECT to_regclass('pgcharter_copies.parked')").fetchone() != (None,):
        return
    with conn.transaction():
        conn.execute("SET LOCAL client_min_messages = error")
        conn.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_LOCK])
        conn.execute(SQL["state"].encode())


def moment(time: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return EPOCH + timedelta(microseconds=time)


def micros(time: datetime | None) -> int:
    """A time as microseconds since 1970; 0 of none."""
    return 0 if time is None else (time - EPOCH) // timedelta(microseconds=1)


class Statements:
    """The statements of one shape. Parameters of `put` are all fields, of the others the key."""

    def __init__(self, shape: Shape) -> None:
        self.types = types = {f.name: f.type for f in shape.fields}
        self.to = shape.source
        self.names = tuple(types)
        self.key = shape.key
        self.same = " AND ".join(f"here.{quote(k)} = %s::{types[k]}" for k in shape.key)
        columns = ", ".join(map(quote, types))
        others = [n for n in types if n not in shape.key]
        sets = ", ".join(f"{quote(n)} = excluded.{quote(n)}" for n in others)
        differs = " OR ".join(f"here.{quote(n)}::text IS DISTINCT FROM excluded.{quote(n)}::text" for n in others)
        insert = (
            f"INSERT INTO {self.to} AS here ({columns}) OVERRIDING SYSTEM VALUE VALUES ({', '.join(f'%s::{t}' for t in types.values())})"
            f" ON CONFLICT ({', '.join(map(quote, shape.key))}) DO "
        )
        self.insert = f"{insert}NOTHING".encode()
        self.put = f"{insert}UPDATE SET {sets} WHERE {differs}".encode() if others else self.insert
        pending = (
            "coalesce((SELECT v.roident = 0 AND v.timestamp > %s::timestamptz FROM pg_xact_commit_timestamp_origin(here.xmin) v), false)"
        )
        self.follow = f"{insert}UPDATE SET {sets} WHERE ({differs}) AND NOT {pending}".encode() if others else self.insert
        self.waits = bool(others)
        """Whether `follow` ends with the parameter of `leave`."""
        self.leave = f"DELETE FROM {self.to} AS here WHERE {self.same} AND NOT {pending}".encode()
        self.empty = f"DELETE FROM {self.to} AS here WHERE NOT {pending}".encode()
        self.delete = f"DELETE FROM {self.to} AS here WHERE {self.same}".encode()
        texts = ", ".join(f"here.{quote(n)}::text" for n in types)
        self._look = (
            f"SELECT v.timestamp, v.roident, {texts} FROM {self.to} AS here LEFT JOIN LATERAL pg_xact_commit_timestamp_origin(here.xmin) v"
            f" ON true WHERE ({', '.join(f'here.{quote(k)}' for k in shape.key)}) IN "
        )
        self._typed = f"({', '.join(f'%s::{types[k]}' for k in shape.key)})"

    def look(self, keys: int) -> bytes:
        """Rows of so many keys, locked: when and by whom they were committed, and their fields."""
        return f"{self._look}({', '.join([self._typed] * keys)}) FOR UPDATE OF here".encode()

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """Of a row, in order."""
        return [row[n] for n in self.names]


def statements(shapes: Sequence[Shape]) -> dict[str, Statements]:
    """Those of tables, by their name as SQL."""
    return {s.source: Statements(s) for s in shapes}
