"""Read models made anew: beside the live tables, then carried over; proven equal; and one aggregate replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter import faults
from pgcharter.db.flows import Query, flow
from pgcharter.db.flows import Steps as FlowSteps
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.names import quote
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.events_model import LOG
from pgcharter.runtime.projections import SQL, Into, Projection
from pgcharter.runtime.projections_tables import Compared, Twin, carried_over, compared, gone, known, made, there

if TYPE_CHECKING:
    from pgcharter.runtime.database import AsyncDatabase, Database

POINTS = ("projection begun", "projection in batch", "projection after batch", "projection in swap", "projection swapped")
"""Fault points of a rebuild."""
_AGGREGATE = "l.aggregate_type = %(aggregate_type)s AND l.aggregate_id = %(aggregate_id)s"
Tell = Callable[[int, int], None]
"""Called with the position reached and the one to be reached."""


class ReplacedError(RefusedError):
    """Another rebuild of the same projection was begun later, and goes on instead."""


class HandlerError(PgcharterError):
    """A handler fails with an event, so that the tables cannot be made."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it."""

    events: int
    """Events handled by this run."""
    position: int
    written: int
    """Rows of the live tables that were not as they are now."""


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """Where a read model stands; how far an async one is, says `feeds_manage.status` of its consumer."""

    name: str
    version: int | None
    mode: str
    live_at: datetime | None
    building: int | None
    position: int | None
    building_since: datetime | None


@flow
def status() -> FlowSteps[list[ProjectionStatus]]:
    """All read models that are noted."""
    return [ProjectionStatus(*row) for row in (yield Query(SQL["all"]))]


class _OnEvents:
    """What works through events of a projection, in the colour of its database."""

    def __init__(self, database: Database | AsyncDatabase, projection: Projection, *, batch: int = 500) -> None:
        from pgcharter.runtime.database import AsyncDatabase

        self.database: Any = database
        self.projection, self.batch = projection, batch
        self.waits = isinstance(database, AsyncDatabase)
        where, self.parameters = projection.wanted()
        parts = {"log": LOG.table, "columns": ", ".join(LOG.columns), "key": LOG.key, "where": f" AND ({where})" if where else ""}
        self.sql = {name: _filled(SQL[name], parts) for name in ("events", "done")}

    def _drive(self, steps: Steps[Any]) -> Any:
        return awaited(steps) if self.waits else driven(steps)

    def _unit(self, steps: Callable[[Any], Steps[Any]], isolation: str = "read committed") -> Steps[Any]:
        def fn(work: Any) -> Any:
            return driven(steps(work))

        async def async_fn(work: Any) -> Any:
            return await awaited(steps(work))

        return (yield partial(self.database.run, async_fn if self.waits else fn, isolation=isolation))

    def _on(self, work: Any, of: Any, *given: Any, **more: Any) -> Steps[Any]:
        return (yield partial(self.database._flow(of), work.conn, *given, **more))

    def _ask(self, work: Any, sql: str, parameters: Any = ()) -> Steps[list[tuple[Any, ...]]]:
        rows: list[tuple[Any, ...]] = yield from self._on(work, _asked, sql, parameters)
        return rows

    def _last(self, work: Any) -> Steps[int]:
        """Position of the last event that is visible."""
        return int((yield from self._ask(work, f"SELECT COALESCE(max(l.position), 0) FROM {LOG.table} l"))[0][0])

    def _held_alone(self, work: Any) -> Steps[int]:
        """Wait until nobody is in the middle of writing the live tables, and keep others from beginning until the commit.

        Gives the position of the last event: of an inline projection it is in the live tables with all before it.
        """
        yield from self._ask(work, "SET LOCAL lock_timeout = '2s'")
        yield from self._ask(work, SQL["hold_alone"], (self.projection.name,))
        return (yield from self._last(work))

    def _batch(self, work: Any, after: int, upto: int, into: Into, more: dict[str, Any] | None = None) -> Steps[tuple[int, int]]:
        """Handle events after a position; how many there were, and the position reached."""
        sql = self.sql["done" if more and "slots" in more else "events"]
        named = {"after": after, "upto": upto, "limit": self.batch, **self.parameters, **(more or {})}
        rows = yield from self._ask(work, sql, named)
        for position, *values in rows:
            try:
                yield from self.projection.applied(work.conn, (LOG.message(*values),), into)
            except psycopg.OperationalError:
                raise
            except Exception as error:
                raise HandlerError(
                    f"projection {self.projection.name} fails with event {position}: {type(error).__name__}: {error}",
                    hint="mend its handler; what is built up to there is kept",
                ) from error
        return len(rows), rows[-1][0] if len(rows) == self.batch else upto


def _filled(text: str, parts: dict[str, str]) -> str:
    for part, value in parts.items():
        text = text.replace("{" + part + "}", value)
    return text


