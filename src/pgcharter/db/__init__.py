"""The one door to PostgreSQL: connections, server errors turned into ours, named queries kept in `.sql` files."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from pgcharter.errors import ConnectError
from pgcharter.redact import SECRET_WORDS

Connection = psycopg.Connection[TupleRow]

OLDEST = 14
"""Oldest major version that is read at all (with a stated gap; 15 to 18 are supported)."""


def connect(dsn: str, *, autocommit: bool = True, **options: Any) -> Connection:
    """Connect to `dsn` (URI or libpq keywords).

    Raises ConnectError, which names host, database and user but never the password.
    """
    options.setdefault("connect_timeout", 10)
    options.setdefault("application_name", "pgcharter")
    from pgcharter.db.refusals import explain, too_old, unreadable

    try:
        wanted = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise unreadable(error) from None
    if not all(part.isdigit() for part in str(wanted.get("port") or "0").split(",") if part):
        raise ConnectError(f"port {wanted['port']!r} is not a number", hint="PostgreSQL's usual port is 5432")
    for name in ("connect_timeout", "application_name"):
        if name in wanted:
            options.pop(name, None)
    secrets = [str(wanted[name]) for name in SECRET_WORDS if wanted.get(name)]
    try:
        conn = psycopg.connect(make_conninfo(dsn, **options), autocommit=autocommit)
    except psycopg.Error as error:
        raise explain(error, wanted, secrets) from None
    if conn.info.server_version < OLDEST * 10000:
        version = conn.info.server_version
        conn.close()
        raise too_old(version)
    return conn
