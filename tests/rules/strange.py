"""Names that are hard to write: everything in a database gets a double quote, a space, capitals and up to 63 bytes beyond ASCII."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.model import Catalog, Table
from pgcharter.names import MAX_BYTES, cut, quote

if TYPE_CHECKING:
    from pgcharter.db import Connection


def make(conn: Connection, catalog: Catalog, keep: Collection[str], *, columns: bool) -> None:
    """Rename tables, views, sequences, and what belongs to tables, but not the columns in `keep`, or none; what cannot be renamed stays."""
    for table in catalog.tables:
        if not table.extension:
            for statement in _parts(table, keep if columns else table.column):
                _try(conn, statement)
    for view in catalog.views:
        _try(conn, f"ALTER {view.kind.upper()} {view.id.sql()} RENAME TO {quote(short(view.name))}")
    for sequence in catalog.sequences:
        _try(conn, f"ALTER SEQUENCE {sequence.id.sql()} RENAME TO {quote(short(sequence.name))}")


def _parts(table: Table, keep: Collection[str]) -> Iterator[str]:
    alter = f"ALTER {'FOREIGN ' if table.kind == 'foreign table' else ''}TABLE {table.id.sql()}"
    own = {c.name for c in table.constraints}
    for column in table.columns:
        if column.name not in keep:
            yield f"{alter} RENAME COLUMN {quote(column.name)} TO {quote(short(column.name))}"
    for constraint in table.constraints:
        yield f"{alter} RENAME CONSTRAINT {quote(constraint.name)} TO {quote(long(constraint.name))}"
    for index in table.indexes:
        if index.name not in own:
            yield f"ALTER INDEX {index.id.sql()} RENAME TO {quote(long(index.name))}"
    for kind, parts in (("POLICY", table.policies), ("TRIGGER", table.triggers)):
        for part in parts:
            yield f"ALTER {kind} {quote(part.name)} ON {table.id.sql()} RENAME TO {quote(long(part.name))}"
    yield f"{alter} RENAME TO {quote(long(table.name))}"


def short(name: str) -> str:
    """The name with what must be quoted behind it."""
    return cut(f'{name} "Ä')


def long(name: str) -> str:
    """The name filled up to as many bytes as PostgreSQL keeps."""
    start = f'{name} "select" É'
    return cut(start + "ü" * MAX_BYTES)


def _try(conn: Connection, sql: str) -> None:
    try:
        conn.execute(sql.encode())
    except psycopg.Error:
        return
