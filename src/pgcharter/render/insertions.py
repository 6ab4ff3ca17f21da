"""Where in a file the SQL of a fix belongs: right after the statement that made the object."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from pgcharter.findings import Finding, Place
from pgcharter.redact import redact
from pgcharter.render.locations import place_of
from pgcharter.render.page import UNSAFE
from pgcharter.render.report import Report
from pgcharter.sqltext import Statement

_END = re.compile(r"(?:\s|--[^\n]*\n|/\*(?:(?!/\*).)*?\*/)*;", re.DOTALL)
"""What may stand between a statement and its semicolon."""


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
        self._statements: dict[str, list[Statement]] = {}
        if report.reading.source == "sql":
            for statement in report.reading.statements:
                self._statements.setdefault(statement.place.file, []).append(statement)

    def of(self, found: Finding) -> Insertion | None:
        """The finding's fix as text after the statement it is about, for files of SQL.

        None when there is no fix, when it holds characters that a file of SQL should not, or when it runs CONCURRENTLY, which fails where
        a file is run in one transaction. Right after CREATE TABLE the word is left out instead: the table is empty there.
        """
        place = place_of(found, self._report)
        if not found.fix or place is None or not place.file.lower().endswith(".sql"):
            return None
        sql = ";\n".join(s.rstrip().rstrip(";") for s in found.fix) + ";"
        made = self._statement(place)
        if made is None:
            return None
        if made.kind == "create_stmt":
            sql = sql.replace("INDEX CONCURRENTLY ", "INDEX ")
        if redact(sql) != sql or UNSAFE.search(sql.replace("\n", "")) or "CONCURRENTLY" in sql.upper():
            return None
        return _after(made, sql, self._report.reading.texts.get(place.file, ""))

    def _statement(self, place: Place) -> Statement | None:
        """The only statement that stands on the line of `place`."""
        statements = self._statements.get(place.file, [])
        number = bisect_right(statements, place.line, key=lambda s: s.place.line) - 1
        if number < 0 or _last(statements[number]) < place.line or statements[number].direction != "up":
            return None
        alone = number == 0 or _last(statements[number - 1]) < place.line
        return statements[number] if alone else None


def _last(statement: Statement) -> int:
    return max(statement.place.end_line, statement.place.line)


def _after(made: Statement, sql: str, text: str) -> Insertion | None:
    """`sql` on lines of its own after the statement and its semicolon; None when the text is not the one that was read."""
    stop = made.offset + len(made.text)
    closed = _END.match(text, stop) if made.text and text[made.offset : stop] == made.text else None
    if closed is None:
        return None
    newline = "\r\n" if "\r\n" in text else "\n"
    line = text.count("\n", 0, closed.end()) + 1
    column = closed.end() - text.rfind("\n", 0, closed.end())
    return Insertion(made.place.file, line, column, newline + sql.replace("\n", newline))
