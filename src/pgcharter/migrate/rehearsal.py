"""A dry run: exactly what would be executed, in order, with its settings. Written by the same functions that the run itself uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgcharter.migrate import alone, invalid
from pgcharter.migrate.framing import CLOSING, opening, patience
from pgcharter.migrate.watch import Planned

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.model import Migration, Unit
    from pgcharter.migrate.terms import Terms


def planned(conn: Connection, migration: Migration, units: tuple[Unit, ...], first: int, direction: str, terms: Terms) -> Iterator[Planned]:
    """The units of a migration from number `first` on, as they would be executed. The server is only looked at."""
    before = tuple(alone.settings(tuple(sql for unit in units[:first] for sql in unit.statements)))
    for number in range(first, len(units)):
        yield Planned(migration, number, units[number], before + _statements(conn, migration, units[number], number, direction, terms))
        before = ()


def _statements(conn: Connection, migration: Migration, unit: Unit, number: int, direction: str, terms: Terms) -> tuple[str, ...]:
    major = conn.info.server_version // 10000
    record = f"-- the ledger: {migration.title} {direction}, unit {number + 1} is done"
    if unit.gate:
        opened = "open" if terms.passed(migration, number, unit.gate) else "closed: the run stops here"
        return (f"-- gate ({opened}): {unit.gate}", record)
    if unit.backfill:
        batch = f"-- in batches of about {terms.pace.batch:g} s along {', '.join(unit.backfill.key) or 'its key'}, each with a checkpoint"
        return (batch, *_opened(terms), unit.backfill.sql(), *CLOSING.split("; "), record, "COMMIT")
    if unit.program:
        through = f"-- through Alembic: the {'upgrade' if direction == 'up' else 'downgrade'} of {migration.title}"
        why = [f"-- what else it does is known only when it runs: {unit.program.unknown}"] if unit.program.unknown else []
        return (through, *_opened(terms), *unit.statements, *why, f"-- alembic_version: {migration.version} {direction}", record, "COMMIT")
    if unit.transactional or not alone.refuses_transaction(alone.one(unit.statements[0])):
        return (*_opened(terms), *unit.statements, *CLOSING.split("; "), record, "COMMIT")
    return (*patience(terms, major).split("; "), *_broken(conn, unit.statements[0]), *unit.statements, record)


def _broken(conn: Connection, sql: str) -> list[str]:
    """What takes away the invalid indexes that an earlier try has left."""
    statement = alone.one(sql)
    if statement is None or statement.kind != "index_stmt":
        return list(alone.cleaning(conn, statement))
    found = invalid.indexes(conn, statement)
    return [index.drop for index in found if index.id.name == statement.node.idxname and not index.valid and index.kind == "i"]


def _opened(terms: Terms) -> list[str]:
    return opening(terms).split("; ")
