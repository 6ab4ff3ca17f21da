"""Settings that the server keeps for a role or database, written down again: `SET name TO value` after ALTER ROLE or ALTER DATABASE."""

from __future__ import annotations

import re

from pgcharter.names import literal, quote

_LISTS = frozenset(
    (
        "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces",
        "unix_socket_directories",
    )
)  # fmt: skip
"""Settings whose value is kept as a list of quoted names (`variable_is_guc_list_quote` in pg_dump's sources)."""
_LISTED = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,]*?))\s*(?:,|\Z)')


def setting(text: str) -> str:
    """`SET …` for a setting as catalogs keep it: `name=value`."""
    name, _, value = text.partition("=")
    return assigned(name, value)


def assigned(name: str, value: str) -> str:
    """`SET name TO value`; the members of a list one by one, since in one literal they would be one name with commas in it."""
    values = literal(value)
    if name.lower() in _LISTS:
        values = ", ".join(literal(a.replace('""', '"') if a else b) for a, b in _LISTED.findall(value) if a or b) or "''"
    return f"SET {named(name)} TO {values}"


def named(name: str) -> str:
    """The name of a setting; of extensions' and projects' each part is quoted by itself."""
    return ".".join(quote(part) for part in name.split("."))
