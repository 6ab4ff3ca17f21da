"""What can be known of a running server: collectors of facts, and the checks and metrics over them. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

from pgcharter.findings import Gap

Cost = Literal["fast", "medium", "slow"]
"""What asking costs: a look at shared memory; at the catalog or statistics of all objects; at files or contents."""
KEEP: Mapping[Cost, float] = {"fast": 5.0, "medium": 60.0, "slow": 900.0}
"""Seconds for which an answer is kept."""
LIMIT: Mapping[Cost, float] = {"fast": 2.0, "medium": 10.0, "slow": 60.0}
"""Seconds after which asking is given up, as its statement_timeout."""
Scope = Literal["server", "database", "host", "pooler", "backups"]
"""Where it is asked: once for a server, in each database, of the machine itself, of PgBouncer, of the repository of backups."""
Kind = Literal["gauge", "counter"]


class Level(IntEnum):
    """How bad it is. Nagios's codes are 0, 1, 2 and 3 of `ok`, `warning`, `critical`, `unknown`."""

    OK = 0
    INFO = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True)
class Collector:
    """One question, whose rows many read."""

    name: str
    """`activity`: also the name of its SQL in `collect/<family>.sql`, or of its function for what is no SQL."""
    family: str
    scope: Scope = "server"
    cost: Cost = "fast"
    labels: tuple[str, ...] = ()
    """Columns that tell its rows apart."""
    since: int = 15
    """Oldest major version that can answer."""
    extension: str = ""
    """Extension that must be there."""
    rights: str = ""
    """Role whose membership it needs: pg_monitor, pg_read_all_settings, pg_stat_scan_tables."""
    on: Literal["any", "primary", "standby"] = "any"


@dataclass(frozen=True)
class Metric:
    """A column of a collector as Prometheus sees it. Its labels are the collector's."""

    name: str
    """Without the prefix `pgcharter_`; with its unit: `replication_lag_seconds`, counters end in `_total`."""
    collector: str
    column: str
    help: str
    kind: Kind = "gauge"


@dataclass(frozen=True)
class Check:
    """A question with thresholds: what is all right, and what to do when it is not."""

    id: str
    """`connections.used`: family and name. Its evidence is called `health.connections.used`."""
    title: str
    collector: str
    value: str
    """Column of the collector that is compared; of a counter what it grew by over `over`."""
    why: str
    """One sentence: what happens when nobody acts."""
    remedy: str
    """What to do, with exact SQL or a command; {column} is filled in from the row."""
    says: str
    """The sentence for one row, {column} filled in: "{used} of {usable} connections are in use"."""
    source: str
    """Where threshold and reading come from: the guide's clause, PostgreSQL's documentation."""
    unit: str = ""
    """s, bytes, %, xids, /h…; shown behind the value."""
    warn: float | None = None
    critical: float | None = None
    below: bool = False
    """Whether small values are the bad ones."""
    over: str = ""
    """For counters: the time over which growth is measured, `5min`."""
    for_: str = "0s"
    """How long it must be so before an alert fires."""
    guard: str = ""
    """Column that must be true for the row to be judged: enough history, enough volume."""
    level: Literal["info", "warning", "critical"] = "critical"
    """The most it can be, where it has no threshold of its own for each level."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What a collector answered."""

    collector: str
    rows: tuple[Mapping[str, Any], ...] = ()
    gap: Gap | None = None
    """Why it could not answer."""
    seconds: float = 0.0
    """How long that took."""


@dataclass(frozen=True)
class Reading:
    """What a check says of one row."""

    check: Check
    level: Level
    value: float | None
    says: str
    labels: Mapping[str, str] = field(default_factory=dict)
    remedy: str = ""


@dataclass(frozen=True)
class Health:
    """What was found, and what could not be seen."""

    readings: tuple[Reading, ...]
    gaps: tuple[Gap, ...]
    seconds: float

    @property
    def worst(self) -> Level:
        """The worst level of all readings."""
        return max((r.level for r in self.readings), default=Level.OK)
