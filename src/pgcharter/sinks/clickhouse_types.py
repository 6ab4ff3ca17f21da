"""Types of PostgreSQL in ClickHouse, and values as RowBinary (its own binary form: no text is parsed, so nothing is rounded).

| PostgreSQL | ClickHouse 22.8 and newer | before |
|---|---|---|
| smallint, integer, bigint, oid | Int16, Int32, Int64, UInt32; in a key Int64 | the same |
| real, double precision, boolean, uuid | Float32, Float64, UInt8, UUID | the same |
| numeric(p,s) | Decimal(p,s) up to 76 digits, else String | up to 38 |
| date | Date32 | Date |
| timestamp, timestamptz | DateTime64(6, 'UTC') | String |
| bytea | String with its bytes | the same |
| all else (numeric, times, json, arrays, enums …) | String with PostgreSQL's text | the same |

Columns are Nullable, those of the key are not; a key of numeric, date or a timestamp is a String, because nothing of it may be cut off.
What a column cannot hold (`infinity`, years before 1900, NaN in a Decimal) is the nearest it can, or NULL, and the
column `_exact` has the text.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import partial
from itertools import repeat
from typing import Any
from uuid import UUID

from pgcharter.sinks.redis_layout import loaded, text
from pgcharter.stream.model import Field

Version = tuple[int, int]
MODERN: Version = (22, 8)
"""Date32 and DateTime64 reach from 1900 to 2299 from here on."""
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_DECIMAL = re.compile(r"Decimal\((\d+), ?(\d+)\)")
_INTEGERS = {"smallint": "Int16", "integer": "Int32", "bigint": "Int64", "oid": "UInt32"}
_SAME = {**_INTEGERS, "real": "Float32", "double precision": "Float64", "boolean": "UInt8", "uuid": "UUID"}
_WIDER = {
    "Int16": {"Int32", "Int64"},
    "Int32": {"Int64"},
    "UInt32": {"Int64"},
    "UInt8": {"Bool"},
    "Date": {"Date32"},
    "Float32": {"Float64"},
}
_TIMES = ("timestamp without time zone", "timestamp with time zone")
_DAY, _EPOCH, _AWARE, _TICK = date(1970, 1, 1), datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_LONG = Context(prec=200)
_HALVES, _LOW = struct.Struct("<QQ").pack, (1 << 64) - 1
_LENGTHS = [bytes((n,)) for n in range(128)]
_FORMATS = {
    "Int8": "b", "Int16": "h", "Int32": "i", "Int64": "q", "UInt8": "B", "Bool": "B", "UInt16": "H", "UInt32": "I", "UInt64": "Q",
    "Float32": "f", "Float64": "d", "Date": "H", "Date32": "i",
}  # fmt: skip


class MisfitError(Exception):
    """A value that a column cannot hold; `nearest` is what it can, None for NULL."""

    def __init__(self, nearest: Any) -> None:
        super().__init__()
        self.nearest = nearest


@dataclass(frozen=True)
class Kind:
    """How values of a field go into a column of one type, and out of it."""

    type: str
    """Without Nullable."""
    write: Callable[[Any], bytes]
    """Raises MisfitError."""
    read: Callable[[memoryview, int], tuple[Any, int]]
    """The value at a place, and the place behind it."""
    many: Callable[[Sequence[Any]], tuple[Iterable[bytes], ...]]
    """Many values, in columns of bytes that are put beside each other."""


def wanted(field: Field, server: Version) -> str:
    """The type of a field's column, without Nullable."""
    if field.key:
        return "Int64" if field.type in _INTEGERS else "UUID" if field.type == "uuid" else "String"
    if field.type.startswith("timestamp") and server >= MODERN and re.sub(r"\(\d\)", "", field.type) in _TIMES:
        return "DateTime64(6, 'UTC')"
    if field.type == "date":
        return "Date32" if server >= MODERN else "Date"
    if found := _NUMERIC.fullmatch(field.type):
        digits, scale = int(found[1]), int(found[2])
        digits, scale = max(digits - min(scale, 0), scale), max(scale, 0)
        return f"Decimal({digits}, {scale})" if digits <= (76 if server >= MODERN else 38) else "String"
    return _SAME.get(field.type, "String")


