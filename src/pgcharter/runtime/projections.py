"""Read models: tables made from events, in the transaction that appends or a moment later, and made anew beside the live ones.

    def summed(conn, event, into):
        conn.execute(f"INSERT INTO {into('app.order_totals')} …")

    totals = Projection("order-totals", {"app.order_totals": "order_id"}, summed, types=("order-placed", "order-paid"))
    totals.feed(db).run()                       # async: follows the events, each with its effect once
    Rebuild(db, totals).run()                   # anew, beside the live tables; then the differences are carried over

Handlers write the tables that `into` names, and look at nothing but the event and these tables: so what they make can be made again, and
be proven equal (`Check`). An inline projection is brought up in the transaction that appends, `append_and_project(conn, [totals], …)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from pgcharter.db.flows import Batch, Query, flow
from pgcharter.db.flows import Steps as FlowSteps
from pgcharter.db.queries import load
from pgcharter.errors import RefusedError, UsageError
from pgcharter.names import quote
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.events import Appended, Expected, append, read_aggregate
from pgcharter.runtime.events_model import LOG, AggregateId, Event
from pgcharter.runtime.feeds import AsyncFeed, Feed
from pgcharter.runtime.feeds_model import EndingError, FeedSettings, Inside
from pgcharter.runtime.feeds_outcomes import plain

if TYPE_CHECKING:
    from pgcharter.runtime.database import AsyncDatabase, Database

SQL = load("pgcharter.runtime", "projections.sql")
PREFIX = "projection "
"""Before the name of a projection: its consumer."""


class OtherVersionError(EndingError):
    """The tables are by another version of the handler than the one at hand; whoever has the wrong one stops."""


class Into:
    """The tables that a handler is to write: the live ones, or those that are made beside them."""

    __slots__ = ("_names",)

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __call__(self, table: str) -> str:
        """The table to write, as SQL, for one that the projection names. Raises UsageError for another one."""
        try:
            return self._names[table]
        except KeyError:
            raise UsageError(f"{table} is none of the projection's tables: {', '.join(self._names)}") from None


def named(table: str) -> str:
    """A table `schema.name` as SQL. Raises UsageError for what is none."""
    schema, dot, name = table.partition(".")
    if not (schema and dot and name) or '"' in table:
        raise UsageError(f"{table!r} names no table of a projection", hint="write schema.name, without quotes")
    return f"{quote(schema)}.{quote(name)}"


@dataclass(frozen=True)
class Projection:
    """A read model. Raises UsageError for what makes no sense."""

    name: str
    tables: Mapping[str, str]
    """Its tables as schema.name, in an order in which rows can be inserted; and of each the column with the aggregate's id, empty where
    rows are of several aggregates (then one aggregate alone cannot be replayed)."""
    handle: Callable[[Any, Event, Into], Any]
    """`handle(conn, event, into)`, with psycopg's connection; a coroutine function with an AsyncDatabase."""
    version: int = 1
    """To be raised with every change of what it makes."""
    types: tuple[str, ...] = ()
    """Types of events that it wants; empty: all."""
    categories: tuple[str, ...] = ()
    """Types of aggregates whose events it wants; empty: all."""
    mode: Literal["async", "inline"] = "async"
    slots: int = 1
    """Parts of the keys, and so the most workers at a time."""
    left_out: tuple[str, ...] = ()
    """Columns that are the rows' and not made from events, such as when a row was written: neither compared nor carried over."""
    settings: FeedSettings = field(default_factory=FeedSettings)

    def __post_init__(self) -> None:
        """Raise UsageError for what makes no sense."""
        if not self.name or len(self.name) > 180 or not self.tables or self.version < 1:
            raise UsageError(f"projection {self.name!r} needs a name of 1 to 180 characters, a table, and a version from 1 on")
        for table in self.tables:
            named(table)

    @property
    def consumer(self) -> str:
        """Its name among consumers."""
        return PREFIX + self.name

    @property
    def live(self) -> Into:
        """Its live tables."""
        return Into({table: named(table) for table in self.tables})

    def wanted(self) -> tuple[str, dict[str, Any]]:
        """The condition for its events, over alias `l`, and the parameters in it."""
        conditions = {"l.event_type = ANY(%(types)s)": self.types, "l.aggregate_type = ANY(%(categories)s)": self.categories}
        given = {"types": list(self.types), "categories": list(self.categories)}
        return " AND ".join(c for c, some in conditions.items() if some), {n: v for n, v in given.items() if v}

    @overload
    def feed(self, database: Database) -> Feed[Event]: ...

    @overload
    def feed(self, database: AsyncDatabase) -> AsyncFeed[Event]: ...

    def feed(self, database: Any) -> Any:
        """A worker that follows the events; make one for each thread or task. It stops with OtherVersionError when the tables are by
        another version. Raises UsageError for an inline one."""
        from pgcharter.runtime.database import AsyncDatabase

        if self.mode == "inline":
            raise UsageError(f"projection {self.name} is inline: whoever appends brings it up, append_and_project")
        waits = isinstance(database, AsyncDatabase)
        where, parameters = self.wanted()
        handle: Any = self._handled_async if waits else self._handled
        kind: Any = AsyncFeed if waits else Feed
        return kind(
            database, LOG, self.consumer, Inside(handle), where=where, parameters=parameters, slots=self.slots, settings=self.settings
        )

    def _handled(self, work: Any, events: Sequence[Event]) -> None:
        register(work.conn, self)
        driven(self.applied(work.conn, events, self.live))

    async def _handled_async(self, work: Any, events: Sequence[Event]) -> None:
        await register.aio(work.conn, self)
        await awaited(self.applied(work.conn, events, self.live))

    def applied(self, conn: Any, events: Iterable[Event], into: Into) -> Steps[None]:
        """Call the handler with each event."""
        for event in events:
            plain((yield partial(self.handle, conn, event, into)))

    def wants(self, event: Event) -> bool:
        """Whether an event is one of its."""
        return (not self.types or event.type in self.types) and (not self.categories or event.aggregate_type in self.categories)

    def other(self, live: int) -> OtherVersionError:
        """That the tables are by another version."""
        return OtherVersionError(
            f"the tables of projection {self.name} are by version {live} of its handler, and this one is version {self.version}",
            hint=f"pgcharter projections rebuild {self.name}" if live < self.version else "this is an old release: stop it",
        )


