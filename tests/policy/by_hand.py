"""What holds data and is wanted no more is lost by hand alone: the statements that questions name."""

from __future__ import annotations

import psycopg

from pgcharter.migrate.planning import Planned


def lose(dsn: str, found: Planned) -> bool:
    """Do what the questions of a plan say; whether there were any. Fails for a question that names no statement."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for question in found.plan.questions:
            said, _, sql = question.partition("by your own hand, ")
            assert sql, said
            conn.execute(sql.encode())
    return bool(found.plan.questions)
