"""Optimistic locking: a version that every change counts up, and an error that says which version was expected and which was found.

    class Order(Versioned, Base): …

    UPDATE app.orders SET …, version = 4 WHERE id = 7 AND version = 3     -- no row: StaleVersionError(expected=3, found=5)

Sessions of `models_session` raise it in the place of SQLAlchemy's StaleDataError, and count up in `update(Order)` too. In plain psycopg it
is `update_versioned`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgcharter.db.flows import Batch, Query, Steps, flow
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import address, quote


@dataclass(frozen=True, slots=True)
class Conflict:
    """One row that is not as it was read."""

    table: str
    """Schema and name, as SQL."""
    key: tuple[Any, ...]
    """Values of its primary key."""
    expected: int
    """The version that the change was made on."""
    found: int | None
    """The version that is there, asked in a new statement after the change had failed; None: the row is gone."""

    def __str__(self) -> str:
        key = ", ".join(map(str, self.key))
        there = "is gone" if self.found is None else f"has version {self.found}"
        return f"row {key} of {self.table} {there}, and the change was made on version {self.expected}"


class StaleVersionError(PgcharterError):
    """Somebody else changed or deleted a row since it was read; nothing of the change was kept."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        first = conflicts[0]
        more = f" (and {len(conflicts) - 1:,} rows more)" if len(conflicts) > 1 else ""
        super().__init__(f"{first}{more}", hint="read it again, and decide on what is there now")
        self.conflicts = tuple(conflicts)
        """All of them, where a statement or flush was about several rows."""
        self.table, self.key, self.expected, self.found = first.table, first.key, first.expected, first.found


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one row, made on a version of it."""

    key: Mapping[str, Any]
    """Its key, by column."""
    values: Mapping[str, Any]
    """New values, by column."""
    expected: int


@flow
def update_versioned(
    table: str, key: Mapping[str, Any], values: Mapping[str, Any], expected: int, *, column: str = "version"
) -> Steps[int]:
    """UPDATE a row of `table` ("app.orders") if it still has the version that was read; the new version.

    Raises StaleVersionError otherwise, and UsageError for values that name the version or no column at all.
    """
    change = Change(key, values, expected)
    rows = yield _update(table, change, column)
    if not rows:
        raise StaleVersionError((yield from _asked(table, [change], column)))
    return int(rows[0][0])


@flow
def update_versioned_rows(table: str, changes: Iterable[Change], *, column: str = "version") -> Steps[list[int]]:
    """The same for many rows in one round trip; their new versions. Raises StaleVersionError that names all rows which are not as expected:
    the others are changed in the transaction then, which is to be rolled back."""
    wanted = list(changes)
    found = (yield Batch(tuple(_update(table, change, column) for change in wanted))) if wanted else []
    stale = [change for change, rows in zip(wanted, found, strict=True) if not rows]
    if stale:
        raise StaleVersionError((yield from _asked(table, stale, column)))
    return [int(rows[0][0]) for rows in found]


def _at(table: str) -> str:
    try:
        return address(f"table {table}").sql()
    except ValueError as error:
        raise UsageError(str(error), hint="schema.table, quoted as in SQL where needed") from None


def _row(key: Mapping[str, Any]) -> str:
    if not key:
        raise UsageError("a row is to be changed and no key says which", hint='{"id": 7}')
    return " AND ".join(f"{_escaped(name)} = %s" for name in key)


def _escaped(name: str) -> str:
    return quote(name).replace("%", "%%")


def _update(table: str, change: Change, column: str) -> Query:
    if not change.values or column in change.values:
        what = f"{column}, which is counted" if change.values else "no column"
        raise UsageError(f"a change of {table} names {what}", hint='{"state": "paid"}')
    sets = ", ".join(f"{_escaped(name)} = %s" for name in change.values)
    version = _escaped(column)
    sql = (
        f"UPDATE {_at(table).replace('%', '%%')} SET {sets}, {version} = {version} + 1 "
        f"WHERE {_row(change.key)} AND {version} = %s RETURNING {version}"
    )
    return Query(sql, (*change.values.values(), *change.key.values(), change.expected))


def _asked(table: str, stale: Sequence[Change], column: str) -> Steps[list[Conflict]]:
    """What is there, in statements of their own: at READ COMMITTED they see what the other one has committed."""
    at = _at(table)
    ask = (Query(f"SELECT {_escaped(column)} FROM {at.replace('%', '%%')} WHERE {_row(c.key)}", tuple(c.key.values())) for c in stale)
    found = yield Batch(tuple(ask))
    return [Conflict(at, tuple(c.key.values()), c.expected, rows[0][0] if rows else None) for c, rows in zip(stale, found, strict=True)]
