"""Rows that cannot be stored: which one, which column, why; without values of columns that hold secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import psycopg

from pgcharter.errors import PgcharterError
from pgcharter.names import quote
from pgcharter.redact import redact
from pgcharter.runtime.bulk_target import Column, Target
from pgcharter.runtime.colours import Steps

_SECRET = re.compile(
    r"pass(word|wd|phrase|_|$)|secret|token|credential|private|salt|hash|\bpin\b|cvv|cvc|card|iban|ssn|api_?key|diagnosis", re.I
)
_SHOWN = 60
_CAUSED = ("22", "23", "44", "P0")
"""Classes of errors that the values of a row cause: data exceptions, constraints, WITH CHECK OPTION, RAISE."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be stored."""

    number: int
    """Of the row in what was given, from 1; of CSV the line of the file on which the row ends."""
    reason: str
    column: str = ""
    value: str = ""
    """Cut to 60 characters; *** in a column whose name tells of a secret."""
    sqlstate: str = ""
    """Empty where the row never reached the server."""
    row: Any = field(default=None, repr=False)
    """As it was given, where it still was at hand."""


class BadRowError(PgcharterError):
    """A row that cannot be stored; nothing of the load is. `bad` tells of it."""

    def __init__(self, message: str, bad: BadRow, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.bad = bad


class UnfitError(Exception):
    """A row that cannot be written in a format; `final` where no other format would help."""

    def __init__(self, index: int, reason: str, column: str = "", value: Any = None, *, final: bool = False) -> None:
        super().__init__(reason)
        self.index, self.reason, self.column, self.value, self.final = index, reason, column, value, final


@dataclass(frozen=True, slots=True)
class Failure:
    """Why rows were refused; `index` of the row among those that were tried, from 0, where that is known."""

    index: int | None
    reason: str
    column: str = ""
    value: str = ""
    sqlstate: str = ""


def shown(column: str, value: Any) -> str:
    """A value as messages have it."""
    if value is None:
        return ""
    if _SECRET.search(column):
        return "***"
    text = repr(value[: _SHOWN + 1] if isinstance(value, str | bytes) else value)
    return redact(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def unfit(error: UnfitError) -> Failure:
    """What a row was refused for before it was sent."""
    return Failure(error.index, error.reason, error.column, shown(error.column, error.value))


def caused(error: psycopg.Error) -> bool:
    """Whether the values of a row are the cause, not the server, the connection, a privilege or the statement."""
    state = error.sqlstate or ""
    if state[:2] in _CAUSED and state not in ("22P06",):
        return True
    if state == "42501":
        return error.diag.source_function == "ExecWithCheckOptions"  # a row policy; a missing privilege comes from elsewhere
    if state == "54000":
        return True  # a row or key that is too big
    try:
        psycopg.errors.lookup(state)
    except KeyError:
        return bool(state)  # none of PostgreSQL's: a trigger's own
    return False


def told(error: psycopg.Error, target: str, columns: Sequence[Column], ahead: int = 0) -> Failure:
    """What the server said of a row; `target` is the name of the table that was copied to, `ahead` lines were sent before its first row."""
    line, rest = _context(error.diag.context or "", target)
    names = sorted((c.name for c in columns), key=len, reverse=True)
    column = error.diag.column_name or next((n for n in names if re.match(rf", \S+ {re.escape(n)}(: |\Z)", rest)), "")
    value = re.match(r'.*?: "(.*)"\Z', rest[len(column) :], re.DOTALL) if column else None
    reason = error.diag.message_primary or str(error)
    detail = error.diag.message_detail or ""
    if _SECRET.search(column):
        reason = re.sub(r'"[^"]*"?', '"***"', reason)
    if error.sqlstate in ("23505", "23503", "23P01") and detail and not _SECRET.search(detail.partition("=")[0]):
        reason = f"{reason}: {detail[:1].lower()}{detail[1:].rstrip('.')}"
    reason = redact(reason if len(reason) < 300 else reason[:300] + "…")
    return Failure(
        None if line is None else max(0, line - 1 - ahead), reason, column, shown(column, value and value[1]), error.sqlstate or ""
    )


def _context(context: str, target: str) -> tuple[int | None, str]:
    """The line that COPY was at and what follows; in other languages than English the first number after the table's name."""
    found = re.search(rf"^COPY {re.escape(target)}, line (\d+)", context, re.MULTILINE)
    if found is None:
        found = re.search(rf"^.*?{re.escape(target)}\D*?(\d+)", context, re.MULTILINE) if "COPY" in context else None
    return (int(found[1]), context[found.end() :]) if found else (None, "")


Report = Callable[[BadRow], Any] | Callable[[BadRow], Awaitable[Any]]
Bad = Literal["raise", "aside"] | Report | PathLike[str]


class Ward:
    """What becomes of bad rows: raised, or set aside up to a limit."""

    def __init__(self, bad: Bad, most: int, target: Target, unit: str) -> None:
        self._bad, self._most, self._target, self._unit = bad, most, target, unit
        self.kept: list[BadRow] = []
        self.count = 0
        if isinstance(bad, PathLike):
            Path(bad).write_text("")

    @property
    def aside(self) -> bool:
        """Whether bad rows are set aside."""
        return self._bad != "raise"

    def take(self, number: int, failure: Failure, row: Any = None) -> Steps[None]:
        """A bad row. Raises BadRowError where it is not to be set aside, or where there are too many."""
        bad = BadRow(number, failure.reason, failure.column, failure.value, failure.sqlstate, row)
        if not self.aside:
            raise self.error(bad)
        self.count += 1
        if self.count > self._most:
            raise BadRowError(
                f"more than {self._most:,} rows cannot be stored in {self._target.id}, so none is; the last: {self._sentence(bad)}",
                bad, hint="most_bad=… allows more",
            )  # fmt: skip
        if callable(self._bad):
            yield partial(self._bad, bad)
        elif isinstance(self._bad, PathLike):
            _write(Path(self._bad), bad)
        else:
            self.kept.append(bad)

    def error(self, bad: BadRow) -> BadRowError:
        """The error of a row."""
        hint = 'bad="aside" sets such rows aside and loads the others'
        return BadRowError(f"{self._sentence(bad)}; {self._target.id} is left as it was", bad, hint=hint)

    def unplaced(self, failure: Failure) -> BadRowError:
        """The error of a row that nobody can name."""
        bad = BadRow(0, failure.reason, failure.column, failure.value, failure.sqlstate)
        return BadRowError(f"a row cannot be stored in {self._target.id}: {bad.reason}; it is left as it was", bad)

    def _sentence(self, bad: BadRow) -> str:
        where = f"column {quote(bad.column)}" if bad.column else ""
        value = f"value {bad.value}" if bad.value else ""
        said = ", ".join(filter(None, (where, value)))
        return f"{self._unit} {bad.number:,} cannot be stored in {self._target.id}: " + (f"{said}: " if said else "") + bad.reason


def _write(path: Path, bad: BadRow) -> None:
    """One JSON object a line."""
    row = bad.row if isinstance(bad.row, dict | str) else list(bad.row) if isinstance(bad.row, list | tuple) else str(bad.row)
    entry = {"number": bad.number, "column": bad.column, "reason": bad.reason, "sqlstate": bad.sqlstate, "row": row}
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(json.dumps(entry, default=str) + "\n")
