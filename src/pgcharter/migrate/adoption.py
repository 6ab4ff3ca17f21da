"""Databases that another tool has migrated so far: what its own table says is applied, held against the files, to be taken as a baseline.

The tables are those of Flyway (flyway_schema_history, before version 5 schema_version), goose, dbmate (and whoever else keeps a list of
versions in schema_migrations, as Rails and Ecto do), golang-migrate, sql-migrate, node-pg-migrate, Liquibase and Sqitch. They are read and
never changed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from pgcharter.db import queries
from pgcharter.errors import RefusedError, UsageError
from pgcharter.migrate import layouts
from pgcharter.migrate.files import Folder
from pgcharter.migrate.model import Migration
from pgcharter.migrate.problems import Problem
from pgcharter.names import quote

if TYPE_CHECKING:
    from pgcharter.db import Connection

_SHAPES = (
    ("flyway", "flyway_schema_history", {"installed_rank", "version", "type", "script", "checksum", "success"}),
    ("flyway", "schema_version", {"installed_rank", "version", "type", "script", "checksum", "success"}),
    ("goose", "goose_db_version", {"id", "version_id", "is_applied"}),
    ("golang-migrate", "schema_migrations", {"version", "dirty"}),
    ("dbmate", "schema_migrations", {"version"}),
    ("sql-migrate", "gorp_migrations", {"id", "applied_at"}),
    ("node-pg-migrate", "pgmigrations", {"id", "name", "run_on"}),
    ("liquibase", "databasechangelog", {"id", "author", "filename", "orderexecuted"}),
    ("sqitch", "changes", {"change", "change_id", "committed_at", "project"}),
)
"""Tool, name of its table, and columns that tell it; the first that fits counts."""
TABLES = tuple(sorted({name for _, name, _ in _SHAPES}))
"""What such tables are called."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of another tool's table."""

    version: str
    file: str
    word: str
    """applied; upto: with everything before it; gone: taken back, or struck from the record; failed."""
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What another tool has recorded."""

    tool: str
    table: str
    """Its table, as SQL."""
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Adoption:
    """What of a folder is applied by another tool's record."""

    migrations: tuple[Migration, ...]
    """In the order of the folder."""
    edited: tuple[Migration, ...] = ()
    """Those of them whose text is not the one that was applied, where the tool keeps checksums."""
    unknown: tuple[str, ...] = ()
    """What the tool has applied and no file is there for."""


def histories(conn: Connection, *, near: bool = False) -> tuple[History, ...]:
    """The records of other tools in the database, as far as the role may read them; empty ones are left out.

    `near`: only those in schemas of the search_path, and in a schema with a history of its own only those in it.
    """
    found: list[History] = []
    for schema, name, columns in conn.execute(_sql("tables").encode(), (list(TABLES), near)).fetchall():
        tool = next((tool for tool, table, needed in _SHAPES if table == name and needed <= set(columns)), None)
        if tool:
            table = f"{quote(schema)}.{quote(name)}"
            rows = conn.execute(_sql(tool.replace("-", "_")).replace("{table}", table).encode()).fetchall()
            found += [History(tool, table, tuple(Record(*row) for row in rows))] if rows else []
    return tuple(found)


def choose(found: Sequence[History], word: str) -> History:
    """The record that a person means by a tool or its table. Raises UsageError for none or several."""
    fitting = [h for h in found if word in (h.tool, h.table, h.table.replace('"', ""))]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{h.table} of {h.tool}" for h in found) or "none at all"
    if fitting:
        raise UsageError(f"{word} has {len(fitting)} records in this database: {known}", hint=f"name the table: --from {fitting[0].table}")
    raise UsageError(f"this database has no record of {word}; what is there: {known}", hint="pgcharter migrate baseline VERSION")


def adopt(history: History, folder: Folder) -> Adoption:
    """What of the folder is applied. Raises RefusedError for a record that a migration failed: nobody knows then what is applied."""
    held: dict[str, Record] = {}
    upto: tuple[int, ...] = ()
    for record in history.records:
        if record.word == "failed":
            raise RefusedError(
                f"{history.table} says that {record.file or record.version} failed under {history.tool}, so what is applied cannot be"
                " known",
                hint=f"mend the database and the record with {history.tool} first",
            )
        key = record.version or record.file
        if record.word == "upto":
            upto = max(upto, layouts.numbers(record.version))
        elif record.word == "gone":
            held.pop(key, None)
        else:
            held[key] = record
    below = {id(m): m for m in folder.migrations if m.version and upto and layouts.numbers(m.version) <= upto}
    pairs = [(record, _file(record, folder.migrations)) for record in held.values()]
    again = {id(m) for record, m in pairs if m and m.kind == "repeatable" and _edited(record, m)}
    made = {**below, **{id(m): m for _, m in pairs if m and id(m) not in again}}
    return Adoption(
        tuple(m for m in folder.migrations if id(m) in made),
        tuple(m for record, m in pairs if m and id(m) in made and _edited(record, m)),
        tuple(record.file or record.version for record, m in pairs if m is None),
    )


def _file(record: Record, migrations: Iterable[Migration]) -> Migration | None:
    """The migration that a line of the record is of: by the version, and by the file where that is not enough."""
    path = PurePath(record.file)
    named = layouts.named(PurePath(path.name)) if record.file else None
    version = record.version or (named.version if named else "")
    numbers = layouts.numbers(version)
    same = [m for m in migrations if (m.version == version if not numbers else layouts.numbers(m.version) == numbers)]
    if not version or len(same) > 1:
        same = [m for m in same if PurePath(m.file).name == path.name]
    return same[0] if len(same) == 1 else None


def _edited(record: Record, m: Migration) -> bool:
    return record.checksum is not None and record.checksum != flyway_checksum(m.text)


def flyway_checksum(text: str) -> int:
    """The CRC-32 of a file as Flyway keeps it: of its lines without their ends and without a byte order mark, as a signed number.

    Source: Flyway's own StringResource and ChecksumCalculator, which read line by line.
    """
    lines = re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))
    value = zlib.crc32("".join(lines).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def problems(conn: Connection, folder: Folder) -> tuple[Problem, ...]:
    """What stands in the way where the ledger is empty: files that another tool, by its table on the search_path, has applied already.

    It refuses where the same files are meant without doubt, by their names or by a moment as version; small numbers may be another's.
    """
    for history in histories(conn, near=True):
        try:
            found = adopt(history, folder).migrations
        except RefusedError as error:
            return (Problem("elsewhere", error.message, error.hint, history.table),)
        if found:
            names = {PurePath(m.file).name for m in found}
            sure = any(PurePath(r.file).name in names for r in history.records) or any(len(m.version) >= 8 for m in found)
            message = (
                f"the ledger of this database is empty, and {history.table} says that {history.tool} has applied {len(found):,} of the "
                f"{len(folder.migrations):,} files here, which would be run again"
            )
            return (Problem("elsewhere", message, f"take that over: pgcharter migrate baseline --from {history.tool}", refuses=sure),)
    return ()


def _sql(name: str) -> str:
    return queries.load("pgcharter.migrate", "adoption.sql")[name]
