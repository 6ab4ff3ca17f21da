"""Columns of tables, views and foreign tables.

What a parent hands down is changed at the parent: its heirs' columns are left alone. What every heir has for itself (default,
statistics, storage, options) is changed with ONLY, since each has an operation of its own.

NOT NULL of a column that was there before belongs to the column, also on 18, where it is a named constraint too (`ddl_constraints`).
"""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Catalog, Column, Table, View
from pgcharter.names import quote
from pgcharter.plan.casts import using
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_column_parts import attributes, clause, differing, identity, not_null_constraint, parents_column, typed
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_parts import alter, heirs, relation
from pgcharter.plan.ddl_sequences import (
    belonging,
    identity_sequence,
    identity_to_serial,
    serial_sequence,
    serial_to_identity,
)
from pgcharter.plan.model import Operation


def _create(operation: Operation, sides: Sides) -> list[str]:
    column, whole = operation.new, relation(sides.b, operation.object)
    if not isinstance(whole, Table) or (column.inherited and _comes_with_parents(whole, column.name, sides)) or whole.of_type:
        return []
    found = [f"{alter(whole)} ADD COLUMN {clause(whole, column, sides)}"]
    found += attributes(whole, Column(column.name, 0, column.type), column, sides.b, fresh=True)
    named = not_null_constraint(whole, column.name)
    if named is not None and not named.validated:
        found.append(f"{alter(whole)} ADD CONSTRAINT {quote(named.name)} {named.definition}")
    return [*found, *belonging(whole.id, sides, column.name), *_handed_down(whole, column.name, sides)]


def _handed_down(parent: Table, name: str, sides: Sides) -> Iterator[str]:
    """What heirs have otherwise in a column that ADD COLUMN has just given them."""
    for child in sides.b.children.get(parent.id, ()):
        column = child.column.get(name)
        if column is not None and column.inherited:
            yield from differing(child, parent.column[name], column, Column(name, 0, column.type), sides.b)
            yield from metadata(child.part("column", name), None, column, sides.major, owner_of=child.owner)
            yield from _handed_down(child, name, sides)


def _drop(operation: Operation, sides: Sides) -> list[str]:
    name, whole = operation.old.name, relation(sides.a, operation.object)
    if not isinstance(whole, Table) or whole.of_type or _goes_with_parents(whole, name, sides):
        return []
    return [f"{alter(whole, only=keeps_column(whole, name, sides))} DROP COLUMN {quote(name)}"]


def _comes_with_parents(table: Table, name: str, sides: Sides) -> bool:
    """Whether a parent that the table has already gets the column: there it is added."""
    before = sides.a.table.get(table.id)
    parents = (sides.b.table.get(p) for p in table.parents if before is None or p in before.parents)
    return any(p is not None and name in p.column for p in parents)


def _goes_with_parents(table: Table, name: str, sides: Sides) -> bool:
    """Whether a parent that the table keeps has the column: there it is dropped."""
    after = sides.b.table.get(table.id)
    parents = (sides.a.table.get(p) for p in table.parents if after is None or p in after.parents)
    return any(p is not None and name in p.column for p in parents)


def keeps_column(parent: Table, name: str, sides: Sides) -> bool:
    """Whether an heir shall keep for itself what it has from its parent."""
    children = sides.b.children.get(parent.id, ())
    return any(name in c.column and not c.column[name].inherited for c in children if c.partition_of is None)


def _rename(operation: Operation, sides: Sides) -> list[str]:
    old, new, column = operation.old.name, operation.new.name, operation.object
    whole = relation(sides.a, column) or relation(sides.b, column)
    if whole is None or (isinstance(whole, Table) and (whole.of_type or parents_column(whole, old, sides.a))):
        return []
    return [f"{alter(whole)} RENAME COLUMN {quote(old)} TO {quote(new)}"]


_NOWHERE = frozenset(("position", "inherited"))
"""What no statement changes: the order of columns; where a column comes from follows its parents."""
_OF_VIEWS = frozenset(("default", "statistics", "options", "storage", "compression", "acl", "comment", "position", "not_null"))


def _alter(operation: Operation, sides: Sides) -> list[str] | None:
    old, new = operation.old, operation.new
    whole = relation(sides.b, operation.object)
    fields = set(operation.fields) - _NOWHERE
    if whole is None:
        return []
    if isinstance(whole, View):
        if not fields <= _OF_VIEWS:
            return None
        return attributes(whole, old, new, sides.b) + (_default(whole, old, new, sides.b) if "default" in fields else [])
    before = relation(sides.a, operation.object)
    return _ColumnChange(whole, before if isinstance(before, Table) else whole, old, new, sides).statements()


def _default(whole: Table | View, old: Column, new: Column, catalog: Catalog) -> list[str]:
    head = f"{alter(whole, only=heirs(catalog, whole))} ALTER COLUMN {quote(new.name)}"
    return [f"{head} SET DEFAULT {new.default}"] if new.default else [f"{head} DROP DEFAULT"] * bool(old.default)


