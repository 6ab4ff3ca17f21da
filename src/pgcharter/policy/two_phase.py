"""Transactions over several databases: the coordinator's log and the numbers of coordinators, on the database that decides."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Catalog, Sequence, Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import check, columns, index, joined, opened, primary
from pgcharter.policy.rights import closed
from pgcharter.policy.two_phase_settings import SECTION, TwoPhaseSection

LOG = ObjectId("table", SCHEMA, "two_phase_log")
EPOCH = ObjectId("sequence", SCHEMA, "two_phase_epoch")
_COLUMNS = {
    "epoch": ("bigint", "", "number of the coordinator's life, from two_phase_epoch"),
    "number": ("bigint", "", "number of the transaction in it"),
    "coordinator": ("text", "", ""),
    "decision": ("text", "", "commit, or rollback where a participant could not be told so"),
    "participants": ("jsonb", "", "databases that take part: name, and system identifier/oid of the database"),
    "decided_at": ("timestamp with time zone", "now()", ""),
}


def policy(section: TwoPhaseSection) -> Policy:
    """The policy of a `[two_phase]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: TwoPhaseSection) -> State:
    catalog = state.catalog
    made = replace(
        catalog, tables=joined(catalog.tables, _log(section, catalog)), sequences=joined(catalog.sequences, _epoch(section, catalog))
    )
    return replace(state, catalog=opened(made, section.users))


def _log(section: TwoPhaseSection, catalog: Catalog) -> Table:
    rights = [(user, privilege) for user in section.users for privilege in ("SELECT", "INSERT", "DELETE")]
    key, decision = ("epoch", "number"), "decision = ANY (ARRAY['commit'::text, 'rollback'::text])"
    return Table(
        SCHEMA, LOG.name, columns=columns(_COLUMNS),
        constraints=(check("two_phase_log_decision_check", decision, "decision"), primary("two_phase_log_pkey", key)),
        indexes=(index(LOG, "two_phase_log_pkey", key, unique=True),), acl=closed("table", catalog.database.owner, rights, catalog.major),
        comment="Decisions about transactions over several databases that are not carried out everywhere yet",
    )  # fmt: skip


def _epoch(section: TwoPhaseSection, catalog: Catalog) -> Sequence:
    rights = [(user, privilege) for user in section.users for privilege in ("USAGE", "SELECT")]
    acl = closed("sequence", catalog.database.owner, rights, catalog.major)
    return Sequence(SCHEMA, EPOCH.name, acl=acl, comment="Lives of coordinators of transactions over several databases")
