"""Passwords kept out of everything that is printed, raised or recorded."""

from __future__ import annotations

import re

SECRET_WORDS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
"""Connection parameters of libpq whose values are secrets."""

_WORDS = "|".join((*SECRET_WORDS, "passwd", "pgpassword"))
_URI_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):\S*@")
_URI_SECRET = re.compile(rf"([?&](?:{_WORDS})=)[^&\s]*", re.IGNORECASE)
_WORD_SECRET = re.compile(rf"(?<![?&\w])((?:{_WORDS})\s*=\s*)('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)+)", re.IGNORECASE)


def redact(text: str) -> str:
    """Return `text`, a connection string or something that holds one, with every password replaced by `***`."""
    text = _URI_PASSWORD.sub(r"\1:***@", text)
    text = _URI_SECRET.sub(r"\1***", text)
    return _WORD_SECRET.sub(r"\1***", text)
