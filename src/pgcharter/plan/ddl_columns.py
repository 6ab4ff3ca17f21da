"""Columns of tables, views and foreign tables.

What a parent hands down is changed at the parent: its heirs' columns are left alone. What every heir has for itself (default,
statistics, storage, options) is changed with ONLY, since each has an operation of its own.

NOT NULL of a column that was there before belongs to the column, also on 18, where it is a named constraint too (`ddl_constraints`).
"""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Catalog, Column, Constraint, Table, View
from pgcharter.names import MAX_BYTES, quote
from pgcharter.plan.casts import using
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_parts import (
    alter,
    foreign_options,
    foreign_options_changed,
    heirs,
    relation,
    settings_changed,
)
from pgcharter.plan.ddl_sequences import (
    belonging,
    identity_sequence,
    identity_to_serial,
    identity_words,
    serial_sequence,
    serial_to_identity,
)
from pgcharter.plan.model import Operation

_MAIN = frozenset(("numeric", "inet", "cidr"))
"""Types whose own storage is main; that of the other variable-length types is extended (`pg_type.typstorage`)."""


def clause(table: Table, column: Column, sides: Sides, *, partition: bool = False) -> str:
    """The column as it stands in CREATE TABLE or after ADD COLUMN; empty for one of a typed table that has nothing of its own."""
    qualities = list(_qualities(table, column, sides, partition=partition))
    if table.of_type:
        return " ".join([quote(column.name), "WITH OPTIONS", *qualities]) if qualities else ""
    return " ".join([quote(column.name), column.type.sql, *qualities])


def _qualities(table: Table, column: Column, sides: Sides, *, partition: bool) -> Iterator[str]:
    if table.kind == "foreign table" and (foreign := foreign_options(_split(table, column)[1])):
        yield foreign
    if column.collation and not table.of_type:
        yield f"COLLATE {column.collation}"
    if column.generated:
        yield f"GENERATED ALWAYS AS ({column.default}) {column.generated.upper()}"
    elif column.default:
        yield f"DEFAULT {column.default}"
    if column.identity and not (partition and column.inherited):
        yield _identity(table, column, sides.b)
    if column.not_null and (text := _not_null(table, column, sides)):
        yield text


def _identity(table: Table, column: Column, catalog: Catalog) -> str:
    address = table.part("column", column.name)
    sequence = identity_sequence(catalog, address)
    words = identity_words(sequence, address, unlogged=table.unlogged) if sequence else ""
    return f"GENERATED {column.identity.upper()} AS IDENTITY{words}"


def not_null_constraint(table: Table | View | None, column: str) -> Constraint | None:
    """The named constraint behind NOT NULL (18)."""
    found = table.constraints if isinstance(table, Table) else ()
    return next((k for k in found if k.kind == "not null" and k.columns == (column,)), None)


def _not_null(table: Table, column: Column, sides: Sides) -> str:
    named = not_null_constraint(table, column.name)
    if named is None:
        return "NOT NULL"
    if not named.validated:
        return ""
    name = "" if _usual_name(table, column, named, sides) else f"CONSTRAINT {quote(named.name)} "
    return f"{name}NOT NULL{' NO INHERIT' * named.no_inherit}"


def _usual_name(table: Table, column: Column, named: Constraint, sides: Sides) -> bool:
    """Whether PostgreSQL would find the same name: it takes another one where any table of the schema has a constraint called so."""
    usual = f"{table.name}_{column.name}_not_null"
    alone = sides.b.constraint_names.get((table.schema, usual), 0) <= 1 and not sides.a.constraint_names.get((table.schema, usual))
    return named.name == usual and len(usual.encode()) <= MAX_BYTES and alone


def _split(table: Table | View, column: Column) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Planner options and foreign options."""
    foreign = isinstance(table, Table) and table.kind == "foreign table"
    own = tuple(o for o in column.options if not foreign or o.startswith(("n_distinct=", "n_distinct_inherited=")))
    return own, tuple(o for o in column.options if o not in own)


def attributes(whole: Table | View, old: Column, new: Column, catalog: Catalog, *, fresh: bool = False) -> list[str]:
    """Storage, compression, statistics and planner options from `old` to `new`; `fresh` when the column has just been made."""
    head = f"{alter(whole, only=heirs(catalog, whole))} ALTER COLUMN {quote(new.name)}"
    found: list[str] = []
    if old.storage != new.storage:
        found.append(f"SET STORAGE {(new.storage or _own_storage(new)).upper()}")
    if old.compression != new.compression:
        found.append(f"SET COMPRESSION {new.compression or 'DEFAULT'}")
    if old.statistics != new.statistics:
        found.append(f"SET STATISTICS {-1 if new.statistics is None else new.statistics}")
    (before, foreign), (after, wanted) = _split(whole, old), _split(whole, new)
    found += settings_changed(before, after)
    found += [] if fresh else foreign_options_changed(foreign, wanted)
    return [f"{head} {words}" for words in found]


def _own_storage(column: Column) -> str:
    """The storage a type has by itself; SET STORAGE DEFAULT is only known from 16."""
    return "main" if column.type.basic in _MAIN and not column.type.array else "extended"


def parents_column(table: Table, name: str, catalog: Catalog) -> Column | None:
    """The column of the same name in a parent."""
    parents = (catalog.table[p] for p in table.parents if p in catalog.table)
    return next((p.column[name] for p in parents if name in p.column), None)


def _create(operation: Operation, sides: Sides) -> list[str]:
    column, whole = operation.new, relation(sides.b, operation.object)
    if not isinstance(whole, Table) or column.inherited or whole.of_type:
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


def differing(table: Table, parent: Column, column: Column, given: Column, catalog: Catalog) -> Iterator[str]:
    """What a column that was handed down has otherwise than its parent's; `given` is what it began with."""
    yield from attributes(table, given, column, catalog, fresh=table.kind != "foreign table")
    head = f"{alter(table, only=heirs(catalog, table))} ALTER COLUMN {quote(column.name)}"
    if parent.default != column.default and not column.generated:
        yield f"{head} SET DEFAULT {column.default}" if column.default else f"{head} DROP DEFAULT"
    if column.not_null and not parent.not_null and not not_null_constraint(table, column.name):
        yield f"{head} SET NOT NULL"
    if parent.not_null and not column.not_null:
        yield f"{head} DROP NOT NULL"


def _typed(column: Column) -> str:
    return f"{column.type.sql}{f' COLLATE {column.collation}' if column.collation else ''}"


def _drop(operation: Operation, sides: Sides) -> list[str]:
    name, whole = operation.old.name, relation(sides.a, operation.object)
    if not isinstance(whole, Table) or whole.of_type or parents_column(whole, name, sides.a):
        return []
    return [f"{alter(whole, only=keeps_column(whole, name, sides))} DROP COLUMN {quote(name)}"]


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
        yield f"{self.head} TYPE {_typed(new)}{f' USING {conversion}' if conversion else ''}"

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
        added = f"{self.head} ADD {_identity(self.table, new, self.sides.b)}" if new.identity else ""
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
