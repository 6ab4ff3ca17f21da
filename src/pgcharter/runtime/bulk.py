"""Bulk load and unload: COPY, and COPY-merge, from whatever holds rows, in the caller's transaction.

    from pgcharter.runtime import bulk

    bulk.load(conn, "app.orders", rows)                                  # tuples, dicts, dataclasses, objects, a frame, bulk.Csv("a.csv")
    bulk.merge(conn, "app.stock", rows, on=("sku",), conflict="update")  # await bulk.merge.aio(…), with an async source where there is one
    for row in bulk.rows(conn, "SELECT … WHERE id > %s", (7,)): …

Everything is streamed. A load is all or nothing: after an error or a cancellation the transaction is as it was before and may go on.
An iterator gives its rows once: in a unit of work, which may be tried again, it is made inside the function; one that was used up by a try
that was rolled back is refused.
A transaction that had a temporary table (`Loaded.staged`) cannot be prepared for two-phase commit. Constraints that are
deferred to the commit are checked there, and no row is named.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from os import PathLike
from typing import IO, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from psycopg.rows import tuple_row

from pgcharter.db.flows import async_driver, sync_driver
from pgcharter.errors import UsageError
from pgcharter.runtime.bulk_bad import Bad, BadRow, BadRowError, Ward
from pgcharter.runtime.bulk_copy import Meter, Pour, Progress, atomic
from pgcharter.runtime.bulk_merge import Conflict, Distinct, Merge, Rule
from pgcharter.runtime.bulk_once import read_once
from pgcharter.runtime.bulk_out import batches, dicts, rows, to_csv
from pgcharter.runtime.bulk_rows import Csv, Supply, supply
from pgcharter.runtime.bulk_target import Overriding, asked
from pgcharter.runtime.colours import Steps, awaited, driven

__all__ = ["BadRow", "BadRowError", "Csv", "Loaded", "Merged", "Progress", "batches", "csv", "dicts", "load", "merge", "rows"]

P = ParamSpec("P")
T = TypeVar("T")
Rows = Iterable[Any] | AsyncIterable[Any] | Csv | PathLike[str] | Any
"""An iterable of tuples, mappings, dataclasses or objects; what has `__arrow_c_stream__`; a CSV file."""
Format = Literal["auto", "binary", "text"]


class Operation(Generic[P, T]):
    """Work on a connection, callable on a sync one; `aio` on an async one: those that a flow runs on (`db.flows`)."""

    def __init__(self, steps: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self._steps = steps
        update_wrapper(self, steps)

    def __call__(self, conn: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run on a psycopg.Connection, or on a Connection or Session of SQLAlchemy over psycopg."""
        with sync_driver(conn).cursor(row_factory=tuple_row) as cursor:
            return driven(self._steps(cursor, *args, **kwargs))

    async def aio(self, conn: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same on a psycopg.AsyncConnection, or on an AsyncConnection or AsyncSession of SQLAlchemy over psycopg."""
        async with (await async_driver(conn)).cursor(row_factory=tuple_row) as cursor:
            return await awaited(self._steps(cursor, *args, **kwargs))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a load."""

    rows: int
    """Rows that the table took."""
    aside: int
    """Rows set aside."""
    bad: tuple[BadRow, ...]
    """Those, with bad="aside"."""
    format: str
    """binary, csv or text; what made it text."""
    staged: bool
    """Whether a temporary table was needed."""
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Merged(Loaded):
    """What became of a merge."""

    inserted: int | None
    """None: PostgreSQL before 18 does not tell, of a view, or of a partitioned table that a trigger writes to as well."""
    updated: int | None
    ignored: int
    """Rows that changed nothing: conflicts ignored, `where` not true, twins left out, a trigger."""
    returned: tuple[tuple[Any, ...], ...] = ()
    """What RETURNING gave, without `each`."""


@Operation
def load(
    cursor: Any,
    table: Any,
    rows: Rows,
    *,
    columns: Sequence[str] | None = None,
    format: Format = "auto",  # noqa: A002
    overriding: Overriding = None,
    bad: Bad = "raise",
    most_bad: int = 1000,
    progress: Callable[[Progress], Any] | None = None,
    every: float = 0.5,
) -> Steps[Loaded]:
    """COPY rows into a table: its name as SQL writes it, a Table of SQLAlchemy or a mapped class.

    `columns` names what rows hold; by default what mappings and objects have, and for tuples all columns in order that are not generated.
    Where row policies hold for the role, or for a view, rows go by a temporary table. `bad` says what becomes of rows that cannot be
    stored: "raise"; "aside" (in `Loaded.bad`), a callable, or a path for JSON lines, for up to `most_bad`. `progress` is called
    every so many seconds. Raises BadRowError, UsageError, and what the server raises.
    """
    read_once(cursor.connection, rows)
    meter = Meter(progress, every)
    source = supply(rows, columns, whole=format != "binary" and cursor.connection.info.encoding == "utf-8")
    _of_one_colour(cursor, source)
    return (yield from atomic(cursor, _load(cursor, table, source, rows, format, overriding, bad, most_bad, meter)))


@Operation
def csv(
    cursor: Any,
    query: str,
    to: str | PathLike[str] | IO[bytes],
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    header: bool = True,
    delimiter: str = ",",
    null: str = "",
    progress: Callable[[Progress], Any] | None = None,
    every: float = 0.5,
) -> Steps[int]:
    """Write what a query gives (`TABLE app.orders` is one) to a file as CSV in UTF-8, packed if its name ends in .gz; how many."""
    return (yield from to_csv(cursor, query, to, parameters, header, delimiter, null, Meter(progress, every)))


@Operation
def merge(
    cursor: Any,
    table: Any,
    rows: Rows,
    *,
    on: Sequence[str] | str | None = None,
    conflict: Conflict = "update",
    update: Sequence[str] | Mapping[str, str] | None = None,
    where: str = "",
    index_where: str = "",
    distinct: Distinct | None = None,
    returning: Sequence[str] = (),
    each: Callable[[tuple[Any, ...]], Any] | None = None,
    columns: Sequence[str] | None = None,
    format: Format = "auto",  # noqa: A002
    overriding: Overriding = None,
    bad: Bad = "raise",
    most_bad: int = 1000,
    progress: Callable[[Progress], Any] | None = None,
    every: float = 0.5,
) -> Steps[Merged]:
    """COPY rows into a temporary table and INSERT … ON CONFLICT from there, in the order of the key, so that two merges do not deadlock.

    `on`: columns of a unique index, or the name of a constraint; by default the primary key. `index_where`: the predicate of a partial
    one. Rows with NULL in the key meet nobody, unless the index is NULLS NOT DISTINCT. `update`: columns to take over, by default
    all given that are not of the key, or SQL by column, where `target` is the row that is there and `excluded` the new one; `where`
    says when. `distinct` says what becomes of rows with one key among those given: "error" (default of update), "first" or "last".
    `returning` names columns: what was written goes to `each` as ("insert" or "update", value, …), without it into `Merged.returned`.
    The rest is as in `load`. Raises what `load` does, and UnavailableError where no temporary table may be made.
    """
    read_once(cursor.connection, rows)
    meter = Meter(progress, every)
    source = supply(rows, columns, whole=format != "binary" and cursor.connection.info.encoding == "utf-8")
    _of_one_colour(cursor, source)
    rule = Rule(on, conflict, update, where, index_where, distinct, returning, overriding)
    return (yield from atomic(cursor, _merge(cursor, table, source, rows, format, rule, bad, most_bad, meter, each)))


def _load(
    cursor: Any, table: Any, source: Supply, rows: Any, wanted: Format, overriding: Overriding, bad: Bad, most: int, meter: Meter
) -> Steps[Loaded]:
    target = yield from asked(cursor, table)
    ward = Ward(bad, most, target, source.unit)
    yield from source.open(target)
    taken = target.taken(source.columns, overriding)
    if target.staged or overriding == "user":
        stage = Merge(cursor, target, taken, Rule(overriding=overriding), ward)
        pour = yield from _staged(stage, Pour(cursor, stage.name, stage.name, taken, source, ward, meter), rows, wanted, None)
        return Loaded(stage.written, ward.count, tuple(ward.kept), pour.format, True, meter.bytes, meter.seconds)
    pour = Pour(cursor, target.id.sql(), target.id.name, taken, source, ward, meter)
    yield from _poured(pour, rows, wanted, later=target.later)
    return Loaded(pour.loaded, ward.count, tuple(ward.kept), pour.format, False, meter.bytes, meter.seconds)


def _merge(
    cursor: Any, table: Any, source: Supply, rows: Any, wanted: Format, rule: Rule, bad: Bad, most: int, meter: Meter,
    each: Callable[[tuple[Any, ...]], Any] | None,
) -> Steps[Merged]:  # fmt: skip
    target = yield from asked(cursor, table)
    ward = Ward(bad, most, target, source.unit)
    yield from source.open(target)
    taken = target.taken(source.columns, rule.overriding)
    stage = Merge(cursor, target, taken, rule, ward)
    kept: list[tuple[Any, ...]] = []
    pour = yield from _staged(stage, Pour(cursor, stage.name, stage.name, taken, source, ward, meter), rows, wanted, each or kept.append)
    return Merged(
        stage.written, ward.count, tuple(ward.kept), pour.format, True, meter.bytes, meter.seconds, stage.inserted, stage.updated,
        source.count - ward.count - stage.written, tuple(kept),
    )  # fmt: skip


def _staged(stage: Merge, pour: Pour, rows: Any, wanted: Format, each: Callable[[tuple[Any, ...]], Any] | None) -> Steps[Pour]:
    yield from stage.stage()
    yield from _poured(pour, rows, wanted, later=False)
    yield from stage.store(pour, each)
    return pour


def _poured(pour: Pour, rows: Any, wanted: Format, *, later: bool) -> Steps[None]:
    source = Csv(rows) if isinstance(rows, PathLike) else rows if isinstance(rows, Csv) else None
    pour.choose(wanted, source)
    yield from pour.pieces() if pour.ward.aside or later else pour.whole()
    yield from pour.meter.tell(last=True)


def _of_one_colour(cursor: Any, source: Supply) -> None:
    if source.is_async and not hasattr(cursor, "__aenter__"):
        raise UsageError("the rows come from an async iterable, and the connection is a sync one", hint="await ….aio(async_conn, …)")
