"""Text as PostgreSQL writes it → Python values, and back, by type.

What Python holds without loss becomes int, float, Decimal, bool, datetime, date, time, UUID, bytes or, of arrays, lists of these. What it
does not (`infinity`, years BC or past 9999, 24:00, arrays that do not begin at 1) and every other type (json, interval, ranges, enums,
composites, inet, geometry, extensions') stays the text that PostgreSQL wrote, which is the same value again when it reads it. Text must
come from a session as `SESSION` sets it up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID, SafeUUID

SESSION: Mapping[str, str] = {
    "datestyle": "ISO, YMD", "intervalstyle": "postgres", "timezone": "UTC", "extra_float_digits": "3", "bytea_output": "hex",
}  # fmt: skip
"""Settings of a session whose text is read here."""
Load = Callable[[str], Any]
_NUMBER, _SAFE = (UUID.__dict__[name].__set__ for name in ("int", "is_safe"))
_MODIFIER = re.compile(r"\(-?\d+(?:,-?\d+)?\)")
_INTERVAL = re.compile(r"interval(?: [a-z ]+)?")
_BARE = {"character": "bpchar", "bit": "bit varying"}


def plain(type: str) -> str:  # noqa: A002
    """The type without length and precision, as a type that takes any: `numeric(12,2)[]` is `numeric[]`, `character(3)` is `bpchar`."""
    if type.endswith("[]"):
        return plain(type[:-2]) + "[]"
    bare = _MODIFIER.sub("", type) if '"' not in type else type
    if _INTERVAL.fullmatch(bare):
        return "interval"
    return _BARE.get(bare, bare)


@lru_cache(maxsize=4096)
def load(type: str) -> Load | None:  # noqa: A002
    """What makes a Python value of text of this type, as format_type writes it; None where the text is the value."""
    bare = plain(type)
    if bare.endswith("[]"):
        return _array(load(bare[:-2]), ";" if bare == "box[]" else ",")
    return _LOADS.get(bare)


def _float(text: str) -> float:
    return float(text)


def _timestamp(text: str) -> datetime | str:
    if len(text) > 32 or text[4:5] != "-" or text[-1] == "C":
        return text
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _timestamptz(text: str) -> datetime | str:
    found = _timestamp(text)
    if isinstance(found, str) or found.tzinfo is UTC:
        return found
    try:
        return found.astimezone(UTC)
    except OverflowError:
        return text


def _date(text: str) -> date | str:
    return date.fromisoformat(text) if len(text) == 10 and text[4] == "-" else text


def _time(text: str) -> time | str:
    try:
        return time.fromisoformat(text)
    except ValueError:
        return text


def _uuid(text: str) -> UUID:
    """As UUID(text), which looks at many things that PostgreSQL has seen to, in less than half the time."""
    if len(text) != 36:
        return UUID(text)  # a literal of the charter's, in another of the forms, or in none
    made = object.__new__(UUID)
    _NUMBER(made, int(text.replace("-", ""), 16))
    _SAFE(made, SafeUUID.unknown)
    return made


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


_LOADS: Mapping[str, Load] = {
    "boolean": frozenset(("t", "true")).__contains__, "smallint": int, "integer": int, "bigint": int, "oid": int,
    "real": _float, "double precision": _float,
    "numeric": Decimal, "date": _date, "time without time zone": _time, "time with time zone": _time,
    "timestamp without time zone": _timestamp, "timestamp with time zone": _timestamptz, "uuid": _uuid, "bytea": _bytes,
}  # fmt: skip


def _array(element: Load | None, comma: str) -> Load:
    def loaded(text: str) -> list[Any] | str:
        if not text.startswith("{"):
            return text
        if "{" not in text[1:] and '"' not in text and "\\" not in text:
            parts = text[1:-1].split(comma) if len(text) > 2 else []
            return [None if p == "NULL" else element(p) if element else p for p in parts]
        return _nested(text, element, comma)

    return loaded


def _nested(text: str, element: Load | None, comma: str) -> list[Any]:
    """An array that holds arrays, quotes or escapes."""
    token = re.compile(rf'"((?:[^"\\]|\\.)*)"|([{{}}{comma}])|((?:[^"\\{{}}{comma}]|\\.)+)', re.DOTALL)
    stack: list[list[Any]] = [[]]
    for quoted, mark, bare in token.findall(text):
        if mark == "{":
            stack.append([])
        elif mark == "}":
            done = stack.pop()
            stack[-1].append(done)
        elif not mark:
            stack[-1].append(_item(quoted, bare, element))
    return stack[0][0]  # type: ignore[no-any-return]


def _item(quoted: str, bare: str, element: Load | None) -> Any:
    if not quoted and bare == "NULL":
        return None
    item = re.sub(r"\\(.)", r"\1", bare or quoted, flags=re.DOTALL)
    return element(item) if element else item


def text(value: Any, comma: str = ",") -> str:
    """A value as PostgreSQL reads it; of a list an array, with `comma` between its items."""
    if isinstance(value, str):
        return value
    dump = _DUMPS.get(type(value))
    return dump(value) if dump is not None else _array_text(value, comma) if isinstance(value, list | tuple) else str(value)


def _array_text(value: list[Any] | tuple[Any, ...], comma: str) -> str:
    return "{" + comma.join(_quoted(v, comma) for v in value) + "}"


def _quoted(value: Any, comma: str) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return _array_text(value, comma)
    return '"' + text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text_of_time(value: datetime | time) -> str:
    return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()


_DUMPS: Mapping[type, Callable[[Any], str]] = {
    bool: lambda v: "t" if v else "f", int: str, float: repr, Decimal: str, datetime: _text_of_time, time: _text_of_time,
    date: date.isoformat, UUID: str, bytes: lambda v: "\\x" + v.hex(),
}  # fmt: skip


def hashable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """A key as one of a dictionary: arrays as text, and what is not a number equal to itself."""
    for value in key:
        if isinstance(value, list) or value != value:
            return tuple(text(v) if isinstance(v, list) or v != v else v for v in key)
    return key
