"""Migrations tried on a scratch server: up, down and up again, the catalogs compared after each way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgcharter.catalog.compare import Difference
from pgcharter.catalog.effect import Effect
from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError
from pgcharter.findings import Place
from pgcharter.migrate.model import Migration, Unit
from pgcharter.sources import Look, Progress, taken

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch, ScratchDatabase
    from pgcharter.sources.build import Builder


@dataclass(frozen=True, slots=True)
class Ran:
    """One statement that was run there."""

    title: str
    """Of its migration."""
    place: Place
    sql: str
    seconds: float
    effect: Effect = field(default_factory=Effect)
    """What it was seen to do to others."""
    unit: int = 0
    """Statements of one unit run in one transaction: what one locks stays locked to the end of the last."""
    batched: bool = False
    """The runner does it in batches, each a transaction of its own."""
    kind: str = ""
    """As the parser calls it: `index_stmt`."""
    refused: str = ""
    """Why a statement that changes rows could not run on those that are there; production may have the rows it needs."""


_DATA = frozenset(
    ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "truncate_stmt", "reindex_stmt", "cluster_stmt", "vacuum_stmt")
)
"""Kinds that leave the schema as it is: building a schema leaves them out, trying a migration does not."""
_ROWS_DECIDE = ("22", "23", "P0001", "P0004", "21000")
"""Classes of SQLSTATE that depend on the rows: a value out of range, a constraint, an exception of the project's own."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one migration."""

    migration: Migration
    up: float
    """Seconds it took, on tables without rows."""
    down: float | None = None
    """None: it has no way back."""
    left: tuple[Difference, ...] = ()
    """What still differs from before after the way back."""
    other: tuple[Difference, ...] = ()
    """What differs from the first time after going up again."""
    at: Reading | None = None
    """What was there before."""
    there: Reading | None = None
    """What it leads to."""
    ran: tuple[Ran, ...] = ()
    """Its statements, the first time up; none of a revision that env.py runs by itself."""


def tried(
    scratch: Scratch, before: Sequence[Migration], rest: Sequence[Migration], progress: Progress | None = None, looks: Sequence[Look] = ()
) -> Iterator[Tried]:
    """Build what `before` leads to, take `looks` there, then try each of `rest` in order; all have their units.

    Statements run one by one, as the scratch server's unprivileged owner; roles that nobody makes are made there.
    Raises PgcharterError with file and line when PostgreSQL refuses a statement: what follows cannot be tried then.
    """
    with scratch.database() as database:
        builder = traced(database)
        build(builder, before, progress)
        at = taken(reading(database), database.conn, looks)
        for number, m in enumerate(rest):
            if progress:
                progress(m.title, number, len(rest))
            ran = run(builder, m, m.up, m.file)
            there = reading(database)
            up = sum(r.seconds for r in ran)
            if m.down is None:
                yield Tried(m, up, at=at, there=there, ran=ran)
            else:
                down = sum(r.seconds for r in run(builder, m, m.down, m.down_file or m.file))
                left = left_over(reading(database), at)
                run(builder, m, m.up, m.file)
                yield Tried(m, up, down, left, left_over(reading(database), there), at, there, ran)
            at = there


def traced(database: ScratchDatabase) -> Builder:
    """What runs statements there and notes what each does to others."""
    from pgcharter.sources.build import Builder
    from pgcharter.sources.trace import Trace

    return Builder(database, trace=Trace(database.scratch.major))


def build(builder: Builder, migrations: Sequence[Migration], progress: Progress | None = None) -> None:
    """Run migrations up. Raises PgcharterError like `run`."""
    for number, m in enumerate(migrations):
        if progress:
            progress("building", number, len(migrations))
        run(builder, m, m.up, m.file)


def reading(database: ScratchDatabase) -> Reading:
    """What a scratch database holds now."""
    from pgcharter.migrate.proving import read

    return Reading("", "sql", catalog=read(database))


def left_over(found: Reading, wanted: Reading) -> tuple[Difference, ...]:
    """What differs between what was found and what should be there."""
    from pgcharter.migrate.proving import remaining

    return remaining(found.catalog, wanted.catalog) if found.catalog and wanted.catalog else ()


def run(builder: Builder, m: Migration, units: Sequence[Unit], file: str) -> tuple[Ran, ...]:
    """Run units, one statement after the other. Raises PgcharterError with file and line at the first that PostgreSQL refuses."""
    return tuple(running(builder, m, units, file))


def running(builder: Builder, m: Migration, units: Sequence[Unit], file: str) -> Iterator[Ran]:
    """The same, each statement given when it is done."""
    from pgcharter.sqltext import parse

    for number, unit in enumerate(units):
        for sql in unit.statements:
            place = _place(m, unit, sql, file)
            for statement in parse(sql, file, max(place.line - 1, 0)).statements:
                seen = builder.trace.effects if builder.trace else {}
                seen.pop(statement.place, None)
                began = time.perf_counter()
                data = statement.kind in _DATA
                refusal = builder.attempt(statement, statement.text) if data else builder.run(statement)
                seconds = time.perf_counter() - began
                excused = refusal.message if refusal and data and refusal.sqlstate.startswith(_ROWS_DECIDE) else ""
                if refusal is not None and not excused:
                    message = f"{m.title} cannot be run on a scratch server: {refusal.message}"
                    raise PgcharterError(message, hint=refusal.hint or refusal.detail, place=f"{place.file}:{place.line}")
                effect = seen.get(statement.place, Effect())
                yield Ran(m.title, place, statement.text, seconds, effect, number, unit.backfill is not None, statement.kind, excused)
    builder.end_file()


def _place(m: Migration, unit: Unit, sql: str, file: str) -> Place:
    """Where a statement begins; where its unit does, when the file has it in other words."""
    text = m.down_text if m.down_file and file == m.down_file else m.text
    at = text.find(sql)
    return Place(file, text.count("\n", 0, at) + (1 if text is m.down_text else m.line) if at >= 0 else unit.line)
