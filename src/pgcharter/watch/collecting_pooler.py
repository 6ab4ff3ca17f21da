"""PgBouncer, by its admin console."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from pgcharter.db.refusals import explain
from pgcharter.errors import ConnectError
from pgcharter.redact import SECRET_WORDS
from pgcharter.watch.collecting_asked import Asked, NothingToAskError, Row


def _ask(asked: Asked, *commands: str) -> list[list[dict[str, Any]]]:
    """What the console says, which is no PostgreSQL. Raises ConnectError; NothingToAskError where no console is named."""
    if not asked.pooler:
        raise NothingToAskError
    try:
        with psycopg.connect(asked.pooler, autocommit=True, connect_timeout=5) as conn, conn.cursor(row_factory=dict_row) as cursor:
            return [cursor.execute(command).fetchall() for command in commands]
    except psycopg.OperationalError as error:
        wanted = conninfo_to_dict(asked.pooler)
        raise explain(error, wanted, [str(wanted[name]) for name in SECRET_WORDS if wanted.get(name)]) from None


def pooler(asked: Asked) -> Iterable[Row]:
    """Whether it answers, and how many clients it has of those it lets in."""
    try:
        lists, config = _ask(asked, "SHOW LISTS", "SHOW CONFIG")
    except ConnectError as error:
        return ({"down": 1, "problem": error.message},)
    counts = {r["list"]: int(r["items"]) for r in lists}
    most = next(int(r["value"]) for r in config if r["key"] == "max_client_conn")
    clients = counts["used_clients"]
    return ({"down": 0, "clients": clients, "most_clients": most, "clients_percent": 100.0 * clients / most, "problem": ""},)


def pools(asked: Asked) -> Iterable[Row]:
    """Each pool: who waits, for how long, and how full it is."""
    try:
        found, databases = _ask(asked, "SHOW POOLS", "SHOW DATABASES")
    except ConnectError as error:
        raise ConnectError(f"PgBouncer's console: {error.message}") from None
    size = {r["name"]: int(r["pool_size"]) for r in databases}
    stopped = {r["name"]: int(r.get("paused") or 0) or int(r.get("disabled") or 0) for r in databases}
    rows = []
    for r in found:
        if r["database"] == "pgbouncer":
            continue
        busy, most = int(r["sv_active"]) + int(r["sv_used"]) + int(r["sv_tested"]) + int(r["sv_login"]), size.get(r["database"], 0)
        rows.append(
            {
                "database": r["database"], "user": r["user"], "waiting": int(r["cl_waiting"]), "active": int(r["cl_active"]),
                "waited_seconds": int(r["maxwait"]) + int(r.get("maxwait_us") or 0) / 1e6, "busy": busy, "pool_size": most,
                "busy_percent": 100.0 * busy / most if most else None, "stopped": int(bool(stopped.get(r["database"]))),
            }
        )  # fmt: skip
    return rows
