"""Names inside expressions that PostgreSQL wrote: a column gets another name, and nothing else that is called the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pgcharter.names import quote

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\W\d][\w$]*|::|\s+|.", re.DOTALL)
_NO_COLUMN_BEHIND = frozenset((".", "::", "COLLATE", "time", "INDEX", "character", "double", "bit"))
_NO_COLUMN_BEFORE = frozenset((".", "("))


def mentions(text: str, column: str) -> bool:
    """Whether an expression, index or constraint of one table speaks of its column."""
    return renamed(text, {column: "\0"}) != text


def renamed(text: str, columns: Mapping[str, str], types: Mapping[str, str] | None = None) -> str:
    """The text with columns called otherwise, and with types (as SQL writes them, qualified) replaced.

    `text` is PostgreSQL's own: identifiers quoted where they must be, objects qualified, columns not.
    """
    wanted = {quote(old): quote(new) for old, new in columns.items()}
    tokens = _TOKEN.findall(text)
    solid = [i for i, token in enumerate(tokens) if not token.isspace()]
    for place, index in enumerate(solid):
        if tokens[index] not in wanted:
            continue
        behind = tokens[solid[place - 1]] if place else ""
        before = tokens[solid[place + 1]] if place + 1 < len(solid) else ""
        if behind not in _NO_COLUMN_BEHIND and before not in _NO_COLUMN_BEFORE:
            tokens[index] = wanted[tokens[index]]
    return _with_types("".join(tokens), types or {})


def _with_types(text: str, types: Mapping[str, str]) -> str:
    for old, new in types.items():
        text = re.sub(rf"(?<=::){re.escape(old)}(?![\w$.\"])", new.replace("\\", r"\\"), text)
    return text
