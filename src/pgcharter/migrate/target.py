"""The table of a backfill with its key, as the SQL of its batches; and how far a backfill has come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgcharter.names import literal, quote

Key = tuple[str, ...]
"""The values of the key's columns as text that its types read back whatever the session's settings."""
_DATES = re.compile(r"(?:date|time(?:stamp)?(?:\(\d\))? with(?:out)? time zone)\Z")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a backfill has come: what its checkpoint says."""

    stage: str = "rows"
    after: Key | None = None
    """The last key that was done; None before the first."""
    upper: Key | None = None
    """The highest key at the start of the stage; None for an empty table."""
    seen: int = 0
    """Rows passed."""
    rows: int = 0
    """Rows changed."""
    size: int = 0
    """Rows of the next batch."""


@dataclass(frozen=True, slots=True)
class Target:
    """The table with its key, as SQL."""

    oid: int
    name: str
    total: int | None
    columns: tuple[str, ...]
    types: tuple[str, ...]
    assignments: str
    condition: str
    """Empty when every row is to be done."""

    @property
    def key(self) -> str:
        """The key as a row: `(a, b)`, or `a`."""
        named = [f"{self.name}.{quote(column)}" for column in self.columns]
        return f"({', '.join(named)})" if len(named) > 1 else named[0]

    def order(self, way: str) -> str:
        """ORDER BY along the key."""
        return ", ".join(f"{self.name}.{quote(column)} {way}" for column in self.columns)

    @property
    def texts(self) -> str:
        """The key's columns as text; dates in ISO form, which no DateStyle misreads."""
        pairs = zip(self.columns, self.types, strict=True)
        return ", ".join(_as_text(f"{self.name}.{quote(column)}", kind) for column, kind in pairs)

    def values(self, key: Key) -> str:
        """A key as SQL."""
        cast = [f"{literal(value)}::{kind}" for value, kind in zip(key, self.types, strict=True)]
        return f"({', '.join(cast)})" if len(cast) > 1 else cast[0]

    def within(self, after: Key | None, upper: Key | None) -> str:
        """The rows above one key and up to another."""
        low = f"{self.key} > {self.values(after)}" if after is not None else ""
        high = f"{self.key} <= {self.values(upper)}" if upper is not None else ""
        return " AND ".join(part for part in (low, high) if part) or "true"

    def highest(self, after: Key | None) -> str:
        """The highest key above another."""
        return f"SELECT {self.texts} FROM {self.name} WHERE {self.within(after, None)} ORDER BY {self.order('DESC')} LIMIT 1"

    def reach(self, position: Position) -> str:
        """The key that ends the next batch."""
        return (
            f"SELECT {self.texts} FROM {self.name} WHERE {self.within(position.after, position.upper)}"
            f" ORDER BY {self.order('ASC')} OFFSET {position.size - 1} LIMIT 1"
        )

    def rest(self, position: Position) -> str:
        """How many rows are left, where they are fewer than a batch."""
        return f"SELECT count(*) FROM {self.name} WHERE {self.within(position.after, position.upper)}"

    def batch(self, after: Key | None, last: Key | None) -> str:
        """The UPDATE of one batch."""
        where = self.within(after, last) + (f" AND ({self.condition}\n)" if self.condition else "")
        return f"UPDATE {self.name} SET {self.assignments}\nWHERE {where}"

    def sweep(self, size: int) -> str:
        """The UPDATE of rows that meet the condition, wherever they are."""
        found = f"SELECT {self.key} FROM {self.name} WHERE ({self.condition}\n) LIMIT {size}"
        inner = found.replace(f"SELECT {self.key}", f"SELECT {self.key[1:-1] if len(self.columns) > 1 else self.key}", 1)
        return f"UPDATE {self.name} SET {self.assignments}\nWHERE {self.key} IN ({inner}) AND ({self.condition}\n)"


def _as_text(column: str, kind: str) -> str:
    return f"pg_catalog.to_jsonb({column}) #>> '{{}}'" if _DATES.match(kind) else f"{column}::text"
