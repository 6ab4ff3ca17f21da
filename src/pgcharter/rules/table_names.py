"""Names of tables after the house's options: tables that join others, and prefixes."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter import nouns
from pgcharter.catalog.model import Column, Constraint, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import cut, quote
from pgcharter.rules import renames, shapes
from pgcharter.rules.engine import Context, rule

_BESIDE = frozenset(
    "role roles position sort order ordinal rank priority sequence seq kind type status level permission weight label active".split()  # noqa: SIM905
)
"""What a row may say about a pair without becoming a thing of its own."""


@rule("NAM18", "join-table-name", Severity.INFO, options=("join_table_name",))
def join_table_name(ctx: Context) -> Iterator[Finding]:
    """A table that joins two others is not named after them.

    Why: who knows the two tables finds the one between them without looking, and nobody makes a second one beside it.

    Instead: the guide's option `join_table_name`, in either order: `users_teams` for `{left}_{right}`.

    Except: pairs within one table (`friendships`), and tables that hold more than the pair: amounts and texts of their own
    (`order_items`), or a key that other tables refer to.
    """
    template = ctx.options.join_table_name
    for table in ctx.catalog.root_tables if template else ():
        pair = joined(ctx, table)
        if pair is None or not template:
            continue
        names = _join_names(ctx, template, *pair)
        if not any(table.name == n or table.name.startswith(n + "_") for n in names):
            fix, hint = renames.table(ctx, table, names[0])
            both = " and ".join(t.id.sql() for t in pair)
            yield ctx.finding(table, f"{table.id.sql()} joins {both} and is not named after {template}", fix=fix, hint=hint)


def joined(ctx: Context, table: Table) -> tuple[Table, Table] | None:
    """The two tables that `table` does nothing but join, in the order of its key; None for anything else."""
    if len(table.foreign_keys) < 2 or table.kind == "foreign table" or table.id in ctx.catalog.referencing:
        return None
    for key in table.unique_keys:
        pair = _pair(ctx, table, key)
        if pair is not None:
            left, right = (shapes.target_of(ctx, fk) for fk in pair)
            bound = {c for fk in pair for c in fk.columns} | {ctx.options.tenant_column}
            rest = [c for c in table.columns if c.name not in bound and not _is_beside(ctx, table, c)]
            if left is None or right is None or left.id == right.id or rest:
                return None
            return left, right
    return None


def _pair(ctx: Context, table: Table, key: tuple[str, ...]) -> tuple[Constraint, Constraint] | None:
    """The two foreign keys that make up `key`, the tenant column aside."""
    tenant = {ctx.options.tenant_column}
    wanted = set(key) - tenant
    parts = [fk for fk in table.foreign_keys if set(fk.columns) - tenant and set(fk.columns) - tenant <= wanted]
    parts.sort(key=lambda fk: key.index(next(c for c in fk.columns if c in wanted)))
    whole = len(parts) == 2 and set(parts[0].columns) - tenant | set(parts[1].columns) - tenant == wanted
    return (parts[0], parts[1]) if whole and len(wanted) >= 2 else None


def _is_beside(ctx: Context, table: Table, column: Column) -> bool:
    """Whether a column says when, by whom or in which role the pair was made, not something of its own."""
    key = table.primary_key
    if key is not None and key.columns == (column.name,):
        return True
    if column.type.basic in ("timestamptz", "timestamp", "date", "bool", "tstzrange", "daterange") or column.generated:
        return True
    known = (ctx.options.soft_delete_column, *(c.name for c in ctx.options.required))
    if column.name in known or column.name.endswith("_by") or any(column.name in fk.columns for fk in table.foreign_keys):
        return True
    said = shapes.words(column.name)
    return bool(said) and said[-1] in _BESIDE


def _join_names(ctx: Context, template: str, left: Table, right: Table) -> tuple[str, ...]:
    """Every name the template allows, the expected one first; a prefix both tables have need stand only once."""
    pairs = ((left.name, right.name), (right.name, left.name))
    plain = [_filled(template, a, b) for a, b in pairs]
    declared = [p for p in (*ctx.options.table_prefixes, ctx.options.tenant_table_prefix or "") if p]
    names = [n for p in declared for n in _prefixed(template, p, pairs)]
    chance = left.name.partition("_")[0] + "_"
    return tuple(dict.fromkeys(cut(n) for n in (*names, *plain, *_prefixed(template, chance, pairs))))


def _prefixed(template: str, prefix: str, pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """Names with the prefix once in front, or left out, when both tables begin with it; with it in front when one does."""
    having = [name for name in pairs[0] if name.startswith(prefix) and name != prefix]
    bare = [tuple(name.removeprefix(prefix) for name in pair) for pair in pairs]
    made = [_filled(template, a, b) for a, b in bare]
    return [prefix + n for n in made] + (made if len(having) == 2 else []) if having else []


def _filled(template: str, left: str, right: str) -> str:
    for place, name in (("left", left), ("right", right)):
        template = template.replace(f"{{{place}}}", name).replace(f"{{{place}_singular}}", nouns.singular_name(name) or name)
    return template


@rule("NAM19", "table-prefix", Severity.INFO, options=("table_prefixes",))
def table_prefix(ctx: Context) -> Iterator[Finding]:
    """A table without a prefix that the house gives its tables.

    Why: prefixes put tables of one domain side by side and tell at a glance who answers for a table; one without belongs to nobody.

    Instead: a name that begins with one of the guide's option `table_prefixes`: `billing_invoices`.

    Except: partitions, foreign tables, tables in a schema that is called like a prefix (`billing.invoices`), and tables of tenants, where
    those have a prefix of their own.
    """
    prefixes = ctx.options.table_prefixes
    allowed = (*prefixes, *filter(None, (ctx.options.tenant_table_prefix,)))
    for table in ctx.catalog.root_tables if prefixes else ():
        if table.kind == "foreign table" or _begins(table.name, allowed) or table.schema in {p.rstrip("_") for p in prefixes}:
            continue
        fix, hint = renames.table(ctx, table, prefixes[0] + table.name) if len(prefixes) == 1 else ("", f"rename it to {prefixes[0]}...")
        begin = " or ".join(prefixes)
        yield ctx.finding(table, f"{table.id.sql()} does not begin with {begin}, so nobody can tell its domain", fix=fix, hint=hint)


def _begins(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(p) and name != p for p in prefixes)


@rule("NAM20", "tenant-table-prefix", Severity.INFO, options=("tenant_table_prefix",))
def tenant_table_prefix(ctx: Context) -> Iterator[Finding]:
    """A table of tenants whose name does not say so.

    Why: who writes a query must know that rows of several tenants are in the table; the prefix says it where the column list is far away.

    Instead: the guide's option `tenant_table_prefix` before the name of every table with the tenant column: `tenant_orders`.

    Except: partitions, foreign tables, and the table of the tenants themselves, to which the column refers.
    """
    prefix = ctx.options.tenant_table_prefix or ""
    column = ctx.options.tenant_column
    themselves = {fk.references for t in ctx.catalog.root_tables for fk in t.foreign_keys if fk.columns == (column,)}
    for table in ctx.catalog.root_tables if prefix and column else ():
        key = table.primary_key
        if column not in table.column or table.kind == "foreign table" or table.id in themselves or (key and key.columns == (column,)):
            continue
        domains = (d for d in ctx.options.table_prefixes if table.name.startswith(d))
        if not any(_begins(name, (prefix,)) for name in (table.name, *(table.name.removeprefix(d) for d in domains))):
            fix, hint = renames.table(ctx, table, prefix + table.name)
            yield ctx.finding(
                table, f"{table.id.sql()} holds rows of tenants ({quote(column)}) and does not begin with {prefix}", fix=fix, hint=hint
            )
