"""A column in another type without a rewrite under lock: a new column beside the old one, filled while both are written, then exchanged.

What a copy of a column or table loses is known (foreign keys both ways, privileges, comments, sequences' ownership, replica identity): all
of it is carried over here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pgcharter.catalog.model import Catalog, Column, Constraint, Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan import safe_swap_keys as keys
from pgcharter.plan import safe_swap_numbers as numbers
from pgcharter.plan.ddl_common import metadata, privileges
from pgcharter.plan.model import Grade, Phase, Step
from pgcharter.plan.safe_constraints import not_null
from pgcharter.plan.safe_ground import Ground, Piece, Sequence, dressing
from pgcharter.plan.safe_sync import both_types, filling, one_way, sync
from pgcharter.plan.safe_text import renamed


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
    back: Callable[[str], str] | None = None
    """The way back: then both columns are written until the contract phase, and names are exchanged in that."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Types that have another name until the end, as SQL writes them."""
    loses: str = ""
    then: tuple[str, ...] = ()
    """Statements that follow the exchange at once."""
    cause: ObjectId | None = None
    """The type whose change asks for it; None when the column itself does."""
    before: list[Piece] = field(default_factory=list)
    first: list[Step] = field(default_factory=list)
    """What opens the transaction of the exchange: it locks other tables too."""
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

    @property
    def span(self) -> int:
        """Number of what changes in one go with it."""
        return self.ground.spans.get(self.cause or self.address, -1)

    def part(self, constraint: Constraint) -> ObjectId:
        """A constraint of the table."""
        return self.table.part("constraint", constraint.name)

    def begin(self) -> None:
        """Note that it is exchanged."""
        self.ground.exchanged[self.address] = self.span

    def carry(self) -> None:
        """NOT NULL, and whatever else hangs on the column."""
        if self.new.not_null:
            self._not_null()
        keys.indexes(self)
        keys.checks(self)
        keys.outgoing(self)
        keys.point_at(self)
        self._finish()

    def drop(self) -> Step:
        """The end of the old column."""
        object = self.table.part("column", self.gone)  # noqa: A001
        grade = Grade.LOSSY if self.loses else Grade.LOSSLESS
        sql = self.sql(f"DROP COLUMN {quote(self.gone)}")
        return self.ground.step(sql, f"drop the old {object}", object, phase=Phase.CONTRACT, grade=grade, loses=self.loses)

    def notes(self) -> Iterator[str]:
        """What a reader should know of it."""
        note = f"{self.address} moves to the end of its table, because a new column takes its place: statements that name no columns"
        note += (
            " (INSERT INTO ... VALUES, COPY) must name them before, and a session that has prepared a statement which returns the column"
        )
        yield f"{note} gets the error 'cached plan must not change result type' once"
        if self.new.identity and not self.old.identity and not self.then:
            yield f"{self.address} counts from the start: set its sequence above the values already there"

    def sql(self, action: str) -> str:
        """ALTER TABLE."""
        return f"ALTER TABLE {self.table.id.sql()} {action}"

    def do(self, action: str, title: str, why: str = "") -> None:
        """ALTER TABLE as a step of the exchange."""
        self.exchange.append(self.ground.step(self.sql(action), title, self.address, why=why, sight=self.sight()))

    def sight(self, *changed: Table) -> Catalog:
        """The table with both columns."""
        fresh = replace(self.new, name=self.fresh, not_null=False, default="", identity="")
        table = replace(self.table, columns=(*self.table.columns, fresh))
        return self.ground.around(table, *changed)

    def _type(self) -> str:
        return renamed(f"::{self.new.type.sql}", {}, self.types)[2:]

    def _add(self) -> str:
        collate = f" COLLATE {self.new.collation}" if self.new.collation else ""
        return self.sql(f"ADD COLUMN {quote(self.fresh)} {self._type()}{collate}")

    @property
    def link(self) -> str:
        """What the trigger does for it."""
        if self.back is not None:
            return both_types(self.old.name, self.fresh, self.convert, self.back)
        return one_way(self.fresh, self.convert(f"new.{quote(self.old.name)}"))

    @property
    def filling(self) -> tuple[str, str]:
        """What is assigned in rows already there, and in which of them."""
        name, fresh = quote(self.old.name), quote(self.fresh)
        return f"{fresh} = {self.convert(name)}", f"{fresh} IS NULL AND {name} IS NOT NULL"

    def added(self) -> Iterator[Step]:
        """The new column, empty."""
        fresh = self.table.part("column", self.fresh)
        why = "ALTER COLUMN TYPE would write the table anew while everybody waits; a second column is filled instead"
        yield self.ground.step(self._add(), f"add {fresh.sql()} beside {quote(self.old.name)}", fresh, why=why)
        yield from self._settings(fresh)
        for sql in privileges(fresh, None, self.new.acl, "", self.ground.major) if self.back else ():
            yield self.ground.step(sql, f"give {fresh.sql()} the rights of {quote(self.old.name)}", fresh)

    def _settings(self, fresh: ObjectId) -> Iterator[Step]:
        """Storage, compression, statistics, before a row is written."""
        column = quote(self.fresh)
        found = [f"SET STORAGE {self.new.storage.upper()}"] if self.new.storage else []
        found += [f"SET COMPRESSION {self.new.compression}"] if self.new.compression else []
        found += [f"SET STATISTICS {self.new.statistics}"] if self.new.statistics is not None else []
        found += [f"SET ({', '.join(self.new.options)})"] if self.new.options else []
        for action in found:
            yield self.ground.step(self.sql(f"ALTER COLUMN {column} {action}"), f"set up {fresh.sql()}", fresh)

    def _not_null(self) -> None:
        filled = replace(self.new, name=self.fresh, not_null=False)
        table = replace(self.table, columns=(*self.table.columns, filled))
        self.before += not_null(table, self.fresh, self.ground).core
        self.proof = self.before[-1][0].object.part

    def _no_longer_required(self) -> None:
        """The old column may be NULL, as nobody fills it any more; from 18 on the new one's NOT NULL gets its name."""
        if self.old.not_null or self.address in self.ground.done:
            self.do(f"ALTER COLUMN {quote(self.old.name)} DROP NOT NULL", f"let the old {self.address} be NULL")
        wanted = next((c for c in self.after.constraints if c.kind == "not null" and c.columns == (self.new.name,)), None)
        if self.proof and wanted is not None and self.ground.major >= 18:
            sql = f"RENAME CONSTRAINT {quote(self.proof)} TO {quote(wanted.name)}"
            self.do(sql, f"rename {quote(self.proof)} to {quote(wanted.name)}")
            self.ground.done.add(self.table.part("constraint", wanted.name))

    def kept(self, object: ObjectId) -> bool:  # noqa: A002
        """Whether no operation of its own makes or removes it."""
        return not self.ground.changes.get(object, frozenset()) & {"create", "drop"}

    def renamed(self, text: str) -> str:
        """An expression about the new column under its first name."""
        return renamed(text, {self.new.name: self.fresh}, self.types)

    def more(self, statements: list[str], object: ObjectId) -> None:  # noqa: A002
        """Statements that give something its owner, privileges, comment."""
        self.exchange += [self.ground.step(sql, dressing(sql, object), object) for sql in statements]

    def _finish(self) -> None:
        """Names, default, identity, ownership of sequences, privileges, comment."""
        old, fresh = quote(self.old.name), quote(self.fresh)
        if self.old.default:
            self.do(f"ALTER COLUMN {old} DROP DEFAULT", f"drop the default of the old {self.address}")
        if self.new.identity:
            numbers.identity(self)
        elif self.old.identity:
            numbers.uncounted(self)
        self._no_longer_required()
        self.do(f"RENAME COLUMN {old} TO {quote(self.gone)}", f"rename {old} to {quote(self.gone)}")
        self.do(f"RENAME COLUMN {fresh} TO {quote(self.new.name)}", f"rename {fresh} to {quote(self.new.name)}")
        if self.new.default:
            default = renamed(self.new.default, {}, self.types)
            self.do(f"ALTER COLUMN {quote(self.new.name)} SET DEFAULT {default}", f"set the default of {self.address}")
        former = numbers.former(self)
        owned = [s for c in (self.ground.a, self.ground.b) for s in c.sequences_of.get(self.table.id, ()) if s.owned_by == self.address]
        for sequence in dict.fromkeys(s.id for s in owned if not s.identity and not (former and former.id == s.id)):
            sql = f"ALTER SEQUENCE {sequence.sql()} OWNED BY {self.address.sql()}"
            self.exchange.append(self.ground.step(sql, f"let {sequence} belong to the new column", sequence))
        self.more([*self.then, *metadata(self.address, None, self.new, self.ground.major)], self.address)
        keys.statistics(self)


