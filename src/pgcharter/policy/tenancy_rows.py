"""Tables whose rows belong to tenants: the column, what fills it and ties it, an index that begins with it, and the row policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Index, IndexKey, Policy, Table
from pgcharter.names import MAX_BYTES, ObjectId, cut, literal, quote
from pgcharter.policy.tenancy_settings import OWN_TENANTS, TYPES, TenancySection
from pgcharter.policy.tenancy_tables import Expected, context

TENANT, ROWS, USER = "pgcharter_tenant", "pgcharter_rows", "pgcharter_user"
"""Names of the row policies: the restrictive one on the tenant, the permissive one, the restrictive one on the user."""
ACTIVE = ObjectId("function", OWN_TENANTS.schema, "tenant_is_active()")
"""The function by which row policies ask. It has its owner's rights: who asks needs none on the table of tenants."""


@dataclass
class Names:
    """Names that relations of each schema have, so that new ones are free."""

    taken: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, catalog: Catalog) -> Names:
        """The names of everything that shares a schema's space of relations."""
        groups = (catalog.tables, catalog.views, catalog.sequences, catalog.index.values(), catalog.types)
        return cls({(item.id.schema, item.id.name) for group in groups for item in group})

    def free(self, schema: str, base: str, end: str) -> str:
        """`base_end`, cut to what PostgreSQL keeps, with a number where that is taken; it is taken from now on."""
        found = fitted(base, end)
        number = 1
        while (schema, found) in self.taken:
            found = fitted(base, f"{end}{number}")
            number += 1
        self.taken.add((schema, found))
        return found


