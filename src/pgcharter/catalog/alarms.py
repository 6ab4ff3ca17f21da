"""What of a database and its server concerns security, as plain facts; and what differs between two looks, as alarms."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pgcharter.catalog.effective import Effective
from pgcharter.catalog.model import Catalog, Cluster, Role
from pgcharter.catalog.privileges import held
from pgcharter.names import ObjectId, quote

Facts = Mapping[str, Mapping[str, str]]
"""Kind of fact → object → what it is."""


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    """Something that happened since the last look."""

    kind: str
    """A kind of fact, or login, failed login, plain connection."""
    object: str
    message: str
    before: str = ""
    after: str = ""


_POWERS = {
    "superuser": "SUPERUSER", "bypass_row_security": "BYPASSRLS", "create_role": "CREATEROLE", "create_database": "CREATEDB",
    "replication": "REPLICATION",
}  # fmt: skip


def powers(role: Role) -> str:
    """What a role may do beside privileges: `SUPERUSER, LOGIN`."""
    found = [word for name, word in _POWERS.items() if getattr(role, name)]
    return ", ".join([*found, *(["LOGIN"] if role.login else [])])


def facts(catalog: Catalog, cluster: Cluster) -> Facts:
    """What is now. Texts that may be long are kept as digests."""
    tables = [t for t in catalog.own_tables if t.row_security or t.force_row_security or t.policies]
    return {
        "role": {str(r.id): powers(r) for r in cluster.roles if not r.name.startswith("pg_")},
        "membership": {f"{quote(m.member)} in {quote(m.role)}": "ADMIN" if m.admin else "member" for m in cluster.memberships},
        "grants": dict(_grants(catalog)),
        "owner": {str(o.object): o.owner for o in Effective(catalog, cluster).objects if o.of != "column" and o.owner},
        "row security": {str(t.id): f"{_on(t.row_security)}, FORCE {_on(t.force_row_security)}" for t in tables},
        "row policy": {
            str(t.part("policy", p.name)): _digest(p.command, p.permissive, p.roles, p.using, p.check) for t in tables for p in t.policies
        },
        "definer function": {
            str(f.id): _digest(f.definition or f.body, f.owner, f.settings) for f in catalog.own_functions if f.security_definer
        },
        "event trigger": {str(e.id): _digest(e.event, str(e.function), e.tags, e.enabled) for e in catalog.event_triggers},
        "extension": {str(e.id): e.version for e in catalog.extensions},
    }


def _on(value: bool) -> str:
    return "on" if value else "off"


def _digest(*values: object) -> str:
    """Of chosen values alone, so that a look by a newer pgcharter finds nothing new in what is as it was."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _grants(catalog: Catalog) -> Iterator[tuple[str, str]]:
    for o in Effective(catalog, Cluster()).objects:
        given: dict[str, list[str]] = {}
        for (grantee, privilege, _), option in sorted(held(o.of, o.acl, o.owner, catalog.major).items()):
            if grantee != o.owner:
                given.setdefault(grantee, []).append(privilege + "*" * option)
        text = "; ".join(f"{quote(who) if who else 'PUBLIC'}: {', '.join(which)}" for who, which in given.items())
        yield str(o.object), text
    for d in catalog.default_privileges:
        at = ObjectId("default privileges", d.schema, f"{d.role} on {d.objects}")
        yield str(at), "; ".join(sorted(f"{g.grantee or 'PUBLIC'}: {g.privilege}" for g in d.grants))


def alarms(old: Facts, new: Facts) -> Iterator[Alarm]:
    """What is there now and was not, is gone, or is another."""
    for kind, now in new.items():
        was = old.get(kind, {})
        for name in sorted(was.keys() | now.keys()):
            before, after = was.get(name), now.get(name)
            if before != after and (before or after or kind not in ("grants", "owner")):
                message = _message(kind, name, before, after)
                if message:
                    yield Alarm(kind, name, message, before or "", after or "")


_BY = {
    "grants": "GRANT|REVOKE|PRIVILEGES", "owner": "OWNER|CREATE|REASSIGN", "row security": "ROW LEVEL SECURITY", "row policy": "POLICY",
    "definer function": "FUNCTION|PROCEDURE", "event trigger": "EVENT TRIGGER", "extension": "EXTENSION", "role": "ROLE|USER",
    "membership": "GRANT|REVOKE|ROLE",
}  # fmt: skip
"""Words of the statements that change a fact of each kind."""


def explained(found: Iterable[Alarm], migrations: Iterable[tuple[str, str]]) -> tuple[tuple[tuple[Alarm, str], ...], tuple[Alarm, ...]]:
    """Alarms that a statement of a migration (title, text) accounts for, with its title; and those that none does.

    A statement accounts for an alarm when it is of the kind that makes such a change and names the object.
    """
    statements = [(title, statement) for title, text in migrations for statement in text.split(";")]
    whose = {alarm: next((t for t, s in statements if _accounts(s, alarm)), "") for alarm in found}
    return tuple((a, t) for a, t in whose.items() if t), tuple(a for a, t in whose.items() if not t)


def _accounts(statement: str, alarm: Alarm) -> bool:
    words = _BY.get(alarm.kind)
    if words is None or not re.search(rf"\b(?:{words})\b", statement, re.IGNORECASE):
        return False
    names = re.findall(r'"(?:[^"]|"")+"|[\w$]+', alarm.object.partition("(")[0])
    wanted = names[-2:] if alarm.object.startswith(("column ", "policy ")) else names[-1:]
    if alarm.kind == "membership":
        wanted = [names[0], names[-1]]
    return all(re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", statement) for name in wanted)


_SUBJECTS = {"row policy", "definer function", "event trigger"}


def _message(kind: str, name: str, before: str | None, after: str | None) -> str:
    if kind == "grants":
        return f"privileges on {name} are {after or 'none'}" + (f", were {before}" if before else "") if after is not None else ""
    if kind == "owner":
        return f"{name} belongs to {after}, belonged to {before}" if before and after else ""
    if kind == "role":
        if before is None:
            return f"{name} is new" + (f", with {after}" if after else "")
        return f"{name} is gone" if after is None else f"{name} has {after or 'no powers'}, had {before or 'none'}"
    if kind == "membership":
        return f"{name} is new ({after})" if before is None else f"{name} is gone" if after is None else f"{name} is {after}, was {before}"
    if kind == "row security":
        return f"row security of {name} is {after or 'off, FORCE off'}, was {before or 'off, FORCE off'}"
    if before is None:
        return f"{name} is new" + ("" if kind in _SUBJECTS else f" ({after})")
    if after is None:
        return f"{name} is gone"
    return f"{name} is another" if kind in _SUBJECTS else f"{name} is {after}, was {before}"
