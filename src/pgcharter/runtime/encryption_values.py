"""Values as bytes before they are encrypted: one byte that tells the type, then the value. What comes back is what went in."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.runtime.encryption_format import EncryptionError


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


_TYPES: dict[str, tuple[bytes, type | tuple[type, ...], Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "text": (b"t", str, str.encode, bytes.decode),
    "bytes": (b"b", (bytes, bytearray, memoryview), bytes, bytes),
    "int": (b"i", int, lambda v: b"%d" % v, int),
    "float": (b"f", float, lambda v: repr(v).encode(), lambda b: float(b)),
    "numeric": (b"n", (Decimal, int), lambda v: str(v).encode(), lambda b: Decimal(b.decode())),
    "date": (b"d", datetime.date, lambda v: v.isoformat().encode(), lambda b: datetime.date.fromisoformat(b.decode())),
    "timestamp": (b"s", datetime.datetime, lambda v: v.isoformat().encode(), lambda b: datetime.datetime.fromisoformat(b.decode())),
    "bool": (b"o", bool, lambda v: b"1" if v else b"0", lambda b: b == b"1"),
    "uuid": (b"u", uuid.UUID, lambda v: v.bytes, lambda b: uuid.UUID(bytes=b)),
    "json": (b"j", object, _json, json.loads),
}
_READERS = {mark[0]: read for mark, _, _, read in _TYPES.values()}


def encoder(kind: str, where: str) -> Callable[[Any], bytes]:
    """What writes values of a declared type. It raises UsageError for others, and never repeats a value."""
    mark, accepted, write, _ = _TYPES[kind]

    def encode_text(value: Any) -> bytes:
        return b"t" + value.encode() if type(value) is str else encode(value)

    def encode(value: Any) -> bytes:
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind in ("int", "numeric")) or _is_moment(value, kind):
            raise UsageError(f"{where} holds {kind}, and was given a value of type {type(value).__name__}")
        try:
            return mark + write(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{where} holds {kind}, and was given one that cannot be written: {type(error).__name__}") from None

    return encode_text if kind == "text" else encode


def _is_moment(value: object, kind: str) -> bool:
    return kind == "date" and isinstance(value, datetime.datetime)


def decode(plain: bytes, where: str) -> Any:
    """The value again. Raises EncryptionError for bytes that no `encoder` wrote."""
    if plain[:1] == b"t":
        try:
            return plain[1:].decode()
        except UnicodeDecodeError:
            raise EncryptionError(f"{where} holds a text that is not in UTF-8") from None
    try:
        return _READERS[plain[0]](plain[1:])
    except (KeyError, IndexError, ValueError, ArithmeticError) as error:
        raise EncryptionError(f"{where} holds a value that was decrypted and is of no known type ({type(error).__name__})") from None
