"""Small pieces of English and SQL, coloured and counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.render.page import Piece, Styled


def plural(count: int, noun: str) -> str:
    """`1 table`, `2 tables`, `3 indexes`, `4 policies`."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith(("x", "s", "ch", "sh")):
        return f"{count:,} {noun}es"
    return f"{count:,} {noun[:-1]}ies" if re.search("[^aeiou]y$", noun) else f"{count:,} {noun}s"


def first_sentence(text: str) -> str:
    """The first sentence (or the part before its semicolon) of a text, on one line, without its stop."""
    flat = " ".join(text.split("\n\n")[0].split())
    match = re.match(r".+?(?=(?<![.])[.!?](?:\s|$)|;)", flat)
    return match[0] if match else flat


_TOKEN = re.compile(r"(?P<string>'(?:[^']|'')*')|(?P<keyword>\b[A-Z][A-Z_]*[A-Z]\b)|(?P<dim>--.*)")


def sql(line: str) -> Iterator[Piece]:
    """A line of SQL with strings, comments and keywords (written in capitals) coloured."""
    end = 0
    for match in _TOKEN.finditer(line):
        yield line[end : match.start()]
        yield Styled(match[0], match.lastgroup or "")
        end = match.end()
    yield line[end:]
