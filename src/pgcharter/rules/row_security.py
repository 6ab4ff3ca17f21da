"""Row security: is it on, does it hold for the owner, does every way to the rows pass it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgcharter.catalog.model import Acl, Cluster, Grant, Table, View
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules.engine import Context, rule
from pgcharter.sqltext import Statement


def foreign_grants(acl: Acl, owner: str) -> tuple[Grant, ...]:
    """Grants to anybody but the owner; the built-in default of a relation grants to nobody else."""
    return tuple(g for g in acl or () if g.grantee != owner)


def role_sql(name: str) -> str:
    """A grantee as SQL writes it."""
    return quote(name) if name else "PUBLIC"


@rule("SEC01", "row-security-not-forced", Severity.WARNING)
def row_security_not_forced(ctx: Context) -> Iterator[Finding]:
    """Row security that its owner bypasses.

    Why: without FORCE the table's owner is not subject to the policies. Migrations, jobs and many applications log in as the owner, and
    views and SECURITY DEFINER functions run with the owner's rights, so all of them see and change every row without any error.
    Instead: `ALTER TABLE documents FORCE ROW LEVEL SECURITY`, and let maintenance use a role with BYPASSRLS.
    Except: the owner is a NOLOGIN role that nobody works as. With a live server at hand that is looked up, and nothing is said.
    """
    for table in ctx.catalog.own_tables:
        if not table.row_security or table.force_row_security or not table.policies:
            continue
        known = _owner(ctx.reading.cluster, table.owner)
        if known == "nobody":
            continue
        who = f"its owner {quote(table.owner)}" if known else "its owner"
        found = ctx.finding(
            table,
            f"table {table.id.sql()} has row security but does not force it: {who} reads and writes every row past the policies",
            fix=f"ALTER TABLE {table.id.sql()} FORCE ROW LEVEL SECURITY",
            hint="superusers and roles with BYPASSRLS are never subject to policies: applications need another role"
            if known == "superuser"
            else "",
        )
        yield replace(found, severity=Severity.ERROR) if known == "login" else found


def _owner(cluster: Cluster | None, name: str) -> str:
    """What the owner is: login, superuser, nobody (no one logs in as it or as a member of it), or empty when not known."""
    role = cluster.role.get(name) if cluster else None
    if cluster is None or role is None:
        return ""
    if role.superuser:
        return "superuser"
    members = {m.member for m in cluster.memberships if m.role == name}
    used = role.login or any(cluster.role[m].login and not cluster.role[m].superuser for m in members if m in cluster.role)
    return "login" if used else "nobody"


@row_security_not_forced.text
def _not_forced_in_text(ctx: Context) -> Iterator[Finding]:
    """ENABLE without FORCE for the same table anywhere in the text, where a policy is written for it."""
    with_policy = {(s.node.table.schemaname, s.node.table.relname) for s in ctx.reading.statements if s.kind == "create_policy_stmt"}
    enabled: dict[tuple[str, str], Statement | None] = {}
    for statement in ctx.of_kind("alter_table_stmt"):
        relation = statement.node.relation
        key = (relation.schemaname, relation.relname)
        for command in statement.node.cmds:
            subtype = command.alter_table_cmd.subtype
            if subtype == _at("AT_EnableRowSecurity", command):
                enabled.setdefault(key, statement)
            elif subtype in (_at("AT_ForceRowSecurity", command), _at("AT_DisableRowSecurity", command)):
                enabled[key] = None
    for (schema, name), enabling in enabled.items():
        if enabling is not None and (schema, name) in with_policy:
            table = ".".join(quote(p) for p in (schema, name) if p)
            yield ctx.finding(
                enabling,
                f"table {table} has row security but does not force it: its owner reads and writes every row past the policies",
                fix=f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
                detail=table,
            )


def _at(name: str, command: object) -> int:
    """Number of an AlterTableType label, taken from the message itself so that only `sqltext` imports the parser."""
    enum = command.alter_table_cmd.DESCRIPTOR.fields_by_name["subtype"].enum_type  # type: ignore[attr-defined]
    return int(enum.values_by_name[name].number)


@rule("SEC02", "policy-without-row-security", Severity.ERROR)
def policy_without_row_security(ctx: Context) -> Iterator[Finding]:
    """Policies on a table where row security is off.

    Why: CREATE POLICY does not switch row security on. Until ENABLE ROW LEVEL SECURITY runs, the policies are kept but never applied, and
    everybody with a privilege on the table reaches every row.
    Instead: `ALTER TABLE documents ENABLE ROW LEVEL SECURITY`.
    Except: policies prepared in one release and switched on in the next.
    """
    for table in ctx.catalog.own_tables:
        if table.policies and not table.row_security:
            many = f"{len(table.policies)} policies" if len(table.policies) > 1 else f"policy {quote(table.policies[0].name)}"
            unforced = () if table.force_row_security else ("FORCE",)
            yield ctx.finding(
                table,
                f"table {table.id.sql()} has {many} but row security is off: no policy is applied",
                fix=[f"ALTER TABLE {table.id.sql()} {how} ROW LEVEL SECURITY" for how in ("ENABLE", *unforced)],
            )


@rule("SEC03", "row-security-without-policy", Severity.INFO)
def row_security_without_policy(ctx: Context) -> Iterator[Finding]:
    """Row security without any policy.

    Why: with no policy every row is invisible and every write refused to all but the owner (and with FORCE to the owner too). Roles that
    were granted rights get empty results instead of an error, which is hard to find.
    Instead: `CREATE POLICY documents_of_tenant ON documents USING (...)`, or revoke the grants that can never be used.
    Except: a table that nobody has rights on is closed on purpose and is not reported.
    """
    for table in ctx.catalog.root_tables:
        if not table.row_security or table.policies:
            continue
        granted = sorted({role_sql(g.grantee) for g in foreign_grants(table.acl, table.owner)})
        if not granted:
            continue
        yield ctx.finding(
            table,
            f"table {table.id.sql()} has row security but no policy: nobody but its owner sees a row, although {', '.join(granted)} "
            f"{'has' if len(granted) == 1 else 'have'} privileges on it",
            hint=f"CREATE POLICY ... ON {table.id.sql()} USING (...), or revoke the privileges that can never be used",
        )


@rule("SEC04", "partition-beside-row-security", Severity.ERROR)
def partition_beside_row_security(ctx: Context) -> Iterator[Finding]:
    """A partition that others may query directly, past the parent's row security.

    Why: policies of a partitioned table hold for queries through the parent only. A role with a privilege on the partition itself
    reads it directly and sees every row.
    Instead: enable row security on the partition too (without a policy direct access shows nothing; access through the parent is not
    affected), or revoke privileges on partitions.
    Except: a reporting role that may see everything.
    """
    for parent, partitions in ctx.catalog.partitions.items():
        top = ctx.catalog.table.get(parent)
        if top is None or not top.row_security:
            continue
        for partition in partitions:
            granted = sorted({role_sql(g.grantee) for g in foreign_grants(partition.acl, partition.owner)})
            if granted and not partition.row_security and partition.kind != "foreign table":
                yield ctx.finding(
                    partition,
                    f"partition {partition.id.sql()} can be queried directly by {', '.join(granted)}: "
                    f"the row security of {top.id.sql()} does not hold there",
                    fix=f"ALTER TABLE {partition.id.sql()} ENABLE ROW LEVEL SECURITY",
                )


@rule("SEC12", "view-past-row-security", Severity.WARNING)
def view_past_row_security(ctx: Context) -> Iterator[Finding]:
    """A view over a table with row security that reads it with the view owner's rights.

    Why: a view checks policies as its owner, who usually owns the table too and bypasses them. Whoever may read the view reads every row.
    Instead: `ALTER VIEW documents_overview SET (security_invoker = true)` (PostgreSQL 15 and newer).
    Except: a view that publishes a chosen part on purpose; say so with `security_invoker = false`, and the view is left alone.
    """
    for view, table in _reaching(ctx, "view"):
        if view.security_invoker or any(o.startswith("security_invoker=") for o in view.options):
            continue
        policies = "its policies are applied to that owner, not to the reader"
        effect = policies if table.force_row_security else "who may read the view sees every row"
        found = ctx.finding(
            view,
            f"view {view.id.sql()} reads {table.id.sql()} with the rights of the view's owner: {effect}",
            fix=f"ALTER VIEW {view.id.sql()} SET (security_invoker = true)",
            table=table.id.sql(),
        )
        unforced = not table.force_row_security and foreign_grants(view.acl, view.owner)
        yield replace(found, severity=Severity.ERROR) if unforced else found


@rule("SEC13", "materialized-view-of-protected-rows", Severity.WARNING)
def materialized_view_of_protected_rows(ctx: Context) -> Iterator[Finding]:
    """A materialized view that shows others the rows of a table with row security.

    Why: the stored result was read with the owner's rights and has no policies of its own; PostgreSQL offers none for materialized views.
    Whoever may read it reads the rows of everybody.
    Instead: grant it to nobody but reporting roles, and publish it through a view that filters by tenant.
    Except: totals that hold nothing of a single tenant. One that nobody else may read is not reported.
    """
    for view, table in _reaching(ctx, "materialized view"):
        granted = sorted({role_sql(g.grantee) for g in foreign_grants(view.acl, view.owner)})
        if granted:
            yield ctx.finding(
                view,
                f"materialized view {view.id.sql()} holds rows of {table.id.sql()} without its row security: "
                f"{', '.join(granted)} {'reads' if len(granted) == 1 else 'read'} the rows of everybody",
                hint="grant it to reporting roles only, and publish a filtering view instead",
                table=table.id.sql(),
            )


def _reaching(ctx: Context, kind: str) -> Iterator[tuple[View, Table]]:
    """Views of `kind` with the first protected table they read, directly or through views that run as the invoker."""
    protected = {(t.schema, t.name): t for t in ctx.catalog.tables if t.row_security}
    if not protected:
        return
    views = {(v.schema, v.name): v for v in ctx.catalog.views}
    reads: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for d in ctx.catalog.dependencies:
        here = (d.dependent.schema, d.dependent.name)
        if here in views and d.dependent.kind in ("view", "materialized view"):
            reads.setdefault(here, []).append((d.referenced.schema, d.referenced.name))
    for view in ctx.catalog.own_views:
        if view.kind == kind:
            table = _first((view.schema, view.name), reads, views, protected)
            if table is not None:
                yield view, table


def _first(
    start: tuple[str, str],
    reads: dict[tuple[str, str], list[tuple[str, str]]],
    views: dict[tuple[str, str], View],
    protected: dict[tuple[str, str], Table],
) -> Table | None:
    todo, seen = list(reads.get(start, ())), {start}
    while todo:
        here = todo.pop(0)
        if here in seen:
            continue
        seen.add(here)
        if here in protected:
            return protected[here]
        if here in views and views[here].security_invoker:
            todo += reads.get(here, ())
    return None


@rule("SEC16", "truncate-past-row-security", Severity.WARNING)
def truncate_past_row_security(ctx: Context) -> Iterator[Finding]:
    """TRUNCATE granted on a table with row security.

    Why: TRUNCATE is not subject to policies: a role that may see one tenant's rows can remove the rows of all. `GRANT ALL` includes it.
    Instead: grant SELECT, INSERT, UPDATE and DELETE by name; `REVOKE TRUNCATE ON documents FROM app`.
    Except: a maintenance role that empties tables on purpose. What PUBLIC may do is told by a rule of its own.
    """
    for table in ctx.catalog.own_tables:
        if not table.row_security:
            continue
        roles = sorted({role_sql(g.grantee) for g in foreign_grants(table.acl, table.owner) if g.grantee and g.privilege == "TRUNCATE"})
        if roles:
            yield ctx.finding(
                table,
                f"table {table.id.sql()} has row security, but {', '.join(roles)} may TRUNCATE it: that removes the rows of everybody",
                fix=f"REVOKE TRUNCATE ON {table.id.sql()} FROM {', '.join(roles)}",
            )
