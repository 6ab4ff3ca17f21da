"""Business rules: the table of what was measured. Whoever may write adds; nobody but the owner changes or removes."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId
from pgcharter.policy.business_settings import SECTION, BusinessSection
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import check, columns, growing, index, primary

RESULTS = ObjectId("table", SCHEMA, "business_results")
KEY = ("rule", "checked_at")
_NOW = "timestamp with time zone"
_STATE = "(state = ANY (ARRAY['compliant'::text, 'non_compliant'::text, 'no_data'::text, 'failed'::text]))"
_DIRECTION = "(direction = ANY (ARRAY['below'::text, 'at most'::text, 'at least'::text, 'above'::text]))"


def policy(section: BusinessSection) -> Policy:
    """The policy of a `[business]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: BusinessSection) -> State:
    return replace(state, catalog=growing(state.catalog, section.readers, section.writers, _table()))


def _table() -> Table:
    return Table(
        SCHEMA, RESULTS.name,
        columns=columns(
            {
                "rule": ("text", "", "id of the rule in the charter"),
                "checked_at": (_NOW, "", "when it was measured"),
                "state": ("text", "", "compliant, non_compliant, no_data, or failed: it could not be measured"),
                "value": ("double precision?", "", "what was measured; NULL: there is no data, or it could not be measured"),
                "threshold": ("double precision", "", "what the value was held against"),
                "direction": ("text", "", "where the value had to be: below, at most, at least or above the threshold"),
                "unit": ("text", "''::text", "unit of both"),
                "period": ("text", "''::text", "the time that was looked at, in words"),
                "title": ("text", "", "what was promised"),
                "owner": ("text", "''::text", "who sees to it when it is broken"),
                "problem": ("text?", "", "why it could not be measured"),
                "facts": ("jsonb", "'{}'::jsonb", "what the query said beside the value"),
                "seconds": ("double precision", "0", "how long asking took"),
                "recorded_by": ("text", "SESSION_USER", "who recorded it"),
                "created_at": (_NOW, "now()", ""),
            }
        ),
        constraints=(
            check("business_results_direction", _DIRECTION, "direction"), primary("business_results_pkey", KEY),
            check("business_results_state", _STATE, "state"),
        ),
        indexes=(index(RESULTS, "business_results_pkey", KEY, unique=True),),
        comment="What business rules have measured",
    )  # fmt: skip
