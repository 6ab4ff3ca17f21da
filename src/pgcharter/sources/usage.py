"""Traces of roles at work on a live server: what was counted, who is logged in, who has run statements."""

from __future__ import annotations

from collections.abc import Mapping

from pgcharter.catalog.model import Catalog
from pgcharter.catalog.unused import Counted, Usage
from pgcharter.db import Connection
from pgcharter.findings import Gap
from pgcharter.names import ObjectId, quote
from pgcharter.sources.live import reading
from pgcharter.sources.live_shared import Shared

_WHO = Gap("which role used a privilege", "PostgreSQL counts uses of a table, not whose they were")
_PAST = Gap("who has logged in before", "PostgreSQL keeps no time of a role's last login; log_connections writes them to the log")
_STATEMENTS = Gap(
    "which roles have run statements", "pg_stat_statements is not in this database, or only members of pg_read_all_stats may read it"
)


def read(conn: Connection, catalog: Catalog) -> Usage:
    """What the server knows of the use of roles and tables. Raises PgcharterError."""
    with reading(conn) as shared:
        ((since,),) = shared.rows("usage", "since") or [("",)]
        statements = _statements(shared)
        return Usage(
            since=since or "",
            tables=_with_partitions(catalog, {ObjectId("table", *row[:2]): Counted(*row[2:]) for row in shared.rows("usage", "tables")}),
            entries=dict(shared.rows("usage", "entries")),
            sessions=frozenset(name for (name,) in shared.rows("usage", "sessions")),
            statements=statements,
            gaps=(_WHO, _PAST, *([_STATEMENTS] if statements is None else [])),
        )


def _statements(shared: Shared) -> Mapping[str, int] | None:
    found = shared.rows("usage", "statements_at")
    if not found:
        return None
    view = f"{quote(found[0][0])}.pg_stat_statements"
    sql = (
        f"select r.rolname, pg_catalog.sum(s.calls)::bigint from {view} s join pg_catalog.pg_roles r on r.oid = s.userid group by r.rolname"
    )
    return dict(shared.conn.execute(sql.encode()).fetchall())


def _with_partitions(catalog: Catalog, counted: Mapping[ObjectId, Counted]) -> Mapping[ObjectId, Counted]:
    """The counters of partitioned tables: those of their partitions together."""

    def of(table: ObjectId) -> Counted:
        own = counted.get(table, Counted())
        parts = [of(p.id) for p in catalog.partitions.get(table, ())]
        return Counted(
            own.reads + sum(p.reads for p in parts),
            own.inserted + sum(p.inserted for p in parts),
            own.updated + sum(p.updated for p in parts),
            own.deleted + sum(p.deleted for p in parts),
        )

    return {**counted, **{t.id: of(t.id) for t in catalog.tables if t.kind == "partitioned table"}}
