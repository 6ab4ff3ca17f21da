"""What goes to the server as text: arrays, lines, JSON that jsonb can hold, names that an index can hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pgcharter.errors import UsageError

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Text(str):
    """JSON text that is ready: in one line, and looked at."""

    __slots__ = ()


def array(values: Iterable[Any]) -> str:
    """An array as PostgreSQL reads it; None is NULL. The type is the parameter's."""
    return "{" + ",".join("NULL" if v is None else str(v) if type(v) is int else _quoted(str(v)) for v in values) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def lines(texts: Iterable[str]) -> str:
    """Texts without a newline in them, one to a line: cheaper to read than an array, where they have quotation marks."""
    return "\n".join(texts)


def document(data: Any, what: str) -> str:
    """Data as JSON in one line. Raises UsageError for what JSON or jsonb has no word for."""
    if type(data) is Text:
        return data
    try:
        text = _JSON.encode(data)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{what} has data that is no JSON: {error}", hint="plain values, or a typed event: Types().event") from None
    return readable(text, what)


def readable(text: str, what: str) -> str:
    """JSON text that jsonb can hold. Raises UsageError for a NUL character, which no text of PostgreSQL can have."""
    if "\\u0000" in text and _has_nul(json.loads(text)):
        raise UsageError(f"{what} has a NUL character in its data, which no text of PostgreSQL can have")
    return text


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in k or _has_nul(v) for k, v in value.items())
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def checked(what: str, text: object, most: int) -> None:
    """Raise UsageError for what is no name: empty, too long, or with characters that no line of text has."""
    if not isinstance(text, str) or not text:
        raise UsageError(f"the {what} is {text!r}, and must be a text that is not empty")
    if not text.isprintable() and any(c < " " or c == "\x7f" for c in text):
        raise UsageError(f"the {what} is {text[:100]!r}, and has a NUL or another control character in it, which none may have")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(f"the {what} has half a surrogate pair in it, which no text of PostgreSQL can have") from None
    if size > most:
        raise UsageError(f"the {what} has {size} bytes, and {most} is the most: {text[:100]!r}…")