def bare(type_: str) -> tuple[str, bool]:
    """A type without Nullable and LowCardinality, and whether it is Nullable."""
    if type_.startswith("LowCardinality("):
        type_ = type_[15:-1]
    return (type_[9:-1], True) if type_.startswith("Nullable(") else (type_, False)


def fits(has: str, want: str) -> bool:
    """Whether a column of type `has` holds what one of type `want` does."""
    if has == want or has == "String" or has in _WIDER.get(want, ()):
        return True
    ours, theirs = _DECIMAL.fullmatch(want), _DECIMAL.fullmatch(has)
    if not ours or not theirs:
        return False
    digits, scale = int(theirs[1]) - int(ours[1]), int(theirs[2]) - int(ours[2])
    return scale >= 0 and digits >= scale


def kind(field: Field, type_: str, nullable: bool) -> Kind | None:
    """How a field goes into a column of this type; None for types that are not known here."""
    plain = _plain(field, type_)
    if plain is None or not nullable:
        return plain
    write, read = plain.write, plain.read

    def written(value: Any) -> bytes:
        return b"\1" if value is None else b"\0" + write(value)

    def was(data: memoryview, at: int) -> tuple[Any, int]:
        return (None, at + 1) if data[at] else read(data, at + 1)

    def many(values: Sequence[Any]) -> tuple[Iterable[bytes], ...]:
        return (map(written, values),) if None in values else (repeat(b"\0"), *plain.many(values))

    return Kind(type_, written, was, many)


def _plain(field: Field, type_: str) -> Kind | None:
    if type_ == "String":
        return Kind(type_, *_strings(field), partial(_string_columns, field))
    if type_ == "UUID":
        return _one(type_, _uuid_out, _uuid_in)
    if found := _DECIMAL.fullmatch(type_):
        return _one(type_, *_decimals(int(found[1]), int(found[2])))
    if type_.startswith("DateTime64(6"):
        return _one(type_, *_moments(aware=field.type.endswith("with time zone")))
    if type_ in _FORMATS:
        return _one(type_, *_numbers(field, type_))
    return None


def _one(type_: str, write: Callable[[Any], bytes], read: Callable[[memoryview, int], tuple[Any, int]]) -> Kind:
    return Kind(type_, write, read, lambda values: (map(write, values),))


def _numbers(field: Field, type_: str) -> tuple[Callable[[Any], bytes], Callable[[memoryview, int], tuple[Any, int]]]:
    packer = struct.Struct("<" + _FORMATS[type_])
    pack, unpack, size = packer.pack, packer.unpack_from, packer.size
    if type_ in ("Date", "Date32"):
        return _days(type_, pack, unpack, size)
    made: Callable[[Any], Any] | None = bool if field.type == "boolean" else None

    def read(data: memoryview, at: int) -> tuple[Any, int]:
        (value,) = unpack(data, at)
        return made(value) if made else value, at + size

    if type_ != "Float32":
        return (lambda v: pack(0 if v is None else v)), read
    return (lambda v: pack(0 if v is None else v)), lambda data, at: (_short(unpack(data, at)[0]), at + 4)


def _short(value: float) -> float:
    """A float of 4 bytes as PostgreSQL writes it: the shortest decimal that is it."""
    return float(next((s for d in range(6, 9) if struct.pack("<f", float(s := f"{value:.{d}g}")) == struct.pack("<f", value)), repr(value)))


def _days(type_: str, pack: Any, unpack: Any, size: int) -> tuple[Callable[[Any], bytes], Callable[[memoryview, int], tuple[Any, int]]]:
    first, last = (date(1900, 1, 1), date(2299, 12, 31)) if type_ == "Date32" else (_DAY, date(2105, 12, 31))

    def write(value: Any) -> bytes:
        if value is None:
            return pack(0)  # type: ignore[no-any-return]
        if isinstance(value, str) or not first <= value <= last:
            raise MisfitError(_nearest(value, first, last))
        return pack((value - _DAY).days)  # type: ignore[no-any-return]

    return write, lambda data, at: (_DAY + timedelta(days=unpack(data, at)[0]), at + size)


