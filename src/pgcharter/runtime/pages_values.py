"""What the pages of SQL text and of SQLAlchemy share: rows with their places, and what a query is known by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    places: list[tuple[Value, ...]]


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


class Narrow:
    """A row factory of psycopg that shows another one only the first columns, and gives the rest as text beside what that makes."""

    def __init__(self, factory: Any, places: int, hidden: int) -> None:
        self._factory, self._places, self._hidden = factory, places, hidden

    def __call__(self, cursor: Any) -> Callable[[Sequence[Any]], tuple[Any, tuple[Value, ...]]]:
        """What makes one row."""
        shown = cursor.pgresult.nfields - self._hidden
        end = shown + self._places
        if self._factory is tuple_row:
            return lambda values: (tuple(values[:shown]), tuple(values[shown:end]))
        make = self._factory(_Shown(cursor, shown))
        return lambda values: (make(values[:shown]), tuple(values[shown:end]))


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
