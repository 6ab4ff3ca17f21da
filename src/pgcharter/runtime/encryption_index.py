"""Blind indexes: what stands in for a value when it is looked up: a digest of one form of the value, under a key of its own."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from pgcharter.errors import UsageError


def normal(text: str) -> str:
    """One way of writing a text: é is é, however it was typed (Unicode, form C)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Without regard to case."""
    return text.lower() if text.isascii() else normal(normal(text).casefold())


def last_four(text: str) -> str:
    """The last four letters or digits."""
    return folded("".join([c for c in text if c.isalnum()][-4:]))


_FORMS: Mapping[str, Callable[[str], str]] = {"exact": normal, "folded": folded, "last-four": last_four}


def forms(form: str, encode: Callable[[Any], bytes], where: str) -> Callable[[Any], bytes]:
    """What turns a value into the bytes that are digested."""
    change = _FORMS.get(form)
    if change is None:
        raise UsageError(f"{where} has no form {form!r}: there are {', '.join(_FORMS)}")

    def formed(value: Any) -> bytes:
        return encode(change(value) if isinstance(value, str) else value)

    return formed


class Digester:
    """HMAC-SHA256 (RFC 2104) under one key, made ready once: a lookup pays for its own value alone."""

    __slots__ = ("_inner", "_outer", "mark")

    def __init__(self, mark: bytes, key: bytes) -> None:
        """`mark` tells the key; `key` has 32 bytes."""
        self.mark = mark
        padded = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))

    def digest(self, formed: bytes, size: int) -> bytes:
        """The blind index value: the mark of the key, then the digest cut to `size` bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(formed)
        outer.update(inner.digest())
        return self.mark + outer.digest()[:size]
