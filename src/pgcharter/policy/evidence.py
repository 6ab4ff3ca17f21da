"""Evidence: the tables of what was proven and of the scorecards made from that. Whoever may write adds; nobody but the owner changes."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.evidence_settings import SECTION, EvidenceSection
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import check, columns, growing, index, primary

EVIDENCE = ObjectId("table", SCHEMA, "evidence")
SCORES = ObjectId("table", SCHEMA, "scores")
_NOW = "timestamp with time zone"


def policy(section: EvidenceSection) -> Policy:
    """The policy of an `[evidence]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: EvidenceSection) -> State:
    return replace(state, catalog=growing(state.catalog, section.readers, section.writers, _evidence(), _scores()))


def _evidence() -> Table:
    key = ("name", "proven_at")
    return Table(
        SCHEMA, EVIDENCE.name,
        columns=columns(
            {
                "name": ("text", "", "what was proven, as clauses of guides name it: backup.drill"),
                "proven_at": (_NOW, "", "when it was seen"),
                "holds": ("boolean", "", "whether it is as it should be"),
                "seen": ("text", "", "what was seen, with figures"),
                "counts_until": (f"{_NOW}?", "", "from then on it proves nothing; NULL: until something newer is known"),
                "facts": ("jsonb", "'{}'::jsonb", "what the verdict rests on"),
                "recorded_by": ("text", "SESSION_USER", "who recorded it"),
                "created_at": (_NOW, "now()", ""),
            }
        ),
        constraints=(check("evidence_in_order", "(counts_until > proven_at)", "counts_until", "proven_at"), primary("evidence_pkey", key)),
        indexes=(index(EVIDENCE, "evidence_pkey", key, unique=True),),
        comment="What checks, drills and probes have proven, with its date",
    )  # fmt: skip


def _scores() -> Table:
    key = ("guide", "scored_at")
    return Table(
        SCHEMA, SCORES.name,
        columns=columns(
            {
                "guide": ("text", "", "id of the guide"),
                "scored_at": (_NOW, "now()", ""),
                "holds": ("integer", "", "clauses that hold"),
                "broken": ("integer", "", "clauses that are broken"),
                "unproven": ("integer", "", "clauses that nobody has proven"),
                "waived": ("integer", "", "clauses whose breaks are accepted"),
                "clauses": ("jsonb", "", "state by clause"),
                "recorded_by": ("text", "SESSION_USER", "who recorded it"),
            }
        ),
        constraints=(primary("scores_pkey", key),),
        indexes=(index(SCORES, "scores_pkey", key, unique=True),),
        comment="Scorecards of guides, one row for each time one was made",
    )  # fmt: skip
