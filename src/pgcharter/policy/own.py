"""How our own tables are written: columns, primary keys and indexes from few words, and our schema opened to whoever uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Index, IndexKey, Schema, Table
from pgcharter.catalog.model import Policy as RowPolicy
from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.rights import closed, granted
from pgcharter.policy.tenancy_rows import TENANT

T = TypeVar("T")
SEEING = "pgcharter_workers"
"""Row policy of the owner and of workers, who see all tenants."""
_TYPES = {"bigint": "int8", "integer": "int4", "timestamp with time zone": "timestamptz", "text[]": "text"}


def columns(of: Mapping[str, tuple[str, str, str]]) -> tuple[Column, ...]:
    """Columns from type, default and comment by name. A type that ends in `?` may be NULL."""
    return tuple(
        Column(name, i, _type(sql.removesuffix("?")), not_null=not sql.endswith("?"), default=default, comment=comment)
        for i, (name, (sql, default, comment)) in enumerate(of.items(), 1)
    )


def _type(sql: str) -> DataType:
    return DataType(sql, name=_TYPES.get(sql, sql), array=sql.endswith("[]"))


def primary(name: str, keys: tuple[str, ...]) -> Constraint:
    """A primary key, whose index has its name."""
    return Constraint(name, "primary key", keys, f"PRIMARY KEY ({', '.join(map(quote, keys))})", index=name)


def check(name: str, expression: str, *on: str) -> Constraint:
    """A check on columns."""
    return Constraint(name, "check", on, f"CHECK ({expression})", expression=expression)


def index(at: ObjectId, name: str, keys: tuple[str, ...], *, unique: bool = False) -> Index:
    """An index of a table; a unique one is its primary key's."""
    text = f"CREATE {'UNIQUE ' * unique}INDEX {quote(name)} ON {at.sql()} USING btree ({', '.join(map(quote, keys))})"
    return Index(
        at.schema, name, at.name, keys=tuple(map(IndexKey, keys)), unique=unique, primary=unique, constraint=name * unique, definition=text
    )


def joined(held: Iterable[T], *more: T) -> tuple[T, ...]:
    """Objects with some more, or in the place of those of the same address, sorted."""
    by_id: dict[ObjectId, Any] = {i.id: i for i in (*held, *more)}  # type: ignore[attr-defined]
    return tuple(sorted(by_id.values(), key=lambda i: (i.schema, i.name)))


TENANT_NOW = "COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)"
"""Tenant of the transaction; empty: it has none."""


def kept_apart(catalog: Catalog, *everybody: str) -> dict[str, Any]:
    """Fields of a table with a column `tenant`: where tenants are kept apart, the owner and some roles see all, others their own."""
    if not any(p.name == TENANT for t in catalog.tables for p in t.policies):
        return {}
    own, seeing = f"tenant = {TENANT_NOW}", tuple(sorted({catalog.database.owner, *everybody}))
    policies = (RowPolicy(TENANT, roles=("public",), using=own, check=own), RowPolicy(SEEING, roles=seeing, using="true", check="true"))
    return {"policies": policies, "row_security": True, "force_row_security": True}


def growing(catalog: Catalog, readers: Iterable[str], writers: Iterable[str], *tables: Table) -> Catalog:
    """With tables of ours that some roles read and others add to as well; nobody but the owner changes what is there."""
    roles = tuple(dict.fromkeys((*readers, *writers)))
    rights = [(role, "SELECT") for role in roles] + [(role, "INSERT") for role in dict.fromkeys(writers)]
    acl = closed("table", catalog.database.owner, rights, catalog.major)
    return opened(replace(catalog, tables=joined(catalog.tables, *(replace(t, acl=acl) for t in tables))), roles)


def opened(catalog: Catalog, roles: Iterable[str]) -> Catalog:
    """With our schema open to some roles."""

    def home(schema: Schema) -> Schema:
        for role in roles if schema.name == SCHEMA else ():
            schema = granted(replace(schema, owner=schema.owner or catalog.database.owner), "schema", role, ("USAGE",), catalog.major)
        return schema

    return replace(catalog, schemas=tuple(map(home, catalog.schemas)))
