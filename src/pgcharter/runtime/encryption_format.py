"""The form of an encrypted value, version 1, and what it is bound to.

    bytes  what
    0–3    FE 70 67 01: begins no UTF-8 text; the last is the version
    4      algorithm: 1 is AES-256-GCM under a key by HKDF-SHA256
    5      flags: 1 padded, 2 under a subject's own key
    6–13   id of the key
    14–25  nonce, random
    26–    ciphertext of type (1 byte) and value, padded with 80 00… ; then the tag of 16 bytes

Associated data: bytes 0–13, then column, tenant and the values of the row's key, each behind its length. So a value is refused in another
column, row or tenant. Fewer than 2³² values may be encrypted with random nonces under one key (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Hashable
from dataclasses import dataclass

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.policy.encryption_settings import HEADER, SHORTEST

ALGORITHM = 1
PADDED, OF_SUBJECT = 1, 2
PREFIX, NONCE = 14, 12
BODY = PREFIX + NONCE
MOST = 2**32
"""Values that one data key may encrypt; `pgcharter keys status` asks for a new key from half of that on."""
Row = Hashable
"""Value of the row's key, or a tuple of values where the key has several columns."""


class EncryptionError(PgcharterError):
    """A value could not be encrypted or decrypted. Neither the value nor any key is in the message."""


class MissingKeyError(EncryptionError):
    """The key of a value is not at hand."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a value says of itself in clear."""

    flags: int
    key: int


def shown(key: int) -> str:
    """A key's id as people read it: 16 hexadecimal digits."""
    return f"{key:016x}"


def prefix(flags: int, key: int) -> bytes:
    """The first 14 bytes."""
    return HEADER + struct.pack(">BBQ", ALGORITHM, flags, key)


def head(data: bytes, where: str) -> Head:
    """Read the first 14 bytes. Raises EncryptionError for what is no encrypted value, or one of another version."""
    if data[:3] != HEADER[:3]:
        raise EncryptionError(f"{where} holds something that is no encrypted value, so it was not read")
    if data[3:4] != HEADER[3:]:
        version = data[3] if len(data) > 3 else 0
        raise EncryptionError(
            f"{where} holds a value in version {version} of the format, and this pgcharter knows version {HEADER[3]}",
            hint="install the version of pgcharter that wrote it, or a newer one",
        )
    if len(data) < SHORTEST:
        raise EncryptionError(f"{where} holds a value of {len(data)} bytes that was cut off: the shortest has {SHORTEST}")
    algorithm, flags, key = struct.unpack_from(">BBQ", data, 4)
    if algorithm != ALGORITHM:
        raise EncryptionError(f"{where} holds a value of key {shown(key)} under algorithm {algorithm}, which this pgcharter does not know")
    return Head(flags, key)


def exhausted(key: int, where: str) -> RefusedError:
    """The refusal of a value too many, whose nonce might come twice."""
    return RefusedError(
        f"key {shown(key)} has encrypted {MOST:,} values of {where} in this process, and the nonce of another might come twice",
        hint="pgcharter keys rotate NAME",
    )


def part(text: str) -> bytes:
    """A text behind its length, so that no two lists of texts are written alike."""
    raw = text.encode()
    return len(raw).to_bytes(4, "big") + raw


def row_bytes(row: Row) -> bytes:
    """The row's key as it is bound. Raises UsageError for a type that has no one text."""
    if type(row) is int:
        raw = b"%d" % row
        return b"\0\1\0\0\0" + len(raw).to_bytes(1, "big") + raw
    values = row if isinstance(row, tuple) else (row,)
    return len(values).to_bytes(2, "big") + b"".join([part(_text(v)) for v in values])


def _text(value: object) -> str:
    kind = type(value)
    if kind is int or kind is str or isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(datetime.UTC) if value.tzinfo else value
        return moment.isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str | int):
        return str(value)
    what = "nothing" if value is None else f"a value of type {kind.__name__}"
    raise UsageError(
        f"an encrypted value cannot be bound to {what}: a row's key is an integer, text, UUID, bytes, day or time, known before",
        hint="give the row's key, one the application makes (a UUID) where the server would; or name other columns in row = […]",
    )


def pad(plain: bytes, to: int) -> bytes:
    """Round up to a multiple of `to` bytes, by one byte at least."""
    return plain + b"\x80" + bytes(-(len(plain) + 1) % to)


def unpad(plain: bytes, where: str) -> bytes:
    """Without what `pad` added."""
    bare = plain.rstrip(b"\0")
    if bare[-1:] != b"\x80":
        raise EncryptionError(f"{where} holds a value whose padding is broken")
    return bare[:-1]
