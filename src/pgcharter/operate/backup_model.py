"""What a backup is, whichever engine made it. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from pgcharter.findings import Evidence

Kind = Literal["full", "incremental", "logical"]


@dataclass(frozen=True)
class Backup:
    """One backup as its manifest tells it. Without a manifest there is none."""

    id: str
    """Sorts by time: `20261122T031500Z-full`."""
    kind: Kind
    engine: str
    system: str
    """System identifier of the server it is a copy of."""
    version: int
    """As `server_version_num`."""
    began: datetime
    ended: datetime
    size: int
    """Bytes of the database as it was copied."""
    stored: int
    """Bytes it takes in the repository."""
    timeline: int = 0
    start_lsn: str = ""
    stop_lsn: str = ""
    """Log from the first to the second is needed to use it at all."""
    base: str = ""
    """Id of the backup this one is incremental to."""
    hold: str = ""
    """Why it may not be removed, whatever the retention: a legal hold."""


@dataclass(frozen=True)
class Until:
    """Where a restore stops; all empty: at the end of the log."""

    time: datetime | None = None
    lsn: str = ""
    name: str = ""
    """Of a restore point."""


class Engine(Protocol):
    """What copies, keeps and restores."""

    name: str

    def check(self) -> tuple[Evidence, ...]:
        """Ask the live server and the repository whether backups can work: log arrives, settings, rights, space."""
        ...

    def take(self, kind: Kind) -> Backup:
        """Take one; what is interrupted is never listed. Raises PgcharterError."""
        ...

    def backups(self) -> tuple[Backup, ...]:
        """All of them, oldest first."""
        ...

    def verify(self, backup: Backup) -> tuple[str, ...]:
        """Read it whole, with the log it needs: what is wrong, each a sentence."""
        ...

    def prune(self, *, dry_run: bool) -> tuple[Backup, ...]:
        """Remove what retention does not keep, and the log nobody needs; returns what went, or would go."""
        ...

    def restore(self, backup: Backup, until: Until, folder: Path) -> None:
        """Make `folder`, which is empty, a data folder that recovers to `until` when started; starts nothing. Raises PgcharterError."""
        ...
