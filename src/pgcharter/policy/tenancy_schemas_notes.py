"""Tenants in schemas: what only a person can answer before they are kept apart, and what sees from one schema into another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pgcharter.catalog.model import Catalog, Cluster, Function, Membership, Table, View
from pgcharter.names import ObjectId, quote
from pgcharter.policy import tenancy_questions
from pgcharter.policy.model import State
from pgcharter.policy.tenancy_settings import TenancySection, in_place


def asked(state: State, section: TenancySection, cluster: Cluster, places: Iterable[str]) -> State:
    """The state with what stands against it: `cluster` is the server as it would be."""
    state = tenancy_questions.of_charter(state, section)
    for name in sorted({*places, section.group} - {""}):
        role = state.cluster.role.get(name)
        if role is not None and (role.login or role.superuser):
            what, remedy = ("is a superuser", "NOSUPERUSER") if role.superuser else ("logs in", "NOLOGIN")
            state = state.asking(
                f"role {quote(name)} is there already and {what}, and nobody but a tenant's schema is to be behind it: "
                f"ALTER ROLE {quote(name)} {remedy} where it is nobody's own, else another form of place or another group in [tenancy]"
            )
    return _of_applications(state, section, cluster)


def _of_applications(state: State, section: TenancySection, cluster: Cluster) -> State:
    old = 0 < cluster.server_version < 160000
    for name in section.application_roles:
        role = cluster.role.get(name)
        if role is not None and (role.superuser or role.create_role):
            what, remedy = ("is a superuser", "NOSUPERUSER") if role.superuser else ("may give roles away (CREATEROLE)", "NOCREATEROLE")
            state = state.asking(f"application role {quote(name)} {what}, so nothing keeps it out: ALTER ROLE {quote(name)} {remedy}")
        elif role is not None and old and role.inherit:
            state = state.asking(
                f"application role {quote(name)} would inherit the rights of all tenants, because before PostgreSQL 16 a role inherits all "
                f"that it is a member of, or nothing: ALTER ROLE {quote(name)} NOINHERIT"
            )
        else:
            state = _inheriting(state, section, cluster, name)
    keeper = cluster.role.get(section.maintenance_role)
    if keeper is not None and keeper.superuser:
        state = state.asking(f"maintenance role {quote(keeper.name)} is a superuser: name a role of its own in [tenancy] maintenance_role")
    return state


def _inheriting(state: State, section: TenancySection, cluster: Cluster, name: str) -> State:
    """Asks where a role has the rights of a tenant, or of maintenance, without taking them on."""
    for m in _inherited(cluster, name):
        if m.role == section.maintenance_role or (in_place(section, m.role) and m.member != section.maintenance_role):
            through = "" if m.member == name else f" through {quote(m.member)}"
            newer = cluster.server_version >= 160000
            by = f" GRANTED BY {quote(m.grantor)}" if m.grantor and newer else ""
            state = state.asking(
                f"role {quote(name)} inherits the rights of {quote(m.role)}{through}, so it has them without taking that role on: "
                f"REVOKE {'INHERIT OPTION FOR ' * newer}{quote(m.role)} FROM {quote(m.member)}{by}"
            )
    return state


def _inherited(cluster: Cluster, name: str) -> Iterator[Membership]:
    """The memberships by which a role has rights of others, directly and through others."""
    old = 0 < cluster.server_version < 160000
    seen, todo = {name}, [name]
    while todo:
        member = todo.pop()
        role = cluster.role.get(member)
        if old and role is not None and not role.inherit:
            continue
        for m in cluster.memberships:
            if m.member == member and (old or m.inherit):
                yield m
                if m.role not in seen:
                    seen.add(m.role)
                    todo.append(m.role)


def reached(cluster: Cluster, names: Iterable[str]) -> frozenset[str]:
    """Roles whose rights others have by being their members, directly or through others."""
    return frozenset(m.role for name in names for m in _inherited(cluster, name))


def notes(catalog: Catalog, section: TenancySection) -> Iterator[str]:
    """What a reader of the plan should know, one sentence each."""
    yield from _views(catalog, section)
    yield from _definers(catalog, section)
    yield from _open(catalog)
    yield from _references(catalog, section)
    yield from _owned(catalog, section)


def _views(catalog: Catalog, section: TenancySection) -> Iterator[str]:
    """Views that show what is in a tenant's schema to whoever may read them, wherever they are."""
    views = {v.id: v for v in catalog.views if not v.extension and not section.is_reviewed(v.id)}
    reads = {(d.dependent, d.referenced.schema) for d in catalog.dependencies if d.dependent in views}
    for at, place in sorted(reads):
        view = views[at]
        if at.schema == place or not in_place(section, place) or (view.kind == "view" and view.security_invoker):
            continue
        remedy = f"ALTER VIEW {at.sql()} SET (security_invoker = true)" if view.kind == "view" else f"DROP MATERIALIZED VIEW {at.sql()}"
        yield f"{at} shows what is in schema {quote(place)}, a tenant's, to whoever may read it: {remedy}, or [tenancy] reviewed"


