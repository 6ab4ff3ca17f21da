"""How a row of each table is made up: which columns must be given, and SQL that gives them, found out on the database itself.

The values are those of `migrate verify --try` (`migrate.generating`): every value is an expression of the row's number, so unique columns
are unique and the same numbers give the same rows, and checks, domains and bounds are tried on the server until rows pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog, Column, Constraint, Table
from pgcharter.errors import UsageError
from pgcharter.migrate.bounds import apart_from_itself
from pgcharter.migrate.fitting import Fitter, bare, rules
from pgcharter.migrate.generating import Generator, Unfillable, Want, keys_of, partial_keys
from pgcharter.migrate.shape import TableShape
from pgcharter.migrate.values import Make
from pgcharter.names import ObjectId

if TYPE_CHECKING:
    from pgcharter.db import Connection

ROWS = 10_000
"""Rows of one table in one test for which unique values are sure to be found, where the type has as many."""
_UNSURE = ("gen_random_uuid()", "uuidv7(", "uuidv4()", "uuid_generate", "random()", "current_setting(")
"""Defaults of columns that would be others in each run, or NULL where nobody has set what they read."""
TENANT = "'pgcharter.tenant'"
"""What stands in the default of a column that tenancy fills."""


@dataclass(frozen=True)
class Recipe:
    """How a row of one table is made up."""

    table: Table
    columns: dict[str, str]
    """Columns that must be filled: SQL of the value, with {i} for the row's number, from 1."""
    parents: tuple[Constraint, ...]
    """Foreign keys that a row must have, the widest first."""
    unknown: dict[str, str] = field(default_factory=dict)
    """Columns for which no value is known: why."""
    doubt: str = ""
    """What no made-up row was found to meet."""

    @property
    def key(self) -> tuple[str, ...]:
        """Columns of the primary key."""
        found = self.table.primary_key
        return found.columns if found else ()

    @property
    def tenant(self) -> tuple[str, ...]:
        """Columns that hold the tenant of the transaction by default."""
        return tuple(c.name for c in self.table.columns if TENANT in c.default and not c.generated)


class Recipes:
    """Of all tables of a database, each found out when it is asked for."""

    def __init__(self, connected: Callable[[], Connection]) -> None:
        self._connected = connected
        """A connection that autocommits, as who made the database, on which expressions are tried."""
        self._known: dict[ObjectId, Recipe] = {}
        self._catalog: Catalog | None = None

    @property
    def catalog(self) -> Catalog:
        """What the database holds."""
        if self._catalog is None:
            from pgcharter.sources.live import read_catalog

            self._catalog = read_catalog(self._connected())
        return self._catalog

    def table(self, name: str) -> Table:
        """The table called `name`, with its schema or without. Raises UsageError where there is none, or several."""
        found = [t for t in self.catalog.tables if name in (t.name, f"{t.schema}.{t.name}", t.id.sql())]
        if len(found) == 1:
            return found[0]
        if not found:
            raise UsageError(f"there is no table {name} in the database of the tests", hint="a table that a test makes is not known here")
        raise UsageError(f"there are {len(found)} tables {name}", hint=f"say which: {', '.join(t.id.sql() for t in found)}")

    def of(self, table: Table) -> Recipe:
        """The recipe of a table."""
        if table.id not in self._known:
            self._known[table.id] = self._found(table)
        return self._known[table.id]

    def _found(self, table: Table) -> Recipe:
        parents = tuple(sorted((fk for fk in table.foreign_keys if _must(fk, table)), key=lambda fk: (-len(fk.columns), fk.name)))
        led = {c for fk in parents for c in fk.columns}
        want = Want(
            table, ROWS, TableShape(rows=ROWS), keys=tuple(dict.fromkeys((*keys_of(table), *(k for k in partial_keys(table) if k))))
        )
        apart_from_itself(want)
        generator = _Sparse(self.catalog, {c.name for c in table.columns if _needed(c)})
        conditions, doubt = rules(table, None, self.catalog, ""), ""
        if conditions:
            try:
                Fitter(self._connected(), generator, want, conditions).fit()
            except Unfillable as error:
                doubt = str(error)
        made = generator.columns(want)
        columns = {name: f"{make('{i}')}::{bare(table.column[name].type, self.catalog)}" for name, make in made.items() if name not in led}
        return Recipe(table, columns, parents, {n: why for n, why in generator.unknown.items() if n not in led}, doubt)


class _Sparse(Generator):
    """Fills what must be filled, and what a condition asked for."""

    def __init__(self, catalog: Catalog, needed: set[str]) -> None:
        super().__init__(catalog, {}, {})
        self.needed = needed
        self.unknown: dict[str, str] = {}

    def columns(self, want: Want) -> dict[str, Make]:
        """For each column that is to be filled, its value by the row's number (from 1)."""
        self._numbers.pop(want.table.id, None)
        made: dict[str, Make] = {}
        for name in (c.name for c in want.table.columns if c.name in self.needed or (c.name in want.chosen and not c.generated)):
            make = self._value(want, name, frozenset())
            if make is None:
                self.unknown[name] = f"no values of type {want.table.column[name].type.sql} are known"
            else:
                made[name] = make
        return made


def _needed(column: Column) -> bool:
    if column.generated or column.identity:
        return False
    return (column.not_null and not column.default) or any(word in column.default for word in _UNSURE)


def _must(fk: Constraint, table: Table) -> bool:
    """Whether a row must have the parent: one column that is NULL makes none necessary. A default names a parent that may not be there."""
    return all(table.column[c].not_null for c in fk.columns)
