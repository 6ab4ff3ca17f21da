"""What only a person can answer before tenants are kept apart by rows: whose the rows are that are there, which names are meant."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

from pgcharter.catalog.model import Catalog, Table
from pgcharter.names import ObjectId, literal, quote
from pgcharter.policy.model import State
from pgcharter.policy.tenancy_settings import OWN_TENANTS, TYPES, TenancySection, in_place, relation
from pgcharter.policy.tenancy_tables import Expected


def of_charter(state: State, section: TenancySection) -> State:
    """What the charter names and what cannot be so."""
    catalog = state.catalog
    schemas = {s.name for s in catalog.schemas}
    for name in sorted(set(section.schemas) - schemas):
        state = state.asking(
            f"[tenancy] is about schema {quote(name)}, which is not there: create it in what is wanted, or take it out of schemas"
        )
    groups = (catalog.tables, catalog.views)
    there_are = {(item.id.schema, item.id.name) for group in groups for item in group} | {(f.schema, f.name) for f in catalog.functions}
    for text in dict.fromkeys(section.named):
        at = relation(text)
        if (at.schema, at.name) not in there_are and not in_place(section, at.schema):
            state = state.asking(f"[tenancy] names {text}, which is not there: correct the name, or take it out")
    for table, column in section.user_column.items():
        there = catalog.table.get(table)
        if there is not None and column not in there.column:
            state = state.asking(f"[[tenancy.user]] names column {quote(column)} of {table}, which is not there: nobody would see a row")
    tenants = catalog.table.get(section.tenants_table) if section.tenants_table else None
    if tenants is not None:
        state = _of_tenants(state, section, tenants)
    if section.backfill and (wrong := unfit(section.backfill, section.type)):
        state = state.asking(f"[tenancy] backfill = {section.backfill!r} is no {section.type}: {wrong}")
    return state


def _of_tenants(state: State, section: TenancySection, tenants: Table) -> State:
    key = tenants.primary_key
    if key is None or len(key.columns) != 1:
        return state.asking(f"{tenants.id}, the table of tenants, has no primary key of one column, so that nothing can refer to a tenant")
    column = tenants.column[key.columns[0]]
    if column.type.array or column.type.name not in TYPES[section.type][1]:
        return state.asking(
            f"column {tenants.part('column', column.name).sql()}, the key of tenants, is {column.type.sql}, and [tenancy] says "
            f"{section.type}: write the type that fits (uuid, bigint or text)"
        )
    return state


def unfit(value: str, type_: str) -> str:
    """Why a text is no tenant of a type; empty when it is one."""
    if not value or "\0" in value:
        return "it is empty or holds a NUL byte"
    if type_ == "uuid":
        try:
            uuid.UUID(value)
        except ValueError:
            return "write it as 8-4-4-4-12 hexadecimal digits"
    if type_ == "bigint" and (re.fullmatch(r"-?[0-9]{1,19}", value) is None or not -(2**63) <= int(value) < 2**63):
        return "write a whole number of at most 64 bits"
    return ""


def of_tables(state: State, section: TenancySection, wanted: dict[ObjectId, Expected]) -> State:
    """Tables that cannot be protected as they are, and rows of which nobody knows whose they are."""
    first: list[ObjectId] = []
    for table in state.catalog.tables:
        mine = wanted.get(table.id)
        if mine is None or mine.kind == "shared":
            continue
        if mine.kind == "foreign":
            state = state.asking(
                f"{table.id} is a foreign table, on which row security is not possible: write it into [tenancy] shared, or move it to a "
                "schema that [tenancy] is not about"
            )
        elif mine.kind == "tenant":
            state = _of_table(state, section, table)
            if table.partition_of is None and not section.backfill and _may_hold_rows(state, section, table):
                first.append(table.id)
    if first:
        names = ", ".join(t.sql() for t in first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")
        state = state.asking(
            f"column {quote(section.column)} comes to {names}, where rows may be already, and nobody but you knows whose they are: "
            'write [tenancy] backfill = "…" for one tenant that gets them all, or add the column and fill it in a migration of your own, '
            "or write tables without tenants into [tenancy] shared"
        )
    elif _refers_too_early(state, section, wanted):
        state = state.asking(
            f'rows that are there are to belong to tenant {section.backfill}, who is in no table yet: with [tenancy] stage = "tenants" '
            f"make {OWN_TENANTS.sql()} first, then INSERT INTO {OWN_TENANTS.sql()} (tenant_id, name) VALUES "
            f"({literal(section.backfill)}, '…'), then take stage out"
        )
    return state


def _refers_too_early(state: State, section: TenancySection, wanted: dict[ObjectId, Expected]) -> bool:
    there = state.present is not None and OWN_TENANTS in state.present.table
    if there or not section.backfill or section.tenants_table != OWN_TENANTS:
        return False
    return any(_may_hold_rows(state, section, t) for t in state.catalog.tables if t.id in wanted and wanted[t.id].kind == "tenant")


def _may_hold_rows(state: State, section: TenancySection, table: Table) -> bool:
    """Whether the column is new to a table that is there and may hold rows, as far as the server's counters tell."""
    if section.column in table.column or state.present is None:
        return False
    now = state.present.table.get(table.id)
    if now is None or section.column in now.column:
        return False
    parts = [table, *_heirs(state.catalog, table)]
    return any(_counted(state, t) for t in parts)


def _heirs(catalog: Catalog, table: Table) -> Iterable[Table]:
    for child in catalog.children.get(table.id, ()):
        yield child
        yield from _heirs(catalog, child)


def _counted(state: State, table: Table) -> bool:
    found = state.stats.relations.get(table.id) if state.stats else None
    if found is None:
        return table.kind == "table"
    return max(found.rows, found.live, found.written, found.bytes) > 0


def _of_table(state: State, section: TenancySection, table: Table) -> State:
    there = table.column.get(section.column)
    if there is None:
        if table.of_type:
            state = state.asking(f"{table.id} is of type {table.of_type}, so it gets columns from there alone: ALTER TABLE … NOT OF first")
        return state
    address = table.part("column", there.name)
    if there.generated or there.identity:
        return state.asking(f"{address} is filled by itself, so it cannot hold a tenant: name another column in [tenancy]")
    if there.type.array or there.type.kind != "base" or there.type.name not in TYPES[section.type][1]:
        return state.asking(
            f"{address} is {there.type.sql}, and [tenancy] says {section.type}: "
            f"ALTER TABLE {table.id.sql()} ALTER COLUMN {quote(there.name)} TYPE {section.type} in a migration of your own, or shared"
        )
    if not there.not_null:
        state = state.noting(
            f"{address} becomes required: UPDATE {table.id.sql()} SET {quote(there.name)} = … WHERE {quote(there.name)} IS NULL must find "
            "no row before"
        )
    return state


def of_roles(state: State, section: TenancySection) -> State:
    """Roles whom row security does not hold back."""
    for name in section.application_roles:
        role = state.cluster.role.get(name)
        if role is not None and (role.superuser or role.bypass_row_security):
            what, remedy = ("a superuser", "NOSUPERUSER") if role.superuser else ("exempt from row security", "NOBYPASSRLS")
            state = state.asking(
                f"application role {quote(name)} is {what}, so it sees the rows of all tenants: ALTER ROLE {quote(name)} {remedy}"
            )
    found = state.cluster.role.get(section.maintenance_role)
    if found is not None and found.superuser:
        state = state.asking(f"maintenance role {quote(found.name)} is a superuser: name a role of its own in [tenancy] maintenance_role")
    return state
