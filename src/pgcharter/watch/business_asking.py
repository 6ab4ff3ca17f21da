"""One business rule's query: read only, within its time, waiting for nobody, rolled back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.sql import SQL

from pgcharter.db import Connection
from pgcharter.policy.business_settings import RuleTable
from pgcharter.redact import redact

WIDTH = 120
"""Characters of a value beside the number that are kept."""
FACTS = 20
"""Columns beside the number that are kept."""


def ask(conn: Connection, rule: RuleTable) -> Mapping[str, Any] | str | None:
    """The row with `value` and what stands beside it; None: no row; a text: why it is no answer. Raises psycopg.Error."""
    with conn.transaction(force_rollback=True):
        conn.execute("set transaction read only")
        security = "on" if rule.filtered else "off"
        conn.execute(f"set local statement_timeout = '{rule.timeout}s'; set local lock_timeout = '2s'; set local row_security = {security}")
        with conn.cursor("pgcharter_business") as cursor:
            cursor.execute(SQL(rule.sql))
            names = [c.name for c in cursor.description or ()]
            return _answer(names, cursor.fetchmany(2))


def _answer(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Mapping[str, Any] | str | None:
    if len(rows) > 1:
        return "it gives more than one row: aggregate them"
    if len(names) != 1 and names.count("value") != 1:
        return f"it gives {len(names)} columns, and not one of them is called value: SELECT … AS value"
    if not rows:
        return None
    [row] = rows
    at = 0 if len(names) == 1 else names.index("value")
    others = [i for i in range(len(names)) if i != at][:FACTS]
    return {**{names[i]: _plain(row[i]) for i in others}, "value": row[at]}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it, short and without passwords."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and value - value == 0):
        return value
    text = redact(str(value)[: 10 * WIDTH])
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
