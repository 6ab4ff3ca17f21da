"""`[migrate]` of the charter: where migrations are, and how strict their order is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pgcharter.charter import Section
from pgcharter.measures import seconds
from pgcharter.migrate.notify_settings import NotifySection
from pgcharter.migrate.pacing import PaceSection, at_least

LAYOUTS = ("pgcharter", "timestamp", "date", "number", "flyway", "dbmate", "goose", "sql-migrate", "liquibase", "up-down", "sqitch")
"""The known layouts, as `pgcharter new --layout` calls them."""
Layout = Literal["pgcharter", "timestamp", "date", "number", "flyway", "dbmate", "goose", "sql-migrate", "liquibase", "up-down", "sqitch"]


def _window(text: str) -> None:
    from pgcharter.migrate.terms import Window

    if text:
        Window.parse(text)


@dataclass(frozen=True)
class TargetsSection:
    """`[migrate.targets]`: many schemas or databases that the same migrations are for."""

    schemas: tuple[str, ...] = ()
    """Schemas that each have their own history, by name or pattern: tenant_*."""
    schemas_query: str = ""
    """A query whose first column names the schemas."""
    databases: tuple[str, ...] = ()
    """Databases: environments of the charter, env:VARIABLE, or names and patterns of databases on the environment's server."""
    shared: str = ""
    """Folder with the migrations of the database itself, from the charter's folder, where tenants are in schemas or databases: plans and
    policies are written there, and `migrate up --one` applies it. Without it, the folder of the tenants' migrations with _shared."""
    search_path: tuple[str, ...] = ("public",)
    """Schemas that follow the target's own in search_path."""
    parallel: int = field(default=4, metadata=at_least(1))
    """How many targets are worked on at the same time; each takes up to three connections."""
    canary: str = ""
    """The target, or how many targets, that must be done before the others begin."""
    stop_after: int = field(default=1, metadata=at_least(0))
    """After how many failed targets no other is begun; 0: all are tried."""

    @property
    def chosen(self) -> bool:
        """Whether it names any."""
        return bool(self.schemas or self.schemas_query or self.databases)


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
    lock_timeout: str = field(default="2s", metadata={"check": seconds})
    """How long the statements of a transaction wait for locks, and so others behind them, before all is given up and tried again later."""
    statement_timeout: str = field(default="0", metadata={"check": seconds})
    """How long a statement may run inside a transaction; 0: as long as it takes."""
    alone_timeout: str = field(default="0", metadata={"check": seconds})
    """How long a statement may run outside of transactions (a concurrent build); 0: as long as it takes."""
    deadline: str = field(default="10min", metadata={"check": seconds})
    """How long a unit is tried again and again to get its locks."""
    wait: str = field(default="10min", metadata={"check": seconds})
    """How long another runner is waited for."""
    window: str = field(default="", metadata={"check": _window})
    """When changes may be made: "sat,sun 22:00-04:00 Europe/Berlin"; empty: always."""
    pace: PaceSection = field(default_factory=PaceSection)
    """How backfills share the server with everybody else."""
    notify: NotifySection = field(default_factory=NotifySection)
    """Who is told of runs."""
    targets: TargetsSection = field(default_factory=TargetsSection)
    """Many schemas or databases that these migrations are for."""
    shape: str = ""
    """File with the shape of production's tables (`pgcharter migrate shape`), by which `migrate verify --try` tells how long steps take."""
    longest: str = ""
    """Longest time for which a step may hold a lock that stops writes, by `migrate verify --try`: "5s"; empty: any."""


MIGRATE = Section("migrate", MigrateSection)
