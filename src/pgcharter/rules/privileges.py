"""Privileges: what everybody may do, what is passed on, what new objects and append-only tables allow."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from pgcharter.catalog.model import Acl, Table, View
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import bodies, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.row_security import foreign_grants, role_sql

_WRITING = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")


@rule("SEC23", "schema-open-to-all", Severity.ERROR)
def schema_open_to_all(ctx: Context) -> Iterator[Finding]:
    """A schema in which everybody may create objects.

    Why: who can create in a schema on others' search_path can plant functions and tables that they will use. Schema public allowed it to
    everybody before PostgreSQL 15, and a database that was upgraded from then still does.
    Instead: `REVOKE CREATE ON SCHEMA public FROM PUBLIC`.
    Except: a private playground database.
    """
    for schema in ctx.catalog.schemas:
        if any(g.grantee == "" and g.privilege == "CREATE" for g in schema.acl or ()):
            yield ctx.finding(
                schema,
                f"everybody may create objects in schema {quote(schema.name)}, also such as take the place of yours",
                fix=f"REVOKE CREATE ON SCHEMA {quote(schema.name)} FROM PUBLIC",
            )


@rule("SEC24", "writable-by-everyone", Severity.WARNING)
def writable_by_everyone(ctx: Context) -> Iterator[Finding]:
    """A table that PUBLIC may change.

    Why: PUBLIC is every role there is and will be, read-only and monitoring roles included.
    Instead: grant to a role that stands for the task, and make people members of it.
    Except: tables under row security whose policies decide; those are not reported.
    """
    for table in ctx.catalog.own_tables:
        rights = [p for p in _WRITING if any(g.grantee == "" and g.privilege == p for g in table.acl or ())]
        if rights and (not table.row_security or "TRUNCATE" in rights):
            yield ctx.finding(
                table,
                f"every role may {', '.join(rights)} on table {table.id.sql()}",
                fix=f"REVOKE {', '.join(rights)} ON {table.id.sql()} FROM PUBLIC",
            )


@rule("SEC25", "grant-option", Severity.INFO)
def grant_option(ctx: Context) -> Iterator[Finding]:
    """A privilege that may be passed on.

    Why: with WITH GRANT OPTION the holder decides who else gets it, and taking it back needs CASCADE along a chain nobody wrote down.
    Instead: `REVOKE GRANT OPTION FOR SELECT ON orders FROM app`, and let the owner grant.
    Except: delegated administration by design.
    """
    for target, keyword, acl, owner in _granted_objects(ctx):
        by_role: dict[str, list[str]] = defaultdict(list)
        for g in foreign_grants(acl, owner):
            if g.grantable:
                by_role[g.grantee].append(g.privilege)
        for role, rights in by_role.items():
            yield ctx.finding(
                target,
                f"{role_sql(role)} may pass on {', '.join(rights)} on {target}",
                fix=f"REVOKE GRANT OPTION FOR {', '.join(rights)} ON {keyword} {target.sql()} FROM {role_sql(role)}",
                detail=role,
            )


def _granted_objects(ctx: Context) -> Iterator[tuple[ObjectId, str, Acl, str]]:
    catalog = ctx.catalog
    relations: tuple[Table | View, ...] = (*catalog.own_tables, *catalog.own_views)
    for relation in relations:
        yield relation.id, "TABLE", relation.acl, relation.owner
    for function in catalog.own_functions:
        yield function.id, "PROCEDURE" if function.kind == "procedure" else "FUNCTION", function.acl, function.owner
    for schema in catalog.schemas:
        yield schema.id, "SCHEMA", schema.acl, schema.owner
    for sequence in catalog.sequences:
        if not sequence.extension:
            yield sequence.id, "SEQUENCE", sequence.acl, sequence.owner


_PATTERN = 5
"""So many tables with the same grant are no chance."""


@rule("SEC26", "grant-without-default-privileges", Severity.INFO)
def grant_without_default_privileges(ctx: Context) -> Iterator[Finding]:
    """A role with rights on every table of a schema, but not on the next one.

    Why: `GRANT ... ON ALL TABLES` is a snapshot. The next table is not in it, and the first query on it fails in production. Default
    privileges hold only for tables made by the role they were declared for.
    Instead: `ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA app GRANT SELECT ON TABLES TO reader`.
    Except: grants that are made table by table on purpose. Five tables with the same grant are taken for a pattern; a text that holds
    the GRANT itself is left to the rule on statements.
    """
    if ctx.reading.statements:
        return
    by_schema: dict[tuple[str, str], list[Table]] = defaultdict(list)
    for table in ctx.catalog.own_tables:
        by_schema[table.schema, table.owner].append(table)
    declared = {(d.schema, d.role, g.grantee) for d in ctx.catalog.default_privileges if d.objects == "tables" for g in d.grants}
    for (schema, owner), tables in sorted(by_schema.items()):
        if len(tables) < _PATTERN:
            continue
        for role, rights in sorted(_everywhere(tables, owner).items()):
            if role and (schema, owner, role) not in declared and ("", owner, role) not in declared:
                yield ctx.finding(
                    ObjectId("schema", "", schema),
                    f"{quote(role)} has {', '.join(rights)} on all {len(tables)} tables of schema {quote(schema)} owned by {quote(owner)}, "
                    "but on no table made from now on",
                    fix=f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(owner)} IN SCHEMA {quote(schema)} "
                    f"GRANT {', '.join(rights)} ON TABLES TO {quote(role)}",
                    detail=f"{owner}:{role}",
                )


def _everywhere(tables: list[Table], owner: str) -> dict[str, list[str]]:
    """Rights that a role has on every one of the tables."""
    common: dict[str, set[str]] = {}
    for position, table in enumerate(tables):
        here: dict[str, set[str]] = defaultdict(set)
        for g in foreign_grants(table.acl, owner):
            here[g.grantee].add(g.privilege)
        common = dict(here) if position == 0 else {r: p & here[r] for r, p in common.items() if r in here}
        if not common:
            break
    return {role: sorted(rights) for role, rights in common.items() if rights}


_TRAIL = r"(?:logs?|trails?|events?|entry|entries|records?|history|changes?|actions?|versions?)"
_AUDIT = re.compile(rf"(?:\A|_)audits?(?:_{_TRAIL})?\Z", re.IGNORECASE)
_EVENTS = re.compile(r"\A(?:domain_|event_store_|stored_)?events?\Z|\Aevent_(?:store|log|stream)s?\Z", re.IGNORECASE)
_KEEPERS = bodies.any_of(("retention", "archiv\\w*", "purge\\w*", "maint\\w*", "janitor", "cleanup", "partition\\w*", "dba", "admin\\w*"))


def is_audit(schema: str, name: str) -> bool:
    """Whether a table is an audit trail by its name."""
    return bool(_AUDIT.search(name)) or (schema == "audit" and bool(re.search(rf"(?:\A|_){_TRAIL}(?:_|\Z)", name, re.IGNORECASE)))


def is_event_store(table: Table) -> bool:
    """Whether a table is an event store: called events, with a stream or aggregate and a version that is unique in it."""
    if not _EVENTS.search(table.name):
        return False
    return any(
        any("version" in c or "sequence" in c for c in key) and any("aggregate" in c or "stream" in c for c in key)
        for key in table.unique_keys
    )


@rule("SEC32", "append-only-table-writable", Severity.WARNING)
def append_only_table_writable(ctx: Context) -> Iterator[Finding]:
    """An audit trail or event store that others may change.

    Why: a trail that the audited can rewrite proves nothing; an event that changes after readers saw it can never be replayed.
    Instead: grant INSERT and SELECT only; let retention run as a role of its own.
    Except: roles for retention and maintenance may delete; they are known by their names. PUBLIC is told by a rule of its own.
    """
    for table in ctx.catalog.own_tables:
        kind = "audit trail" if is_audit(table.schema, table.name) else "event store" if is_event_store(table) else ""
        if not kind:
            continue
        by_role: dict[str, list[str]] = defaultdict(list)
        for g in foreign_grants(table.acl, table.owner):
            keeper = _KEEPERS.search(" ".join(shapes.words(g.grantee)))
            if not g.grantee:
                continue
            if g.privilege == "UPDATE" or (g.privilege in ("DELETE", "TRUNCATE") and not keeper):
                by_role[g.grantee].append(g.privilege)
        for role, rights in sorted(by_role.items()):
            yield ctx.finding(
                table,
                f"{role_sql(role)} may {', '.join(sorted(rights))} on {kind} {table.id.sql()}: what is recorded there proves nothing",
                fix=f"REVOKE {', '.join(sorted(rights))} ON {table.id.sql()} FROM {role_sql(role)}",
                detail=role,
            )


@rule("SEC33", "extension-not-allowed", Severity.WARNING, options=("allowed_extensions",))
def extension_not_allowed(ctx: Context) -> Iterator[Finding]:
    """An extension that the guide does not allow.

    Why: an extension is code in the server with the server's rights, and has to be there on every machine that restores a backup.
    Instead: ask for it to be allowed, or do without.
    Except: none; plpgsql, which every database has, is always allowed.
    """
    allowed = {*ctx.options.allowed_extensions, "plpgsql"}
    for extension in ctx.catalog.extensions:
        if ctx.options.allowed_extensions and extension.name not in allowed:
            yield ctx.finding(
                extension,
                f"extension {quote(extension.name)} is not among the allowed ones ({', '.join(sorted(allowed))})",
                hint=f"allowed_extensions in the charter, or DROP EXTENSION {quote(extension.name)}",
            )


@extension_not_allowed.text
def _extension_in_text(ctx: Context) -> Iterator[Finding]:
    allowed = {*ctx.options.allowed_extensions, "plpgsql"}
    for statement in ctx.of_kind("create_extension_stmt"):
        name = statement.node.extname
        if ctx.options.allowed_extensions and name not in allowed:
            yield ctx.finding(
                statement,
                f"extension {quote(name)} is not among the allowed ones ({', '.join(sorted(allowed))})",
                hint="allowed_extensions in the charter",
                detail=name,
            )
