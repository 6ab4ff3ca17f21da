"""Where each object of a built catalog was made: what the recorder saw, sharpened to columns and constraints by the parse tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pgcharter.catalog.model import Catalog, Constraint
from pgcharter.findings import Place
from pgcharter.names import ObjectId
from pgcharter.sources.effects import makes
from pgcharter.sources.recorder import INVENTED, Made
from pgcharter.sqltext import Statement, node_place

_KINDS = {
    "CONSTR_PRIMARY": "primary key", "CONSTR_UNIQUE": "unique", "CONSTR_FOREIGN": "foreign key", "CONSTR_CHECK": "check",
    "CONSTR_EXCLUSION": "exclude", "CONSTR_NOTNULL": "not null",
}  # fmt: skip


def locate(made: Sequence[Made], numbered: Sequence[Statement], catalog: Catalog) -> dict[ObjectId, Place]:
    """Places of everything in `made`, and of indexes that came along with a table."""
    if not made:
        made = _by_name(numbered, catalog)
    places: dict[ObjectId, Place] = {}
    by_statement: dict[int, list[Made]] = {}
    for item in made:
        if item.statement == INVENTED:
            continue
        if not item.dropped:
            places[item.id] = numbered[item.statement].place
        if item.id.kind in ("column", "constraint"):
            by_statement.setdefault(item.statement, []).append(item)
    constraints = {t.part("constraint", c.name): c for t in catalog.tables for c in t.constraints}
    for number, items in by_statement.items():
        places.update(_sharpened(numbered[number], items, constraints))
    for table in catalog.tables:
        for index in table.indexes:
            backs = places.get(table.part("constraint", index.constraint)) if index.constraint else None
            where = backs or places.get(table.id)
            if where and (backs or index.id not in places):
                places[index.id] = where
    return places


def _by_name(numbered: Sequence[Statement], catalog: Catalog) -> list[Made]:
    """What the parse trees say was made, where nothing could be recorded: by name, without DO blocks and renames."""
    names: dict[str, int] = {}
    for number, statement in enumerate(numbered):
        for name in makes(statement):
            names.setdefault(name, number)
    found: list[Made] = []
    for target, _ in catalog.objects():
        number = names.get(target.part or target.name.partition("(")[0], names.get(target.name, -1))
        if number >= 0:
            found.append(Made(target, number))
    return found


def _sharpened(statement: Statement, items: Sequence[Made], constraints: Mapping[ObjectId, Constraint]) -> Iterator[tuple[ObjectId, Place]]:
    """Own places for columns and constraints that stand inside `statement`."""
    columns, keys = _definitions(statement)
    if not columns and not keys:
        return
    fresh = sorted((i for i in items if i.id.kind == "column"), key=lambda i: i.position)
    named = dict(columns)
    in_order = len(fresh) == len(columns)
    for order, item in enumerate(fresh):
        location = named.get(item.id.part, columns[order][1] if in_order else -1)
        if location >= 0 and not item.dropped:
            yield item.id, node_place(statement, location)
    for item in items:
        if item.id.kind == "constraint":
            known = constraints.get(item.id)
            location = _constraint_location(item.id, known, keys)
            if location < 0 and known is not None and len(known.columns) == 1:
                location = named.get(known.columns[0], -1)
            if location >= 0:
                yield item.id, node_place(statement, location)


def _constraint_location(target: ObjectId, known: Constraint | None, keys: Sequence[tuple[str, str, tuple[str, ...], int]]) -> int:
    by_name = [location for name, _, _, location in keys if name == target.part]
    if by_name:
        return by_name[0]
    if known is None:
        return -1
    alike = [(columns, location) for name, kind, columns, location in keys if not name and kind == known.kind]
    exact = [location for columns, location in alike if columns == known.columns]
    if exact:
        return exact[0]
    loose = [location for columns, location in alike if not columns]
    return loose[0] if len(loose) == 1 else -1


def _definitions(statement: Statement) -> tuple[list[tuple[str, int]], list[tuple[str, str, tuple[str, ...], int]]]:
    """Columns (name, location) and constraints (name, kind, columns, location) that a CREATE or ALTER TABLE writes down."""
    columns: list[tuple[str, int]] = []
    keys: list[tuple[str, str, tuple[str, ...], int]] = []
    for item in _elements(statement):
        which = item.WhichOneof("node")
        if which == "column_def":
            definition = item.column_def
            columns.append((definition.colname, definition.location))
            keys += [_key(c.constraint, (definition.colname,)) for c in definition.constraints]
        elif which == "constraint":
            keys.append(_key(item.constraint, ()))
    return columns, keys


def _elements(statement: Statement) -> Iterator[Any]:
    if statement.kind == "create_stmt":
        yield from statement.node.table_elts
    elif statement.kind == "create_foreign_table_stmt":
        yield from statement.node.base_stmt.table_elts
    elif statement.kind == "alter_table_stmt":
        for command in statement.node.cmds:
            yield getattr(command.alter_table_cmd, "def")


def _key(node: Any, columns: tuple[str, ...]) -> tuple[str, str, tuple[str, ...], int]:
    from pgcharter.sqltext import enum_name

    kind = _KINDS.get(enum_name(node, "contype"), "")
    written = node.fk_attrs if kind == "foreign key" else node.keys
    names = tuple(k.string.sval for k in written) or columns
    return node.conname, kind, names, node.location