class _ColumnChange:
    """One column on its way from `old` to `new`."""

    def __init__(self, table: Table, before: Table, old: Column, new: Column, sides: Sides) -> None:
        self.table, self.before, self.old, self.new, self.sides = table, before, old, new, sides
        self.address = table.part("column", new.name)
        self.handed_down = parents_column(table, new.name, sides.b) is not None
        """Then type, generation and identity are changed at the parent."""
        self.retyped = (old.type, old.collation) != (new.type, new.collation)
        self.head = f"{alter(table)} ALTER COLUMN {quote(new.name)}"

    def statements(self) -> list[str] | None:
        """The statements, or None where the column must be dropped and added anew."""
        generation = self._generation()
        if generation is None:
            return None
        return [*self._loosen(), *self._type(), *self._attributes(), *generation, *self._tighten(), *self._defaults(), *self._identities()]

    def _generation(self) -> list[str] | None:
        """Changes of a generated column's expression; None where there is no way in place."""
        old, new = self.old, self.new
        if old.generated == new.generated:
            if not new.generated or old.default == new.default:
                return []
            if self.sides.major < 17 or old.type.basic != new.type.basic:
                return None
            if self.handed_down and (parent := parents_column(self.table, new.name, self.sides.b)) and parent.default == new.default:
                return []
            return [f"{self.head} SET EXPRESSION AS ({new.default})"]
        if old.generated == "stored" and not new.generated:
            return [] if self.handed_down else [f"{self.head} DROP EXPRESSION"]
        return None

    def _loosen(self) -> Iterator[str]:
        """A default of the old type would stand in the way of the new type."""
        old, new = self.old, self.new
        if self._serial_change():
            return
        if old.default and not old.generated and (self._retypes() or (new.identity and not old.identity)):
            yield f"{alter(self.table, only=heirs(self.sides.b, self.table))} ALTER COLUMN {quote(new.name)} DROP DEFAULT"
        if old.identity and not new.identity and not self.handed_down:
            yield f"{self.head} DROP IDENTITY"

    def _retypes(self) -> bool:
        return self.retyped and not self.table.of_type

    def _type(self) -> Iterator[str]:
        if not self._retypes() or self.handed_down:
            return
        new = self.new
        conversion = using(quote(new.name), self.old.type, new.type, self.sides.b) if not new.generated else ""
        yield f"{self.head} TYPE {typed(new)}{f' USING {conversion}' if conversion else ''}"

    def _attributes(self) -> list[str]:
        old = self.old
        if self._retypes():  # a new type brings its own storage and compression
            old = Column(old.name, 0, self.new.type, statistics=old.statistics, options=old.options)
        return attributes(self.table, old, self.new, self.sides.b)

    def _defaults(self) -> list[str]:
        if self.new.generated or self._serial_change() or self.new.identity:
            return []
        if self.old.generated or self._retypes():
            return _default(self.table, Column(self.new.name, 0, self.new.type), self.new, self.sides.b)
        return _default(self.table, self.old, self.new, self.sides.b) if self.old.default != self.new.default else []

    def _tighten(self) -> Iterator[str]:
        if self._told_to_parent():
            return
        if self.old.not_null and not self.new.not_null:
            yield from self._nullable()
        elif self.new.not_null and not self.old.not_null:
            named = not_null_constraint(self.table, self.new.name)
            if named is None:
                yield f"{self.head} SET NOT NULL"
            elif not named.inherited:
                yield f"{alter(self.table)} ADD CONSTRAINT {quote(named.name)} {named.definition}"

    def _told_to_parent(self) -> bool:
        """Whether the parent's column changes in the same way: SET NOT NULL and DROP NOT NULL reach its heirs."""
        was, is_ = (parents_column(t, self.new.name, c) for t, c in ((self.before, self.sides.a), (self.table, self.sides.b)))
        return was is not None and is_ is not None and (was.not_null, is_.not_null) == (self.old.not_null, self.new.not_null)

    def _nullable(self) -> Iterator[str]:
        named = not_null_constraint(self.before, self.old.name)
        if named is None:
            yield f"{self.head} DROP NOT NULL"
        elif not named.inherited:
            yield f"{alter(self.table)} DROP CONSTRAINT {quote(named.name)}"

    def _serial_change(self) -> bool:
        """Whether the column goes from serial to identity or back: then its numbers go on where they were."""
        if bool(self.old.identity) == bool(self.new.identity) or self.handed_down:
            return False
        side, other = (self.sides.a, self.sides.b) if self.new.identity else (self.sides.b, self.sides.a)
        return bool(serial_sequence(side, self.address) and identity_sequence(other, self.address))

    def _identities(self) -> Iterator[str]:
        old, new = self.old, self.new
        if self.handed_down or old.identity == new.identity:
            return
        added = f"{self.head} ADD {identity(self.table, new, self.sides.b)}" if new.identity else ""
        if self._serial_change():
            yield from self._swapped(added)
        elif old.identity and new.identity:
            yield f"{self.head} SET GENERATED {new.identity.upper()}"
        elif added:
            yield added

    def _swapped(self, added: str) -> list[str]:
        to_identity = bool(self.new.identity)
        side, other = (self.sides.a, self.sides.b) if to_identity else (self.sides.b, self.sides.a)
        serial, inner = serial_sequence(side, self.address), identity_sequence(other, self.address)
        assert serial is not None  # noqa: S101  (`_serial_change` has found both)
        assert inner is not None  # noqa: S101
        if to_identity:
            return serial_to_identity(serial, inner, f"{self.head} DROP DEFAULT", added)
        return identity_to_serial(inner, serial, f"{self.head} DROP IDENTITY", f"{self.head} SET DEFAULT {self.new.default}")


WRITERS = {"column": Writer(_create, _drop, _alter, _rename)}
