"""Plans for a part of a database: schemas that are left out, as those of other tenants; and what nobody declares and policies govern."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, replace
from typing import Any

from pgcharter.catalog.compare import address_of
from pgcharter.catalog.model import Catalog, Publication, Schema, Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.extent import OUR_SCHEMA
from pgcharter.policy.audit import view_name
from pgcharter.policy.model import Mark
from pgcharter.rules.library_tables import is_named

_GROUPS = tuple(f.name for f in fields(Catalog) if f.name not in ("server_version", "database", "dependencies", "gaps"))


def cut(catalog: Catalog, schemas: Collection[str]) -> Catalog:
    """The catalog without some schemas: what is in them, what stands on that, and what policies keep of it in our own schema.

    Cut out of both sides of a plan, all of that stays as it is.
    """
    if not schemas:
        return catalog
    gone = gone_with(catalog, schemas)

    def stays(item: Any) -> bool:
        if isinstance(item, Publication):
            return not _publishes(item, schemas)
        held_by = getattr(item, "owned_by", None)
        return not (_within(item, schemas) or _pair(address_of(item)) in gone or (held_by and _pair(held_by) in gone))

    groups: dict[str, Any] = {name: tuple(i for i in getattr(catalog, name) if stays(i)) for name in _GROUPS}
    groups["tables"] = tuple(_loose(t, schemas) for t in groups["tables"])
    left = (d for d in catalog.dependencies if d.dependent.schema not in schemas and d.referenced.schema not in schemas)
    kept = (d for d in left if _pair(d.dependent) not in gone)
    return replace(catalog, **groups, dependencies=tuple(kept))


def gone_with(catalog: Catalog, schemas: Collection[str]) -> frozenset[Pair]:
    """What lies elsewhere and goes with some schemas: views on what is in them, directly and through others, partitions, histories."""
    lost = {(OUR_SCHEMA, view_name(t.id)) for t in catalog.tables if t.schema in schemas}
    on: dict[Pair, set[Pair]] = {}
    for d in catalog.dependencies:
        on.setdefault(_pair(d.referenced), set()).add(_pair(d.dependent))
    for t in catalog.tables:
        for parent in t.parents:
            on.setdefault(_pair(parent), set()).add(_pair(t.id))
    todo = [at for at in on if at[0] in schemas]
    while todo:
        for at in on.get(todo.pop(), ()):
            if at not in lost and at[0] not in schemas:
                lost.add(at)
                todo.append(at)
    return frozenset(lost)


Pair = tuple[str, str]
"""Schema and name; a view and a part of it are the same there."""


def _pair(at: ObjectId | None) -> Pair:
    return (at.schema, at.name) if at is not None else ("", "")


def _within(item: Any, schemas: Collection[str]) -> bool:
    return (item.name if isinstance(item, Schema) else _schema(item)) in schemas


def _schema(item: Any) -> str:
    at = address_of(item)
    return at.schema if at is not None else ""


def _publishes(item: Publication, schemas: Collection[str]) -> bool:
    return any(s in schemas for s in item.schemas) or any(t.startswith(f"{quote(s)}.") for t in item.tables for s in schemas)


def _loose(table: Table, schemas: Collection[str]) -> Table:
    """A table without its references into the schemas."""
    kept = tuple(c for c in table.constraints if not (c.references and c.references.schema in schemas))
    return table if len(kept) == len(table.constraints) else replace(table, constraints=kept)


def marks(old: Iterable[Mark], catalog: Catalog, schemas: Collection[str]) -> tuple[Mark, ...]:
    """What policies made beside some schemas and the roles named like them; `catalog` holds those schemas still."""
    held = tuple(old)
    if not schemas:
        return held
    gone, names = gone_with(catalog, schemas), {quote(s) for s in schemas}

    def beside(at: ObjectId) -> bool:
        if at.kind == "role":
            return at.name in schemas
        if at.kind == "membership":
            return at.name.partition(" in ")[0] in names or at.name.rpartition(" in ")[2] in names
        return at.schema in schemas or (at.kind == "schema" and at.name in schemas) or _pair(at) in gone

    return tuple(m for m in held if not beside(m.object))


def joined(wanted: Catalog, there: Catalog, old: Iterable[Mark], keeps: Callable[[str], bool]) -> Catalog:
    """What is wanted, with what it does not mention and policies have to do with: that stays as it is `there`, without policies.

    Those are schemas of tenants, which `keeps` tells, or a role of the same name when tenants are given up; and schemas, and tables of
    libraries, that policies have changed something of: they answer for that, and not for what they found there.
    """
    held = tuple(old)
    marked = {m.object.name for m in held if m.object.kind == "role" and not m.field and m.policy == "tenancy"}
    marked |= {m.object.name if m.object.kind == "schema" else m.object.schema for m in held} - {OUR_SCHEMA}
    more = {s.name for s in there.schemas if keeps(s.name) or s.name in marked} - {s.name for s in wanted.schemas}
    touched = {m.object.owner for m in held}
    tables = {t.id for t in there.tables if t.id in touched and is_named(t.id) and t.id not in wanted.table and t.schema not in more}
    return _with(wanted, there, more, tables=tables)


def recorded(ledger: Catalog, governed: Catalog, keeps: Callable[[str], bool]) -> Catalog:
    """What the ledger tells, with the schemas of tenants, of which it knows nothing, as policies want them (`governed`)."""
    more = {s.name for s in governed.schemas if keeps(s.name)} - {s.name for s in ledger.schemas}
    return _with(ledger, governed, more, histories=True)


def _with(
    catalog: Catalog, other: Catalog, schemas: Collection[str], *, tables: Collection[ObjectId] = (), histories: bool = False
) -> Catalog:
    """A catalog with some schemas and tables of another one, and with the histories of their tables in our own schema."""
    if not (schemas or tables):
        return catalog
    further = {(OUR_SCHEMA, view_name(t.id)) for t in other.tables if t.schema in schemas} if histories else set()

    def comes(item: Any) -> bool:
        if isinstance(item, Publication):
            return False
        held_by = getattr(item, "owned_by", None)
        mine = address_of(item) in tables or (held_by is not None and held_by.owner in tables)
        return mine or _within(item, schemas) or _pair(address_of(item)) in further

    found: dict[str, Any] = {name: (*getattr(catalog, name), *filter(comes, getattr(other, name))) for name in _GROUPS}
    groups = {name: tuple(sorted(items, key=lambda i: str(address_of(i)))) for name, items in found.items() if name != "tables"}
    every = tuple(sorted(found["tables"], key=lambda t: (t.schema, t.name)))
    theirs = (d for d in other.dependencies if d.dependent.schema in schemas or d.dependent.owner in tables)
    in_order: dict[str, Any] = {**groups, "tables": every, "dependencies": tuple(sorted({*catalog.dependencies, *theirs}))}
    return replace(catalog, **in_order)
