"""Our own table of tenants: which there are, whatever their placement, and in what state each is."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Literal, get_args

from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Function, Index, IndexKey, Table
from pgcharter.names import TENANT, literal
from pgcharter.policy.tenancy_rows import ACTIVE, with_policies
from pgcharter.policy.tenancy_settings import OWN_TENANTS, TYPES, TenancySection
from pgcharter.policy.tenancy_tables import context, tenants_of

TenantState = Literal["adding", "active", "suspended", "leaving"]
"""adding: its place is being made · active · suspended: nobody gets at its data · leaving: nor then, until it is deleted."""
STATES: tuple[TenantState, ...] = get_args(TenantState)
_TIME = "timestamp with time zone"
_COLUMNS = {
    "tenant_id": ("", "", ""),
    "name": ("text", "", "Its schema, database and role are named by it"),
    "settings": ("jsonb", "'{}'::jsonb", ""),
    "created_at": (_TIME, "now()", ""),
    "state": ("text", "'active'::text", "adding, active, suspended or leaving; nobody but an active tenant gets at its data"),
    "state_since": (_TIME, "now()", ""),
    "place": ("text", "''::text", "Schema or database that holds its data; empty: rows of tables that all share"),
    "leaves_at": (_TIME, "", "When the data of a tenant that is leaving may be deleted"),
}
"""Type, default and comment; the type of the key is the charter's. A tenant that leaves no time has none."""
_CHECKS = {
    "name": f"name ~ '^{TENANT}$'",
    "settings": "jsonb_typeof(settings) = 'object'",
    "state": f"state IN ({', '.join(map(literal, STATES))})",
}
_KEYS = {"tenants_pkey": ("primary key", "tenant_id"), "tenants_name_key": ("unique", "name")}


def with_tenants(catalog: Catalog, section: TenancySection) -> Catalog:
    """With our own table of tenants. Its owner sees all rows; the application gets no privilege on it, and would see its tenant's alone."""
    if OWN_TENANTS in catalog.table:
        return catalog
    table = _table(section)
    guarded = replace(with_policies(table, tenants_of(section, table)), force_row_security=False)
    return replace(catalog, tables=tuple(sorted((*catalog.tables, guarded), key=lambda t: (t.schema, t.name))))


def _table(section: TenancySection) -> Table:
    at = OWN_TENANTS
    indexes = tuple(
        Index(at.schema, n, at.name, keys=(IndexKey(c),), unique=True, primary=k == "primary key", constraint=n,
              definition=f"CREATE UNIQUE INDEX {n} ON {at.sql()} USING btree ({c})")
        for n, (k, c) in sorted(_KEYS.items())
    )  # fmt: skip
    constraints = [Constraint(n, k, (c,), f"{k.upper()} ({c})", index=n) for n, (k, c) in _KEYS.items()]
    constraints += [Constraint(f"tenants_{c}_check", "check", (c,), f"CHECK ({e})", expression=e) for c, e in _CHECKS.items()]
    return Table(
        at.schema, at.name, columns=tuple(_column(i, n, section) for i, n in enumerate(_COLUMNS, 1)),
        constraints=tuple(sorted(constraints, key=lambda c: c.name)), indexes=indexes,
        comment="Tenants whose data is kept apart; in rows the key is what a transaction's context names, else the name",
    )  # fmt: skip


def _column(position: int, name: str, section: TenancySection) -> Column:
    type_, default, comment = _COLUMNS[name]
    if not type_:
        return Column(name, position, DataType(section.type, name=TYPES[section.type][0]), not_null=True)
    sql = DataType(type_, name="timestamptz" if type_ == _TIME else type_)
    return Column(name, position, sql, not_null=name != "leaves_at", default=default, comment=comment)


def with_question(catalog: Catalog, section: TenancySection) -> Catalog:
    """With the function that tells whether the transaction's tenant is active; it tells nothing of others."""
    if not section.asks_state or ACTIVE in catalog.function:
        return catalog
    text = resources.files("pgcharter.policy").joinpath("tenancy_active.sql").read_text(encoding="utf-8")
    made = Function(
        ACTIVE.schema, ACTIVE.name.partition("(")[0], "", returns="boolean", language="plpgsql", volatility="stable", security_definer=True,
        definition=text.replace("{tenant}", context("tenant", section.type)), comment="Whether the tenant of the transaction is active",
    )  # fmt: skip
    return replace(catalog, functions=tuple(sorted((*catalog.functions, made), key=lambda f: (f.schema, f.name, f.identity))))
