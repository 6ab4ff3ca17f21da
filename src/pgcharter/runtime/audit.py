"""Reading the history of rows that `[audit]` records: the entries of one row, and a table as it was.

    from pgcharter.runtime import audit

    audit.history(conn, "app.orders", {"id": 42})        # every kind of connection that a flow runs on; await audit.history.aio(…)
    audit.as_of(conn, "app.orders", yesterday)           # the rows of then

Who reads must be one of the trail's readers, and for `as_of` may read the table. A change counts from when its statement wrote it, not from
its commit, which PostgreSQL does not tell: what a transaction wrote that was open at that moment is there already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from importlib import resources
from typing import Any

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import UsageError
from pgcharter.names import ObjectId, address, quote

_TRIGGER = "0_pgcharter_audit"


@dataclass(frozen=True)
class Entry:
    """One thing that was recorded."""

    number: int
    """Order of writing."""
    changed_at: datetime
    transaction_at: datetime
    transaction_id: int
    table_schema: str
    table_name: str
    operation: str
    """INSERT, UPDATE, DELETE, TRUNCATE, SCHEMA."""
    key: Any
    """Primary key of the row before, of an INSERT of the new one; the whole row where there is none. None: it is about no single row."""
    new_key: Any
    """Primary key afterwards where an UPDATE changed it."""
    old: Any
    new: Any
    session_role: str
    actor: str | None
    reason: str | None
    correlation: str | None
    client_address: str | None
    statement: str | None
    """First word of what the client sent, or the command that changed the schema."""
    depth: int
    """1: by the statement itself; more: by a trigger."""

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Columns that differ, with the value before and after."""
        old, new = self.old or {}, self.new or {}
        names = dict.fromkeys((*old, *new))
        return {n: (old.get(n), new.get(n)) for n in names if n not in old or n not in new or old[n] != new[n]}


_CAST = {"transaction_id": "transaction_id::text::bigint", "client_address": "host(client_address)"}
COLUMNS = ", ".join(_CAST.get(f.name, f.name) for f in fields(Entry))
"""What an Entry is made of, as SQL."""


@dataclass(frozen=True)
class Recorded:
    """A table whose rows are recorded, as its trigger says."""

    table: ObjectId
    key: tuple[str, ...]
    """Primary key; empty: rows are told by all they hold."""
    left_out: tuple[str, ...]
    masked: tuple[str, ...]
    only: bool
    """Whether heirs by inheritance are tables of their own: true but for a partitioned table."""


_RECORDED = """
SELECT c.relkind::text, t.tgargs, t.tgparentid <> 0
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid AND t.tgname = %s
 WHERE n.nspname = %s AND c.relname = %s
"""
_HASH = "hashtextextended((%(key)s::jsonb)::text, 0)"
_SAME = (
    f"((key_hash = {_HASH} AND key = %(key)s::jsonb) OR"
    f" (new_key IS NOT NULL AND hashtextextended(new_key::text, 0) = {_HASH} AND new_key = %(key)s::jsonb))"
)
"""A row by its key, in the words of the indexes (`policy.audit_tables`)."""
SETTINGS = {"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601", "bytea_output": "hex", "extra_float_digits": "1"}
"""What the text of values hangs on, as `audit_row.sql` has it."""
CANONICAL = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in SETTINGS.items())
_PRESENT = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)
_BACK = "SELECT " + ", ".join(f"set_config('{name}', %s, true)" for name in SETTINGS)
_ARRAYS = "SELECT %s::text[], %s::text[], %s::text[]"


@flow
def history(table: str, key: Mapping[str, Any], *, limit: int = 1000) -> Steps[list[Entry]]:
    """What became of the row with this primary key, the oldest entry first; with `limit` the last so many.

    A row whose key was changed is found by either. Raises UsageError when the table is not recorded.
    """
    found = yield from recorded(table)
    if found.key and set(found.key) != set(key):
        raise UsageError(f"the key of {found.table} is {', '.join(found.key)}, not {', '.join(key) or 'nothing'}")
    rows = yield Query(
        f"SELECT {COLUMNS} FROM pgcharter.audit_log WHERE {_SAME} AND table_schema = %(schema)s AND table_name = %(name)s"
        " ORDER BY number DESC LIMIT %(limit)s",
        {"key": json.dumps(key, default=str), "schema": found.table.schema, "name": found.table.name, "limit": limit},
    )
    return [Entry(*row) for row in reversed(rows)]


