"""Who owns and who only uses: applications that work as the owner, readers that may write, defaults declared for the wrong creator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pgcharter.catalog.model import Cluster, DefaultPrivilege, Function, Grant, Table, UserType, View
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.row_security import foreign_grants, role_sql

_WRITING = frozenset({"INSERT", "UPDATE", "DELETE", "TRUNCATE"})


def _granted(table: Table) -> tuple[Grant, ...]:
    """What others than the owner may do with a table or its columns."""
    columns = tuple(g for c in table.columns for g in foreign_grants(c.acl, table.owner))
    return (*foreign_grants(table.acl, table.owner), *columns)


def _members(cluster: Cluster, group: str) -> list[str]:
    """Roles that are members of `group`, directly or not, superusers left out."""
    below: dict[str, list[str]] = defaultdict(list)
    for m in cluster.memberships:
        below[m.role].append(m.member)
    found, todo = set[str](), [group]
    while todo:
        for member in below.get(todo.pop(), ()):
            if member not in found:
                found.add(member)
                todo.append(member)
    return sorted(r for r in found if r in cluster.role and not cluster.role[r].superuser)


@rule("SEC36", "application-works-as-owner", Severity.WARNING, needs="cluster")
def application_works_as_owner(ctx: Context) -> Iterator[Finding]:
    """Nobody but their owner has rights on the tables, so the application works as their owner.

    Why: an owner may drop and alter its tables, switch off triggers and row security, and grant everything to anybody. One hole in the
    application is then a hole in the schema.

    Instead: an owner that migrations run as, and a role for the application that may only read and write rows.

        CREATE ROLE shop_app LOGIN;
        GRANT USAGE ON SCHEMA app TO shop_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO shop_app;
        ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA app GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop_app;

    Except: owners that nobody logs in as, tables that others reach through views or SECURITY DEFINER functions, and servers where a role
    may write all data (pg_write_all_data).
    """
    if _members(ctx.cluster, "pg_write_all_data") or _has_other_doors(ctx):
        return
    by_owner: dict[str, list[Table]] = defaultdict(list)
    for table in ctx.catalog.root_tables:
        by_owner[table.owner].append(table)
    if any(_granted(t) for tables in by_owner.values() for t in tables):
        return
    for owner, tables in sorted(by_owner.items()):
        who = _works_as(ctx.cluster, owner)
        if who:
            many = f"{len(tables)} tables" if len(tables) > 1 else f"table {tables[0].id.sql()}"
            yield ctx.finding(
                ObjectId("role", "", owner),
                f"role {quote(owner)} owns {many} that nobody else has rights on: the application works as {who}, who may drop, alter "
                "and grant them",
                hint="a role for the application with SELECT, INSERT, UPDATE and DELETE, and the owner for migrations only",
                tables=len(tables),
            )


def _has_other_doors(ctx: Context) -> bool:
    """Whether others are let in by a view or a function that works with its owner's rights."""
    views = any(foreign_grants(v.acl, v.owner) for v in ctx.catalog.own_views)
    return views or any(f.security_definer and f.returns not in ("trigger", "event_trigger") for f in ctx.catalog.own_functions)


def _works_as(cluster: Cluster, owner: str) -> str:
    """How somebody works as this owner; empty when nobody can or the server does not tell."""
    role = cluster.role.get(owner)
    if role is None:
        return ""
    if role.superuser:
        return "superuser"
    members = [m for m in _members(cluster, owner) if cluster.role[m].login]
    return "their owner" if role.login or members else ""


@rule("SEC37", "no-role-that-only-reads", Severity.INFO, needs="cluster")
def no_role_that_only_reads(ctx: Context) -> Iterator[Finding]:
    """Whoever may read the tables may also write them: there is no role that only reads.

    Why: reports, exports and people who look something up use the role that can change everything; a mistake there changes data, and a
    replica's read traffic cannot be told from the rest.

    Instead: `CREATE ROLE shop_reader; GRANT SELECT ON ALL TABLES IN SCHEMA app TO shop_reader`, and default privileges for what comes.

    Except: a member of pg_read_all_data that may write nothing is such a role. Where nobody but the owner has rights at all, another rule
    speaks.
    """
    writers, readers = set[str](), set[str]()
    for table in ctx.catalog.root_tables:
        for g in _granted(table):
            writers |= {g.grantee} if g.privilege in _WRITING else set()
            readers |= {g.grantee} if g.privilege == "SELECT" else set()
    everywhere = set(_members(ctx.cluster, "pg_read_all_data")) - set(_members(ctx.cluster, "pg_write_all_data"))
    both = sorted(writers & readers)
    if both and not (readers - writers) and not (everywhere - writers):
        yield ctx.finding(
            ObjectId("role", "", both[0] or "public"),
            f"{' and '.join(map(role_sql, both[:3]))} may read and write the tables, and no role may only read "
            "them: reports run with the right to change everything",
            hint="CREATE ROLE ..., GRANT SELECT ON ALL TABLES IN SCHEMA ... to it, and ALTER DEFAULT PRIVILEGES for tables to come",
        )


_PATTERN = 2
"""So many tables without the default's grants are no chance."""


