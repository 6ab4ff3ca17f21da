"""How a run ends: its outcome as a value, and what PostgreSQL's errors mean for somebody who must know what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import psycopg

from pgcharter.migrate.model import Migration, Unit
from pgcharter.migrate.watch import Backend, Planned
from pgcharter.names import quote
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
_THERE = ("42701", "42710", "42723", "42P04", "42P06", "42P07")
"""SQLSTATEs of what is there already: a column, another object, a function, a database, a schema, a relation."""


def failed(
    error: psycopg.Error, migration: Migration, number: int, unit: Unit, sql: str, direction: str, *, lost: bool, role: str = ""
) -> EndError:
    """The ending that an error of the server makes, met by `role` in statement `sql` of a unit that was rolled back or stood alone."""
    state = error.sqlstate or ""
    said = redact(_said(error))
    place = _place(migration, unit, sql, error, direction)
    if state in _FULL:
        end = " and ended the connection" if lost else ""
        message = f"the server has no space left{end}, so {_where(migration, number)} failed: {said}; {kept(unit)}"
        hint = f"make room on the server's disk (rows of what was rolled back take room until their table is vacuumed), then {AGAIN}"
        return EndError("failed", "disk", message, hint, place=place, sqlstate=state)
    if lost or state.startswith("08") or state in _GONE:
        message = f"the server ended the connection in {_where(migration, number)}: {said}; what was not committed is rolled back"
        return EndError("failed", "server", message, f"when the server is there again, {AGAIN}", place=place, sqlstate=state)
    detail = " ".join(part.strip() for part in (error.diag.message_detail, error.diag.message_hint) if part)
    message = f"{_where(migration, number)} failed: {said}; {kept(unit)}"
    hint = f"{redact(detail)} " if detail else ""
    return EndError(
        "failed", "statement", message, hint + _remedy(state, migration, unit, direction, _leave(said, role)), place=place, sqlstate=state
    )


def _said(error: psycopg.Error) -> str:
    """What happened, in one sentence: where the connection broke, libpq has several."""
    if error.diag.message_primary:
        return " ".join(error.diag.message_primary.split())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("consuming input failed: ") if lines else "the connection was closed"


def _remedy(state: str, migration: Migration, unit: Unit, direction: str, leave: str) -> str:
    """What to do about an error that is neither the server's nor a lock's."""
    if state in _THERE and direction == "up" and migration.version:
        known = f"if the database has all of the file from elsewhere: pgcharter migrate baseline {migration.version}"
        return f"{known}; if not, correct the file, then {AGAIN}"
    if state == "42501":
        return f"{leave}, or connect as the owner, then {AGAIN}"
    if state == "57014":
        return f"if a timeout ended it, give it more: [migrate] statement_timeout in pgcharter.toml; then {AGAIN}"
    if state[:2] == "53":
        return f"raise that limit, or make the statement smaller, then {AGAIN}"
    if state == "2D000":
        return (
            "a procedure that commits must be called outside of a transaction: with the line `-- pgcharter: up` at its head, a file runs "
            f"each statement by itself; then {AGAIN}"
        )
    what = "correct the file" if unit.transactional and not unit.backfill and state[:2] != "23" else "correct the data, or the file"
    return f"{what}, then {AGAIN}"


def _leave(said: str, role: str) -> str:
    """What gives a role the right that it lacks, by PostgreSQL's own words (English or not: then in general)."""
    if not role:
        return "grant what is missing to the role that migrates"
    denied = re.match(
        r"permission denied for (?P<kind>schema|database|table|view|sequence|function|type|tablespace|language) (?P<name>.+)", said
    )
    owned = re.match(r"must be owner of (?P<kind>[a-z ]+) (?P<name>\S+)\Z", said)
    if denied:
        rights = {"schema": "USAGE, CREATE", "database": "CREATE"}.get(denied["kind"], "ALL")
        kind = "TABLE" if denied["kind"] == "view" else denied["kind"].upper()
        return f"as its owner: GRANT {rights} ON {kind} {quote(denied['name'])} TO {quote(role)}"
    if owned and owned["kind"] != "relation":
        return f"ALTER {owned['kind'].upper()} {quote(owned['name'])} OWNER TO {quote(role)}"
    return f"grant what is missing to role {quote(role)}"


def _where(migration: Migration, number: int) -> str:
    return f"unit {number + 1} of {migration.title}"


def kept(unit: Unit) -> str:
    """What stays of a unit that failed."""
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
