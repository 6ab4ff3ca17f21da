"""The side that decides: takes what the other side's applications have written, or says what is there instead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import psycopg

from pgcharter import faults
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.twoway import Rule, Values, Version
from pgcharter.stream.twoway_link import SQL, Link, Statements, micros, moment, statements
from pgcharter.stream.twoway_rows import Told

Key = tuple[Any, ...]
_AHEAD = 200
"""Rows that are looked at in one go."""


class _RacedError(Exception):
    """Somebody has inserted a row between our look and our insert."""


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
        self._seen: dict[tuple[str, Key], Here] = {}
        """Rows that were looked at ahead, and locked."""
        self._later: list[tuple[bytes, bool, list[Any]]] = []
        """What is written in one go."""

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
            except (psycopg.IntegrityError, psycopg.DataError, _RacedError):
                self._write(rows, upto, careful=True)
            faults.point("twoway kept")

        self._link.told(work)

    def close(self) -> None:
        """Disconnect."""
        self._link.close()

    def _write(self, rows: Sequence[Row], upto: Stamp, *, careful: bool) -> None:
        conn, self._told = self._link.conn, False
        self._seen, self._later = {}, []
        time = max((r.time for r in rows if isinstance(r, Told)), default=0)
        with conn.transaction():
            if time:
                conn.execute(SQL["ack"].encode(), [self._link.origin, moment(time)])
            told = [r for r in rows if isinstance(r, Told) and r.stamp.ordinal]  # what was there before was compared when copying began
            for n in range(0, len(told), _AHEAD):
                some = told[n : n + _AHEAD]
                if not careful:
                    self._ahead(some)
                for row in some:
                    self._carefully(row) if careful else self._apply(row)
                self._flush()
            if self._told:
                conn.execute(SQL["told"].encode(), [self._link.origin])
            self._link.stamp(upto)
            faults.point("twoway decided")

    def _carefully(self, row: Told) -> None:
        """Apply a row, or refuse it alone."""
        try:
            with self._link.conn.transaction():
                self._apply(row)
                self._flush()
        except _RacedError:
            self._carefully(row)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            self._refuse(row, error.diag.message_primary or str(error))

    def _apply(self, row: Told) -> None:
        by = self._by[row.shape.source]
        if row.op == "clear":
            self._flush()
            self._seen.clear()
            self._link.conn.execute(f"DELETE FROM {by.to}".encode())
            return
        self._decide(by, row)

    def _ahead(self, rows: Sequence[Told]) -> None:
        """Look at the rows of this side in one go."""
        keys: dict[str, list[Key]] = {}
        for row in rows:
            if row.op != "clear":
                keys.setdefault(row.shape.source, []).append(row.key)
        for to, some in keys.items():
            by, wanted = self._by[to], list(dict.fromkeys(some))
            self._seen.update({(to, key): Here(Version(None), theirs=False) for key in wanted})
            for found in self._link.conn.execute(by.look(len(wanted)), [v for key in wanted for v in key]):
                here = self._here(by, found)
                values = here.version.values or {}
                self._seen[to, tuple(values[k] for k in by.key)] = here

    def _look(self, by: Statements, row: Row) -> Here:
        seen = self._seen.pop((by.to, row.key), None)  # once: it may be another one after that
        if seen is not None:
            return seen
        self._flush()
        found = self._link.conn.execute(by.look(1), list(row.key)).fetchone()
        return Here(Version(None), theirs=False) if found is None else self._here(by, found)

    def _here(self, by: Statements, found: tuple[Any, ...]) -> Here:
        return Here(Version(dict(zip(by.names, found[2:], strict=True)), micros(found[0]), by.types), found[1] == self._own)

    def _flush(self) -> None:
        """Write what waits. Raises _RacedError where a row has come meanwhile that was not here."""
        later, self._later = self._later, []
        with self._link.conn.cursor() as cursor:
            for (sql, new), some in groupby(later, itemgetter(0, 1)):
                values = [v for _, _, v in some]
                cursor.executemany(sql, values)
                if new and cursor.rowcount != len(values):
                    raise _RacedError

    def _decide(self, by: Statements, row: Told, *, locked: bool = False) -> None:
        here = self._look(by, row)
        comes = Version(row.values if row.op == "put" else None, row.time, by.types)
        if here.version.values == comes.values:
            return
        shall, sure = comes.values, False
        if _conflict(row, here):
            shall = self._rule(here.version, comes)
            sure = row.old is not None or row.time <= here.version.time
        if shall is None and here.version.values is None:
            self._absent(by, row, locked=locked)
            return
        if shall != here.version.values:
            self._become(by, row, shall, new=here.version.values is None)
        if shall != comes.values:
            kept = shall == here.version.values
            self._note(row, "kept" if kept else "merged", "both sides changed it", comes.values, shall)
            if kept:
                self._say(row, shall)
        elif sure:
            self._note(row, "taken", "both sides changed it", here.version.values, shall)

    def _absent(self, by: Statements, row: Told, *, locked: bool) -> None:
        """It is not here and shall not be, which nothing but a lock can say in the order of the log."""
        if not locked:
            self._lock(by)
            self._decide(by, row, locked=True)
            return
        self._note(row, "kept", "it was deleted here", row.values, None)
        self._say(row, None)

    def _become(self, by: Statements, row: Row, shall: Values | None, *, new: bool) -> None:
        if shall is None:
            self._later.append((by.delete, False, list(row.key)))
        else:
            self._later.append((by.insert if new else by.put, new, by.values(shall)))

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
