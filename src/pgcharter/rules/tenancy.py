"""Tenants kept apart by rows: tables without protection, indexes and keys that forget the tenant, settings that outlive a transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies, shapes
from pgcharter.rules.engine import Context, rule


@rule("SEC09", "tenant-table-without-row-security", Severity.ERROR, options=("tenant_isolation", "tenant_column"))
def tenant_table_without_row_security(ctx: Context) -> Iterator[Finding]:
    """A table of tenants' rows without row security.

    Why: where tenants are kept apart by rows, one forgotten WHERE in the application shows a customer another customer's data.
    Instead: enable and force row security, and a policy on the tenant column.
    Except: the table of tenants itself.
    """
    if ctx.options.tenant_isolation != "rows":
        return
    tenant = ctx.options.tenant_column
    for table in ctx.catalog.root_tables:
        if tenant not in table.column or table.row_security or table.kind == "foreign table" or _is_tenants(table, tenant):
            continue
        address = table.id.sql()
        policy = () if table.policies else (f"CREATE POLICY tenant_isolation ON {address} USING ({_condition(table, tenant)})",)
        yield ctx.finding(
            table,
            f"table {address} holds rows of tenants but has no row security: one forgotten WHERE shows them to another tenant",
            fix=(f"ALTER TABLE {address} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {address} FORCE ROW LEVEL SECURITY", *policy),
        )


def _is_tenants(table: Table, tenant: str) -> bool:
    key = table.primary_key
    return key is not None and key.columns == (tenant,) and not any(tenant in fk.columns for fk in table.foreign_keys)


def _condition(table: Table, tenant: str) -> str:
    type_ = table.column[tenant].type
    value = f"NULLIF(current_setting('app.{tenant}', true), '')"
    return f"{quote(tenant)} = {value if shapes.is_text(type_) else f'{value}::{type_.sql}'}"


@rule("SEC10", "tenant-column-not-indexed", Severity.WARNING, options=("tenant_column",))
def tenant_column_not_indexed(ctx: Context) -> Iterator[Finding]:
    """A policy on a tenant column that leads no index.

    Why: the policy's condition is added to every query. Without an index that begins with the tenant column every query reads all tenants.
    Instead: begin the table's indexes with it: `CREATE INDEX ON orders (tenant_id, created_at)`.
    Except: small tables. A foreign key column is left to the rule on foreign keys without index.
    """
    tenant = ctx.options.tenant_column
    for table in ctx.catalog.root_tables:
        if not table.row_security or tenant not in table.column or not any(bodies.uses(p.using, tenant) for p in table.policies):
            continue
        rows = ctx.rows(table)
        if (rows is not None and rows < 1000) or table.kind == "foreign table" or tenant in table.partition_columns:
            continue
        leads = any(i.valid and not i.predicate and i.columns[:1] == (tenant,) for i in table.indexes)
        if not leads and not any(fk.columns[:1] == (tenant,) for fk in table.foreign_keys):
            yield ctx.finding(
                table,
                f"no index of {table.id.sql()} begins with {quote(tenant)}, which its policy adds to every query: each reads all tenants",
                fix=shapes.create_index(ctx, table, (tenant,)),
            )


@rule("SEC11", "unique-across-tenants", Severity.INFO, options=("tenant_isolation", "tenant_column"))
def unique_across_tenants(ctx: Context) -> Iterator[Finding]:
    """A unique text column that spans tenants.

    Why: uniqueness is checked past row security. A tenant who tries a value learns from the error that another tenant has it, and cannot
    use it.
    Instead: `UNIQUE (tenant_id, code)`.
    Except: values that must be unique for all, such as host names or log-in names, and random tokens that nobody can guess.
    """
    if ctx.options.tenant_isolation != "rows":
        return
    tenant = ctx.options.tenant_column
    secret = bodies.any_of(("token", "hash", "digest", "secret", "nonce", "key"))
    for table in ctx.catalog.root_tables:
        if tenant not in table.column or not table.row_security or _is_tenants(table, tenant):
            continue
        for constraint in table.constraints:
            if constraint.kind != "unique" or tenant in constraint.columns:
                continue
            columns = [table.column[c] for c in constraint.columns if c in table.column]
            if any(secret.search(" ".join(shapes.words(c.name))) for c in columns) or not all(shapes.is_text(c.type) for c in columns):
                continue
            yield ctx.finding(
                table.part("constraint", constraint.name),
                f"unique constraint {quote(constraint.name)} of {table.id.sql()} spans tenants: its error tells what others have",
                hint=f"UNIQUE ({shapes.columns_sql((tenant, *constraint.columns))})",
            )


@rule("SEC17", "function-sets-tenant-for-session", Severity.ERROR)
def function_sets_tenant_for_session(ctx: Context) -> Iterator[Finding]:
    """A function that sets an application setting for the whole session.

    Why: with a connection pool the session goes on to serve somebody else. `set_config(..., false)` leaves the tenant or user of the last
    request in place, and the next request that sets none works with it.
    Instead: `set_config('app.tenant_id', ..., true)`, which ends with the transaction.
    Except: applications that hold one connection per user and never pool.
    """
    for function in ctx.catalog.own_functions:
        if bodies.readable(function) and "set_config" in function.body.lower():
            for name in _session_settings(function.body):
                yield ctx.finding(
                    function,
                    f"function {function.id.sql()} sets {name} for the whole session: through a pool the next user inherits it",
                    hint=f"set_config('{name}', ..., true) ends with the transaction",
                    detail=name,
                )


@function_sets_tenant_for_session.text
def _sets_in_text(ctx: Context) -> Iterator[Finding]:
    for statement in ctx.of_kind("create_function_stmt"):
        if "set_config" in statement.text.lower():
            for name in _session_settings(_body(statement.text)):
                yield ctx.finding(
                    statement,
                    f"the function sets {name} for the whole session: through a pool the next user inherits it",
                    hint=f"set_config('{name}', ..., true) ends with the transaction",
                    detail=name,
                )


def _body(text: str) -> str:
    found = re.search(r"\$(\w*)\$(.*)\$\1\$", text, re.DOTALL)
    return found[2] if found else text


def _session_settings(text: str) -> Iterator[str]:
    for call in bodies.calls(text, "set_config"):
        if len(call.arguments) == 3 and call.arguments[2].lower() in ("false", "'false'", "'f'"):
            name = re.fullmatch(r"'([^']+\.[^']+)'", call.arguments[0])
            if name and is_application_setting(name[1]):
                yield name[1]


EXTENSION_SETTINGS = frozenset(
    """
    anon auth_delay auto_explain citus columnar cron diskann duckdb graphql hnsw ivfflat orioledb paradedb passwordcheck pg_cron pg_duckdb
    pg_hint_plan pg_partman_bgw pg_prewarm pg_stat_statements pg_trgm pgaudit pglogical pgrst pgsodium pljava plperl plpgsql plpython pltcl
    plv8 postgis postgres_fdw rum sepgsql squeeze timescaledb vchord wal2json
    """.split()  # noqa: SIM905
)
"""Prefixes of settings that belong to extensions: for those a session-wide value is ordinary."""


def is_application_setting(name: str) -> bool:
    """Whether a setting with a dot in its name is the application's own."""
    prefix, dot, _ = name.partition(".")
    return bool(dot) and prefix.lower() not in EXTENSION_SETTINGS
