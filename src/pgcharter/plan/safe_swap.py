"""A column in another type without a rewrite under lock: a new column beside the old one, filled while both are written, then exchanged.

What a copy of a column or table loses is known (foreign keys both ways, privileges, comments, sequences' ownership, replica identity): all
of it is carried over here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pgcharter.catalog.model import Catalog, Column, Constraint, Index, Table
from pgcharter.catalog.model import Sequence as Numbers
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.model import Grade, Phase, Step
from pgcharter.plan.safe_constraints import not_null, two_steps, using, with_space
from pgcharter.plan.safe_ground import Ground, Piece, Sequence, dressing
from pgcharter.plan.safe_indexes import concurrently
from pgcharter.plan.safe_names import joined
from pgcharter.plan.safe_sync import filling, one_way, sync
from pgcharter.plan.safe_text import mentions, renamed


@dataclass
class Swap:
    """One column that is exchanged for one of another type."""

    ground: Ground
    table: Table
    """As it is before."""
    old: Column
    new: Column
    """As it shall be."""
    convert: Callable[[str], str]
    """From a column's name in SQL to the expression of its value in the new type."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Types that have another name until the end, as SQL writes them."""
    loses: str = ""
    then: tuple[str, ...] = ()
    """Statements that follow the exchange at once."""
    cause: ObjectId | None = None
    """The type whose change asks for it; None when the column itself does."""
    before: list[Piece] = field(default_factory=list)
    exchange: list[Step] = field(default_factory=list)
    """The steps of the one transaction in which names are exchanged."""
    proof: str = ""
    """The constraint that keeps the new column from being NULL."""

    @cached_property
    def fresh(self) -> str:
        """Name of the new column until the exchange."""
        return self.ground.names.column(self.table.id, self.old.name, "new")

    @cached_property
    def gone(self) -> str:
        """Name of the old column after it."""
        return self.ground.names.column(self.table.id, self.old.name, "old")

    @property
    def address(self) -> ObjectId:
        """The column."""
        return self.table.part("column", self.old.name)

    @property
    def after(self) -> Table:
        """The table as it shall be."""
        return self.ground.b.table[self.table.id]

    def possible(self) -> bool:
        """Whether everything around the column can be carried over without stopping anybody."""
        if self.table.kind != "table" or self.table.inherits or self.old.generated or self.old.inherited or self.table.of_type:
            return False
        if self.table.partition_of is not None or self.table.id in self._parents() or self.table.id not in self.ground.b.table:
            return False
        if self.cause is None and any({"drop", "create"} <= self.ground.changes.get(t, frozenset()) for t in self._types()):
            return False
        users = self.ground.uses[0].by.get(self.address, set())
        if any(u.kind == "publication" or (u.kind == "statistics" and self._reordered(u)) for u in users):
            return False
        keys = (c for c in self.table.constraints if self.old.name in c.columns)
        if any(c.kind == "exclude" or c.temporal or (c.kind == "primary key" and not self._kept(self._part(c))) for c in keys):
            return False
        if self._entangled():
            return False
        if any(t.kind == "partitioned table" or t.partition_of is not None for t, _ in self._incoming()):
            return False
        trial = f"ALTER TABLE {self.table.id.sql()} ADD COLUMN {quote(joined(self.old.name, '_new'))} {self.new.type.sql}"
        return not self.ground.hurts(self.ground.effect(trial))

    def _types(self) -> Iterator[ObjectId]:
        """The old column's own type, which it holds until the contract phase."""
        return (ObjectId(kind, self.old.type.schema, self.old.type.name) for kind in ("type", "domain"))

    @property
    def _span(self) -> int:
        return self.ground.spans.get(self.cause or self.address, -1)

    def _entangled(self) -> bool:
        """Whether an index, key or statistics spans this column and another that is exchanged with it: each would carry its copy."""
        together = {c for c, span in self.ground.exchanged.items() if span == self._span}
        if not together:
            return False
        others = {c.part for c in together if c.owner == self.table.id}
        texts = [i.definition for i in self.table.indexes if not i.constraint and self._kept(i.id)]
        texts += [self._spanned(c) for c in self.table.constraints if self._kept(self._part(c))]
        texts += [" ".join((*s.columns, *s.expressions)) for s in self.ground.a.statistics if s.table == self.table.id]
        if any(mentions(text, self.old.name) and mentions(text, other) for text in texts for other in others):
            return True
        ends = [table.part("column", c) for table, key in self._incoming() for c in key.columns]
        for key in self.table.foreign_keys:
            other = self.ground.a.table.get(key.references) if key.references else None
            if other is not None and self.old.name in key.columns and self._kept(self._part(key)):
                ends += [other.part("column", c) for c in key.referenced_columns]
        return not together.isdisjoint(ends)

    def _spanned(self, constraint: Constraint) -> str:
        """SQL that names the columns of this table that a constraint spans."""
        if constraint.kind != "foreign key":
            return constraint.definition
        ends = constraint.referenced_columns if constraint.references == self.table.id else ()
        return ", ".join(map(quote, (*constraint.columns, *ends)))

    def _part(self, constraint: Constraint) -> ObjectId:
        return self.table.part("constraint", constraint.name)

    def _reordered(self, statistics: ObjectId) -> bool:
        """Whether extended statistics would name their columns in another order: PostgreSQL keeps that of the table."""
        found = next((s for s in self.ground.a.statistics if s.id == statistics), None)
        place = {c.name: c.position for c in self.table.columns}
        return (
            found is not None and self.old.name in found.columns and any(place[c] > self.old.position for c in found.columns if c in place)
        )

    def _parents(self) -> frozenset[ObjectId]:
        return frozenset(parent for t in self.ground.a.tables for parent in t.inherits)

    def sequence(self) -> Sequence:
        """All of it."""
        self.ground.exchanged[self.address] = self._span
        self._begin()
        self._indexes()
        self._checks()
        self._outgoing()
        self._point_at()
        self._finish()
        gone = self._sql(f"DROP COLUMN {quote(self.gone)}")
        object = self.table.part("column", self.gone)  # noqa: A001
        grade = Grade.LOSSY if self.loses else Grade.LOSSLESS
        drop = self.ground.step(gone, f"drop the old {object}", object, phase=Phase.CONTRACT, grade=grade, loses=self.loses)
        note = f"{self.address} moves to the end of its table, because a new column takes its place: statements that name no columns"
        note += " (INSERT INTO ... VALUES, COPY) must name them before"
        uncounted = bool(self.new.identity and not self.old.identity and not self.then)
        more = f"{self.address} counts from the start: set its sequence above the values already there"
        return Sequence(
            before=tuple(self.before), core=(tuple(self.exchange),), contract=((drop,),),
            gate=f"the former {self.address}", notes=(note, more) if uncounted else (note,),
        )  # fmt: skip

    def _sql(self, action: str) -> str:
        return f"ALTER TABLE {self.table.id.sql()} {action}"

    def _do(self, action: str, title: str, why: str = "") -> None:
        self.exchange.append(self.ground.step(self._sql(action), title, self.address, why=why, sight=self._sight()))

    def _sight(self, *changed: Table) -> Catalog:
        fresh = replace(self.new, name=self.fresh, not_null=False, default="", identity="")
        table = replace(self.table, columns=(*self.table.columns, fresh))
        return self.ground.around(table, *changed)

    def _type(self) -> str:
        return renamed(f"::{self.new.type.sql}", {}, self.types)[2:]

    def _add(self) -> str:
        collate = f" COLLATE {self.new.collation}" if self.new.collation else ""
        return self._sql(f"ADD COLUMN {quote(self.fresh)} {self._type()}{collate}")

    def _begin(self) -> None:
        """The new column, what keeps it in step, the rows already there, NOT NULL."""
        ground, fresh = self.ground, self.table.part("column", self.fresh)
        link = sync(ground, self.table, self.old.name, one_way(self.fresh, self.convert(f"new.{quote(self.old.name)}")))
        why = "ALTER COLUMN TYPE would write the table anew while everybody waits; a second column is filled instead"
        function, trigger = link.made()
        add = ground.step(self._add(), f"add {fresh.sql()} beside {quote(self.old.name)}", fresh, why=why)
        self.before.append((function, add, *self._settings(fresh), trigger))
        name = quote(self.old.name)
        condition = f"{quote(self.fresh)} IS NULL AND {name} IS NOT NULL"
        title = f"fill {fresh.sql()} from {name}"
        self.before.append((filling(ground, self.table, f"{quote(self.fresh)} = {self.convert(name)}", condition, title),))
        self.exchange += link.dropped()
        if self.new.not_null:
            self._not_null()

    def _settings(self, fresh: ObjectId) -> Iterator[Step]:
        """Storage, compression, statistics, before a row is written."""
        column = quote(self.fresh)
        found = [f"SET STORAGE {self.new.storage.upper()}"] if self.new.storage else []
        found += [f"SET COMPRESSION {self.new.compression}"] if self.new.compression else []
        found += [f"SET STATISTICS {self.new.statistics}"] if self.new.statistics is not None else []
        found += [f"SET ({', '.join(self.new.options)})"] if self.new.options else []
        for action in found:
            yield self.ground.step(self._sql(f"ALTER COLUMN {column} {action}"), f"set up {fresh.sql()}", fresh)

    def _not_null(self) -> None:
        filled = replace(self.new, name=self.fresh, not_null=False)
        table = replace(self.table, columns=(*self.table.columns, filled))
        self.before += not_null(table, self.fresh, self.ground).core
        self.proof = self.before[-1][0].object.part

    def _no_longer_required(self) -> None:
        """The old column may be NULL, as nobody fills it any more; from 18 on the new one's NOT NULL gets its name."""
        if self.old.not_null or self.address in self.ground.done:
            self._do(f"ALTER COLUMN {quote(self.old.name)} DROP NOT NULL", f"let the old {self.address} be NULL")
        wanted = next((c for c in self.after.constraints if c.kind == "not null" and c.columns == (self.new.name,)), None)
        if self.proof and wanted is not None and self.ground.major >= 18:
            sql = f"RENAME CONSTRAINT {quote(self.proof)} TO {quote(wanted.name)}"
            self._do(sql, f"rename {quote(self.proof)} to {quote(wanted.name)}")
            self.ground.done.add(self.table.part("constraint", wanted.name))

    def _kept(self, object: ObjectId) -> bool:  # noqa: A002
        """Whether no operation of its own makes or removes it."""
        return not self.ground.changes.get(object, frozenset()) & {"create", "drop"}

    def _renamed(self, text: str) -> str:
        return renamed(text, {self.new.name: self.fresh}, self.types)

    def _indexes(self) -> None:
        constraints = {c.name: c for c in self.after.constraints}
        present = {i.name for i in self.table.indexes}
        for index in self.after.indexes:
            if index.name not in present or not mentions(with_space(index), self.new.name):
                continue
            constraint = constraints.get(index.constraint)
            owner = self.table.part("constraint", index.constraint) if constraint else index.id
            if self._kept(owner) and self._kept(index.id):
                self._index(index, constraint)

    def _index(self, index: Index, constraint: Constraint | None) -> None:
        name = self.ground.names.relation(index.schema, index.name, "new")
        why = "the new column needs the indexes of the old one before it takes its place"
        self.before.append(concurrently(self.ground, index, self._renamed(with_space(index)), name, why, table=self.table))
        fresh = ObjectId("index", index.schema, name)
        if constraint is not None:
            self._do(f"DROP CONSTRAINT {quote(constraint.name)}", f"drop the old {quote(constraint.name)}")
            self.exchange.append(using(constraint, self.table, self.ground, name))
            object = self.table.part("constraint", constraint.name)  # noqa: A001
            self._more(metadata(object, None, constraint, self.ground.major), object)
        else:
            self.exchange.append(self.ground.step(f"DROP INDEX {index.id.sql()}", f"drop the old {index.id}", index.id))
            sql = f"ALTER INDEX {fresh.sql()} RENAME TO {quote(index.name)}"
            self.exchange.append(self.ground.step(sql, f"rename {fresh.sql()} to {quote(index.name)}", index.id))
            self._more(metadata(index.id, None, index, self.ground.major), index.id)
        if index.replica_identity:
            self._do(f"REPLICA IDENTITY USING INDEX {quote(index.name)}", f"identify rows of {self.table.id} by {index.id} again")
        if index.clustered:
            self._do(f"CLUSTER ON {quote(index.name)}", f"cluster {self.table.id} on {index.id} again")

    def _more(self, statements: list[str], object: ObjectId) -> None:  # noqa: A002
        self.exchange += [self.ground.step(sql, dressing(sql, object), object) for sql in statements]

    def _carried(self, constraint: Constraint) -> bool:
        return self._kept(self.table.part("constraint", constraint.name)) and any(c.name == constraint.name for c in self.table.constraints)

    def _checks(self) -> None:
        for check in self.after.checks:
            if self._carried(check) and mentions(check.definition, self.new.name):
                self._constraint(self.table, check, self._renamed(check.definition))

    def _outgoing(self) -> None:
        for key in self.after.foreign_keys:
            if self._carried(key) and self.new.name in key.columns:
                head, middle, tail = key.definition.partition(" REFERENCES ")
                if key.references == self.table.id and self.new.name in key.referenced_columns:
                    definition = self._renamed(f"{head}{middle}{tail}")
                else:
                    target, actions, rest = tail.partition(" ON DELETE ")
                    definition = self._renamed(head) + middle + target + actions + (self._renamed(rest) if key.on_delete_columns else rest)
                self._constraint(self.table, key, definition)

    def _incoming(self) -> Iterator[tuple[Table, Constraint]]:
        """Foreign keys that point at the column, on both sides of the plan."""
        for table, key in self.ground.b.referencing.get(self.table.id, ()):
            before = self.ground.a.table.get(table.id)
            both = table.id == self.table.id and self.new.name in key.columns
            if both or self.new.name not in key.referenced_columns or before is None:
                continue
            kept = not self.ground.changes.get(table.part("constraint", key.name), frozenset()) & {"create", "drop"}
            if kept and not key.inherited and any(c.name == key.name for c in before.constraints):
                yield before, key

    def _point_at(self) -> None:
        for table, key in self._incoming():
            head, middle, tail = key.definition.partition(" REFERENCES ")
            target = self.table.id.sql()
            columns = tail[len(target) :]
            end = columns.index(")") + 1
            definition = f"{head}{middle}{target}{self._renamed(columns[:end])}{columns[end:]}"
            self._constraint(table, key, definition)

    def _constraint(self, table: Table, constraint: Constraint, definition: str) -> None:
        """The same constraint for the new column: proven before, taking the old one's place in the exchange."""
        ground = self.ground
        name = ground.names.constraint(table.id, constraint.name, "new")
        made = replace(constraint, definition=definition.removesuffix(" NOT VALID"))
        steps = two_steps(table, made, ground, name)
        self.before += steps if constraint.validated else steps[:1]
        object = table.part("constraint", constraint.name)  # noqa: A001
        sight = self._sight(*(() if table.id == self.table.id else (table,)))
        for action, title in (
            (f"DROP CONSTRAINT {quote(constraint.name)}", f"drop the old {quote(constraint.name)}"),
            (f"RENAME CONSTRAINT {quote(name)} TO {quote(constraint.name)}", f"rename {quote(name)} to {quote(constraint.name)}"),
        ):
            step = ground.step(f"ALTER TABLE {table.id.sql()} {action}", title, object, sight=sight)
            if action.startswith("DROP") and constraint.kind == "foreign key":
                self.exchange.insert(0, step)
            else:
                self.exchange.append(step)
        self._more(metadata(object, None, constraint, ground.major), object)

    def _finish(self) -> None:
        """Names, default, identity, ownership of sequences, privileges, comment."""
        old, fresh = quote(self.old.name), quote(self.fresh)
        if self.old.default:
            self._do(f"ALTER COLUMN {old} DROP DEFAULT", f"drop the default of the old {self.address}")
        if self.new.identity:
            self._identity()
        elif self.old.identity:
            self._uncounted()
        self._no_longer_required()
        self._do(f"RENAME COLUMN {old} TO {quote(self.gone)}", f"rename {old} to {quote(self.gone)}")
        self._do(f"RENAME COLUMN {fresh} TO {quote(self.new.name)}", f"rename {fresh} to {quote(self.new.name)}")
        if self.new.default:
            default = renamed(self.new.default, {}, self.types)
            self._do(f"ALTER COLUMN {quote(self.new.name)} SET DEFAULT {default}", f"set the default of {self.address}")
        former = self._former()
        owned = [s for c in (self.ground.a, self.ground.b) for s in c.sequences_of.get(self.table.id, ()) if s.owned_by == self.address]
        for sequence in dict.fromkeys(s.id for s in owned if not s.identity and not (former and former.id == s.id)):
            sql = f"ALTER SEQUENCE {sequence.sql()} OWNED BY {self.address.sql()}"
            self.exchange.append(self.ground.step(sql, f"let {sequence} belong to the new column", sequence))
        self._more([*self.then, *metadata(self.address, None, self.new, self.ground.major)], self.address)
        self._statistics()

    def _identity(self) -> None:
        former = self._former()
        wanted = next((s for s in self.ground.b.sequences if s.identity and s.owned_by == self.address), None)
        sequence = wanted or former
        if sequence is None:
            return
        ground, name = self.ground, self.ground.names.relation(sequence.schema, sequence.name, "new")
        fresh = ObjectId("sequence", sequence.schema, name)
        options = f"SEQUENCE NAME {fresh.sql()}"
        if wanted is not None:  # otherwise it is one only until `then` is done
            options += f" START WITH {wanted.start} INCREMENT BY {wanted.increment} MINVALUE {wanted.minimum} MAXVALUE {wanted.maximum}"
            options += f" CACHE {wanted.cache}{' CYCLE' * wanted.cycle}"
        action = f"ALTER COLUMN {quote(self.fresh)} ADD GENERATED {self.new.identity.upper()} AS IDENTITY ({options})"
        self._do(action, f"number {self.table.part('column', self.fresh)} by itself")
        if former is not None:
            sql = f"SELECT pg_catalog.setval({literal(fresh.sql())}, last_value, is_called) FROM {former.id.sql()}"
            self.exchange.append(ground.step(sql, f"go on counting where {former.id} stands", fresh))
            self._uncounted()
        rename = f"ALTER SEQUENCE {fresh.sql()} RENAME TO {quote(sequence.name)}"
        self.exchange.append(ground.step(rename, f"rename {fresh} to {quote(sequence.name)}", sequence.id))
        self._more(metadata(sequence.id, None, sequence, ground.major), sequence.id)

    def _former(self) -> Numbers | None:
        """The sequence that numbers the old column by itself."""
        return next((s for s in self.ground.a.sequences if s.identity and s.owned_by == self.address), None)

    def _uncounted(self) -> None:
        self._do(f"ALTER COLUMN {quote(self.old.name)} DROP IDENTITY", f"stop numbering the old {self.address}")

    def _statistics(self) -> None:
        present = {s.id for s in self.ground.a.statistics}
        for statistics in self.ground.b.statistics:
            if statistics.table != self.table.id or statistics.id not in present or not self._kept(statistics.id):
                continue
            if self.new.name not in statistics.columns and not any(mentions(e, self.new.name) for e in statistics.expressions):
                continue
            drop = self.ground.step(f"DROP STATISTICS {statistics.id.sql()}", f"drop the old {statistics.id}", statistics.id)
            self.exchange.insert(0, drop)
            made = [statistics.definition, *metadata(statistics.id, None, statistics, self.ground.major)]
            if statistics.target is not None:
                made.append(f"ALTER STATISTICS {statistics.id.sql()} SET STATISTICS {statistics.target}")
            self._more(made, statistics.id)
