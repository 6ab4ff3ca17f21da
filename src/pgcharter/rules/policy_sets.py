"""Row policies of one table seen together: what they do to each other, which none of them shows alone."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Cluster, Policy, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.row_security import role_sql


def _protected(ctx: Context) -> Iterator[Table]:
    return (t for t in ctx.catalog.own_tables if t.row_security and t.policies)


@rule("SEC39", "write-policy-without-read-policy", Severity.WARNING)
def write_policy_without_read_policy(ctx: Context) -> Iterator[Finding]:
    """Rows may be updated or deleted by policy, and none of them may be read.

    Why: an UPDATE or DELETE that looks at the row (WHERE, RETURNING) needs the policies of SELECT as well. Without one it finds no row,
    changes nothing and reports success: `UPDATE 0`.

    Instead: a policy for SELECT with the same condition, or one policy for ALL.

    Except: a policy that is `false` is there to forbid. Whether a role reads through another one that it is a member of is only known on a
    live server; without one, any policy for reading counts.
    """
    for table in _protected(ctx):
        readers = {r for p in table.policies if p.permissive and p.command in ("all", "select") for r in p.roles}
        for policy in table.policies:
            if not policy.permissive or policy.command not in ("update", "delete") or policy.using == "false":
                continue
            blind = _blind(policy, readers, ctx.reading.cluster)
            if blind:
                who = "anybody" if blind == ["public"] else " or ".join(role_sql(r) for r in blind)
                yield ctx.finding(
                    table.part("policy", policy.name),
                    f"policy {quote(policy.name)} on {table.id.sql()} is for {policy.command.upper()}, but none lets {who} read the rows: "
                    f"{policy.command.upper()} ... WHERE finds none and changes nothing, without an error",
                    hint=f"CREATE POLICY ... ON {table.id.sql()} FOR SELECT USING ({policy.using or '...'})",
                )


def _blind(policy: Policy, readers: set[str], cluster: Cluster | None) -> list[str]:
    """Roles of the policy that certainly read nothing."""
    if not readers:
        return sorted(policy.roles)
    if "public" in readers or "public" in policy.roles or cluster is None:
        return []
    return sorted(r for r in policy.roles if not _groups(r, cluster) & readers)


def _groups(role: str, cluster: Cluster) -> set[str]:
    """The role and all that it is a member of, directly or not."""
    above: dict[str, list[str]] = {}
    for m in cluster.memberships:
        above.setdefault(m.member, []).append(m.role)
    found, todo = {role}, [role]
    while todo:
        for group in above.get(todo.pop(), ()):
            if group not in found:
                found.add(group)
                todo.append(group)
    return found


@rule("SEC40", "restrictive-policies-only", Severity.WARNING)
def restrictive_policies_only(ctx: Context) -> Iterator[Finding]:
    """All policies of a table are restrictive, so that no row passes.

    Why: restrictive policies only take away from what permissive ones give. Where none is permissive nothing is given: every query
    finds no row and every write is refused, whatever the conditions say.

    Instead: one permissive policy that says who may see what, then restrictive ones to narrow it.

    Except: a table that is to be closed needs no policy at all; policies that are all `false` say the same.
    """
    for table in _protected(ctx):
        if not any(p.permissive for p in table.policies) and not all({p.using, p.check} <= {"false", ""} for p in table.policies):
            one = len(table.policies) == 1
            yield ctx.finding(
                table,
                f"the {'only policy' if one else f'{len(table.policies)} policies'} of {table.id.sql()} "
                f"{'is' if one else 'are all'} restrictive, so no row passes for anybody but those whom row security does not bind",
                hint="create the one that says who may see what without AS RESTRICTIVE: "
                + shapes.columns_sql(p.name for p in table.policies),
            )


_FORBIDDING = {"deny", "denies", "forbid", "forbids", "block", "blocks", "prevent", "prevents", "disallow", "disallows", "prohibit"}


@rule("SEC41", "denying-policy-is-permissive", Severity.WARNING)
def denying_policy_is_permissive(ctx: Context) -> Iterator[Finding]:
    """A policy is called a denial, but it is permissive and others allow.

    Why: permissive policies are joined by OR: one that is false, or lets fewer rows through, takes nothing away from the others. What it
    was meant to deny stays allowed, and its own condition allows something more.

    Instead: `CREATE POLICY deny_archived ON documents AS RESTRICTIVE USING (NOT archived)`.

    Except: where no other policy is for the same command and role, nothing else allows; such a policy is only a note.
    """
    for table in _protected(ctx):
        for policy in table.policies:
            if not policy.permissive or not _forbids(table, policy):
                continue
            other = next(
                (o for o in table.policies if o.permissive and not _forbids(table, o) and o.using != "false" and _meet(policy, o)), None
            )
            if other is not None:
                yield ctx.finding(
                    table.part("policy", policy.name),
                    f"policy {quote(policy.name)} on {table.id.sql()} denies nothing: it is permissive, so what {quote(other.name)} allows "
                    "stays allowed",
                    fix=_restrictive(table, policy),
                )


def _forbids(table: Table, policy: Policy) -> bool:
    """Whether its name says that it denies; not where the rows are blocks, nor in "users can block others"."""
    about = set(shapes.words(table.name))
    said = shapes.words(policy.name)
    return any(
        word in _FORBIDDING and about.isdisjoint((word, f"{word}s", word.removesuffix("s"))) and before not in ("can", "may", "to")
        for before, word in zip(("", *said), said, strict=False)
    )


def _meet(one: Policy, other: Policy) -> bool:
    """Whether both are for a common command and role."""
    commands = one.command == other.command or "all" in (one.command, other.command)
    return commands and ("public" in one.roles or "public" in other.roles or bool(set(one.roles) & set(other.roles)))


def _restrictive(table: Table, policy: Policy) -> tuple[str, str]:
    """DROP and CREATE: a policy cannot be altered from permissive to restrictive."""
    roles = ", ".join("PUBLIC" if r == "public" else quote(r) for r in policy.roles)
    using = f" USING ({policy.using})" if policy.using else ""
    check = f" WITH CHECK ({policy.check})" if policy.check else ""
    return (
        f"DROP POLICY {quote(policy.name)} ON {table.id.sql()}",
        f"CREATE POLICY {quote(policy.name)} ON {table.id.sql()} AS RESTRICTIVE FOR {policy.command.upper()} TO {roles}{using}{check}",
    )
