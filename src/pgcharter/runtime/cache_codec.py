"""Values as bytes and back: what comes out has the types that went in. No pickle: bytes from a cache server never run code.

`Typed(list[Order])` writes str, bytes, int, float, bool, None, Decimal, datetime, date, time, timedelta, UUID, list, tuple, dict, set,
frozenset, and the dataclasses, named tuples and enums that its type mentions. Anything else is refused when it is written.
"""

from __future__ import annotations

import datetime
import enum
import json
import typing
import uuid
import zlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from pgcharter.errors import PgcharterError, UsageError


class Codec(Protocol):
    """What turns values into bytes and back. `loads` may raise anything for bytes it did not write: that is a miss."""

    def dumps(self, value: Any) -> bytes:
        """A value as bytes. Raises UsageError for one that would not come back as it is."""
        ...

    def loads(self, payload: bytes) -> Any:
        """The value that `dumps` wrote."""
        ...


class UnreadableError(PgcharterError):
    """Bytes in a cache are of no known form: another version of the application may have written them."""


_MARK = "\0"
_SCALARS = frozenset({str, int, bool, type(None)})
_SPECIAL: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: ("b", lambda v: v.decode("latin-1"), lambda s: s.encode("latin-1")),
    Decimal: ("n", str, Decimal),
    uuid.UUID: ("u", lambda v: v.hex, lambda s: uuid.UUID(hex=s)),
    datetime.date: ("d", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.timedelta: ("v", lambda v: [v.days, v.seconds, v.microseconds], lambda s: datetime.timedelta(*s)),
    float: ("f", repr, float),
}


