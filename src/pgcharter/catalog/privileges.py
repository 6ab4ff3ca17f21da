"""What an `acl` means: PostgreSQL's built-in default privileges, whose they become with a new owner, and whether two say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pgcharter.catalog.model import Acl, Grant

ALL = {
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "function": ("EXECUTE",),
    "type": ("USAGE",),
    "schema": ("USAGE", "CREATE"),
    "database": ("CREATE", "TEMPORARY", "CONNECT"),
    "server": ("USAGE",),
    "foreign-data wrapper": ("USAGE",),
    "language": ("USAGE",),
    "large object": ("SELECT", "UPDATE"),
}
"""Privileges that the owner has by PostgreSQL's default, by class of object (`acldefault` in PostgreSQL's sources; MAINTAIN from 17)."""
PUBLIC = {"function": ("EXECUTE",), "type": ("USAGE",), "database": ("TEMPORARY", "CONNECT"), "language": ("USAGE",)}
"""Privileges that everybody has by PostgreSQL's default (documentation, "Privileges")."""
_CLASSES = {
    "view": "table", "materialized view": "table", "foreign table": "table", "procedure": "function", "aggregate": "function",
    "domain": "type", "tables": "table", "sequences": "sequence", "functions": "function", "types": "type", "schemas": "schema",
    "large objects": "large object",
}  # fmt: skip

T = TypeVar("T")
Key = tuple[str, str, str]
"""Grantee (empty: PUBLIC), privilege, grantor."""
Held = Mapping[Key, bool]
"""Whether each is held with grant option."""


def class_of(kind: str) -> str:
    """The class of an object by which its privileges go: `table` for a view; itself where there is nothing to map."""
    return _CLASSES.get(kind, kind)


def default(kind: str, owner: str, major: int) -> tuple[Grant, ...]:
    """What an `acl` of None means for an object of this kind; nothing for kinds (and columns) that have no default privileges."""
    of = class_of(kind)
    own = tuple(Grant(owner, p, grantor=owner) for p in ALL.get(of, ()) if p != "MAINTAIN" or major >= 17)
    return own + tuple(Grant("", p, grantor=owner) for p in PUBLIC.get(of, ()))


def held(kind: str, acl: Acl, owner: str, major: int) -> Held:
    """The privileges that `acl` gives on an object of this kind."""
    grants = default(kind, owner, major) if acl is None else acl
    return {(g.grantee, g.privilege, g.grantor or owner): g.grantable for g in grants}


def handed(acl: Acl, old: str, new: str) -> Acl:
    """What ALTER ... OWNER TO makes of an `acl`: the new owner in the place of the old one (`aclnewowner` in PostgreSQL's sources)."""
    if acl is None or old == new or not old:
        return acl
    merged: dict[Key, bool] = {}
    for g in acl:
        key = new if g.grantee == old else g.grantee, g.privilege, new if g.grantor == old else g.grantor
        merged[key] = merged.get(key, False) or g.grantable
    return tuple(sorted(Grant(grantee, privilege, option, grantor) for (grantee, privilege, grantor), option in merged.items()))


def given(item: T, owner: str) -> T:
    """An object in the hands of `owner`: what ALTER ... OWNER TO makes of it, privileges on its columns included."""
    old: Any = item
    changed: dict[str, Any] = {"owner": owner, "acl": handed(old.acl, old.owner, owner)}
    if getattr(item, "columns", ()):
        changed["columns"] = tuple(replace(c, acl=handed(c.acl, old.owner, owner)) for c in old.columns)
    made: T = replace(old, **changed)
    return made


def owner_in(acl: Acl) -> str:
    """Who the owner must be where the model does not say: the only one who grants and was not granted to by another; else empty."""
    givers = {g.grantor for g in acl or ()} - {g.grantee for g in acl or () if g.grantee != g.grantor}
    return givers.pop() if len(givers) == 1 else ""


def same(kind: str, one: Acl, other: Acl, owner: str, major: int) -> bool:
    """Whether two `acl` of an object of this kind say the same: None equals PostgreSQL's default written out, and no statement leads back
    from the one to the other."""
    return one == other or held(kind, one, owner, major) == held(kind, other, owner, major)
