"""Rows made up for tests, whole: with the parents they need, unique where they must be, and the same in every run of the same test.

    order = pg_make("sales.orders", status="paid")        # a Row: order.order_id, order["order_id"]
    order = pg_make(Order, status="paid")                 # an object of pg_session
    lines = pg_make.many(OrderLine, 3, order=order)       # parents by object, or by columns: order_id=…

    orders = pg_make.factory(Order, status="paid", number=sequence("A-{n:05}"))
    orders(total=5), orders.many(10)

Only what must be there is filled: columns without a default that may not be NULL, and what a check asks for.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Json, Jsonb

from pgcharter.catalog.model import Constraint, Table
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import quote
from pgcharter.runtime.context import current
from pgcharter.runtime.repeats import allowed
from pgcharter.testing import factories_models
from pgcharter.testing.recipes import Recipe, Recipes
from pgcharter.testing.rolledback import aside

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

M = TypeVar("M")
_TRIES = 100
"""How many numbers are tried where a made-up value is there already, or a check takes some only."""
_BASES = 997
"""Tests begin at one of so many numbers, by their seed."""


class Row(dict[str, Any]):
    """A row that was made; columns are keys and attributes."""

    table: str
    """Its table, as `schema.table`."""

    def __init__(self, table: Table, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.__dict__["table"] = table.id.sql()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self.table} has no column {name}") from None


def sequence(form: str = "{n}", *, start: int = 1) -> Callable[[int], str]:
    """A value that counts: `sequence("A-{n:05}")` gives A-00001, A-00002, … for the rows that one factory makes."""
    numbers = itertools.count(start)
    return lambda _: form.format(n=next(numbers))


@dataclass
class Make:
    """Makes rows up. `pg_make` is one; it is deterministic for its seed."""

    conn: psycopg.Connection[Any]
    """Where rows are made: `pg_conn`, or an own connection to the test's own database."""
    recipes: Recipes
    seed: int = 0
    session: Session | None = None
    """Where objects of models come from."""
    join: Callable[[Any], None] | None = None
    """What hands an object over to an async session."""
    shared: Mapping[str, Any] = field(default_factory=dict)
    """Values of columns, in whichever table has them."""
    _numbers: dict[str, int] = field(default_factory=dict)

    @overload
    def __call__(self, what: str, /, **values: Any) -> Row: ...
    @overload
    def __call__(self, what: type[M], /, **values: Any) -> M: ...
    def __call__(self, what: str | type[M], /, **values: Any) -> Row | M:
        """One row of a table or model, with `values` as they are given; a callable is asked for its value, with the row's number.

        Raises UsageError where a value is missing that cannot be made up or names no column, PgcharterError where the server refuses it.
        """
        return self.many(what, 1, **values)[0]

    @overload
    def many(self, what: str, count: int, /, **values: Any) -> list[Row]: ...
    @overload
    def many(self, what: type[M], count: int, /, **values: Any) -> list[M]: ...
    def many(self, what: str | type[M], count: int, /, **values: Any) -> list[Row] | list[M]:
        """Several rows, which share the parents that are made for them, unless those may have one only."""
        table = self._table(what)
        if self.session is not None:
            self.session.flush()
            values = values if isinstance(what, str) else factories_models.columns(what, values, self.session.get_bind().dialect)
        with self._aside(), allowed("rows made up for a test"):
            rows = self._rows(self.recipes.of(table), count, {**self._fitting(table), **self._columns(table, values)}, ())
            return rows if isinstance(what, str) else [self._object(what, row) for row in rows]

    def factory(self, what: str | type[M], /, **values: Any) -> Factory[M]:
        """A factory with values of its own, which a call may override."""
        return Factory(self, what, values)

    def within(self, **values: Any) -> Make:
        """The same, with values for every table that has such a column: `pg_make.within(tenant_id=tenant)`."""
        return Make(self.conn, self.recipes, self.seed, self.session, self.join, {**self.shared, **values}, self._numbers)

    def _aside(self) -> AbstractContextManager[None]:
        return aside(self.conn) if not self.conn.autocommit else nullcontext()

    def _table(self, what: str | type) -> Table:
        return self.recipes.table(what if isinstance(what, str) else factories_models.table_of(what))

    def _fitting(self, table: Table) -> dict[str, Any]:
        """Values that hold for every table: those of `within`, and the tenant of the context that is in force."""
        tenant = current().tenant
        own = dict.fromkeys(self.recipes.of(table).tenant, tenant) if tenant else {}
        return {**own, **{name: value for name, value in self.shared.items() if name in table.column}}

    def _columns(self, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by column; a row or object stands for the columns of the foreign key that leads to its table."""
        made: dict[str, Any] = {}
        for name, value in values.items():
            if name in table.column:
                made[name] = value
                continue
            found = _parent(value)
            fk = self._leading(table, name, found[0]) if found else None
            if found is None or fk is None:
                raise UsageError(f"{table.id.sql()} has no column {name}", hint=f"it has: {', '.join(table.column)}")
            made |= {here: found[1][there] for here, there in zip(fk.columns, fk.referenced_columns, strict=True)}
        return made

    def _leading(self, table: Table, name: str, parent: str) -> Constraint | None:
        """The foreign key of that name to a table: the only one, or the one whose columns begin like it."""
        found = [fk for fk in table.foreign_keys if fk.references and fk.references.sql() == self.recipes.table(parent).id.sql()]
        named = [fk for fk in found if any(c.startswith(name) for c in fk.columns)]
        return found[0] if len(found) == 1 else named[0] if len(named) == 1 else None

    def _rows(self, recipe: Recipe, count: int, given: Mapping[str, Any], above: tuple[str, ...]) -> list[Row]:
        """Make rows, and first what they refer to."""
        if count < 1:
            return []
        name = recipe.table.id.sql()
        if name in above:
            raise UsageError(
                f"the foreign keys of {' → '.join((*above[above.index(name) :], name))} must all have a value, so none can be first",
                hint="insert one by hand with its constraint deferred, and give it: pg_make(…, column=value)",
            )
        if count > 1 and self._apart(recipe, given):
            return [row for _ in range(count) for row in self._rows(recipe, 1, given, above)]
        values = dict(given)
        for fk in recipe.parents:
            self._led(recipe, fk, values, (*above, name))
        return self._inserted(recipe, count, values)

    def _apart(self, recipe: Recipe, given: Mapping[str, Any]) -> bool:
        """Whether rows cannot share parents, because a parent may have one row only; or values are asked for one by one."""
        unique = [{*key} for key in recipe.table.unique_keys]
        alone = any({*fk.columns} >= key for fk in recipe.parents for key in unique if not {*fk.columns} <= given.keys())
        return alone or any(callable(value) for value in given.values())

    def _led(self, recipe: Recipe, fk: Constraint, values: dict[str, Any], above: tuple[str, ...]) -> None:
        """Give a row the parent of one foreign key. Columns that are given, or that a wider key has given, hold for the parent too."""
        pairs = dict(zip(fk.columns, fk.referenced_columns, strict=True))
        known = {there: values[here] for here, there in pairs.items() if here in values}
        if len(known) == len(pairs) or fk.references is None:
            return
        if fk.references == recipe.table.id:
            raise UsageError(
                f"{recipe.table.id.sql()} refers to itself by {', '.join(fk.columns)}, which must have a value",
                hint=f"give it: pg_make(…, {fk.columns[0]}=…)",
            )
        parent = self.recipes.catalog.table[fk.references]
        row = self._rows(self.recipes.of(parent), 1, {**self._fitting(parent), **known}, above)[0]
        for here, there in pairs.items():
            values.setdefault(here, row[there])

    def _inserted(self, recipe: Recipe, count: int, values: Mapping[str, Any]) -> list[Row]:
        """Insert, with other numbers where a made-up value is there already, or where a check takes some of them only."""
        name = recipe.table.id.sql()
        for column, why in recipe.unknown.items():
            if column not in values:
                raise UsageError(f"no row of {name} can be made up: {why}", hint=f"give it: pg_make(…, {column}=…)")
        for attempt in range(_TRIES):
            first = self._numbers.get(name, self.seed % _BASES) + 1
            self._numbers[name] = first + count - 1
            sql, parameters = _insert(recipe, values, first, count)
            try:
                with self.conn.transaction(), self.conn.cursor(row_factory=dict_row) as cursor:
                    found = cursor.execute(sql.encode(), parameters or None).fetchall()
                if len(found) != count:
                    raise PgcharterError(f"{count - len(found)} of {count} rows of {name} were kept out by a trigger or rule")
                return [Row(recipe.table, row) for row in found]
            except (psycopg.errors.UniqueViolation, psycopg.errors.CheckViolation) as error:
                if attempt == _TRIES - 1 or recipe.doubt or not _made_up(recipe, error, values):
                    raise _refused(recipe, error) from None
                if count > 1:
                    return [row for _ in range(count) for row in self._inserted(recipe, 1, values)]
            except psycopg.Error as error:
                raise _refused(recipe, error) from None
        raise AssertionError("unreachable")

    def _object(self, what: type[M], row: Row) -> M:
        """The object of a row."""
        if self.session is None:
            raise UsageError(f"{what.__name__} is a model, and the test has no session", hint="take the fixture pg_session too")
        mapper = factories_models.mapper_of(what)
        found = self.session.get(what, tuple(row[c.name] for c in mapper.primary_key), populate_existing=True)
        if found is None:
            raise PgcharterError(f"the row of {row.table} that was made is not there any more", hint="a trigger may have moved it")
        if self.join:
            self.session.expunge(found)
            self.join(found)
        return found


@dataclass
class Factory(Generic[M]):
    """Makes rows of one table, with values of its own."""

    make: Make
    what: str | type[M]
    values: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **values: Any) -> M:
        """One row, or object of the model."""
        return self.many(1, **values)[0]

    def many(self, count: int, **values: Any) -> list[M]:
        """Several."""
        return cast("list[M]", self.make.many(cast("type[M]", self.what), count, **{**self.values, **values}))


def seed_of(name: str) -> int:
    """The seed of a test, by its node id."""
    return zlib.crc32(name.encode())


def _parent(value: object) -> tuple[str, Mapping[str, Any]] | None:
    """The table and columns of a row or of an object of a model."""
    return (value.table, value) if isinstance(value, Row) else factories_models.parent(value)


def _insert(recipe: Recipe, values: Mapping[str, Any], first: int, count: int) -> tuple[str, list[Any]]:
    """The statement that makes rows `first` to `first + count - 1`, and its parameters."""
    table, into = recipe.table, f"INSERT INTO {recipe.table.id.sql()}"
    made = {name: sql.replace("{i}", "g.i") for name, sql in recipe.columns.items() if name not in values}
    if not made and not values:  # an INSERT must name a column
        some = next(c.name for c in table.columns if not c.generated)
        return f"{into} ({quote(some)}) VALUES {', '.join(['(DEFAULT)'] * count)} RETURNING *", []
    names = ", ".join(map(quote, (*made, *values)))
    above = " OVERRIDING SYSTEM VALUE" * any(table.column[name].identity for name in values)
    head = f"{into} ({names}){above} SELECT {', '.join(made.values())}{', ' * bool(made and values)}"
    head = head.replace("%", "%%") if values else head
    source = f"FROM pg_catalog.generate_series({first}::bigint, {first + count - 1}::bigint) AS g(i)"
    parameters = []
    for name, value in values.items():
        kind = table.column[name].type
        parameters.append(_adapted(value(first) if callable(value) else value, "" if kind.array else kind.basic))
    return f"{head}{', '.join(['%s'] * len(values))} {source} RETURNING *", parameters


def _adapted(value: Any, kind: str) -> Any:
    if kind in ("json", "jsonb") and value is not None and not isinstance(value, Json | Jsonb):
        return (Jsonb if kind == "jsonb" else Json)(value)
    return value


def _made_up(recipe: Recipe, error: psycopg.Error, values: Mapping[str, Any]) -> bool:
    """Whether what is refused is made up, so that another number may help."""
    named = next((c.columns for c in recipe.table.constraints if c.name == error.diag.constraint_name), ())
    return bool(({*named} or recipe.columns.keys()) & (recipe.columns.keys() - values.keys()))


def _refused(recipe: Recipe, error: psycopg.Error) -> PgcharterError:
    said = (error.diag.message_primary or str(error)).strip()
    said += f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    said += f"; {recipe.doubt}" if recipe.doubt else ""
    return PgcharterError(
        f"no row of {recipe.table.id.sql()} could be made: {said}", hint="give the values that matter: pg_make(…, column=value)"
    )
