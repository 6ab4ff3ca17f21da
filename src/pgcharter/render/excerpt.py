"""The line of SQL a finding is about, with a caret under the name it speaks of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pgcharter.findings import Finding, Place
from pgcharter.render.page import Page, Styled, clean, columns


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One line of a source text and the stretch of it that is meant."""

    file: str
    line: int
    text: str
    start: int
    """Characters before the stretch."""
    length: int


def excerpt(finding: Finding, texts: Mapping[str, str]) -> Excerpt | None:
    """The line to show for `finding`; None when its text is not at hand."""
    place = finding.place
    text = texts.get(place.file) if place else None
    if place is None or text is None:
        return None
    lines = _lines(text)
    if not 1 <= place.line <= len(lines):
        return None
    line, start, length = _spot(finding, place, lines)
    return Excerpt(place.file, line, lines[line - 1].rstrip("\r"), start, length)


@lru_cache(maxsize=64)
def _lines(text: str) -> Sequence[str]:
    return text.split("\n")


def _spot(finding: Finding, place: Place, lines: Sequence[str]) -> tuple[int, int, int]:
    """Line, offset and length of what is meant: the place itself, or where that is a whole statement the object's name inside it."""
    start, length = _word_at(lines[place.line - 1], place.column - 1)
    word = lines[place.line - 1][start : start + length]
    target = finding.object
    if target is not None and word.upper() in _BEGINNINGS:
        for name in filter(None, (target.part, target.name.partition("(")[0])):
            found = _name_in(name, place, lines)
            if found:
                return found
    return place.line, start, length


_BEGINNINGS = frozenset({"CREATE", "ALTER", "COMMENT", "GRANT", "REVOKE", "DO", "SELECT", "DROP"})
"""First words of statements; a place there means the statement, anywhere else the word itself."""


def _name_in(name: str, place: Place, lines: Sequence[str]) -> tuple[int, int, int] | None:
    """Line, offset and length of `name` in the statement at `place`, outside its line comments."""
    pattern = re.compile(rf'(?<![\w$"])("?){re.escape(name)}\1(?![\w$"])', re.IGNORECASE)
    for number in range(place.line, min(max(place.end_line, place.line), len(lines)) + 1):
        code = lines[number - 1].partition("--")[0]
        match = pattern.search(code, place.column - 1 if number == place.line else 0)
        if match:
            return number, match.start(), match.end() - match.start()
    return None


def _word_at(line: str, start: int) -> tuple[int, int]:
    """Offset and length of the word (or quoted name) at `start`."""
    start = min(max(start, 0), len(line))
    word = re.match(r'"(?:[^"]|"")*"|[\w$]+', line[start:])
    return start, len(word[0]) if word else 1


def draw(page: Page, shown: Excerpt, *, indent: int) -> None:
    """Write the excerpt: line number, bar, source line; below it the caret."""
    number = f"{shown.line:>5}"
    room = page.screen.width - indent - len(number) - 3
    before, meant, after = _cut(shown, room)
    page.line(Styled(f"{number} │ ", "dim"), before, Styled(meant, "strong"), after, indent=indent)
    page.line(
        Styled(f"{'':{len(number)}} │ ", "dim"),
        " " * columns(clean(before)),
        Styled("^" * max(1, columns(clean(meant))), "caret"),
        indent=indent,
    )


def _cut(shown: Excerpt, room: int) -> tuple[str, str, str]:
    """The line in three parts, cut to `room` columns around what is meant."""
    text = shown.text
    before, meant, after = text[: shown.start], text[shown.start : shown.start + shown.length], text[shown.start + shown.length :]
    before, meant, after = (part.replace("\t", "    ") for part in (before, meant, after))
    if columns(clean(meant)) > room // 2:
        meant, after = _head(meant, room // 2), ""
    if columns(clean(before)) > room // 2:
        before = "…" + _tail(before, room // 2 - 1)
    return before, meant, _head(after, max(1, room - columns(clean(before)) - columns(clean(meant))))


def _head(text: str, room: int) -> str:
    if columns(clean(text)) <= room:
        return text
    while columns(clean(text)) > room - 1:
        text = text[: min(len(text) - 1, room)]
    return text + "…"


def _tail(text: str, room: int) -> str:
    text = text[-room:]
    while columns(clean(text)) > room:
        text = text[1:]
    return text
