"""How long each statement of pending migrations takes with production's sizes: measured on as many rows as there is room for, and from
there reckoned up. What cannot be known is said to be unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from pgcharter.catalog.effect import Effect, Mode
from pgcharter.catalog.model import Catalog
from pgcharter.errors import PgcharterError
from pgcharter.migrate.filling import ROWS, Filled, fill
from pgcharter.migrate.model import Migration
from pgcharter.migrate.shape import Shape
from pgcharter.migrate.there_and_back import Ran, Tried, build, running, traced
from pgcharter.names import ObjectId
from pgcharter.render.timing import Timed
from pgcharter.sources import Progress

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch

SURE = 25
"""Times as many rows up to which an estimate was within half as much again of the truth, on 3 million rows; at 60 times as many rows index
builds, rewrites and checks took up to twice, an UPDATE three times as long as reckoned. Beyond it is rough."""
_ROWS = frozenset(
    ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "select_stmt", "do_stmt", "call_stmt", "refresh_mat_view_stmt")
)
"""Kinds whose time goes with the rows of every table they touch."""
_SORTS = re.compile(r"\b(?:primary\s+key|unique|exclude|reindex|create\s+(?:unique\s+)?index|cluster)\b", re.IGNORECASE)


@dataclass
class Timing:
    """The times of all, and what could not be filled."""

    steps: tuple[Timed, ...] = ()
    filled: Filled = field(default_factory=Filled)
    failure: PgcharterError | None = None
    """What PostgreSQL refused on rows although it did not without."""


def timed(
    scratch: Scratch,
    before: Sequence[Migration],
    tried: Sequence[Tried],
    shape: Shape,
    *,
    rows: int = ROWS,
    progress: Progress | None = None,
) -> Timing:
    """Fill the tables that the tried migrations touch and run them again, up only.

    Raises RefusedError when triggers cannot be switched off there to fill tables.
    """
    first, last = tried[0].at, tried[-1].there
    assert first is not None and first.catalog is not None  # noqa: S101, PT018
    catalog, result = first.catalog, Timing()
    with scratch.database() as database:
        builder = traced(database)
        build(builder, before, progress)
        later = last.catalog if last else None
        result.filled = fill(database, catalog, shape, touched(tried), later, most=rows, progress=progress)
        ran: list[tuple[Ran, Ran]] = []
        try:
            for number, one in enumerate(tried):
                if progress:
                    progress(f"timing {one.migration.title}", number, len(tried))
                ran.extend(zip(one.ran, running(builder, one.migration, one.migration.up, one.migration.file), strict=True))
        except PgcharterError as error:
            words = error.message.replace("cannot be run on a scratch server", "fails on rows of production's shape")
            result.failure = PgcharterError(words, hint=error.hint, place=error.place)
    steps = [_timed(empty, full, catalog, result.filled) for empty, full in ran]
    result.steps = _held([full for _, full in ran], steps, catalog)
    return result


def touched(tried: Iterable[Tried]) -> set[ObjectId]:
    """Every table that the statements lock, read whole or write anew."""
    effects = [r.effect for t in tried for r in t.ran]
    return {r for e in effects for r in (*(lock.relation for lock in e.locks), *e.rewrites, *e.scans) if r.kind == "table"}


def _timed(empty: Ran, full: Ran, catalog: Catalog, filled: Filled) -> Timed:
    found = Timed(full.title, full.place, full.sql, full.seconds, full.batched)
    if full.refused:
        return replace(found, sure="unknown", why=f"it could not run on rows that were made up: {full.refused}")
    tables = _worked_on(full, catalog)
    if not tables and full.effect.known:
        return replace(found, seconds=full.seconds)
    unknown = [t for t in tables if t in filled.why or t not in filled.rows]
    if unknown or not tables:
        other = "these migrations make it, so its size is not known" if unknown and unknown[0].kind == "table" else "it is not filled"
        why = filled.why.get(unknown[0], other) if unknown else ""
        return replace(found, sure="unknown", why=f"{unknown[0].sql()}: {why}" if unknown else "what it does to tables is not known")
    rows, real = sum(filled.rows[t] for t in tables), sum(max(filled.real.get(t, 0), filled.rows[t]) for t in tables)
    grown = growth(full, rows, real)
    seconds = full.seconds if grown == 1 else min(empty.seconds, full.seconds) + max(full.seconds - empty.seconds, 0) * grown
    sure = "measured" if grown == 1 else "estimated" if real <= SURE * rows else "rough"
    return replace(found, rows=rows, real=real, seconds=seconds, sure=sure)


def growth(ran: Ran, rows: int, real: int) -> float:
    """How many times as long it takes: as the rows, where an index is built as the work of sorting them."""
    if real <= rows or rows == 0:
        return 1.0
    sorts = ran.kind in ("index_stmt", "reindex_stmt") or _SORTS.search(ran.sql) is not None
    return real * math.log(real) / (rows * math.log(max(rows, 2))) if sorts else real / rows


def _worked_on(ran: Ran, catalog: Catalog) -> list[ObjectId]:
    """The tables with rows of their own that a statement goes through; empty when its time does not go with rows."""
    effect = ran.effect
    names = {*effect.rewrites, *effect.scans}
    if ran.batched or ran.kind in _ROWS:
        names |= {lock.relation for lock in effect.locks}
    tables = {n for n in names if n.kind in ("table", "materialized view")}
    empty = {t for t in tables if t in catalog.table and catalog.table[t].kind == "partitioned table"}
    below = {t.id for t in catalog.tables if t.partition_of in empty}
    return sorted((tables - empty) | (below if empty and not tables - empty else set()))


def _held(ran: Sequence[Ran], steps: Sequence[Timed], catalog: Catalog) -> tuple[Timed, ...]:
    """The steps with how long each holds its lock: to the end of its transaction."""
    made: list[Timed] = []
    for _, group in groupby(zip(ran, steps, strict=True), key=lambda pair: (pair[0].title, pair[0].unit)):
        unit = list(group)
        for number, (one, step) in enumerate(unit):
            lock, table = _strongest(one.effect, catalog) if not one.batched else (None, None)
            rest = [s.seconds for _, s in unit[number:]]
            held = sum(s for s in rest if s is not None) if lock and None not in rest else None
            made.append(replace(step, lock=lock, table=table, held=held))
    return tuple(made)


def _strongest(effect: Effect, catalog: Catalog) -> tuple[Mode | None, ObjectId | None]:
    """The strongest lock that stops writes on a table which was there before: on new ones nobody waits."""
    there: Mapping[ObjectId, object] = catalog.table
    found = [(lock.mode, lock.relation) for lock in effect.locks if lock.mode.stops_writes and lock.relation in there]
    return max(found, key=lambda pair: pair[0], default=(None, None))


def too_long(steps: Iterable[Timed], longest: float) -> list[Timed]:
    """The steps that hold a lock which stops writes for longer than `longest` seconds, or for nobody knows how long."""
    return [s for s in steps if s.lock and (s.held is None or s.held > longest)]
