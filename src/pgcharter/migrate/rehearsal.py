"""A dry run: exactly what would be executed, in order, with its settings. Written by the same functions that the run itself uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgcharter.migrate import alone
from pgcharter.migrate.framing import CLOSING, opening, patience
from pgcharter.migrate.watch import Planned

if TYPE_CHECKING:
    from pgcharter.migrate.model import Migration, Unit
    from pgcharter.migrate.terms import Terms


def planned(migration: Migration, units: tuple[Unit, ...], first: int, direction: str, terms: Terms, major: int) -> Iterator[Planned]:
    """The units of a migration from number `first` on, as they would be executed. Raises nothing; touches no server."""
    before = tuple(alone.settings(tuple(sql for unit in units[:first] for sql in unit.statements)))
    for number in range(first, len(units)):
        yield Planned(migration, number, units[number], before + _statements(migration, units[number], number, direction, terms, major))
        before = ()


def _statements(migration: Migration, unit: Unit, number: int, direction: str, terms: Terms, major: int) -> tuple[str, ...]:
    record = f"-- the ledger: {migration.title} {direction}, unit {number + 1} is done"
    if unit.gate:
        opened = "open" if terms.passed(migration, number, unit.gate) else "closed: the run stops here"
        return (f"-- gate ({opened}): {unit.gate}", record)
    if unit.backfill:
        batch = f"-- in batches of about {terms.pace.batch:g} s along {', '.join(unit.backfill.key) or 'its key'}, each with a checkpoint"
        return (batch, *_opened(terms), unit.backfill.sql(), *CLOSING.split("; "), record, "COMMIT")
    if unit.transactional or not alone.refuses_transaction(alone.one(unit.statements[0])):
        return (*_opened(terms), *unit.statements, *CLOSING.split("; "), record, "COMMIT")
    return (*patience(terms, major).split("; "), *unit.statements, record)


def _opened(terms: Terms) -> list[str]:
    return opening(terms).split("; ")
