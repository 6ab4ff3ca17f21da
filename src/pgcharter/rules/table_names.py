"""Names of tables after the house's options: tables that join others, and prefixes."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter import nouns
from pgcharter.catalog.model import Column, Constraint, Table
from pgcharter.findings import Finding, Severity
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
    known = (ctx.options.soft_delete_column, *(c.partition(" ")[0] for c in ctx.options.required_columns))
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
    return tuple(dict.fromkeys(shapes.cut(n) for n in (*names, *plain, *_prefixed(template, chance, pairs))))


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
