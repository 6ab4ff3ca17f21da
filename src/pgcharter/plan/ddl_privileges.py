"""GRANT, REVOKE and ALTER DEFAULT PRIVILEGES: from what is held to what is wanted.

Privileges are written by the role that granted them: those of another grantor than the owner between SET ROLE and RESET ROLE, because
PostgreSQL takes GRANTED BY only for the current role. ALTER DEFAULT PRIVILEGES may have given a new object more or less than PostgreSQL's
own default: what any of them could have done is made good.

Two limits: RESET ROLE leads back to the role that logged in, so whoever runs the statements must not stand under a SET ROLE of its own; and
what somebody passed on for single columns by right of a grant option on the whole table is not told apart from a grant of its own, so
that taking the option away is refused by PostgreSQL until the columns have been seen to by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pgcharter.catalog.model import Acl, Column, DefaultPrivilege, Grant
from pgcharter.catalog.privileges import ALL, Held, Key, class_of, default, handed, held, owner_in
from pgcharter.names import ObjectId, quote

ME = "\0"
"""Stands for an owner of whom only is known that it is the role that runs the statements."""
_GRANT_ON = {
    "view": "TABLE", "materialized view": "TABLE", "foreign table": "TABLE", "column": "TABLE", "aggregate": "FUNCTION",
    "server": "FOREIGN SERVER", "foreign-data wrapper": "FOREIGN DATA WRAPPER",
}  # fmt: skip
_DEFAULTS = {"table": "tables", "sequence": "sequences", "function": "functions", "type": "types", "schema": "schemas"}
_ORDER = {p: n for n, p in enumerate(dict.fromkeys(p for names in ALL.values() for p in names))}
_BY_COLUMN = frozenset(("SELECT", "INSERT", "UPDATE", "REFERENCES"))


@dataclass(frozen=True, slots=True)
class Rights:
    """An owner (empty: not known) and what is granted."""

    owner: str
    acl: Acl

    def keys(self, kind: str, major: int) -> Held:
        """Grantee, privilege and grantor → with grant option; an unknown owner goes by `ME`."""
        if self.owner:
            return held(kind, self.acl, self.owner, major)
        return held(kind, handed(self.acl, owner_in(self.acl), ME), ME, major)


def starts(object: ObjectId, kind: str, owner: str, major: int, defaults: Iterable[DefaultPrivilege]) -> list[tuple[Grant, ...]]:  # noqa: A002
    """The privileges with which a new object may begin: PostgreSQL's default, and what each of the `defaults` would make of it.

    Those for all schemas stand in the place of PostgreSQL's default, those for one schema are added (documentation, ALTER DEFAULT
    PRIVILEGES). Whose defaults are in force is not known, as it is the role that runs the statements.
    """
    who = owner or ME
    wanted = _DEFAULTS.get(class_of(kind))
    applying = [d for d in defaults if d.objects == wanted and d.schema in ("", object.schema)]
    found = [default(kind, who, major)]
    found += [handed(d.grants, d.role, who) or () for d in applying if not d.schema]
    extra = [handed(d.grants, d.role, who) or () for d in applying if d.schema]
    return found + [tuple({*start, *more}) for start in list(found) for more in extra]


def changes(object: ObjectId, kind: str, starts: list[Rights], wanted: Rights, major: int) -> list[str]:  # noqa: A002
    """From whichever of `starts` it is to what is wanted: what one of them lacks is granted, what one of them has too much is revoked.

    In this order nobody is without a privilege meanwhile, and what a grantee passed on outlives the grant it came by if there is another.
    A grantor is given its own privilege before what it passes on, and keeps it until that is revoked.
    """
    after = wanted.keys(kind, major)
    befores = [start.keys(kind, major) for start in starts]
    gone, come = _difference(befores, after)
    holder = wanted.owner or ME
    later, earlier = _ranks(after, holder), _ranks({key: option for before in befores for key, option in before.items()}, holder)
    found = [(k[0][2], _grant(object, kind, k, option=come[k[0]])) for k in _together(come, {k: later[k] for k in come})]
    found += [(k[0][2], _revoke(object, kind, k, option=gone[k[0]])) for k in _together(gone, {k: -earlier[k] for k in gone})]
    return [text for grantor, statement in found for text in _as(grantor, holder, statement)]


def _together(keys: Mapping[Key, bool], rank: Mapping[Key, int]) -> list[tuple[Key, ...]]:
    """Keys in order, those together that one statement can write: of one grantee by one grantor, with or without the option."""

    def group(k: Key) -> tuple[int, str, str, bool]:
        return rank[k], k[0], k[2], keys[k]

    ordered = sorted(keys, key=lambda k: (group(k), _ORDER.get(k[1], len(_ORDER)), k))
    return [tuple(same) for _, same in groupby(ordered, key=group)]


def _difference(befores: Iterable[Held], after: Held) -> tuple[dict[Key, bool], dict[Key, bool]]:
    """What must be revoked (True: only the grant option), what granted (True: with grant option)."""
    befores = list(befores)
    gone = {key: key in after for b in befores for key, option in b.items() if key not in after or (option and not after[key])}
    return gone, {key: option for key, option in after.items() if any(key not in b or (option and not b[key]) for b in befores)}


def default_privileges(of: DefaultPrivilege, old: Acl, new: Acl, major: int) -> list[str]:
    """ALTER DEFAULT PRIVILEGES from one set of grants to the other; None is PostgreSQL's default."""
    head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(of.role)}" + (f" IN SCHEMA {quote(of.schema)}" if of.schema else "")
    on = f"ON {of.objects.upper()}"
    gone, come = _difference([held(of.objects, old, of.role, major)], held(of.objects, new, of.role, major))
    less = _together(gone, dict.fromkeys(gone, 0))
    more = _together(come, dict.fromkeys(come, 0))
    found = [f"{head} REVOKE {'GRANT OPTION FOR ' * gone[k[0]]}{_listed(k)} {on} FROM {_role(k[0][0])}" for k in less]
    return found + [f"{head} GRANT {_listed(k)} {on} TO {_role(k[0][0])}{' WITH GRANT OPTION' * come[k[0]]}" for k in more]


