"""Read models: which version of each is live, and how far the next one is."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Catalog, Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.model import State
from pgcharter.policy.own import check, columns, index, joined, primary
from pgcharter.policy.rights import closed

PROJECTIONS = ObjectId("table", SCHEMA, "projections")
_NOW = "timestamp with time zone"
_COLUMNS = {
    "name": ("text", "", ""),
    "version": ("integer?", "", "of the handler that the tables are by; NULL: they were never filled"),
    "mode": ("text", "", "inline: in the transaction that appends; async: a moment later"),
    "live_at": (f"{_NOW}?", "", "when that version went live"),
    "building": ("integer?", "", "version that is being made beside it"),
    "position": ("bigint?", "", "events up to this one are in what is being made"),
    "token": ("bigint", "0", "grows with every beginning: whoever has another one can write nothing more"),
    "building_since": (f"{_NOW}?", "", ""),
}


def apply(state: State, section: MessagingSection) -> State:
    """The state with what belongs to it."""
    catalog = state.catalog
    return replace(state, catalog=replace(catalog, tables=joined(catalog.tables, _table(section, catalog))))


def _table(section: MessagingSection, catalog: Catalog) -> Table:
    rights = [(r, "SELECT") for r in section.writers]
    rights += [(r, p) for r in section.workers for p in ("SELECT", "INSERT", "UPDATE")]
    return Table(
        SCHEMA, PROJECTIONS.name, columns=columns(_COLUMNS),
        constraints=(
            check("projections_mode_check", "mode = ANY (ARRAY['inline'::text, 'async'::text])", "mode"),
            primary("projections_pkey", ("name",)),
        ),
        indexes=(index(PROJECTIONS, "projections_pkey", ("name",), unique=True),),
        acl=closed("table", catalog.database.owner, rights, catalog.major), comment="Tables that are made from events",
    )  # fmt: skip
