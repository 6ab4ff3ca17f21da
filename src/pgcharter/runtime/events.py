"""Events: appended in the transaction that does the work, each aggregate at the version that is expected, and read in an order that holds.

    with db.begin() as work:
        append(work.conn, "order", order_id, [New("order-placed", {"total": "12.50"})], expected=0)

    read_aggregate(conn, "order", order_id)                   # await read_aggregate.aio(conn, …)
    for event in stream(conn, read_all, after=position): …    # only what is settled: nothing comes later before it

The tables are made by `[messaging]`. Typed events are in `events_types`, appends of many callers as one in `events_writer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime.events_model import LOG, AggregateId, Event, Json, New
from pgcharter.runtime.events_reading import (
    SQL,
    ArchivedError,
    Stream,
    read_aggregate,
    read_all,
    read_category,
    refused,
    settled,
    stream,
    version_of,
)  # fmt: skip
from pgcharter.runtime.events_texts import array, checked, document, lines

if TYPE_CHECKING:
    from pgcharter.runtime.events_types import Types

Expected = int | Literal["any", "none", "exists"]
"""Version that the aggregate must have: its number; `none`: it is not there yet, as 0; `exists`: any but 0."""
_EXPECTED = {"any": -1, "none": 0, "exists": -2}
_SAID = {-1: "any", 0: "none", -2: "some"}

__all__ = [
    "LOG", "AggregateId", "Append", "Appended", "ArchivedError", "Conflict", "Event", "Json", "New", "Stream", "VersionConflictError",
    "append", "append_many", "read_aggregate", "read_all", "read_category", "settled", "stream", "version_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Append:
    """Events of one aggregate, for `append_many` and the writers."""

    aggregate_type: str
    aggregate_id: AggregateId
    events: Sequence[Any]
    """`New`, or objects of classes that `types` knows."""
    expected: Expected = "any"
    actor: str | None = None
    """None: the transaction's, pgcharter.actor."""
    correlation: str | None = None
    causation: str | None = None
    """Event or command that these follow from."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of an append."""

    version: int
    """Of the aggregate's last event."""
    position: int
    """Of the last event of the whole call: whoever has read up to here has read these."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Conflict:
    """An aggregate that was at another version than an append expected."""

    aggregate_type: str
    aggregate_id: AggregateId
    expected: int
    actual: int
    actor: str | None
    """Who has written its last event, when, and which."""
    at: datetime | None
    type: str | None

    def __str__(self) -> str:
        wanted = _SAID.get(self.expected, str(self.expected))
        last = (
            f"{self.actor or 'somebody'} appended {self.type} at {self.at:%Y-%m-%d %H:%M:%S.%f%z}" if self.at else "it has no events here"
        )
        return f"{self.aggregate_type} {self.aggregate_id} is at version {self.actual}, and the append expected {wanted}: {last}"


class VersionConflictError(PgcharterError):
    """An aggregate is at another version than was expected; nothing of the call was appended, and the transaction goes on."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__("; ".join(map(str, conflicts[:3])), hint="read the aggregate again, and decide anew")
        self.conflicts = tuple(conflicts)

    @property
    def conflict(self) -> Conflict:
        """The first one."""
        return self.conflicts[0]


@flow
def append(
    aggregate_type: str,
    aggregate_id: AggregateId,
    events: Sequence[Any],
    *,
    expected: Expected = "any",
    causation: str | None = None,
    types: Types | None = None,
) -> Steps[Appended]:
    """Append events of one aggregate in the open transaction; one round trip.

    Raises VersionConflictError where the aggregate is at another version than `expected`, and UsageError for what cannot be kept: the
    transaction can go on after these. UnavailableError where the tables or rights are not there.
    """
    (one,) = yield from _whole([Append(aggregate_type, aggregate_id, events, expected, causation=causation)], types)
    return one


@flow
def append_many(appends: Sequence[Append], *, types: Types | None = None) -> Steps[tuple[Appended, ...]]:
    """Append events of several aggregates, all of them or none; one round trip. Raises as `append` does.

    Aggregates are locked in the order of their keys, so two calls cannot deadlock; several calls in one transaction can.
    """
    return (yield from _whole(appends, types)) if appends else ()


