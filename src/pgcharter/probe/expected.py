"""Which roles are attacked with, and which stand above tenants: by what the charter declares, else by what the server says of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pgcharter.catalog.model import Catalog, Cluster, Role
from pgcharter.names import ObjectId
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.policy.tenancy_settings import TenancySection, in_place


@dataclass(frozen=True)
class Declared:
    """What the charter and the command line say."""

    roles: RolesSection | None = None
    tenancy: TenancySection | None = None
    maintenance: Collection[str] = ()
    """Roles that may see the rows of all tenants."""
    environment: str = ""
    """Environment of the charter: which logins there are."""

    def reviewed(self, catalog: Catalog) -> frozenset[ObjectId]:
        """Views and functions that somebody has looked at."""
        section = self.tenancy
        items = (*(v.id for v in catalog.own_views), *(f.id for f in catalog.own_functions))
        return frozenset(at for at in items if section and section.is_reviewed(at))

    def is_tenant(self, role: str) -> bool:
        """Whether a role is that of a tenant with a schema of its own."""
        section = self.tenancy
        return section is not None and section.placement == "schemas" and in_place(section, role)

    def shares(self, table: ObjectId) -> bool:
        """Whether a table is declared to be for all tenants."""
        return self.tenancy is not None and self.tenancy.is_shared(table)

    def truncates(self, role: str, cluster: Cluster | None) -> bool:
        """Whether a role is of the level `admin`, which TRUNCATE belongs to."""
        group = self.roles.admin if self.roles else ""
        return bool(group) and group in (role, *groups(role, cluster))


@dataclass(frozen=True)
class Sides:
    """Roles on both sides."""

    attackers: tuple[str, ...]
    above: Mapping[str, str] = field(default_factory=dict)
    """Roles that are not attacked with, and why."""
    powers: tuple[str, ...] = ()
    """Of those, the ones that nobody else may become."""


def sides(catalog: Catalog, cluster: Cluster | None, declared: Declared, there: Iterable[str]) -> Sides:
    """Part the roles that are `there` in the copy into those that must be held back and those above."""
    every = {r.name: r for r in cluster.roles} if cluster else {}
    owners = {o for o in (*(t.owner for t in catalog.own_tables), *(v.owner for v in catalog.own_views)) if o}
    above: dict[str, str] = {}
    powers: list[str] = []
    names = [n for n in sorted(there) if not n.startswith("pgcharter_stranger")]
    for name in names:
        why = _above(name, every.get(name), name in owners, declared, known=cluster is not None and cluster.server_version > 0)
        if why:
            above[name] = why
        if why and (name in owners or _powerful(every.get(name)) or name in declared.maintenance):
            powers.append(name)
    rest = [n for n in names if n not in above]
    for name in list(rest):
        role = every.get(name)
        members = [m for m in rest if name in groups(m, cluster, by_itself=True) and every.get(m, Role(m)).login]
        if role is not None and not role.login and members and not declared.is_tenant(name):
            above[name] = f"its rights are tried by {', '.join(members[:3])}"
            rest.remove(name)
    return Sides(("", *rest), above, tuple(powers))


def _powerful(role: Role | None) -> bool:
    return role is not None and (role.superuser or role.bypass_row_security)


def _above(name: str, role: Role | None, owner: bool, declared: Declared, *, known: bool) -> str:
    """Why a role stands above tenants; empty when it does not."""
    section = declared.roles
    login = next((one for one in section.login if one.name == name), None) if section else None
    if name in declared.maintenance or (declared.tenancy and name == declared.tenancy.maintenance_role):
        return "it is for maintenance"
    if section and (name == section.owner or (login and section.role_of("owner") in map(section.role_of, login.member_of))):
        return "it is declared to own everything"
    if login:
        return "it is declared to bypass row security" if login.bypasses_row_security else ""
    if role is not None and role.superuser:
        return "it is a superuser"
    if role is not None and not role.login and (owner or role.bypass_row_security):
        return "nobody logs in as it"
    return "it owns the tables" if owner and not known else ""


def groups(name: str, cluster: Cluster | None, *, by_itself: bool = False) -> set[str]:
    """The roles that a role belongs to, directly or not; `by_itself`: those whose rights it has without taking them on."""
    found: set[str] = set()
    waiting = [name]
    while waiting and cluster:
        member = waiting.pop()
        held = cluster.role.get(member, Role(member)).inherit or not by_itself
        new = {m.role for m in cluster.memberships if m.member == member and held and (m.inherit or not by_itself)} - found
        found |= new
        waiting += new
    return found
