"""Parts of a relation that a statement is about, and what of its indexes and constraints has to do with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgcharter.catalog.model import Constraint, Index, Table, View
from pgcharter.names import ObjectId


@dataclass(frozen=True, slots=True)
class Touched:
    """Parts of a relation that a statement is about; `all` for the relation as a whole."""

    columns: frozenset[str] = frozenset()
    constraints: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset()


NOTHING = Touched()


def meant(constraint: Constraint, touched: Touched) -> bool:
    """Whether a constraint is touched, or one of its columns."""
    return constraint.name in touched.constraints or bool(touched.columns.intersection(constraint.columns))


def backed(table: Table, key: Constraint, touched: Touched) -> bool:
    """Whether a foreign key of another table refers to touched columns, or to what a touched constraint keeps unique."""
    columns = set(key.referenced_columns)
    return bool(touched.columns & columns) or any(c.name in touched.constraints and set(c.columns) == columns for c in table.constraints)


def inherited(table: Table, touched: Touched) -> Touched:
    """What the touched parts are on a partition, whose constraints and indexes have names of their own."""
    columns = {c for k in table.constraints if k.name in touched.constraints for c in k.columns}
    columns |= {c for i in table.indexes if i.name in touched.indexes for c in i.columns}
    return Touched(touched.columns | columns)


def indexes(holder: Table | View, touched: Touched, role: str) -> Iterator[tuple[str, ObjectId]]:
    """The indexes of a relation, in the role of those that have to do with what is touched, or of others."""
    for index in holder.indexes:
        meant = index.name in touched.indexes or (index.constraint and index.constraint in touched.constraints)
        meant = meant or any(_mentions(index, c) for c in touched.columns)
        computed = "computed " if meant and any(computes(index, c) for c in touched.columns) else ""
        yield f"{computed}{role}" if meant else f"other {role}", index.id


def _mentions(index: Index, column: str) -> bool:
    return any(k.column == column for k in index.keys) or column in index.include or computes(index, column)


def computes(index: Index, column: str) -> bool:
    """Whether an index of expressions or of some rows only has to do with a column (whose name stands anywhere in it)."""
    texts = [k.expression for k in index.keys if k.expression] + ([index.predicate] if index.predicate else [])
    whole = [*texts, *(f" {k.column} " for k in index.keys), *(f" {c} " for c in index.include)] if texts else []
    return any(re.search(rf"(?<!\w){re.escape(column)}(?!\w)", text) for text in whole)
