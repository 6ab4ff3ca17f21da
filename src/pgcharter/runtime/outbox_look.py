"""What is in the outbox, for people: parts of the ring, how far routes are, one message."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.db.queries import load
from pgcharter.errors import UnavailableError, UsageError

MOST_ROWS = 100_000
"""So many messages are looked at, and no more."""
SQL = load("pgcharter.runtime", "outbox_look.sql")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the ring."""

    part: int
    bytes: int
    """With its indexes."""
    filled: bool
    """It is the one that is filled now."""
    first: int | None
    """Position of its oldest message; None: it is empty."""
    last: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far all is at a moment."""

    at: datetime
    drawn: int
    """Position drawn last."""
    settled: int
    """Nothing comes any more up to here."""
    routes: Mapping[str, int]
    """Position of the slowest slot, by route."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A message that waits for a route."""

    route: str
    key: str
    state: str
    attempts: int
    due_at: datetime | None
    failed_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A topic with messages that no route wants."""

    topic: str
    messages: int
    first: int
    """Position of the oldest that is still there."""
    seconds: float
    """Its age."""


@flow
def parts() -> Steps[list[Part]]:
    """The parts of the ring. Raises UnavailableError where there is none."""
    try:
        return [Part(*row) for row in (yield Query(SQL["parts"]))]
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise UnavailableError(
            "there is no pgcharter.outbox in this database", hint="[messaging] of pgcharter.toml, then: pgcharter policy apply"
        ) from error


@flow
def progress() -> Steps[Progress]:
    """How far publishing and routes are, in a transaction that is READ COMMITTED."""
    ((drawn, settled, at),) = yield Query(SQL["progress"])
    return Progress(at, drawn, settled, dict((yield Query(SQL["cursors"]))))


@flow
def declare(topics: Mapping[str, Sequence[str]]) -> Steps[None]:
    """Write down which topics routes want, so that others can say what nobody wants. Raises UnavailableError where that cannot be."""
    try:
        yield Query(SQL["declare"], {"routes": json.dumps(topics)})
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
        raise UnavailableError(
            f"routes cannot say which topics they want: {error.diag.message_primary}",
            hint="[messaging] of pgcharter.toml, with this role among its workers, then: pgcharter policy apply",
        ) from error


@flow
def unrouted(after: int = 0, most: int = MOST_ROWS) -> Steps[tuple[int, list[Unrouted]]]:
    """Up to which position all is settled, and which topics after a position wait without a route, among the `most` newest messages.

    In a transaction that is READ COMMITTED.
    """
    ((settled,),) = yield Query("SELECT pgcharter.settled('outbox')")
    rows = yield Query(SQL["unrouted"], {"after": after, "settled": settled, "most": most})
    return settled, [Unrouted(*row) for row in rows]


@flow
def routes() -> Steps[list[str]]:
    """Names of routes that have run."""
    return [name for (name,) in (yield Query(SQL["consumers"]))]


@flow
def find(named: str) -> Steps[tuple[dict[str, Any], list[Standing]]]:
    """A message by its position or its id, as its row, and for which routes it waits. Raises UsageError where there is none."""
    said: dict[str, Any] = {"position": None, "id": None}
    if named.isdecimal() and int(named) < 2**63:
        said["position"] = int(named)
    else:
        try:
            said["id"] = str(uuid.UUID(named))
        except ValueError:
            raise UsageError(f"{named!r} is no message", hint="say its position or its id") from None
    waiting = yield Query(SQL["in_parked"], said)
    kept = yield Query(SQL["in_ring"], said)
    if not waiting and not kept:
        raise UsageError(f"message {named} is not in the outbox: it was delivered and emptied out, or never published")
    row: dict[str, Any] = kept[0][0] if kept else waiting[0][7]
    return row, [Standing(*found[:7]) for found in waiting]
