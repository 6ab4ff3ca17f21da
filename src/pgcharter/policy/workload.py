"""Workload: the tables of snapshots of pg_stat_statements: intervals, what each statement cost in them, and its text and counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import columns, index, joined, opened, primary
from pgcharter.policy.rights import closed
from pgcharter.policy.workload_settings import SECTION, WorkloadSection

INTERVALS = ObjectId("table", SCHEMA, "statement_intervals")
SNAPSHOTS = ObjectId("table", SCHEMA, "statement_snapshots")
STATEMENTS = ObjectId("table", SCHEMA, "statement_texts")
_NOW = "timestamp with time zone"
_STATEMENT = {
    "role_id": ("oid", "", "whose statement it is"),
    "database_id": ("oid", "", "database it ran in"),
    "query_id": ("bigint", "", "PostgreSQL's number of statements that differ in constants only"),
    "top_level": ("boolean", "", "false: it ran inside a function"),
}
_WHICH = tuple(_STATEMENT)
_INTERVALS = {
    "taken_at": (_NOW, "", "when the snapshot was taken"),
    "began_at": (f"{_NOW}?", "", "when the one before was; NULL: it is the first"),
    "counted_since": (_NOW, "", "when pg_stat_statements began to count"),
    "was_reset": ("boolean", "false", "counters were reset in between, so what is before that is missing"),
    "evictions": ("bigint", "0", "times that pg_stat_statements had to forget statements in between"),
    "evictions_in_all": ("bigint", "0", "the same since it began to count"),
    "statements": ("integer", "0", "statements that ran in between, as far as they are known"),
    "calls": ("bigint", "0", "calls of all of them"),
    "execution_ms": ("double precision", "0", "time of all of them, in milliseconds"),
    "created_at": (_NOW, "now()", ""),
}
_COUNTED = {
    "calls": ("bigint", "", ""),
    "execution_ms": ("double precision", "", "milliseconds"),
    "planning_ms": ("double precision", "", "milliseconds; 0 without pg_stat_statements.track_planning"),
    "row_count": ("bigint", "", "rows given or changed"),
    "blocks_hit": ("bigint", "", "blocks that were in memory"),
    "blocks_read": ("bigint", "", "blocks that were not"),
    "blocks_dirtied": ("bigint", "", ""),
    "blocks_written": ("bigint", "", ""),
    "temp_blocks": ("bigint", "", "blocks of temporary files, read and written"),
    "io_ms": ("double precision", "", "milliseconds of reading and writing; 0 without track_io_timing"),
    "wal_bytes": ("bigint", "", "bytes of write-ahead log"),
}
COUNTED = tuple(_COUNTED)
_TEXTS = {
    **_STATEMENT,
    "role_name": ("text", "", ""),
    "statement": ("text?", "", "as PostgreSQL normalises it, without secrets; NULL: it was never among those that are kept"),
    "counters": ("jsonb", "", "what pg_stat_statements had counted at seen_at, by name"),
    "seen_at": (_NOW, "", "snapshot in which it last had other counters"),
    "created_at": (_NOW, "now()", ""),
}


def policy(section: WorkloadSection) -> Policy:
    """The policy of a `[workload]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: WorkloadSection) -> State:
    catalog = state.catalog
    writing = [(role, right) for role in section.writers for right in ("SELECT", "INSERT", "UPDATE", "DELETE")]
    acl = closed("table", catalog.database.owner, [(role, "SELECT") for role in section.readers] + writing, catalog.major)
    tables = (
        _table(INTERVALS, _INTERVALS, ("taken_at",), "Times between snapshots of pg_stat_statements"),
        _table(
            SNAPSHOTS, {"taken_at": (_NOW, "", "end of the interval"), **_STATEMENT, **_COUNTED}, ("taken_at", *_WHICH),
            "What each statement cost in an interval; only the most expensive ones",
        ),
        _table(STATEMENTS, _TEXTS, _WHICH, "Statements with their texts, and their counters as they were seen last"),
    )  # fmt: skip
    made = replace(catalog, tables=joined(catalog.tables, *(replace(t, acl=acl) for t in tables)))
    return replace(state, catalog=opened(made, dict.fromkeys((*section.readers, *section.writers))))


def _table(at: ObjectId, of: Mapping[str, tuple[str, str, str]], key: tuple[str, ...], comment: str) -> Table:
    name = f"{at.name}_pkey"
    return Table(
        SCHEMA,
        at.name,
        columns=columns(of),
        constraints=(primary(name, key),),
        indexes=(index(at, name, key, unique=True),),
        comment=comment,
    )
