"""Rows out of the server as a stream, of both colours: tuples, mappings, CSV, Arrow."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from psycopg.rows import tuple_row

from pgcharter.db.flows import async_driver, sync_driver
from pgcharter.errors import UsageError
from pgcharter.names import literal
from pgcharter.runtime.bulk_copy import Meter, copying
from pgcharter.runtime.bulk_once import unit_of
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.work import AnyWork

T = TypeVar("T")
BLOCK = 2000
"""Rows taken at once."""
_names = itertools.count(1)
Shape = Callable[[Sequence[Any], list[tuple[Any, ...]]], Sequence[T]]
Parameters = Sequence[Any] | Mapping[str, Any] | None


class Stream(Generic[T]):
    """Rows of a query as they come: `for row in rows(conn, …)`, `async for row in rows.aio(conn, …)`.

    A cursor of the caller's transaction, read a block at a time: the connection may be used meanwhile, the loop left at any time.
    """

    def __init__(self, shape: Shape[T], name: str, what: str) -> None:
        self._shape = shape
        self.__name__, self.__doc__ = name, what

    def __call__(self, conn: Any, query: str, parameters: Parameters = None) -> Iterator[T]:
        """On a psycopg.Connection, or on a Connection or Session of SQLAlchemy over psycopg."""
        return self._read(conn, unit_of(conn), query, parameters)

    def _read(self, conn: Any, unit: AnyWork | None, query: str, parameters: Parameters) -> Iterator[T]:
        cursor, left = _cursor(sync_driver(conn), unit), True
        try:
            driven(_begun(cursor, query, parameters))
            while block := driven(self._block(cursor, unit)):
                yield from block
            left = False
        finally:
            if not left or _there(cursor, unit):
                cursor.close()

    def aio(self, conn: Any, query: str, parameters: Parameters = None) -> AsyncIterator[T]:
        """The same on a psycopg.AsyncConnection, or on an AsyncConnection or AsyncSession of SQLAlchemy over psycopg."""
        return self._read_async(conn, unit_of(conn), query, parameters)

    async def _read_async(self, conn: Any, unit: AnyWork | None, query: str, parameters: Parameters) -> AsyncIterator[T]:
        cursor, left = _cursor(await async_driver(conn), unit), True
        try:
            await awaited(_begun(cursor, query, parameters))
            while block := await awaited(self._block(cursor, unit)):
                for row in block:
                    yield row
            left = False
        finally:
            if not left or _there(cursor, unit):
                await cursor.close()

    def _block(self, cursor: Any, unit: AnyWork | None) -> Steps[Sequence[T]]:
        if unit is not None:
            unit.still_open()
        rows: list[tuple[Any, ...]] = yield partial(cursor.fetchmany, BLOCK)
        return self._shape(cursor.description, rows) if rows else ()


def _cursor(conn: Any, unit: AnyWork | None) -> Any:
    if unit is not None:
        unit.still_open()
    return conn.cursor(f"pgcharter_rows_{next(_names)}", binary=True, row_factory=tuple_row, scrollable=False)


def _there(cursor: Any, unit: AnyWork | None) -> bool:
    """Whether a cursor that was left early may be closed on its connection, which may be somebody else's by now.

    It may have gone with its transaction, or with a savepoint, so it is looked for before: CLOSE would fail, and all that goes on there.
    """
    if unit is not None and unit.over:
        cursor._close()
        return False
    cursor._described = False
    return True


def _begun(cursor: Any, query: str, parameters: Parameters) -> Steps[None]:
    yield partial(cursor.execute, query.encode(cursor.connection.info.encoding), parameters)


def _tuples(_: Sequence[Any], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return rows


def _dicts(description: Sequence[Any], rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    names = [d.name for d in description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _batches(description: Sequence[Any], rows: list[tuple[Any, ...]]) -> list[Any]:
    from pgcharter.runtime.bulk_arrow import batch_of

    return [batch_of(description, rows)]


rows: Stream[tuple[Any, ...]] = Stream(_tuples, "rows", "Rows of a query as tuples.")
dicts: Stream[dict[str, Any]] = Stream(_dicts, "dicts", "Rows of a query as mappings.")
batches: Stream[Any] = Stream(_batches, "batches", "Rows of a query as record batches of pyarrow, of up to 2,000 rows.")


def to_csv(
    cursor: Any,
    query: str,
    to: str | PathLike[str] | IO[bytes],
    parameters: Parameters,
    header: bool,
    delimiter: str,
    null: str,
    meter: Meter,
) -> Steps[int]:
    """Write what a query gives; the number of rows."""
    if len(delimiter) != 1:
        raise UsageError(f"{delimiter!r} cannot part columns: it takes one character")
    options = f"FORMAT csv, HEADER {'true' if header else 'false'}, DELIMITER {literal(delimiter)}, NULL {literal(null)}, ENCODING 'UTF8'"
    wrapped = f"COPY ({query}) TO STDOUT ({options})"
    with ExitStack() as stack:
        file: Any = to
        if isinstance(to, str | PathLike):
            path = Path(to)
            file = stack.enter_context(gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb"))  # noqa: SIM115
        yield from copying(cursor, wrapped, partial(_written, file, meter), parameters)
    yield from meter.tell(last=True)
    return int(cursor.rowcount)


def _written(file: Any, meter: Meter, copy: Any) -> Steps[None]:
    while piece := (yield copy.read):
        meter.rows, meter.bytes = meter.rows + 1, meter.bytes + len(piece)
        file.write(piece)
        yield from meter.tell()
