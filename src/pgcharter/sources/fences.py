"""Fenced blocks of a Markdown text, with their places: backticks and tildes, indented, quoted, nested in lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SQL = {"sql", "postgresql", "postgres", "pgsql", "psql", "ddl"}
_OPEN = re.compile(r"(?P<lead>[ \t]*+(?:>[ \t]*+|[-*+][ \t]++|\d{1,9}[.)][ \t]++)*)(?P<fence>`{3,}|~{3,})(?P<info>[^`\n\r]*)\r?\n?")
_COMMENT = re.compile(r" {0,3}<!--")
_LEAD = re.compile(r"[ \t]*(?:>[ \t]?)*")
_WORD = re.compile(r"[{.\s]*([A-Za-z0-9_+-]+)")


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block."""

    language: str
    """First word of the info string, lower case."""
    start: int
    """Offset of its first character of content."""
    end: int
    """Offset after its content."""
    quoted: bool
    """It stands in a block quote, so its lines begin with `>`."""

    def text(self, whole: str) -> str:
        """The content; the `>` of block quotes blanked, so that columns stay true."""
        body = whole[self.start : self.end]
        if not self.quoted:
            return body
        return re.sub(r"^[ \t]*(?:>[ \t]?)+", lambda m: " " * len(m.group()), body, flags=re.MULTILINE)


def fences(text: str) -> Iterator[Fence]:
    """The fenced blocks of `text` in order, without those in HTML comments. What is never closed reaches to the end, as CommonMark says."""
    at = 0
    while at < len(text):
        line_end = _line_end(text, at)
        opening = _OPEN.match(text, at, line_end)
        hidden = _COMMENT.match(text, at, line_end)
        at = line_end
        if hidden:
            closing = text.find("-->", hidden.end())
            at = max(at, _line_end(text, closing)) if closing >= 0 else len(text)
        if opening and opening.end() == line_end:
            start, mark = line_end, opening["fence"]
            end, at = _closed(text, start, mark)
            word = _WORD.match(opening["info"])
            yield Fence(word.group(1).lower() if word else "", start, end, ">" in opening["lead"])


def _closed(text: str, start: int, mark: str) -> tuple[int, int]:
    at = start
    while at < len(text):
        line_end = _line_end(text, at)
        line = text[_LEAD.match(text, at).end() : line_end].strip()  # type: ignore[union-attr]
        if len(line) >= len(mark) and not line.strip(mark[0]):
            return at, line_end
        at = line_end
    return len(text), len(text)


def _line_end(text: str, at: int) -> int:
    """Offset after the line that `at` is in."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
