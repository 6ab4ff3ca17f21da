"""Large tables that are read from one end to the other again and again, with the statements that may do it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgcharter.db import Connection
from pgcharter.errors import PgcharterError
from pgcharter.names import ObjectId
from pgcharter.watch.workload import Use
from pgcharter.watch.workload_read import query

ROWS = 10_000
"""Rows from which a table is large."""
SCANS = 20
"""Scans from which they are told: a dump, or building an index, is one or two."""
NAMED = 3
"""Statements that are named for one table."""


@dataclass(frozen=True)
class Scan:
    """One table, as it was read since the counters began."""

    table: ObjectId
    rows: int
    bytes: int
    scans: int
    rows_read: int
    """By those scans."""
    index_scans: int
    since: datetime | None
    """When counting began; None: with the database, or after a crash."""
    statements: tuple[Use, ...] = ()
    """Those that name it and touch at least half as much in a call as it is large, the most time first."""


def scans(conn: Connection, uses: Iterable[Use]) -> list[Scan]:
    """Tables that are read whole, the most rows first, with what may do that. Raises psycopg.Error."""
    rows = conn.execute(query("scans"), {"rows": ROWS, "scans": SCANS}).fetchall()
    named = [(u, tables(u.text)) for u in uses] if rows else []
    return [_scan(row, named) for row in rows]


def _scan(row: tuple[Any, ...], named: Iterable[tuple[Use, frozenset[tuple[str, str]]]]) -> Scan:
    schema, name, rows, size, often, rows_read, index_scans, since = row
    mine = [u for u, names in named if (schema, name) in names or ("", name) in names]
    dear = sorted((u for u in mine if 2 * _touched(u) >= size), key=lambda u: -u.counters.execution_ms)
    return Scan(ObjectId("table", schema, name), rows, size, often, rows_read, index_scans, since, tuple(dear[:NAMED]))


def _touched(use: Use) -> float:
    """Bytes that one call touches, of all tables and indexes together."""
    return 8192 * (use.counters.blocks_hit + use.counters.blocks_read) / max(use.counters.calls, 1)


def tables(text: str) -> frozenset[tuple[str, str]]:
    """Schema (empty where it is not written) and name of what a statement names in FROM and the like; empty where it cannot be read."""
    from pgcharter.sqltext import parse, walk

    try:
        parsed = parse(text, "statement")
    except PgcharterError:
        return frozenset()
    found = (m for s in parsed.statements for kind, m in walk(s.node) if kind == "RangeVar")
    return frozenset((m.schemaname, m.relname) for m in found)
