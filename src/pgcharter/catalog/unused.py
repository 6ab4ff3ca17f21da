"""What nobody uses: roles without a purpose, and privileges whose use the server would have counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pgcharter.catalog.effective import Effective, Right
from pgcharter.catalog.model import Role
from pgcharter.findings import Gap
from pgcharter.names import ObjectId


@dataclass(frozen=True, slots=True)
class Counted:
    """What a server has counted for one table, partitions included, whoever did it."""

    reads: int = 0
    """Scans of the table or of one of its indexes; those of UPDATE and DELETE are among them."""
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class Usage:
    """Traces of roles at work."""

    since: str = ""
    """When the counters of this database began; empty when the server does not say."""
    tables: Mapping[ObjectId, Counted] = field(default_factory=dict)
    entries: Mapping[str, bool] = field(default_factory=dict)
    """Roles that objects of any database name as owner (then true), grantee or in a row policy."""
    sessions: frozenset[str] = frozenset()
    """Roles with a session right now, in any database."""
    statements: Mapping[str, int] | None = None
    """By role, statements that pg_stat_statements has counted in all databases; None where it is not there or may not be read."""
    gaps: tuple[Gap, ...] = ()


def unused_roles(effective: Effective, usage: Usage) -> Iterator[tuple[Role, str]]:
    """Roles of the project's own that do nothing, each with what tells so."""
    memberships = effective.cluster.memberships
    groups = {m.role for m in memberships if not _administers_only(m.admin, inherit=m.inherit, set_=m.set)}
    members = {m.member for m in memberships}
    for role in effective.cluster.roles:
        if role.name.startswith("pg_") or role.superuser or role.name in usage.sessions or (usage.statements or {}).get(role.name):
            continue
        idle = role.name not in usage.entries and role.name not in groups
        if not role.login and role.name not in groups and not usage.entries.get(role.name):
            yield role, "cannot log in, has no members and owns nothing" + (", and has no privileges in any database" if idle else "")
        elif role.login and idle and role.name not in members:
            yield role, "owns nothing, has no privileges in any database, belongs to no role and has no session"
        elif role.login and usage.statements is not None:
            yield role, "has run no statement that pg_stat_statements remembers, and has no session"


def _administers_only(admin: bool, *, inherit: bool, set_: bool) -> bool:
    """What PostgreSQL 16 and later give to whoever makes a role: that is no use of it."""
    return admin and not inherit and not set_


_COUNTERS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted", "SELECT": "reads"}


def unused_rights(effective: Effective, usage: Usage) -> Iterator[Right]:
    """Privileges on tables that were granted and that nobody at all has used since the counters began."""
    for right in effective.rights():
        counter = _COUNTERS.get(right.privilege)
        counted = usage.tables.get(right.object)
        if counter and counted and getattr(counted, counter) == 0 and any(w.how in ("grant", "public") for w in right.ways):
            yield right
