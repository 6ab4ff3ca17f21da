"""The tables while two releases run: what only the old one uses is still there, and columns of two types are there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from pgcharter.catalog.model import Catalog, Column, Constraint, Table
from pgcharter.names import ObjectId
from pgcharter.plan.casts import holds
from pgcharter.plan.safe_text import mentions


def meanwhile(old: Catalog, new: Catalog) -> Catalog:
    """`new` with what only the old release uses still there: its tables, columns, and what these need. `old` has the new names already.

    Columns that the new release does not write are not required any more, unless they fill themselves.
    """
    tables: dict[ObjectId, Table] = {t.id: _with_columns(old.table[t.id], t) if t.id in old.table else t for t in new.tables}
    taken = new.relation.keys()
    tables |= {t.id: t for t in old.own_tables if (t.schema, t.name) not in taken and t.partition_of not in new.table}
    if tables == new.table:
        return new
    known = set(new.dependencies)
    left = tuple(d for d in old.dependencies if d.dependent.kind == "column" and d not in known)
    owned = {t.part("column", c.name) for t in tables.values() for c in t.columns}
    sequences = tuple(s for s in old.sequences if s.owned_by is None or (s.owned_by in owned and not _there(s.owned_by, new)))
    return replace(
        new,
        schemas=_more(old.schemas, new.schemas),
        tables=tuple(sorted(tables.values(), key=lambda t: (t.schema, t.name))),
        types=_more(old.types, new.types),
        sequences=_more(sequences, new.sequences),
        functions=_more(old.functions, new.functions),
        dependencies=(*new.dependencies, *left),
    )


def _there(column: ObjectId, catalog: Catalog) -> bool:
    table = catalog.table.get(column.owner)
    return table is not None and column.part in table.column


class _Addressed(Protocol):
    @property
    def id(self) -> ObjectId: ...


T = TypeVar("T", bound=_Addressed)


def _more(old: tuple[T, ...], new: tuple[T, ...]) -> tuple[T, ...]:
    """All of `new`, and what `old` has besides."""
    there = {item.id for item in new}
    return (*new, *(item for item in old if item.id not in there))


def retypable(old: Catalog, new: Catalog) -> dict[ObjectId, Column]:
    """Columns that could stay in their old type beside the new one, each as the old release knows it. `old` has the new names already."""
    found = {}
    for table in new.own_tables:
        before = old.table.get(table.id)
        for column in table.columns if before else ():
            was = before.column.get(column.name) if before else None
            if was and was.type != column.type and was.identity == column.identity and holds(was.type, column.type):
                found[table.part("column", column.name)] = was
    return found


def with_old_types(catalog: Catalog, columns: Mapping[ObjectId, Column]) -> Catalog:
    """The catalog with these columns as they were."""
    return _columns(catalog, lambda table, c: (_as_before(c, columns.get(table.part("column", c.name))),))


def with_both_types(catalog: Catalog, wanted: Catalog, fresh: Mapping[ObjectId, str]) -> Catalog:
    """The catalog with a second column, named as `fresh` says, in the type that it has in `wanted`."""

    def both(table: Table, column: Column) -> tuple[Column, ...]:
        name = fresh.get(table.part("column", column.name))
        return (column, replace(wanted.table[table.id].column[column.name], name=name)) if name else (column,)

    return _columns(catalog, both)


def _columns(catalog: Catalog, made: Callable[[Table, Column], tuple[Column, ...]]) -> Catalog:
    tables = (replace(t, columns=tuple(new for c in t.columns for new in made(t, c))) for t in catalog.tables)
    return replace(catalog, tables=tuple(tables))


def _as_before(column: Column, was: Column | None) -> Column:
    return replace(was, position=column.position, not_null=column.not_null) if was else column


def _with_columns(old: Table, new: Table) -> Table:
    """The new form of a table with the columns that go, and the constraints and indexes that go with them."""
    kept = {c.name: _freed(c) for c in old.columns if c.name not in new.column}
    if not kept:
        return new
    first = [kept.get(c.name) or new.column[c.name] for c in old.columns]
    later = [c for c in new.columns if c.name not in old.column]
    constraints = [c for c in old.constraints if _stays(c, kept) and c.name not in {n.name for n in new.constraints}]
    indexes = [i for i in old.indexes if not i.primary and _speaks(i.definition, kept) and i.name not in {n.name for n in new.indexes}]
    return replace(
        new,
        columns=tuple(replace(c, position=place) for place, c in enumerate((*first, *later), 1)),
        constraints=(*new.constraints, *constraints),
        indexes=(*new.indexes, *indexes),
    )


def _freed(column: Column) -> Column:
    fills_itself = column.default or column.identity or column.generated
    return column if fills_itself else replace(column, not_null=False)


def _stays(constraint: Constraint, kept: Mapping[str, Column]) -> bool:
    if constraint.kind == "not null":
        return all(c in kept and kept[c].not_null for c in constraint.columns)
    return constraint.kind != "primary key" and _speaks(constraint.definition, kept)


def _speaks(definition: str, kept: Iterable[str]) -> bool:
    return any(mentions(definition, name) for name in kept)
