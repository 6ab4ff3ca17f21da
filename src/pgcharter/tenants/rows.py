"""A connection that sees, and may delete, every row of a tenant: nothing that is exported or deleted is left to row security."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from pgcharter.db import connect
from pgcharter.errors import RefusedError
from pgcharter.names import quote
from pgcharter.tenants.table import APPLICATION, understood

if TYPE_CHECKING:
    from pgcharter.db import Connection

_EXEMPT = "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user"
_MEMBER = "SELECT count(*) > 0 FROM pg_catalog.pg_roles r WHERE r.rolname = %s AND pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')"


@contextmanager
def seeing_all(dsn: str, maintenance: str = "") -> Iterator[Connection]:
    """A connection on which row security hides nothing; where needed and possible, in the role `maintenance`.

    Raises RefusedError as soon as a statement on it would not see all rows: with row_security = off PostgreSQL fails it (documentation,
    "row_security").
    """
    with connect(dsn, application_name=APPLICATION, client_encoding="UTF8", keepalives_idle=30) as conn:
        conn.execute("SET statement_timeout = 0; SET lock_timeout = '10s'; SET row_security = off; SET idle_session_timeout = 0")
        if maintenance and conn.execute(_EXEMPT).fetchone() == (False,) and conn.execute(_MEMBER, (maintenance,)).fetchone() == (True,):
            conn.execute(f"SET ROLE {quote(maintenance)}".encode())
        with understood(conn), _reaching_all(conn, maintenance):
            yield conn


@contextmanager
def _reaching_all(conn: Connection, maintenance: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        said = error.diag.message_primary or "permission denied"
        as_whom = f"SET ROLE to {quote(maintenance)} from a member of it" if maintenance else "a superuser, or a role with BYPASSRLS"
        raise RefusedError(
            f"role {conn.info.user} cannot reach all rows of the tenant, so nothing more was done: {said}",
            hint=f"connect as a role that can: {as_whom}",
        ) from None
