"""Made-up rows of two tenants with two users each: row 1 and 2 belong to the first, 3 and 4 to the second, in every table alike.

A foreign key of row n leads to row n of the table it refers to. So whatever hangs together belongs to the same tenant, and what is
left out with rows 3 and 4 is all of the second tenant. Rows 5 to 8 are for attacks that insert: again two of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.model import Catalog, Table
from pgcharter.db import Connection
from pgcharter.migrate.bounds import apart_from_itself, into_partition
from pgcharter.migrate.fitting import Fitter, Rule, numbered, rules
from pgcharter.migrate.generating import Generator, Unfillable, Want
from pgcharter.migrate.shape import TableShape
from pgcharter.migrate.values import Make, Values, values
from pgcharter.names import ObjectId, quote
from pgcharter.policy.guards import Guards
from pgcharter.policy.tenancy_settings import OWN_TENANTS

if TYPE_CHECKING:
    from collections.abc import Iterable

MADE = 8
"""Rows of which the values are known; the first four are put into tables."""
OWN, OTHER = (1, 2), (3, 4)
"""Rows of the tenant whose context is set, and of another."""


@dataclass
class Rows:
    """The rows of every table as texts, by number."""

    columns: dict[ObjectId, tuple[str, ...]] = field(default_factory=dict)
    texts: dict[ObjectId, dict[int, dict[str, str | None]]] = field(default_factory=dict)
    unfilled: dict[ObjectId, str] = field(default_factory=dict)
    """Tables without rows, and the reason."""
    inserts: dict[ObjectId, str] = field(default_factory=dict)
    """`INSERT` with two marks for the first and the last number."""

    def value(self, table: ObjectId, number: int, column: str) -> str | None:
        """The text of a value; None for NULL and for what is not known."""
        return self.texts.get(table, {}).get(number, {}).get(column)


class Aligned(Generator):
    """Expressions by which rows of one number belong together."""

    def __init__(self, catalog: Catalog, guards: Guards, wants: Mapping[ObjectId, Want]) -> None:
        super().__init__(catalog, wants, {})
        self.guards = guards
        self.spread: set[ObjectId] = set()
        """Tables whose columns must not all be alike: later ones have later values (`ends_at > starts_at`)."""

    def columns(self, want: Want) -> dict[str, Make]:
        """For each column its value by the row's number; our own tenants are all active, as by default. Raises Unfillable."""
        made: dict[str, Make] = {}
        for column in want.table.columns:
            if column.generated or (want.table.id == OWN_TENANTS and column.default):
                continue
            make = self._aligned(want, column.name)
            if make is None and column.not_null and not column.default:
                raise Unfillable(f"no values are known for column {column.name} of type {column.type.sql}")
            if make is not None:
                made[column.name] = make
        return made

    def _aligned(self, want: Want, column: str) -> Make | None:
        root = self.guards.root(want.table.id, column)
        there = self.wants.get(root[0])
        found = self._of(there, root[1]) if there and root[1] in there.table.column else None
        if column in want.chosen and want.chosen[column] is not None:
            found = want.chosen[column]
        if found is None:
            return None
        kind, led = self.guards.kind(want.table.id, column), root != (want.table.id, column)
        number = "(({i} - 1) / 2 % 2 * 2)" if kind == "tenant" else "(({i} - 1) % 4)" if kind or led else "({i} - 1)"
        if want.table.id in self.spread and number == "({i} - 1)" and not any(column in key for key in want.table.unique_keys):
            number = f"({{i}} - 1 + {want.table.column[column].position})"
        return lambda i: found.make(f"({number.format(i=i)} % {found.capacity})")

    def _of(self, want: Want, column: str) -> Values | None:
        return want.chosen.get(column) or values(want.table.column[column].type, self.catalog, 0, 9 * MADE)