def fitted(base: str, end: str) -> str:
    """`base_end` with as much of the base as fits."""
    room = max(MAX_BYTES // 2, MAX_BYTES - len(end.encode()) - 1)
    return cut(f"{base.encode()[:room].decode(errors='ignore')}_{end}")


def with_column(table: Table, wanted: Expected, section: TenancySection) -> Table:
    """The table with its tenant column: required, and filled from the context where nothing is said."""
    there = table.column.get(wanted.column)
    value = context("tenant", wanted.type)
    if there is not None:
        column = replace(there, not_null=True, default=value)
        return replace(table, columns=tuple(column if c.name == wanted.column else c for c in table.columns))
    if section.backfill:
        value = f"COALESCE({value}, {literal(section.backfill)}::{wanted.type})"
    position = max((c.position for c in table.columns), default=0) + 1
    type_ = DataType(wanted.type, name=TYPES[section.type][0])
    column = Column(wanted.column, position, type_, not_null=True, default=value, inherited=bool(table.parents))
    return replace(table, columns=(*table.columns, column))


def with_policies(table: Table, wanted: Expected) -> Table:
    """The table with row security forced on everybody, and the policies.

    The restrictive policy holds whatever else is allowed. The permissive one says the same again, which costs nothing (the planner drops
    the second of two equal conditions; measured on 15 and 18) and keeps tenants apart by itself; it is left out where the table has
    permissive policies of its own, which it would widen. That the tenant is active is asked by a subselect without any column, which
    PostgreSQL runs once a statement, before it reads a row (an InitPlan, as a one-time filter).
    """
    own = f"{quote(wanted.column)} = {context('tenant', wanted.type)}"
    held = f"{own} AND (SELECT {ACTIVE.sql()})" if wanted.active else own
    everybody = ("public",)
    made = [Policy(TENANT, permissive=False, roles=everybody, using=held, check=held)]
    if not any(p.permissive for p in table.policies):
        made.append(Policy(ROWS, roles=tuple(sorted(wanted.roles)) or everybody, using=own, check=own))
    if wanted.user_column:
        user = f"{quote(wanted.user_column)} = {context('actor', wanted.user_type)}"
        made.append(Policy(USER, permissive=False, roles=everybody, using=user, check=user))
    policies = tuple(sorted((*table.policies, *made), key=lambda p: p.name))
    return replace(table, row_security=True, force_row_security=True, policies=policies)


def with_required(tables: Iterable[Table], wanted: Mapping[ObjectId, Expected]) -> dict[ObjectId, Table]:
    """The tables with the NOT NULL of their tenant columns as a constraint, as PostgreSQL keeps it from 18 on; parents before heirs.

    Partitions and heirs have their parent's, under the same name. Without a name here it would depend on the way there.
    """
    done: dict[ObjectId, Table] = {}
    names: dict[ObjectId, str] = {}
    for table in tables:
        column = wanted[table.id].column
        there = next((c.name for c in table.constraints if c.kind == "not null" and c.columns == (column,)), "")
        above = next((names[p] for p in table.parents if p in names), "")
        name = names[table.id] = there or above or _free_constraint(table, column, "not_null")
        made = Constraint(name, "not null", (column,), f"NOT NULL {quote(column)}", inherited=bool(above))
        constraints = table.constraints if there else (*table.constraints, made)
        done[table.id] = replace(table, constraints=tuple(sorted(constraints, key=lambda c: c.name)))
    return done


def with_keys(tables: Iterable[Table], wanted: Mapping[ObjectId, Expected], tenants: Table | None) -> dict[ObjectId, Table]:
    """The tables with foreign keys from their tenant columns, where no key of their own ties the column already; parents before partitions.

    A partition has its parent's key, under the same name.
    """
    done: dict[ObjectId, Table] = {}
    names: dict[ObjectId, str] = {}
    for table in tables:
        column = wanted[table.id].column
        done[table.id] = table
        above = names.get(table.partition_of, "") if table.partition_of else ""
        tied = any(column in k.columns for k in table.foreign_keys)
        if tenants is None or tenants.primary_key is None or (tied and not above) or (table.partition_of is not None and not above):
            continue
        names[table.id] = above or _free_constraint(table, column, "fkey")
        key = _key(names[table.id], column, tenants, tenants.primary_key)
        made = replace(key, inherited=table.partition_of is not None)
        done[table.id] = replace(table, constraints=tuple(sorted((*table.constraints, made), key=lambda c: c.name)))
    return done


def _free_constraint(table: Table, column: str, end: str) -> str:
    taken, name, number = {c.name for c in table.constraints}, fitted(table.name, fitted(column, end)), 1
    while name in taken:
        name, number = fitted(table.name, fitted(column, f"{end}{number}")), number + 1
    return name


def _key(name: str, column: str, tenants: Table, key: Constraint) -> Constraint:
    definition = f"FOREIGN KEY ({quote(column)}) REFERENCES {tenants.id.sql()}({quote(key.columns[0])})"
    return Constraint(
        name, "foreign key", (column,), definition, references=tenants.id, referenced_columns=key.columns, on_delete="no action",
        on_update="no action", match="simple", index=key.index,
    )  # fmt: skip


def leads(index: Index, column: str) -> bool:
    """Whether rows of one tenant are found by it: it begins with the column and holds all rows."""
    return index.valid and not index.predicate and index.columns[:1] == (column,) and index.method == "btree"


def with_indexes(tables: Iterable[Table], wanted: Mapping[ObjectId, Expected], names: Names) -> dict[ObjectId, Table]:
    """The tables with indexes that begin with the tenant column, where none does; parents before partitions.

    A table that is cut by the tenant column into lists needs none: each partition is as good as an index.
    """
    done: dict[ObjectId, Table] = {}
    made: dict[ObjectId, Index] = {}
    for table in tables:
        column = wanted[table.id].column
        above = made.get(table.partition_of) if table.partition_of else None
        listed = table.partition_strategy == "list" and table.partition_columns[:1] == (column,)
        within = table.partition_of is not None and above is None
        done[table.id] = table
        if above is None and (within or listed or any(leads(i, column) for i in table.indexes)):
            continue
        index = made[table.id] = _index(table, column, above, names)
        done[table.id] = replace(table, indexes=tuple(sorted((*table.indexes, index), key=lambda i: i.name)))
    return done


def _index(table: Table, column: str, above: Index | None, names: Names) -> Index:
    name = names.free(table.schema, table.name, fitted(column, "idx"))
    split = table.kind == "partitioned table"
    definition = f"CREATE INDEX {quote(name)} ON {'ONLY ' * split}{table.id.sql()} USING btree ({quote(column)})"
    parent = above.id if above else None
    return Index(table.schema, name, table.name, keys=(IndexKey(column),), partitioned=split, parent=parent, definition=definition)
