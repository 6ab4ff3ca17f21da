"""Masks: what becomes of a value that others may not read."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, get_args

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import Mask
from pgcharter.stream.values import text

WORDS: tuple[str, ...] = get_args(Mask)


def mask(word: str, key: bytes, place: str) -> Callable[[Any], Any]:
    """What a mask makes of a value that is not NULL; all but `null` make text. Raises CharterError for no word of a mask, or no secret."""
    if word == "hash" and not key:
        hint = 'mask_key_env = "PGCHARTER_MASK_KEY", and set that variable to 32 random bytes'
        raise CharterError("mask hash has no secret, so what is hashed could be found by trying", hint=hint, place=place)
    made = _MASKS.get(word)
    if made is None:
        raise CharterError(f"{word!r} is no mask", hint=f"write {', '.join(WORDS)}", place=place)
    return made(key)


def _last4(value: Any) -> str:
    written = text(value)
    return "****" + (written[-4:] if len(written) > 4 else "")


_MASKS: dict[str, Callable[[bytes], Callable[[Any], Any]]] = {
    "hash": lambda key: lambda value: hmac.digest(key, text(value).encode(), "sha256").hex(),
    "null": lambda _: lambda _: None,
    "stars": lambda _: lambda _: "****",
    "last4": lambda _: _last4,
}
