"""Answers as JSON that keeps what JSON has no word for: what comes back equals what went in, types included.

Plain values are plain JSON. Anything else is `{"$": kind, "v": …}`: uuid, decimal, bytes, times, tuples, dictionaries whose keys are no
texts, and by their names the dataclasses, enums and pydantic models that a key declares.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import math
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from pgcharter.errors import UsageError

_PLAIN = (str, int, bool, type(None))
_KINDS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "uuid": (uuid.UUID, str, uuid.UUID),
    "decimal": (Decimal, str, Decimal),
    "bytes": (bytes, lambda v: base64.b64encode(v).decode(), base64.b64decode),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "interval": (
        datetime.timedelta,
        lambda v: f"{v.days} {v.seconds} {v.microseconds}",
        lambda t: datetime.timedelta(*map(int, t.split())),
    ),
    "float": (float, repr, float),
}
_ENCODERS = [json.JSONEncoder(separators=(",", ":"), sort_keys=ordered, allow_nan=False) for ordered in (False, True)]
_BY_TYPE = {kind: (name, write) for name, (kind, write, _) in _KINDS.items()}


def encode(value: Any, answers: type | None = None, *, ordered: bool = False) -> str:
    """A value as JSON in ASCII; with `ordered`, equal values give equal texts. Raises UsageError for what cannot be kept."""
    known = _known(answers)
    try:
        return _ENCODERS[ordered].encode(_written(value, known))
    except (RecursionError, ValueError) as error:
        raise UsageError(f"a {type(value).__name__} cannot be kept as JSON: {error}") from None


def decode(text: str, answers: type | None = None) -> Any:
    """The value again. Raises UsageError where it holds something of a class that `answers` does not lead to (any more)."""
    return _read(json.loads(text), _known(answers))


def _written(value: Any, known: Mapping[str, type]) -> Any:
    kind = type(value)
    if kind in _PLAIN or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [_written(v, known) for v in value]
    if kind is dict:
        if all(type(k) is str for k in value) and "$" not in value:
            return {k: _written(v, known) for k, v in value.items()}
        return {"$": "dict", "v": [[_written(k, known), _written(v, known)] for k, v in value.items()]}
    if kind is tuple:
        return {"$": "tuple", "v": [_written(v, known) for v in value]}
    if kind in _BY_TYPE:
        name, write = _BY_TYPE[kind]
        return {"$": name, "v": write(value)}
    if known.get(kind.__qualname__) is kind:
        return {"$": f"class {kind.__qualname__}", "v": _parts(value, known)}
    raise UsageError(
        f"a {kind.__qualname__} cannot be kept as JSON: None, bool, int, float, str, bytes, list, tuple, dict, Decimal, UUID, dates and"
        " times can, and dataclasses, enums and pydantic models that are declared",
        hint=f"Key(…, answers={kind.__name__})",
    )


def _parts(value: Any, known: Mapping[str, type]) -> Any:
    if isinstance(value, Enum):
        return _written(value.value, known)
    if dataclasses.is_dataclass(value):
        return {f.name: _written(getattr(value, f.name), known) for f in dataclasses.fields(value) if f.init}
    return value.model_dump(mode="json")


def _read(data: Any, known: Mapping[str, type]) -> Any:
    if isinstance(data, list):
        return [_read(v, known) for v in data]
    if not isinstance(data, dict):
        return data
    if "$" not in data:
        return {k: _read(v, known) for k, v in data.items()}
    kind, value = data["$"], data["v"]
    if kind == "dict":
        return {_read(k, known): _read(v, known) for k, v in value}
    if kind == "tuple":
        return tuple(_read(v, known) for v in value)
    if kind in _KINDS:
        return _KINDS[kind][2](value)
    return _made(kind.removeprefix("class "), value, known)


def _made(name: str, value: Any, known: Mapping[str, type]) -> Any:
    found: Any = known.get(name)
    if found is None:
        raise UsageError(f"the answer holds a {name}, and the key does not say which class that is", hint=f"Key(…, answers={name})")
    if issubclass(found, Enum):
        return found(_read(value, known))
    if not hasattr(found, "model_validate"):
        return found(**{k: _read(v, known) for k, v in value.items()})
    return found.model_validate(value)


@cache
def _known(answers: type | None) -> Mapping[str, type]:
    """The classes that a declared one leads to by its annotations, by name."""
    found: dict[str, type] = {}
    todo: list[Any] = [answers]
    while todo:
        hint = todo.pop()
        todo += typing.get_args(hint)
        if not isinstance(hint, type) or not _ours(hint) or hint.__qualname__ in found:
            continue
        found[hint.__qualname__] = hint
        todo += _fields(hint)
    return found


def _ours(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or issubclass(kind, Enum) or hasattr(kind, "model_validate")


def _fields(kind: type) -> Iterator[Any]:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        yield from (hints[f.name] for f in dataclasses.fields(kind))
