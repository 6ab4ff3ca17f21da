"""Ways around a tenant's wall that no policy guards: foreign keys that leave the tenant out, tables that can have no policy."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Constraint, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.row_security import foreign_grants, role_sql


@rule("SEC34", "foreign-key-without-tenant", Severity.WARNING, options=("tenant_isolation", "tenant_column"))
def foreign_key_without_tenant(ctx: Context) -> Iterator[Finding]:
    """A foreign key between two tables of tenants' rows leaves the tenant out.

    Why: foreign keys are checked past row security. A tenant who writes another tenant's key gets a row that belongs to both: the error
    or its absence tells which keys exist, RESTRICT lets him block the other's DELETE, CASCADE lets the other's DELETE take his rows.

    Instead: the tenant in the key, on both sides.

        FOREIGN KEY (tenant_id, order_id) REFERENCES app.orders (tenant_id, order_id)

    Except: tables whose tenant may be NULL, for then some rows are there for all; a second foreign key, a policy's WITH CHECK or a trigger
    that looks the tenant up is taken for the check that it is.
    """
    if ctx.options.tenant_isolation != "rows":
        return
    tenant = ctx.options.tenant_column
    for table in ctx.catalog.root_tables:
        if tenant not in table.column or table.kind == "foreign table":
            continue
        for fk in table.foreign_keys:
            target = shapes.target_of(ctx, fk)
            if target is None or fk.inherited or tenant in fk.columns or not _is_shared_out(target, tenant):
                continue
            if not _is_tied(table, fk, tenant) and not _is_looked_up(ctx, table, target):
                yield ctx.finding(
                    table.part("constraint", fk.name),
                    f"foreign key {quote(fk.name)} of {table.id.sql()} leaves out {quote(tenant)}: a row of one tenant can refer to a row "
                    f"of another in {target.id.sql()}",
                    fix=_with_tenant(ctx, table, fk, target),
                    hint="fails where rows refer to another tenant's already: look at those first",
                    columns=list(fk.columns),
                )


def _is_shared_out(target: Table, tenant: str) -> bool:
    """Whether the table's rows belong to tenants, all of them; the table of the tenants themselves is no such one."""
    key = target.primary_key
    return tenant in target.column and target.column[tenant].not_null and not (key is not None and key.columns == (tenant,))


def _is_tied(table: Table, fk: Constraint, tenant: str) -> bool:
    """Whether another foreign key to the same table takes the same columns and the tenant."""
    return any(o.references == fk.references and tenant in o.columns and set(fk.columns) <= set(o.columns) for o in table.foreign_keys)


def _is_looked_up(ctx: Context, table: Table, target: Table) -> bool:
    """Whether a policy or a trigger of the table reads the referenced one."""
    name = quote(target.name)
    if any(name in bodies.names_in(p.check or p.using) for p in table.policies if target.name != table.name):
        return True
    for trigger in table.triggers:
        function = ctx.catalog.function.get(trigger.function)
        if function is None or trigger.enabled == "disabled" or "raise" not in function.body.lower():
            continue
        if any(m.name == target.name for m in bodies.mentions(function.body)):
            return True
    return False


def _with_tenant(ctx: Context, table: Table, fk: Constraint, target: Table) -> tuple[str, ...]:
    """The key once more with the tenant in it, where nothing else about it has to be decided."""
    tenant = ctx.options.tenant_column
    special = fk.temporal or fk.match == "full" or not fk.validated or not fk.enforced or fk.on_delete_columns
    same_type = table.column[tenant].type.basic == target.column[tenant].type.basic
    if special or not same_type or {table.kind, target.kind} != {"table"} or "set" in fk.on_update + fk.on_delete.replace("set null", ""):
        return ()
    mine, theirs = (tenant, *fk.columns), (tenant, *fk.referenced_columns)
    index: tuple[str, ...] = ()
    if not any(shapes.same_set(key, theirs) for key in target.unique_keys):
        name = shapes.index_name(ctx, target, theirs, unique=True)
        index = (f"CREATE UNIQUE INDEX IF NOT EXISTS {quote(name)} ON {target.id.sql()} ({shapes.columns_sql(theirs)})",)
    action = f" ON DELETE SET NULL ({shapes.columns_sql(fk.columns)})" if fk.on_delete == "set null" else _action("DELETE", fk.on_delete)
    late = (" DEFERRABLE" if fk.deferrable else "") + (" INITIALLY DEFERRED" if fk.deferred else "")
    return (
        *index,
        f"{shapes.alter(table)} DROP CONSTRAINT {quote(fk.name)}, ADD CONSTRAINT {quote(fk.name)} FOREIGN KEY ({shapes.columns_sql(mine)}) "
        f"REFERENCES {target.id.sql()} ({shapes.columns_sql(theirs)}){_action('UPDATE', fk.on_update)}{action}{late}",
    )


def _action(event: str, action: str) -> str:
    return f" ON {event} {action.upper()}" if action not in ("", "no action") else ""


@rule("SEC35", "foreign-table-of-tenants", Severity.WARNING, options=("tenant_isolation", "tenant_column"))
def foreign_table_of_tenants(ctx: Context) -> Iterator[Finding]:
    """A foreign table with tenants' rows that others may read.

    Why: row security cannot be enabled on a foreign table, and the remote server sees one user for everybody: who may read it reads
    the rows of all tenants.

    Instead: `REVOKE ALL ON app.archived_orders FROM app`, and a view with `security_barrier` that filters by tenant.

    Except: a foreign table that nobody but its owner has rights on.
    """
    if ctx.options.tenant_isolation != "rows":
        return
    for table in ctx.catalog.own_tables:
        if table.kind != "foreign table" or ctx.options.tenant_column not in table.column:
            continue
        readers = sorted({role_sql(g.grantee) for g in foreign_grants(table.acl, table.owner) if g.privilege == "SELECT"})
        if readers:
            yield ctx.finding(
                table,
                f"foreign table {table.id.sql()} can have no row security, and {', '.join(readers)} may read it: the rows of all tenants",
                fix=f"REVOKE SELECT ON {table.id.sql()} FROM {', '.join(readers)}",
                hint="publish it through a view with security_barrier that filters by tenant",
            )