def prepare(conn: Connection, catalog: Catalog, guards: Guards) -> Rows:
    """Find values for every table of the catalog that holds rows itself; nothing is written."""
    holding = [t for t in catalog.tables if not t.extension and t.kind != "foreign table"]
    wants = {t.id: Want(t, MADE, TableShape()) for t in holding}
    generator, rows = Aligned(catalog, guards, wants), Rows()
    for want in wants.values():
        want.foreign_keys = want.table.foreign_keys
        if want.table.kind == "partitioned table" and not _by_guard(want.table, guards):
            want.chosen.update(_within(want.table, catalog))
            _list(want, generator, conn, rows, filled=False)
            continue
        inner = want.table.partition_of is not None and _cut_by_guard(want.table, catalog, guards)
        if not inner:
            into_partition(want, catalog)
            apart_from_itself(want)
        _list(want, generator, conn, rows, filled=not inner)
    return rows


def _within(table: Table, catalog: Catalog) -> dict[str, Values]:
    """Values by which rows find their way into the first partition."""
    first = next(iter(catalog.partitions.get(table.id, ())), None)
    if first is None:
        return {}
    want = Want(first, MADE, TableShape())
    into_partition(want, catalog)
    return {**_within(first, catalog), **want.chosen}


def _by_guard(table: Table, guards: Guards) -> bool:
    return any(c and guards.kind(table.id, c) for c in table.partition_columns)


def _cut_by_guard(table: Table | None, catalog: Catalog, guards: Guards) -> bool:
    """Whether rows find their way into a partition by whose they are: they are written to the table above."""
    while table is not None and table.partition_of:
        table = catalog.table.get(table.partition_of)
        if table is not None and _by_guard(table, guards):
            return True
    return False


def _list(want: Want, generator: Aligned, conn: Connection, rows: Rows, *, filled: bool) -> None:
    """Note the statement that fills a table, and the values of its rows."""
    table = want.table
    try:
        bounds = conn.execute("SELECT pg_get_partition_constraintdef(%s::regclass)", [table.id.sql()]).fetchone() if filled else None
        conditions = rules(table, None, generator.catalog, (bounds[0] if bounds else "") or "")
        fitter = _fitted(conn, generator, want, conditions)
        made = generator.columns(want)
        if not made:
            raise Unfillable("it has no column to fill")
        source = fitter.rows(made)
        names = ", ".join(map(quote, made))
        texts = ", ".join(f"{quote(n)}::text" for n in made)
        found = conn.execute(numbered(f"SELECT {texts} FROM ({source}) t", 1, MADE).encode()).fetchall()
    except (Unfillable, psycopg.Error) as error:
        rows.unfilled[table.id] = (error.diag.message_primary or str(error)) if isinstance(error, psycopg.Error) else str(error)
        return
    rows.columns[table.id] = tuple(made)
    rows.texts[table.id] = {n: dict(zip(made, row, strict=True)) for n, row in enumerate(found, 1)}
    if filled:
        rows.inserts[table.id] = (
            f"INSERT INTO {table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM ({source}) t{_either(table)}"
        )


def _either(table: Table) -> str:
    """Rows that are there twice are left out; not where a key waits for the end of the transaction, which ON CONFLICT refuses."""
    return "" if any(k.deferrable for k in table.constraints) else " ON CONFLICT DO NOTHING"


def _fitted(conn: Connection, generator: Aligned, want: Want, conditions: list[Rule]) -> Fitter:
    """A fitter whose rows are allowed, if need be with columns that differ. Raises Unfillable."""
    chosen, fitter = dict(want.chosen), Fitter(conn, generator, want, conditions)
    try:
        fitter.fit()
    except Unfillable:
        want.chosen.clear()
        want.chosen.update(chosen)
        generator.spread.add(want.table.id)
        fitter.fit()
    return fitter


def write(conn: Connection, rows: Rows, tables: Iterable[ObjectId], numbers: tuple[int, int]) -> None:
    """Put the rows from the first to the last number into tables; what is refused is noted."""
    for table in tables:
        if table in rows.inserts:
            try:
                conn.execute(numbered(rows.inserts[table], *numbers).encode())
            except psycopg.Error as error:
                rows.unfilled[table] = error.diag.message_primary or str(error)