@flow
def _asked(sql: str, parameters: Any = ()) -> FlowSteps[list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = yield Query(sql, parameters)
    return rows


class Rebuild(_OnEvents):
    """Makes the tables of a projection anew beside the live ones, and carries over what differs, in one transaction at the end.

    It can be killed at any moment: the next one goes on from its last batch, if it is of the same version. Readers see the old content,
    then the new; workers of an async projection go on from the position that was reached; whoever appends for an inline one waits while
    the differences are carried over.
    """

    def run(self, *, anew: bool = False, tell: Tell = lambda _done, _of: None, tries: int = 200) -> Any:
        """Do it; gives `Rebuilt`, of an AsyncDatabase a coroutine of it. `anew`: forget what another run has built.

        Needs the right to make tables in schema pgcharter. Raises HandlerError, UsageError (tables that cannot be made again),
        RefusedError (old events are archived; somebody is always appending), ReplacedError.
        """
        return self._drive(self._steps(anew, tell, tries))

    def cancel(self) -> Any:
        """Drop what is built; the live tables stay as they are."""
        return self._drive(self._cancelled())

    def _cancelled(self) -> Steps[None]:
        def steps(work: Any) -> Steps[None]:
            twins = yield from self._on(work, known, self.projection)
            yield from self._ask(work, SQL["given_up"], (self.projection.name,))
            yield from self._on(work, gone, twins)

        yield from self._unit(steps)

    def _steps(self, anew: bool, tell: Tell, tries: int) -> Steps[Rebuilt]:
        token, position, twins, into = yield from self._unit(partial(self._begun, anew))
        faults.point("projection begun")
        events = 0
        for attempt in range(tries):
            upto = yield from self._unit(self._settled)
            while position < upto:
                count, position = yield from self._unit(partial(self._built, token, position, upto, into))
                faults.point("projection after batch")
                events += count
                tell(position, upto)
            try:
                position, more, written = yield from self._unit(partial(self._swapped, token, position, twins, into))
                faults.point("projection swapped")
                return Rebuilt(events + more, position, written)
            except psycopg.errors.LockNotAvailable:
                yield partial(self.database._sleep, min(1.0, 0.01 * 2**attempt))
        raise RefusedError(
            f"somebody was in the middle of appending whenever projection {self.projection.name} was to go live, {tries} times",
            hint="say it again: it goes on from where it is",
        )

    def _settled(self, work: Any) -> Steps[int]:
        return int((yield from self._ask(work, "SELECT pgcharter.settled('events')"))[0][0])

    def _begun(self, anew: bool, work: Any) -> Steps[tuple[int, int, Sequence[Twin], Into]]:
        kept = yield from self._ask(work, SQL["kept"], (LOG.name,))
        if kept and kept[0][0]:
            raise RefusedError(
                f"events up to {kept[0][0]} are archived, so projection {self.projection.name} cannot be made anew from all of them",
                hint="bring the archived months back first",
            )
        twins = yield from self._on(work, known, self.projection)
        under_way = yield from self._ask(work, SQL["under_way"], (self.projection.name,))
        into = yield from self._on(work, there, twins)
        anew = anew or not under_way or under_way[0][0] != self.projection.version or into is None
        named = {"name": self.projection.name, "mode": self.projection.mode, "version": self.projection.version, "anew": anew}
        ((token, position),) = yield from self._ask(work, SQL["begin"], named)
        if anew:
            into = yield from self._on(work, made, twins)
        return token, position, twins, into

    def _built(self, token: int, position: int, upto: int, into: Into, work: Any) -> Steps[tuple[int, int]]:
        count, reached = yield from self._whole(work, position, upto, into)
        faults.point("projection in batch")
        if not (yield from self._ask(work, SQL["reached"], (reached, self.projection.name, token))):
            raise ReplacedError(f"another rebuild of projection {self.projection.name} was begun, and goes on instead of this one")
        return count, reached

    def _swapped(self, token: int, position: int, twins: Sequence[Twin], into: Into, work: Any) -> Steps[tuple[int, int, int]]:
        """Carry over what differs. The tables stay as they are for readers until the commit."""
        upto, more = (yield from self._held_alone(work)), 0
        if self.projection.mode == "inline":
            while position < upto:
                count, position = yield from self._whole(work, position, upto, into)
                more += count
        else:
            yield from self._cursor_taken(work, position)
        written = yield from self._on(work, carried_over, twins, into)
        if not (yield from self._ask(work, SQL["gone_live"], (self.projection.name, token))):
            raise ReplacedError(f"another rebuild of projection {self.projection.name} was begun, and goes on instead of this one")
        yield from self._on(work, gone, twins)
        faults.point("projection in swap")
        return position, more, written

    def _cursor_taken(self, work: Any, position: int) -> Steps[None]:
        named = {"consumer": self.projection.consumer, "position": position, "slots": self.projection.slots}
        if not (yield from self._ask(work, SQL["take_cursor"], named)):
            yield from self._ask(work, SQL["make_cursor"], named)
        yield from self._ask(work, SQL["forget_parked"], (self.projection.consumer,))

    def _whole(self, work: Any, after: int, upto: int, into: Into) -> Steps[tuple[int, int]]:
        """A batch, from which nothing has been archived: nothing can be while this transaction has read of it."""
        found = yield from self._batch(work, after, upto, into)
        kept = yield from self._ask(work, SQL["kept"], (LOG.name,))
        if kept and kept[0][0] > after:
            raise RefusedError(
                f"events up to {kept[0][0]} were archived while projection {self.projection.name} was made anew and had come to {after}",
                hint="bring the archived months back first",
            )
        return found


class Check(_OnEvents):
    """Proves a projection: makes its tables from the events in a snapshot of the database, and compares.

    Nothing is left behind, and nobody waits for it; but a transaction is open for as long as it takes.
    """

    def run(self, tell: Tell = lambda _done, _of: None) -> Any:
        """Do it; gives a `Compared` for each table, of an AsyncDatabase a coroutine of them. Raises as `Rebuild.run` does."""
        return self._drive(self._unit(partial(self._steps, tell), isolation="repeatable read"))

    def _steps(self, tell: Tell, work: Any) -> Steps[list[Compared]]:
        more, upto = yield from self._reached(work)
        kept = yield from self._ask(work, SQL["kept"], (LOG.name,))
        if kept and kept[0][0]:
            raise RefusedError(
                f"events up to {kept[0][0]} are archived, so projection {self.projection.name} cannot be proven from the rest"
            )
        twins = yield from self._on(work, known, self.projection)
        into = yield from self._on(work, made, twins, temporary=True)
        position = 0
        while position < upto:
            _, position = yield from self._batch(work, position, upto, into, more)
            tell(position, upto)
        return (yield from self._on(work, compared, twins, into))  # type: ignore[no-any-return]

    def _reached(self, work: Any) -> Steps[tuple[dict[str, Any], int]]:
        """What the live tables have in them: of inline ones every event that this snapshot sees."""
        if self.projection.mode == "inline":
            return {}, (yield from self._last(work))
        ((positions, count, was, _),) = yield from self._ask(work, SQL["cursors"], (self.projection.consumer,))
        if not count:
            raise UsageError(f"projection {self.projection.name} has followed no event yet", hint="let it run, or rebuild it")
        if was:
            raise RefusedError(f"projection {self.projection.name} has not passed yet where its slots were changed", hint="try again")
        ((parked,),) = yield from self._ask(work, SQL["parked"], (self.projection.consumer,))
        return {"slots": positions, "count": count, "parked": parked}, max(positions)


class Replay(_OnEvents):
    """Makes the rows of one aggregate anew from its events, in the live tables."""

    def run(self, aggregate_type: str, aggregate_id: Any) -> Any:
        """Do it; gives the number of its events, of an AsyncDatabase a coroutine of it. What was parked of it is forgotten.

        Raises UsageError where a table has no column with the aggregate's id, HandlerError.
        """
        return self._drive(self._unit(partial(self._steps, {"aggregate_type": aggregate_type, "aggregate_id": aggregate_id})))

    def _steps(self, which: dict[str, Any], work: Any) -> Steps[int]:
        without = [table for table, column in self.projection.tables.items() if not column]
        if without:
            raise UsageError(f"rows of {without[0]} are of several aggregates, so one alone cannot be replayed", hint="rebuild it")
        twins = yield from self._on(work, known, self.projection)
        upto = yield from self._held_still(work, which)
        for twin in reversed(twins):
            column = quote(self.projection.tables[twin.table])
            yield from self._ask(work, f"DELETE FROM {twin.live} WHERE {column} = %s", (which["aggregate_id"],))
        sql = self.sql["events"].replace(" ORDER BY l.position", f" AND {_AGGREGATE} ORDER BY l.position")
        self.sql["events"], self.parameters = sql, {**self.parameters, **which}
        position = events = 0
        while position < upto:
            count, position = yield from self._batch(work, position, upto, self.projection.live)
            events += count
        if (yield from self._ask(work, SQL["archived"], which)):
            raise RefusedError(
                f"old events of {which['aggregate_type']} {which['aggregate_id']} are archived, so it cannot be replayed from the rest",
                hint="bring the archived months back first",
            )
        return events

    def _held_still(self, work: Any, which: dict[str, Any]) -> Steps[int]:
        """Keep others from writing these rows; the position up to which events are in them."""
        upto = yield from self._held_alone(work)
        if self.projection.mode == "inline":
            return upto
        consumer = self.projection.consumer
        yield from self._ask(work, SQL["lock_cursors"], (consumer,))
        ((positions, count, was, _),) = yield from self._ask(work, SQL["cursors"], (consumer,))
        if not count or was:
            raise RefusedError(f"projection {self.projection.name} has no settled place to replay at", hint="let it run, then try again")
        keys = yield from self._ask(work, f"SELECT DISTINCT {LOG.key} FROM {LOG.table} l WHERE {_AGGREGATE}", which)
        if len(keys) != 1:
            raise UsageError(f"there are {len(keys)} aggregates {which['aggregate_type']} {which['aggregate_id']}")
        ((number,),) = yield from self._ask(work, SQL["slot"], (keys[0][0], count))
        yield from self._ask(work, "DELETE FROM pgcharter.parked WHERE consumer = %s AND key = %s", (consumer, keys[0][0]))
        return int(positions[number])
