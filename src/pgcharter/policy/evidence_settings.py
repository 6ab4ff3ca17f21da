"""`[evidence]` of the charter: proofs are kept in the database, with the scorecards made from them."""

from __future__ import annotations

from dataclasses import dataclass

from pgcharter.charter import Section


@dataclass(frozen=True)
class EvidenceSection:
    """`[evidence]`: what checks, drills and probes have proven, `pgcharter.evidence`, and `pgcharter.scores`; it only grows."""

    writers: tuple[str, ...] = ()
    """Roles that may add to it; the owner may always."""
    readers: tuple[str, ...] = ()
    """Roles that may read it, such as the auditors'."""


SECTION = Section("evidence", EvidenceSection)
