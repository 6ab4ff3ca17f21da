"""Which engine the charter means."""

from __future__ import annotations

from pathlib import Path

from pgcharter.errors import UnavailableError
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_settings import BackupSection


def engine(section: BackupSection, dsn: str, folder: Path, *, second: bool = False) -> Native:
    """The engine of `[backup] engine`. Raises UnavailableError for one that this pgcharter has not."""
    if section.engine != "native":
        raise UnavailableError(f"there is no engine {section.engine} for backups here", hint='[backup] engine = "native"')
    return Native(section, dsn, folder, second)
