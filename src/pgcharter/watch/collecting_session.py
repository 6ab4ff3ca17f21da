"""A session of ours on one database: what it may see, and questions asked in it under a time limit."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from pgcharter.db import Connection, connect
from pgcharter.db.queries import load
from pgcharter.errors import ConnectError, UsageError
from pgcharter.watch import registry
from pgcharter.watch.model import LIMIT, Collector, Cost

OLDEST = 15
"""Oldest major version that questions are written for."""
GRACE = 3.0
"""Seconds beyond a statement_timeout after which a server is not waited for any more."""
NAME = "pgcharter health"
"""application_name of sessions that look."""
SETTINGS = (
    "lock_timeout=1s",
    "statement_timeout=10s",
    "jit=off",
    "plan_cache_mode=force_generic_plan",
    "DateStyle=ISO",
    "TimeZone=UTC",
    "search_path=pg_catalog",
)
OPTIONS = " ".join(f"-c {setting}" for setting in SETTINGS)
SQL = load(registry.PACKAGE, "collect/session.sql")


@dataclass
class Session:
    """A connection and what is known of it."""

    conn: Connection
    version: int
    standby: bool
    superuser: bool
    monitor: bool
    database: str
    role: str
    """As SQL."""
    login: str
    server: str
    """Which server it is: system identifier, and timeline or that it is a standby."""
    extensions: frozenset[str]
    tables: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """Tables of schema pgcharter: `readable`, `filtered` by row policies, `columns`."""
    limit: Cost | None = None

    @property
    def major(self) -> int:
        """Major version of the server."""
        return self.version // 10000

    def rows(self, collector: Collector, now: datetime | None) -> list[dict[str, Any]]:
        """Ask one collector. Raises psycopg.Error."""
        self.within(collector.cost)
        text = registry.sql(collector, self.major)
        with self.conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(text, {"now": now} if "%(now)s" in text else None).fetchall()

    def within(self, cost: Cost) -> None:
        """Give statements the time of that class from now on."""
        if self.limit != cost:
            self.conn.execute(f"SET statement_timeout = {int(LIMIT[cost] * 1000)}")
            self.limit = cost

    def lacks(self, collector: Collector) -> str:
        """What this session lacks for a collector, with the remedy; empty: nothing."""
        if self.major < OLDEST:
            return f"PostgreSQL {self.major} cannot be asked: {OLDEST} is the oldest that is"
        if self.superuser:
            return self._lacks_things(collector)
        if collector.rights == "superuser":
            return f"role {self.role} is no superuser, and nobody else may see it: {collector.grant or 'look as a superuser'}"
        if collector.rights == "pg_monitor" and not self.monitor:
            return f"role {self.role} does not see other sessions and statistics: GRANT pg_monitor TO {self.role}"
        return self._lacks_things(collector)

    def _lacks_things(self, collector: Collector) -> str:
        if collector.extension and collector.extension not in self.extensions:
            return f"extension {collector.extension} is not in database {self.database}: CREATE EXTENSION {collector.extension}"
        table = self.tables.get(collector.table)
        if collector.table and table and not table["readable"]:
            grant = f"GRANT USAGE ON SCHEMA pgcharter TO {self.role}; GRANT SELECT ON pgcharter.{collector.table} TO {self.role}"
            return f"role {self.role} may not read pgcharter.{collector.table} in database {self.database}: {grant}"
        if collector.table and table and table["filtered"]:
            return (
                f"row policies hide rows of pgcharter.{collector.table} in database {self.database} from role {self.role}:"
                f" ALTER ROLE {self.role} BYPASSRLS, or look as the owner"
            )
        return ""

    def concerns(self, collector: Collector) -> bool:
        """Whether there is anything to ask here."""
        if OLDEST <= self.major < collector.since or (collector.on != "any" and (collector.on == "standby") != self.standby):
            return False
        table = self.tables.get(collector.table)
        return not collector.table or (table is not None and (not collector.column or collector.column in table["columns"]))


@contextmanager
def patience(conn: Connection, cost: Cost) -> Iterator[None]:
    """End the connection when a server does not even say that time is over: one whose machine is gone, or stands still."""
    timer = threading.Timer(LIMIT[cost] + GRACE, _give_up, [conn.fileno()])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(descriptor: int) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def open_session(dsn: str, database: str = "") -> Session:
    """Connect. Raises ConnectError; UsageError where a pooler answers, whose sessions are not ours to set."""
    wanted = conninfo_to_dict(dsn)
    more = {"options": f"{wanted.get('options') or ''} {OPTIONS}".strip(), **({"dbname": database} if database else {})}
    try:
        conn = connect(make_conninfo(dsn, **more), application_name=NAME, connect_timeout=5)
    except ConnectError as error:
        if "unsupported startup parameter" in error.message:
            raise _pooled() from None
        raise
    try:
        return _known(conn)
    except psycopg.Error as error:
        named = database or wanted.get("dbname") or "of the role"
        said = str(error).strip().partition("\n")[0]
        conn.close()
        raise ConnectError(f"database {named} lets us in and does not answer: {said}") from None
    except BaseException:
        conn.close()
        raise


def renewed(session: Session) -> Session:
    """The same session with what is so now: rights, extensions, tables, standby or not. Raises psycopg.Error when it is gone."""
    session.conn.prepare_threshold = 0  # who looks again will do so again: planning is most of what looking costs
    return replace(_known(session.conn), limit=session.limit)


def _known(conn: Connection) -> Session:
    with patience(conn, "fast"), conn.cursor(row_factory=dict_row) as cursor:
        [said] = cursor.execute(SQL["session"]).fetchall()
    if said.pop("pid") != conn.info.backend_pid:
        raise _pooled()
    return Session(conn, **{**said, "server": _server(conn), "extensions": frozenset(said["extensions"])})


def _server(conn: Connection) -> str:
    try:
        [[which]] = conn.execute(SQL["server"]).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return str(which)


def _pooled() -> UsageError:
    return UsageError(
        "the connection string leads to a pooler, behind which another server session may answer each time",
        hint="name the server itself, and the pooler's console with --pooler",
    )


def refused(error: psycopg.Error, role: str, collector: Collector) -> str:
    """Why a question was not answered, with what would help."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"{said}: {collector.grant.format(role=role) if collector.grant else f'GRANT pg_monitor TO {role}'}"
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"the server did not answer within {LIMIT[collector.cost]:.0f} s"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "somebody holds a lock on what it reads for more than 1 s: look again"
    return said[:1].lower() + said[1:]
