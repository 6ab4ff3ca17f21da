"""What a tenant has: the tables with its rows, in the order in which they refer to each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgcharter.catalog.circles import circles
from pgcharter.errors import RefusedError
from pgcharter.names import literal, quote
from pgcharter.policy.tenancy_tables import expected, roots

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog, Constraint, Table
    from pgcharter.names import ObjectId
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.tenants.table import Tenant


@dataclass(frozen=True)
class Holding:
    """A table with rows of a tenant."""

    table: Table
    condition: str = ""
    """Which of its rows are the tenant's, as SQL; empty: all."""

    @property
    def source(self) -> str:
        """What is read after FROM: a table with its partitions, but without its heirs, which are tables of their own."""
        return self.table.id.sql() if self.table.kind == "partitioned table" else f"ONLY {self.table.id.sql()}"

    @property
    def where(self) -> str:
        """The condition as it stands in a query."""
        return f" WHERE {self.condition}" if self.condition else ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that can be loaded again: generated ones make themselves."""
        return tuple(c.name for c in self.table.columns if not c.generated)


def holdings(section: TenancySection, catalog: Catalog, tenant: Tenant) -> tuple[Holding, ...]:
    """The tables with rows of a tenant, partitions apart; `catalog` is of the database that they are in. Sorted.

    Raises RefusedError where a table should have a column that says whose a row is, and has none.
    """
    if section.placement == "rows":
        return tuple(_in_rows(section, catalog, tenant))
    mine = (t for t in catalog.tables if section.placement == "databases" or t.schema == tenant.place)
    return tuple(Holding(t) for t in mine if t.kind != "foreign table" and t.partition_of is None and not t.extension)


def _in_rows(section: TenancySection, catalog: Catalog, tenant: Tenant) -> Iterable[Holding]:
    wanted = expected(section, catalog)
    for table in catalog.tables:
        one = wanted.get(table.id)
        if one is None or one.kind != "tenant" or table.partition_of is not None:
            continue
        if one.column not in table.column:
            raise RefusedError(
                f"table {table.id.sql()} has no column {quote(one.column)}, so whose its rows are is not known",
                hint="pgcharter policy apply; or name the table in shared of [tenancy]",
            )
        yield Holding(table, f"{quote(one.column)} = {literal(tenant.id)}::{one.type}")


def leaves(catalog: Catalog, found: Iterable[Holding]) -> tuple[Holding, ...]:
    """The same with partitioned tables by their partitions, which hold the rows."""
    made = {h.table.id: h for h in found}
    parts = [Holding(t, made[top].condition) for t in catalog.tables if (top := _top(catalog, t)) in made and t.kind == "table"]
    return tuple(parts)


def _top(catalog: Catalog, table: Table) -> ObjectId:
    """The table itself, or the partitioned one that it is a part of in the end."""
    return next((r.id for r in roots(catalog, table) if table.partition_of is not None and r.partition_of is None), table.id)


def ordered(catalog: Catalog, found: Iterable[Holding]) -> tuple[tuple[Holding, ...], ...]:
    """Groups of them, each before those that it refers to; one of several refers to itself in a circle."""
    by_top: dict[ObjectId, list[Holding]] = {}
    for holding in found:
        by_top.setdefault(_top(catalog, holding.table), []).append(holding)
    refers: dict[ObjectId, set[ObjectId]] = {top: set() for top in by_top}
    for top, group in by_top.items():
        tables = [catalog.table[top], *(h.table for h in group)]
        named = (k.references for t in tables for k in t.foreign_keys if k.references is not None)
        targets = {_top(catalog, catalog.table[name]) for name in named if name in catalog.table}
        refers[top] = {t for t in targets if t in by_top and t != top}
    rings = {member: frozenset(ring) for ring in circles({k: sorted(v) for k, v in sorted(refers.items())}) for member in ring}
    groups = sorted({rings.get(top, frozenset((top,))) for top in by_top}, key=min)
    return tuple(tuple(h for top in sorted(g) for h in by_top[top]) for g in _children_first(groups, refers))


def _children_first(groups: list[frozenset[ObjectId]], refers: Mapping[ObjectId, set[ObjectId]]) -> list[frozenset[ObjectId]]:
    of = {member: group for group in groups for member in group}
    left = {g: {of[t] for m in g for t in refers[m]} - {g} for g in groups}
    waited = {g: sum(g in targets for targets in left.values()) for g in groups}
    done: list[frozenset[ObjectId]] = []
    ready = [g for g in groups if not waited[g]]
    while ready:
        group = ready.pop(0)
        done.append(group)
        for target in sorted(left[group], key=min):
            waited[target] -= 1
            if not waited[target]:
                ready.append(target)
    return done


def within(catalog: Catalog, group: Iterable[Holding]) -> tuple[Constraint, ...]:
    """Foreign keys of a group's tables that lead into the group, but for those whose deletions cascade."""
    tops = {_top(catalog, h.table) for h in group}
    tables = {h.table.id: h.table for h in group} | {top: catalog.table[top] for top in tops}
    keys = (k for t in tables.values() for k in t.foreign_keys if k.references in catalog.table and k.on_delete != "cascade")
    return tuple(k for k in keys if k.references is not None and _top(catalog, catalog.table[k.references]) in tops)
