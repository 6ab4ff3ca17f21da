"""What sees past the tenant: views, which are told to ask with their reader's rights, and what only a person can judge, as notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pgcharter.catalog.model import Catalog, Cluster, Column, Function, Index, Table, View
from pgcharter.names import ObjectId, quote
from pgcharter.policy.model import State
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.policy.tenancy_tables import Expected

Wanted = Mapping[ObjectId, Expected]
LEAKPROOF = frozenset((
    "bool", "bpchar", "bytea", "char", "date", "float4", "float8", "inet", "int2", "int4", "int8", "interval", "macaddr", "macaddr8",
    "money", "name", "oid", "pg_lsn", "text", "tid", "time", "timestamp", "timestamptz", "timetz", "uuid", "varbit", "varchar", "xid8",
))  # fmt: skip
"""Types whose comparisons by a B-tree index are all leakproof (`pg_proc.proleakproof`, asked of 15 to 18; domains go by their base)."""


def with_invokers(catalog: Catalog, section: TenancySection, wanted: Wanted) -> Catalog:
    """Every view over rows of tenants, directly or through others, with its reader's rights: with its owner's it may show all tenants'."""
    over = {v.id for v in _over(catalog, wanted) if v.kind == "view" and not section.is_reviewed(v.id)}
    return replace(catalog, views=tuple(_invoking(v) if v.id in over and not v.security_invoker else v for v in catalog.views))


def _invoking(view: View) -> View:
    """The model tells it twice: as a field, and among the options that are written."""
    others = (o for o in view.options if not o.startswith("security_invoker="))
    return replace(view, security_invoker=True, options=tuple(sorted((*others, "security_invoker=true"))))


def _over(catalog: Catalog, wanted: Wanted) -> tuple[View, ...]:
    """The project's own views that read rows of tenants."""
    reads: dict[tuple[str, str], set[ObjectId]] = {}
    views = {v.id: v for v in catalog.views}
    for d in catalog.dependencies:
        if d.dependent in views:
            reads.setdefault((d.referenced.schema, d.referenced.name), set()).add(d.dependent)
    found: dict[ObjectId, View] = {}
    todo = [(i.schema, i.name) for i, e in wanted.items() if e.protected]
    while todo:
        for at in reads.get(todo.pop(), ()):
            if at not in found:
                found[at] = views[at]
                todo.append((at.schema, at.name))
    return tuple(sorted((v for v in found.values() if not v.extension), key=lambda v: v.id))


def notes(state: State, section: TenancySection, wanted: Wanted) -> Iterator[str]:
    """What a reader of the plan should know, one sentence each."""
    catalog = state.catalog
    tables = [t for t in catalog.tables if t.id in wanted and wanted[t.id].kind == "tenant" and t.schema != "pgcharter"]
    for view in _over(catalog, wanted):
        if view.kind == "materialized view" and not section.is_reviewed(view.id):
            yield (
                f"{view.id} holds rows of tenants, and no row security: whoever may read it sees what its refresher saw. Take the "
                "privileges of application roles on it away, or, when it shows nobody's rows, write it into [tenancy] reviewed"
            )
    yield from _definers(state, section, tables)
    for table in tables:
        if table.partition_of is None:
            yield from _keys(table, section)
            yield from _references(table, wanted)
        yield from _kept_policies(table)
    yield from _indexes(tables, section)
    yield from _privileges(tables, section)


def _definers(state: State, section: TenancySection, tables: Iterable[Table]) -> Iterator[str]:
    names = sorted({t.name for t in tables}, key=len, reverse=True)
    if not names:
        return
    mentioned = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, names)) + r")(?!\w)")
    for function in state.catalog.own_functions:
        reviewed = function.schema == "pgcharter" or section.is_reviewed(function.id)
        if function.security_definer and not reviewed and mentioned.search(function.body) and _sees_all(function, state.cluster):
            yield (
                f"{function.id} runs with the rights of {quote(function.owner) if function.owner else 'its owner'}, who is exempt from row "
                f"security, and reads rows of tenants: ALTER FUNCTION {function.id.sql()} SECURITY INVOKER, or [tenancy] reviewed"
            )


def _sees_all(function: Function, cluster: Cluster) -> bool:
    owner = cluster.role.get(function.owner)
    return owner is None or owner.superuser or owner.bypass_row_security