class Typed:
    """The codec for values of a type; without one, for everything but dataclasses, named tuples and enums."""

    def __init__(self, type_: Any = None) -> None:
        self._classes: dict[type, str] = {}
        self._names: dict[str, type] = {}
        _collect(type_, self._classes, set())
        for kind, name in self._classes.items():
            self._names[name] = kind

    def dumps(self, value: Any) -> bytes:
        """A value as bytes."""
        kind: Any = type(value)
        if kind is str:
            return b"s" + bytes(value.encode("utf-8", "surrogatepass"))
        if kind is bytes:
            return b"b" + bytes(value)
        plain = self._plain(value, 0)
        try:
            return b"j" + json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
        except ValueError as error:
            raise UsageError(f"a value cannot be cached: {error}") from None

    def loads(self, payload: bytes) -> Any:
        """The value again. Raises UnreadableError for other bytes."""
        try:
            if payload[:1] == b"s":
                return payload[1:].decode("utf-8", "surrogatepass")
            if payload[:1] == b"b":
                return payload[1:]
            if payload[:1] == b"j":
                return json.loads(payload[1:], object_hook=self._made)
        except UnreadableError:
            raise
        except Exception as error:
            raise UnreadableError(f"a cached value cannot be read ({type(error).__name__})") from None
        raise UnreadableError("a cached value is of no known form")

    def _plain(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if depth > 100:
            raise UsageError("a value is nested more than 100 deep, or holds itself, and cannot be cached")
        if kind is list:
            return [self._plain(v, depth + 1) for v in value]
        if kind is dict:
            if all(type(k) is str for k in value) and _MARK not in value:
                return {k: self._plain(v, depth + 1) for k, v in value.items()}
            return {_MARK: ["M", [[self._plain(k, depth + 1), self._plain(v, depth + 1)] for k, v in value.items()]]}
        special = _SPECIAL.get(kind)
        if special is not None:
            return value if kind is float and value - value == 0 else {_MARK: [special[0], special[1](value)]}
        return {_MARK: self._structure(kind, value, depth)}

    def _structure(self, kind: Any, value: Any, depth: int) -> list[Any]:
        if kind is tuple or kind is set or kind is frozenset:
            return [{tuple: "T", set: "S", frozenset: "F"}[kind], [self._plain(v, depth + 1) for v in value]]
        if kind in (datetime.datetime, datetime.time):
            zone = value.tzinfo
            if zone is not None and not isinstance(zone, ZoneInfo | datetime.timezone):
                raise UsageError(
                    f"a time with a {type(zone).__name__} for a zone would not come back as it is", hint="use zoneinfo.ZoneInfo"
                )
            name = zone.key if isinstance(zone, ZoneInfo) else None
            bare = value.replace(tzinfo=None) if name else value
            return ["m" if kind is datetime.datetime else "h", bare.isoformat(), value.fold, name]
        name = self._classes.get(kind)
        if name is None:
            raise UsageError(
                f"a {kind.__module__}.{kind.__qualname__} cannot be cached: the type that the cache was told does not mention it",
                hint="annotate what the function returns, or pass codec=Typed(…)",
            )
        if issubclass(kind, enum.Enum):
            return ["E", name, value.name]
        parts = value if issubclass(kind, tuple) else [getattr(value, f.name) for f in fields(kind) if f.init]
        return ["C", name, [self._plain(v, depth + 1) for v in parts]]

    def _made(self, found: dict[str, Any]) -> Any:
        mark = found.get(_MARK)
        if mark is None:
            return found
        kind, body = mark[0], mark[1]
        if kind in _READERS:
            return _READERS[kind](body)
        if kind in "mh":
            moment = (datetime.datetime if kind == "m" else datetime.time).fromisoformat(body).replace(fold=mark[2])
            return moment.replace(tzinfo=ZoneInfo(mark[3])) if mark[3] else moment
        cls = self._names.get(body)
        if cls is None:
            raise UnreadableError("a cached value is of a class that has changed or is not known")
        if kind == "E":
            return cls[mark[2]]  # type: ignore[index]
        if issubclass(cls, tuple):
            return cls(*mark[2])
        return cls(**dict(zip((f.name for f in fields(cls) if f.init), mark[2], strict=True)))  # type: ignore[arg-type]


_READERS: dict[str, Callable[[Any], Any]] = {mark: read for mark, _, read in _SPECIAL.values()} | {
    "T": tuple, "S": set, "F": frozenset, "M": dict,
}  # fmt: skip


def _collect(type_: Any, found: dict[type, str], seen: set[int]) -> None:
    """Classes that a type mentions, each with a name that changes with its fields: what an older version wrote is a miss."""
    if id(type_) in seen:
        return
    seen.add(id(type_))
    for part in typing.get_args(type_):
        _collect(part, found, seen)
    if isinstance(type_, typing.TypeAliasType) if hasattr(typing, "TypeAliasType") else False:
        _collect(type_.__value__, found, seen)
    if not isinstance(type_, type):
        return
    if issubclass(type_, enum.Enum):
        found[type_] = f"{type_.__module__}.{type_.__qualname__}"
    elif is_dataclass(type_) or (issubclass(type_, tuple) and hasattr(type_, "_fields")):
        try:
            hints = typing.get_type_hints(type_)
        except Exception as error:
            raise UsageError(f"the types of {type_.__qualname__} cannot be read ({error}), so it cannot be cached") from None
        names = [f.name for f in fields(type_) if f.init] if is_dataclass(type_) else list(type_._fields)
        print_of = blake2b(repr([(n, str(hints.get(n))) for n in names]).encode(), digest_size=4).hexdigest()
        found[type_] = f"{type_.__module__}.{type_.__qualname__}#{print_of}"
        for hint in hints.values():
            _collect(hint, found, seen)


def unchanging(value: Any) -> bool:
    """Whether nobody can change a value in place, so that one object may be given to all who ask for it."""
    kind = type(value)
    if kind in _UNCHANGING:
        return True
    if kind is tuple or kind is frozenset or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        return all(unchanging(v) for v in value)
    if isinstance(value, enum.Enum):
        return True
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and all(unchanging(getattr(value, f.name)) for f in fields(kind))


_UNCHANGING = frozenset({*_SCALARS, *_SPECIAL, datetime.datetime, datetime.time})
PLAIN, COMPRESSED = "0", "1"


def packed(payload: bytes, threshold: int) -> tuple[str, bytes]:
    """Bytes and the flag that says how they are kept; compressed from `threshold` bytes on, where that makes them fewer."""
    if len(payload) < threshold:
        return PLAIN, payload
    small = zlib.compress(payload, 1)
    return (COMPRESSED, small) if len(small) < len(payload) else (PLAIN, payload)


def unpacked(flag: str, payload: bytes, most: int) -> bytes:
    """The bytes again. Raises UnreadableError for damaged ones and for those that would be more than `most`."""
    if flag == PLAIN:
        return payload
    try:
        reader = zlib.decompressobj()
        whole = reader.decompress(payload, most + 1)
    except zlib.error:
        raise UnreadableError("a compressed value in the cache is damaged") from None
    if len(whole) > most or not reader.eof:
        raise UnreadableError(f"a compressed value in the cache is cut short or of more than {most} bytes")
    return whole