@flow
def entries(
    table: str = "",
    *,
    key: Mapping[str, Any] | None = None,
    actor: str = "",
    correlation: str = "",
    transaction: int = 0,
    number: int = 0,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> Steps[list[Entry]]:
    """What was recorded, by any of these, the oldest entry first; with `limit` the last so many. `table` is schema.name."""
    at = _address(table) if table else None
    said: dict[str, Any] = {
        "table_schema = %(schema)s": at and at.schema, "table_name = %(name)s": at and at.name,
        "actor = %(actor)s": actor, "correlation = %(correlation)s": correlation, "number = %(number)s": number,
        "transaction_id = (%(transaction)s::text)::xid8": transaction, "changed_at >= %(since)s": since, "changed_at < %(until)s": until,
        _SAME: key and json.dumps(key, default=str),
    }  # fmt: skip
    names = ("schema", "name", "actor", "correlation", "number", "transaction", "since", "until", "key")
    where = " AND ".join(condition for condition, value in said.items() if value) or "true"
    rows = yield Query(
        f"SELECT {COLUMNS} FROM pgcharter.audit_log WHERE {where} ORDER BY number DESC LIMIT %(limit)s",
        {**dict(zip(names, said.values(), strict=True)), "limit": limit},
    )
    return [Entry(*row) for row in reversed(rows)]


@flow
def as_of(table: str, at: datetime, *, limit: int | None = None) -> Steps[list[dict[str, Any]]]:
    """The rows of a table as they were at a moment (with time zone), as JSON has them; columns left out are not in them.

    Raises UsageError when the table is not recorded, or for a moment without time zone. From a big table: `as_of_query` with a cursor.
    """
    found = yield from recorded(table)
    (before,) = yield Query(_PRESENT)
    yield Query(CANONICAL)
    query = as_of_query(found, at)
    rows = yield Query(query.sql + (" LIMIT %(limit)s" if limit is not None else ""), {**dict(query.parameters), "limit": limit})
    yield Query(_BACK, before)
    return [row[0] for row in rows]


def recorded(table: str) -> Steps[Recorded]:
    """How a table, given as schema.name, is recorded. Raises UsageError when it is not, or as part of a partitioned one."""
    at = _address(table)
    rows = yield Query(_RECORDED, (_TRIGGER, at.schema, at.name))
    if not rows or rows[0][1] is None:
        what = "there is no such table" if not rows else "its rows are not recorded"
        raise UsageError(f"{at} has no history: {what}", hint="[audit] tables in the charter, then: pgcharter policy apply")
    kind, arguments, cloned = rows[0]
    said = bytes(arguments).decode().split("\0")
    if cloned:
        raise UsageError(f"{at} is a partition, whose rows are recorded as those of {quote(said[0])}.{quote(said[1])}", hint="ask for that")
    ((key, left_out, masked),) = yield Query(_ARRAYS, (said[2], said[3], said[4]))
    return Recorded(ObjectId("table", said[0], said[1]), tuple(key), tuple(left_out), tuple(masked), kind != "p")


def _address(table: str) -> ObjectId:
    try:
        return address(f"table {table}")
    except ValueError:
        raise UsageError(f"{table!r} is no table's address", hint='write schema.name, and "…" around names that need it') from None


def as_of_query(of: Recorded, at: datetime) -> Query:
    """The statement that gives the rows of then, one JSON object each, for a session that has run CANONICAL.

    What was written since is taken back from what is there now; a row's first old image after the moment is what it was.
    """
    if at.tzinfo is None:
        raise UsageError(f"{at.isoformat()} has no time zone, so it is no moment", hint=f"{at.isoformat()}+00:00 would be one")
    text = resources.files("pgcharter.runtime").joinpath(f"audit_{'keyed' if of.key else 'whole'}.sql").read_text(encoding="utf-8")
    present = f"{'ONLY ' if of.only else ''}{of.table.sql()}".replace("%", "%%")
    named = {
        "at": at, "schema": of.table.schema, "name": of.table.name, "key": list(of.key), "left_out": list(of.left_out),
        "masked": list(of.masked),
    }  # fmt: skip
    return Query(text.replace("{{table}}", present), named)
