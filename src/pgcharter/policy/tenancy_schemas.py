"""Tenants in schemas: each has a role of its own that alone may use it, which an application takes on for a transaction.

Privileges on a schema's objects mean nothing without USAGE of the schema (documentation, "Privileges"), so that is what keeps others out,
also of what is made later and is open to everybody by default, as functions are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from pgcharter.catalog.model import Acl, Catalog, Cluster, DefaultPrivilege, Grant, Membership, Role, Schema
from pgcharter.catalog.privileges import default, owner_in
from pgcharter.names import ObjectId, quote
from pgcharter.policy.model import State
from pgcharter.policy.rights import RIGHTS, callable_by_readers, granted
from pgcharter.policy.tenancy_schemas_notes import asked, notes, reached
from pgcharter.policy.tenancy_settings import TenancySection, in_place

_OF = {"tables": "table", "views": "table", "sequences": "sequence", "functions": "function"}
_MINE = RIGHTS["readwrite"]
_LATER = ("table", "sequence", "function")


def kept(section: TenancySection) -> Callable[[str], bool]:
    """Whether a schema is a tenant's, which no declaration of what is wanted mentions."""
    return lambda name: in_place(section, name)


def admitting(section: TenancySection, place: str, major: int) -> tuple[str, ...]:
    """Statements that let the application take on the role of a tenant, and inherit nothing of it; said again they change nothing."""
    options = " WITH INHERIT FALSE, SET TRUE" if major >= 16 else ""
    return tuple(f"GRANT {quote(place)} TO {quote(role)}{options}" for role in section.application_roles)


def applied(state: State, section: TenancySection) -> State:
    """The state with the schemas of tenants closed to everybody but their roles. Which tenants there are, the catalog says."""
    places = frozenset(s.name for s in state.catalog.schemas if not s.extension and in_place(section, s.name))
    cluster = _cluster(state.cluster, section, places)
    state = replace(state, of_tenant=kept(section), takers=frozenset(section.application_roles))
    state = asked(state, section, cluster, places)
    if state.questions:
        return state
    outside = frozenset(("", section.group, *section.application_roles, *reached(cluster, section.application_roles)))

    def shut_out(role: str, place: str) -> bool:
        return (role in outside and role != section.maintenance_role) or (role != place and in_place(section, role))

    catalog = _shared(_closed(state.catalog, places, shut_out), section)
    for note in notes(state.catalog, section):
        state = state.noting(note)
    return replace(state, catalog=catalog, cluster=cluster)


ShutOut = Callable[[str, str], bool]
"""Whether a role (empty: PUBLIC) has no business in a tenant's schema."""


def _closed(catalog: Catalog, places: frozenset[str], shut_out: ShutOut) -> Catalog:
    def within(item: Any, of: str) -> Any:
        if getattr(item, "schema", item.name) not in places or item.extension:
            return item
        place = item.name if isinstance(item, Schema) else item.schema
        made = replace(item, acl=_acl(item, of, place, shut_out, catalog.major))
        if any(c.acl for c in getattr(item, "columns", ())):
            columns = tuple(replace(c, acl=_left(c.acl, place, shut_out) or None) for c in item.columns)
            made = replace(made, columns=columns)
        return made

    groups: dict[str, Any] = {name: tuple(within(i, of) for i in getattr(catalog, name)) for name, of in _OF.items()}
    groups["schemas"] = tuple(within(s, "schema") for s in catalog.schemas)
    return replace(catalog, **groups, default_privileges=_later(catalog, places, shut_out))


def _acl(item: Any, of: str, place: str, shut_out: ShutOut, major: int) -> Acl:
    """The tenant's privileges, the owner's, and those of whoever else has some and is neither an application nor another tenant.

    What everybody may do with a function by default stays: what is made later has it, too.
    """
    owner = item.owner or owner_in(item.acl)
    if not owner:
        return item.acl  # type: ignore[no-any-return]
    acl = default(of, owner, major) if item.acl is None else item.acl
    held = _left([g for g in acl if g.grantee != owner], place, shut_out, function=of == "function")
    own = (g for g in acl if g.grantee == owner)
    return tuple(sorted({*own, *held, *(Grant(place, p, grantor=owner) for p in _MINE[of])}))


def _left(acl: Iterable[Grant] | None, place: str, shut_out: ShutOut, *, function: bool = False) -> tuple[Grant, ...]:
    return tuple(g for g in acl or () if (function and not g.grantee) or not shut_out(g.grantee, place))


