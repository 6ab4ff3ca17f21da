"""What a backup is, whichever engine made it. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pgcharter.findings import Evidence

Kind = Literal["full", "incremental", "logical"]
Advance = Callable[[str, int, int], None]
"""Told `(what, done, total)` while long work goes on."""


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
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What only its engine understands, JSON-ready: files, key, tablespaces."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began).total_seconds()


@dataclass(frozen=True)
class Until:
    """Where a restore stops; all empty: at the end of the log."""

    time: datetime | None = None
    lsn: str = ""
    name: str = ""
    """Of a restore point."""
    inclusive: bool = True
    """Whether what was committed exactly there is restored too."""
    timeline: str = "latest"
    """`latest`, `current` or a number, as recovery_target_timeline."""


@dataclass(frozen=True)
class Prepared:
    """A data folder that recovers when it is started."""

    folder: Path
    backup: Backup
    settings: Mapping[str, str]
    """Settings of the recovery, restore_command among them: for the one start that recovers."""
    user: str
    """Superuser of the server that it is a copy of; empty where that is not known."""
    work: tuple[Path, ...] = ()
    """Folders beside it that are of no use once it has recovered: its log."""


class Engine(Protocol):
    """What copies, keeps and restores. Whatever is long may be told an `advance`. Everything raises PgcharterError."""

    name: str

    def check(self) -> tuple[Evidence, ...]:
        """Ask the live server and the repository whether backups can work: log arrives, settings, rights, space."""
        ...

    def take(self, kind: Kind, advance: Advance | None = None) -> Backup:
        """Take one; what is interrupted is never listed."""
        ...

    def backups(self) -> tuple[Backup, ...]:
        """All of them, oldest first."""
        ...

    def verify(self, backup: Backup, advance: Advance | None = None) -> tuple[str, ...]:
        """Read it whole, with those it is built on and the log it needs: what is wrong, each a sentence."""
        ...

    def prune(self, *, dry_run: bool) -> tuple[Backup, ...]:
        """Remove what retention does not keep, and the log nobody needs; returns what went, or would go."""
        ...

    def hold(self, backup: Backup, reason: str) -> Backup:
        """Keep it whatever the retention says, or with an empty reason no longer."""
        ...

    def choose(self, until: Until) -> Backup:
        """The backup from which `until` is reached soonest. Raises when none can, or when log on the way is missing."""
        ...

    def restore(self, backup: Backup, until: Until, folder: Path, advance: Advance | None = None) -> Prepared:
        """Make `folder`, which is empty or not there, a data folder that recovers to `until` when started; starts nothing."""
        ...
