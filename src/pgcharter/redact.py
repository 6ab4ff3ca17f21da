"""Passwords kept out of everything that is printed, raised or recorded."""

from __future__ import annotations

import re
from functools import cache

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


@cache
def _in_sql() -> tuple[re.Pattern[str], ...]:
    """Passwords in strings that stand in another string, where quotes are doubled; in other strings; in connection strings."""
    named = rf'(?<![\w$])(?P<word>"?(?:{_WORDS})"?)(?P<gap>\s*=\s*|(?:\s|/\*.*?\*/|--[^\n]*\n)+)'
    flags = re.IGNORECASE | re.DOTALL
    inside = re.compile(rf"{named}''(?=[^'\s;,)])(?:[^']|'''')*?''(?!'')", flags)
    outside = re.compile(rf"{named}(?!''\*)(?:(?:E|B|X|N|U&)?'(?:[^'\\]|''|\\.)*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)", flags)
    return inside, outside, re.compile(rf"(?<![?&\w])((?:{_WORDS})=)(?:[^\s'\"&;,()\\]|\\.)+(?![\w(])", flags)


def redact_sql(text: str) -> str:
    """SQL, whole or in pieces, with the passwords of roles, user mappings and connection strings in it replaced by `***`.

    It stays SQL of the same form; expressions (`password = crypt(…)`) stay as they are.
    """
    inside, outside, bare = _in_sql()
    text = _URI_SECRET.sub(r"\1***", _URI_PASSWORD.sub(r"\1:***@", text))
    text = outside.sub(r"\g<word>\g<gap>'***'", inside.sub(r"\g<word>\g<gap>''***''", text))
    return bare.sub(r"\1***", text)
