"""Operations in order become pieces in order: replacements together, long work before what must be quick, what goes for good at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

from pgcharter.catalog.model import Catalog, Index, Stats, Table, UserType
from pgcharter.names import ObjectId
from pgcharter.plan import safe
from pgcharter.plan.blocks import BARRIER, patient
from pgcharter.plan.ddl import Sides
from pgcharter.plan.model import Operation, Phase, Step
from pgcharter.plan.safe_ground import Ground, Piece, Plain, Safe, Sequence, Style, UnwritableError
from pgcharter.plan.safe_indexes import owner
from pgcharter.plan.safe_names import Names
from pgcharter.plan.safe_types import columns_of, enum_replaced, exchangeable
from pgcharter.plan.safe_views import filled_later
from pgcharter.plan.waiting import Waiting

ITSELF = "cannot be changed in place"
"""How the cause of a replacement ends that nothing but the object's own change asks for (`diff`)."""


@dataclass
class Way:
    """One direction."""

    sides: Sides
    style: Style
    sizes: Stats | None
    operations: tuple[Operation, ...]
    origin: Catalog
    """The catalog in which what is renamed has its old name."""
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    contract: list[Piece] = field(default_factory=list)

    @cached_property
    def ground(self) -> Ground:
        """What the forms look around in."""
        changes: dict[ObjectId, frozenset[str]] = {}
        for o in self.operations:
            changes[o.object] = changes.get(o.object, frozenset()) | {o.change}
        style = self.style if isinstance(self.style, Safe) else Safe()
        names = Names(self.sides.a, self.sides.b)
        return Ground(self.sides, style, self.sizes, names, changes, self.origin, self.operations, spans=self._numbers())

    def pieces(self) -> Iterator[Piece]:
        """Everything in order: what expands, one gate, what contracts."""
        if isinstance(self.style, Plain):
            for operation in self.operations:
                yield from self._take(self._formed(safe.plainly, operation)).core
            return
        for span in self._spans():
            yield from self._span(span)
        if self.gates:
            yield (_gate(self.gates),)
        passing = [piece for piece in self.contract if piece[0].sql.startswith("DROP TYPE ") and piece[0].object not in self.ground.changes]
        yield from (piece for piece in self.contract if piece not in passing)
        yield from passing

    @cached_property
    def _waiting(self) -> Waiting:
        return Waiting(self.sides, self.operations, self.ground.uses[0], frozenset(self._pairs))

    @cached_property
    def _pairs(self) -> dict[ObjectId, tuple[int, int]]:
        """Places of the drop and the creation of what is replaced."""
        drops = {o.object: i for i, o in enumerate(self.operations) if o.change == "drop"}
        return {o.object: (drops[o.object], i) for i, o in enumerate(self.operations) if o.change == "create" and o.object in drops}

    @cached_property
    def _sequences(self) -> dict[int, Sequence]:
        """The forms of all operations by their place."""
        found: dict[int, Sequence] = {}
        for address, (first, last) in self._pairs.items():
            old, new = self.operations[first], self.operations[last]
            if isinstance(new.new, UserType):
                self._enum(old, new, found, last)
            elif old.cause.endswith(ITSELF) or not old.cause:
                at = self._meeting(address, first, last)
                made = self._replaced(old, new) if at is not None else None
                if made is not None and at is not None:
                    found[first] = found[last] = Sequence()
                    found[at] = made
        for place, operation in enumerate(self.operations):
            if place not in found:
                found[place] = self._formed(self._form(place, operation), operation)
        return found

    def _form(self, place: int, operation: Operation) -> Callable[[Operation, Ground], Sequence]:
        if place in self._waiting.kept:
            return self._at_once
        if self._waiting.plainly(operation):
            return self._at_the_end
        return safe.direct if self._joins_a_changing_table(operation) else safe.sequence

    def _at_the_end(self, operation: Operation, ground: Ground) -> Sequence:
        pieces = safe.direct(operation, ground).core
        return Sequence(contract=tuple(tuple(replace(step, phase=Phase.CONTRACT) for step in piece) for piece in pieces))

    def _joins_a_changing_table(self, operation: Operation) -> bool:
        """Whether a partition comes while its table has columns that it shall not keep: ATTACH wants those, PARTITION OF makes them."""
        if operation.change != "create" or not isinstance(operation.new, Table):
            return False
        return any(self.ground.changes.get(c, frozenset()) & {"drop", "alter"} for c in self._waiting.parents_columns(operation.new))

    def _formed(self, form: Callable[[Operation, Ground], Sequence], operation: Operation) -> Sequence:
        """The form of an operation; a question instead where no statement does it."""
        try:
            return form(operation, self.ground)
        except UnwritableError as error:
            return Sequence(questions=(str(error),))

    def _replaced(self, old: Operation, new: Operation) -> Sequence | None:
        """The form of a replacement; None where it is done one by one, and where no statement does it."""
        try:
            return safe.replacement(old, new, self.ground)
        except UnwritableError:
            return None

    def _at_once(self, operation: Operation, ground: Ground) -> Sequence:
        """A drop that cannot wait for the contract phase."""
        made = safe.direct(operation, ground)
        if not self._waiting.may(operation) or operation.object.kind == "index":
            return made
        note = f"{operation.object} goes before the new release, because what comes needs its name or changes what it depends on"
        return replace(made, notes=(*made.notes, note))

    def _meeting(self, address: ObjectId, first: int, last: int) -> int | None:
        """Where the old and the new form of an object can be there at once: at the drop, at the creation, or nowhere (None)."""
        between = {o.object for o in self.operations[first + 1 : last]}
        if not between & self.ground.uses[1].of.get(address, set()):
            return first
        return None if between & self.ground.uses[0].of.get(address, set()) else last

    def _enum(self, old: Operation, new: Operation, found: dict[int, Sequence], place: int) -> None:
        """An enum that is made anew: its columns move from one type to the other instead of waiting as text."""
        if old.old.kind != "enum" or new.new.kind != "enum":
            return
        moved = {table.part("column", column.name) for table, column in columns_of(old.old, self.ground)}
        if not any(self.ground.large(column.owner) for column in moved):
            return
        fresh = ObjectId("type", new.object.schema, new.object.name)
        pairs = [*columns_of(old.old, self.ground)]
        stuck = {t.id for t, c in pairs if exchangeable(t, c, fresh, old.old, self.ground) is None}
        carried = set(self._carried({t.id for t, _ in pairs} - stuck))
        for address in carried:
            self.ground.changes.pop(address, None)
        for at, operation in enumerate(self.operations):
            if (operation.object in moved and operation.cause) or operation.object in carried or operation.object == new.object:
                found[at] = Sequence()
        made = enum_replaced(old, new, self.ground)
        if made is not None:
            found[place] = made

    def _carried(self, tables: set[ObjectId]) -> Iterator[ObjectId]:
        """Indexes and checks of these tables that are only made anew because of something else, and are carried over instead."""
        for address, (first, last) in self._pairs.items():
            old, new = self.operations[first], self.operations[last]
            table = owner(old.old) if isinstance(old.old, Index) else address.owner
            same = old.cause and old.old == new.new and (isinstance(old.old, Index) or getattr(old.old, "kind", "") == "check")
            if same and table in tables and self.ground.large(table):
                yield address

    def _spans(self) -> Iterator[tuple[int, ...]]:
        """Places that belong together: from what makes way to where it is back."""
        return self._joined({first: last for first, last in self._pairs.values() if self._sequences[first] != Sequence()})

    def _numbers(self) -> dict[ObjectId, int]:
        """The numbers of the largest spans that there can be, by object."""
        spans = self._joined(dict(self._pairs.values()))
        return {self.operations[place].object: number for number, places in enumerate(spans) for place in places}

    def _joined(self, ends: dict[int, int]) -> Iterator[tuple[int, ...]]:
        """Spans that hold the given ones and every detour whole."""
        opened: dict[ObjectId, int] = {}
        for place, operation in enumerate(self.operations):
            if operation.change == "alter" and operation.cause:
                if operation.object in opened:
                    ends[opened.pop(operation.object)] = place
                else:
                    opened[operation.object] = place
        place = 0
        while place < len(self.operations):
            end, at = ends.get(place, place), place
            while at <= end:
                end = max(end, ends.get(at, at))
                at += 1
            yield tuple(range(place, end + 1))
            place = end + 1

    def _span(self, places: tuple[int, ...]) -> Iterator[Piece]:
        """What prepares, then what belongs together in one transaction, then what follows."""
        late: set[ObjectId] = set()
        forms = [self._apart(places, place, late) for place in places]
        if any(lock.relation.kind == "table" and lock.mode.stops_writes for f in forms for s in chain(*f.core) for lock in s.effect.locks):
            forms = [filled_later(self.operations[at], form, self.ground) for at, form in zip(places, forms, strict=True)]
        made = [self._take(form) for form in forms]
        for sequence in made:
            yield from sequence.before
        if any(sequence.before for sequence in made):
            yield BARRIER
        core = [piece for sequence in made for piece in sequence.core]
        if len(places) == 1:
            yield from core
        else:
            yield from _together(core)
        if any(sequence.after for sequence in made):
            yield BARRIER
        for sequence in made:
            yield from sequence.after

    def _apart(self, places: tuple[int, ...], place: int, late: set[ObjectId]) -> Sequence:
        """The form of an operation within a transaction of several: from the first step on that takes long, it goes on after them."""
        sequence = self._late(places, place, late)
        cut = next((n for n, piece in enumerate(sequence.core) if any(map(patient, piece))), None)
        if len(places) == 1 or cut is None:
            return sequence
        late.add(self.operations[place].object)
        return replace(sequence, core=sequence.core[:cut], after=(*sequence.core[cut:], *sequence.after))

    def _late(self, places: tuple[int, ...], place: int, late: set[ObjectId]) -> Sequence:
        """The form of an operation; all of it after the others when what it prepares needs what they have changed by then."""
        sequence, operation = self._sequences[place], self.operations[place]
        if len(places) == 1 or operation.object.kind not in ("index", "constraint", "materialized view"):
            return sequence
        if operation.change != "create" and not sequence.before:
            return sequence
        needs = self.ground.uses[1].of.get(operation.object, set())
        index = operation.new or operation.old
        whole = owner(index) if isinstance(index, Index) else operation.object.owner
        partitions = {t.id for t in self.ground.b.partitions.get(whole, ())}
        earlier = {self.operations[at].object for at in places if at < place} - {operation.object}
        if not (sequence.before and earlier & (needs | partitions)) and not needs & late:
            return sequence
        late.add(operation.object)
        return replace(sequence, before=(), core=(), after=(*sequence.before, *sequence.core, *sequence.after))

    def _take(self, sequence: Sequence) -> Sequence:
        self.notes += sequence.notes
        self.questions += sequence.questions
        self.contract += filter(None, sequence.contract)
        if sequence.gate:
            self.gates.append(sequence.gate)
        return sequence


def _together(pieces: list[Piece]) -> Iterator[Piece]:
    """One piece of all, but for what cannot stand in a transaction."""
    joined: list[Step] = []
    for piece in pieces:
        if any(not step.effect.transactional or step.backfill or step.gate for step in piece):
            if joined:
                yield tuple(joined)
            joined = []
            yield piece
        else:
            joined += piece
    if joined:
        yield tuple(joined)


_SHOWN = 5


def _gate(what: list[str]) -> Step:
    """The one gate before the contract phase."""
    names = list(dict.fromkeys(what))
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return Step(
        "", "wait for the last old release to stop", ObjectId("database", "", ""), Phase.CONTRACT, gate=f"no running release uses {shown}"
    )
