"""Old months of events taken out of the way, and how the store is: months, heads, what has no month, how far consumers are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import psycopg

from pgcharter.db import queries
from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import RefusedError, UsageError
from pgcharter.runtime.events_model import LOG
from pgcharter.runtime.events_reading import asked
from pgcharter.runtime.feeds_manage import SlotStatus, status

SQL = queries.load("pgcharter.runtime", "events_archive.sql")
WAIT = "5s"
"""Longest wait for the lock that appends and reads hold: while it is waited for, they queue behind it."""


@dataclass(frozen=True, slots=True)
class Month:
    """A table of events."""

    table: str
    archived: bool
    rows: int | None
    """As the server last counted them; None: it has not."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """How the store is."""

    months: tuple[Month, ...]
    aggregates: int | None
    """As the server last counted them; None: it has not."""
    unplaced: int
    """Events that were appended when there was no partition for their month."""
    position: int
    """Drawn last."""
    settled: int
    kept_from: int
    """Positions up to this one are not all here any more."""
    consumers: tuple[SlotStatus, ...]


@flow
def store_status() -> Steps[Status]:
    """How the store is; for its owner, in a transaction that is READ COMMITTED."""
    months = yield from asked(SQL["months"], {})
    ((aggregates, unplaced, position, kept),) = yield from asked(SQL["totals"], {})
    ((settled,),) = yield from asked(SQL["settled"], {})
    consumers = yield from status.steps(LOG)
    made = tuple(Month(name, state == "archived", rows, size) for name, state, rows, size in months)
    return Status(made, aggregates, unplaced, position, settled, kept, tuple(consumers))


@dataclass(frozen=True, slots=True)
class Archived:
    """A month that was archived."""

    table: str
    rows: int
    upto: int
    """Its last position."""
    aggregates: int


@flow
def archive(month: date, *, past_consumers: bool = False) -> Steps[Archived]:
    """Take a month out of `events`: it stays as a table of its own, pgcharter.events_archive_YYYY_MM, for whoever could read it.

    For the owner, in a transaction with nothing else in it: it takes the lock that everybody waits for. Raises UsageError for a month that
    is not there; RefusedError for one that is not over, and where consumers have not read it, unless `past_consumers`: they are stale then.
    """
    if (yield Query("SHOW transaction_isolation"))[0][0] not in ("read committed", "read uncommitted"):
        raise UsageError("a month is archived in a transaction that would not see what was appended to it last", hint="READ COMMITTED")
    name = f"events_{month:%Y_%m}"
    there = {row[0]: row[1] for row in (yield from asked(SQL["months"], {}))}
    if there.get(name) != "here":
        known = ", ".join(n.removeprefix("events_") for n, state in there.items() if state == "here" and n != "events_unplaced")
        raise UsageError(f"there is no month {month:%Y-%m} in pgcharter.events", hint=f"there are {known}")
    if (month.year, month.month) >= ((now := datetime.now(UTC)).year, now.month):
        raise RefusedError(f"month {month:%Y-%m} is not over, and what is appended in it would find no partition", hint="wait until it is")
    words = {"month": f"pgcharter.{name}", "archive": name.replace("events_", "events_archive_")}
    yield Query(f"SET LOCAL lock_timeout = '{WAIT}'")
    try:
        yield Query(SQL["lock"].format(**words))
    except psycopg.errors.LockNotAvailable:
        raise RefusedError(
            f"pgcharter.{name} is in use for longer than {WAIT}, so it was not archived",
            hint="SELECT pid, query FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = 'pgcharter.events'::regclass",
        ) from None
    ((upto, rows),) = yield Query(SQL["last"].format(**words))
    behind = yield Query(SQL["behind"], (upto,))
    if behind and not past_consumers:
        said = ", ".join(f"{consumer} (at {position})" for consumer, position in behind)
        raise RefusedError(
            f"month {month:%Y-%m} goes up to position {upto}, and has not been read by {said}", hint="let them read it, or --force"
        )
    moved = yield Query(SQL["heads"].format(**words) + " RETURNING 1")
    if rows:
        yield Query(SQL["kept"], (upto,))
    for step in ("detach", "rename", "guard"):
        yield Query(SQL[step].format(**words))
    yield Query(SQL["rights"].replace("{archive}", words["archive"]))
    return Archived(f"pgcharter.{words['archive']}", rows, upto, len(moved))
