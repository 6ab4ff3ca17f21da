"""`pgcharter.tenants`: which tenants there are and in which state. Every command writes here first what it is about to bring about."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from pgcharter.db import connect, queries
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.policy.tenancy_settings import OWN_TENANTS
from pgcharter.redact import redact
from pgcharter.tomlfile import nearest

if TYPE_CHECKING:
    from pgcharter.db import Connection

State = Literal["adding", "active", "suspended", "leaving"]
STATES: tuple[State, ...] = ("adding", "active", "suspended", "leaving")
APPLICATION = "pgcharter tenant"
GONE = 1.0
"""Seconds in which a server notices that whoever held a lock has gone: the session of a command outlives its process by a moment."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant, as the table has it."""

    id: str
    name: str
    state: State
    since: datetime
    """When the state began."""
    created: datetime
    settings: Mapping[str, Any]
    place: str = ""
    """Its schema or database; empty where its data is in rows."""
    leaves_at: datetime | None = None
    """Of one that is leaving: from when on it may be deleted; None until its export is made, or waived."""

    @property
    def deleting(self) -> bool:
        """Whether its deletion has begun: `turn` noted that after the time of grace."""
        return self.state == "leaving" and self.leaves_at is not None and self.since > self.leaves_at

    @property
    def due(self) -> bool:
        """Whether it may be deleted now."""
        return self.state == "leaving" and self.leaves_at is not None and self.leaves_at <= datetime.now(UTC)


@contextmanager
def opened(dsn: str) -> Iterator[Connection]:
    """A connection to the database that has the table. Raises RefusedError where it is not there, or not all of its rows can be seen."""
    with connect(dsn, application_name=APPLICATION, client_encoding="UTF8", keepalives_idle=30) as conn:
        conn.execute("SET statement_timeout = 0; SET lock_timeout = '5s'; SET row_security = off; SET idle_session_timeout = 0")
        row = conn.execute(_sql("there")).fetchone()
        if row is None or not row[0]:
            raise RefusedError(
                f"there is no table {OWN_TENANTS.sql()} with the states of tenants in database {conn.info.dbname}, so no tenant is known",
                hint="[tenancy] in pgcharter.toml, then: pgcharter policy apply",
            )
        with understood(conn):
            yield conn


@contextmanager
def understood(conn: Connection) -> Iterator[None]:
    """Inside, what the server refuses because of privileges is one sentence."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        said = (error.diag.message_primary or "").removeprefix("ERROR: ")
        raise RefusedError(
            f"role {conn.info.user} may not do that in database {conn.info.dbname}: {said}",
            hint=f"connect as the owner of {OWN_TENANTS.sql()}, or as a role that may do all of it",
        ) from None
    except psycopg.errors.LockNotAvailable as error:
        raise RefusedError(
            f"another session has held a lock for too long: {error.diag.message_primary}; what was done before is kept",
            hint="say the same again; who it is: SELECT pid, query FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
        ) from None
    except psycopg.Error as error:
        said = redact(error.diag.message_primary or str(error).strip().partition("\n")[0])
        raise PgcharterError(f"the server ended the work: {said}", hint="say the same again: what was done before is kept") from None


@contextmanager
def alone(conn: Connection, name: str) -> Iterator[None]:
    """Inside, no other command is at work on the tenant. Raises RefusedError when one is; a command that was killed holds nothing."""
    until = time.monotonic() + GONE
    while conn.execute(_sql("lock"), (name,)).fetchone() != (True,):
        if time.monotonic() < until:
            time.sleep(0.02)
            continue
        row = conn.execute(_sql("holder"), (name,)).fetchone()
        who = f": session {row[0]} of {row[1] or 'somebody'}" + (f" from {row[2]}" if row[2] else "") if row else ""
        raise RefusedError(f"another command is at work on tenant {name}{who}, so nothing was done", hint="wait for it, then say it again")
    yield


def tenants(conn: Connection) -> tuple[Tenant, ...]:
    """All of them, by name."""
    return tuple(Tenant(*row) for row in conn.execute(_sql("all")).fetchall())


def there(conn: Connection, name: str) -> Tenant | None:
    """The tenant of that name; None when there is none."""
    return next((t for t in tenants(conn) if t.name == name), None)


def found(conn: Connection, name: str) -> Tenant:
    """The tenant of that name. Raises UsageError when there is none."""
    known = tenants(conn)
    for tenant in known:
        if tenant.name == name:
            return tenant
    raise UsageError(f"there is no tenant {name}", hint=nearest(name, [t.name for t in known], "{}") or "pgcharter tenant list")


def insert(conn: Connection, name: str, id_: str, settings: Mapping[str, Any], place: str) -> None:
    """Write down that a tenant is being added. Raises UsageError for an id that is taken or of another type, or a name that is taken."""
    try:
        conn.execute(_sql("insert"), {"id": id_, "name": name, "settings": json.dumps(settings), "place": place})
    except psycopg.errors.UniqueViolation as error:
        what = "id " + id_ if error.diag.constraint_name == "tenants_pkey" else f"name {name}"
        raise UsageError(f"the {what} is a tenant's already", hint="pgcharter tenant list") from None
    except (psycopg.errors.DataError, psycopg.errors.CheckViolation) as error:
        raise UsageError(f"tenant {name} is not taken by the table of tenants: {error.diag.message_primary}", place="--id") from None


def turn(conn: Connection, name: str, state: State, grace: timedelta | None = None) -> None:
    """Write down a state; with `grace`, also that the tenant may be deleted after that time."""
    conn.execute(_sql("turn"), {"name": name, "state": state, "grace": grace})


def delete_begins(conn: Connection, name: str) -> None:
    """Write down that the deletion of a tenant that is due begins: it cannot come back whole."""
    conn.execute(_sql("begin_delete"), {"name": name})


def set_(conn: Connection, name: str, settings: Mapping[str, Any]) -> None:
    """Write settings over those that are there."""
    conn.execute(_sql("set"), {"name": name, "settings": json.dumps(settings)})


def unset(conn: Connection, name: str, key: str) -> None:
    """Take a setting out."""
    conn.execute(_sql("unset"), {"name": name, "key": key})


def delete(conn: Connection, name: str) -> None:
    """Strike a tenant out. Raises PgcharterError when something still refers to its row."""
    try:
        conn.execute(_sql("delete"), {"name": name})
    except psycopg.errors.ForeignKeyViolation as error:
        raise PgcharterError(
            f"rows of table {error.diag.schema_name}.{error.diag.table_name} still refer to tenant {name}, so it was not struck out",
            hint="say the same again; a table whose rows stay belongs to `shared` of [tenancy], without a reference to the tenant",
        ) from None


def next_number(conn: Connection) -> str:
    """The number after the highest id."""
    row = conn.execute(_sql("next_number")).fetchone()
    return str(row[0] if row else 1)


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.tenants", "table.sql")[name].encode()
