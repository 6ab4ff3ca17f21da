"""The one door to PostgreSQL: connections, server errors turned into ours, named queries kept in `.sql` files."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import TupleRow

from pgcharter.errors import ConnectError

Connection = psycopg.Connection[TupleRow]


def connect(dsn: str, *, autocommit: bool = True, **options: Any) -> Connection:
    """Connect to `dsn` (URI or libpq keywords).

    Raises ConnectError, which names host, database and user but never the password.
    """
    options.setdefault("connect_timeout", 10)
    options.setdefault("application_name", "pgcharter")
    try:
        return psycopg.connect(dsn, autocommit=autocommit, **options)
    except psycopg.Error as error:
        raise ConnectError(str(error).strip()) from None
