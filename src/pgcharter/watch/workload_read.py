"""Reading pg_stat_statements: whether it is there and complete, and what it has counted. Never resets it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from pgcharter.db import Connection, connect, queries
from pgcharter.findings import Gap
from pgcharter.names import quote
from pgcharter.watch.workload import Counted, Counters, Which, clean_text

PACKAGE, FILE = "pgcharter.watch", "workload.sql"
WHAT = "what statements cost"
_MAJOR = {"1.9": 14, "1.10": 15, "1.11": 17, "1.12": 18}
"""The server's version that a version of the extension came with, whose columns it has; newer ones have at least those of 18."""


@dataclass(frozen=True)
class Source:
    """pg_stat_statements as it is in this database."""

    schema: str
    """As SQL."""
    major: int
    """Version of PostgreSQL whose columns it has."""
    gaps: tuple[Gap, ...] = ()
    """What it does not show."""


@dataclass(frozen=True)
class Look:
    """What it has counted at one time."""

    at: datetime
    since: datetime
    """When it began to count."""
    evictions: int
    counted: tuple[Counted, ...]


def open_session(dsn: str) -> Connection:
    """A session of ours, with limits of time. Raises ConnectError."""
    more = "-c statement_timeout=60s -c lock_timeout=2s -c jit=off -c TimeZone=UTC"
    options = f"{conninfo_to_dict(dsn).get('options') or ''} {more}".strip()
    return connect(make_conninfo(dsn, options=options), application_name="pgcharter advise", client_encoding="UTF8")


def look_for(conn: Connection) -> tuple[Source | None, tuple[Gap, ...], bool]:
    """Where pg_stat_statements is, or why it is not to be used, with the remedy; and whether `pgcharter.statement_snapshots` is there."""
    with conn.cursor(row_factory=dict_row) as cursor:
        [found] = cursor.execute(query("look")).fetchall()
    if why := _missing(found):
        return None, (Gap(WHAT, why),), found["kept"]
    return Source(quote(found["schema"]), _major(found["version"]), tuple(_unseen(found))), (), found["kept"]


def _missing(found: dict[str, Any]) -> str:
    if not found["loaded"]:
        names = ", ".join(filter(None, (found["preloaded"], "pg_stat_statements")))
        return (
            "pg_stat_statements is not loaded, so nothing is counted:"
            f" ALTER SYSTEM SET shared_preload_libraries = {names}; then restart the server"
        )
    if found["schema"] is None:
        return f"extension pg_stat_statements is not in database {found['database']}: CREATE EXTENSION pg_stat_statements"
    if _major(found["version"]) < 15:
        return f"extension pg_stat_statements is of version {found['version']}: ALTER EXTENSION pg_stat_statements UPDATE"
    if found["query_id"] == "off":
        return "compute_query_id is off, so statements have no number: ALTER SYSTEM RESET compute_query_id; SELECT pg_reload_conf()"
    if found["track"] == "none":
        return (
            "pg_stat_statements.track is none, so nothing is counted: ALTER SYSTEM RESET pg_stat_statements.track; SELECT pg_reload_conf()"
        )
    return ""


def _unseen(found: dict[str, Any]) -> Iterable[Gap]:
    if not found["sees_all"]:
        role = found["role"]
        yield Gap("statements of other roles", f"role {role} sees its own alone: GRANT pg_read_all_stats TO {role}")


def _major(version: str) -> int:
    numbers = tuple(int(n) for n in version.split("."))
    return _MAJOR.get(version, 18 if numbers > (1, 12) else 13)


def counted(conn: Connection, source: Source) -> Look:
    """What is counted of this database. Raises psycopg.Error."""
    [(evictions, since, at)] = conn.execute(query("info", source)).fetchall()
    rows = conn.execute(query("counted", source)).fetchall()
    return Look(at, since, evictions, tuple(Counted(Which(*r[:4]), r[4], Counters(*r[6:]), r[5]) for r in rows))


def texts(conn: Connection, source: Source, ids: Iterable[int]) -> dict[int, str]:
    """Texts by number, without secrets. Raises psycopg.Error."""
    return {id_: clean_text(text) for id_, text in conn.execute(query("texts", source, given=True), {"ids": list(ids)}).fetchall() if text}


def query(name: str, source: Source | None = None, *, given: bool = False) -> bytes:
    """One query; `given` with parameters, where a percent sign in the name of a schema counts."""
    text = queries.query(PACKAGE, FILE, name, source.major if source else 18)
    schema = source.schema if source else ""
    return text.replace("{view}", schema.replace("%", "%%") if given else schema).encode()


def said(error: psycopg.Error) -> str:
    """What the server said, on one line."""
    return (error.diag.message_primary or str(error).strip() or "the connection was lost").splitlines()[0]
