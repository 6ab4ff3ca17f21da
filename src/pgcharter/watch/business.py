"""Business rules measured: each query asked alone, read only and within its time; one that fails says so and hides no other.

Rows that row policies hide would make a rule be about a part without saying so: `row_security` is off, so PostgreSQL refuses such a query
(https://www.postgresql.org/docs/current/ddl-rowsecurity.html), unless the rule says `filtered = true`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import psycopg

from pgcharter.db import Connection, connect
from pgcharter.errors import ConnectError
from pgcharter.findings import Evidence
from pgcharter.policy.business_settings import RuleTable
from pgcharter.redact import redact
from pgcharter.watch.business_asking import ask

State = Literal["compliant", "non_compliant", "no_data", "failed"]
"""Whether a rule holds; no_data: the query has nothing to judge; failed: it could not be measured."""
COUNTS = timedelta(days=1)
"""How long a verdict counts as evidence."""
STEADY = 0.05
"""Share of the mean of before within which a value counts as the same."""
BEFORE = 10
"""Results of before that a trend is told from."""
Trend = Literal["", "better", "worse", "steady"]
Told = Callable[[str, int, int], None]
"""Hears what comes next, how many are done, and of how many."""


@dataclass(frozen=True)
class Result:
    """What one rule has measured at one time."""

    rule: RuleTable
    at: datetime
    state: State
    value: float | None = None
    problem: str = ""
    """Why it could not be measured."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the query said beside the value."""
    seconds: float = 0.0
    """How long asking took."""
    mean: float | None = None
    """Mean of the values of before; None: there are none."""
    since: datetime | None = None
    """Since when it has been in this state."""

    @property
    def trend(self) -> Trend:
        """Whether the value is farther on the right side than the mean of before."""
        if self.value is None or self.mean is None:
            return ""
        change = self.value - self.mean
        if abs(change) <= STEADY * max(abs(self.mean), 1e-9):
            return "steady"
        return "better" if (change < 0) == (self.rule.direction in ("below", "at most")) else "worse"

    @property
    def word(self) -> str:
        """Its state as people write it."""
        return self.state.upper().replace("_DATA", " DATA")


_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "below": lambda value, threshold: value < threshold,
    "at most": lambda value, threshold: value <= threshold,
    "at least": lambda value, threshold: value >= threshold,
    "above": lambda value, threshold: value > threshold,
}


def measure(dsn: str, rules: Iterable[RuleTable], now: Callable[[], datetime], told: Told | None = None) -> list[Result]:
    """Measure rules one by one; `told` hears of each before. Raises ConnectError where nothing can be asked at all."""
    rules = tuple(rules)
    conn = _open(dsn)
    found = []
    try:
        for number, rule in enumerate(rules):
            if told:
                told(rule.title, number, len(rules))
            if conn.closed or conn.broken:
                conn.close()
                try:
                    conn = _open(dsn)
                except ConnectError as error:
                    found.append(Result(rule, now(), "failed", problem=error.message))
                    continue
            found.append(_measured(conn, rule, now))
    finally:
        conn.close()
    return found


def _open(dsn: str) -> Connection:
    return connect(dsn, application_name="pgcharter business", client_encoding="UTF8")


def _measured(conn: Connection, rule: RuleTable, now: Callable[[], datetime]) -> Result:
    began = time.monotonic()
    try:
        row = ask(conn, rule)
    except psycopg.Error as error:
        took = time.monotonic() - began
        return Result(rule, now(), "failed", problem=_refusal(rule, error, took), seconds=took)
    return _judged(rule, row, now(), time.monotonic() - began)


def _refusal(rule: RuleTable, error: psycopg.Error, took: float) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled) and took >= rule.timeout * 0.9:
        return f"it took longer than its {rule.timeout} s"
    said = (error.diag.message_primary or str(error).strip() or "the connection was lost").splitlines()[0]
    if isinstance(error, psycopg.errors.InsufficientPrivilege) and "row-level security" in said:
        return f"{redact(said)}, so it would be about a part of the rows: ask as a role with BYPASSRLS, or say filtered = true"
    return f"PostgreSQL says: {redact(said)}"


def _judged(rule: RuleTable, row: Mapping[str, Any] | str | None, at: datetime, took: float) -> Result:
    """`row`: what the query gave; None: no row; a text: why it is no answer."""
    if isinstance(row, str):
        return Result(rule, at, "failed", problem=row, seconds=took)
    if row is None:
        return Result(rule, at, "no_data", seconds=took)
    facts = {k: v for k, v in row.items() if k != "value"}
    given = row["value"]
    if given is None:
        return Result(rule, at, "no_data", facts=facts, seconds=took)
    value = _number(given)
    if value is None:
        return Result(rule, at, "failed", problem=f"its value is no number: {str(given)[:60]}", facts=facts, seconds=took)
    state: State = "compliant" if _HOLDS[rule.direction](value, rule.threshold) else "non_compliant"
    return Result(rule, at, state, value, facts=facts, seconds=took)


def _number(given: Any) -> float | None:
    """A number; an interval in seconds."""
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        return None
    return float(given) if math.isfinite(given) else None


def evidence(results: Iterable[Result]) -> list[Evidence]:
    """What is proven: nothing by a rule without data, or one that could not be measured."""
    return [
        Evidence(
            f"business.{r.rule.id}", r.state == "compliant", says(r), r.at, r.at + COUNTS, {"value": r.value, "threshold": r.rule.threshold}
        )
        for r in results
        if r.state in ("compliant", "non_compliant")
    ]


def says(result: Result) -> str:
    """`412 s over 24 hours, must be below 3,600 s`."""
    rule = result.rule
    over = f" over {rule.window}" if rule.window else ""
    if result.state == "failed":
        return result.problem
    seen = "no data" if result.value is None else with_unit(result.value, rule.unit)
    return f"{seen}{over}, must be {rule.direction} {with_unit(rule.threshold, rule.unit)}"


def with_unit(value: float, unit: str) -> str:
    """`3,600 s`, `99.5 %`, `0.0042`."""
    text = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.4g}"
    return f"{text} {unit}".rstrip()
