"""Who is let into tenants' places, against what their states and the charter say; and what all checks know of what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgcharter.db import queries
from pgcharter.names import quote
from pgcharter.policy.tenancy_settings import name_in
from pgcharter.tenants.places import APPLY

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.db import Connection
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.tenants.table import Tenant

Check = str
"""state, place, role, access, history, structure, crossing, orphan."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is not as it should be."""

    tenant: str
    """Name; empty for what belongs to none."""
    check: Check
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Places:
    """What is there, read with a fixed number of queries."""

    section: TenancySection
    tenants: Sequence[Tenant]
    dsn_of: Callable[[str], str] = field(repr=False)
    """The connection string of a place."""
    there: frozenset[str]
    roles: Mapping[str, Sequence[bool]]
    members: Mapping[str, frozenset[str]]
    """Members of each role, but for those that administer it."""
    connecting: Mapping[str, frozenset[str]]
    """Who may connect to each database by name, and "" for everybody."""


def placed(places: Places) -> Iterator[Tenant]:
    """Tenants whose place should be there and is."""
    return (t for t in places.tenants if t.place in places.there and t.state != "adding" and not t.deleting)


_POWERS = ("LOGIN", "SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")


def of_roles(places: Places) -> Iterator[Wrong]:
    """Roles of tenants that are not there, or may more than they should."""
    for t in placed(places):
        powers = places.roles.get(t.place)
        if powers is None:
            yield Wrong(t.name, "role", f"role {quote(t.place)} is not there, so nobody can work for it", APPLY)
            continue
        has = [word for word, on in zip(_POWERS, powers, strict=True) if on]
        if has:
            no = " ".join(f"NO{word}" for word in has)
            yield Wrong(t.name, "role", f"role {quote(t.place)} has {', '.join(has)}", f"ALTER ROLE {quote(t.place)} {no}")


def of_access(places: Places) -> Iterator[Wrong]:
    """Who is let in, against what the state says."""
    section, schemas = places.section, places.section.placement == "schemas"
    apps = frozenset(section.application_roles)
    for t in placed(places):
        have = places.members.get(t.place, frozenset()) if schemas else places.connecting.get(t.place, frozenset())
        have -= {section.maintenance_role}
        for role in sorted(apps - have) if t.state == "active" else ():
            yield Wrong(t.name, "access", f"it is active, and role {quote(role)} is not let in", f"pgcharter tenant resume {t.name}")
        for role in sorted(have if t.state != "active" else have - apps if schemas else have & {""}):
            who = f"role {quote(role)}" if role else "everybody"
            what = f"a member of {quote(t.place)}" if schemas else f"let into database {quote(t.place)}"
            state = f"it is {t.state}, and " if t.state != "active" else ""
            yield Wrong(t.name, "access", f"{state}{who} is {what}", _out(schemas, t.place, role))


def _out(schemas: bool, place: str, role: str) -> str:
    who = quote(role) if role else "PUBLIC"
    return f"REVOKE {quote(place)} FROM {who}" if schemas else f"REVOKE CONNECT ON DATABASE {quote(place)} FROM {who}"


def crossing(conn: Connection, section: TenancySection) -> Iterator[Wrong]:
    """Foreign keys and views that lead from a schema into a tenant's."""
    for source, target, sentence in conn.execute(sql("crossing")).fetchall():
        owner, other = name_in(section, source), name_in(section, target)
        if other is not None:
            yield Wrong(owner or other, "crossing", f"{sentence}, of tenant {other}", "drop it: a tenant's schema stands by itself")


def of_privileges(places: Places, catalog: Catalog) -> Iterator[Wrong]:
    """Who has privileges in a tenant's schema that no one but its own role should have: everybody, applications, other tenants."""
    section, found = places.section, {t.place: t for t in placed(places)}
    items: tuple[Any, ...] = (*catalog.schemas, *catalog.tables, *catalog.views, *catalog.sequences, *catalog.functions)
    for item in items:
        place = item.id.schema or item.id.name
        if place not in found:
            continue
        open_to_all = item.id.kind in ("function", "procedure", "aggregate")
        wrong = {
            g.grantee for g in item.acl or ()
            if (not g.grantee and not open_to_all) or g.grantee in section.application_roles
            or (g.grantee != place and g.grantee and name_in(section, g.grantee) is not None)
        }  # fmt: skip
        for role in sorted(wrong):
            who = f"role {quote(role)} has" if role else "everybody has"
            yield Wrong(found[place].name, "access", f"{who} privileges on {item.id}, which are for its own role", APPLY)


def sql(name: str) -> bytes:
    """A query on what is there for tenants."""
    return queries.load("pgcharter.tenants", "verifying.sql")[name].encode()
