"""Columns as they are written, and what of them is said after they were made."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Catalog, Column, Constraint, Table, View
from pgcharter.names import MAX_BYTES, quote
from pgcharter.plan.ddl import Sides
from pgcharter.plan.ddl_parts import alter, foreign_options, foreign_options_changed, heirs, settings_changed
from pgcharter.plan.ddl_sequences import identity_sequence, identity_words

_MAIN = frozenset(("numeric", "inet", "cidr"))
"""Types whose own storage is main; that of the other variable-length types is extended (`pg_type.typstorage`)."""


def clause(table: Table, column: Column, sides: Sides, *, partition: bool = False) -> str:
    """The column as it stands in CREATE TABLE or after ADD COLUMN; empty for one of a typed table that has nothing of its own."""
    qualities = list(_qualities(table, column, sides, partition=partition))
    if table.of_type:
        return " ".join([quote(column.name), "WITH OPTIONS", *qualities]) if qualities else ""
    return " ".join([quote(column.name), column.type.sql, *qualities])


def _qualities(table: Table, column: Column, sides: Sides, *, partition: bool) -> Iterator[str]:
    if table.kind == "foreign table" and (foreign := foreign_options(_split(table, column)[1])):
        yield foreign
    if column.collation and not table.of_type:
        yield f"COLLATE {column.collation}"
    if column.generated:
        yield f"GENERATED ALWAYS AS ({column.default}) {column.generated.upper()}"
    elif column.default:
        yield f"DEFAULT {column.default}"
    if column.identity and not (partition and column.inherited):
        yield identity(table, column, sides.b)
    if column.not_null and (text := _not_null(table, column, sides)):
        yield text


def identity(table: Table, column: Column, catalog: Catalog) -> str:
    """GENERATED ... AS IDENTITY with what its sequence has of its own."""
    address = table.part("column", column.name)
    sequence = identity_sequence(catalog, address)
    words = identity_words(sequence, address, unlogged=table.unlogged) if sequence else ""
    return f"GENERATED {column.identity.upper()} AS IDENTITY{words}"


def not_null_constraint(table: Table | View | None, column: str) -> Constraint | None:
    """The named constraint behind NOT NULL (18)."""
    found = table.constraints if isinstance(table, Table) else ()
    return next((k for k in found if k.kind == "not null" and k.columns == (column,)), None)


def _not_null(table: Table, column: Column, sides: Sides) -> str:
    named = not_null_constraint(table, column.name)
    if named is None:
        return "NOT NULL"
    if not named.validated:
        return ""
    name = "" if _usual_name(table, column, named, sides) else f"CONSTRAINT {quote(named.name)} "
    return f"{name}NOT NULL{' NO INHERIT' * named.no_inherit}"


def _usual_name(table: Table, column: Column, named: Constraint, sides: Sides) -> bool:
    """Whether PostgreSQL would find the same name: it takes another one where any table of the schema has a constraint called so."""
    usual = f"{table.name}_{column.name}_not_null"
    alone = sides.b.constraint_names.get((table.schema, usual), 0) <= 1 and not sides.a.constraint_names.get((table.schema, usual))
    return named.name == usual and len(usual.encode()) <= MAX_BYTES and alone


def _split(table: Table | View, column: Column) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Planner options and foreign options."""
    foreign = isinstance(table, Table) and table.kind == "foreign table"
    own = tuple(o for o in column.options if not foreign or o.startswith(("n_distinct=", "n_distinct_inherited=")))
    return own, tuple(o for o in column.options if o not in own)


def attributes(whole: Table | View, old: Column, new: Column, catalog: Catalog, *, fresh: bool = False) -> list[str]:
    """Storage, compression, statistics and planner options from `old` to `new`; `fresh` when the column has just been made."""
    head = f"{alter(whole, only=heirs(catalog, whole))} ALTER COLUMN {quote(new.name)}"
    found: list[str] = []
    if old.storage != new.storage:
        found.append(f"SET STORAGE {(new.storage or _own_storage(new)).upper()}")
    if old.compression != new.compression:
        found.append(f"SET COMPRESSION {new.compression or 'DEFAULT'}")
    if old.statistics != new.statistics:
        found.append(f"SET STATISTICS {-1 if new.statistics is None else new.statistics}")
    (before, foreign), (after, wanted) = _split(whole, old), _split(whole, new)
    found += settings_changed(before, after)
    found += [] if fresh else foreign_options_changed(foreign, wanted)
    return [f"{head} {words}" for words in found]


def _own_storage(column: Column) -> str:
    """The storage a type has by itself; SET STORAGE DEFAULT is only known from 16."""
    return "main" if column.type.basic in _MAIN and not column.type.array else "extended"


def parents_column(table: Table, name: str, catalog: Catalog) -> Column | None:
    """The column of the same name in a parent."""
    parents = (catalog.table[p] for p in table.parents if p in catalog.table)
    return next((p.column[name] for p in parents if name in p.column), None)


def typed(column: Column) -> str:
    """Type and collation."""
    return f"{column.type.sql}{f' COLLATE {column.collation}' if column.collation else ''}"


def differing(table: Table, parent: Column, column: Column, given: Column, catalog: Catalog) -> Iterator[str]:
    """What a column that was handed down has otherwise than its parent's; `given` is what it began with."""
    yield from attributes(table, given, column, catalog, fresh=table.kind != "foreign table")
    head = f"{alter(table, only=heirs(catalog, table))} ALTER COLUMN {quote(column.name)}"
    if parent.default != column.default and not column.generated:
        yield f"{head} SET DEFAULT {column.default}" if column.default else f"{head} DROP DEFAULT"
    if column.not_null and not parent.not_null and not not_null_constraint(table, column.name):
        yield f"{head} SET NOT NULL"
    if parent.not_null and not column.not_null:
        yield f"{head} DROP NOT NULL"
