"""How a run ends: its outcome as a value, and what PostgreSQL's errors mean for somebody who must know what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg

from pgcharter.migrate.model import Migration, Unit
from pgcharter.migrate.watch import Backend, Planned
from pgcharter.redact import redact

Status = Literal["done", "planned", "stopped", "failed", "interrupted"]
Reason = Literal["", "gate", "window", "asked", "strain", "lock", "statement", "server", "disk", "begun", "refused"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended. Whatever the status: the same command run again goes on where this run ended."""

    status: Status
    """done: everything is applied. planned: a dry run. stopped: the terms do not allow to go on. failed. interrupted: by Ctrl-C."""
    applied: tuple[Migration, ...] = ()
    """Migrations finished by this run, in order."""
    skipped: tuple[Migration, ...] = ()
    """Migrations that the ledger had as finished already."""
    migration: Migration | None = None
    """Where the run ended; None when it is done."""
    number: int = 0
    """Number of the first unit there that is not done, from 0."""
    units: int = 0
    """How many units it has."""
    reason: Reason = ""
    message: str = ""
    """One sentence: what happened, and what is applied."""
    hint: str = ""
    """What to do next."""
    place: str = ""
    """File and line of the statement."""
    sqlstate: str = ""
    blockers: tuple[Backend, ...] = ()
    planned: tuple[Planned, ...] = ()


class EndError(Exception):
    """The run ends here; never leaves the package."""

    def __init__(
        self, status: Status, reason: Reason, message: str, hint: str = "", *, place: str = "", sqlstate: str = "",
        blockers: tuple[Backend, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.reason, self.message, self.hint, self.place = status, reason, message, hint, place
        self.sqlstate, self.blockers = sqlstate, blockers


AGAIN = "run the same command again: it goes on where this run ended"
_GONE = ("57P01", "57P02", "57P03", "57P05", "25P03", "25P04")
_FULL = ("53100", "58030")


def failed(error: psycopg.Error, migration: Migration, number: int, unit: Unit, sql: str, direction: str, *, lost: bool) -> EndError:
    """The ending that an error of the server makes, met in statement `sql` of a unit that was rolled back or stood alone."""
    state = error.sqlstate or ""
    said = redact(" ".join((error.diag.message_primary or str(error) or "the connection was closed").split()))
    place = _place(migration, unit, sql, error, direction)
    if lost or state.startswith("08") or state in _GONE:
        message = f"the server ended the connection in {_where(migration, number)}: {said}; what was not committed is rolled back"
        return EndError("failed", "server", message, f"when the server is there again, {AGAIN}", place=place, sqlstate=state)
    if state in _FULL:
        message = f"the server has no space left, so {_where(migration, number)} failed: {said}; {_kept(unit)}"
        return EndError("failed", "disk", message, f"make room on the server's disk, then {AGAIN}", place=place, sqlstate=state)
    detail = " ".join(part.strip() for part in (error.diag.message_detail, error.diag.message_hint) if part)
    message = f"{_where(migration, number)} failed: {said}; {_kept(unit)}"
    hint = f"{redact(detail)} " if detail else ""
    return EndError("failed", "statement", message, f"{hint}correct the file, then {AGAIN}", place=place, sqlstate=state)


def _where(migration: Migration, number: int) -> str:
    return f"unit {number + 1} of {migration.title}"


def _kept(unit: Unit) -> str:
    if unit.backfill:
        return "the batches before it are kept"
    return "of this unit nothing is applied" if unit.transactional else "it stands outside of any transaction"


def _place(migration: Migration, unit: Unit, sql: str, error: psycopg.Error, direction: str) -> str:
    """File and line, by the place of the statement's text in the file and PostgreSQL's position in the statement."""
    below = direction == "down" and bool(migration.down_file)
    name = migration.down_file if below else migration.file or (str(migration.path) if migration.path else "")
    text, above = (migration.down_text, 0) if below else (migration.text, migration.line - 1)
    start = text.find(sql, _offset(text, unit.line - above)) if sql else -1
    if start < 0:
        return f"{name}:{unit.line}" if name and unit.line else name
    position = error.diag.statement_position
    inside = sql[: int(position) - 1] if position and position.isdigit() else ""
    return f"{name}:{above + 1 + text.count(LINE, 0, start) + inside.count(LINE)}"


LINE = "\n"


def _offset(text: str, line: int) -> int:
    at = 0
    for _ in range(line - 1):
        at = text.find(LINE, at) + 1
        if not at:
            return 0
    return at
