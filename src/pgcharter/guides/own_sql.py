"""What a clause's own SQL may be: one query that only reads."""

from __future__ import annotations

from pgcharter.guides.model import Clause
from pgcharter.sqltext.asking import not_a_query

LONGEST = 600
"""Seconds a check may take at most."""


def wrong_check(clause: Clause) -> tuple[str, str] | None:
    """The key that is at fault and what is wrong with the own check of `clause`; None when it may be asked."""
    if not clause.sql.strip() or clause.proof != "sql":
        return "proof", f'clause {clause.id} has own SQL only together with proof = "sql", and the other way round'
    if clause.rules:
        return "rules", f"clause {clause.id} is proven by its own SQL and names rules as well; make two clauses of it"
    if not 1 <= clause.timeout <= LONGEST:
        return "timeout", f"timeout of clause {clause.id} must be between 1 and {LONGEST} seconds, not {clause.timeout}"
    why = not_a_query(clause.sql)
    return ("sql", f"own SQL of clause {clause.id} must be one query that only reads: {why}") if why else None