def _definers(catalog: Catalog, section: TenancySection) -> Iterator[str]:
    """Functions by which a tenant gets at what is another's: they name it, or look for names wherever their caller says."""
    before, _, after = section.place.partition("{name}")
    mentioned = re.compile(rf'(?<![\w$-])"?({re.escape(before)}[a-z0-9_-]+{re.escape(after)})"?\s*\.')
    relations: tuple[Table | View, ...] = (*catalog.tables, *catalog.views)
    names = sorted({re.escape(i.name) for i in relations if in_place(section, i.schema)}, key=len, reverse=True)
    bare = re.compile(rf'(?<![\w$."-])"?({"|".join(names) or "(?!)"})(?![\w$-])')
    for function in catalog.own_functions:
        if not function.security_definer or function.schema == "pgcharter" or section.is_reviewed(function.id):
            continue
        found = mentioned.findall(function.body or function.definition)
        others = sorted({m for m in found if in_place(section, m) and m != function.schema})
        if others:
            yield (
                f"{function.id} runs with its owner's rights and names schema {', '.join(map(quote, others))}, a tenant's: whoever may run "
                f"it gets at what is there: ALTER FUNCTION {function.id.sql()} SECURITY INVOKER, or [tenancy] reviewed"
            )
        elif function.setting("search_path") is None and not _resolved(function) and bare.search(function.body):
            yield (
                f"{function.id} runs with its owner's rights and looks for names where its caller says, so a tenant may point it to "
                f"another's schema: ALTER FUNCTION {function.id.sql()} SET search_path = {quote(function.schema)}, pg_temp"
            )


def _resolved(function: Function) -> bool:
    """Whether its body has the SQL standard's form, in which names were looked up once and for all."""
    return function.language == "sql" and re.search(r"^AS \$", function.definition, re.MULTILINE) is None


def _open(catalog: Catalog) -> Iterator[str]:
    for schema in catalog.schemas:
        if not schema.extension and any(g.grantee == "" and g.privilege == "CREATE" for g in schema.acl or ()):
            yield (
                f"everybody may make objects in schema {quote(schema.name)}, so a tenant can put a function there that others run by "
                f"mistake: REVOKE CREATE ON SCHEMA {quote(schema.name)} FROM PUBLIC"
            )


def _references(catalog: Catalog, section: TenancySection) -> Iterator[str]:
    for table in catalog.tables:
        for key in table.foreign_keys:
            other = key.references
            if other is not None and other.schema != table.schema and in_place(section, other.schema):
                yield (
                    f"foreign key {quote(key.name)} of {table.id.sql()} refers to {other.sql()}, a tenant's: its error tells others what "
                    "is there, and the tenant cannot be removed"
                )


def _owned(catalog: Catalog, section: TenancySection) -> Iterator[str]:
    """Whom privileges do not hold: who owns something has all rights on it, and can give them to others."""
    owners: dict[str, list[ObjectId]] = {}
    groups = (catalog.schemas, catalog.tables, catalog.views, catalog.functions)
    for item in (i for group in groups for i in group):
        place = getattr(item, "schema", item.name)
        if in_place(section, place) and (item.owner in section.application_roles or item.owner == place):
            owners.setdefault(item.owner, []).append(item.id)
    for owner, found in sorted(owners.items()):
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = "without taking any role on" if owner in section.application_roles else "and may give it to other tenants"
        yield (
            f"{found[0]}{more} belong to role {quote(owner)}, which may do everything there {what}: ALTER {found[0]} OWNER TO another role"
        )
