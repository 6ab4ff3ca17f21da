"""Watched tables: which of them a transaction has written is asked in the message that commits it, and told to hooks after that.

What a session has counted of a table (`pg_stat_get_xact_tuples_inserted` and its like) still holds what its earlier transactions have done
within the last second, and what was rolled back to a savepoint: a hook may be told of more than was written, never of less. TRUNCATE counts
no rows and gives the table a new file, so the file's number is compared with what the connection has seen last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.names import literal

Told = Callable[[frozenset[str]], Any]
_DONE = " + ".join(f"pg_stat_get_xact_tuples_{done}(t.relid)" for done in ("inserted", "updated", "deleted"))


@dataclass(frozen=True, slots=True)
class Watch:
    """A hook, and the tables that it is told about."""

    tables: frozenset[str]
    hook: Told


def watched(tables: Iterable[str], hook: Told) -> Watch:
    """Raises UsageError for what names no table."""
    if isinstance(tables, str):
        raise UsageError(f"tables is the text {tables!r}, and must be names of tables", hint=f"db.watch([{tables!r}], hook)")
    names = frozenset(tables)
    for name in names:
        if not isinstance(name, str) or "." not in name or "\0" in name:
            raise UsageError(f"{name!r} is no name of a table", hint="write schema.table, quoted as in SQL where it needs quotes")
    return Watch(names, hook)


def query(names: tuple[str, ...]) -> str:
    """One row: whether the server counts, then of each table whether rows were written, a space, and the numbers of its files."""
    return "SELECT " + ", ".join(("current_setting('track_counts')", *map(_column, names)))


def _column(name: str) -> str:
    files = "coalesce(string_agg(pg_relation_filenode(t.relid)::text, ',' ORDER BY t.relid), '')"
    found = f"to_regclass({literal(name)})"
    all_ = f"SELECT {found} AS relid UNION ALL SELECT relid FROM pg_partition_tree({found})"
    return f"(SELECT coalesce(bool_or({_DONE} > 0), false)::int || ' ' || {files} FROM ({all_}) t)"


def written(names: tuple[str, ...], row: tuple[bytes | None, ...], conn: Any) -> frozenset[str]:
    """Which tables were written, of a row of `query`; all of them where nobody can tell. What the connection has seen is taken down."""
    before, conn.files = conn.files, row[1:]
    if not row or row[0] != b"on" or len(before) != len(names):
        return frozenset(names)
    return frozenset(
        name for name, old, new in zip(names, before, row[1:], strict=True) if new is None or new[:1] == b"1" or new[2:] != old[2:]
    )
