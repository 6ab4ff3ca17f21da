"""Tables: ordinary, partitioned, partitions, foreign, inherited, typed.

CREATE writes the table with its columns, its constraints but foreign keys, and what is said of these afterwards. Foreign keys, other
indexes, triggers, row policies and rules are operations of their own, and come after the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pgcharter.catalog.model import Column, Constraint, Table
from pgcharter.names import quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_columns import attributes, clause, differing, not_null_constraint, parents_column
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_constraints import clause as constraint_clause
from pgcharter.plan.ddl_constraints import copies, index_of
from pgcharter.plan.ddl_indexes import made_by_attach, marks, written
from pgcharter.plan.ddl_inheritance import as_partition_of, in_parents_order
from pgcharter.plan.ddl_members import clones
from pgcharter.plan.ddl_parts import alter, foreign_options, foreign_options_changed, settings, settings_changed
from pgcharter.plan.ddl_sequences import belonging, identity_sequence
from pgcharter.plan.model import Operation


def _create(operation: Operation, sides: Sides) -> list[str]:
    return [*_Making(operation.new, sides).statements()]


def create_then_attach(table: Table, sides: Sides) -> list[str]:
    """A partition made as a table by itself and attached then, which stops nobody from using the partitioned table."""
    return [*_Making(table, sides, attach=True).statements()]


@dataclass
class _Making:
    """One table that is made."""

    table: Table
    sides: Sides
    attach: bool = False

    @cached_property
    def derived(self) -> bool:
        """Whether CREATE TABLE itself names the parents (PARTITION OF, INHERITS), so that what they hand down is not written."""
        if self.table.partition_of is not None:
            return not self.attach and as_partition_of(self.table, self.sides)
        return bool(self.table.inherits) and in_parents_order(self.table, self.sides.b)

    def statements(self) -> Iterator[str]:
        yield self._create()
        yield from self._columns()
        for constraint in self.table.constraints:
            if self._written(constraint) and not constraint.validated and constraint.enforced:
                yield f"{alter(self.table)} ADD {constraint_clause(constraint, self.table)}"
        yield from belonging(self.table.id, self.sides)
        if not self.derived:
            yield from self._join()
        yield from _copied(self.table, self.sides)
        yield from self._marks()
        yield from self._metadata()

    def _create(self) -> str:
        table, sides = self.table, self.sides
        words = ["CREATE", *["UNLOGGED"] * table.unlogged, *["FOREIGN"] * (table.kind == "foreign table"), "TABLE", table.id.sql()]
        words += [f"OF {table.of_type}"] if table.of_type else []
        of = table.partition_of if self.derived else None
        words += [f"PARTITION OF {of.sql()}"] if of else []
        parts = [clause(table, c, sides, partition=table.partition_of is not None) for c in table.columns if self._own(c)]
        parts += [constraint_clause(k, table) for k in table.constraints if self._inside(k)]
        written = ", ".join(part for part in parts if part)
        words += [f"({written})"] if written or not (of or table.of_type) else []
        words += [table.partition_bound] if of else []
        if table.inherits and self.derived:
            words.append(f"INHERITS ({', '.join(p.sql() for p in table.inherits)})")
        return " ".join(words + self._storage())

    def _storage(self) -> list[str]:
        table = self.table
        words = [f"SERVER {quote(table.server)}"] if table.server else []
        words += [f"PARTITION BY {table.partition_key}"] if table.partition_key else []
        words += [f"USING {quote(table.access_method)}"] if table.access_method else []
        if table.kind == "foreign table":
            words += [foreign_options(table.options)] if table.options else []
        elif table.options:
            words.append(f"WITH {settings(table.options)}")
        return words + ([f"TABLESPACE {quote(table.tablespace)}"] if table.tablespace else [])

    def _own(self, column: Column) -> bool:
        return not (column.inherited and self.derived)

    def _written(self, constraint: Constraint) -> bool:
        """Constraints that come with the table; NOT NULL stands with its column where the column is written."""
        if constraint.kind in ("foreign key", "trigger") or (constraint.inherited and self.derived):
            return False
        return constraint.kind != "not null" or not constraint.validated or not self._own(self.table.column[constraint.columns[0]])

    def _inside(self, constraint: Constraint) -> bool:
        """CREATE TABLE would take NOT VALID for valid."""
        return self._written(constraint) and (constraint.validated or not constraint.enforced)

    def _columns(self) -> Iterator[str]:
        for column in self.table.columns:
            if self._own(column):
                yield from attributes(self.table, Column(column.name, 0, column.type), column, self.sides.b, fresh=True)
            elif parent := parents_column(self.table, column.name, self.sides.b):
                given = Column(column.name, 0, column.type, storage=parent.storage, compression=parent.compression)
                yield from differing(self.table, parent, column, given, self.sides.b)

    def _join(self) -> Iterator[str]:
        """Attach to the partitioned table, with the indexes that it would otherwise make under names of its own; or inherit."""
        table, sides = self.table, self.sides
        yield from _attach(table, sides)
        for parent in table.inherits:
            yield f"{alter(table)} INHERIT {parent.sql()}"

    def _marks(self) -> Iterator[str]:
        table = self.table
        for constraint in table.constraints:
            if index := index_of(constraint, table):
                yield from marks(index, self.sides.b)
        if table.replica_identity in ("full", "nothing"):
            yield f"{alter(table)} REPLICA IDENTITY {table.replica_identity.upper()}"
        yield from _security(Table("", ""), table)

    def _metadata(self) -> Iterator[str]:
        table, sides = self.table, self.sides
        for column in table.columns:
            address = table.part("column", column.name)
            yield from metadata(address, None, column, sides.major, owner_of=table.owner)
            if column.identity and (sequence := identity_sequence(sides.b, address)):
                defaults = {*sides.a.default_privileges, *sides.b.default_privileges}
                yield from metadata(sequence.id, None, sequence, sides.major, defaults=defaults)
        for constraint in table.constraints:
            if constraint.kind not in ("foreign key", "trigger"):
                yield from metadata(table.part("constraint", constraint.name), None, constraint, sides.major)
                if index := index_of(constraint, table):
                    yield from metadata(index.id, None, index, sides.major)


def _attach(table: Table, sides: Sides) -> Iterator[str]:
    if table.partition_of is None:
        return
    before = sides.a.table.get(table.id)
    if before is not None:
        yield from _fitted(before, table, sides)
    for index in table.indexes:
        if not index.constraint and index.id not in sides.a.index and made_by_attach(index, sides):
            yield from written(index, sides.b)
    yield f"ALTER TABLE {table.partition_of.sql()} ATTACH PARTITION {table.id.sql()} {table.partition_bound}"


def _fitted(before: Table, table: Table, sides: Sides) -> Iterator[str]:
    """What a table that was there before must have to become a partition.

    A NOT NULL that must be called otherwise has been renamed by then, by an operation of its own: what is handed down keeps its name.
    """
    had = {k.name for k in before.constraints}
    for constraint in table.constraints:
        index = index_of(constraint, table)
        if constraint.name in had or not (constraint.inherited or index):
            continue
        named = constraint.kind == "not null" and not_null_constraint(before, constraint.columns[0]) is not None
        if (constraint.kind in ("check", "not null") and not named) or (index is not None and made_by_attach(index, sides)):
            yield f"{alter(table)} ADD {constraint_clause(constraint, table)}"
            yield from marks(index, sides.b) if index else ()
    for column in table.columns:
        nullable = column.name in before.column and not before.column[column.name].not_null
        if column.not_null and nullable and not_null_constraint(table, column.name) is None:
            yield f"{alter(table)} ALTER COLUMN {quote(column.name)} SET NOT NULL"


def _copied(table: Table, sides: Sides) -> Iterator[str]:
    """Foreign keys and triggers that a new partition has got from its parent, as far as they have something of their own."""
    parent = sides.b.table.get(table.partition_of) if table.partition_of else None
    before = sides.a.table.get(parent.id) if parent else None
    if parent is None or before is None:
        return
    keys, triggers = {k.name for k in before.foreign_keys}, {t.name for t in before.triggers}
    for key in parent.foreign_keys:
        if key.name in keys:
            yield from copies(key, key.name, parent, sides, (table.id,))
    for trigger in parent.triggers:
        if trigger.name in triggers:
            yield from clones(trigger, parent, sides, (table.id,))


def _security(old: Table, new: Table) -> Iterator[str]:
    if old.row_security != new.row_security:
        yield f"{alter(new)} {'ENABLE' if new.row_security else 'DISABLE'} ROW LEVEL SECURITY"
    if old.force_row_security != new.force_row_security:
        yield f"{alter(new)} {'FORCE' if new.force_row_security else 'NO FORCE'} ROW LEVEL SECURITY"


def _drop(operation: Operation, sides: Sides) -> list[str]:
    """A partition goes with the partitioned table it belongs to."""
    table: Table = operation.old
    goes = table.partition_of is not None and table.partition_of not in sides.b.table
    return [] if goes else [f"DROP {'FOREIGN ' * (table.kind == 'foreign table')}TABLE {table.id.sql()}"]


_OTHERWISE = frozenset(("kind", "partition_strategy", "partition_key", "partition_columns", "server", "schema"))
"""Fields that no ALTER TABLE changes."""


def _alter(operation: Operation, sides: Sides) -> list[str] | None:
    old, new, fields = operation.old, operation.new, set(operation.fields)
    if fields & _OTHERWISE or (old.access_method != new.access_method and new.kind == "partitioned table" and sides.major < 17):
        return None
    return [*_family(old, new, sides), *_stored(old, new), *_security(old, new), *_identity(old, new)]


def _family(old: Table, new: Table, sides: Sides) -> Iterator[str]:
    if (old.partition_of, old.partition_bound) != (new.partition_of, new.partition_bound):
        if old.partition_of is not None:
            yield f"ALTER TABLE {old.partition_of.sql()} DETACH PARTITION {new.id.sql()}"
            yield from _left_behind(old, new)
        yield from _attach(new, sides)
        yield from _copied(new, sides)
    same = next((n for n, (a, b) in enumerate(zip(old.inherits, new.inherits, strict=False)) if a != b), None)
    kept = min(len(old.inherits), len(new.inherits)) if same is None else same
    for parent in old.inherits[kept:]:
        yield f"{alter(new)} NO INHERIT {parent.sql()}"
    for parent in new.inherits[kept:]:
        yield f"{alter(new)} INHERIT {parent.sql()}"
    if old.of_type != new.of_type:
        yield f"{alter(new)} {f'OF {new.of_type}' if new.of_type else 'NOT OF'}"


def _left_behind(old: Table, new: Table) -> Iterator[str]:
    """What a partition had from its parent and now has for itself, but shall not have."""
    names, indexes = {k.name for k in new.constraints}, {i.name for i in new.indexes}
    for key in old.constraints:
        nullable = key.kind != "not null" or not (key.columns[0] in new.column and new.column[key.columns[0]].not_null)
        if key.inherited and key.name not in names and nullable:
            yield f"{alter(new)} DROP CONSTRAINT {quote(key.name)}"
    for index in old.indexes:
        if index.parent and not index.constraint and index.name not in indexes:
            yield f"DROP INDEX {index.id.sql()}"


def _stored(old: Table, new: Table) -> Iterator[str]:
    if old.unlogged != new.unlogged:
        yield f"{alter(new)} SET {'UNLOGGED' if new.unlogged else 'LOGGED'}"
    if old.access_method != new.access_method:
        usual = "DEFAULT" if new.kind == "partitioned table" else "heap"
        yield f"{alter(new)} SET ACCESS METHOD {quote(new.access_method) if new.access_method else usual}"
    if old.tablespace != new.tablespace:
        yield f"{alter(new)} SET TABLESPACE {quote(new.tablespace or 'pg_default')}"
    changed = foreign_options_changed if new.kind == "foreign table" else settings_changed
    for words in changed(old.options, new.options):
        yield f"{alter(new)} {words}"


def _identity(old: Table, new: Table) -> Iterator[str]:
    """Replica identity; that by an index is told with the index."""
    if old.replica_identity != new.replica_identity and new.replica_identity != "index":
        yield f"{alter(new)} REPLICA IDENTITY {new.replica_identity.upper()}"


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER TABLE {operation.object.sql()} RENAME TO {quote(operation.new.name)}"]


WRITERS = {"table": Writer(_create, _drop, _alter, _rename)}
