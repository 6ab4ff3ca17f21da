"""The statements of a consumer: those of `feeds.sql`, for its log and what it wants of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pgcharter.db.queries import load
from pgcharter.runtime.feeds_model import Log

_SOME = " AND CASE WHEN {} THEN true END"
"""A condition that the planner takes to hold for half of the rows. Of a hash it would expect one row in 200, and sort all that is settled
for each batch instead of reading in order until the batch is full."""
_SLOT = "(pg_catalog.hashtextextended({key}, 0) & 9223372036854775807) %% %({slots})s"


@cache
def statement(name: str, log: Log[Any], where: str = "", *, slotted: bool = False, was: bool = False, at: bool = False) -> str:
    """A statement of a log. `slotted`: of one slot of several; `was`: without what was done before the number of slots changed; `at`: by
    the address of the cursor's row."""
    parts = {
        "where": f" AND ({where})" if where else "",
        "slot": _SOME.format(f"{_SLOT.format(key=log.key, slots='slots')} = %(slot)s") if slotted else "",
        "was": _SOME.format(f"l.position > (%(was)s::bigint[])[1 + {_SLOT.format(key=log.key, slots='was_slots')}]") if was else "",
        "at": "f.ctid = %(at)s::tid AND " if at else "",
    }
    return filled(load("pgcharter.runtime", "feeds.sql")[name], log, parts)


def filled(text: str, log: Log[Any], more: Mapping[str, str] | None = None) -> str:
    """A statement with what is of a log in its places."""
    parts = {"table": log.table, "key": log.key, "columns": ", ".join(log.columns), "time": log.time, **(more or {})}
    for part, value in parts.items():
        text = text.replace("{" + part + "}", value)
    return text
