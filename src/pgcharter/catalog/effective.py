"""Effective privileges: who may do what in a database and why, reckoned from Catalog and Cluster as PostgreSQL itself does.

The rules are those of `aclmask`, `roles_is_member_of` and `pg_class_aclmask` in PostgreSQL's sources; `tests/catalog/test_effective.py`
holds the result against has_*_privilege.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

from pgcharter.catalog.model import Acl, Catalog, Cluster, Table, View
from pgcharter.catalog.privileges import ALL, class_of, held
from pgcharter.names import ObjectId, quote

How = Literal["superuser", "owner", "grant", "public", "predefined"]
DATABASE_OWNER = "pg_database_owner"
_PREDEFINED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "pg_read_all_data": {"table": ("SELECT",), "sequence": ("SELECT",), "schema": ("USAGE",)},
    "pg_write_all_data": {"table": ("INSERT", "UPDATE", "DELETE"), "sequence": ("UPDATE",), "schema": ("USAGE",)},
    "pg_maintain": {"table": ("MAINTAIN",)},
}
"""What these roles may do everywhere, without any grant (documentation, "Predefined Roles")."""


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """One reason why a role may do something."""

    how: How
    holder: str = ""
    """Whose privilege it is: the role's own, or that of a role it belongs to; empty for PUBLIC."""
    through: tuple[str, ...] = ()
    """Memberships from the role to the holder, both left out."""
    grantable: bool = False

    def told(self, role: str) -> str:
        """The reason in words, seen from `role`."""
        what = {
            "superuser": "superuser",
            "owner": "owner",
            "grant": "granted",
            "public": "granted to PUBLIC",
            "predefined": f"what {self.holder} may everywhere",
        }[self.how]
        option = ", may pass it on" if self.grantable and self.how == "grant" else ""
        if self.holder in ("", role):
            return what + option
        chain = " through " + ", ".join(map(quote, self.through)) if self.through else ""
        of = "" if self.how == "predefined" else f" {'to ' if self.how == 'grant' else ''}{quote(self.holder)}"
        return f"{what}{of}{option}, of which it is a member{chain}"


class Right(NamedTuple):
    """What one role may do with one object."""

    role: str
    object: ObjectId
    """A column where the privilege is on that column and not on the whole."""
    privilege: str
    ways: tuple[Way, ...]
    worthless: str = ""
    """What keeps the role from using it: no USAGE on the schema, no CONNECT on the database; empty when nothing does."""

    @property
    def grantable(self) -> bool:
        """Whether the role may pass it on."""
        return any(w.grantable for w in self.ways)


class Held(NamedTuple):
    """An object with privileges: its class, its owner, and what is granted."""

    object: ObjectId
    of: str
    owner: str
    acl: Acl


