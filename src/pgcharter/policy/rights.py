"""What each level may do with each kind of object: the privileges of a declared set of roles, and those of whoever else has some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pgcharter.catalog.model import Acl, Function, Grant
from pgcharter.catalog.privileges import ALL, default, handed, owner_in

T = TypeVar("T")
RIGHTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "readonly": {"database": ("CONNECT",), "schema": ("USAGE",), "table": ("SELECT",), "sequence": ("SELECT",)},
    "readwrite": {
        "database": ("CONNECT", "TEMPORARY"),
        "schema": ("USAGE",), "table": ("SELECT", "INSERT", "UPDATE", "DELETE"), "sequence": ("USAGE", "SELECT"), "function": ("EXECUTE",),
    },
    "admin": {
        "database": ("CONNECT", "TEMPORARY"),
        "schema": ("USAGE",), "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"), "sequence": ("USAGE", "SELECT", "UPDATE"),
        "function": ("EXECUTE",),
    },
}  # fmt: skip
"""Privileges by level and class of object. Nobody but the owner has TRIGGER, REFERENCES or MAINTAIN: they act on others' statements."""


@dataclass(frozen=True)
class Levels:
    """The roles behind the levels, and their privileges as grants of one owner."""

    roles: Mapping[str, str]
    """Role by level; only those that there are."""

    @property
    def names(self) -> frozenset[str]:
        """The roles themselves."""
        return frozenset(self.roles.values())

    def grants(self, of: str, owner: str, *, but: Iterable[tuple[str, str]] = ()) -> tuple[Grant, ...]:
        """What the levels get on an object of a class; `but` are pairs of level and privilege that they do not."""
        left = set(but)
        return tuple(
            Grant(role, privilege, grantor=owner)
            for level, role in self.roles.items()
            for privilege in RIGHTS[level].get(of, ())
            if (level, privilege) not in left
        )

    def acl(self, of: str, old: Acl, before: str, owner: str, major: int, *, but: Iterable[tuple[str, str]] = ()) -> Acl:
        """The privileges on an object: the owner's all, the levels' theirs, nobody's by PUBLIC; further roles keep what they have."""
        was = before or owner_in(old)
        others = [g for g in handed(old, was, owner) or () if g.grantee not in ("", owner, *self.names)]
        own = [Grant(owner, p, grantor=owner) for p in ALL[of] if p != "MAINTAIN" or major >= 17]
        return tuple(sorted({*own, *self.grants(of, owner, but=but), *others}))


def callable_by_readers(function: Function) -> bool:
    """Whether a reader may run a routine: one that says it changes nothing, with the reader's own rights."""
    return function.kind != "procedure" and function.volatility in ("stable", "immutable") and not function.security_definer


def granted(item: T, of: str, role: str, privileges: Iterable[str], major: int) -> T:
    """An object on which a role has privileges beside what everybody has already; itself where nobody knows whose it is, where it is the
    role's own, and for a role without a name."""
    given: Any = item
    owner = given.owner or owner_in(given.acl)
    if not owner or role in ("", owner):
        return item
    acl = default(of, owner, major) if given.acl is None else given.acl
    made: T = replace(given, acl=tuple(sorted({*acl, *(Grant(role, p, grantor=owner) for p in privileges)})))
    return made


def closed(of: str, owner: str, grants: Iterable[tuple[str, str]], major: int) -> Acl:
    """The owner's own privileges and those given, as role and privilege; nothing for PUBLIC."""
    own = (g for g in default(of, owner, major) if g.grantee)
    return tuple(sorted({*own, *(Grant(role, privilege, grantor=owner) for role, privilege in grants)}))
