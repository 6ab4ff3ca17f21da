"""What can be known of a running server: collectors of facts, and the checks and metrics over them. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
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
"""Where it is asked: once for a server, in each database, of the machine itself, of PgBouncer, of the repository of backups.

Rows of scope `database` have a column `database` besides their own, which is the first of their labels. A row whose column `unseen` is a
text is no fact: it says what could not be seen."""
Kind = Literal["gauge", "counter"]
Word = Literal["info", "warning", "critical"]
Rights = Literal["", "pg_monitor", "superuser"]


class Level(IntEnum):
    """How bad it is. Nagios's codes are 0, 0, 1 and 2; what could not be seen is its 3."""

    OK = 0
    INFO = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """Its name in small letters."""
        return self.name.lower()


@dataclass(frozen=True)
class Collector:
    """One question, whose rows many read."""

    name: str
    """`activity`: also the name of its SQL in `collect/<family>.sql`, or of its function for what is no SQL. Of one family each."""
    family: str = field(default="", metadata={"in_file": False})
    by: Literal["sql", "function"] = "sql"
    scope: Scope = "server"
    cost: Cost = "fast"
    labels: tuple[str, ...] = ()
    """Columns that tell its rows apart; of scope `database` without that."""
    since: int = 15
    """Oldest major version that can answer."""
    extension: str = ""
    """Extension that must be there."""
    rights: Rights = ""
    """What it needs: membership in pg_monitor, or superuser."""
    table: str = ""
    """Table of ours that it reads. Where that is not, there is nothing to ask, and no gap."""
    column: str = ""
    """Column of it that must be there too."""
    grant: str = ""
    """SQL that lets it be asked, where that is not pg_monitor."""
    on: Literal["any", "primary", "standby"] = "any"
    gauges: Mapping[str, str] = field(default_factory=dict)
    """Columns that are measured, each with what it means; their metrics are called `<collector>_<column>`: units are in names."""
    counters: Mapping[str, str] = field(default_factory=dict)
    """Columns that only grow, the same way; their metrics end in `_total` too."""

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Its labels, with that of the database."""
        return ("database", *self.labels) if self.scope == "database" else self.labels


@dataclass(frozen=True)
class Metric:
    """A column of a collector as Prometheus sees it. Its labels are the collector's."""

    name: str
    """Without the prefix `pgcharter_`; with its unit: `standby_lag_seconds`, counters end in `_total`."""
    collector: str
    column: str
    help: str
    kind: Kind = "gauge"


@dataclass(frozen=True)
class Check:
    """A question with thresholds: what is all right, and what to do when it is not.

    What is judged of a row is `value`; with `over`, what it grew by in that time; with `of` as well, that as a percentage of what `of`
    grew by; with `left` as well, the seconds until `left` is used up at that pace.
    """

    id: str
    """`connections.used`: family and name. Its evidence is called `health.connections.used`."""
    title: str
    """What is all right: "connections are left"."""
    collector: str
    value: str
    """Column of the collector that is compared. NULL: this row is none of its business."""
    why: str
    """One sentence: what happens when nobody acts."""
    remedy: str
    """What to do, with exact SQL or a command; {column} is filled in from the row."""
    says: str
    """The sentence for one row, {column} filled in, {value} what was judged: "{used} of {usable} connections are in use".
    `{size:bytes}`, `{waited:time}` and `{rows:count}` write a number for people."""
    source: str
    """Where threshold and reading come from: the guide's clause, PostgreSQL's documentation."""
    unit: str = ""
    """s, bytes, %, xids, days…; empty: a number, or 1 for what is wrong."""
    warn: float | None = None
    critical: float | None = None
    below: bool = False
    """Whether small values are the bad ones: a level is reached below its threshold, else from it on."""
    over: str = ""
    """For counters: the time over which growth is measured, `5min`."""
    of: str = ""
    """Column of a counter too: the value is growth in percent of its growth."""
    at_least: float = 0.0
    """Growth of `of`, or else of `value`, from which a row is judged."""
    left: str = ""
    """Column with what is left of the same thing: the value is the time until that is used up, in seconds."""
    lasting: str = "0s"
    """How long it must be so before it counts: until then an alert is pending, and `health` says it as INFO."""
    guard: str = ""
    """Column that must be true for the row to be judged: enough history, enough volume."""
    level: Word = "critical"
    """The most it can be."""

    @property
    def family(self) -> str:
        """What its id begins with."""
        return self.id.partition(".")[0]

    @property
    def counters(self) -> tuple[str, ...]:
        """Columns of which growth is measured."""
        return tuple(filter(None, (self.value, self.of))) if self.over else ()


@dataclass(frozen=True)
class Facts:
    """What a collector answered."""

    collector: str
    rows: tuple[Mapping[str, Any], ...] = ()
    gaps: tuple[Gap, ...] = ()
    """Why it could not answer, or could not see all."""
    seconds: float = 0.0
    """How long that took."""
    asked: bool = True
    """False where there is nothing to ask: on a standby, without our tables, in an older version."""


@dataclass(frozen=True)
class Reading:
    """What a check says of one row; where no row is wrong, of the worst one there is."""

    check: Check
    level: Level
    value: float | None
    says: str
    labels: Mapping[str, str] = field(default_factory=dict)
    remedy: str = ""
    since: datetime | None = None
    """When it was first seen, as far as looks are remembered."""


@dataclass(frozen=True)
class Health:
    """What was found, and what could not be seen."""

    readings: tuple[Reading, ...]
    """The worst first."""
    gaps: tuple[Gap, ...]
    seconds: float

    @property
    def worst(self) -> Level:
        """The worst level of all readings."""
        return max((r.level for r in self.readings), default=Level.OK)
