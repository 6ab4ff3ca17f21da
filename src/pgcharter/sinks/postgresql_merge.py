"""Batches of rows merged into tables of a PostgreSQL store: one COPY and a statement or two for all rows of one kind."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgcharter.db import Connection
from pgcharter.names import literal, quote
from pgcharter.sinks.postgresql_tables import LSN, ORDINAL, Target
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.values import hashable, text

_MOST_STAGES = 64
"""Temporary tables that are kept; each is emptied at every commit."""
_AT_ONCE = 1_000
"""Rows that are made text at a time."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_SPECIAL = re.compile(r"[\\\t\n\r]")
Batches = dict[Shape, dict[Any, Row]]


def coalesce(rows: Iterable[Row], cleared: dict[Shape, Stamp]) -> tuple[Batches, dict[Shape, Stamp]]:
    """What remains of rows: one for each key, and the latest clear of each shape. Rows older than a clear are gone."""
    batches: Batches = {}
    clears: dict[Shape, Stamp] = {}
    last: Shape | None = None
    keys: dict[Any, Row] = {}
    for row in rows:
        shape = row.shape
        if row.op == "clear":
            clears[shape] = cleared[shape] = max(row.stamp, cleared.get(shape, row.stamp))
            continue
        if shape is not last:  # to look a shape up is slow
            last, keys = shape, batches.setdefault(shape, {})
        key = hashable(row.key)
        before = keys.get(key)
        keys[key] = row if before is None else _later(before, row)
    for shape, keys in batches.items():
        least = cleared.get(shape)
        if least is not None:
            batches[shape] = {k: r for k, r in keys.items() if r.stamp >= least}
    return batches, clears


def _later(before: Row, row: Row) -> Row:
    """Of two rows of a key what both come to."""
    if row.stamp < before.stamp:
        before, row = row, before
    if row.op == "delete" or row.whole:
        return row
    return before if before.op == "delete" else row._replace(values={**before.values, **row.values})


@dataclass
class Merger:
    """Writes batches on one connection."""

    conn: Connection
    gone: set[str] = field(default_factory=set)
    """Targets that have rows in pgcharter_copies.gone, as the transaction sees it."""
    _stages: dict[tuple[Shape, tuple[str, ...]], str] = field(default_factory=dict)

    def write(self, target: Target, rows: Iterable[Row]) -> None:
        """Apply rows of one target, one for each key, in the transaction of the connection."""
        groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
        everything = tuple(f.name for f in target.shape.fields)
        for row in rows:
            groups[() if row.op == "delete" else everything if row.whole else tuple(n for n in everything if n in row.values)].append(row)
        for names in sorted(groups, key=lambda n: (bool(n), -len(n))):  # deletes, whole rows, parts of rows
            stage = self._filled(target, names or target.shape.key, groups[names])
            for statement in _delete(target, stage) if not names else [_put(target, names, stage, guarded=target.sql in self.gone)]:
                self.conn.execute(statement.encode())
            if not names:
                self.gone.add(target.sql)

    def clear(self, target: Target, stamp: Stamp) -> None:
        """Delete what is older."""
        self.conn.execute(f"DELETE FROM {target.sql} WHERE ({LSN}, {ORDINAL}) < (%s, %s)".encode(), stamp)

    def _filled(self, target: Target, names: Sequence[str], rows: Sequence[Row]) -> str:
        """A temporary table with these rows."""
        stage = self._stage(target, tuple(names))
        commas = [";" if target.types[n] == "box[]" else "," for n in names]
        with self.conn.cursor().copy(f"COPY {stage} FROM STDIN".encode()) as copy:
            for start in range(0, len(rows), _AT_ONCE):
                copy.write(_lines(rows[start : start + _AT_ONCE], names, commas))
        return stage

    def _stage(self, target: Target, names: tuple[str, ...]) -> str:
        if (target.shape, names) not in self._stages:
            if len(self._stages) == _MOST_STAGES:
                self.conn.execute(f"DROP TABLE IF EXISTS {', '.join(self._stages.values())}".encode())
                self._stages.clear()
            stage = f"pg_temp.pgcharter_stage_{len(self._stages)}"
            columns = ", ".join([*(f"{quote(n)} {target.types[n]}" for n in names), f"{LSN} bigint", f"{ORDINAL} bigint"])
            self.conn.execute(f"CREATE TEMPORARY TABLE {stage} ({columns}) ON COMMIT DELETE ROWS".encode())
            self._stages[target.shape, names] = stage
        return self._stages[target.shape, names]


