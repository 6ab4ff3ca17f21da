"""What the parts of one relation need of each other: constraints and indexes of columns, keys of NOT NULL, triggers of columns."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Constraint, Index, Table, View
from pgcharter.names import ObjectId

NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
"""An identifier as PostgreSQL writes it."""
_WORD = re.compile(rf"'(?:[^']|'')*'|{NAME}")


def bare(name: str) -> str:
    """An identifier as it was quoted, without its quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def words(text: str) -> set[str]:
    """The identifiers in a piece of SQL (with its literals, which no identifier looks like)."""
    return {bare(word) for word in _WORD.findall(text)}


def within(relation: Table | View) -> Iterator[tuple[ObjectId, ObjectId]]:
    """Pairs of a part and one that it needs."""
    for index in relation.indexes:
        user = relation.part("constraint", index.constraint) if index.constraint else index.id
        yield from ((user, relation.part("column", name)) for name in _columns(relation, index) if name)
    if isinstance(relation, View):
        return
    for constraint in relation.constraints:
        yield from _constraint(relation, constraint)
    for trigger in relation.triggers:
        yield from ((relation.part("trigger", trigger.name), relation.part("column", c)) for c in trigger.update_columns)


def _constraint(table: Table, constraint: Constraint) -> Iterator[tuple[ObjectId, ObjectId]]:
    if constraint.kind == "not null":
        return
    address = table.part("constraint", constraint.name)
    yield from ((address, table.part("column", c)) for c in constraint.columns if c)
    if constraint.kind == "primary key":
        for other in table.constraints:
            if other.kind == "not null" and set(other.columns) <= set(constraint.columns):
                yield address, table.part("constraint", other.name)


def _columns(relation: Table | View, index: Index) -> set[str]:
    names = {k.column for k in index.keys if k.column} | set(index.include)
    if index.predicate or any(k.expression for k in index.keys):
        text = " ".join((index.predicate, *(k.expression for k in index.keys)))
        names |= words(text) & {c.name for c in relation.columns}
    return names
