"""Retention: the tables of what must stay (legal holds) and of what has left, by whom and where to."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Index, Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import check, columns, index, joined, opened, primary
from pgcharter.policy.retention_settings import SECTION, RetentionSection
from pgcharter.policy.rights import closed

HOLDS = ObjectId("table", SCHEMA, "legal_holds")
RUNS = ObjectId("table", SCHEMA, "retention_runs")
_AT = "timestamp with time zone"
_HOLDS = {
    "hold_id": ("uuid", "gen_random_uuid()", ""),
    "table_schema": ("text", "", "schema of the table that is held"),
    "table_name": ("text", "", "table that is held"),
    "column_name": ("text?", "", "column that says which rows are; NULL: all of them"),
    "column_value": ("text?", "", "value of that column, as text, in the rows that are held"),
    "reason": ("text", "", "why it must stay: a case, an audit"),
    "held_by": ("text", "SESSION_USER", "who placed it"),
    "held_at": (_AT, "now()", ""),
    "released_by": ("text?", "", "who took it away"),
    "released_at": (f"{_AT}?", "", "when it was taken away; NULL: it is in force"),
}
_RUNS = {
    "run_id": ("uuid", "gen_random_uuid()", ""),
    "table_schema": ("text", "", "schema of the table that was left"),
    "table_name": ("text", "", "table that was left"),
    "action": ("text", "", "archive, file, delete, drop, keep, schema"),
    "cut_off": (f"{_AT}?", "", "what is older left"),
    "rows_gone": ("bigint", "0", "rows that left"),
    "went_to": ("text?", "", "table, schema or file that they went to"),
    "sha256": ("text?", "", "checksum of that file"),
    "run_by": ("text", "SESSION_USER", ""),
    "created_at": (_AT, "now()", "when its transaction began"),
}


def policy(section: RetentionSection) -> Policy:
    """The policy of a `[retention]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: RetentionSection) -> State:
    catalog, owner = state.catalog, state.catalog.database.owner
    reading = [(role, "SELECT") for role in dict.fromkeys((*section.readers, *section.workers))]
    adding = [*reading, *((role, "INSERT") for role in section.workers)]
    changing = [*adding, *((role, "UPDATE") for role in section.workers)]
    holds = replace(_holds(), acl=closed("table", owner, changing, catalog.major))
    runs = replace(_runs(), acl=closed("table", owner, adding, catalog.major))
    made = replace(catalog, tables=joined(catalog.tables, holds, runs))
    return replace(state, catalog=opened(made, dict.fromkeys((*section.readers, *section.workers))))


def _holds() -> Table:
    live = index(HOLDS, "legal_holds_in_force", ("table_schema", "table_name"))
    where = "released_at IS NULL"
    return Table(
        SCHEMA, HOLDS.name, columns=columns(_HOLDS),
        constraints=(
            check("legal_holds_released_after", "(released_at >= held_at)", "held_at", "released_at"),
            check("legal_holds_rows", "((column_name IS NULL) = (column_value IS NULL))", "column_name", "column_value"),
            primary("legal_holds_pkey", ("hold_id",)),
        ),
        indexes=(_some(live, where), index(HOLDS, "legal_holds_pkey", ("hold_id",), unique=True)),
        comment="What must stay although its time is over, and why",
    )  # fmt: skip


def _some(of: Index, where: str) -> Index:
    return replace(of, predicate=f"({where})", definition=f"{of.definition} WHERE ({where})")


def _runs() -> Table:
    return Table(
        SCHEMA, RUNS.name, columns=columns(_RUNS),
        constraints=(check("retention_runs_rows", "(rows_gone >= 0)", "rows_gone"), primary("retention_runs_pkey", ("run_id",))),
        indexes=(
            index(RUNS, "retention_runs_of_table", ("table_schema", "table_name", "created_at")),
            index(RUNS, "retention_runs_pkey", ("run_id",), unique=True),
        ),
        comment="What has left because its time was over, and where to",
    )  # fmt: skip
