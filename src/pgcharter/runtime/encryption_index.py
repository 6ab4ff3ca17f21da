"""Blind indexes: what stands in for a value when it is looked up: a digest of one form of the value, under a key of its own."""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from pgcharter.errors import UsageError

MARK = 4
"""Bytes before the digest that tell the key: the first of its id."""


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


def digest(key: bytes, mark: bytes, size: int, formed: bytes) -> bytes:
    """The blind index value: the mark of its key, then HMAC-SHA256 cut to `size` bytes."""
    return mark + hmac.digest(key, formed, "sha256")[:size]