def _nearest(value: Any, first: Any, last: Any) -> Any:
    low = value[0] == "-" or value.endswith("BC") if isinstance(value, str) else value < first
    return first if low else last


def _moments(*, aware: bool) -> tuple[Callable[[Any], bytes], Callable[[memoryview, int], tuple[Any, int]]]:
    zero = _AWARE if aware else _EPOCH
    first, last = zero.replace(year=1900), zero.replace(year=2299, month=12, day=31)
    packer = struct.Struct("<q")
    pack, unpack = packer.pack, packer.unpack_from

    def write(value: Any) -> bytes:
        if value is None:
            return pack(0)
        if isinstance(value, str) or not first <= value <= last:
            raise MisfitError(_nearest(value, first, last))
        return pack((value - zero) // _TICK)

    return write, lambda data, at: (zero + unpack(data, at)[0] * _TICK, at + 8)


def _decimals(digits: int, scale: int) -> tuple[Callable[[Any], bytes], Callable[[memoryview, int], tuple[Any, int]]]:
    size = 4 if digits <= 9 else 8 if digits <= 18 else 16 if digits <= 38 else 32
    most, shift = 10**digits, Decimal(10) ** scale

    def write(value: Any) -> bytes:
        if not isinstance(value, Decimal):
            value = Decimal(value or 0)
        if not value.is_finite():
            raise MisfitError(None)
        scaled = _LONG.multiply(value, shift)
        whole = int(scaled)
        if whole != scaled or not -most < whole < most:
            raise MisfitError(None)
        return whole.to_bytes(size, "little", signed=True)

    def read(data: memoryview, at: int) -> tuple[Any, int]:
        whole = int.from_bytes(data[at : at + size], "little", signed=True)
        return _LONG.scaleb(Decimal(whole), -scale), at + size

    return write, read


def _uuid_out(value: Any) -> bytes:
    number = value.int if value is not None else 0
    return _HALVES(number >> 64, number & _LOW)


def _uuid_in(data: memoryview, at: int) -> tuple[Any, int]:
    raw = bytes(data[at : at + 16])
    return UUID(bytes=raw[7::-1] + raw[:7:-1]), at + 16


def _strings(field: Field) -> tuple[Callable[[Any], bytes], Callable[[memoryview, int], tuple[Any, int]]]:
    raw = field.type == "bytea"

    def write(value: Any) -> bytes:
        if type(value) is str:
            data = value.encode()
        elif value is None:
            return b"\0"
        else:
            data = value if raw else text(field, value).encode()
        size = len(data)
        return (_LENGTHS[size] if size < 128 else length(size)) + data

    def read(data: memoryview, at: int) -> tuple[Any, int]:
        value, at = string(data, at)
        return value if raw else loaded(field, value.decode()), at

    return write, read


def _string_columns(field: Field, values: Sequence[Any]) -> tuple[Iterable[bytes], ...]:
    """As `_strings` writes them one by one: their lengths, and their bytes."""
    try:
        data = list(map(str.encode, values))
    except TypeError:  # some are no text
        texts = ["" if v is None else v if type(v) in (str, bytes) else text(field, v) for v in values]
        data = [v if type(v) is bytes else v.encode() for v in texts]
    return [_LENGTHS[n] if n < 128 else length(n) for n in map(len, data)], data


def length(size: int) -> bytes:
    """A length as seven bits a byte."""
    out = bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out)


def string(data: memoryview, at: int) -> tuple[bytes, int]:
    """The bytes of a String at a place, and the place behind it."""
    size = shift = 0
    while True:
        byte = data[at]
        at, size, shift = at + 1, size | (byte & 127) << shift, shift + 7
        if byte < 128:
            return bytes(data[at : at + size]), at + size


def exact(field: Field, value: Any) -> str:
    """What `_exact` has of a value."""
    return text(field, value)


def overlaid(values: dict[str, Any], stored: bytes, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Values with those that `_exact` has."""
    if not stored:
        return values
    return values | {name: loaded(fields[name], said) for name, said in json.loads(stored).items() if name in fields}