def exchanged(swaps: list[Swap]) -> Sequence:
    """All of it for columns of one table: one trigger, and every row is written once for all of them."""
    one = swaps[0]
    ground, table = one.ground, one.table
    for swap in swaps:
        swap.begin()
    link = sync(ground, table, one.old.name, "\n".join(swap.link for swap in swaps))
    function, trigger = link.made()
    start = (function, *(step for swap in swaps for step in swap.added()), trigger)
    for swap in swaps:
        swap.carry()
    last: Piece = (*(s for swap in swaps for s in swap.first), *link.dropped(), *(s for swap in swaps for s in swap.exchange))
    late = one.back is not None
    last = tuple(replace(step, phase=Phase.CONTRACT) for step in last) if late else last
    return Sequence(
        before=(start, (_filled(swaps),), *(piece for swap in swaps for piece in swap.before)),
        core=() if late else (last,),
        contract=(*((last,) if late else ()), tuple(swap.drop() for swap in swaps)),
        gate=", ".join(f"the former {swap.address}" for swap in swaps),
        notes=tuple(note for swap in swaps for note in swap.notes()),
    )


def _filled(swaps: list[Swap]) -> Step:
    ground, table = swaps[0].ground, swaps[0].table
    assignments = ", ".join(swap.filling[0] for swap in swaps)
    conditions = [swap.filling[1] for swap in swaps]
    condition = conditions[0] if len(conditions) == 1 else " OR ".join(f"({c})" for c in conditions)
    fresh = " and ".join(table.part("column", swap.fresh).sql() for swap in swaps)
    title = f"fill {fresh} from {' and '.join(quote(swap.old.name) for swap in swaps)}"
    return filling(ground, table, assignments, condition, title)
