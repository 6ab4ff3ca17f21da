"""What the pages of SQL text and of SQLAlchemy share: rows with their places, and what a query is known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

from psycopg.rows import tuple_row

from pgcharter.errors import UsageError
from pgcharter.runtime.cursors import Value


@dataclass(frozen=True, slots=True)
class Found:
    """Rows in the order they were asked for, and the place of each."""

    items: list[Any]
    rows: Sequence[Any]
    """The same with the values of the order behind."""
    places: slice
    """Where those stand."""

    def place(self, at: int) -> tuple[Value, ...]:
        """Where a row stands in the order."""
        return tuple(self.rows[at][self.places])


def fingerprint(*parts: Any) -> bytes:
    """What a query is known by, the same in every process. Raises UsageError for a value that has no such thing."""
    return sha256("\0".join(map(_told, parts)).encode(errors="surrogatepass")).digest()


def _told(value: Any) -> str:
    if isinstance(value, str):
        return f"s{len(value)}:{value}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_told(k)}={_told(value[k])}" for k in sorted(value, key=str)) + "}"
    if isinstance(value, set | frozenset):
        return "<" + ",".join(sorted(map(_told, value))) + ">"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_told, value)) + "]"
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if getattr(type(value), "__repr__", None) is getattr(object, "__repr__", None):
        raise UsageError(
            f"a parameter is a {type(value).__qualname__}, which reads differently in every process, so no cursor can be bound to it",
            hint="pass what the driver sends for it, or give the class a __repr__ that tells its value",
        )
    return f"{type(value).__qualname__}({value!r})"


def narrowed(rows: list[Any], cursor: Any, factory: Any, shown: int) -> list[Any]:
    """What a row factory of psycopg makes of tuples' first columns."""
    if factory is tuple_row:
        return [row[:shown] for row in rows]
    make = factory(_Shown(cursor, shown))
    return [make(row[:shown]) for row in rows]


class _Shown:
    """A cursor, or its result, that has fewer columns."""

    def __init__(self, whole: Any, columns: int) -> None:
        self._whole, self.nfields = whole, columns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    @property
    def pgresult(self) -> _Shown:
        return _Shown(self._whole.pgresult, self.nfields)

    @property
    def description(self) -> Any:
        return self._whole.description[: self.nfields]
