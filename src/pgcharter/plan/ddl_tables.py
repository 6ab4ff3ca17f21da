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
from pgcharter.plan.ddl_column_parts import attributes, clause, differing, parents_column
from pgcharter.plan.ddl_common import comment, metadata
from pgcharter.plan.ddl_constraints import clause as constraint_clause
from pgcharter.plan.ddl_constraints import index_of
from pgcharter.plan.ddl_indexes import marks
from pgcharter.plan.ddl_inheritance import as_partition_of, attach, copied, family, in_parents_order
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
        yield from copied(self.table, self.sides)
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
        yield from attach(table, sides)
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
            if column.comment or column.acl is not None:
                yield from metadata(address, None, column, sides.major, owner_of=table.owner)
            if column.identity and (sequence := identity_sequence(sides.b, address)):
                defaults = {*sides.a.default_privileges, *sides.b.default_privileges}
                yield from metadata(sequence.id, None, sequence, sides.major, defaults=defaults)
        for constraint in table.constraints:
            index = index_of(constraint, table)
            if constraint.comment and constraint.kind not in ("foreign key", "trigger"):
                yield from comment(table.part("constraint", constraint.name), "", constraint.comment)
            if index is not None:
                yield from comment(index.id, "", index.comment)


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
    return [*family(old, new, sides), *_stored(old, new), *_security(old, new), *_identity(old, new)]


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