def _listed(keys: Iterable[Key]) -> str:
    return ", ".join(key[1] for key in keys)


def _ranks(all_held: Held, owner: str) -> dict[Key, int]:
    """How many hands each grant has gone through: those of the owner 0, those of who holds one of them with grant option 1, ..."""
    found: dict[Key, int] = {}
    givers, rank = {(owner, privilege) for _, privilege, _ in all_held}, 0
    while givers:
        reached = {key: rank for key in all_held if key not in found and (key[2], key[1]) in givers}
        found.update(reached)
        givers, rank = {key[:2] for key in reached if all_held[key]}, rank + 1
    return {key: found.get(key, rank) for key in all_held}


def _as(grantor: str, owner: str, statement: str) -> Iterator[str]:
    if grantor in (owner, ME):
        yield statement
    else:
        yield from (f"SET ROLE {quote(grantor)}", statement, "RESET ROLE")


def _on(object: ObjectId, kind: str) -> str:  # noqa: A002
    target = object.owner.sql() if kind == "column" else object.sql()
    word = _GRANT_ON.get(kind, kind.upper())
    return f"ON {word} {target.replace('(*)', '()') if kind == 'aggregate' else target}"


def _rights(object: ObjectId, kind: str, keys: Iterable[Key]) -> str:  # noqa: A002
    return ", ".join(f"{key[1]} ({quote(object.part)})" if kind == "column" else key[1] for key in keys)


def _role(name: str) -> str:
    return "CURRENT_ROLE" if name == ME else quote(name) if name else "PUBLIC"


def _grant(object: ObjectId, kind: str, keys: tuple[Key, ...], *, option: bool) -> str:  # noqa: A002
    return f"GRANT {_rights(object, kind, keys)} {_on(object, kind)} TO {_role(keys[0][0])}{' WITH GRANT OPTION' * option}"


def _revoke(object: ObjectId, kind: str, keys: tuple[Key, ...], *, option: bool) -> str:  # noqa: A002
    return f"REVOKE {'GRANT OPTION FOR ' * option}{_rights(object, kind, keys)} {_on(object, kind)} FROM {_role(keys[0][0])}"


def taken_with_the_table(object: ObjectId, written: list[str], old: Any, new: Any) -> list[str]:  # noqa: A002
    """What REVOKE on a whole table or view takes away with it although it is wanted: the same privilege on single columns."""
    if not any(text.startswith("REVOKE") for text in written):
        return []
    there = {c.name for c in getattr(new if old is None else old, "columns", ())}
    columns: list[Column] = [c for c in getattr(new, "columns", ()) if c.acl and c.name in there]
    found: list[str] = []
    for column in columns:
        part = ObjectId("column", object.schema, object.name, column.name)
        lost = tuple(g for g in column.acl or () if g.privilege in _BY_COLUMN and _revoked(written, object, g))
        found += changes(part, "column", [Rights(new.owner, None)], Rights(new.owner, lost), 0)
    return found


def _revoked(written: list[str], object: ObjectId, grant: Grant) -> bool:  # noqa: A002
    tail = f" {_on(object, 'table')} FROM {_role(grant.grantee)}"
    heads = (t.removesuffix(tail).removeprefix("REVOKE ").removeprefix("GRANT OPTION FOR ") for t in written if t.endswith(tail))
    return any(grant.privilege in head.split(", ") for head in heads)
