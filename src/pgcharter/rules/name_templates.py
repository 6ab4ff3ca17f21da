"""Names of indexes and constraints after the guide's templates, such as `idx_{table}_{columns}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from pgcharter.catalog.model import Constraint, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import MAX_BYTES, quote
from pgcharter.rules import shapes
from pgcharter.rules.engine import Context, rule

_HOLE = re.compile(r"\{(?:columns|description)\}")


def _filled(template: str, table: Table, columns: Iterable[str]) -> str:
    name = template.replace("{table}", table.name)
    for place in ("{columns}", "{description}"):
        name = name.replace(place, "_".join(columns))
    return shapes.cut(name)


@cache
def _around(template: str) -> tuple[str, str]:
    """What stands before and after the first hole of a template."""
    found = _HOLE.search(template)
    return (template[: found.start()], template[found.end() :]) if found else (template, "")


def _fits(name: str, template: str, table: Table, columns: tuple[str, ...], *, strict: bool) -> bool:
    """Whether the name follows the template; one that had to be cut at 63 bytes need only agree as far as it goes."""
    if strict and columns:
        return name == _filled(template, table, columns)
    head, tail = (part.replace("{table}", table.name) for part in _around(template))
    if name.startswith(head) and name.endswith(tail) and len(name) > len(head) + len(tail):
        return True
    return len(name.encode()) >= MAX_BYTES - 1 and (name.startswith(head[: len(name)]) or head.startswith(name))


def _free(name: str, taken: Iterable[str]) -> str:
    return shapes.fresh_name(name, taken)


@rule("NAM10", "index-name", Severity.INFO, options=("index_name", "index_name_strict"))
def index_name(ctx: Context) -> Iterator[Finding]:
    """An index whose name does not follow the guide's template.

    Why: names appear in plans, logs and alerts; one pattern tells table and columns at a glance.
    Instead: `idx_orders_customer_id`.
    Except: indexes behind constraints (they have the constraint's name), and those of partitions, which follow their parent.
    """
    template = ctx.options.index_name
    if not template:
        return
    for table in ctx.catalog.root_tables:
        for index in table.indexes:
            if index.constraint or index.primary or index.parent or (index.unique and ctx.options.unique_name):
                continue
            whole = tuple(k.column for k in index.keys) if all(k.column for k in index.keys) else ()
            if not _fits(index.name, template, table, whole, strict=ctx.options.index_name_strict):
                wanted = _free(_filled(template, table, whole or ("expression",)), (i.name for i in table.indexes))
                address = index.id.sql()
                yield ctx.finding(
                    index,
                    f"index {address} on {table.id.sql()} is not named after {template}",
                    fix=f"ALTER INDEX {address} RENAME TO {quote(wanted)}",
                )


def _constraints(ctx: Context, template: str | None, kind: str) -> Iterator[tuple[Table, Constraint]]:
    if not template:
        return
    for table in ctx.catalog.root_tables:
        for constraint in table.constraints:
            if (
                constraint.kind == kind
                and not constraint.inherited
                and not _fits(constraint.name, template, table, constraint.columns, strict=False)
            ):
                yield table, constraint


def _rename(ctx: Context, table: Table, constraint: Constraint, template: str, fill: Iterable[str]) -> Finding:
    target = table.part("constraint", constraint.name)
    taken = (*(c.name for c in table.constraints), *(i.name for i in table.indexes))
    wanted = _free(_filled(template, table, tuple(fill)), taken)
    return ctx.finding(
        target,
        f"{constraint.kind} constraint {quote(constraint.name)} of {table.id.sql()} is not named after {template}",
        fix=f"{shapes.alter(table)} RENAME CONSTRAINT {quote(constraint.name)} TO {quote(wanted)}",
    )


@rule("NAM11", "unique-name", Severity.INFO, options=("unique_name",))
def unique_name(ctx: Context) -> Iterator[Finding]:
    """A unique constraint or unique index whose name does not follow the guide's template.

    Why: the name is what the application sees in the error, and often what it tells the cases apart by.
    Instead: `uq_users_email`.
    Except: primary keys.
    """
    template = ctx.options.unique_name
    for table, constraint in _constraints(ctx, template, "unique"):
        yield _rename(ctx, table, constraint, template or "", constraint.columns)
    for table in ctx.catalog.root_tables if template else ():
        for index in table.indexes:
            if index.unique and not index.constraint and not index.primary and not index.parent:
                whole = tuple(k.column for k in index.keys) if all(k.column for k in index.keys) else ()
                if not _fits(index.name, template or "", table, whole, strict=False):
                    wanted = _free(_filled(template or "", table, whole or ("expression",)), (i.name for i in table.indexes))
                    yield ctx.finding(
                        index,
                        f"unique index {index.id.sql()} on {table.id.sql()} is not named after {template}",
                        fix=f"ALTER INDEX {index.id.sql()} RENAME TO {quote(wanted)}",
                    )


@rule("NAM12", "foreign-key-name", Severity.INFO, options=("foreign_key_name",))
def foreign_key_name(ctx: Context) -> Iterator[Finding]:
    """A foreign key whose name does not follow the guide's template.

    Why: the name is all that an error message gives; migrations need it to change the key.
    Instead: `fk_orders_customer_id`.
    Except: foreign keys of partitions, which follow their parent.
    """
    template = ctx.options.foreign_key_name
    for table, constraint in _constraints(ctx, template, "foreign key"):
        yield _rename(ctx, table, constraint, template or "", constraint.columns)


@rule("NAM13", "check-name", Severity.INFO, options=("check_name",))
def check_name(ctx: Context) -> Iterator[Finding]:
    """A check constraint whose name does not follow the guide's template.

    Why: a good name tells in the error message which rule was broken.
    Instead: `chk_price_positive`.
    Except: checks of partitions and those that a parent table gave.
    """
    template = ctx.options.check_name
    for table, constraint in _constraints(ctx, template, "check"):
        about = constraint.columns[:3] or (table.name,)
        yield _rename(ctx, table, constraint, template or "", about)
