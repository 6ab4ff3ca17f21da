"""Roles as SQL files make them: attributes, memberships and settings, which a schema that was built from files does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pgcharter.catalog.model import Cluster, Membership, Role
from pgcharter.sqltext import Statement, enum_name, parse

_ATTRIBUTES = {
    "superuser": "superuser", "inherit": "inherit", "createrole": "create_role", "createdb": "create_database", "canlogin": "login",
    "isreplication": "replication", "bypassrls": "bypass_row_security",
}  # fmt: skip
_IN_CODE = re.compile(r"\b(?:create|alter)\s+(?:role|user)\s[^;']+|\bgrant\s+[\w\", ]+\sto\s[^;']+", re.IGNORECASE)
"""What a DO block, or a text that it executes, does with roles."""


def cluster(statements: Iterable[Statement]) -> Cluster:
    """The roles that statements make, change and join, in order. Of a server nothing is known (`server_version` 0)."""
    written = _Written()
    for statement in statements:
        for one in _each(statement):
            written.take(one)
    roles = tuple(sorted(written.roles.values(), key=lambda role: role.name))
    return Cluster(roles=roles, memberships=tuple(sorted(written.memberships.values())))


def _each(statement: Statement) -> Iterator[Statement]:
    yield statement
    if statement.kind == "do_stmt":
        for text in _IN_CODE.findall(statement.text):
            yield from parse(text, "").statements


@dataclass
class _Written:
    roles: dict[str, Role] = field(default_factory=dict)
    memberships: dict[tuple[str, str], Membership] = field(default_factory=dict)

    def take(self, statement: Statement) -> None:
        """Do what a statement does; of other kinds than of roles nothing."""
        node = statement.node
        if statement.kind == "create_role_stmt":
            self.roles[node.role] = Role(node.role, login=enum_name(node, "stmt_type") == "ROLESTMT_USER")
            self._options(node.role, node.options)
        elif statement.kind == "alter_role_stmt":
            self._options(node.role.rolename, node.options)
        elif statement.kind == "alter_role_set_stmt" and node.role.rolename and not node.database:
            self._set(node.role.rolename, node.setstmt)
        elif statement.kind == "grant_role_stmt":
            options = {o.def_elem.defname: o.def_elem.arg.boolean.boolval for o in node.opt}
            for granted in node.granted_roles:
                for grantee in node.grantee_roles:
                    self._join(granted.access_priv.priv_name, grantee.role_spec.rolename, options, given=node.is_grant)
        elif statement.kind == "drop_role_stmt":
            for spec in node.roles:
                self.roles.pop(spec.role_spec.rolename, None)

    def _options(self, name: str, options: Iterable[Any]) -> None:
        role = self.roles.get(name, Role(name))
        for option in (o.def_elem for o in options):
            if option.defname in _ATTRIBUTES:
                role = replace(role, **{_ATTRIBUTES[option.defname]: option.arg.boolean.boolval})
            members = [i.role_spec.rolename for i in option.arg.list.items] if option.arg.HasField("list") else []
            for other in members:
                group, member = (other, name) if option.defname == "addroleto" else (name, other)
                self._join(group, member, {"admin": option.defname == "adminmembers"}, given=True)
        self.roles[name] = role

    def _join(self, role: str, member: str, options: dict[str, bool], *, given: bool) -> None:
        if given and role and member:
            inherit, settable = options.get("inherit", True), options.get("set", True)
            self.memberships[role, member] = Membership(role, member, options.get("admin", False), inherit, settable)
        elif not options:
            self.memberships.pop((role, member), None)

    def _set(self, name: str, setting: Any) -> None:
        role = self.roles.get(name, Role(name))
        others = tuple(s for s in role.settings if s.partition("=")[0] != setting.name)
        values = [a.a_const.sval.sval for a in setting.args if a.a_const.HasField("sval")]
        told = (f"{setting.name}={', '.join(values)}",) if values and enum_name(setting, "kind") == "VAR_SET_VALUE" else ()
        self.roles[name] = replace(role, settings=(*others, *told))
