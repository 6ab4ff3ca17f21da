"""`[migrate]` of the charter: where migrations are, and how strict their order is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError

LAYOUTS = ("pgcharter", "timestamp", "date", "number", "flyway", "dbmate", "goose", "sql-migrate", "liquibase", "up-down", "sqitch")
"""The known layouts, as `pgcharter new --layout` calls them."""
Layout = Literal["pgcharter", "timestamp", "date", "number", "flyway", "dbmate", "goose", "sql-migrate", "liquibase", "up-down", "sqitch"]


@dataclass(frozen=True)
class MigrateSection:
    """`[migrate]`: migrations of this project."""

    folder: str = ""
    """Folder of the migration files, from the charter's folder; without it the first of migrations, db/migrations, sql/migrations."""
    layout: Layout | None = None
    """Layout of new files; without it that of the files that are there."""
    out_of_order: Literal["refuse", "allow"] = "refuse"
    """Whether a file may be applied whose version is lower than one that is applied already."""
    gaps: Literal["warn", "refuse", "allow"] = "warn"
    """What a number that is missing between two numbered files means (002, 004)."""
    missing: Literal["refuse", "allow"] = "refuse"
    """Whether anything may be applied while the file of an applied migration is not there."""
    ignore: tuple[str, ...] = ()
    """Patterns of SQL files in the folder that are no migrations: seed.sql, archive/**."""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    """Values of ${name} in Flyway and Liquibase files."""
    lock_timeout: str = "2s"
    """How long the statements of a transaction wait for locks, and so others behind them, before all is given up and tried again later."""
    statement_timeout: str = "0"
    """How long a statement may run inside a transaction; 0: as long as it takes."""
    deadline: str = "10min"
    """How long a unit is tried again and again to get its locks."""
    wait: str = "10min"
    """How long another runner is waited for."""
    window: str = ""
    """When changes may be made: "sat,sun 22:00-04:00 Europe/Berlin"; empty: always."""


MIGRATE = Section("migrate", MigrateSection)
_UNITS = {"us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str, place: str = "") -> float:
    """A duration as PostgreSQL writes it (`500ms`, `2s`, `10min`; a bare number is seconds), in seconds. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d|)\s*", text)
    if found is None:
        raise UsageError(f"{text!r} is no duration", hint="write 500ms, 2s, 10min or 1h", place=place)
    return float(found[1]) * _UNITS[found[2]]
