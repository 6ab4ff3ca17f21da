"""Schemas and databases of tenants: made, shut and opened by what the server itself enforces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from pgcharter.db import queries
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.migrate import home
from pgcharter.names import quote
from pgcharter.policy.tenancy_schemas import admitting
from pgcharter.policy.tenancy_settings import OWN_TENANTS

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.tenants.table import Tenant


@dataclass(frozen=True, slots=True)
class Session:
    """A session at work in a tenant's place."""

    pid: int
    role: str
    application: str
    client: str


def dsn_of(dsn: str, section: TenancySection, place: str, after: tuple[str, ...] = ("public",)) -> str:
    """The connection string that is at home in a tenant's place; `dsn` is of the database with the table of tenants."""
    if section.placement == "rows":
        return dsn
    return make_conninfo(dsn, dbname=place) if section.placement == "databases" else home.at(dsn, place, after)


def refuse_unable(conn: Connection, section: TenancySection) -> None:
    """Raise RefusedError when the role of `conn` may not do what adding a tenant takes: before anything is done."""
    role = quote(conn.info.user)
    if conn.execute(_sql("may_write")).fetchone() != (True,):
        raise RefusedError(
            f"role {role} may not write into {OWN_TENANTS.sql()}, so it can change no tenant", hint="connect as the owner of that table"
        )
    if section.placement == "schemas":
        schemas, roles = conn.execute(_sql("may_make_schemas")).fetchone() or (False, False)
        if not schemas:
            raise RefusedError(
                f"role {role} may not make schemas in database {conn.info.dbname}, so nothing was done",
                hint=f"GRANT CREATE ON DATABASE {quote(conn.info.dbname)} TO {role}",
            )
        if not roles:
            raise RefusedError(
                f"role {role} may not make the role that each tenant has, so nothing was done", hint=f"ALTER ROLE {role} CREATEROLE"
            )
    missing = [r for r in section.application_roles if conn.execute(_sql("role"), (r,)).fetchone() != (True,)]
    if missing and section.placement != "rows":
        raise RefusedError(
            f"there is no role {quote(missing[0])}, which application_roles of [tenancy] names, so nobody could work for the tenant",
            hint=f"CREATE ROLE {quote(missing[0])} LOGIN NOINHERIT; or pgcharter policy apply, when [roles] declares it",
        )
    if section.placement == "databases" and conn.execute(_sql("may_make_databases")).fetchone() != (True,):
        raise RefusedError(f"role {role} may not make databases, so nothing was done", hint=f"ALTER ROLE {role} CREATEDB")


def exists(conn: Connection, section: TenancySection, place: str) -> bool:
    """Whether a schema or database of that name is there."""
    kind = {"schemas": "schema", "databases": "database"}.get(section.placement)
    return bool(kind and place and conn.execute(_sql(kind), (place,)).fetchone() == (True,))


def refuse_taken(conn: Connection, section: TenancySection, place: str) -> None:
    """Raise RefusedError when the place of a tenant that nobody has begun to add is there already."""
    kind = section.placement.removesuffix("s")
    if exists(conn, section, place):
        raise RefusedError(
            f"there is a {kind} {quote(place)} already, and it is no tenant's, so nothing was done",
            hint=f"take another name; or, when nobody needs it: DROP {kind.upper()} {quote(place)}",
        )
    if section.placement == "schemas" and conn.execute(_sql("role"), (place,)).fetchone() == (True,):
        raise RefusedError(
            f"there is a role {quote(place)} already, and it is no tenant's, so nothing was done",
            hint=f"take another name; or, when nobody needs it: DROP ROLE {quote(place)}",
        )


def make(conn: Connection, section: TenancySection, place: str) -> None:
    """Make the place of a tenant, unless it is there. A database lets in only who is allowed to connect by name."""
    if section.placement == "schemas":
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(place)}".encode())
    if section.placement == "databases":
        if not exists(conn, section, place):
            try:
                conn.execute(f"CREATE DATABASE {quote(place)}".encode())
            except psycopg.errors.ObjectInUse as error:
                said = ". ".join(filter(None, (error.diag.message_primary, error.diag.message_detail)))
                raise PgcharterError(f"database {quote(place)} cannot be made: {said}", hint="say the same again") from None
        conn.execute(f"REVOKE CONNECT ON DATABASE {quote(place)} FROM PUBLIC".encode())


def shut(conn: Connection, section: TenancySection, place: str) -> None:
    """Let nobody into the place any more but who owns it, and the maintenance role; whoever is in stays in. In rows the state does that."""
    if section.placement == "schemas":
        newer = conn.info.server_version >= 160000
        for member, grantor in conn.execute(_sql("members"), (place, section.maintenance_role)).fetchall():
            by = f" GRANTED BY {quote(grantor)}" if newer else ""
            conn.execute(f"REVOKE {quote(place)} FROM {quote(member)}{by}".encode())
    if section.placement == "databases":
        for role in [role for (role,) in conn.execute(_sql("connecting"), (place,)).fetchall()]:
            conn.execute(f"REVOKE CONNECT ON DATABASE {quote(place)} FROM {quote(role) if role else 'PUBLIC'}".encode())


def unheld(conn: Connection, section: TenancySection) -> str:
    """Why a tenant that is not active is not kept out by the server; empty where it is. In rows that is up to the charter."""
    if section.placement != "rows":
        return ""
    if not section.ask_state:
        return "its users still get at its rows, for row policies do not ask for its state: ask_state = true in [tenancy], then " + APPLY
    if conn.execute(_sql("asks_state")).fetchone() != (True,):
        return f"its users still get at its rows, for ask_state of [tenancy] is not in force: {APPLY}"
    return ""


APPLY = "pgcharter policy apply"


def open_(conn: Connection, section: TenancySection, place: str) -> None:
    """Let the application in: the last thing that is done for a tenant. In rows the state itself does that."""
    if section.placement == "schemas":
        for sql in admitting(section, place, conn.info.server_version // 10000):
            conn.execute(sql.encode())
    if section.placement == "databases" and section.application_roles:
        roles = ", ".join(map(quote, section.application_roles))
        conn.execute(f"GRANT CONNECT ON DATABASE {quote(place)} TO {roles}".encode())


def sessions(conn: Connection, section: TenancySection, tenant: Tenant) -> tuple[Session, ...]:
    """Who is at work in a tenant's place: in a database everybody connected, in a schema who holds locks there; in rows nobody knows."""
    kind = {"schemas": "sessions_of_schema", "databases": "sessions_of_database"}.get(section.placement)
    return tuple(Session(*row) for row in conn.execute(_sql(kind), (tenant.place,)).fetchall()) if kind else ()


def end(conn: Connection, found: Iterable[Session]) -> int:
    """End sessions; return how many were there to be ended."""
    rows = conn.execute(
        "SELECT count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(p, 5000)) FROM unnest(%s::int[]) p", ([s.pid for s in found],)
    ).fetchone()
    return int(rows[0]) if rows else 0


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.tenants", "places.sql")[name].encode()
