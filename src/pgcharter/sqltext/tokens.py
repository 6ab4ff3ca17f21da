"""The tokens of a statement, by PostgreSQL's own scanner: for cutting a text at its words, which its tree does not say the ends of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgcharter.sqltext.source import Source


@dataclass(frozen=True, slots=True)
class Token:
    """One token; comments and white space are none."""

    kind: str
    """The scanner's name: `SET`, `WHERE`, `IDENT`, `SCONST`, `ASCII_44` for a comma, ..."""
    text: str
    start: int
    """Characters before it."""
    end: int
    depth: int
    """Brackets around it."""


def words(text: str) -> tuple[str, ...] | None:
    """The texts of the tokens of any text, such as a body of PL/pgSQL; None when PostgreSQL's scanner does not understand it."""
    from pgcharter.sqltext.parser import refusals

    try:
        return tuple(token.text for token in tokens(text))
    except refusals():
        return None


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text that the parser has accepted."""
    from pgcharter.sqltext.parser import scanned

    source = Source(text, "")
    depth = 0
    for kind, first, last in scanned(text):
        start, end = source.char(first), source.char(last)
        word = text[start:end]
        depth -= word in (")", "]")
        yield Token(kind, word, start, end, depth)
        depth += word in ("(", "[")
