"""Cursors that travel: a place in an ordered query as text, signed, expiring, and bound to the query and the tenant it was given out for.

    cursors = Cursors([os.environ["CURSOR_KEY"]], lifetime=3600)
    text = cursors.seal(Position(("2026-11-22 08:15:00+00", "42")), query)
    cursors.open(text, query)

A cursor is signed and not secret: whoever holds it can read the values of the order's columns at that place, which stand on the page
anyway. Its tenant is told by a digest. With several keys the first one signs and all are believed: put a new key first, drop the
old one when `lifetime` has passed.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime.context import current

LONGEST = 3000
"""Most characters of a cursor: it has to fit into the address of a request."""
SHORTEST_KEY = 16
"""Fewest bytes of a key."""
_VERSION, _TAG, _BOUND = b"\1", 16, 8
_HEAD = len(_VERSION) + _TAG
_FIXED = 5 + 1 + 2 * _BOUND
_BACKWARD, _INCLUSIVE = 1, 2
Value = str | None
"""A value as PostgreSQL writes it, None for NULL."""
AGAIN = "ask for the first page again, without a cursor"


class CursorError(PgcharterError):
    """A cursor cannot be used; in an answer to a request it is the client's fault (400). Each cause is a class of its own."""

    sentence = ""

    def __init__(self, message: str = "", *, hint: str = AGAIN) -> None:
        super().__init__(message or self.sentence, hint=hint)


class GarbledCursorError(CursorError):
    """It is no cursor at all."""

    sentence = "this is no cursor: it was cut off or never was one"


class LongCursorError(CursorError):
    """It is longer than any cursor."""


class ForgedCursorError(CursorError):
    """Its signature is of none of our keys."""

    sentence = "the cursor's signature is not ours: it was changed, or its key has been dropped"


class ExpiredCursorError(CursorError):
    """Its time is over."""


class OtherQueryCursorError(CursorError):
    """It was given out for another query, order or filter."""

    sentence = "the cursor belongs to another query: its place has no meaning in this order with these filters"


class OtherTenantCursorError(CursorError):
    """It was given out to another tenant."""

    sentence = "the cursor was given out to another tenant"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an ordered query: the values of its order there, and which way to go."""

    values: tuple[Value, ...]
    backward: bool = False
    inclusive: bool = False
    """The row at the place itself belongs to the page."""


class Cursors:
    """Signs places and believes what it has signed."""

    def __init__(self, keys: Sequence[bytes | str], *, lifetime: float | None = 24 * 3600, clock: Callable[[], float] = time.time) -> None:
        """`lifetime` is in seconds; None: for ever. Raises UsageError for no key, or one of fewer than `SHORTEST_KEY` bytes."""
        self._keys = tuple(sha256(b"pgcharter cursor 1\0" + _bytes(key)).digest() for key in _several(keys))
        self._lifetime, self._clock = lifetime, clock

    def __repr__(self) -> str:
        return f"<Cursors with {len(self._keys)} keys>"

    def seal(self, position: Position, query: bytes) -> str:
        """The cursor of a place. `query` is what the query is known by. Raises UsageError when it would be longer than `LONGEST`."""
        flags = position.backward * _BACKWARD | position.inclusive * _INCLUSIVE
        key = self._keys[0]
        when = int(self._clock()).to_bytes(5)
        body = b"".join((when, bytes((flags,)), _digest(key, query), _digest(key, _tenant()), _packed(position.values)))
        text = urlsafe_b64encode(_VERSION + _tag(key, body) + body).rstrip(b"=").decode()
        if len(text) > LONGEST:
            raise UsageError(
                f"a cursor would have {len(text):,} characters, and {LONGEST:,} is the most: the values of the query's order are too long",
                hint="order by something shorter, such as left(title, 100), with the primary key behind it",
            )
        return text

    def open(self, text: str, query: bytes) -> Position:
        """The place that a cursor names. Raises the CursorError that says why it cannot be used."""
        key, body = self._believed(text)
        age = self._clock() - int.from_bytes(body[:5])
        if self._lifetime is not None and age > self._lifetime:
            raise ExpiredCursorError(f"the cursor has expired: it was given out {age:,.0f} s ago and is good for {self._lifetime:,.0f} s")
        if body[6 + _BOUND : _FIXED] != _digest(key, _tenant()):
            raise OtherTenantCursorError
        if body[6 : 6 + _BOUND] != _digest(key, query):
            raise OtherQueryCursorError
        return Position(_unpacked(body[_FIXED:]), bool(body[5] & _BACKWARD), bool(body[5] & _INCLUSIVE))

    def _believed(self, text: str) -> tuple[bytes, bytes]:
        """What was signed, and with which key."""
        if not isinstance(text, str):
            raise GarbledCursorError
        if len(text) > LONGEST:
            raise LongCursorError(f"the cursor has {len(text):,} characters, and none is longer than {LONGEST:,}")
        try:
            data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except ValueError:
            raise GarbledCursorError from None
        if data[:1] != _VERSION or len(data) < _HEAD + _FIXED or urlsafe_b64encode(data).rstrip(b"=") != text.encode():
            raise GarbledCursorError
        tag, body = data[1:_HEAD], data[_HEAD:]
        for key in self._keys:
            if hmac.compare_digest(tag, _tag(key, body)):
                return key, body
        raise ForgedCursorError


def _tag(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _VERSION + body, "sha256")[:_TAG]


@lru_cache(maxsize=1024)
def _digest(key: bytes, what: bytes) -> bytes:
    return hmac.digest(key, what, "sha256")[:_BOUND]


def _tenant() -> bytes:
    return b"tenant\0" + current().tenant.encode()


def _packed(values: Sequence[Value]) -> bytes:
    """Each value with its length plus one before it, 0 for NULL; seven bits a byte."""
    parts = bytearray()
    for value in values:
        data = b"" if value is None else value.encode()
        length = 0 if value is None else len(data) + 1
        while length > 127:
            parts.append(length & 127 | 128)
            length >>= 7
        parts.append(length)
        parts += data
    return bytes(parts)


def _unpacked(data: bytes) -> tuple[Value, ...]:
    values: list[Value] = []
    at = 0
    while at < len(data):
        length = shift = 0
        while data[at] & 128:
            length |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
        length |= data[at] << shift
        at += 1
        values.append(data[at : at + length - 1].decode() if length else None)
        at += max(length - 1, 0)
    return tuple(values)


def _several(keys: Sequence[bytes | str]) -> Sequence[bytes | str]:
    if isinstance(keys, str | bytes):
        return [keys]
    if not keys:
        raise UsageError("no key is given to sign cursors with", hint="one of 32 random bytes from the environment: secrets.token_hex(32)")
    return keys


def _bytes(key: bytes | str) -> bytes:
    data = key.encode() if isinstance(key, str) else key
    if len(data) < SHORTEST_KEY:
        raise UsageError(
            f"a key for cursors has {len(data)} bytes, and {SHORTEST_KEY} is the fewest: who guesses it forges cursors",
            hint='python -c "import secrets; print(secrets.token_hex(32))"',
        )
    return data
