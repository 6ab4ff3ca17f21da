"""Two catalogs made comparable: what the scratch server put into the wanted side, and no one asked for, is taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

from pgcharter.catalog.model import Acl, Catalog, Database, DefaultPrivilege, Extension, Grant, Policy
from pgcharter.names import ObjectId

OWNED = (
    "schemas", "tables", "views", "sequences", "functions", "types", "event_triggers", "publications", "subscriptions", "statistics",
    "foreign_servers", "collations", "others",
)  # fmt: skip
"""Groups of a Catalog whose objects have owners."""


def normalised(a: Catalog, b: Catalog, *, role: str = "") -> tuple[Catalog, Catalog]:
    """The actual side `a` and the wanted side `b`, fit for `diff.operations`.

    - Owners: what on the wanted side belongs to the owner of its database (whoever built it there), or to nobody in particular, belongs to
      whom it belongs in `a`; what `a` does not have belongs to `role`, by default the owner of `a`'s database. Where somebody else was
      named, that stands.
    - Privileges, default privileges, row policies and settings that name the owner of the wanted side's database name `role` instead, or
      the object's owner in `a`. Who granted a privilege to whom is not compared when it was the owner: it is written as the owner.
    - The database itself: owner, encoding, locale and privileges are the server's business and are those of `a`; comment and settings are
      those of `a` where the wanted side says nothing.
    - Extensions: an installed version stays unless the wanted side has another one than its server would install by itself, which means
      that the version was asked for; owner and the version a server has to offer are those of `a`.
    - Gaps, what a reader could not see, are no part of a schema: both sides lose them.
    """
    scratch, mine = b.database.owner, role or a.database.owner
    owners = {item.id: item.owner for group in OWNED for item in getattr(a, group)}
    named = _renamer(scratch, mine)
    groups: dict[str, Any] = {g: tuple(_owned(item, scratch, owners.get(item.id, "") or mine) for item in getattr(b, g)) for g in OWNED}
    return replace(a, gaps=()), replace(
        b,
        **groups,
        database=_database(a.database, b.database, named),
        extensions=_extensions(a, b),
        default_privileges=tuple(sorted(_default(p, named) for p in b.default_privileges)),
        gaps=(),
    )


def unowned(catalog: Catalog, kept: Collection[ObjectId] = ()) -> Catalog:
    """The catalog with everything that belongs to the owner of its database belonging to nobody in particular: to whoever makes it.

    `kept` are addresses that keep their owner all the same.
    """
    owner = catalog.database.owner
    groups: dict[str, Any] = {
        g: tuple(replace(i, owner="") if i.owner == owner and i.id not in kept else i for i in getattr(catalog, g)) for g in OWNED
    }
    return replace(catalog, **groups)


def _renamer(old: str, new: str) -> Callable[[str], str]:
    return lambda name: new if name == old else name


def _owned(item: Any, scratch: str, owner: str) -> Any:
    """An object with its owner, and all that names the owner of the scratch database, made those of the target."""
    if item.owner == "" and owner:
        item = replace(item, owner=owner)
    if scratch == owner:
        return item
    return _mapped(item, lru_cache(None)(lambda acl: _acl(acl, scratch, owner)), _renamer(scratch, owner))


def _mapped(item: Any, acl: Callable[[Acl], Acl], named: Callable[[str], str]) -> Any:
    changes: dict[str, Any] = {}
    for f in fields(item):
        if not f.init:
            continue
        value = getattr(item, f.name)
        if f.name == "owner":
            changes[f.name] = named(value)
        elif f.name == "acl":
            changes[f.name] = acl(value)
        elif f.name in ("columns", "attributes") and value and is_dataclass(value[0]):
            changes[f.name] = tuple(c if c.acl is None else replace(c, acl=acl(c.acl)) for c in value)
        elif f.name == "policies":
            changes[f.name] = tuple(_policy(p, named) for p in value)
    return replace(item, **{n: v for n, v in changes.items() if v != getattr(item, n)})


def _policy(policy: Policy, named: Callable[[str], str]) -> Policy:
    return replace(policy, roles=tuple(sorted(map(named, policy.roles))))


def _acl(acl: Acl, old: str, new: str) -> Acl:
    named = _renamer(old, new)
    return None if acl is None else tuple(sorted({replace(g, grantee=named(g.grantee), grantor=named(g.grantor)) for g in acl}))


def _default(privilege: DefaultPrivilege, named: Callable[[str], str]) -> DefaultPrivilege:
    grants = tuple(sorted(Grant(named(g.grantee), g.privilege, g.grantable, named(g.grantor)) for g in privilege.grants))
    return replace(privilege, role=named(privilege.role), grants=grants)


def _database(a: Database, b: Database, named: Callable[[str], str]) -> Database:
    kept = {_setting(s): s for s in a.settings}
    for text in b.settings:
        role, colon, rest = text.partition(":")
        setting = f"{named(role)}:{rest}" if colon and "=" not in role else text
        kept[_setting(setting)] = setting
    return replace(a, comment=b.comment or a.comment, settings=tuple(sorted(kept.values())))


def _setting(text: str) -> str:
    return text.partition("=")[0]


def _extensions(a: Catalog, b: Catalog) -> tuple[Extension, ...]:
    there: Mapping[ObjectId, Extension] = {e.id: e for e in a.extensions}
    return tuple(_extension(there[e.id], e) if e.id in there else replace(e, owner="") for e in b.extensions)


def _extension(a: Extension, b: Extension) -> Extension:
    asked = bool(b.default_version) and b.version != b.default_version
    return replace(b, version=b.version if asked else a.version, default_version=a.default_version, owner=a.owner)
