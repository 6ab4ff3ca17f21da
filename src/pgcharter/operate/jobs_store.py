"""States and history of jobs in the database: leases by the server's clock, fencing tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pgcharter.db import Connection, connect, queries
from pgcharter.errors import UnavailableError

HINT = "write [jobs] in the charter, with this role among its workers, and pgcharter policy apply"


@dataclass(frozen=True, slots=True)
class State:
    """Where a job stands."""

    name: str
    paused: bool
    scheduled_for: datetime
    next_run: datetime
    again_at: datetime | None
    again_for: datetime | None
    again_why: str | None
    again_attempt: int
    owner: str | None
    token: int
    run_id: Any
    over: bool
    """Whether the lease is over: its scheduler has gone."""
    cancel_asked: bool
    last_status: str | None
    last_ended_at: datetime | None
    failures: int
    now: datetime
    """The server's clock when this was read."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that is this scheduler's."""

    name: str
    run_id: Any
    token: int
    scheduled_for: datetime
    reason: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the past, or one that is under way."""

    id: str
    job: str
    scheduled_for: datetime
    reason: str
    attempt: int
    status: str
    worker: str | None
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    error: str | None
    output: str | None


class Store:
    """The tables of jobs over one connection, which is made anew when it is gone."""

    def __init__(self, dsn: str, owner: str, lease: float) -> None:
        self.dsn, self.owner, self.lease = dsn, owner, timedelta(seconds=lease)
        self._conn: Connection | None = None

    def close(self) -> None:
        """End the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def asked(self, name: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement, a transaction of its own. Raises ConnectError, UnavailableError where there are no tables, psycopg's errors."""
        named = {"owner": self.owner, "lease": self.lease, **(values or {})}
        if self._conn is None or self._conn.closed or self._conn.broken:
            options = "-c statement_timeout=30s -c lock_timeout=10s -c client_min_messages=warning"
            self._conn = connect(self.dsn, application_name="pgcharter jobs", options=options)
        try:
            cursor = self._conn.execute(queries.load("pgcharter.operate", "jobs.sql")[name].encode(), named)
            return cursor.fetchall() if cursor.description else []
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege) as error:
            raise UnavailableError(f"jobs have no tables here: {error.diag.message_primary}", hint=HINT) from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise UnavailableError("this server is a standby, where no job can be claimed", hint="connect to the primary") from error

    def now(self) -> datetime:
        """The server's clock."""
        found: datetime = self.asked("now")[0][0]
        return found

    def states(self, names: Iterable[str]) -> dict[str, State]:
        """Where jobs stand, by name."""
        return {row[0]: State(*row) for row in self.asked("states", {"names": list(names)})}

    def history(self, name: str | None, most: int) -> Sequence[Run]:
        """Runs, the newest first."""
        return [Run(*row) for row in self.asked("history", {"name": name, "most": most})]