@dataclass(frozen=True)
class Effective:
    """Who may do what in one database. Objects of extensions are left out unless `extensions`."""

    catalog: Catalog
    cluster: Cluster
    extensions: bool = False
    _ways: dict[tuple[str, str, str, Acl], dict[str, tuple[Way, ...]]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def objects(self) -> tuple[Held, ...]:
        """The database and all objects in it that privileges can be granted on, columns with grants of their own after their relation."""
        return tuple(self._objects())

    def _objects(self) -> Iterator[Held]:
        c = self.catalog
        yield Held(c.database.id, "database", c.database.owner, c.database.acl)
        groups: tuple[tuple[Any, ...], ...] = (c.schemas, c.tables, c.views, c.sequences, c.functions, c.types, c.foreign_servers, c.others)
        for group in groups:
            for item in group:
                of = class_of(item.id.kind)
                extension: str = getattr(item, "extension", "")
                if of not in ALL or (extension and not self.extensions):
                    continue
                yield Held(item.id, of, item.owner, item.acl)
                if isinstance(item, Table | View):
                    yield from (Held(item.part("column", x.name), "column", item.owner, x.acl) for x in item.columns if x.acl)

    def rights(self, roles: frozenset[str] | None = None, of: ObjectId | None = None) -> Iterator[Right]:
        """What `roles` (all but superusers, when None) may do; with `of`, on that object and its columns alone.

        A privilege on a column that the role has on the whole relation is not told again.
        """
        chosen = [r.name for r in self.cluster.roles if (r.name in roles if roles is not None else not r.superuser)]
        there = [o for o in self.objects if _about(of, o.object)]
        for role in chosen:
            whole: frozenset[str] = frozenset()
            for o in there:
                found = self.ways(role, o)
                if o.of == "column":
                    found = {p: w for p, w in found.items() if p not in whole}
                else:
                    whole = frozenset(found)
                hindered = self._hindered(role, o.object) if found else ""
                for privilege, ways in found.items():
                    yield Right(role, o.object, privilege, ways, hindered)

    def ways(self, role: str, o: Held) -> dict[str, tuple[Way, ...]]:
        """Privileges of a role on one object, each with all the reasons for it."""
        key = (role, o.of, o.owner, o.acl)
        if key not in self._ways:
            self._ways[key] = self._reckoned(role, o)
        return self._ways[key]

    def _reckoned(self, role: str, o: Held) -> dict[str, tuple[Way, ...]]:
        every = [p for p in ALL.get(o.of, ()) if p != "MAINTAIN" or self.catalog.major >= 17]
        known = self.cluster.role.get(role)
        if known and known.superuser:
            return {p: (Way("superuser", role, grantable=True),) for p in every}
        has = self.has(role)
        found: dict[str, set[Way]] = {}
        for (grantee, privilege, _), option in held(o.of, o.acl, o.owner, self.catalog.major).items():
            if grantee == "":
                found.setdefault(privilege, set()).add(Way("public"))
            elif grantee in has:
                how: How = "owner" if grantee == o.owner else "grant"
                found.setdefault(privilege, set()).add(Way(how, grantee, has[grantee], option or o.owner in has))
        for holder, given in _PREDEFINED.items():
            if holder in has:
                for privilege in given.get(o.of, ()):
                    found.setdefault(privilege, set()).add(Way("predefined", holder, has[holder]))
        return {p: tuple(sorted(found[p])) for p in sorted(found, key=_order)}

    def _hindered(self, role: str, at: ObjectId) -> str:
        if at.kind == "database":
            return ""
        login = self.cluster.role.get(role)
        if login and login.login and "CONNECT" not in self.ways(role, self.objects[0]):
            return f"no CONNECT on {self.catalog.database.id}"
        schema = self._schemas.get(at.schema)
        return f"no USAGE on {schema.object}" if schema and "USAGE" not in self.ways(role, schema) else ""

    @cached_property
    def _schemas(self) -> Mapping[str, Held]:
        return {s.name: Held(s.id, "schema", s.owner, s.acl) for s in self.catalog.schemas}

    def has(self, role: str) -> Mapping[str, tuple[str, ...]]:
        """The roles whose privileges a role has without doing anything, itself included, each with the memberships on the way.

        The empty name is PUBLIC: it belongs to nothing.
        """
        return self._reach.get(role, {role: ()})

    @cached_property
    def _reach(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        return {r.name: self._reached(r.name, inheriting=True) for r in self.cluster.roles}

    def becomes(self, role: str) -> Mapping[str, tuple[str, ...]]:
        """The other roles that a role may take on by SET ROLE, each with the memberships on the way; superusers may take on every role."""
        return {name: way for name, way in self._reached(role, inheriting=False).items() if name != role}

    def _reached(self, role: str, *, inheriting: bool) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {role: ()}
        queue = deque([role])
        while queue:
            member = queue.popleft()
            way = (*found[member], member) if member != role else ()
            for group in self._groups(member, inheriting=inheriting):
                if group not in found:
                    found[group] = way
                    queue.append(group)
        return found

    def _groups(self, member: str, *, inheriting: bool) -> Iterator[str]:
        """Roles that `member` belongs to directly. Before 16 whoever belongs to a role may take it on."""
        new = self.cluster.server_version >= 160000
        for m in self._memberships.get(member, ()):
            if m.inherit if inheriting else (m.set or not new):
                yield m.role
        known = self.cluster.role.get(member)
        if member == self.catalog.database.owner and (new or not inheriting or (known and known.inherit)):
            yield DATABASE_OWNER

    @cached_property
    def _memberships(self) -> Mapping[str, tuple[_Link, ...]]:
        found: dict[str, dict[str, _Link]] = {}
        for m in self.cluster.memberships:
            of = found.setdefault(m.member, {})
            old = of.get(m.role, _Link(m.role, inherit=False, set=False))
            of[m.role] = _Link(m.role, inherit=old.inherit or m.inherit, set=old.set or m.set)
        return {member: tuple(links[r] for r in sorted(links)) for member, links in found.items()}


class _Link(NamedTuple):
    """All that the grants of one role to one member give together."""

    role: str
    inherit: bool
    set: bool


def _about(of: ObjectId | None, at: ObjectId) -> bool:
    """Whether an object is the one that is asked for, or a column of it."""
    return of is None or of == at or (bool(at.part) and not of.part and (of.schema, of.name) == (at.schema, at.name))


@lru_cache(maxsize=64)
def _order(privilege: str) -> tuple[int, str]:
    every = list(dict.fromkeys(p for names in ALL.values() for p in names))
    return (every.index(privilege) if privilege in every else len(every)), privilege