def _lines(rows: Sequence[Row], names: Sequence[str], commas: Sequence[str]) -> str:
    """Rows as COPY reads them, made column by column."""
    if rows[0].op == "put":
        columns = [[row.values[name] for row in rows] for name in names]
    else:
        columns = [list(column) for column in zip(*(row.key for row in rows), strict=True)]
    texts = [_escaped(column, comma) for column, comma in zip(columns, commas, strict=True)]
    stamps = [f"{row.stamp[0]}\t{row.stamp[1]}\n" for row in rows]
    return "".join(map("\t".join, zip(*texts, stamps, strict=True)))


def _escaped(column: Sequence[Any], comma: str) -> Sequence[str]:
    """Values of a column as COPY reads them."""
    try:
        whole = "".join(column)
        if not _SPECIAL.search(whole):
            return column
    except TypeError:  # not all of them are text
        pass
    return ["\\N" if v is None else text(v, comma).translate(_ESCAPES) for v in column]


def _older(left: str, right: str) -> str:
    return f"({left}.{LSN}, {left}.{ORDINAL}) < ({right}.{LSN}, {right}.{ORDINAL})"


def _same(target: Target) -> str:
    return " AND ".join(f"t.{quote(k)} = s.{quote(k)}" for k in target.shape.key)


def _json(target: Target) -> str:
    return f"jsonb_build_array({', '.join(f's.{quote(k)}' for k in target.shape.key)})"


def _delete(target: Target, stage: str) -> list[str]:
    remembered = f"SELECT {literal(target.sql)}, {_json(target)}, {LSN}, {ORDINAL} FROM {stage} s"
    return [
        f"DELETE FROM {target.sql} t USING {stage} s WHERE {_same(target)} AND {_older('t', 's')}",
        f"INSERT INTO pgcharter_copies.gone AS g (target, key, lsn, ordinal) {remembered} ON CONFLICT (target, key)"
        " DO UPDATE SET lsn = excluded.lsn, ordinal = excluded.ordinal, at = now()"
        " WHERE (g.lsn, g.ordinal) < (excluded.lsn, excluded.ordinal)",
    ]


def _put(target: Target, names: Sequence[str], stage: str, *, guarded: bool) -> str:
    """Whole rows are inserted or replace older ones; parts of rows only change what is there."""
    columns = [quote(n) for n in (*names, LSN, ORDINAL)]
    changed = [quote(n) for n in (*(n for n in names if n not in target.shape.key), LSN, ORDINAL)]
    if len(names) < len(target.shape.fields):
        sets = ", ".join(f"{c} = s.{c}" for c in changed)
        return f"UPDATE {target.sql} t SET {sets} FROM {stage} s WHERE {_same(target)} AND {_older('t', 's')}"
    guard = (
        f" WHERE NOT EXISTS (SELECT FROM pgcharter_copies.gone g WHERE g.target = {literal(target.sql)} AND g.key = {_json(target)}"
        f" AND (s.{LSN}, s.{ORDINAL}) < (g.lsn, g.ordinal))"
        if guarded
        else ""
    )
    return (
        f"INSERT INTO {target.sql} AS t ({', '.join(columns)}) OVERRIDING SYSTEM VALUE SELECT {', '.join(columns)} FROM {stage} s{guard}"
        f" ON CONFLICT ({', '.join(map(quote, target.shape.key))}) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in changed)}"
        f" WHERE {_older('t', 'excluded')}"
    )
