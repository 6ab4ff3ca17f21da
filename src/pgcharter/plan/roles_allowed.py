"""Whether a role may do what a plan does with roles: asked before anything is applied, since a plan runs in several transactions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pgcharter.catalog.model import Cluster, Role
from pgcharter.names import quote
from pgcharter.plan.model import Step

_SUBJECT = re.compile(r'(?:GRANT|REVOKE) ("(?:[^"]|"")+"|\w+) (?:TO|FROM) ')
_OWNER = re.compile(r'\A(?:ALTER|DO) .* OWNER TO ("(?:[^"]|"")+"|\w+)', re.DOTALL)
_STRONG = re.compile(r"\b(?:NO)?(SUPERUSER|REPLICATION|BYPASSRLS|CREATEDB)\b")


def lacking(there: Cluster, steps: Iterable[Step], who: str) -> tuple[str, str]:
    """What a role lacks for the steps that make, change and join roles: a sentence and its remedy; empty when it lacks nothing.

    From PostgreSQL 16 on CREATEROLE is worth something for roles that one has the ADMIN OPTION on, those that one made (documentation,
    Role Attributes).
    """
    me = there.role.get(who, Role(who))
    steps = list(steps)
    wanted = [s for s in steps if s.object.kind == "role" and not s.sql.startswith("DO ")]
    if me.superuser:
        return "", ""
    if wanted and not me.create_role:
        return (
            f"role {quote(who)} may not make or change roles, which {len(wanted)} steps do; the first would {wanted[0].title}",
            f"as a superuser: ALTER ROLE {quote(who)} CREATEROLE, or connect as a role that has it",
        )
    return next(filter(any, (*(_refused(there, step, me) for step in wanted), *_handing(there, steps, me))), ("", ""))


def _handing(there: Cluster, steps: Iterable[Step], me: Role) -> Iterator[tuple[str, str]]:
    """Roles that are there and get objects: whoever hands these over must be able to become that role (documentation, ALTER TABLE)."""
    names = {match[1][1:-1].replace('""', '"') if match[1].startswith('"') else match[1] for s in steps if (match := _OWNER.search(s.sql))}
    for name in sorted(names & there.role.keys() - {me.name}):
        old = there.server_version < 160000
        if not any(name in (m.role, *_of_which(m.role, there)) and m.member == me.name and (old or m.set) for m in there.memberships):
            yield (
                f"role {quote(me.name)} may not hand anything over to role {quote(name)}, since it may not become it",
                f"GRANT {quote(name)} TO {quote(me.name)}{'' if old else ' WITH INHERIT TRUE, SET TRUE'}",
            )


def _refused(there: Cluster, step: Step, me: Role) -> tuple[str, str]:
    found = _SUBJECT.match(step.sql)
    name = (found[1][1:-1].replace('""', '"') if found[1].startswith('"') else found[1]) if found else step.object.name
    old, strong = there.role.get(name), set(_STRONG.findall(step.sql)) if not found else set()
    mine = {"CREATEDB": True}
    if there.server_version >= 160000:
        mine = {"CREATEDB": me.create_database, "BYPASSRLS": me.bypass_row_security, "REPLICATION": me.replication}
    strong = {word for word in strong if not mine.get(word)}
    if (old and old.superuser) or strong:
        what = (
            f"role {quote(name)} is a superuser"
            if old and old.superuser
            else f"only who has {', '.join(sorted(strong))} may give or take it"
        )
        return f"role {quote(me.name)} may not {step.title}: {what}", "run it as a superuser"
    admin = any(m.admin and m.role == name and m.member in (me.name, *_of_which(me.name, there)) for m in there.memberships)
    if there.server_version < 160000 or old is None or admin or (name == me.name and not found):
        return "", ""
    return (
        f"role {quote(me.name)} may not {step.title}: it has no ADMIN OPTION on role {quote(name)}, which somebody else made",
        f"as a superuser: GRANT {quote(name)} TO {quote(me.name)} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
    )


def _of_which(name: str, there: Cluster) -> set[str]:
    """Roles whose rights a role has by itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        member = waiting.pop()
        new = {m.role for m in there.memberships if m.member == member and m.inherit} - found
        found |= new
        waiting += new
    return found
