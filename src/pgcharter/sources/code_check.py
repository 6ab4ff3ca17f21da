"""Bodies of PL/pgSQL held against what is there by the extension plpgsql_check, where a server has it: what it says becomes findings.

A live database is asked only when the extension is installed in it; on a scratch database it is created once everything else was read.
What the extension cannot know is not told: statements on temporary tables that some body creates, and what follows from them; names that
an extension would have brought which the scratch server lacks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.catalog.model import Function
from pgcharter.catalog.reading import Reading
from pgcharter.db.queries import query
from pgcharter.findings import Finding, Gap, Place, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.redact import redact

if TYPE_CHECKING:
    from pgcharter.db import Connection

SCHEMA = "pgcharter_code"
"""Where the extension is created on a scratch database."""
ERROR, WARNING, PERFORMANCE, SECURITY = "SRC06", "SRC07", "SRC08", "SRC09"
CODES = (ERROR, WARNING, PERFORMANCE, SECURITY)
SECONDS = 60
"""How long one database may be looked at."""
_LEVELS = {
    "error": (ERROR, Severity.ERROR), "warning": (WARNING, Severity.WARNING), "warning extra": (WARNING, Severity.INFO),
    "performance": (PERFORMANCE, Severity.INFO), "security": (SECURITY, Severity.INFO),
}  # fmt: skip
_UNDEFINED = ("42P01", "42883", "42704", "3F000", "42703", "55000", "42P02")
"""SQLSTATEs of names that are not there, and of records whose columns are not known for want of them."""
_NAME = r'(?:"(?:[^"]|"")+"|%[Is]|[\w$]+)'
_TEMPORARY = re.compile(
    rf"\b(?:create|into)\s+(?:(?:local|global)\s+)?temp(?:orary)?\s+(?:table\s+|view\s+|sequence\s+)?(?:if\s+not\s+exists\s+)?({_NAME})",
    re.I,
)
_CAST = "42804"
"""SQLSTATE of a value that is cast in secret: nothing that fails."""
_DYNAMIC = re.compile(r"\bexecute\b", re.IGNORECASE)
_VOLATILITY = "routine is marked as"
"""How a verdict on volatility begins: it is a guess where a statement cannot be seen into."""
_MISSING = re.compile(r'relation "(?:pg_temp\.)?([^"]+)" does not exist')


@dataclass(frozen=True, slots=True)
class _Routine:
    """One thing to check: a routine, or a trigger function for one relation."""

    oid: int
    id: ObjectId
    trigger: bool
    polymorphic: bool
    relation: int | None
    table: str
    """The relation in SQL; empty for what is no trigger function."""
    old_table: str | None
    new_table: str | None


class CodeCheck:
    """A further look (`pgcharter.sources.Look`) that checks the bodies of PL/pgSQL routines."""

    def prepare(self, admin: Connection) -> None:
        """Create the extension in a scratch database, where the server has it and we may. Nothing is created on a live one."""
        with suppress(psycopg.Error), admin.transaction():
            major = admin.info.server_version // 10000
            if admin.execute(_query("offered", major)).fetchone() and not admin.execute(_query("extension", major)).fetchone():
                admin.execute(f"CREATE SCHEMA {SCHEMA}")
                admin.execute(f"CREATE EXTENSION plpgsql_check SCHEMA {SCHEMA}")
                admin.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC")

    def __call__(self, conn: Connection, reading: Reading) -> Reading:
        """`reading` with what plpgsql_check says, or with a gap when it cannot be asked."""
        if reading.catalog is None:
            return reading
        count = sum(f.language == "plpgsql" for f in reading.catalog.own_functions)
        if not count:
            return reading
        try:
            found, gaps = _checked(conn, reading)
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error).strip().splitlines()[0]
            found, gaps = [], [Gap(_bodies(count), f"not checked by plpgsql_check: PostgreSQL says: {redact(said)}")]
        return replace(reading, findings=(*reading.findings, *found), gaps=(*reading.gaps, *gaps))


def _bodies(count: int) -> str:
    return "the body of 1 PL/pgSQL routine" if count == 1 else f"the bodies of {count:,} PL/pgSQL routines"


def _query(name: str, major: int) -> str:
    return query("pgcharter.sources", "code_check.sql", name, major)


def _checked(conn: Connection, reading: Reading) -> tuple[list[Finding], list[Gap]]:
    """Ask for every routine."""
    assert reading.catalog is not None  # noqa: S101
    count, major = sum(f.language == "plpgsql" for f in reading.catalog.own_functions), conn.info.server_version // 10000
    with _looking(conn):
        there = conn.execute(_query("extension", major)).fetchone()
        if there is None:
            return [], [Gap(_bodies(count), "not checked by plpgsql_check: the extension is not there")]
        conn.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        routines = [_routine(row) for row in conn.execute(_query("routines", major)).fetchall()]
    asked = [r for r in routines if not r.polymorphic and (r.table or not r.trigger)]
    rows, unseen = _asked(conn, f"{there[0]}.plpgsql_check_function_tb", asked, major)
    found, gaps = _told(rows, reading)
    return found, [*_gaps(routines), *unseen, *gaps]


@contextmanager
def _looking(conn: Connection, milliseconds: int = 20_000) -> Iterator[None]:
    """A transaction that can only read, waits for nobody for long, and leaves nothing behind."""
    with conn.transaction(force_rollback=True):
        conn.execute(f"SET TRANSACTION READ ONLY; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = {milliseconds}")
        yield


def _routine(row: Sequence[Any]) -> _Routine:
    oid, schema, name, arguments, procedure, trigger, polymorphic, relation, table_schema, table, old, new = row
    address = ObjectId("procedure" if procedure else "function", schema, f"{name}({arguments})")
    return _Routine(oid, address, trigger, polymorphic, relation, f"{quote(table_schema)}.{quote(table)}" if table else "", old, new)


Row = tuple[_Routine, Sequence[Any]]


def _asked(conn: Connection, function: str, routines: Sequence[_Routine], major: int) -> tuple[list[Row], list[Gap]]:
    """What plpgsql_check says of each routine, and which it could not be asked about.

    Each is asked in a transaction of its own, so that the locks on what it names, which keep nobody from reading and writing, are not held
    for longer than that.
    """
    until = time.monotonic() + SECONDS
    found: list[Row] = []
    gaps: list[Gap] = []
    for number, routine in enumerate(routines):
        left = int((until - time.monotonic()) * 1000)
        if left <= 0:
            gaps.append(Gap(_bodies(len(routines) - number), f"not checked by plpgsql_check: there was no time left after {SECONDS} s"))
            break
        try:
            with _looking(conn, left):
                conn.execute(_query("path", major), [quote(routine.id.schema)])
                sql = _CALL.format(function=function)
                values = [routine.oid, routine.relation, routine.old_table, routine.new_table]
                found += [(routine, row) for row in conn.execute(sql.encode(), values).fetchall()]
        except psycopg.Error as error:
            said = error.diag.message_primary
            if said is None or conn.closed:
                raise
            gaps.append(Gap(f"the body of {routine.id}", f"not checked by plpgsql_check: PostgreSQL says: {redact(said)}"))
    return found, gaps


_CALL = """
SELECT lineno, statement, sqlstate, message, detail, hint, level, query
  FROM {function}(%s::oid::regprocedure, coalesce(%s::oid, 0)::regclass, fatal_errors => false, performance_warnings => true,
                  security_warnings => true, oldtable => %s::name, newtable => %s::name)
