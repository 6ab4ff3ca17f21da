"""The shape of a database's tables: rows, sizes, shares of NULLs, numbers of distinct values, widths. Never a value.

From it tables are filled on a scratch server (`migrate.filling`), so that migrations can be timed there. What pg_stats knows beyond that,
the most common values and the histogram, are production's data and are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from psycopg.rows import tuple_row

from pgcharter.catalog.model import RelationStats, Stats
from pgcharter.db import Connection
from pgcharter.db.queries import query
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import ObjectId, address

FORMAT, VERSION = "pgcharter-shape", 1


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """What ANALYZE has found of one column (documentation, "pg_stats")."""

    type: str
    nulls: float = 0.0
    """Share of NULLs, from 0 to 1."""
    distinct: float = 0.0
    """`n_distinct`: how many values, or when negative how many a row; 0: not known."""
    width: int = 0
    """Average bytes of a value; 0: not known."""
    correlation: float | None = None
    """Of the rows' order on disk with that of the values, from -1 to 1; None where values have no order."""


@dataclass(frozen=True, slots=True)
class TableShape:
    """What one table looks like; of a partitioned table only its columns, for its partitions hold the rows."""

    rows: int | None = None
    """None: never analysed, so nobody knows."""
    bytes: int = 0
    """With TOAST, without indexes."""
    index_bytes: int = 0
    columns: Mapping[str, ColumnShape] = field(default_factory=dict)
    unseen: str = ""
    """Why the columns' statistics are missing; empty when they are there."""


@dataclass(frozen=True)
class Shape:
    """All tables of a database."""

    tables: Mapping[ObjectId, TableShape] = field(default_factory=dict)
    server_version: int = 0
    taken: str = ""
    """The day, in UTC: `2026-11-21`."""

    @property
    def stats(self) -> Stats:
        """The same as what a live server would have counted."""
        found = {t: RelationStats(-1 if s.rows is None else s.rows, s.bytes, analysed=s.rows is not None) for t, s in self.tables.items()}
        return Stats(found)

    @property
    def unseen(self) -> Mapping[ObjectId, str]:
        """Tables without statistics of their columns, and why."""
        return {t: s.unseen for t, s in self.tables.items() if s.unseen}


def collect(conn: Connection) -> Shape:
    """The shape of the database that `conn` is in, by three queries whatever its size. Raises PgcharterError."""
    from datetime import UTC, datetime

    from pgcharter.sources.live import reading

    with reading(conn) as shared:
        cursor = conn.cursor(row_factory=tuple_row)

        def rows(name: str) -> Iterator[tuple[Any, ...]]:
            yield from cursor.execute(query("pgcharter.migrate", "shape.sql", name, shared.major)).fetchall()

        relations, types = list(rows("relations")), list(rows("columns"))
        measured = {(schema, table, name, whole): tuple(rest) for schema, table, name, whole, *rest in rows("statistics")}
    columns: dict[tuple[str, str], dict[str, ColumnShape]] = {}
    partitioned = {row[:2] for row in relations if row[2] == "p"}
    for schema, table, name, kind in types:
        found = measured.get((schema, table, name, (schema, table) in partitioned))
        columns.setdefault((schema, table), {})[name] = _column(kind, found)
    tables = {ObjectId("table", r[0], r[1]): _table(r, columns.get(r[:2], {})) for r in relations}
    return Shape(tables, conn.info.server_version, f"{datetime.now(UTC):%Y-%m-%d}")


def _column(kind: str, found: tuple[Any, ...] | None) -> ColumnShape:
    if found is None:
        return ColumnShape(kind)
    nulls, distinct, width, correlation = found
    return ColumnShape(kind, round(nulls, 4), round(distinct, 4), width, None if correlation is None else round(correlation, 3))


def _table(row: tuple[Any, ...], columns: Mapping[str, ColumnShape]) -> TableShape:
    _, _, kind, estimate, live, size, indexes, readable, hidden = row
    counted = round(estimate) if estimate >= 0 else live or None
    known = any(c.width for c in columns.values())
    why = ""
    if counted is None:
        why = "it was never analysed"
    elif not known and columns and counted:
        why = "the role may not read its rows" if not readable or hidden else "it was never analysed"
    return TableShape(0 if kind == "p" else counted, size, indexes, columns, why)


def dumps(shape: Shape) -> str:
    """The shape as JSON with one line a table, so that two of them compare well."""
    head = json.dumps({"format": FORMAT, "version": VERSION, "server_version": shape.server_version, "taken": shape.taken})
    lines = [f"    {json.dumps(str(t))}: {json.dumps(_plain(s), ensure_ascii=False)}" for t, s in sorted(shape.tables.items())]
    return f'{head[:-1]},\n  "tables": {{\n' + ",\n".join(lines) + "\n  }\n}\n"


def _plain(table: TableShape) -> dict[str, Any]:
    made = asdict(table)
    made["columns"] = {name: {k: v for k, v in column.items() if v not in (None, "", 0)} for name, column in made["columns"].items()}
    return {k: v for k, v in made.items() if v not in ("", {}) or k == "rows"}


_LIMITS: Mapping[str, tuple[float, float]] = {
    "rows": (0, 2**48), "bytes": (0, 2**60), "index_bytes": (0, 2**60), "width": (0, 2**30), "server_version": (0, 2**31),
    "nulls": (0.0, 1.0), "distinct": (-1.0, 2.0**48), "correlation": (-1.0, 1.0),
}  # fmt: skip
"""The least and the most that a number can be; those of whole numbers are whole."""


def _possible(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same. Raises ValueError for a number that no database can have."""
    for name, (least, most) in _LIMITS.items():
        value = data.get(name, least)
        unknown = value is None and name in ("rows", "correlation")
        if not unknown and not (isinstance(value, int | type(least)) and least <= value <= most):
            raise ValueError(f"{name} is {value!r}")
    return data


def loads(text: str, place: str = "") -> Shape:
    """A shape read back. Raises UsageError when the text is none."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']!r}")
        if data["version"] > VERSION:
            raise UsageError("the shape was written by a newer pgcharter", place=place, hint="pip install --upgrade pgcharter")
        tables = {
            address(name): TableShape(
                **{**_possible(table), "columns": {n: ColumnShape(**_possible(c)) for n, c in table.get("columns", {}).items()}}
            )
            for name, table in data["tables"].items()
        }
        return Shape(tables, _possible(data)["server_version"], data.get("taken", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"this is no shape of a database: {error}", place=place, hint="pgcharter migrate shape --to shape.json") from None


def read(path: Path, shown: str = "") -> Shape:
    """The shape in a file. Raises UsageError when there is none."""
    from pgcharter.sources.text import read_text

    if not path.is_file():
        raise UsageError(f"there is no file {shown or path} with a shape", hint="pgcharter migrate shape --env production --to shape.json")
    return loads(read_text(path, shown or str(path)), shown or str(path))


def write(shape: Shape, path: Path) -> None:
    """Write a shape to a file. Raises PgcharterError when that cannot be done."""
    try:
        path.write_text(dumps(shape), encoding="utf-8")
    except OSError as error:
        raise PgcharterError(f"{path} cannot be written: {error.strerror}") from None