def _whole(appends: Sequence[Append], types: Types | None) -> Steps[tuple[Appended, ...]]:
    found = yield from sent(appends, types, "report")
    conflicts = [c for c in found if isinstance(c, Conflict)]
    if conflicts:
        raise VersionConflictError(conflicts)
    return tuple(found)  # type: ignore[arg-type]


def sent(appends: Sequence[Append], types: Types | None, on_conflict: Literal["report", "each"]) -> Steps[list[Appended | Conflict]]:
    """One call of the stored function. With `each`, what conflicts does not keep the others from being appended."""
    if types is not None:
        appends = yield from types.prepared(appends)
    wanted, parameters = request(appends)
    try:
        rows = yield Query(SQL["append"], (*parameters, None, on_conflict))
    except psycopg.Error as error:
        raise refused(error) from error
    return outcomes(appends, wanted, *rows[0])


def request(appends: Sequence[Append]) -> tuple[list[int], tuple[str | None, ...]]:
    """The versions that are expected, and what the stored function is given. Raises UsageError for what cannot be kept."""
    keys = [(a.aggregate_type, str(a.aggregate_id)) for a in appends]
    if len(set(keys)) < len(keys):
        twice = next(k for k in keys if keys.count(k) > 1)
        raise UsageError(f"{twice[0]} {twice[1]} is in one call twice", hint="put its events into one Append")
    wanted: list[Any] = [_EXPECTED.get(a.expected, a.expected) if isinstance(a.expected, str) else a.expected for a in appends]
    return wanted, _parameters(appends, keys, wanted)


def outcomes(
    appends: Sequence[Append], wanted: Sequence[int], versions: Sequence[int | None], position: int, at: datetime, conflicts: Any
) -> list[Appended | Conflict]:
    """What the stored function has answered. Where the call was for all or none, conflicts alone."""
    bad = {c["number"] - 1: _conflict(appends[c["number"] - 1], wanted[c["number"] - 1], c) for c in conflicts or ()}
    done = {n: Appended(v, position, at) for n, v in enumerate(versions) if v is not None}
    return [bad.get(n) or done[n] for n in range(len(appends)) if n in bad or n in done]


def _parameters(appends: Sequence[Append], keys: Sequence[tuple[str, str]], wanted: Sequence[Any]) -> tuple[str | None, ...]:
    events = [e for a in appends for e in a.events]
    for append_, (kind, id_), version in zip(appends, keys, wanted, strict=True):
        checked("type of an aggregate", kind, 200)
        checked(f"id of a {kind}", id_, 1000)
        if not append_.events or not isinstance(version, int) or version < -2:
            raise UsageError(f"{kind} {id_} is to get no event, or expects version {version!r}, which none can have")
    for event in events:
        if not isinstance(event, New):
            raise UsageError(f"{type(event).__name__} is no event", hint="New(type, data), or types=… that knows its class")
        checked("type of an event", event.type, 200)
    plain = all(e.metadata is None and e.schema_version == 1 and e.id is None for e in events)
    said = any(a.actor or a.correlation or a.causation for a in appends)
    return (
        array([k for k, _ in keys]), array([i for _, i in keys]), array(wanted), array([len(a.events) for a in appends]),
        lines([e.type for e in events]), lines([document(e.data, e.type) for e in events]),
        None if plain else array([None if e.metadata is None else document(e.metadata, f"metadata of {e.type}") for e in events]),
        None if plain else array([e.schema_version for e in events]),
        None if plain else array([e.id for e in events]),
        *((array([getattr(a, name) for a in appends]) if said else None) for name in ("actor", "correlation", "causation")),
    )  # fmt: skip


def _conflict(append_: Append, expected: int, found: Mapping[str, Any]) -> Conflict:
    at = datetime.fromisoformat(found["at"]) if found["at"] else None
    return Conflict(append_.aggregate_type, append_.aggregate_id, expected, found["actual"], found["actor"], at, found["type"])
