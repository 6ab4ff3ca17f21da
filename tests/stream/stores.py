"""A store of the tests: a SQLite file, which keeps rows, stamps, tombstones and how far it is; and a mapping that changes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.mapper import Target
from pgcharter.stream.model import UNCHANGED, Change, Field, Relation, Row, Shape, Stamp
from pgcharter.stream.source import sql_of

_MAKE = """
CREATE TABLE IF NOT EXISTS rows (t TEXT, k TEXT, v TEXT, lsn INT, ordinal INT, PRIMARY KEY (t, k));
CREATE TABLE IF NOT EXISTS cleared (t TEXT PRIMARY KEY, lsn INT, ordinal INT);
CREATE TABLE IF NOT EXISTS upto (one INT PRIMARY KEY, lsn INT, ordinal INT);
"""
_PUT = """
INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (t, k) DO UPDATE SET v = excluded.v, lsn = excluded.lsn, ordinal = excluded.ordinal
 WHERE (excluded.lsn, excluded.ordinal) > (rows.lsn, rows.ordinal)
"""


class Store:
    """A sink; while the file `<path>.down` is there, it cannot be reached."""

    def __init__(self, path: Path, *, whole: bool = False, keeps: bool = True) -> None:
        self.whole = whole
        self.path, self.keeps = path, keeps
        self._db: sqlite3.Connection | None = None

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        self._check()
        if self._db is None:
            self._db = sqlite3.connect(self.path, check_same_thread=False)
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + _MAKE)
        row = self._db.execute("SELECT lsn, ordinal FROM upto").fetchone()
        return Stamp(*row) if row and self.keeps else None

    def _check(self) -> None:
        if self.path.with_suffix(".down").exists():
            raise SinkDownError("the store is down")
        if self.path.with_suffix(".refuses").exists():
            raise SinkRefusedError("the store does not want that")
        if self.path.with_suffix(".fails").exists():
            raise ZeroDivisionError

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        self._check()
        assert self._db is not None
        with self._db:
            for row in rows:
                self._apply(row)
            self._db.execute("INSERT OR REPLACE INTO upto VALUES (1, ?, ?)", upto)

    def _apply(self, row: Row) -> None:
        assert self._db is not None
        at = row.shape.to
        if row.op == "clear":
            self._db.execute("DELETE FROM rows WHERE t = ? AND (lsn, ordinal) < (?, ?)", (at, *row.stamp))
            return
        key = json.dumps(row.key)
        values = None if row.op == "delete" else json.dumps(dict(row.values))
        if row.op == "put" and not row.whole:
            assert not self.whole
            self._part(at, key, row)
        else:
            self._db.execute(_PUT, (at, key, values, *row.stamp))

    def _part(self, at: str, key: str, row: Row) -> None:
        """Put what is known over what is there."""
        assert self._db is not None
        found = self._db.execute("SELECT v FROM rows WHERE t = ? AND k = ?", (at, key)).fetchone()
        values = {**json.loads(found[0] or "{}"), **row.values} if found else dict(row.values)
        self._db.execute(_PUT, (at, key, json.dumps(values), *row.stamp))

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def table(self, name: str) -> dict[str, Any]:
        """What it has of a table, by key."""
        db = sqlite3.connect(self.path)
        try:
            found = db.execute("SELECT k, v FROM rows WHERE t = ? AND v IS NOT NULL", (name,)).fetchall()
        except sqlite3.OperationalError:  # it has never been open
            found = []
        finally:
            db.close()
        return {k: json.loads(v) for k, v in found}


class Plain:
    """Rows as they are: text by column."""

    def __init__(self, *tables: str, whole: bool = False) -> None:
        self.tables: tuple[str, ...] = tables
        self.shapes: tuple[Shape, ...] = ()
        self._whole = whole
        self._by: dict[str, Shape] = {}

    def relation(self, relation: Relation) -> bool:
        fields = tuple(Field(c.name, c.type, c.key) for c in relation.columns)
        shape = Shape(sql_of(relation), fields, sql_of(relation))
        if self._by.get(shape.to) == shape:
            return False
        self._by[shape.to] = shape
        self.shapes = tuple(self._by.values())
        return True

    def whole(self, relation: Relation) -> bool:
        return self._whole

    def asks(self, relation: Relation) -> bool:
        return False

    def rows(self, changes: Sequence[Change]) -> list[Row]:
        return [row for change in changes for row in self._rows(change)]

    def close(self) -> None:
        pass

    def _rows(self, change: Change) -> list[Row]:
        shape = self._by[sql_of(change.relation)]
        names = [f.name for f in shape.fields]
        at = [i for i, f in enumerate(shape.fields) if f.key]
        if change.op == "truncate":
            return [Row(shape, "clear", (), {}, change.stamp)]
        made = []
        old = tuple(change.old[i] for i in at) if change.old else None
        if change.new is None:
            assert old is not None
            return [Row(shape, "delete", old, {}, change.stamp)]
        key = tuple(o if n is UNCHANGED else n for n, o in zip((change.new[i] for i in at), old or (None,) * len(at), strict=True))
        if old is not None and old != key:
            made.append(Row(shape, "delete", old, {}, change.stamp))
        values = {n: v for n, v in zip(names, change.new, strict=True) if v is not UNCHANGED}
        return [*made, Row(shape, "put", key, values, change.stamp)]


class Nothing:
    """A sink that takes everything and keeps nothing; for measuring."""

    whole = False
    keeps = False

    def __init__(self) -> None:
        self.count = 0

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        return None

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        self.count += len(rows)

    def close(self) -> None:
        pass


def target(path: Path, *tables: str, whole: bool = False, keeps: bool = True, spill: int = 1 << 30) -> Target:
    return Target(path.stem, Store(path, whole=whole, keeps=keeps), Plain(*tables), spill)
