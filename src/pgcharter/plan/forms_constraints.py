"""ALTER TABLE: columns that come and go, and constraints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pgcharter.catalog.model import Constraint, Table
from pgcharter.plan.forms_types import SERIALS, column_facet
from pgcharter.plan.scope import UNKNOWN, Form, Scope, names, words
from pgcharter.plan.touched import NOTHING, Touched
from pgcharter.sqltext import enum_name

Head = tuple[str, Any]
"""What every key of the statement begins with (`alter table`), and its RangeVar."""


def dropping(node: Any) -> int:
    """The parser's number for CASCADE."""
    return int(node.DESCRIPTOR.fields_by_name["behavior"].enum_type.values_by_name["DROP_CASCADE"].number)


def altered(head: Head, facet: str, scope: Scope, touched: Touched = NOTHING, others: dict[str, Any] | None = None) -> Form:
    """A form of ALTER TABLE and its kin."""
    kind = {"alter view": "view", "alter materialized view": "materialized view", "alter sequence": "sequence", "alter index": "index"}
    matview = {"alter matview": "materialized view", **kind}
    return scope.form(f"{head[0]} {facet}", head[1], touched, kind=matview.get(head[0], "table"), others=others)


def add_column(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    """ADD COLUMN: its default, and a form for each constraint at it."""
    definition = getattr(command, "def").column_def
    facet = column_facet(definition, scope)
    if command.missing_ok and scope.column(head[1], definition.colname) is not None:
        yield altered(head, "add column, there already", scope)
        return
    constraints = [c.constraint for c in definition.constraints if enum_name(c.constraint, "contype") in _INLINE]
    if not constraints or facet != "no default":
        yield altered(head, f"add column ({facet})", scope)
    for constraint in constraints:
        checked = _given(definition) if enum_name(constraint, "contype") == "CONSTR_FOREIGN" else ""
        yield from _constraint(head, f"add column with {checked}", constraint, scope)


def _given(column: Any) -> str:
    """`checked ` where a default is written at a new column: then PostgreSQL checks its foreign key, which else can only hold NULL.

    `skipValidation` in `transformAlterTableStmt`; a domain's default does not count there.
    """
    kinds = {enum_name(c.constraint, "contype") for c in column.constraints}
    serial = names(column.type_name.names)[-1] in SERIALS
    return "checked " if serial or kinds & {"CONSTR_DEFAULT", "CONSTR_GENERATED"} else ""


_INLINE = ("CONSTR_CHECK", "CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_FOREIGN")


def add_constraint(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    """ADD CONSTRAINT."""
    yield from _constraint(head, "add ", getattr(command, "def").constraint, scope)


def _constraint(head: Head, lead: str, constraint: Any, scope: Scope) -> Iterator[Form]:
    kind = enum_name(constraint, "contype")
    inline = lead != "add "
    if kind == "CONSTR_FOREIGN":
        itself = (constraint.pktable.schemaname, constraint.pktable.relname) == (head[1].schemaname, head[1].relname)
        other = "itself" if itself else scope.context(scope.relation(constraint.pktable))
        facet = f"foreign key{_when_checked(constraint)} to {other}"
        yield altered(head, lead + facet, scope, others={"referenced": constraint.pktable})
    elif kind == "CONSTR_CHECK":
        facet = "check" + _when_checked(constraint) + (" no inherit" if constraint.is_no_inherit else "")
        yield altered(head, lead + facet, scope)
    elif kind == "CONSTR_NOTNULL":
        column = names(constraint.keys)[0] if constraint.keys else ""
        facet = _not_null(head, column, scope)
        yield altered(head, f"{lead}not null{_when_checked(constraint)}{facet}", scope, Touched(frozenset([column])))
    elif constraint.indexname:
        index = frozenset([constraint.indexname])
        nullable = _nullable(head, constraint.indexname, scope) if kind == "CONSTR_PRIMARY" else ""
        yield altered(head, f"{lead}{_KEYS[kind]} using index{nullable}", scope, Touched(indexes=index))
    else:
        nullable = _any_nullable(head, names(constraint.keys), scope) if kind == "CONSTR_PRIMARY" and not inline else ""
        yield altered(head, f"{lead}{_KEYS.get(kind, words(kind))}{nullable}", scope)


_KEYS = {"CONSTR_PRIMARY": "primary key", "CONSTR_UNIQUE": "unique", "CONSTR_EXCLUSION": "exclude"}


def _when_checked(constraint: Any) -> str:
    if not constraint.is_enforced and enum_name(constraint, "contype") in ("CONSTR_CHECK", "CONSTR_FOREIGN"):
        return " not enforced"
    return " not valid" if constraint.skip_validation else ""


def _nullable(head: Head, index: str, scope: Scope) -> str:
    table = scope.relation(head[1])
    if not isinstance(table, Table):
        return UNKNOWN
    found = next((i for i in table.indexes if i.name == index), None)
    return _any_nullable(head, list(found.columns), scope) if found is not None else UNKNOWN


def _any_nullable(head: Head, columns: list[str], scope: Scope) -> str:
    facets = {_not_null(head, column, scope) for column in columns}
    return next((facet for facet in (UNKNOWN, ", unproven", ", proven by check", ", there already") if facet in facets), UNKNOWN)


def _not_null(head: Head, column: str, scope: Scope) -> str:
    """Whether a column is known to hold no NULL: `there already`, `proven by check`, `unproven`.

    PostgreSQL skips the scan when validated checks imply it (`ConstraintImpliedByRelConstraint`); recognised here is `c IS NOT NULL`
    by itself or joined by AND, the way `pg_get_expr` writes it.
    """
    table = scope.relation(head[1])
    if not isinstance(table, Table) or column not in table.column:
        return UNKNOWN
    if table.column[column].not_null and all(c.validated for c in table.constraints if c.kind == "not null" and column in c.columns):
        return ", there already"
    proven = any(c.validated and c.enforced and proves(c.expression, column) for c in table.checks)
    return ", proven by check" if proven else ", unproven"


def proves(check: str, column: str) -> bool:
    """Whether a check constraint's expression, as PostgreSQL writes it back, says that `column` is not NULL."""
    from pgcharter.names import quote

    conjuncts = [part.strip("() ") for part in re.split(r"\bAND\b", check)] if " OR " not in check and "CASE" not in check else []
    return f"{quote(column)} IS NOT NULL" in conjuncts


def set_not_null(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    """SET NOT NULL: whether a scan is needed."""
    yield altered(head, f"set not null{_not_null(head, command.name, scope)}", scope, Touched(frozenset([command.name])))


def _named_constraint(head: Head, command: Any, scope: Scope) -> tuple[Constraint | None, bool]:
    table = scope.relation(head[1])
    if not isinstance(table, Table):
        return None, False
    return next((c for c in table.constraints if c.name == command.name), None), True


def drop_constraint(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    """DROP CONSTRAINT: of which kind."""
    found, _ = _named_constraint(head, command, scope)
    cascade = " cascade" if command.behavior == dropping(command) else ""
    yield altered(
        head, f"drop constraint ({found.kind if found else UNKNOWN}){cascade}", scope, Touched(constraints=frozenset([command.name]))
    )


def validate_constraint(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    """VALIDATE CONSTRAINT: of which kind."""
    found, _ = _named_constraint(head, command, scope)
    facet = UNKNOWN if found is None else found.kind + (", valid already" if found.validated else "")
    yield altered(head, f"validate constraint ({facet})", scope, Touched(constraints=frozenset([command.name])))


def alter_constraint(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    """ALTER CONSTRAINT."""
    change = getattr(command, "def").atalter_constraint
    facet = "deferrability"
    if change.alter_enforceability:
        facet = "enforced" if change.is_enforced else "not enforced"
    yield altered(head, f"alter constraint {facet}", scope, Touched(constraints=frozenset([change.conname])))


def drop_column(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    """DROP COLUMN."""
    cascade = " cascade" if command.behavior == dropping(command) else ""
    yield altered(head, f"drop column{cascade}", scope, Touched(frozenset([command.name])))
