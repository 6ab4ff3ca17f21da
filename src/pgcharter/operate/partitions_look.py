"""What is there: declared tables, their partitions, what an interrupted run has left, who else manages them. A fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from pgcharter.db import Connection, queries
from pgcharter.errors import RefusedError
from pgcharter.names import ObjectId, quote
from pgcharter.operate import retention_holds
from pgcharter.operate.partitions_model import Look, Part, was_of
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.retention_settings import PartitionTable

SQL = queries.load("pgcharter.operate", "partitions.sql")
Left = dict[tuple[str, str], list[Part]]
TYPES = ("date", "timestamp", "timestamptz")


def look(conn: Connection, tables: Sequence[PartitionTable], now: datetime | None = None) -> tuple[Look, ...]:
    """What is known about declared tables, by the server's clock unless `now` is given. Raises RefusedError on a replica."""
    conn.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET search_path = pg_catalog")
    row = conn.execute("SELECT pg_is_in_recovery(), clock_timestamp()").fetchone()
    assert row  # noqa: S101
    if row[0]:
        raise RefusedError("this server is a replica, so nothing can be changed here", hint="name the primary: --on DSN")
    moment = retention_holds.believed(row[1], now)
    theirs = _managed(conn)
    parameters = {"schemas": [t.id.schema for t in tables], "names": [t.id.name for t in tables]}
    there = {r[0]: r for r in conn.execute(SQL["tables"], parameters).fetchall()}
    parents = [r[1] for r in there.values() if r[2] == "p"]
    parts: dict[int, list[Part]] = defaultdict(list)
    for r in conn.execute(SQL["parts"], {"parents": parents}).fetchall():
        parts[r[0]].append(_part(r))
    left = _left(conn)
    return tuple(_one(t, moment, there.get(n), parts, theirs, left) for n, t in enumerate(tables, 1))


def _part(r: tuple[Any, ...]) -> Part:
    _, schema, name, kind, pending, bound, low, high, note, rows, size = r
    low, high = (m.astimezone(UTC) if m else None for m in (low, high))
    return Part(ObjectId("table", schema, name), low, high, bound, kind, pending, note, rows, size)


def _left(conn: Connection) -> Left:
    """Tables that were partitions, by what they were of and who owns them: the comment of somebody else's table proves nothing."""
    found: Left = defaultdict(list)
    for schema, name, note, rows, size, owner in conn.execute(SQL["left"]).fetchall():
        if known := was_of(note):
            parent, low, high = known
            part = Part(ObjectId("table", schema, name), low.astimezone(UTC), high.astimezone(UTC), comment=note, rows=rows, bytes=size)
            found[parent, owner].append(part)
    return found


def _managed(conn: Connection) -> dict[str, str] | None:
    """Tables that pg_partman manages, schema.table without quotes; None when it is there and does not let us look."""
    row = conn.execute(SQL["partman"]).fetchone()
    if row is None:
        return {}
    try:
        names = conn.execute(f"SELECT parent_table FROM {quote(row[0])}.part_config".encode()).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        return None
    except psycopg.errors.UndefinedTable:
        return {}
    return {name: "pg_partman" for (name,) in names}


def _one(
    table: PartitionTable, now: datetime, row: tuple[Any, ...] | None, parts: dict[int, list[Part]],
    theirs: dict[str, str] | None, left: Left,
) -> Look:  # fmt: skip
    blank = Look(table, now)
    if row is None:
        return replace(blank, problem=f"there is no table {table.id.sql()}", hint="see [[retention.partition]] table")
    _, oid, kind, owner, strategy, count, column, type_, mine, default, dschema, dname, _, may_create = row
    named = f"{table.id.schema}.{table.id.name}"
    if theirs is None:
        why = "pg_partman is installed and its part_config may not be read, so nobody knows which tables it manages"
        return replace(blank, problem=why, hint="GRANT SELECT ON part_config TO CURRENT_USER")
    if named in theirs:
        return replace(blank, alone="pg_partman")
    if table.id.schema == SCHEMA:
        return replace(blank, problem=f"{table.id.sql()} is pgcharter's own, and another policy makes its partitions")
    if kind != "p":
        return replace(
            blank, problem=f"{table.id.sql()} is not partitioned, so no partitions can be made",
            hint=f"plan it: a table PARTITION BY RANGE of a column, or [[retention.rule]] for {named}",
        )  # fmt: skip
    if strategy != "r" or count != 1 or column is None or type_ not in TYPES:
        return replace(blank, problem=f"{table.id.sql()} is not partitioned by RANGE of one column of date or time")
    if type_ == "date" and table.lasts.unit == "hour":
        return replace(blank, problem=f"{table.id.sql()} is partitioned by {quote(column)}, a date, which has no hours")
    if type_ != "timestamptz" and table.zone != "UTC":
        return replace(blank, problem=f'{table.id.sql()}.{quote(column)} has no time zone, so zone = "{table.zone}" means nothing')
    if not mine or not may_create:
        what = f"{quote(owner)}, who owns it," if not mine else f"a role that may create tables in schema {quote(table.id.schema)}"
        hint = "" if mine else f"GRANT {quote(owner)} TO CURRENT_USER"
        return replace(blank, problem=f"only {what} can make partitions of {table.id.sql()}", hint=hint)
    held = tuple(parts[oid])
    if any(p.kind != "r" for p in held):
        other = next(p for p in held if p.kind != "r")
        what = "partitioned itself" if other.kind == "p" else "a foreign table"
        return replace(blank, problem=f"partition {other.id.sql()} of {table.id.sql()} is {what}, which is left to whoever made it so")
    named_default = ObjectId("table", dschema, dname) if default else None
    return replace(blank, column=column, type=type_, parts=held, default=named_default, left=tuple(left.get((table.id.sql(), owner), ())))