def _keys(table: Table, section: TenancySection) -> Iterator[str]:
    """Unique keys by whose error a tenant learns what others have. Keys that are made up by the database tell nothing."""
    for name, columns in _unique(table):
        if section.column in columns or all(_made_up(table.column.get(c)) for c in columns):
            continue
        within = ", ".join(map(quote, (section.column, *columns)))
        yield (
            f"unique key {quote(name)} of {table.id.sql()} spans tenants, and its error tells what others have: where a value need only be "
            f"unique for each, UNIQUE ({within}) in its place"
        )


def _unique(table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    for c in table.constraints:
        if c.kind in ("primary key", "unique"):
            yield c.name, c.columns
    for i in table.indexes:
        if i.unique and not i.constraint and i.columns:
            yield i.name, i.columns


def _made_up(column: Column | None) -> bool:
    if column is None:
        return False
    return bool(column.identity) or re.match(r"(?:nextval|gen_random_uuid|uuidv[47]|uuid_generate_v\w+)\(", column.default) is not None


def _references(table: Table, wanted: Wanted) -> Iterator[str]:
    """Foreign keys by which a row can refer to one of another tenant: they are checked past row security."""
    mine = wanted[table.id].column
    for key in table.foreign_keys:
        other = wanted.get(key.references) if key.references else None
        if other is None or other.kind != "tenant" or key.inherited or mine in key.columns:
            continue
        here = ", ".join(map(quote, (mine, *key.columns)))
        there = ", ".join(map(quote, (other.column, *key.referenced_columns)))
        yield (
            f"foreign key {quote(key.name)} of {table.id.sql()} lets a row refer to one of another tenant: UNIQUE ({there}) on "
            f"{other.table.sql()}, and FOREIGN KEY ({here}) REFERENCES {other.table.sql()} ({there}) in its place"
        )


def _kept_policies(table: Table) -> Iterator[str]:
    own = [p.name for p in table.policies if p.permissive and not p.name.startswith("pgcharter_")]
    if own:
        yield f"{table.id} keeps its permissive policies {', '.join(map(quote, own))}: of what they allow, each tenant gets its own"


def _indexes(tables: Iterable[Table], section: TenancySection) -> Iterator[str]:
    """Indexes that queries lose: under a row policy a condition whose operator is not leakproof is never looked up."""
    lost = [f"{i.id.sql()} ({why})" for t in tables for i in t.indexes if i.parent is None and (why := blunt(i, t, section.column))]
    if lost:
        yield (
            f"not used for conditions of application roles any more, because the operators are not leakproof: {', '.join(sorted(lost))}. "
            "Such queries read all rows of their tenant; where that is too slow, write a function with its owner's rights and the tenant "
            "in its WHERE"
        )


def blunt(index: Index, table: Table, tenant: str) -> str:
    """Why the index finds no rows for those whom row policies bind; empty when it does, or begins with the tenant."""
    if index.method not in ("btree", "hash"):
        return index.method
    first = index.keys[0] if index.keys else None
    if first is None or first.column == tenant:
        return ""
    if not first.column:
        return f"expression {first.expression}"
    column = table.column.get(first.column)
    if column is None:
        return ""
    if first.operator_class:
        return first.operator_class
    type_ = column.type
    return "" if not type_.array and type_.basic in LEAKPROOF else type_.sql


def _privileges(tables: Iterable[Table], section: TenancySection) -> Iterator[str]:
    """Application roles that can do past row security what it cannot hold."""
    truncating: dict[str, list[str]] = {}
    for table in tables:
        for role in section.application_roles:
            if table.owner == role:
                truncating.setdefault(f"{quote(role)} owns it and can turn row security off", []).append(table.id.sql())
        for grant in table.acl or ():
            named = grant.grantee in section.application_roles or (grant.grantee == "" and not table.extension)
            if grant.privilege == "TRUNCATE" and named and grant.grantee != table.owner:
                who = quote(grant.grantee) if grant.grantee else "PUBLIC"
                truncating.setdefault(f"TRUNCATE, which row security does not hold: REVOKE it from {who}", []).append(table.id.sql())
    for what, names in sorted(truncating.items()):
        yield f"{', '.join(names)}: {what}"
