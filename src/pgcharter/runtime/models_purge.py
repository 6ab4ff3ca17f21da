"""Really deleting what was deleted long ago, in batches, without taking anything along that is still wanted.

    while purge(conn, "app.orders", timedelta(days=30)):
        conn.commit()

A row stays as long as something refers to it that its deletion would break or take along: rows under a key without ON DELETE, and under
ON DELETE CASCADE those that are alive, or not yet due themselves. So children are purged before their parents: name their tables first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pgcharter.db import queries
from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import UsageError
from pgcharter.names import address, quote

_DUE = "(SELECT %(before)s::timestamptz)"


@dataclass(frozen=True, slots=True)
class _Reference:
    """One foreign key, and whether the rows that it belongs to are marked when they are deleted."""

    to: int
    of: int
    table: str
    action: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    marked: bool


@dataclass
class _Conditions:
    """What keeps a row from being purged."""

    references: Sequence[_Reference]
    column: str
    count: int = field(default=0)

    def of(self, alias: str, table: int, path: tuple[int, ...]) -> list[str]:
        """Conditions under which nothing keeps a row of `table`; `path` are the tables whose rows would go with it."""
        return [made for r in self.references if r.to == table and (made := self._free(alias, r, path))]

    def _free(self, alias: str, reference: _Reference, path: tuple[int, ...]) -> str:
        if reference.action in ("n", "d"):
            return ""
        self.count += 1
        child = f"r{self.count}"
        tied = " AND ".join(f"{child}.{_name(c)} = {alias}.{_name(k)}" for c, k in zip(reference.columns, reference.keys, strict=True))
        if reference.action != "c" or reference.of in path:  # in a circle from the leaves, as there is no end to what would go along
            return f"NOT EXISTS (SELECT FROM {reference.table} {child} WHERE {tied})"
        kept = [f"{child}.{self.column} IS NULL OR {child}.{self.column} >= {_DUE}"] if reference.marked else []
        kept += [f"NOT ({free})" for free in self.of(child, reference.of, (*path, reference.of))]
        return f"NOT EXISTS (SELECT FROM {reference.table} {child} WHERE {tied} AND ({' OR '.join(kept)}))" if kept else ""


@flow
def purge(table: str | type, before: datetime | timedelta, *, limit: int = 1000, column: str = "deleted_at") -> Steps[int]:
    """Delete at most `limit` rows of a table ("app.orders", or a mapped class) that were marked as deleted before a time, or so long ago;
    the longest deleted first. How many: 0 when no row is due any more, or none that nothing keeps.

    Rows that somebody has locked are passed over. Raises UsageError for a time without zone, and for a table without primary key.
    """
    at = _address(table)
    if isinstance(before, datetime) and before.tzinfo is None:
        raise UsageError("the time before which rows are purged has no zone", hint="datetime.now(UTC) - timedelta(days=30)")
    if isinstance(before, timedelta):
        before = (yield Query("SELECT now() - %s::interval", (before,)))[0][0]
    key = (yield _query("key", at, column))[0][0]
    if not key:
        raise UsageError(f"{at} has no primary key, so its rows cannot be purged in batches", hint=f"ALTER TABLE {at} ADD PRIMARY KEY (…)")
    rows = yield _query("references", at, column)
    root = (yield Query("SELECT %s::regclass::oid::int8", (at,)))[0][0]
    found = [_Reference(r[0], r[1], _escaped(f"{quote(r[2])}.{quote(r[3])}"), r[4], tuple(r[5]), tuple(r[6]), r[7]) for r in rows]
    free = _Conditions(found, _name(column)).of("due", root, (root,))
    done = yield Query(_statement(_escaped(at), [_name(k) for k in key], _name(column), free), {"before": before, "limit": limit})
    return int(done[0][0])


def _statement(at: str, key: Sequence[str], column: str, free: Sequence[str]) -> str:
    conditions = " AND ".join((f"due.{column} < {_DUE}", *free))
    columns = ", ".join(f"due.{k}" for k in key)
    same = " AND ".join(f"purged.{k} = found.{k}" for k in key)
    return (
        f"WITH found AS MATERIALIZED (SELECT {columns} FROM {at} due WHERE {conditions} ORDER BY due.{column} LIMIT %(limit)s"
        f" FOR UPDATE SKIP LOCKED), gone AS (DELETE FROM {at} purged USING found WHERE {same} RETURNING 1) SELECT count(*) FROM gone"
    )


def _query(name: str, at: str, column: str) -> Query:
    return Query(queries.load("pgcharter.runtime", "models_purge.sql")[name], {"table": at, "column": column})


def _address(table: Any) -> str:
    mapped = getattr(table, "__table__", None)
    if mapped is not None:
        return f"{quote(mapped.schema)}.{quote(mapped.name)}" if mapped.schema else quote(mapped.name)
    try:
        return address(f"table {table}").sql()
    except ValueError as error:
        raise UsageError(str(error), hint="schema.table, quoted as in SQL where needed, or a mapped class") from None


def _name(name: str) -> str:
    return _escaped(quote(name))


def _escaped(sql: str) -> str:
    return sql.replace("%", "%%")
