"""`[database]` of the charter: how an application uses its database. `Database.from_charter()` is made of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds, size

_TIMES = {"check": seconds}


def _limit(value: Any) -> None:
    if value and not 0.001 <= seconds(value) <= 2147483 and seconds(value):
        raise UsageError(f"{value!r} is no timeout", hint="write 500ms, 30s or 10min; 0: none")


def _variables(value: Any) -> None:
    for name in value:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
            raise UsageError(
                f"{name!r} is not the name of an environment variable", hint='write "REPLICA_URL" and put the DSN into that variable'
            )


@dataclass(frozen=True)
class PoolTable:
    """`[database.pool]`: connections to each server."""

    min: int = 2
    """Connections that are always there."""
    max: int = 10
    """Most connections."""
    wait: str = field(default="5s", metadata=_TIMES)
    """Time that a caller waits for one: 500ms, 5s."""
    waiting: int = 0
    """Most callers that wait at a time; 0: any number."""
    idle: str = field(default="5min", metadata=_TIMES)
    """Time after which an unused connection above the least is closed."""
    lifetime: str = field(default="1h", metadata=_TIMES)
    """Time after which a connection is replaced."""
    leak: str = field(default="60s", metadata=_TIMES)
    """Time after which a connection that is still lent is reported."""
    check: bool = False
    """Ask each connection for a sign of life before it is lent."""

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be so."""
        if not 0 <= self.min <= self.max or self.max < 1 or self.waiting < 0:
            raise ValueError(f"a pool of at least {self.min} and at most {self.max} connections, for {self.waiting} waiting, cannot be")
        for name in ("wait", "idle", "lifetime", "leak"):
            if not 0 < seconds(getattr(self, name)) < math.inf:
                raise ValueError(f"{name} must be a time above zero")


@dataclass(frozen=True)
class TimeoutTable:
    """`[database.timeouts]`: limits of all transactions that are of no kind."""

    statement: str = field(default="30s", metadata={"check": _limit})
    """Longest that one statement runs; 0: any time; empty: as the server is set."""
    lock: str = field(default="5s", metadata={"check": _limit})
    """Longest that a statement waits for a lock."""
    idle: str = field(default="60s", metadata={"check": _limit})
    """Longest that a transaction does nothing."""


@dataclass(frozen=True)
class KindTable:
    """`[[database.kind]]`: a kind of work with limits of its own, `db.run(fn, kind="report")`."""

    name: str
    """What it is called."""
    statement: str = field(default="", metadata={"check": _limit})
    """Longest that one statement runs; 0: any time; empty: as usual."""
    lock: str = field(default="", metadata={"check": _limit})
    """Longest that a statement waits for a lock."""
    idle: str = field(default="", metadata={"check": _limit})
    """Longest that a transaction does nothing."""


@dataclass(frozen=True)
class RoutingTable:
    """`[database.routing]`: how replicas are chosen."""

    wait: str = field(default="100ms", metadata=_TIMES)
    """Longest that a read waits for a replica to replay what it has to see; then it goes to the primary."""
    poll: str = field(default="500ms", metadata=_TIMES)
    """Time between two looks at each server."""
    max_lag: str = field(default="10s", metadata=_TIMES)
    """Time behind the primary from which a replica is left out, until it is down to half."""
    max_bytes: str = field(default="1GB", metadata={"check": size})
    """Log behind the primary from which a replica is left out."""


@dataclass(frozen=True)
class DatabaseSection:
    """`[database]`: how the application uses its database."""

    application: str = ""
    """Name that connections go by (application_name)."""
    replicas: tuple[str, ...] = field(default=(), metadata={"check": _variables})
    """Names of the environment variables that hold the DSNs of replicas, for work that only reads."""
    routing: RoutingTable = field(default_factory=RoutingTable)
    """How replicas are chosen."""
    pool: PoolTable = field(default_factory=PoolTable)
    """Connections to each server."""
    timeouts: TimeoutTable = field(default_factory=TimeoutTable)
    """Limits of all transactions that are of no kind."""
    kind: tuple[KindTable, ...] = ()
    """Kinds of work with limits of their own."""

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be so."""
        if len(self.application.encode()) > 63:
            raise ValueError("application has more than 63 bytes, which is all that PostgreSQL keeps")
        names = [kind.name for kind in self.kind]
        if not all(names) or len(set(names)) < len(names):
            raise ValueError("each kind of work needs a name of its own")


SECTION = Section("database", DatabaseSection)
