"""Foreign keys of several columns, of which some may be missing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Constraint, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import shapes
from pgcharter.rules.engine import Context, rule


@rule("KEY28", "half-null-reference", Severity.WARNING)
def half_null_reference(ctx: Context) -> Iterator[Finding]:
    """Several columns of a foreign key may be NULL one without the other, and then it is not checked.

    Why: MATCH SIMPLE, the default, checks nothing as soon as one column is NULL: ('XX', NULL) refers to a country that does not exist, and
    no error tells. It survives every delete of what it should have referred to.

    Instead: NOT NULL; or all or none: `MATCH FULL`, or `CHECK (num_nonnulls(country, region) IN (0, 2))`.

    Except: one optional column beside required ones (the tenant and an optional manager) is sound, and so are generated columns
    and those that another foreign key, a CHECK or a trigger looks at.
    """
    for table in ctx.catalog.root_tables:
        for fk in table.foreign_keys:
            if fk.inherited or fk.match == "full" or fk.temporal or len(fk.columns) < 2:
                continue
            loose = [c for c in fk.columns if not table.column[c].not_null and not table.column[c].generated]
            if len(loose) < 2 or len(loose) < len(fk.columns) or _is_watched(ctx, table, fk, loose):
                continue
            yield ctx.finding(
                table.part("constraint", fk.name),
                f"foreign key {quote(fk.name)} of {table.id.sql()} is not checked when one of ({shapes.columns_sql(fk.columns)}) is NULL "
                "and another is not",
                fix=_full(table, fk),
                hint="fails where half a reference is there already: look at those first",
            )


def _is_watched(ctx: Context, table: Table, fk: Constraint, loose: list[str]) -> bool:
    """Whether a CHECK speaks of the columns together, a trigger may, or another foreign key binds one of them by itself."""
    if any(len(set(loose) & set(c.columns)) >= 2 for c in table.checks):
        return True
    functions = (ctx.catalog.function.get(t.function) for t in table.triggers if t.timing == "before" and t.enabled != "disabled")
    if any(f is not None and len({c for c in loose if re.search(rf"\b{re.escape(c)}\b", f.body)}) >= 2 for f in functions):
        return True
    return any(o is not fk and set(o.columns) & set(loose) for o in table.foreign_keys)


def _full(table: Table, fk: Constraint) -> str:
    """The same key as MATCH FULL, where its actions leave no half behind."""
    if fk.on_delete_columns or not fk.validated or not fk.enforced:
        return ""
    definition = re.sub(r"(REFERENCES .*?\([^)]*\))", lambda m: f"{m[1]} MATCH FULL", fk.definition, count=1)
    if "MATCH FULL" not in definition:
        return ""
    return f"{shapes.alter(table)} DROP CONSTRAINT {quote(fk.name)}, ADD CONSTRAINT {quote(fk.name)} {definition}"
