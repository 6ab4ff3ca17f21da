"""Evidence and scorecards kept in the database that they are about, where `[evidence]` is in force."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pgcharter.db import Connection, queries
from pgcharter.findings import Evidence
from pgcharter.guides.score import STATES, Scorecard

ANEW = timedelta(hours=1)
"""After this time the same verdict is recorded again: what is looked at every minute does not fill the table."""


@dataclass(frozen=True)
class Score:
    """A scorecard of the past."""

    at: datetime
    totals: Mapping[str, int]
    clauses: Mapping[str, str]
    """State by clause."""


def kept(conn: Connection) -> bool:
    """Whether evidence is kept here, for this role to read."""
    row = conn.execute(_sql("there")).fetchone()
    return bool(row and row[0])


def newest(conn: Connection, names: Sequence[str] | None = None) -> tuple[Evidence, ...]:
    """The newest evidence of each name, or of some. Raises psycopg's error where nothing is kept, or may not be read."""
    rows = conn.execute(_sql("newest"), {"names": None if names is None else list(names)}).fetchall()
    return tuple(Evidence(*row) for row in rows)


def history(conn: Connection, name: str, most: int = 100) -> tuple[Evidence, ...]:
    """What was proven about a name, the newest first."""
    return tuple(Evidence(*row) for row in conn.execute(_sql("history"), {"name": name, "most": most}).fetchall())


def record(conn: Connection, evidence: Iterable[Evidence]) -> int:
    """Keep what differs from what is known or is an hour newer; returns how many that were. Joins the caller's transaction."""
    rows = [
        {
            "name": e.name,
            "holds": e.holds,
            "seen": e.seen,
            "proven_at": e.at.isoformat(),
            "counts_until": e.until.isoformat() if e.until else None,
            "facts": dict(e.facts),
        }
        for e in evidence
    ]
    return conn.execute(_sql("record"), {"all": json.dumps(rows, default=str, ensure_ascii=False), "anew": ANEW}).rowcount


def record_score(conn: Connection, card: Scorecard) -> None:
    """Keep a scorecard."""
    clauses = {v.clause.id: v.state for v in card.verdicts}
    counts = {str(state): number for state, number in card.totals.items()}
    conn.execute(_sql("scored"), {"guide": card.guide.id, **counts, "clauses": json.dumps(clauses)})


def scores(conn: Connection, guide: str, most: int = 30) -> tuple[Score, ...]:
    """Scorecards of a guide, the newest first."""
    rows = conn.execute(_sql("scores"), {"guide": guide, "most": most}).fetchall()
    return tuple(_score(row) for row in rows)


def _score(row: tuple[Any, ...]) -> Score:
    at, *totals, clauses = row
    return Score(at, dict(zip(STATES, totals, strict=True)), clauses)


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.watch", "evidence.sql")[name].encode()
