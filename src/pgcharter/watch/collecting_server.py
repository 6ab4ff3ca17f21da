"""Whether a server answers and takes writes, and what its clock says."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psycopg

from pgcharter.errors import PgcharterError
from pgcharter.watch.collecting_asked import Asked, Row


def reach(asked: Asked) -> Iterable[Row]:
    """That somebody answered, and what connecting took."""
    return ({"down": 0, "connect_seconds": asked.connect_seconds, "problem": "", "hint": ""},)


def writing(asked: Asked) -> Iterable[Row]:
    """A transaction of ours: written, read back, rolled back; then an empty one that must reach the log, and synchronous standbys.

    It writes into a temporary table and a message of logical decoding, so nothing is left and no table of anybody is touched. Raises
    PgcharterError where we are not let.
    """
    conn = asked.server.conn
    asked.server.within("fast")
    began = time.perf_counter()
    try:
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL search_path = pg_temp")
            conn.execute("CREATE TEMPORARY TABLE pgcharter_health (value bigint) ON COMMIT DROP")
            conn.execute("INSERT INTO pg_temp.pgcharter_health VALUES (42)")
            row = conn.execute("SELECT value FROM pg_temp.pgcharter_health").fetchone()
        with conn.transaction():
            conn.execute("SELECT pg_catalog.pg_logical_emit_message(true, 'pgcharter', '')")
    except psycopg.errors.InsufficientPrivilege:
        role, database = asked.server.role, asked.server.database
        raise PgcharterError(
            f"role {role} may make no temporary table in database {database}: GRANT TEMPORARY ON DATABASE {database} TO {role}"
        ) from None
    except psycopg.Error as error:
        return ({"failed": 1, "problem": str(error).strip().partition("\n")[0]},)
    wrong = row is None or row[0] != 42
    problem = "a row that was written was not there" if wrong else ""
    return ({"failed": int(wrong), "commit_seconds": time.perf_counter() - began, "problem": problem},)


def clock(asked: Asked) -> Iterable[Row]:
    """How far the server's clock is from ours; what the answer took counts in its favour."""
    conn = asked.server.conn
    before = time.time()
    [row] = conn.execute("SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8").fetchall()
    after = time.time()
    here = asked.now.timestamp() if asked.now else None
    there = float(row[0])
    early, late = (before, after) if here is None else (here, here)
    return ({"skew_seconds": max(early - there, there - late, 0.0)},)
