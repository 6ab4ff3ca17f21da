"""Files that only the holder of a key can read: AES-256-GCM in chunks, each bound to its place, the last one marked, so that nothing can be
cut off, moved or put in from another file. (The construction is STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015.)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pgcharter.errors import PgcharterError, UnavailableError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"pgcharter-aead-1"
CHUNK = 1 << 20
_TAG = 16
_SALT = 32


@dataclass(frozen=True)
class Key:
    """A key, and what is written of it beside what it encrypts."""

    material: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Tells keys apart, and says nothing about them."""
        return hashlib.sha256(b"pgcharter backup key id\0" + self.material).hexdigest()[:16]

    def seal(self, data: bytes) -> str:
        """What nobody can write without the key: HMAC-SHA-256 of `data`."""
        import hmac

        return hmac.digest(self._derived(b"seal", b""), data, "sha256").hex()

    def cipher(self, salt: bytes) -> AESGCM:
        """The cipher of one file."""
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise UnavailableError("encrypted backups need the package cryptography", hint="pip install 'pgcharter[backup]'") from None
        return AESGCM(self._derived(b"file", salt))

    def _derived(self, use: bytes, salt: bytes) -> bytes:
        import hmac

        return hmac.digest(self.material, b"pgcharter backup\0" + use + b"\0" + salt, "sha256")


@dataclass(frozen=True)
class KeyPlace:
    """Where the key is found."""

    variable: str = ""
    file: str = ""

    def __bool__(self) -> bool:
        return bool(self.variable or self.file)

    def __str__(self) -> str:
        return f"file {self.file}" if self.file else f"environment variable {self.variable}"

    def read(self) -> Key:
        """The key. Raises UsageError when it is not there or is none; never shows it."""
        try:
            text = Path(self.file).read_text(encoding="ascii").strip() if self.file else os.environ.get(self.variable, "").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or "").lower() if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"the key of backups cannot be read from {self}: {why}", hint=_LOST) from None
        if not text:
            raise UsageError(f"the key of backups is not there: {self} is empty or not set", hint=_LOST)
        try:
            material = base64.b64decode(text, validate=True)
        except binascii.Error:
            material = b""
        if len(material) != 32:
            raise UsageError(f"what {self} holds is no key: 32 bytes as base64 are wanted", hint="make one: openssl rand -base64 32")
        return Key(material)


_LOST = "put the key back from where it is kept safe; without it nobody can read these backups; a new one: openssl rand -base64 32"


def right(key: Key | None, wanted: str, what: str, place: KeyPlace) -> Key:
    """The key when it is the one `what` was encrypted with. Raises PgcharterError otherwise."""
    key = key or (place.read() if place else None)
    if key is None:
        raise PgcharterError(
            f"{what} is encrypted with key {wanted}, and nothing says where that key is", hint="[backup] key_env or key_file"
        )
    if key.id != wanted:
        raise PgcharterError(f"{what} is encrypted with key {wanted}, but {place} holds key {key.id}", hint=_LOST)
    return key


class Writer:
    """Encrypts what is written, and closes with the mark of the end."""

    def __init__(self, out: BinaryIO, key: Key, name: str) -> None:
        salt = os.urandom(_SALT)
        self._out, self._cipher = out, key.cipher(salt)
        header = MAGIC + bytes.fromhex(key.id) + salt
        self._bound = header + name.encode()
        self._held, self._count = bytearray(), 0
        out.write(header)

    def write(self, data: bytes) -> int:
        """Take `data`."""
        self._held += data
        while len(self._held) > CHUNK:
            self._put(bytes(self._held[:CHUNK]), last=False)
            del self._held[:CHUNK]
        return len(data)

    def _put(self, data: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._count, last=last), data, self._bound))
        self._count += 1

    def flush(self) -> None:
        """Nothing: a chunk is written when it is full."""

    def close(self) -> None:
        """Write the last chunk; the file below stays open."""
        self._put(bytes(self._held), last=True)


class Reader:
    """Reads what a Writer wrote. Raises PgcharterError for what was changed, cut off, or belongs elsewhere."""

    def __init__(self, source: BinaryIO, key: Key | None, place: KeyPlace, name: str) -> None:
        header = source.read(len(MAGIC) + 8 + _SALT)
        if len(header) < len(MAGIC) + 8 + _SALT or not header.startswith(MAGIC):
            raise PgcharterError(f"{name} is damaged: it does not begin as an encrypted file does")
        key = right(key, header[len(MAGIC) : len(MAGIC) + 8].hex(), name, place)
        self._source, self._name = source, name
        self._cipher, self._bound = key.cipher(header[-_SALT:]), header + name.encode()
        self._next, self._count, self._held = source.read(CHUNK + _TAG), 0, b""
        if not self._next:
            raise PgcharterError(f"{name} is damaged: it is cut off behind its head")

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; all that is left when that is negative."""
        parts = [self._held]
        have = len(self._held)
        while (size < 0 or have < size) and (chunk := self._chunk()):
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._held = data[cut:]
        return data[:cut]

    def _chunk(self) -> bytes:
        if not self._next:
            return b""
        following = self._source.read(CHUNK + _TAG) if len(self._next) == CHUNK + _TAG else b""
        try:
            data = self._cipher.decrypt(_nonce(self._count, last=not following), self._next, self._bound)
        except Exception as error:
            if type(error).__name__ != "InvalidTag":
                raise
            raise PgcharterError(
                f"{self._name} is damaged: what was encrypted has been changed, cut off, or belongs to another file"
            ) from None
        self._next, self._count = following, self._count + 1
        return data


def _nonce(count: int, *, last: bool) -> bytes:
    return struct.pack(">3xQ?", count, last)
