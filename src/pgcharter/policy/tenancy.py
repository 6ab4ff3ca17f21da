"""Tenants kept apart; in rows by a column that says whose each is, and row policies that hold everybody to the transaction's tenant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pgcharter.catalog.model import Catalog, Cluster, Role
from pgcharter.names import ObjectId
from pgcharter.policy import tenancy_notes, tenancy_questions, tenancy_schemas
from pgcharter.policy.model import Policy, State
from pgcharter.policy.rights import granted
from pgcharter.policy.tenancy_known import with_question, with_tenants
from pgcharter.policy.tenancy_rows import Names, with_column, with_indexes, with_keys, with_policies, with_required
from pgcharter.policy.tenancy_settings import OWN_TENANTS, SECTION, TenancySection
from pgcharter.policy.tenancy_tables import Expected, concerned, expected, roots


def policy(section: TenancySection) -> Policy:
    """The policy of a `[tenancy]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section), tenancy_schemas.kept(section))


def _apply(state: State, section: TenancySection) -> State:
    if section.tenants_table == OWN_TENANTS:
        state = replace(state, catalog=with_tenants(state.catalog, section))
    if section.stage == "tenants" or section.placement == "databases":
        return state
    if section.placement == "schemas":
        return tenancy_schemas.applied(state, section)
    state = tenancy_questions.of_charter(state, section)
    wanted = dict(expected(section, state.catalog))
    state = tenancy_questions.of_tables(state, section, wanted)
    state = tenancy_questions.of_roles(state, section)
    if state.questions:
        return state
    catalog = _protected(with_question(state.catalog, section), section, wanted)
    catalog = tenancy_notes.with_invokers(catalog, section, wanted)
    cluster = _with_maintenance(state.cluster, section)
    if section.maintenance_role:
        catalog = _granted(catalog, section, wanted)
    state = replace(state, catalog=catalog, cluster=cluster)
    for note in tenancy_notes.notes(state, section, wanted):
        state = state.noting(note)
    return state


def _protected(catalog: Catalog, section: TenancySection, wanted: dict[ObjectId, Expected]) -> Catalog:
    """Every table of tenants with all that keeps them apart."""
    tenants = catalog.table.get(section.tenants_table) if section.tenants_table else None
    mine = {t.id: t for t in catalog.tables if t.id in wanted and wanted[t.id].protected and t.id != OWN_TENANTS}
    columns = [with_column(t, wanted[i], section) for i, t in mine.items() if wanted[i].kind == "tenant"]
    ordered = sorted(columns, key=lambda t: (len(roots(catalog, t)), t.schema, t.name))
    if catalog.major >= 18:
        ordered = [*with_required(ordered, wanted).values()]
    owned = with_indexes(with_keys(ordered, wanted, tenants).values(), wanted, Names.of(catalog))
    made = {i: with_policies(owned.get(i, t), wanted[i]) for i, t in mine.items()}
    return replace(catalog, tables=tuple(made.get(t.id, t) for t in catalog.tables))


def _with_maintenance(cluster: Cluster, section: TenancySection) -> Cluster:
    name = section.maintenance_role
    if not name:
        return cluster
    role = replace(cluster.role.get(name, Role(name)), bypass_row_security=True)
    return replace(cluster, roles=tuple(sorted((*(r for r in cluster.roles if r.name != name), role), key=lambda r: r.name)))


def _granted(catalog: Catalog, section: TenancySection, wanted: dict[ObjectId, Expected]) -> Catalog:
    """With what the maintenance role needs beside its exemption: rows of the tables, and their schemas and sequences."""
    schemas = {i.schema for i in wanted if i != OWN_TENANTS}
    role, major = section.maintenance_role, catalog.major

    def given(kind: str, privileges: tuple[str, ...], mine: Callable[[Any], bool]) -> tuple[Any, ...]:
        return tuple(granted(i, kind, role, privileges, major) if mine(i) else i for i in getattr(catalog, f"{kind}s"))

    return replace(
        catalog,
        tables=given("table", ("SELECT", "INSERT", "UPDATE", "DELETE"), lambda t: t.id in wanted and concerned(section, t)),
        schemas=given("schema", ("USAGE",), lambda s: s.name in schemas),
        sequences=given("sequence", ("USAGE", "SELECT"), lambda s: s.schema in schemas and not s.extension),
    )
