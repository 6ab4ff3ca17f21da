"""Building a database from a folder of SQL files: each file in one transaction, together with the record that it was applied."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

from pgcharter.errors import PgcharterError, RefusedError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.sqltext import Meta, Parsed, Statement

Advance = Callable[[str, int, int], None]
"""Told `(what, done, total)`."""
LOCK = 0x70676368_75700001
"""Advisory lock that one builder of a database holds at a time."""
_HARMLESS = {"echo", "qecho", "warn", "set", "unset", "timing", "pset", "x", "encoding", "restrict", "unrestrict", "conninfo"}
_DESCRIPTION = re.compile(r"^--\s*(?:Description|Migration):\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class File:
    """One SQL file of a project."""

    version: str
    """Its identity in the record: path in the project without suffix."""
    shown: str
    parsed: Parsed
    checksum: str

    @property
    def description(self) -> str:
        """What its header says it does; empty without a header."""
        found = _DESCRIPTION.findall(self.parsed.text)
        return found[-1][:1000] if found else ""


def read_files(project: Path, targets: Sequence[str] = ()) -> list[File]:
    """The SQL files of `project` in the order they run: those of `targets` (folders or files in it), or all of them.

    Raises UsageError when there is none or one is not text, PgcharterError when one is not SQL.
    """
    from pgcharter.sources import layout

    found = [f for target in (targets or ("",)) for f in layout.find(str(project / target))[1] if f.direction == "up"]
    return [_read(project, f.path, f.name) for f in found]


def _read(project: Path, path: Path, shown: str) -> File:
    from pgcharter import sqltext
    from pgcharter.sources.text import read_text

    text = read_text(path, shown)
    parsed = sqltext.parse(text, shown)
    for broken in parsed.errors:
        if broken.direction == "up":
            raise PgcharterError(f"this is not SQL, so nothing was run: {broken.message}", place=str(broken.place))
    for meta in parsed.metas:
        _tolerate(meta)
    relative = path.resolve().relative_to(project.resolve()) if path.resolve().is_relative_to(project.resolve()) else Path(path.name)
    return File(relative.with_suffix("").as_posix(), shown, parsed, hashlib.sha256(text.encode()).hexdigest())


def _tolerate(meta: Meta) -> None:
    if meta.command not in _HARMLESS:
        raise PgcharterError(
            f"\\{meta.command} is a command of psql and not SQL, so this file can only be run by psql",
            place=str(meta.place),
            hint="take it out, or run the file with `pgcharter server psql`",
        )


@contextmanager
def alone(conn: Connection, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock that keeps two builders of one database apart; `waiting` is called once when somebody else has it."""
    told = False
    while not _true(conn, "SELECT pg_try_advisory_lock(%s)"):
        if waiting and not told:
            waiting()
        told = True
        time.sleep(0.2)
    try:
        yield
    except BaseException:
        conn.close()  # it may be in the middle of something; its lock ends with it
        raise
    conn.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))


def _true(conn: Connection, sql: LiteralString) -> bool:
    row = conn.execute(sql, (LOCK,)).fetchone()
    return bool(row and row[0])


def install(conn: Connection) -> None:
    """Make the tables that record what was done, where they are missing."""
    with conn.transaction():
        conn.execute(query("install"))


def query(name: str) -> LiteralString:
    """A query of `ledger.sql`."""
    from pgcharter.db import queries

    return queries.load("pgcharter.examples", "ledger.sql")[name]


def build(conn: Connection, files: Sequence[File], advance: Advance | None = None) -> int:
    """Apply those of `files` that the record does not have, in order; return how many these were.

    Raises RefusedError when a file was edited after it had been applied, PgcharterError with place and PostgreSQL's message when a
    statement fails; its file leaves nothing behind.
    """
    applied = _applied(conn, files)
    for file in files:
        _unchanged(file, applied.get(file.version))
    waiting = [f for f in files if f.version not in applied]
    for number, file in enumerate(waiting):
        if advance:
            advance(file.shown, number, len(waiting))
        with conn.transaction():
            for statement in file.parsed.statements:
                _run(conn, statement)
            conn.execute("RESET ALL; RESET SESSION AUTHORIZATION")
            conn.execute(query("record"), (file.version, file.checksum, file.description or None))
    return len(waiting)


def _applied(conn: Connection, files: Sequence[File]) -> dict[str, tuple[str, str]]:
    """Checksum and time of what was applied, by version; what `pgcharter migrate` has applied counts too."""
    from pgcharter.migrate import ledger, state
    from pgcharter.migrate.files import checksum

    runs = state.applied_runs(ledger.read(conn))
    found = {run.version: (run.checksum, state.when(run)) for run in runs}
    theirs = {run.file: run for run in runs if run.file}
    for file in files:
        run = theirs.get(Path(file.shown).name)
        if run is not None and file.version not in found:
            same = checksum(file.parsed.text) == run.checksum
            found[file.version] = (file.checksum if same else run.checksum, state.when(run))
    return found


def _unchanged(file: File, applied: tuple[str, str] | None) -> None:
    if applied and applied[0] != file.checksum:
        raise RefusedError(
            f"{file.shown} was applied on {applied[1]} and has been edited since, so the database is not what the file says",
            hint="undo the edit and write the change as a new file; or run `pgcharter up` with --fresh, which drops the database first",
        )


def _run(conn: Connection, statement: Statement) -> None:
    import psycopg

    if statement.direction != "up" or not _wanted(statement):
        return
    try:
        conn.execute(statement.text.encode())
    except psycopg.Error as error:
        raise _failed(statement, error) from None


def _wanted(statement: Statement) -> bool:
    """Whether to run it: BEGIN and COMMIT are ours. Raises PgcharterError for what would end the transaction or needs psql."""
    node = statement.node
    if statement.kind == "transaction_stmt":
        word = statement.text.split()[0].lower()
        if word in ("begin", "start", "commit", "end"):
            return False
        raise PgcharterError(f"{word.upper()} would break the transaction that the file runs in", place=str(statement.place))
    if statement.kind == "copy_stmt" and node.is_from and not node.filename:
        raise PgcharterError(
            "COPY … FROM stdin takes its data from psql, which is not here",
            place=str(statement.place),
            hint="run this file with `pgcharter server psql`",
        )
    return True


def _failed(statement: Statement, error: Exception) -> PgcharterError:
    import psycopg

    from pgcharter.sqltext import offset_place

    assert isinstance(error, psycopg.Error)  # noqa: S101
    if isinstance(error, psycopg.errors.ActiveSqlTransaction):
        return PgcharterError(
            "this statement cannot run in a transaction, so its file cannot be applied either whole or not at all",
            place=str(statement.place),
            hint="leave out CONCURRENTLY: on a database that is being built nobody waits for a lock",
        )
    said = error.diag.message_primary or str(error).strip() or type(error).__name__
    position = int(error.diag.statement_position or 0)
    hint = error.diag.message_hint or error.diag.message_detail or ""
    return PgcharterError(f"PostgreSQL refused this statement: {said}", place=str(offset_place(statement, position)), hint=hint)
