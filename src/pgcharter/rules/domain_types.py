"""Domains: types with rules of their own, and what those rules cannot promise."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import shapes
from pgcharter.rules.engine import Context, rule

_REQUIRES = re.compile(r"\(*VALUE IS NOT NULL\)*\Z")


@rule("TYP34", "domain-that-refuses-null", Severity.INFO)
def domain_that_refuses_null(ctx: Context) -> Iterator[Finding]:
    """A domain is NOT NULL, which it cannot keep.

    Why: an outer join or an empty sub-select gives NULL of that type all the same, and `INSERT ... VALUES ((SELECT ...))` then stores it
    unchecked. A function with a variable of the domain cannot even declare it without a value.

    Instead: the domain takes NULL, and the columns are NOT NULL.

        ALTER TABLE app.users ALTER COLUMN email SET NOT NULL;
        ALTER DOMAIN app.email DROP NOT NULL;

    Except: none; PostgreSQL's own manual advises against it.
    """
    users: dict[tuple[str, str], list[tuple[Table, Column]]] = defaultdict(list)
    for table, column in ctx.catalog.own_columns:
        if column.type.kind == "domain" and not column.type.array:
            users[column.type.schema, column.type.name].append((table, column))
    for domain in ctx.catalog.types:
        if domain.kind != "domain" or domain.extension:
            continue
        checks = [c for c in domain.constraints if c.kind == "check" and _REQUIRES.match(c.expression)]
        if not domain.not_null and not checks:
            continue
        columns = [
            f"{shapes.alter(t)} ALTER COLUMN {quote(c.name)} SET NOT NULL" for t, c in users[domain.schema, domain.name] if not c.not_null
        ]
        drops = [f"ALTER DOMAIN {domain.id.sql()} DROP NOT NULL"] if domain.not_null else []
        drops += [f"ALTER DOMAIN {domain.id.sql()} DROP CONSTRAINT {quote(c.name)}" for c in checks]
        yield ctx.finding(
            domain,
            f"domain {domain.id.sql()} refuses NULL, but an outer join or empty sub-select makes one of it that is stored unchecked",
            fix=[*columns, *drops],
            columns=[t.part("column", c.name).sql() for t, c in users[domain.schema, domain.name]],
        )


@domain_that_refuses_null.text
def domain_that_refuses_null_text(ctx: Context) -> Iterator[Finding]:
    """CREATE DOMAIN ... NOT NULL."""
    for statement in ctx.of_kind("create_domain_stmt"):
        if any(_is_not_null(c.constraint) for c in statement.node.constraints):
            parts = [p.string.sval for p in statement.node.domainname]
            domain = ObjectId("domain", parts[0] if len(parts) > 1 else "", parts[-1])
            yield ctx.finding(
                domain,
                f"domain {domain.sql()} refuses NULL, but an outer join or empty sub-select makes one of it that is stored unchecked",
                place=statement.place,
                hint="NOT NULL at the columns instead",
            )


def _is_not_null(constraint: Any) -> bool:
    kinds = constraint.DESCRIPTOR.fields_by_name["contype"].enum_type.values_by_number
    return bool(kinds[constraint.contype].name == "CONSTR_NOTNULL")
