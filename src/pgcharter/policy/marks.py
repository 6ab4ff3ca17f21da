"""What policies made of a schema, told from the schemas before and after; and the schema without it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from pgcharter.catalog import codec
from pgcharter.catalog.compare import address_of, compare
from pgcharter.catalog.model import Catalog, Cluster, Column, Constraint, Database, Membership, Table, UserType, View
from pgcharter.names import ObjectId, quote
from pgcharter.policy.model import Mark

T = TypeVar("T")
_GROUPS = tuple(f.name for f in fields(Catalog) if f.name not in ("server_version", "database", "dependencies", "gaps"))
_PARTS = {
    "columns": "column",
    "attributes": "column",
    "constraints": "constraint",
    "triggers": "trigger",
    "policies": "policy",
    "rules": "rule",
}


def made(policy: str, before: Catalog, after: Catalog) -> tuple[Mark, ...]:
    """What a policy did. Raises ValueError when it took something away, which no policy may: what it took could not be given back."""
    found = []
    for d in compare(before, after):
        if d.change == "removed":
            raise ValueError(f"policy {policy} takes {d.object} away")
        old = json.dumps(codec.plain(d.old), ensure_ascii=False) if d.field else ""
        found.append(Mark(d.object, d.field, policy, old))
    return tuple(sorted(found))


def without(catalog: Catalog, marks: Iterable[Mark]) -> Catalog:
    """The schema as it would be without what `marks` tell: their objects gone, their fields as they were before."""
    by_object = _by_object(marks)
    if not by_object:
        return catalog
    groups: dict[str, Any] = {group: _left(getattr(catalog, group), by_object) for group in _GROUPS}
    lost = {o for o, held in by_object.items() if any(not m.field for m in held)}
    return replace(
        catalog,
        **groups,
        database=_restored(catalog.database, by_object.get(DATABASE, ())) or catalog.database,
        dependencies=tuple(d for d in catalog.dependencies if d.dependent not in lost and d.referenced not in lost),
    )


def _by_object(marks: Iterable[Mark]) -> dict[ObjectId | None, list[Mark]]:
    found: dict[ObjectId | None, list[Mark]] = {}
    for mark in marks:
        found.setdefault(mark.object, []).append(mark)
    return found


def _left(items: tuple[Any, ...], marks: Mapping[ObjectId | None, list[Mark]]) -> tuple[Any, ...]:
    return tuple(_inner(left, marks) for i in items if (left := _restored(i, marks.get(address_of(i), ()))) is not None)


def _inner(whole: Any, marks: Mapping[ObjectId | None, list[Mark]]) -> Any:
    """A relation or type without the parts that are marked."""
    if not isinstance(whole, Table | View | UserType):
        return whole
    changed: dict[str, Any] = {}
    for name, kind in _PARTS.items():
        parts = getattr(whole, name, ())
        kept = tuple(
            left for p in parts if (left := _restored(p, marks.get(ObjectId(kind, whole.schema, whole.name, p.name), ()))) is not None
        )
        if kept != parts:
            changed[name] = kept
    if isinstance(whole, Table) and "columns" in changed:
        changed["constraints"] = _still_meant(changed["columns"], changed.get("constraints", whole.constraints))
    if isinstance(whole, Table | View):
        gone = {c.name for c in getattr(whole, "constraints", ())} - {
            c.name for c in changed.get("constraints", getattr(whole, "constraints", ()))
        }
        kept_indexes = (_restored(i, marks.get(i.id, ())) for i in whole.indexes if not (i.constraint and i.constraint in gone))
        changed["indexes"] = tuple(i for i in kept_indexes if i is not None)
    return replace(whole, **changed)


def _still_meant(columns: Iterable[Column], constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    """Without the NOT NULL constraints, which PostgreSQL makes by itself from 18 on, of columns that are gone or not required any more."""
    required = {c.name for c in columns if c.not_null}
    return tuple(c for c in constraints if c.kind != "not null" or required.issuperset(c.columns))


def _restored(item: T, marks: Iterable[Mark]) -> T | None:
    """The item with its fields as they were; None when it was made by a policy."""
    held = tuple(marks)
    if any(not m.field for m in held):
        return None
    if not held or not is_dataclass(item):
        return item
    return replace(item, **{m.field: codec.field_value(type(item), m.field, json.loads(m.before)) for m in held})  # type: ignore[type-var]


def made_of_server(policy: str, before: Cluster, after: Cluster) -> tuple[Mark, ...]:
    """What a policy did to roles and memberships. Memberships that it ended leave no mark: nobody gets them back unasked."""
    there = {_membership(m) for m in before.memberships}
    found = [Mark(at, "", policy) for m in after.memberships if (at := _membership(m)) not in there]
    for role in after.roles:
        old = before.role.get(role.name)
        if old is None:
            found.append(Mark(role.id, "", policy))
            continue
        changed = (f.name for f in fields(role) if getattr(role, f.name) != getattr(old, f.name))
        found += [Mark(role.id, name, policy, json.dumps(codec.plain(getattr(old, name)), ensure_ascii=False)) for name in changed]
    return tuple(sorted(found))


DATABASE = ObjectId("database", "", "")
"""The database that a record is in, whatever it is called."""


def made_of_database(policy: str, before: Database, after: Database) -> tuple[Mark, ...]:
    """What a policy did to the privileges on the database."""
    if before.acl == after.acl:
        return ()
    return (Mark(DATABASE, "acl", policy, json.dumps(codec.plain(before.acl), ensure_ascii=False)),)


def server_without(cluster: Cluster, marks: Iterable[Mark]) -> Cluster:
    """The server as it would be without what `marks` tell."""
    by_object = _by_object(marks)
    return replace(
        cluster,
        roles=tuple(left for r in cluster.roles if (left := _restored(r, by_object.get(r.id, ()))) is not None),
        memberships=tuple(m for m in cluster.memberships if _membership(m) not in by_object),
    )


def _membership(m: Membership) -> ObjectId:
    return ObjectId("membership", "", f"{quote(m.member)} in {quote(m.role)}")
