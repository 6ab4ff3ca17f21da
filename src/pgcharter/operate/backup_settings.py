"""`[backup]` of the charter: what is promised (RPO, RTO), and how copies are made, kept, encrypted and tried."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds

Word = Literal["never", "hourly", "daily", "weekly", "monthly"]
"""When a job runs, as the scheduler reads it."""


def _variable(value: Any) -> None:
    if value and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) is None:
        raise UsageError(f"{value!r} is not the name of an environment variable", hint='write key_env = "BACKUP_KEY"')


def _level(value: Any) -> None:
    if not 1 <= value <= 19:
        raise UsageError(f"{value} is no level of compression", hint="write 1 (quick) to 19 (small)")


def _count(value: Any) -> None:
    if value < 0:
        raise UsageError(f"{value} is no number of backups", hint="write 0 (no limit by number) or more")


_TIMES: dict[str, Any] = {"check": seconds}


@dataclass(frozen=True)
class InvariantTable:
    """`[[backup.invariant]]`: SQL that must return no rows, asked of every restored copy."""

    name: str
    """What must hold: orders_have_items."""
    sql: str
    """A query whose rows are what is wrong."""
    database: str = ""
    """Database it is asked of; empty: that of the environment."""


@dataclass(frozen=True)
class DrillSection:
    """`[backup.drill]`: how restoring is rehearsed."""

    when: Word = "weekly"
    """How often a drill is made, as a word for the scheduler; its evidence counts for twice that time."""
    window: str = field(default="7d", metadata=_TIMES)
    """How far back the random second may lie."""
    heap_all_indexed: bool = False
    """Whether amcheck also looks for rows that indexes lack, which reads every table once more."""
    folder: str = ""
    """Folder in which copies are restored, with room for the database; empty: the temporary folder."""


def _stanza(value: Any) -> None:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) is None:
        raise UsageError(f"{value!r} is no name of a stanza", hint='write stanza = "main"')


@dataclass(frozen=True)
class PgBackRestSection:
    """`[backup.pgbackrest]`: what only that engine is told."""

    program: str = ""
    """The program, by its whole path; empty: the one on the path."""
    stanza: str = field(default="main", metadata={"check": _stanza})
    """What it calls this server."""
    processes: int = field(default=0, metadata={"check": _count})
    """Processes that compress and copy (process-max); 0: half of the processors, four at most."""
    asynchronous: bool = False
    """Whether segments are sent several at a time (archive-async), for servers that write more log than one process can compress."""


@dataclass(frozen=True)
class BackupSection:
    """`[backup]`: copies of the server, its log, and what is promised of them."""

    repository: str = ""
    """Folder that holds backups and log, from the charter's folder; not on a disk of the database."""
    engine: Literal["native", "pgbackrest"] = "native"
    """What copies: PostgreSQL's own tools, or pgBackRest where it supports the server."""
    second: str = ""
    """A second folder, in another building: every file is there too before it counts."""
    log: Literal["archive", "receive"] = "archive"
    """How the log gets there: by the server's archive_command, or by `pgcharter backup receive` where the server cannot run commands."""
    full: Word = "daily"
    """How often a full backup is taken, as a word for the scheduler."""
    incremental: Word = "hourly"
    """How often an incremental one is (PostgreSQL 17 and newer)."""
    keep: str = field(default="14d", metadata=_TIMES)
    """Time back to which any moment can be restored; 0 when `keep_full` decides."""
    keep_full: int = field(default=0, metadata={"check": _count})
    """Number of full backups that are kept in any case, with all that is made on them; one always is."""
    compression: Literal["auto", "zstd", "gzip"] = "auto"
    """auto: zstd where the package zstandard is installed."""
    level: int = field(default=1, metadata={"check": _level})
    key_env: str = field(default="", metadata={"check": _variable})
    """Environment variable with the key that everything is encrypted with: 32 bytes as base64."""
    key_file: str = ""
    """File with that key instead; the server's archive_command reads it too."""
    rpo: str = field(default="5min", metadata=_TIMES)
    """Most time of which changes may be lost."""
    rto: str = field(default="1h", metadata=_TIMES)
    """Most time until the database is there again."""
    wait: str = field(default="2min", metadata=_TIMES)
    """How long log that is needed may take until it is in the repository."""
    mark: bool = True
    """Whether each full backup is followed by a mark: counts and checksums of all rows at a known position, which drills compare."""
    databases: tuple[str, ...] = ()
    """Further databases of the server whose rows are marked."""
    drill: DrillSection = field(default_factory=DrillSection)
    pgbackrest: PgBackRestSection = field(default_factory=PgBackRestSection)
    invariant: tuple[InvariantTable, ...] = ()


SECTION = Section("backup", BackupSection)
