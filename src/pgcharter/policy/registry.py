"""Which policies there are, in the order in which they are applied, and which of them a charter chooses."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.encryption_settings import HEADER

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.charter import Charter, Section
    from pgcharter.policy.model import Mark, Policy

NAMES = (
    "tenancy",
    "soft_delete",
    "encryption",
    "pgcrypto",
    "audit",
    "idempotency",
    "two_phase",
    "messaging",
    "sync",
    "evidence",
    "business",
    "workload",
    "jobs",
    "retention",
    "roles",
)
"""Policies as their sections are called. Each has a module of settings with its `SECTION`, and one with the `policy` made from its values.
Audit comes after encryption, whose columns it may leave out. Roles come last of all: they grant what the others have made."""

KEEP = {
    "audit": "[audit] is not in the charter any more, and what it recorded would be lost with pgcharter.audit_log: write [audit] with"
    ' nothing in it to keep the trail, or trail = "drop" in it to lose it'
}
"""Policies that hold data of their own, with what is asked when their section is gone: nobody loses that by leaving something out."""


_OWN = {
    ObjectId("table", SCHEMA, "idempotency_keys"): "the answers to requests, which would be done again when they come again",
    ObjectId("table", SCHEMA, "two_phase_log"): "the decisions about transactions over several databases, some perhaps not carried out yet",
    ObjectId("table", SCHEMA, "subject_keys"): "the keys of persons, without which nothing of theirs can be read",
    ObjectId("table", SCHEMA, "tenants"): "the tenants",
    ObjectId("table", SCHEMA, "events"): "everything that has happened",
    ObjectId("table", SCHEMA, "event_heads"): "the versions of aggregates, without which two writers could append the same one",
    ObjectId("table", SCHEMA, "outbox"): "messages, some perhaps not delivered yet",
    ObjectId("table", SCHEMA, "parked"): "messages that could not be handled, and wait for it",
    ObjectId("table", SCHEMA, "feeds"): "how far whoever reads events and messages has come",
    ObjectId("table", SCHEMA, "saga_instances"): "sagas, some perhaps under way",
    ObjectId("table", SCHEMA, "saga_steps"): "what sagas have done, and would have to take back",
    ObjectId("table", SCHEMA, "sync_sinks"): "how far each copy has come",
    ObjectId("table", SCHEMA, "evidence"): "what was proven, and when",
    ObjectId("table", SCHEMA, "scores"): "the scorecards of the past",
    ObjectId("table", SCHEMA, "business_results"): "what business rules have measured",
    ObjectId("table", SCHEMA, "statement_intervals"): "when snapshots of the workload were taken",
    ObjectId("table", SCHEMA, "statement_snapshots"): "what statements have cost",
    ObjectId("table", SCHEMA, "statement_texts"): "the texts of statements, and what had been counted",
    ObjectId("table", SCHEMA, "jobs"): "when jobs run next",
    ObjectId("table", SCHEMA, "job_runs"): "how jobs ran",
    ObjectId("table", SCHEMA, "legal_holds"): "what must stay although its time is over",
    ObjectId("table", SCHEMA, "retention_runs"): "what has left, and where to",
}
"""Our own tables that hold what is nowhere else."""


def kept(old: Iterable[Mark], present: Catalog, wanted: Catalog) -> tuple[str, ...]:
    """Questions about what policies made in `present`, that holds what is nowhere else, and is not `wanted` any more.

    Nobody loses it by leaving a line out of the charter, or a section: whoever wants to lose it drops it with the statement given.
    """
    made = sorted({m.object for m in old if not m.field})
    deleted = sorted({m.object for m in old if not m.field and m.policy == "soft_delete" and m.object.kind == "column"})
    found = (_of_column(at, present, wanted) or _of_table(at, present, wanted) for at in made)
    return tuple(filter(None, (*found, *(_of_mark(at, present, wanted) for at in deleted))))


def _of_mark(at: ObjectId, present: Catalog, wanted: Catalog) -> str:
    """For a column that says which rows are deleted: without it all of them would be alive again."""
    if not _is_lost(at, present, wanted):
        return ""
    return (
        f"{at.sql()} says which rows are deleted, and nothing in the charter wants it any more: name its table in [soft_delete] again; or"
        f" lose it by your own hand, ALTER TABLE {at.owner.sql()} DROP COLUMN {quote(at.part)}"
    )


def _is_lost(at: ObjectId, present: Catalog, wanted: Catalog) -> bool:
    """Whether a column would go whose table stays. One that is inherited goes with its parent's."""
    table, there = present.table.get(at.owner), wanted.table.get(at.owner)
    if table is None or there is None or at.part not in table.column or at.part in there.column:
        return False
    return not table.column[at.part].inherited


def _of_table(at: ObjectId, present: Catalog, wanted: Catalog) -> str:
    if at not in _OWN or at not in present.table or at in wanted.table:
        return ""
    return (
        f"{at.sql()} holds {_OWN[at]}, and nothing in the charter wants it any more: write again what did; or lose it by your own hand,"
        f" DROP TABLE {at.sql()} CASCADE"
    )


def _of_column(at: ObjectId, present: Catalog, wanted: Catalog) -> str:
    """For a column of encrypted values, which its check tells. One whose table goes, goes with it."""
    if at.kind != "column" or not _is_lost(at, present, wanted):
        return ""
    table = present.table[at.owner]
    if not any(c.columns == (at.part,) and HEADER.hex() in c.expression for c in table.constraints):
        return ""
    before = "".join(f"DROP TRIGGER {quote(t.name)} ON {table.id.sql()}; " for t in table.triggers if quote(at.part) in t.condition)
    return (
        f"{table.id.sql()}.{quote(at.part)} holds encrypted values, and nothing in the charter wants it any more: declare its column in"
        f" [encryption] as before; or lose it by your own hand, {before}ALTER TABLE {table.id.sql()} DROP COLUMN {quote(at.part)}"
    )


def sections() -> tuple[Section[Any], ...]:
    """The charter's sections that declare policies."""
    return tuple(_section(name) for name in NAMES)


def chosen(charter: Charter) -> tuple[Policy, ...]:
    """The policies whose sections stand in the charter."""
    declared = (name for name in NAMES if name in charter.sections)
    return tuple(import_module(f"pgcharter.policy.{name}").policy(charter.section(_section(name))) for name in declared)


def _section(name: str) -> Section[Any]:
    found: Section[Any] = import_module(f"pgcharter.policy.{name}_settings").SECTION
    return found
