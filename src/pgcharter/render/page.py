"""Text for terminals: styled pieces, wrapping by display width, and the one place where hostile characters are made harmless."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Screen:
    """What is written to."""

    width: int = 80
    """Columns."""
    colour: bool = False
    plain: bool = False
    """True: only ASCII marks, for streams that cannot encode others."""


class Styled(NamedTuple):
    """A piece of text with a style's name (see `STYLES`)."""

    text: str
    style: str


Piece = str | Styled

STYLES = {
    "error": "1;31",
    "warning": "33",
    "info": "36",
    "good": "32",
    "bad": "31",
    "strong": "1",
    "dim": "2",
    "code": "1",
    "command": "36",
    "heading": "1;4",
    "caret": "1;31",
    "keyword": "34",
    "string": "32",
    "place": "2",
}
"""SGR codes of each style: the sixteen colours every terminal lets its user choose, so that light and dark backgrounds both work."""

ASCII = {"✖": "x", "▲": "!", "•": "-", "│": "|", "…": "...", "✔": "+", "✘": "x", "·": "-", "─": "-", "→": "->", "~": "~"}
"""Twins of our own marks for streams without Unicode."""

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]")
"""Characters that steer a terminal, reorder or hide text, or stand for bytes that could not be decoded."""


_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def clean(text: str) -> str:
    """Return `text` safe for a terminal, on one line.

    Control characters (among them the escapes that move the cursor or change colours), line ends, characters that reorder or hide text
    and undecodable bytes are shown as backslash escapes: a name from a database can neither run nor disguise anything.
    """
    return UNSAFE.sub(_escape, text) if not text.isascii() or not text.isprintable() else text


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in _NAMED:
        return _NAMED[char]
    return f"\\x{ord(char):02x}" if char <= "\xff" else char.encode("ascii", "backslashreplace").decode("ascii")


def columns(text: str) -> int:
    """Columns that `text` takes on a terminal: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


class Page:
    """Lines of text being written for one screen. Everything that reaches it is made harmless here."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._lines: list[str] = []

    def text(self) -> str:
        """All lines so far, each ended by a newline."""
        return "".join(line + "\n" for line in self._lines)

    def blank(self) -> None:
        """Leave one empty line, never two, none at the top."""
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def line(self, *pieces: Piece, indent: int = 0) -> None:
        """Write one line as it is, however long."""
        self._lines.append((" " * indent + "".join(map(self._paint, _merged(pieces)))).rstrip())

    def flow(self, *pieces: Piece, indent: int = 0, hanging: int = 0) -> None:
        """Write words, wrapped to the screen; lines after the first stand `hanging` columns further in."""
        room = max(20, self.screen.width - indent)
        lines: list[list[Piece]] = [[]]
        used = 0
        for word, gap in _words(pieces):
            size = sum(columns(clean(_text(piece))) for piece in word)
            if used and used + gap + size > room:
                lines.append([" " * hanging])
                used, gap = hanging, 0
            same = gap and lines[-1] and _style(lines[-1][-1]) == _style(word[0])
            lines[-1] += ([Styled(" " * gap, _style(word[0]) if same else "")] if gap else []) + word
            used += gap + size
        for pieces_of_line in lines:
            self.line(*pieces_of_line, indent=indent)

    def _paint(self, piece: Piece) -> str:
        text, style = clean(_text(piece)), _style(piece)
        if self.screen.plain:
            text = "".join(ASCII.get(c, c) for c in text)
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.screen.colour and style and text else text


def _text(piece: Piece) -> str:
    return piece.text if isinstance(piece, Styled) else piece


def _style(piece: Piece) -> str:
    return piece.style if isinstance(piece, Styled) else ""


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """The same text with neighbours of one style joined."""
    return [Styled("".join(map(_text, group)), style) for style, group in groupby(pieces, key=_style)]


def _words(pieces: tuple[Piece, ...]) -> list[tuple[list[Piece], int]]:
    """Words (each perhaps of several styles) with the number of spaces before each."""
    words: list[tuple[list[Piece], int]] = []
    gap = 0
    joined = False
    for piece in pieces:
        style = _style(piece)
        for part in re.split("( +)", _text(piece)):
            if not part:
                continue
            if part[0] == " ":
                gap, joined = gap + len(part), False
                continue
            styled: Piece = Styled(part, style) if style else part
            if joined:
                words[-1][0].append(styled)
            else:
                words.append(([styled], gap if words else 0))
            joined, gap = True, 0
    return words
