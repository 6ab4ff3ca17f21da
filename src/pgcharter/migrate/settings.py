"""`[migrate]` of the charter: where migrations are, and how strict their order is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pgcharter.charter import Section

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
    """How long a statement may wait for a lock before it is tried again later, as PostgreSQL writes it."""
    statement_timeout: str = "0"
    """How long a statement may run; 0: as long as it takes."""
    deadline: str = "10min"
    """How long locks are waited for altogether."""


MIGRATE = Section("migrate", MigrateSection)
