"""Which engine the charter means."""

from __future__ import annotations

from pathlib import Path

from pgcharter.errors import RefusedError
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_settings import BackupSection


def engine(section: BackupSection, dsn: str, folder: Path, *, second: bool = False) -> Native:
    """The engine of `[backup] engine`. Raises RefusedError where another's backups are."""
    if section.engine == "pgbackrest":
        from pgcharter.operate.backup_pgbackrest import PgBackRest

        return PgBackRest(section, dsn, folder, second)
    made = Native(section, dsn, folder, second)
    if section.repository and (made.root / "pgbackrest").is_dir():
        raise RefusedError(f"{made.root} holds backups of pgBackRest", hint='[backup] engine = "pgbackrest", or another repository')
    return made