def _later(catalog: Catalog, places: frozenset[str], shut_out: ShutOut) -> tuple[DefaultPrivilege, ...]:
    """Default privileges of whoever makes objects in a tenant's schema: a default counts for its maker alone."""
    made = {(d.role, d.schema, d.objects): d for d in catalog.default_privileges}
    for key, d in made.items():
        if d.schema in places:
            made[key] = replace(d, grants=_left(d.grants, d.schema, shut_out))
    for place, maker in sorted(_makers(catalog, places)):
        for of in _LATER:
            key = maker, place, f"{of}s"
            before = made[key].grants if key in made else ()
            made[key] = DefaultPrivilege(*key, tuple(sorted({*before, *later(place, maker, of)})))
    return tuple(sorted((d for d in made.values() if d.grants), key=lambda d: (d.role, d.schema, d.objects)))


def later(place: str, maker: str, of: str) -> Iterator[Grant]:
    """What a tenant's role gets on objects of a class that `maker` makes in its schema later."""
    return (Grant(place, p, grantor=maker) for p in _MINE[of])


def _makers(catalog: Catalog, places: frozenset[str]) -> set[tuple[str, str]]:
    found = {(s.name, s.owner or owner_in(s.acl)) for s in catalog.schemas if s.name in places}
    for group in _OF:
        found |= {(i.schema, i.owner) for i in getattr(catalog, group) if i.schema in places and not i.extension}
    return {(place, maker) for place, maker in found if maker and maker != place}


def _shared(catalog: Catalog, section: TenancySection) -> Catalog:
    """With what all tenants may read granted to the group of their roles; of whole schemas also what is made later."""
    if not section.group:
        return catalog
    role, major = section.group, catalog.major
    whole = {s.name for s in catalog.schemas if f"{quote(s.name)}.*" in section.shared}

    def shared(item: Any) -> bool:
        return not item.extension and section.is_shared(ObjectId("table", item.schema, item.name))

    relations: tuple[Any, ...] = (*catalog.tables, *catalog.views)
    schemas = {i.schema for i in relations if shared(i)} | whole
    groups: dict[str, Any] = {
        name: tuple(granted(i, "table", role, ("SELECT",), major) if shared(i) else i for i in getattr(catalog, name))
        for name in ("tables", "views")
    }
    functions = tuple(
        granted(f, "function", role, ("EXECUTE",), major) if f.schema in whole and not f.extension and callable_by_readers(f) else f
        for f in catalog.functions
    )
    made = {(d.role, d.schema, d.objects): d for d in catalog.default_privileges}
    for schema, maker in sorted(_makers(catalog, frozenset(whole))):
        key = maker, schema, "tables"
        before = made[key].grants if key in made else ()
        made[key] = DefaultPrivilege(*key, tuple(sorted({*before, Grant(role, "SELECT", grantor=maker)})))
    return replace(
        catalog, **groups, functions=functions,
        schemas=tuple(granted(s, "schema", role, ("USAGE",), major) if s.name in schemas else s for s in catalog.schemas),
        default_privileges=tuple(sorted(made.values(), key=lambda d: (d.role, d.schema, d.objects))),
    )  # fmt: skip


_POWERLESS: dict[str, Any] = {
    "login": False, "superuser": False, "create_role": False, "create_database": False, "replication": False, "bypass_row_security": False
}  # fmt: skip


def _cluster(cluster: Cluster, section: TenancySection, places: frozenset[str]) -> Cluster:
    """The tenants' roles, their group, and who belongs to which. Whoever else is a member of a tenant's role is one no longer."""
    old = 0 < cluster.server_version < 160000
    nobodys = {n: replace(cluster.role.get(n, Role(n)), **_POWERLESS) for n in (*places, section.group) if n}
    keeper = section.maintenance_role
    above = {keeper: replace(cluster.role.get(keeper, Role(keeper)), bypass_row_security=True)} if keeper else {}
    wanted = {n: replace(r, inherit=r.inherit or old) for n, r in (nobodys | above).items()}
    roles = tuple(sorted(({r.name: r for r in cluster.roles} | wanted).values(), key=lambda r: r.name))
    held = [m for m in cluster.memberships if _may_stay(m, cluster, section, places)]
    there = {(m.role, m.member) for m in held if old or m.inherit}
    needed = {(place, keeper) for place in places if keeper} | {(section.group, place) for place in places if section.group}
    come = (Membership(role, member, set=old or member == keeper) for role, member in sorted(needed - there))
    return replace(cluster, roles=roles, memberships=tuple(sorted((*held, *come))))


def _may_stay(m: Membership, cluster: Cluster, section: TenancySection, places: frozenset[str]) -> bool:
    """Whether a membership keeps nobody from being apart. Who made a role administers it, and inherits nothing by that."""
    if m.member in places:
        return m.role == section.group
    if m.role not in places:
        return True
    member = cluster.role.get(m.member)
    trusted = m.member in (section.maintenance_role, *section.application_roles) or (member is not None and member.superuser)
    return trusted or (m.admin and not in_place(section, m.member))
