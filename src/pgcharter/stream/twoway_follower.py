"""The side that follows: takes what the deciding side has, but for rows changed here on which it has not decided yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import psycopg

from pgcharter import faults
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.twoway_link import SQL, Link, Statements, statements
from pgcharter.stream.twoway_rows import ACKS, VERDICTS

_Parked = tuple[Statements, list[Any], dict[str, Any]]


class Follower:
    """The tables of the following side, as a sink for all that the deciding side commits. `back` names the way from here to there."""

    whole = True
    keeps = True

    def __init__(self, dsn: str, origin: str, back: str) -> None:
        self._link, self._back = Link(dsn, origin), back
        self._by: dict[str, Statements] = {}
        self._parks = False
        """Whether rows are parked."""
        self._began = False
        """Whether the stream has begun: rows of a seed would be older than what is here."""

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        """Connect, take the origin, give back how far this way is."""
        stamp = self._link.open()
        self._began = stamp is not None
        self._by = statements(shapes)
        self._parks = self._link.told(lambda: bool(self._link.conn.execute(SQL["parked"].encode(), [self._link.origin]).fetchone()))
        return stamp

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Apply rows in one transaction, with `upto`."""

        def work() -> None:
            before = self._link.acked
            try:
                self._write(rows, upto, careful=self._parks)
            except (psycopg.IntegrityError, psycopg.DataError):
                self._link.acked = before
                self._write(rows, upto, careful=True)
            faults.point("twoway kept")

        self._link.told(work)

    def close(self) -> None:
        """Disconnect."""
        self._link.close()

    def _write(self, rows: Sequence[Row], upto: Stamp, *, careful: bool) -> None:
        with self._link.conn.transaction():
            taken = [r for r in rows if r.stamp.ordinal or not self._began]
            for by, some in groupby(taken, lambda r: self._by.get(r.shape.source) if r.op == "put" and not careful else None):
                if by is not None and by.to not in (ACKS, VERDICTS):
                    self._many(by, some)
                else:
                    for row in some:
                        self._row(row, careful=careful)
            if careful:
                self._parks = self._again()
            self._link.stamp(upto)
            faults.point("twoway followed")

    def _row(self, row: Row, *, careful: bool) -> None:
        to = row.shape.source
        if to == ACKS:
            if row.op == "put" and row.values["origin"] == self._back:
                self._link.acked = row.values["acked"]
                self._link.conn.execute(SQL["acked"].encode(), [self._link.acked, self._link.origin])
        elif to == VERDICTS:
            if row.op == "put" and row.values["origin"] == self._back:
                self._verdict(row, careful=careful)
        else:
            self._one(self._by[to], list(row.key), row.op, row.values, careful=careful)

    def _verdict(self, row: Row, *, careful: bool) -> None:
        by = self._by.get(str(row.values["target"]))
        if by is None:
            return  # of a table that is not copied any more
        shall = row.values["row"]
        key = json.loads(str(row.values["key"]))
        self._one(by, key, "delete" if shall is None else "put", json.loads(str(shall)) if shall is not None else {}, careful=careful)

    def _one(self, by: Statements, key: list[Any], op: str, values: Any, *, careful: bool) -> None:
        conn, acked = self._link.conn, self._link.acked
        if careful:
            conn.execute(SQL["free"].encode(), [self._link.origin, by.to, json.dumps(key)])
        if op == "clear":
            conn.execute(by.empty, [acked])
        elif op == "delete":
            conn.execute(by.leave, [*key, acked])
        elif not careful:
            self._follow(by, values)
        else:
            try:
                with conn.transaction():
                    self._follow(by, values)
            except (psycopg.IntegrityError, psycopg.DataError) as error:
                why = error.diag.message_primary or str(error)
                conn.execute(SQL["park"].encode(), [self._link.origin, by.to, json.dumps(key), json.dumps(values), why])

    def _many(self, by: Statements, rows: Iterable[Row]) -> None:
        """Puts of one table, without waiting for each."""
        more = [self._link.acked] if by.waits else []
        with self._link.conn.cursor() as cursor:
            cursor.executemany(by.follow, [[*by.values(row.values), *more] for row in rows])

    def _follow(self, by: Statements, values: Any) -> None:
        self._link.conn.execute(by.follow, [*by.values(values), *([self._link.acked] if by.waits else [])])

    def _again(self) -> bool:
        """Try what was parked; together first, since one may be in the other's way. Gives back whether something is left."""
        found = self._link.conn.execute(SQL["parked"].encode(), [self._link.origin]).fetchall()
        parked: list[_Parked] = [(self._by[to], key, row) for to, key, row in found if to in self._by]
        if len(parked) > 1 and self._placed(parked):
            return len(parked) < len(found)
        left = [one for one in parked if not self._placed([one])]
        return len(left) + len(found) - len(parked) > 0

    def _placed(self, parked: list[_Parked]) -> bool:
        conn = self._link.conn
        try:
            with conn.transaction():
                for by, key, _ in parked:
                    conn.execute(by.leave, [*key, self._link.acked])
                for by, key, row in parked:
                    self._follow(by, row)
                    conn.execute(SQL["free"].encode(), [self._link.origin, by.to, json.dumps(key)])
        except (psycopg.IntegrityError, psycopg.DataError):
            return False
        return True
