"""Filters as data: from keywords, dictionaries or the JSON of a request; checked against the fields there are, for SQL and Python alike.

    {"state": "open", "total": {"ge": 10, "lt": 100}, "customer.city__in": ["Bonn", "Ulm"]}
    {"$any": [{"total__ge": 1000}, {"state": "late"}], "$not": {"tags": {"contains": ["test"]}}}

    ORDERS = Filters(Order, allow={"state": ["eq", "in"], "total": ["ge", "le"]})     # what a request may ask for
    repository.list(ORDERS.read(await request.json()))

A comparison with NULL is neither true nor false, here as in SQL: `ne` does not find NULLs, `is_null` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from pgcharter.errors import UsageError

MOST = 50
"""Most comparisons that a request may make."""
Kind = Literal["text", "ordered", "plain", "array", "range", "json", "opaque"]
_COMMON, _ORDERED = ("eq", "ne", "in", "not_in", "is_null"), ("lt", "le", "gt", "ge", "between")
OPERATORS: dict[Kind, tuple[str, ...]] = {
    "text": (*_COMMON, *_ORDERED, "like", "ilike", "starts", "ends", "contains"),
    "ordered": (*_COMMON, *_ORDERED),
    "plain": _COMMON,
    "array": ("eq", "ne", "is_null", "contains", "contained", "overlaps", "has"),
    "range": ("eq", "ne", "is_null", "contains", "contained", "overlaps", "has"),
    "json": ("is_null", "contains", "has_key"),
    "opaque": ("is_null",),
}
"""What can be asked of each kind of column. `contains`: a text within the text, else all of what is given; `has`: one element."""
_GROUPS = {"$all": "all", "$any": "any", "$not": "not"}


class FilterError(UsageError):
    """A filter asks for what there is not; in an answer to a request it is the client's fault (400)."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that can be asked for."""

    name: str
    kind: Kind
    read: Callable[[Any], Any]
    """Makes a value of the column's type of one that came from a request. Raises ValueError or TypeError."""
    element: Callable[[Any], Any]
    """The same for an element of an array or range."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a field, by its name or path, with a value."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    """All of them hold, any does, or not all do."""

    kind: Literal["all", "any", "not"]
    parts: tuple[Comparison | Group, ...]


Where = Comparison | Group


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads filters against fields."""

    of: str
    """Whose fields they are, for messages."""
    find: Callable[[str], Field | None]
    names: Callable[[], Iterable[str]]
    allowed: Mapping[str, Sequence[str]] | None = None
    most: int | None = None

    def read(self, given: Mapping[str, Any] | str | bytes) -> Group:
        """What a mapping, or the JSON of one, asks for. Raises FilterError."""
        if isinstance(given, str | bytes):
            try:
                given = json.loads(given)
            except ValueError as error:
                raise FilterError(f"the filter is no JSON: {error}") from None
        left = [self.most if self.most is not None else -1]
        return Group("all", tuple(self._mapping(given, left)))

    def _mapping(self, given: Any, left: list[int]) -> Iterable[Where]:
        if not isinstance(given, Mapping):
            raise FilterError(f"a filter is a mapping of fields to values, and this is a {type(given).__name__}")
        for key, value in given.items():
            if key in _GROUPS:
                parts = value if isinstance(value, list | tuple) and key != "$not" else [value]
                inside = tuple(Group("all", tuple(self._mapping(part, left))) for part in parts)
                yield Group(_GROUPS[key], inside)  # type: ignore[arg-type]
                continue
            name, _, operator = str(key).partition("__")
            field = self._field(name)
            asked = self._asked(field, operator, value)
            left[0] -= len(asked)
            if left[0] < 0 and self.most is not None:
                raise FilterError(f"the filter makes more than {self.most} comparisons")
            yield from (self._test(name, field, word, wanted) for word, wanted in asked.items())

    def _field(self, name: str) -> Field:
        field = self.find(name) if self.allowed is None or name in self.allowed else None
        if field is None:
            raise FilterError(unknown(f"{self.of} has no field", name, self.allowed if self.allowed is not None else self.names()))
        return field

    def _asked(self, field: Field, operator: str, value: Any) -> Mapping[str, Any]:
        if operator:
            return {operator: value}
        if isinstance(value, Mapping) and (field.kind != "json" or set(value) <= set(OPERATORS["json"])):
            return {str(word): wanted for word, wanted in value.items()}
        if value is None:
            return {"is_null": True}
        return {"eq": value}

    def _test(self, name: str, field: Field, operator: str, value: Any) -> Comparison:
        known = OPERATORS[field.kind]
        usable = known if self.allowed is None else [word for word in known if word in self.allowed[name]]
        if operator not in usable:
            raise FilterError(unknown(f"{self.of}.{name} cannot be asked with", operator, usable))
        if operator in ("eq", "ne") and value is None:
            return Comparison(name, "is_null", operator == "eq")
        try:
            return Comparison(name, operator, _value(field, operator, value))
        except (ValueError, TypeError, ArithmeticError) as error:
            raise FilterError(f"{self.of}.{name} {operator}: {error}") from None


def _value(field: Field, operator: str, value: Any) -> Any:
    if operator == "is_null":
        return _flag(value)
    if operator in ("in", "not_in", "between"):
        values = value.split(",") if isinstance(value, str) else value
        if isinstance(values, Mapping) or not isinstance(values, Iterable):
            raise TypeError(f"a list is wanted, and this is a {type(value).__name__}")
        read = [_some(field.read, one) for one in values]
        if operator == "between" and len(read) != 2:
            raise ValueError(f"two bounds are wanted, and these are {len(read)}")
        return tuple(read)
    if operator in ("like", "ilike") and isinstance(value, str) and (len(value) - len(value.rstrip("\\"))) % 2:
        raise ValueError("the pattern ends with the escape character")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a NUL character is in it, which no text of PostgreSQL has")
    if field.kind == "json":
        return value
    return _some(field.element if operator == "has" else field.read, value)


def _some(read: Callable[[Any], Any], value: Any) -> Any:
    if value is None:
        raise ValueError("None compares with nothing; is_null asks for it")
    return read(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "1", "false", "0"):
        return str(value).lower() in ("true", "1")
    raise ValueError(f"true or false is wanted, and this is {value!r}")


def unknown(what: str, name: str, there: Iterable[str]) -> str:
    """The sentence for a name that is not there: which one is near, and what there is."""
    known = list(there)
    close = get_close_matches(name, known, 1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"{what} {name!r}{meant}; there {'is' if len(known) == 1 else 'are'} {', '.join(sorted(known)) or 'none'}"
