"""What a collector that is no SQL is given to look at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pgcharter.watch.collecting_session import Session

Row = Mapping[str, Any]


class NothingToAskError(Exception):
    """There is nothing of that kind here; no gap."""


@dataclass(frozen=True)
class System:
    """The machine we are on, as its files tell it."""

    proc: Path = field(default=Path("/proc"))
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True)
class Backups:
    """Where backups are, and what is promised of them."""

    root: Path
    full_seconds: float = 0.0
    """Time between two full backups; 0: nothing is promised."""


@dataclass(frozen=True)
class Asked:
    """Where to look."""

    _session: Session | None
    dsn: str
    pooler: str
    repository: Backups | None
    system: System
    connect_seconds: float
    """What connecting took."""
    now: datetime | None
    """The time that holds instead of the server's; None: the server's."""

    @property
    def server(self) -> Session:
        """The session, which those that need none do not ask for."""
        if self._session is None:
            raise NothingToAskError
        return self._session
