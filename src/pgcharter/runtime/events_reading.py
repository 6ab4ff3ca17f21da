"""Reading events: by aggregate, by category, in the order of all; at once or in batches; only what is settled where order is promised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Generic, ParamSpec

import psycopg

from pgcharter.db import queries
from pgcharter.db.flows import Flow, Query, Steps, flow
from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.runtime.events_model import COLUMNS, AggregateId, Event
from pgcharter.runtime.events_texts import checked

P = ParamSpec("P")
SQL = queries.load("pgcharter.runtime", "events.sql")
_event = partial(tuple.__new__, Event)
"""As Event._make, without a call of Python for each."""


class ArchivedError(PgcharterError):
    """Events that were asked for are in archived months."""


def refused(error: psycopg.Error) -> Exception:
    """What the server says, in words that help; an error that means something else as it is."""
    kinds = psycopg.errors
    if isinstance(error, kinds.InvalidTextRepresentation) and "uuid" in str(error):
        return UsageError(
            f"an aggregate's id is no UUID, and [messaging] keeps UUIDs: {error.diag.message_primary}",
            hint='aggregate_id = "text" in [messaging.events] before the first event, or make UUIDs of it: uuid5(namespace, name)',
        )
    if isinstance(error, kinds.ProgramLimitExceeded):
        return UsageError(str(error.diag.message_primary), hint=error.diag.message_hint or "")
    if isinstance(error, kinds.UndefinedFunction | kinds.UndefinedTable | kinds.InvalidSchemaName | kinds.InsufficientPrivilege):
        missing = not isinstance(error, kinds.InsufficientPrivilege)
        return UnavailableError(
            "the event store is not there" if missing else "this role may not append to or read the event store",
            hint=('parts = ["events"]' if missing else 'writers = ["…"]')
            + " in [messaging] of pgcharter.toml, then: pgcharter policy apply",
        )
    return error


@flow
def read_aggregate(
    aggregate_type: str,
    aggregate_id: AggregateId,
    *,
    after: int = 0,
    upto: int | None = None,
    as_of: datetime | None = None,
    backwards: bool = False,
    limit: int | None = None,
    archived: bool = False,
) -> Steps[list[Event]]:
    """Events of an aggregate, in the order of their versions: those after one version, up to another, or as they were at a time.

    Raises ArchivedError where some of them are in archived months; `archived` reads these as well.
    """
    checked("type of an aggregate", aggregate_type, 200)
    checked(f"id of a {aggregate_type}", str(aggregate_id), 1000)
    said = {
        "type": aggregate_type, "id": str(aggregate_id), "after": after, "upto": 2**31 - 1 if upto is None else upto, "as_of": as_of,
        "limit": limit,
    }  # fmt: skip
    tables = ["pgcharter.events", *((yield from _archives()) if archived else ())]
    rows = yield from asked(_aggregate_sql(tables, as_of is not None, backwards), said, binary=True)
    if not archived:
        yield from _whole_history(said, rows, backwards)
    return list(map(_event, rows))


def _aggregate_sql(tables: Sequence[str], as_of: bool, backwards: bool) -> str:
    where = SQL["of_aggregate"] + (" " + SQL["aggregate_as_of"].replace("{tables}", _joined(tables)) if as_of else "")
    return f"SELECT {COLUMNS} FROM {_joined(tables)} WHERE {where} ORDER BY l.event_version {'DESC' * backwards} LIMIT %(limit)s"


def _joined(tables: Sequence[str]) -> str:
    return f"{tables[0]} l" if len(tables) == 1 else "(" + " UNION ALL ".join(f"SELECT * FROM {t}" for t in tables) + ") l"


def _archives() -> Steps[tuple[str, ...]]:
    return tuple(name for (name,) in (yield Query(SQL["archives"])))


def _whole_history(said: Mapping[str, Any], rows: Sequence[Any], backwards: bool) -> Steps[None]:
    """Raise ArchivedError where the oldest that was asked for is not among the rows, because its month is archived."""
    if rows and (rows[-1] if backwards else rows[0])[4] == said["after"] + 1:
        return
    if backwards and said["limit"] is not None and len(rows) >= said["limit"]:
        return
    found = yield from asked(SQL["archived"], said)
    if found and found[0][0] > said["after"]:
        raise ArchivedError(
            f"{said['type']} {said['id']} has events in archived months, up to version {found[0][0]} of"
            f" {found[0][1]}: what is left does not tell all of it",
            hint=f"read_aggregate(…, archived=True), or after={found[0][0]} together with a snapshot",
        )


@flow
def settled() -> Steps[int]:
    """The position up to which nothing is appended any more. In a transaction that is READ COMMITTED, on the primary."""
    ((high,),) = yield from asked("SELECT pgcharter.settled('events')", {})
    return int(high)


@flow
def read_category(
    aggregate_type: str,
    *,
    after: int = 0,
    upto: int | None = None,
    as_of: datetime | None = None,
    types: Sequence[str] | None = None,
    tenant: str | None = None,
    backwards: bool = False,
    limit: int = 1000,
) -> Steps[list[Event]]:
    """Settled events of all aggregates of a type in the order of their positions, at most `limit`."""
    checked("type of an aggregate", aggregate_type, 200)
    return (yield from _ordered([aggregate_type], types, tenant, after, upto, as_of, backwards, limit))


@flow
def read_all(
    *,
    after: int = 0,
    upto: int | None = None,
    as_of: datetime | None = None,
    categories: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    tenant: str | None = None,
    backwards: bool = False,
    limit: int = 1000,
) -> Steps[list[Event]]:
    """Settled events in the order of their positions, at most `limit`: after one position, up to another.

    Settled means: no event will ever come before them any more. In a transaction that is READ COMMITTED, on the primary.
    """
    return (yield from _ordered(categories, types, tenant, after, upto, as_of, backwards, limit))


def _ordered(
    categories: Sequence[str] | None, types: Sequence[str] | None, tenant: str | None, after: int, upto: int | None, as_of: datetime | None,
    backwards: bool, limit: int,
) -> Steps[list[Event]]:  # fmt: skip
    high = yield from settled.steps()
    one = categories is not None and len(categories) == 1
    given = {
        "one_category": one, "categories": categories is not None and not one, "types": types is not None, "of_tenant": tenant is not None,
        "as_of": as_of is not None,
    }  # fmt: skip
    said = {
        "category": categories[0] if categories and one else None, "categories": list(categories or ()), "types": list(types or ()),
        "tenant": tenant, "after": after, "upto": high if upto is None else min(upto, high), "as_of": as_of, "limit": limit,
    }  # fmt: skip
    where = " ".join([SQL["of_all"], *(SQL[name] for name, wanted in given.items() if wanted)])
    sql = f"SELECT {COLUMNS} FROM pgcharter.events l WHERE {where} ORDER BY l.position {'DESC' * backwards} LIMIT %(limit)s"
    return list(map(_event, (yield from asked(sql, said, binary=True))))


def asked(sql: str, parameters: Mapping[str, Any], *, binary: bool = False) -> Steps[list[tuple[Any, ...]]]:
    """Rows of a query on the store. Raises UnavailableError where it is not there, or this role may not."""
    try:
        rows: list[tuple[Any, ...]] = yield Query(sql, parameters, binary)
    except psycopg.Error as error:
        raise refused(error) from error
    return rows


@flow
def version_of(aggregate_type: str, aggregate_id: AggregateId) -> Steps[int]:
    """The version of an aggregate; 0 where it has no events."""
    rows = yield from asked(SQL["version"], {"type": aggregate_type, "id": str(aggregate_id)})
    return int(rows[0][0]) if rows else 0


@dataclass(frozen=True)
class Stream(Generic[P]):
    """Events read in batches; `for` on a sync connection, `async for` on an async one."""

    conn: Any
    read: Flow[P, list[Event]]
    batch: int = 1000
    said: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[Any, ...] = ()

    def __iter__(self) -> Iterator[Event]:
        given: dict[str, Any] | None = dict(self.said)
        while given is not None:
            events = self.read(self.conn, *self.words, **given, limit=self.batch)  # type: ignore[arg-type]
            yield from events
            given = self._next(given, events)

    async def __aiter__(self) -> AsyncIterator[Event]:
        given: dict[str, Any] | None = dict(self.said)
        while given is not None:
            events = await self.read.aio(self.conn, *self.words, **given, limit=self.batch)  # type: ignore[arg-type]
            for event in events:
                yield event
            given = self._next(given, events)

    def _next(self, given: dict[str, Any], events: Sequence[Event]) -> dict[str, Any] | None:
        if len(events) < self.batch:
            return None
        last = events[-1].version if self.read is read_aggregate else events[-1].position
        return {**given, "upto": last - 1} if given.get("backwards") else {**given, "after": last}


def stream(conn: Any, read: Flow[P, list[Event]], *words: Any, batch: int = 1000, **said: Any) -> Stream[P]:
    """What `read_aggregate`, `read_category` or `read_all` reads, `batch` events at a time, so that memory stays the same."""
    if batch < 1:
        raise UsageError(f"a batch of {batch} events is none")
    return Stream(conn, read, batch, said, words)
