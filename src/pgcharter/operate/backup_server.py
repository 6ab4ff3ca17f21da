"""What a backup must know of the live server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgcharter.db import Connection, connect
from pgcharter.db.queries import query
from pgcharter.operate import backup_copy

LIMITS = "SET statement_timeout = '60s'; SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = 0"


@dataclass(frozen=True)
class Facts:
    """A server as it was found."""

    system: str
    timeline: int
    version: int
    standby: bool
    now: datetime
    """By its own clock."""
    segment: int
    """Bytes of a segment of its log."""
    superuser: str
    """Name of the role it was made with; empty when that was hidden."""
    database: str
    user: str
    size: int
    """Bytes of the databases that can be seen."""
    wal_level: str
    archive_mode: str
    summarize: str
    """summarize_wal; empty before 17."""
    archive_timeout: int
    """Seconds; 0: an idle segment is never sent."""
    checksums: str
    full_page_writes: str

    @property
    def major(self) -> int:
        """The major version."""
        return self.version // 10000


@contextmanager
def opened(dsn: str) -> Iterator[Connection]:
    """A session for questions, with its limits. Raises ConnectError."""
    with connect(dsn, application_name="pgcharter backup", client_encoding="UTF8") as conn:
        conn.execute(LIMITS)
        yield conn


def ask(conn: Connection, name: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query of `backup_server.sql`."""
    sql = query("pgcharter.operate", "backup_server.sql", name, conn.info.server_version // 10000)
    return conn.execute(sql.encode(), values or None).fetchall()


def facts(conn: Connection, dsn: str) -> Facts:
    """What `conn` and a replication connection say. Raises ConnectError when there may be no replication connection."""
    with backup_copy.open_walsender(dsn) as sender:
        system, timeline = backup_copy.identify(sender)
    return facts_of(conn, system, timeline)


def facts_of(conn: Connection, system: str, timeline: int) -> Facts:
    """The same where identifier and timeline are known."""
    row = ask(conn, "facts")[0]
    version, standby, now, segment, superuser, database, user, size, level, archive, summarize, timeout, checksums, pages = row
    return Facts(
        system, timeline, version, standby, now, segment, superuser or "", database, user, size, level, archive, summarize or "", timeout,
        checksums, pages,
    )  # fmt: skip
