"""Filters as PostgreSQL would judge them, over objects in memory: with NULLs that make a comparison neither true nor false.

Texts are ordered by code point, as in collation C, and letters are folded as Python folds them; a database in another collation may
see both otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pgcharter.runtime.filters import Comparison, Where

Truth = bool | None
"""None: unknown, as NULL."""


def holds(where: Where, item: Any) -> Truth:
    """Whether a filter holds for an object."""
    if isinstance(where, Comparison):
        *through, name = where.field.split(".")
        if through:
            return any(_compared(where, getattr(one, name)) for one in _reached(item, through))
        return _compared(where, getattr(item, name))
    truths = [holds(part, item) for part in where.parts]
    if where.kind == "any":
        return True if True in truths else None if None in truths else False
    every = False if False in truths else None if None in truths else True
    if where.kind == "not":
        return None if every is None else not every
    return every


def _reached(item: Any, path: Sequence[str]) -> Iterable[Any]:
    there = [item]
    for name in path:
        there = [one for each in there for one in _several(getattr(each, name))]
    return there


def _several(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list | set | tuple) else (value,)


def key(value: Any) -> Any:
    """What a value is ordered and told apart by: NaN is the greatest number and equal to itself."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, float) or type(value).__name__ == "Decimal":
        return (1, 0) if math.isnan(value) else (0, value)
    return (0, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _compared(test: Comparison, value: Any) -> Truth:
    if test.operator == "is_null":
        return (value is None) is test.value
    if value is None:
        return False if test.operator == "in" and not test.value else True if test.operator == "not_in" and not test.value else None
    return _TESTS[test.operator](value, test.value)


def _between(value: Any, bounds: tuple[Any, Any]) -> bool:
    return bool(key(bounds[0]) <= key(value) <= key(bounds[1]))


def _like(pattern: str, flags: int = 0) -> re.Pattern[str]:
    parts, escaped = [], False
    for letter in pattern:
        if escaped or letter not in "\\%_":
            parts.append(re.escape(letter))
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append(".*" if letter == "%" else ".")
    return re.compile("".join(parts), re.DOTALL | flags)


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return wanted in value
    if hasattr(value, "contains"):
        return bool(value.contains(wanted))
    if isinstance(value, list) and isinstance(wanted, list | tuple) and not any(isinstance(v, dict | list) for v in (*value, *wanted)):
        return all(one is not None and one in value for one in wanted)
    return json_contains(value, wanted)


def json_contains(value: Any, wanted: Any) -> bool:
    """jsonb's @>."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(name in value and _inside(value[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list | tuple):
        return isinstance(value, list) and all(any(_inside(one, other) for one in value) for other in wanted)
    if isinstance(value, list):  # an array contains a bare value, at the outermost level alone
        return any(_inside(one, wanted) for one in value)
    return _inside(value, wanted)


def _inside(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping | list | tuple):
        return json_contains(value, wanted)
    return not isinstance(value, Mapping | list) and value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _has_key(value: Any, wanted: str) -> bool:
    return wanted in value if isinstance(value, Mapping | list) else value == wanted


def _overlaps(value: Any, wanted: Any) -> bool:
    return bool(value.overlaps(wanted)) if hasattr(value, "overlaps") else any(one is not None and one in value for one in wanted)


def _contained(value: Any, wanted: Any) -> bool:
    return bool(wanted.contains(value)) if hasattr(wanted, "contains") else all(one is not None and one in wanted for one in value)


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: key(value) == key(wanted),
    "ne": lambda value, wanted: key(value) != key(wanted),
    "lt": lambda value, wanted: key(value) < key(wanted),
    "le": lambda value, wanted: key(value) <= key(wanted),
    "gt": lambda value, wanted: key(value) > key(wanted),
    "ge": lambda value, wanted: key(value) >= key(wanted),
    "in": lambda value, wanted: key(value) in [key(one) for one in wanted],
    "not_in": lambda value, wanted: key(value) not in [key(one) for one in wanted],
    "between": _between,
    "like": lambda value, pattern: _like(pattern).fullmatch(value) is not None,
    "ilike": lambda value, pattern: _like(pattern, re.IGNORECASE).fullmatch(value) is not None,
    "starts": lambda value, text: value.startswith(text),
    "ends": lambda value, text: value.endswith(text),
    "contains": _contains,
    "contained": _contained,
    "overlaps": _overlaps,
    "has": lambda value, element: _contains(value, element) if hasattr(value, "contains") else element in value,
    "has_key": _has_key,
}
