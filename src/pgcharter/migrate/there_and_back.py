"""Migrations tried on a scratch server: up, down and up again, the catalogs compared after each way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgcharter.catalog.compare import Difference
from pgcharter.errors import PgcharterError
from pgcharter.migrate.model import Migration, Unit
from pgcharter.sources import Progress

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch
    from pgcharter.sources.build import Builder


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


def tried(scratch: Scratch, before: Sequence[Migration], rest: Sequence[Migration], progress: Progress | None = None) -> Iterator[Tried]:
    """Build what `before` leads to, then try each of `rest` in order; all have their units.

    Statements run one by one, as the scratch server's unprivileged owner; roles that nobody makes are made there.
    Raises PgcharterError with file and line when PostgreSQL refuses a statement: what follows cannot be tried then.
    """
    from pgcharter.migrate.proving import read, remaining
    from pgcharter.sources.build import Builder

    with scratch.database() as database:
        builder = Builder(database)
        for number, m in enumerate(before):
            if progress:
                progress("building", number, len(before))
            _run(builder, m, m.up, m.file)
        at = read(database)
        for number, m in enumerate(rest):
            if progress:
                progress(m.title, number, len(rest))
            up = _run(builder, m, m.up, m.file)
            there = read(database)
            if m.down is None:
                yield Tried(m, up)
            else:
                down = _run(builder, m, m.down, m.down_file or m.file)
                left = remaining(read(database), at)
                _run(builder, m, m.up, m.file)
                yield Tried(m, up, down, left, remaining(read(database), there))
            at = there


def _run(builder: Builder, m: Migration, units: Sequence[Unit], file: str) -> float:
    """Run units; return the seconds they took."""
    from pgcharter.sqltext import parse

    began = time.perf_counter()
    for unit in units:
        for sql in unit.statements:
            for statement in parse(sql, file, max(unit.line - 1, 0)).statements:
                refusal = builder.run(statement)
                if refusal is not None:
                    message = f"{m.title} cannot be run on a scratch server: {refusal.message}"
                    raise PgcharterError(message, hint=refusal.hint or refusal.detail, place=f"{file}:{unit.line}")
    builder.end_file()
    return time.perf_counter() - began
