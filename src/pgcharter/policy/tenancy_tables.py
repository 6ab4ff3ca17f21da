"""What `[tenancy]` means for each table of a schema: a pure function, asked by the policy itself and by whoever proves that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pgcharter.catalog.model import Catalog, Table
from pgcharter.names import ObjectId, literal
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.tenancy_settings import OWN_TENANTS, TenancySection

Kind = Literal["tenant", "tenants", "shared", "foreign"]


@dataclass(frozen=True)
class Expected:
    """Who may see the rows of one table."""

    table: ObjectId
    kind: Kind
    """tenant: rows of the transaction's tenant, and of its actor where there is a column of users · tenants: the table of tenants itself,
    of which a tenant sees its own row · shared: row security says nothing about it · foreign: a foreign table, which has none."""
    column: str = ""
    """Column that holds the tenant; empty for shared and foreign tables."""
    type: str = ""
    """Its type as SQL."""
    user_column: str = ""
    """Column that holds the user (`actor`); empty: all users of a tenant see the same."""
    user_type: str = ""
    roles: tuple[str, ...] = ()
    """Roles that see such rows at all; empty: everybody with privileges."""
    active: bool = False
    """Whether it shows nothing of a tenant that is not active."""

    @property
    def protected(self) -> bool:
        """Whether row security holds here."""
        return self.kind in ("tenant", "tenants")


def expected(section: TenancySection, catalog: Catalog) -> Mapping[ObjectId, Expected]:
    """What holds for each table that the section is about, partitions and heirs included; others are not in it.

    With `catalog` a schema in which the policy is in force, or one in which it is not yet. Outside of rows: our table of tenants alone.
    """
    rows = section.placement == "rows"
    found = {t.id: _expected(section, catalog, t) for t in catalog.tables if rows and concerned(section, t)}
    own = catalog.table.get(OWN_TENANTS)
    if own is not None and section.tenants_table == OWN_TENANTS:
        found[own.id] = tenants_of(section, own)
    return found


def concerned(section: TenancySection, table: Table) -> bool:
    """Whether the section is about a table: in one of its schemas, and neither ours nor an extension's."""
    return not table.extension and table.schema != SCHEMA and (not section.schemas or table.schema in section.schemas)


def _expected(section: TenancySection, catalog: Catalog, table: Table) -> Expected:
    if table.id == section.tenants_table:
        return tenants_of(section, table)
    if any(section.is_shared(t.id) for t in (table, *roots(catalog, table))):
        return Expected(table.id, "shared")
    if table.kind == "foreign table":
        return Expected(table.id, "foreign")
    there = table.column.get(section.column)
    users = {u: c for u, c in section.user_column.items() if u in {table.id, *(r.id for r in roots(catalog, table))}}
    user = next(iter(users.values()), "")
    user_type = table.column[user].type.sql if user in table.column else ""
    return Expected(
        table.id, "tenant", section.column, there.type.sql if there else section.type, user, user_type, section.application_roles,
        section.asks_state,
    )  # fmt: skip


def tenants_of(section: TenancySection, table: Table) -> Expected:
    """What holds for the table of tenants: of ours its owner sees all rows, of a project's own nobody but who is exempt.

    In schemas and databases a transaction's context names a tenant by its name, for whatever role is taken on.
    """
    if section.placement != "rows":
        return Expected(table.id, "tenants", "name", "text")
    key = table.primary_key
    column = key.columns[0] if key else section.column
    type_ = table.column[column].type.sql if column in table.column else section.type
    return Expected(table.id, "tenants", column, type_, roles=section.application_roles)


def roots(catalog: Catalog, table: Table) -> tuple[Table, ...]:
    """The tables that it is a partition or heir of, directly or not."""
    found: dict[ObjectId, Table] = {}
    todo = list(table.parents)
    while todo:
        parent = catalog.table.get(todo.pop())
        if parent is not None and parent.id not in found:
            found[parent.id] = parent
            todo += parent.parents
    return tuple(found.values())


def context(setting: str, type_: str) -> str:
    """SQL for a value of the transaction's context; NULL when there is none.

    A setting that was local to a transaction is '' afterwards, not unset (documentation, "current_setting"; measured), so '' is none too.
    """
    value = f"NULLIF(current_setting({literal(f'pgcharter.{setting}')}, true), '')"
    return value if type_ == "text" else f"{value}::{type_}"
