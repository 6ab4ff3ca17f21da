"""The side that decides: takes what the other side's applications have written, or says what is there instead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from pgcharter import faults
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.twoway import Rule, Values, Version
from pgcharter.stream.twoway_link import SQL, Link, Statements, micros, moment, statements
from pgcharter.stream.twoway_rows import Told


class Here(NamedTuple):
    """A row of this side."""

    version: Version
    theirs: bool
    """Whether it is as the other side wrote it last."""


class Arbiter:
    """The tables of the deciding side, as a sink for what comes from the other (`origin`)."""

    whole = True
    keeps = True

    def __init__(self, dsn: str, origin: str, rule: Rule) -> None:
        self._link, self._rule = Link(dsn, origin), rule
        self._by: dict[str, Statements] = {}
        self._own = 0
        self._told = False

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        """Connect, take the origin, give back how far this way is."""
        stamp = self._link.open()
        self._by = statements(shapes)
        row = self._link.told(lambda: self._link.conn.execute("SELECT pg_replication_origin_oid(%s)", [self._link.origin]).fetchone())
        self._own = int(row[0]) if row else 0
        return stamp

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Decide on rows in one transaction, with `upto`."""

        def work() -> None:
            try:
                self._write(rows, upto, careful=False)
            except (psycopg.IntegrityError, psycopg.DataError):
                self._write(rows, upto, careful=True)
            faults.point("twoway kept")

        self._link.told(work)

    def close(self) -> None:
        """Disconnect."""
        self._link.close()

    def _write(self, rows: Sequence[Row], upto: Stamp, *, careful: bool) -> None:
        conn, self._told = self._link.conn, False
        time = max((r.time for r in rows if isinstance(r, Told)), default=0)
        with conn.transaction():
            if time:
                conn.execute(SQL["ack"].encode(), [self._link.origin, moment(time)])
            for row in rows:
                if isinstance(row, Told) and row.stamp.ordinal:  # what was there before was compared when copying began
                    self._carefully(row) if careful else self._apply(row)
            if self._told:
                conn.execute(SQL["told"].encode(), [self._link.origin])
            self._link.stamp(upto)
            faults.point("twoway decided")

    def _carefully(self, row: Told) -> None:
        """Apply a row, or refuse it alone."""
        try:
            with self._link.conn.transaction():
                self._apply(row)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            self._refuse(row, error.diag.message_primary or str(error))

    def _apply(self, row: Told) -> None:
        by = self._by[row.shape.source]
        if row.op == "clear":
            self._link.conn.execute(f"DELETE FROM {by.to}".encode())
            return
        while not self._decided(by, row):
            """Somebody inserted it between the look and the insert: look again."""

    def _look(self, by: Statements, row: Row) -> Here:
        found = self._link.conn.execute(by.look, list(row.key)).fetchone()
        if found is None:
            return Here(Version(None), theirs=False)
        return Here(Version(dict(zip(by.names, found[2:], strict=True)), micros(found[0]), by.types), found[1] == self._own)

    def _decided(self, by: Statements, row: Told, *, locked: bool = False) -> bool:
        here = self._look(by, row)
        comes = Version(row.values if row.op == "put" else None, row.time, by.types)
        if here.version.values == comes.values:
            return True
        shall, sure = comes.values, False
        if _conflict(row, here):
            shall = self._rule(here.version, comes)
            sure = row.old is not None or row.time <= here.version.time
        if shall is None and here.version.values is None:
            return self._absent(by, row, locked=locked)
        if shall != here.version.values and not self._become(by, row, shall, new=here.version.values is None):
            return False
        if shall != comes.values:
            kept = shall == here.version.values
            self._note(row, "kept" if kept else "merged", "both sides changed it", comes.values, shall)
            if kept:
                self._say(row, shall)
        elif sure:
            self._note(row, "taken", "both sides changed it", here.version.values, shall)
        return True

    def _absent(self, by: Statements, row: Told, *, locked: bool) -> bool:
        """It is not here and shall not be, which nothing but a lock can say in the order of the log."""
        if not locked:
            self._lock(by)
            return self._decided(by, row, locked=True)
        self._note(row, "kept", "it was deleted here", row.values, None)
        self._say(row, None)
        return True

    def _become(self, by: Statements, row: Row, shall: Values | None, *, new: bool) -> bool:
        conn = self._link.conn
        if shall is None:
            return conn.execute(by.delete, list(row.key)).rowcount > 0
        return conn.execute(by.insert if new else by.put, by.values(shall)).rowcount > 0

    def _refuse(self, row: Told, why: str) -> None:
        """What comes cannot be here: the other side is to have what is."""
        by = self._by[row.shape.source]
        self._lock(by)
        here = self._look(by, row).version.values
        self._note(row, "refused", why, row.values if row.op == "put" else None, here)
        self._say(row, here)

    def _lock(self, by: Statements) -> None:
        self._link.conn.execute(f"LOCK TABLE {by.to} IN SHARE ROW EXCLUSIVE MODE".encode())

    def _say(self, row: Row, shall: Values | None) -> None:
        self._told = True
        values = [self._link.origin, row.shape.source, json.dumps(row.key), None if shall is None else json.dumps(shall)]
        self._link.conn.execute(SQL["verdict"].encode(), values)

    def _note(self, row: Row, done: str, why: str, lost: Values | None, shall: Values | None) -> None:
        """Write down who lost what."""
        fields = [n for n in (lost or shall or {}) if lost is None or shall is None or lost[n] != shall[n]]
        told = None if lost is None else json.dumps(lost)
        values = [self._link.origin, row.shape.source, json.dumps(row.key), done, why, fields, told]
        self._link.conn.execute(SQL["conflict"].encode(), values)


def _conflict(row: Told, here: Here) -> bool:
    """Whether what comes was not made of what is here, or may not have been."""
    if row.old is not None:
        return here.version.values != row.old
    if here.version.values is None or here.theirs:
        return False
    return row.op == "put" or row.time <= here.version.time