"""


def _gaps(routines: Iterable[_Routine]) -> Iterator[Gap]:
    whys = {
        "it is polymorphic: what it does depends on the types it is called with": [r.id for r in routines if r.polymorphic],
        "no trigger calls it, so its rows are not known": [r.id for r in routines if r.trigger and not r.table and not r.polymorphic],
    }
    for why, several in whys.items():
        if several:
            names = ", ".join(i.sql() for i in several[:5]) + (f" and {len(several) - 5} more" if len(several) > 5 else "")
            yield Gap(f"the body of {names}", f"not checked by plpgsql_check: {why}")


def _told(rows: Sequence[Row], reading: Reading) -> tuple[list[Finding], list[Gap]]:
    """The findings; and which bodies were only partly looked at, since temporary tables do not exist while they are checked."""
    assert reading.catalog is not None  # noqa: S101
    temporary = _temporary(reading.catalog.own_functions)
    unsure = {r.id for r, row in rows if row[2] == "42P01" and _is_temporary(str(row[3]), temporary)}
    hidden = {r.id for r, row in rows if row[6] == "error"} | {f.id for f in reading.catalog.own_functions if _DYNAMIC.search(f.body)}
    blind = any(gap.what.lower().startswith("create extension") for gap in reading.gaps)
    found: dict[str, Finding] = {}
    for routine, row in rows:
        if row[6] == "error" and ((blind and row[2] in _UNDEFINED) or (routine.id in unsure and _follows(row, temporary))):
            continue
        if routine.id in hidden and str(row[3]).startswith(_VOLATILITY):
            continue
        finding = _finding(routine, row, reading)
        found.setdefault(finding.key, finding)
    gaps = [Gap(f"statements of {i} on temporary tables", "not checked by plpgsql_check: they do not exist yet") for i in sorted(unsure)]
    return list(found.values()), gaps


def _temporary(functions: Iterable[Function]) -> frozenset[str]:
    """Names of temporary tables that any body makes; `%` when one makes them under names that only it knows."""
    names = {n for f in functions for n in _TEMPORARY.findall(f.body)}
    return frozenset("%" if n.startswith("%") else n[1:-1].replace('""', '"') if n.startswith('"') else n.lower() for n in names)


def _is_temporary(message: str, temporary: frozenset[str]) -> bool:
    missing = _MISSING.fullmatch(message)
    return bool(missing and "." not in missing[1] and (missing[1] in temporary or "%" in temporary))


def _follows(row: Sequence[Any], temporary: frozenset[str]) -> bool:
    """Whether an error comes of a temporary table that is not there: its own, or that of a record that was to hold its rows."""
    message = str(row[3])
    return row[2] == "55000" or message.startswith("record ") or _is_temporary(message, temporary)


def _finding(routine: _Routine, row: Sequence[Any], reading: Reading) -> Finding:
    line, statement, sqlstate, message, detail, hint, level, text = row
    code, severity = _LEVELS.get(level, (WARNING, Severity.INFO))
    severity = Severity.INFO if sqlstate == _CAST and severity is Severity.WARNING else severity
    where = f" for {routine.table}" if routine.table else ""
    at = f", at line {line} of its body" if line else ""
    doing = f" ({statement})" if statement and line else ""
    says = {ERROR: "fails when it runs", SECURITY: "may be made to run other SQL"}.get(
        code, "is doubtful" if code == WARNING else "is slow"
    )
    facts = {"detail": f"{routine.table} {message}".strip()[:160], "sqlstate": sqlstate, "level": level, "line": line, "query": text}
    return Finding(
        code,
        f"{routine.id}{where} {says}: {redact(message)}{at}{doing}",
        routine.id,
        _place(routine.id, line, reading),
        severity,
        ". ".join(redact(part).rstrip(".") for part in (detail, hint) if part),
        facts={k: v for k, v in facts.items() if v is not None},
    )


def _place(routine: ObjectId, line: int | None, reading: Reading) -> Place | None:
    """Where a line of the body stands in the file that makes the routine; where the routine is made, when that cannot be told."""
    made = reading.places.get(routine)
    function = reading.catalog.function.get(routine) if reading.catalog else None
    statement = next((s for s in reading.statements if s.place == made), None) if made and line and function else None
    if statement is None or function is None or line is None or statement.source is None:
        return made
    start = max(statement.text.find(function.body), statement.text.find(function.body.replace("'", "''")))
    if start < 0:
        return made
    lines = statement.text[start:].split("\n")[:line]
    ahead = sum(len(text) + 1 for text in lines[:-1]) + len(lines[-1]) - len(lines[-1].lstrip())
    return statement.source.place(statement.offset + start + ahead)


def faults(findings: Iterable[Finding]) -> Mapping[ObjectId, tuple[Finding, ...]]:
    """The findings that say a routine fails, by routine."""
    found: dict[ObjectId, tuple[Finding, ...]] = {}
    for finding in findings:
        if finding.code == ERROR and finding.object is not None:
            found[finding.object] = (*found.get(finding.object, ()), finding)
    return found
