"""Results of business rules kept in `pgcharter.business_results`, and what they say of before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pgcharter.db import Connection, queries
from pgcharter.policy.business_settings import RuleTable
from pgcharter.watch.business import BEFORE, Result
from pgcharter.watch.workload_text import written


def kept(conn: Connection) -> bool:
    """Whether results are kept here."""
    row = conn.execute(_sql("there")).fetchone()
    return bool(row and row[0])


def record(conn: Connection, results: Iterable[Result], keep: timedelta) -> bool:
    """Keep results; the owner also removes those older than `keep`: whether that was so. Raises psycopg.Error."""
    rows = [
        {
            "rule": r.rule.id, "checked_at": r.at.isoformat(), "state": r.state, "value": r.value, "threshold": r.rule.threshold,
            "direction": r.rule.direction, "unit": r.rule.unit, "period": r.rule.window, "title": r.rule.title, "owner": r.rule.owner,
            "problem": r.problem or None, "facts": dict(r.facts), "seconds": r.seconds,
        }
        for r in results
    ]  # fmt: skip
    conn.execute(_sql("record"), {"all": written(rows)})
    may = conn.execute(_sql("may_remove")).fetchone()
    if may and may[0]:
        conn.execute(_sql("remove"), {"keep": keep})
    return bool(may and may[0])


def with_past(conn: Connection, results: Iterable[Result]) -> list[Result]:
    """Results with the mean of before, and since when each has been as it is. Asked before they are recorded."""
    held = list(results)
    first = min((r.at for r in held), default=None)
    if first is None:
        return []
    rows = conn.execute(_sql("before"), {"rules": [r.rule.id for r in held], "now": first, "most": BEFORE}).fetchall()
    known = {row[0]: row[1:] for row in rows}
    return [_with_past(r, *known.get(r.rule.id, (None, None, "", None))) for r in held]


def _with_past(result: Result, mean: float | None, since: datetime | None, state: str, _: Any) -> Result:
    return replace(result, mean=mean, since=since if state == result.state and since else result.at)


def history(conn: Connection, rule: str, most: int) -> list[Result]:
    """What a rule has measured, the newest first. Raises psycopg.Error."""
    return [_read(row) for row in conn.execute(_sql("history"), {"rule": rule, "most": most}).fetchall()]


def _read(row: tuple[Any, ...]) -> Result:
    id_, at, state, value, threshold, direction, unit, window, title, owner, problem, facts, seconds = row
    rule = RuleTable(id_, title, "", threshold, direction, unit, window, owner)
    return Result(rule, at, state, value, problem or "", facts, seconds)


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.watch", "business.sql")[name].encode()
