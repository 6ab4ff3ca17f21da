"""What `pgcharter security watch` reads beside catalog and roles: sessions, and the server's log where it may be read."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from pgcharter.catalog.alarms import Alarm
from pgcharter.db import Connection
from pgcharter.db.queries import load
from pgcharter.findings import Gap
from pgcharter.names import quote

MOST = 16 * 2**20
"""Bytes of log read at a time; what is before is skipped, and said so."""
_FAILED = re.compile(
    r'\bFATAL:\s+(?P<what>[\w-]+ authentication failed for user "(?P<user>.*)"|role "(?P<role>.*)" does not exist'
    r"|no pg_hba\.conf entry for [^\n]*|pg_hba\.conf rejects connection for [^\n]*)"
)
_DATED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.MULTILINE)
"""Where an entry of a CSV log begins."""
_AUTHORIZED = re.compile(r"connection authorized: user=(?P<user>.+?) database=(?P<rest>[^\n]*)")


@dataclass(frozen=True)
class Position:
    """How far the server's log has been read."""

    file: str = ""
    offset: int = 0


@dataclass(frozen=True)
class Session:
    """A client that is connected now."""

    key: str
    role: str
    address: str
    application: str
    privileged: bool
    tls: bool


def sessions(conn: Connection) -> tuple[tuple[Session, ...], tuple[Gap, ...]]:
    """Clients that are connected, all that our role may see."""
    sql = load("pgcharter.sources", "security.sql")
    row = conn.execute(sql["log_rights"]).fetchone()
    gaps = (
        ()
        if row and row[3]
        else (Gap("sessions of other roles", "only members of pg_read_all_stats see when and from where they connect"),)
    )
    return tuple(Session(*r) for r in conn.execute(sql["sessions"]) if r[0]), gaps


def log_since(conn: Connection, last: Position | None) -> tuple[str, Position | None, tuple[Gap, ...]]:
    """The log written since `last` (None: nothing, only where it ends now), whole lines; where it cannot be read, why."""
    sql = load("pgcharter.sources", "security.sql")
    row = conn.execute(sql["log_rights"]).fetchone()
    current, read, collector, _ = row or (False, False, "off", False)
    if collector != "on":
        return "", None, (_gap("the server hands its log to whoever started it (logging_collector is off), where SQL cannot read it"),)
    if not (current and read):
        return "", None, (_gap("the role may not read it: GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean)"),)
    try:
        ((file,),) = conn.execute(sql["log_file"]).fetchall()
        if not file:
            return "", last, (_gap("the server writes no log file (log_destination), so SQL has nothing to read"),)
        return _read(conn, file, last)
    except psycopg.Error as error:
        return "", last, (_gap(f"PostgreSQL said {error.diag.message_primary!r}"),)


def _gap(why: str) -> Gap:
    return Gap("failed logins, and logins that have ended", why)


def _read(conn: Connection, file: str, last: Position | None) -> tuple[str, Position, tuple[Gap, ...]]:
    queries = load("pgcharter.sources", "security.sql")
    if last is None:
        return "", Position(file, _size(conn, file)), ()
    pieces: list[str] = []
    gaps: list[Gap] = []
    offset = 0
    for name in dict.fromkeys((last.file, file)):
        begin, size = (last.offset if name == last.file else 0), _size(conn, name)
        if size - begin > MOST:
            gaps.append(_gap(f"{name} has grown by more than {MOST // 2**20} MB since the last look: the part before the last is skipped"))
            begin = size - MOST
        part = conn.execute(queries["log_part"], [name, begin, max(size - begin, 0)]).fetchone()
        text = (part[0] if part else b"") or b""
        whole = text[: text.rfind(b"\n") + 1] if name == file else text
        pieces.append(entries(name, whole.decode("utf-8", "replace")))
        offset = begin + len(whole)
    return "\n".join(pieces), Position(file, offset), tuple(gaps)


def entries(file: str, text: str) -> str:
    """A part of a log as lines of severity and message, also of one that is written as CSV or JSON (documentation, Error Reporting)."""
    if file.endswith(".csv"):
        begun = _DATED.search(text)
        rows = csv.reader(io.StringIO(text[begun.start() :] if begun else ""))
        return "\n".join(_entry(row[11], row[13]) for row in rows if len(row) > 13)
    if file.endswith(".json"):
        return "\n".join(_entry(one.get("error_severity"), one.get("message")) for one in map(_object, text.splitlines()) if one)
    return text


def _entry(severity: object, message: object) -> str:
    """An entry as the plain log has it: further lines of a message begin with a tab."""
    return f"{severity}:  {message}".replace("\n", "\n\t")


def _object(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _size(conn: Connection, file: str) -> int:
    row = conn.execute(load("pgcharter.sources", "security.sql")["log_size"], [file]).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def log_alarms(text: str, privileged: frozenset[str], me: str) -> Iterator[Alarm]:
    """Logins that failed, and those of `privileged` roles; those of the watcher, who is `me`, are left out."""
    failed: dict[tuple[str, str], int] = {}
    for line in text.split("\n"):
        found = None if line.startswith("\t") else _FAILED.search(line)
        if found:
            who = found["user"] or found["role"] or ""
            key = who, found["what"]
            failed[key] = failed.get(key, 0) + 1
            continue
        entry = _AUTHORIZED.search(line)
        if entry and entry["user"] in privileged and not (entry["user"] == me and "application_name=pgcharter" in entry["rest"]):
            yield Alarm(
                "login", entry["user"], f"role {quote(entry['user'])}, which is privileged, logged in: database={entry['rest'].strip()}"
            )
    for (who, what), times in failed.items():
        yield Alarm("failed login", who, f"{what}" + (f", {times} times" if times > 1 else ""))
