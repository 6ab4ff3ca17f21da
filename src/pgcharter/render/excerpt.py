"""The line of SQL a finding is about, with a caret under the name it speaks of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
    lines = text.split("\n")
    if not 1 <= place.line <= len(lines):
        return None
    spot = _name_in(finding, place, lines) or _first_word(place, lines)
    line, start, length = spot
    return Excerpt(place.file, line, lines[line - 1].rstrip("\r"), start, length)


def _name_in(finding: Finding, place: Place, lines: list[str]) -> tuple[int, int, int] | None:
    """Line, offset and length of the object's own name inside its statement; for a column its definition rather than its table."""
    target = finding.object
    if target is None or not place.end_line:
        return None
    name = target.part or target.name.partition("(")[0]
    pattern = re.compile(rf'(?<![\w$"])("?){re.escape(name)}\1(?![\w$"])', re.IGNORECASE)
    for number in range(place.line, min(place.end_line, len(lines)) + 1):
        line = lines[number - 1]
        code = line.partition("--")[0]
        match = pattern.search(code, place.column - 1 if number == place.line else 0)
        if match:
            return number, match.start(), match.end() - match.start()
    return None


def _first_word(place: Place, lines: list[str]) -> tuple[int, int, int]:
    line = lines[place.line - 1]
    start = min(max(place.column - 1, 0), len(line))
    word = re.match(r"\w+", line[start:])
    return place.line, start, len(word[0]) if word else 1


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
