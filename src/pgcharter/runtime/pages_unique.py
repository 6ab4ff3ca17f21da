"""What tells the rows of a `select()` apart, and what in it can be NULL: from primary keys, unique keys, joins and equalities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Alias, ColumnElement, Join, Select, Table, UniqueConstraint
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList, Cast, Grouping, Label
from sqlalchemy.sql.functions import FunctionElement

Name = tuple[int, str]
"""A column of one of the FROM clause's tables."""
_STRICT = {"lower", "upper", "length", "char_length", "trim", "btrim", "ltrim", "rtrim", "abs", "date_trunc", "md5", "left", "right"}
"""Functions that are NULL only where an argument is."""


def name(column: Any) -> Name | None:
    """The column of a table that an expression is, if it is one."""
    while isinstance(column, Label | Grouping):
        column = column.element
    table = getattr(column, "table", None)
    return None if table is None else (hash(table), column.key)


@dataclass
class Facts:
    """What a FROM clause and its conditions say."""

    leaves: list[Any] = field(default_factory=list)
    """Tables and what stands like one, each time it stands there."""
    may_lack: set[int] = field(default_factory=set)
    """Those whose columns are all NULL where an outer join finds nothing."""
    follows: list[tuple[Name, Name]] = field(default_factory=list)
    """Where the first is known, so is the second."""
    fixed: set[Name] = field(default_factory=set)
    """Columns that have one value in all rows."""

    @property
    def plain(self) -> bool:
        """Whether it is all tables by their own name, the same objects in every statement of this form."""
        return all(isinstance(leaf, Table) for leaf in self.leaves)

    @property
    def strange(self) -> list[Any]:
        """What has no primary key that one could rely on."""
        return [leaf for leaf in self.leaves if not _keys(leaf)]

    def known(self, start: Iterable[Name]) -> set[Name]:
        """All columns that have one value once those of `start` have."""
        known, size = set(start) | self.fixed, -1
        while size != len(known):
            size = len(known)
            known.update(then for first, then in self.follows if first in known)
            for leaf in self.leaves:
                if any({(hash(leaf), column) for column in key} <= known for key in _keys(leaf)):
                    known.update((hash(leaf), column) for column in leaf.c.keys())  # noqa: SIM118
        return known

    def ties(self, start: Iterable[Name]) -> list[ColumnElement[Any]]:
        """Primary key columns that tell rows apart that are equal in the columns of `start`."""
        names, added = set(start), list[ColumnElement[Any]]()
        for leaf in self.leaves:
            known = self.known(names)
            if not {(hash(leaf), column) for column in leaf.c.keys()} <= known:  # noqa: SIM118
                missing = [leaf.c[column] for column in _keys(leaf)[0] if (hash(leaf), column) not in known]
                added += missing
                names.update((hash(leaf), column.key) for column in missing)
        return added

    def never_null(self, expression: Any) -> bool:
        """Whether an expression has a value in every row."""
        if isinstance(expression, Label | Grouping):
            return self.never_null(expression.element)
        if isinstance(expression, Cast):
            return self.never_null(expression.clause)
        if isinstance(expression, BindParameter):
            return expression.value is not None
        if isinstance(expression, FunctionElement):
            inside = [self.never_null(argument) for argument in expression.clauses]
            called = getattr(expression, "name", "").lower()
            return any(inside) if called == "coalesce" else called in _STRICT and all(inside)
        of = name(expression)
        return of is not None and not getattr(expression, "nullable", True) and of[0] not in self.may_lack


def facts(statement: Select[*tuple[Any, ...]]) -> Facts:
    """Read them out of a statement."""
    found = Facts()
    for clause in statement.get_final_froms():
        _join(clause, found, outer=False)
    if statement.whereclause is not None:
        _equalities(statement.whereclause, found, None)
    return found


def _join(clause: Any, found: Facts, *, outer: bool) -> None:
    if not isinstance(clause, Join):
        found.leaves.append(clause)
        if outer:
            found.may_lack.add(hash(clause))
        return
    _join(clause.left, found, outer=outer or clause.full)
    before = len(found.leaves)
    _join(clause.right, found, outer=outer or clause.isouter or clause.full)
    if not clause.full and clause.onclause is not None:
        _equalities(clause.onclause, found, {hash(leaf) for leaf in found.leaves[before:]} if clause.isouter else None)


def _equalities(clause: Any, found: Facts, right: set[int] | None) -> None:
    """Equalities that hold in every row; with `right`, they say of those tables alone which of their rows is joined."""
    for condition in _all(clause):
        if not isinstance(condition, BinaryExpression) or condition.operator is not operators.eq:
            continue
        for this, other in ((condition.left, condition.right), (condition.right, condition.left)):
            of, by = name(this), name(other)
            if of is None or (right is not None and of[0] not in right):
                continue
            if isinstance(other, BindParameter):
                found.fixed.add(of)
            elif by is not None:
                found.follows.append((by, of))


def _all(clause: Any) -> Iterator[Any]:
    """What must hold together."""
    if isinstance(clause, Grouping):
        yield from _all(clause.element)
    elif isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        for part in clause.clauses:
            yield from _all(part)
    else:
        yield clause


def _keys(leaf: Any) -> list[tuple[str, ...]]:
    """Column keys of which no two rows have the same values, the primary key first; none for what is no table."""
    table = leaf.element if isinstance(leaf, Alias) else leaf
    if not isinstance(table, Table) or not table.primary_key.columns:
        return []
    unique = [c.columns for c in table.constraints if isinstance(c, UniqueConstraint) and not any(column.nullable for column in c.columns)]
    return [tuple(column.key for column in columns) for columns in (table.primary_key.columns, *unique)]
