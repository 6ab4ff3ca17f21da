"""The text of one file and the two ways of counting in it: the parser's bytes and everybody else's characters."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

from pgcharter.findings import Place

_LINE = re.compile("\n")


class Source:
    """A text with its name; turns byte and character offsets into each other and into places."""

    def __init__(self, text: str, file: str, above: int = 0) -> None:
        self.text = text
        self.file = file
        self.above = above
        """Lines of the file that stand above the text."""
        self.ascii = text.isascii()

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(m.end() for m in _LINE.finditer(self.text))]

    @cached_property
    def _byte_lines(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer(b"\n", self.data))]

    @cached_property
    def data(self) -> bytes:
        """The text in UTF-8, as the parser sees it."""
        return self.text.encode("utf-8", "replace")

    def char(self, byte: int) -> int:
        """Characters before byte offset `byte`."""
        if self.ascii:
            return byte
        line = bisect_right(self._byte_lines, byte) - 1
        return self._lines[line] + len(self.data[self._byte_lines[line] : byte].decode("utf-8", "ignore"))

    def byte(self, char: int) -> int:
        """Bytes before character offset `char`."""
        if self.ascii:
            return char
        line = bisect_right(self._lines, char) - 1
        return self._byte_lines[line] + len(self.text[self._lines[line] : char].encode("utf-8", "replace"))

    def offset(self, line: int, column: int) -> int:
        """Character offset of a line and column, both from 1."""
        return self._lines[line - self.above - 1] + column - 1

    def line(self, char: int) -> int:
        """Line (from 1) of character offset `char`."""
        return self.above + bisect_right(self._lines, char)

    def place(self, start: int, end: int | None = None) -> Place:
        """The place of the characters from `start` to `end` (exclusive)."""
        line = bisect_right(self._lines, start)
        last = 0 if end is None else self.line(max(start, end - 1))
        return Place(self.file, self.above + line, start - self._lines[line - 1] + 1, last)