@rule("SEC42", "default-privileges-of-another-role", Severity.WARNING)
def default_privileges_of_another_role(ctx: Context) -> Iterator[Finding]:
    """Default privileges are declared for a role that makes no tables, and the tables of the one that does lack them.

    Why: ALTER DEFAULT PRIVILEGES holds for what the role it names creates, and without FOR ROLE it names whoever ran it. Declared by an
    administrator, it does nothing for the tables that migrations make: each new one cannot be read until somebody grants by hand.

    Instead: `ALTER DEFAULT PRIVILEGES FOR ROLE migrator IN SCHEMA app GRANT SELECT ON TABLES TO reader`, and the grants that are missing.

    Except: a single table without the grant may be meant so; a default for all schemas, where the role has no right on any table of the
    owner, is for other tables.
    """
    by_schema: dict[str, list[Table]] = defaultdict(list)
    for table in ctx.catalog.root_tables:
        by_schema[table.schema].append(table)
    defaults = [d for d in ctx.catalog.default_privileges if d.objects == "tables"]
    for default in defaults:
        tables = ctx.catalog.root_tables if not default.schema else by_schema.get(default.schema, ())
        if any(t.owner == default.role for t in tables):
            continue
        for grantee, rights in _by_grantee(default):
            for owner, lacking in _lacking(tables, grantee, rights, defaults, default.schema).items():
                if len(lacking) >= _PATTERN and (default.schema or _is_let_in(tables, owner, grantee)):
                    yield _drift(ctx, default, grantee, rights, owner, lacking)


def _is_let_in(tables: Iterable[Table], owner: str, grantee: str) -> bool:
    """Whether the grantee works with tables of this owner at all: a default for every schema may be meant for quite others."""
    return any(t.owner == owner and any(g.grantee == grantee for g in t.acl or ()) for t in tables)


def _by_grantee(default: DefaultPrivilege) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, list[str]] = defaultdict(list)
    for g in default.grants:
        if g.grantee != default.role:
            found[g.grantee].append(g.privilege)
    return found.items()


def _lacking(
    tables: Iterable[Table], grantee: str, rights: list[str], defaults: Iterable[DefaultPrivilege], schema: str
) -> dict[str, list[Table]]:
    """Tables by owner that lack any of the rights, of owners who have no such default themselves."""
    served = {d.role for d in defaults if d.schema in ("", schema) and any(g.grantee == grantee for g in d.grants)}
    found: dict[str, list[Table]] = defaultdict(list)
    for table in tables:
        if table.owner not in served and table.owner != grantee:
            here = {g.privilege for g in table.acl or () if g.grantee == grantee}
            if not set(rights) <= here:
                found[table.owner].append(table)
    return found


def _drift(ctx: Context, default: DefaultPrivilege, grantee: str, rights: list[str], owner: str, lacking: list[Table]) -> Finding:
    granted = f"GRANT {', '.join(sorted(rights))} ON"
    where = f" in schema {quote(default.schema)}" if default.schema else ""
    within = f" IN SCHEMA {quote(default.schema)}" if default.schema else ""
    return ctx.finding(
        ObjectId("schema", "", default.schema) if default.schema else ObjectId("role", "", default.role),
        f"default privileges{where} for {role_sql(grantee)} hold for tables made by {quote(default.role)}, which made none: "
        f"{len(lacking)} tables made by {quote(owner)} lack {', '.join(sorted(rights))}",
        fix=(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(owner)}{within} {granted} TABLES TO {role_sql(grantee)}",
            f"{granted} {', '.join(t.id.sql() for t in lacking)} TO {role_sql(grantee)}",
        ),
        detail=f"{default.role}:{owner}:{grantee}",
        tables=[t.id.sql() for t in lacking],
    )


@rule("SEC46", "application-may-create", Severity.WARNING)
def application_may_create(ctx: Context) -> Iterator[Finding]:
    """A role that works with the rows of a schema may create objects in it, and owns none.

    Why: who can create in a schema can put a function or operator of his own where others' code finds it first, and runs it with their
    rights. An application that never creates anything does not need the right; one hole in it does.

    Instead: `REVOKE CREATE ON SCHEMA app FROM shop_app`.

    Except: roles that own something there (migrations, partition upkeep); PUBLIC is told by a rule of its own.
    """
    catalog = ctx.catalog
    made: tuple[Table | View | Function | UserType, ...] = (*catalog.tables, *catalog.views, *catalog.functions, *catalog.types)
    makers = {(o.schema, o.owner) for o in made}
    workers: dict[str, set[str]] = defaultdict(set)
    for table in ctx.catalog.root_tables:
        workers[table.schema] |= {g.grantee for g in _granted(table) if g.privilege in _WRITING}
    for schema in ctx.catalog.schemas:
        for g in schema.acl or ():
            if (
                g.privilege == "CREATE"
                and g.grantee in workers[schema.name] - {"", schema.owner}
                and (schema.name, g.grantee) not in makers
            ):
                yield ctx.finding(
                    schema,
                    f"role {quote(g.grantee)} works with rows of schema {quote(schema.name)} and may create in it, which it never did",
                    fix=f"REVOKE CREATE ON SCHEMA {quote(schema.name)} FROM {quote(g.grantee)}",
                    detail=g.grantee,
                )
