"""Roles and memberships: from what a server has to what is wanted, as steps. Passwords are no part of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

from pgcharter.catalog.model import Acl, Cluster, Database, Membership, Role
from pgcharter.catalog.privileges import default
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan import ddl_settings
from pgcharter.plan.ddl_privileges import Rights, changes
from pgcharter.plan.model import Grade, Phase, Step

_POWERS = {
    "superuser": "SUPERUSER", "inherit": "INHERIT", "create_role": "CREATEROLE", "create_database": "CREATEDB", "login": "LOGIN",
    "replication": "REPLICATION", "bypass_row_security": "BYPASSRLS",
}  # fmt: skip


def come(a: Cluster, b: Cluster, owners: Collection[str] = ()) -> tuple[Step, ...]:
    """What must be there before anything is granted: roles made and altered, members added.

    `owners` are roles that objects will belong to: who hands an object over must be able to act as its new owner, and whoever makes a role
    without being a superuser is not (documentation, ALTER TABLE and CREATE ROLE).
    """
    return tuple(_steps(chain(_made(a, b), _acting(a, b, owners)), Phase.EXPAND))


def gone(a: Cluster, b: Cluster) -> tuple[Step, ...]:
    """What may go after all is revoked: members and roles."""
    return tuple(_steps(_unmade(a, b), Phase.CONTRACT))


def let_in(a: Database, b: Database, major: int) -> tuple[Step, ...]:
    """Who may connect from now on, make temporary tables and schemas: before releases that log in as somebody new."""
    return _of_database(a, b, Rights(a.owner, a.acl), Rights(b.owner, _either(a, b, major)), major, Phase.EXPAND)


def shut_out(a: Database, b: Database, major: int) -> tuple[Step, ...]:
    """Who may no longer: after the releases that no longer log in as them."""
    return _of_database(a, b, Rights(a.owner, _either(a, b, major)), Rights(b.owner, b.acl), major, Phase.CONTRACT)


def _either(a: Database, b: Database, major: int) -> Acl:
    """The privileges of both sides, those that PostgreSQL gives by itself written out; None where both have these."""
    if a.acl is None and b.acl is None:
        return None
    given = [d.acl if d.acl is not None else default("database", d.owner, major) for d in (a, b)]
    return tuple(sorted({*(given[0] or ()), *(given[1] or ())}))


def _of_database(a: Database, b: Database, old: Rights, new: Rights, major: int, phase: Phase) -> tuple[Step, ...]:
    """From some privileges on the database to others, whatever it is called where the steps run."""
    at, here = ObjectId("database", "", b.name or a.name), ObjectId("database", "", "")
    title = "who may connect to the database" if phase is Phase.EXPAND else "who may no longer connect to the database"
    return tuple(Step(_in_this(sql, at), title, here, phase) for sql in changes(at, "database", [old], new, major))


def _in_this(sql: str, at: ObjectId) -> str:
    """A statement about a database by name, as one about the database that it runs in."""
    head, on, tail = sql.partition(f" ON DATABASE {at.sql()} ")
    if not on:
        return sql
    template = literal(f"{head} ON DATABASE %I {tail}".replace("%", "%%").replace("%%I", "%I", 1))
    return f"DO $pgcharter$BEGIN EXECUTE format({template}, current_database()); END$pgcharter$"


_Change = tuple[str, str, ObjectId, str]
"""SQL, title, address, what is lost for good."""


def _steps(changes: Iterator[_Change], phase: Phase) -> Iterator[Step]:
    for sql, title, at, loses in changes:
        yield Step(sql, title, at, phase, grade=Grade.LOSSY if loses else Grade.LOSSLESS, loses=loses)


def _made(a: Cluster, b: Cluster) -> Iterator[_Change]:
    for role in b.roles:
        old = a.role.get(role.name)
        options = _options(old or Role(role.name), role, new=old is None)
        if old is None:
            yield f"CREATE ROLE {quote(role.name)} {options}", f"create {role.id}", role.id, ""
        elif options:
            yield f"ALTER ROLE {quote(role.name)} {options}", f"alter {role.id}", role.id, ""
        yield from _settings(old or Role(role.name), role)
        if (old.comment if old else "") != role.comment:
            text = literal(role.comment) if role.comment else "NULL"
            yield f"COMMENT ON ROLE {quote(role.name)} IS {text}", f"comment on {role.id}", role.id, ""
    there = {_held(m, a) for m in a.memberships}
    for membership in sorted(m for m in b.memberships if _held(m, a) not in there):
        yield _granted(membership, b), f"{quote(membership.member)} is {quote(membership.role)}", _of(membership), ""


def _unmade(a: Cluster, b: Cluster) -> Iterator[_Change]:
    kept = {_pair(m) for m in b.memberships}
    for m in sorted(m for m in a.memberships if _pair(m) not in kept and m.member in b.role and m.role in b.role):
        by = f" GRANTED BY {quote(m.grantor)}" if m.grantor and a.server_version >= 160000 else ""
        yield f"REVOKE {quote(m.role)} FROM {quote(m.member)}{by}", f"{quote(m.member)} is no longer {quote(m.role)}", _of(m), ""
    for role in a.roles:
        if role.name not in b.role:
            loses = f"the password of {role.id}" if role.login else ""
            yield f"DROP ROLE {quote(role.name)}", f"drop {role.id}", role.id, loses


def _acting(a: Cluster, b: Cluster, owners: Collection[str]) -> Iterator[_Change]:
    """Membership of whoever runs the steps in new roles that own something; a superuser needs none."""
    options = " WITH INHERIT TRUE, SET TRUE" if b.server_version >= 160000 else ""
    for role in b.roles:
        if role.name in owners and role.name not in a.role:
            grant = literal(f"GRANT {quote(role.name)} TO %I{options}".replace("%", "%%").replace("TO %%I", "TO %I"))
            text = (
                "DO $pgcharter$BEGIN IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN"
                f" EXECUTE format({grant}, current_user); END IF; END$pgcharter$"
            )
            yield text, f"who runs this may act as {role.id}, unless a superuser", role.id, ""


def _held(m: Membership, cluster: Cluster) -> tuple[object, ...]:
    """What a membership gives, whoever granted it; what it allows by itself is told apart from 16 on."""
    return (m.role, m.member, m.admin, *((m.inherit, m.set) if cluster.server_version >= 160000 else ()))


def _pair(m: Membership) -> tuple[str, str]:
    return m.role, m.member


def _of(membership: Membership) -> ObjectId:
    return ObjectId("role", "", membership.member)


def _options(old: Role, role: Role, *, new: bool) -> str:
    """The words after CREATE or ALTER ROLE; empty when nothing differs."""
    words = [f"{'' if getattr(role, n) else 'NO'}{word}" for n, word in _POWERS.items() if getattr(role, n) != getattr(old, n)]
    if new and not role.login:
        words.append("NOLOGIN")
    if role.connection_limit != old.connection_limit:
        words.append(f"CONNECTION LIMIT {role.connection_limit}")
    if role.valid_until != old.valid_until:
        words.append(f"VALID UNTIL {literal(role.valid_until or 'infinity')}")
    return " ".join(words)


def _settings(old: Role, role: Role) -> Iterator[_Change]:
    before, after = (dict(s.split("=", 1) for s in r.settings) for r in (old, role))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        value = ddl_settings.assigned(name, after[name]) if name in after else f"RESET {ddl_settings.named(name)}"
        yield f"ALTER ROLE {quote(role.name)} {value}", f"{'set' if name in after else 'reset'} {name} for {role.id}", role.id, ""


def _granted(m: Membership, cluster: Cluster) -> str:
    """GRANT of a role; from 16 on with what the member may do with it (documentation, GRANT)."""
    if cluster.server_version and cluster.server_version < 160000:
        return f"GRANT {quote(m.role)} TO {quote(m.member)}{' WITH ADMIN OPTION' * m.admin}"
    options = ", ".join(f"{word} {str(value).upper()}" for word, value in (("ADMIN", m.admin), ("INHERIT", m.inherit), ("SET", m.set)))
    return f"GRANT {quote(m.role)} TO {quote(m.member)} WITH {options}"