def _held(projection: Projection) -> FlowSteps[list[tuple[Any, ...]]]:
    """Keep what is live from being replaced until the transaction ends, from before its rows are touched; the version that is noted."""
    _, rows = yield Batch((Query(SQL["hold"], (projection.name,)), Query(SQL["live"], (projection.name,))))
    return rows  # type: ignore[no-any-return]


@flow
def register(projection: Projection) -> FlowSteps[None]:
    """Note that its tables are filled by this version, where none is noted. Raises OtherVersionError where another one is."""
    rows = yield from _held(projection)
    if not rows or rows[0][0] is None:
        rows = yield Query(SQL["register"], (projection.name, projection.version, projection.mode))
    if rows[0][0] != projection.version:
        raise projection.other(rows[0][0])


def _right_version(projection: Projection) -> FlowSteps[None]:
    rows = yield from _held(projection)
    if not rows or rows[0][0] is None:
        raise RefusedError(
            f"projection {projection.name} was never built, so what was appended before is not in it",
            hint=f"pgcharter projections rebuild {projection.name}",
        )
    if rows[0][0] != projection.version:
        raise projection.other(rows[0][0])


@flow
def _appended(
    projections: Sequence[Projection], kind: str, id_: AggregateId, events: Sequence[Any], expected: Expected, **more: Any
) -> FlowSteps[tuple[Appended, list[Event]]]:
    for projection in projections:
        yield from _right_version(projection)
    made = yield from append.steps(kind, id_, events, expected=expected, **more)
    return made, (yield from read_aggregate.steps(kind, id_, after=made.version - len(events), upto=made.version))


def append_and_project(
    conn: Any,
    projections: Sequence[Projection],
    aggregate_type: str,
    aggregate_id: AggregateId,
    events: Sequence[Any],
    *,
    expected: Expected = "any",
    **more: Any,
) -> Appended:
    """Append events of an aggregate, and bring inline projections up with them, in the open transaction.

    `more` and errors are those of `events.append`; besides what handlers raise, RefusedError for a projection that was never built, and
    OtherVersionError. Rows that handlers of several aggregates write must not hang on the order of these: it is that of the commits.
    """
    made, stored = _appended(conn, projections, aggregate_type, aggregate_id, events, expected, **more)
    for projection in projections:
        driven(projection.applied(conn, filter(projection.wants, stored), projection.live))
    return made


async def aappend_and_project(
    conn: Any,
    projections: Sequence[Projection],
    aggregate_type: str,
    aggregate_id: AggregateId,
    events: Sequence[Any],
    *,
    expected: Expected = "any",
    **more: Any,
) -> Appended:
    """The async twin of `append_and_project`."""
    made, stored = await _appended.aio(conn, projections, aggregate_type, aggregate_id, events, expected, **more)
    for projection in projections:
        await awaited(projection.applied(conn, filter(projection.wants, stored), projection.live))
    return made
