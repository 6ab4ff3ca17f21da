"""Where the SQL of a fix belongs in files: after the last statement that speaks of what it changes, so that all of it is there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgcharter.findings import Finding
from pgcharter.redact import redact
from pgcharter.render.locations import place_of
from pgcharter.render.page import UNSAFE
from pgcharter.render.report import Report
from pgcharter.sqltext import Statement

_END = re.compile(r"(?:\s|--[^\n]*\n|/\*(?:(?!/\*).)*?\*/)*;(?:[ \t]*--[^\r\n]*)?", re.DOTALL)
"""What may stand between a statement and its semicolon, and a comment behind it: that may be its suppression."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """Text to be inserted into a file; line and column from 1, in characters."""

    file: str
    line: int
    column: int
    text: str


class Insertions:
    """The places where the fixes of one verdict belong."""

    def __init__(self, report: Report) -> None:
        self._report = report
        everything = report.reading.statements if report.reading.source == "sql" else ()
        self._statements = [s for s in everything if s.direction == "up"]
        self._last = {word: number for number, s in enumerate(self._statements) for word in _words(s.text)}
        """The last statement that each word stands in."""
        ids = [i for i in report.reading.places if i.kind not in ("schema", "column")]
        self._names = {word for i in ids for word in _words(i.part or i.name)}

    def of(self, found: Finding) -> Insertion | None:
        """The finding's fix as text after a statement, for files of SQL.

        None when there is no fix, when it holds characters that a file of SQL should not, or when it runs CONCURRENTLY, which fails where
        a file is run in one transaction. In the file that creates the table the word is left out instead: the table is new there.
        """
        if not found.fix or place_of(found, self._report) is None:
            return None
        sql = ";\n".join(s.rstrip().rstrip(";") for s in found.fix) + ";"
        after = self._after(found, sql)
        if after is None or not after.place.file.lower().endswith(".sql"):
            return None
        if self._made_in(found) == after.place.file:
            sql = sql.replace("INDEX CONCURRENTLY ", "INDEX ")
        if redact(sql) != sql or UNSAFE.search(sql.replace("\n", "")) or "CONCURRENTLY" in sql.upper():
            return None
        return _inserted(after, sql, self._report.reading.texts.get(after.place.file, ""))

    def _after(self, found: Finding, sql: str) -> Statement | None:
        """The last statement that names the object or another that the fix or the facts name."""
        names = _words(f"{found.object.name} {found.object.part}") if found.object else set()
        numbers = [self._last[w] for w in names | (_words(f"{sql} {found.facts}") & self._names) if w in self._last]
        return self._statements[max(numbers)] if numbers else None

    def _made_in(self, found: Finding) -> str | None:
        """The file that creates the table the finding is told under."""
        subject = self._report.subject(found)
        place = self._report.reading.places.get(subject) if subject else None
        return place.file if place else None


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w$]+", text.lower()))


def _inserted(after: Statement, sql: str, text: str) -> Insertion | None:
    """`sql` on lines of its own after the statement and its semicolon; None when the text is not the one that was read."""
    stop = after.offset + len(after.text)
    closed = _END.match(text, stop) if after.text and text[after.offset : stop] == after.text else None
    if closed is None:
        return None
    newline = "\r\n" if "\r\n" in text else "\n"
    line = text.count("\n", 0, closed.end()) + 1
    column = closed.end() - text.rfind("\n", 0, closed.end())
    return Insertion(after.place.file, line, column, newline + sql.replace("\n", newline))
