"""Renames: only what somebody declares is one. What looks like one and is not declared becomes a question."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

from pgcharter.catalog.model import Catalog, Column, Table, UserType
from pgcharter.catalog.model import Sequence as SequenceModel
from pgcharter.errors import UsageError
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl import Sides, statements
from pgcharter.plan.draft import Draft
from pgcharter.plan.labels import find
from pgcharter.plan.model import Operation
from pgcharter.plan.safe_names import Names, joined
from pgcharter.plan.uses import Uses


@dataclass(frozen=True, slots=True, order=True)
class Intent:
    """Somebody's word that an object is to be called otherwise and is to keep what it holds."""

    object: ObjectId
    """Its old address; of parts of renamed relations with the relation's old name."""
    name: str
    """The new bare name."""
    lasting: bool = field(default=False, compare=False)
    """Whether it stands somewhere for good (in the charter), done or not."""

    @property
    def goal(self) -> ObjectId:
        """The new address, in the relation's old name for parts."""
        return self.called(self.name)

    def called(self, name: str) -> ObjectId:
        """The address of what is renamed, under another name."""
        at = self.object
        if at.part:
            return replace(at, part=name)
        return replace(at, name=name + at.name[at.name.rindex("(") :] if "(" in at.name else name)


DECLARED = "declared as a rename"
"""The cause of renames that somebody has declared."""


def operations(a: Catalog, b: Catalog, intents: Iterable[Intent]) -> tuple[Operation, ...]:
    """The renames as operations, parts before the relations they live in. Those already done are passed over.

    Where a name is taken that another rename frees (a to b while b to c), that one comes first; where they go round (a to b, b to a), one
    goes through a name that nobody has. Afterwards the catalog must be read back from a server on which they were run: names stand in
    views, checks and defaults too. Raises UsageError for an intent that fits neither side, and for lasting ones that only exchange names
    and may have done so already.
    """
    return Renaming(a, b, tuple(sorted(set(intents), key=lambda i: (not i.object.part, i.object)))).operations()


@dataclass(frozen=True)
class Renaming:
    """All the renames that are declared together."""

    a: Catalog
    b: Catalog
    intents: tuple[Intent, ...]

    def operations(self) -> tuple[Operation, ...]:
        """See `operations`."""
        return tuple(o for chain in self._chains() for o in (self._round(chain) if _closed(chain) else self._line(chain)))

    @cached_property
    def _before(self) -> Uses:
        return Uses(self.a)

    @cached_property
    def _after(self) -> Uses:
        return Uses(self.b)

    def _chains(self) -> Iterator[list[Intent]]:
        """Intents each of which wants the name that the next one frees."""
        following = {i.object: i for i in self.intents}
        goals = {i.goal for i in self.intents}
        seen: set[Intent] = set()
        for first in sorted(self.intents, key=lambda i: i.object in goals):
            chain: list[Intent] = []
            here: Intent | None = first
            while here is not None and here not in seen:
                seen.add(here)
                chain.append(here)
                here = following.get(here.goal)
            if chain:
                yield chain

    def _line(self, chain: list[Intent]) -> Iterator[Operation]:
        """From the last, whose new name is free, to the first."""
        waiting = chain[next((n for n, i in enumerate(chain) if find(self._before, i.object) is not None), len(chain)) :]
        for intent in waiting or chain[-1:]:
            self._must_be_wanted(intent, there=bool(waiting))
        taken = find(self._before, chain[-1].goal) is not None
        if taken and waiting == chain:
            last = chain[-1]
            raise UsageError(
                f"{last.object} is to be renamed to {quote(last.name)}, which there is already",
                hint=f"in a plan of its own before this one, drop {self._target(last)} or rename it to a name that nobody has",
            )
        for intent in () if taken else reversed(waiting):
            yield self._operation(intent.object, intent.name, find(self._before, intent.object))

    def _round(self, chain: list[Intent]) -> Iterator[Operation]:
        """The first makes way under a name that nobody has, then from the last to the second, then the first again."""
        for intent in chain:
            self._must_be_wanted(intent, there=find(self._before, intent.object) is not None)
        if self._exchanged(chain):
            return
        first = chain[0]
        old = find(self._before, first.object)
        passing = self._passing(first)
        yield self._operation(first.object, passing, old)
        for intent in reversed(chain[1:]):
            yield self._operation(intent.object, intent.name, find(self._before, intent.object))
        yield self._operation(first.called(passing), first.name, replace(old, name=passing))

    def _passing(self, intent: Intent) -> str:
        """A name that nobody has, for a moment."""
        at, free = intent.object, Names(self.a, self.b)
        if not at.part:
            return free.type(at.schema, intent.name, "swap")
        if at.kind == "column":
            return free.column(at.owner, intent.name, "swap")
        endings = (f"_swap{number or ''}" for number in count())
        tried = (joined(intent.name, ending) for ending in endings)
        return next(n for n in tried if find(self._before, intent.called(n)) is None and find(self._after, intent.called(n)) is None)

    def _exchanged(self, chain: list[Intent]) -> bool:
        """Whether those that exchange names have done so: what has a name looks like what shall have it, more than the other does."""
        stay, go = self._likenesses
        if stay == go and any(i.lasting for i in chain):
            names = " ".join(f"--rename '{i.object}={i.name}'" for i in chain)
            raise UsageError(
                f"{chain[0].object} and {quote(chain[0].name)} are to exchange names, and nothing tells whether they have done so already",
                hint=f"take the renames out of the charter, and say them once: {names}",
            )
        return stay > go

    @cached_property
    def _likenesses(self) -> tuple[int, int]:
        """How much all that exchange names are like what shall have their names, and like what they shall be."""
        round_ = [i for chain in self._chains() if _closed(chain) for i in chain]
        stay = sum(_likeness(find(self._before, i.object), find(self._after, i.object)) for i in round_)
        return stay, sum(_likeness(find(self._before, i.object), find(self._after, self._target(i))) for i in round_)

    def _must_be_wanted(self, intent: Intent, *, there: bool) -> None:
        target = self._target(intent)
        if find(self._after, target) is not None:
            return
        if there:
            raise UsageError(f"{intent.object} is to be renamed to {quote(intent.name)}, which the wanted schema does not have",
                             hint=f"name {target} in the wanted schema, or take the rename out of the charter")  # fmt: skip
        raise UsageError(f"{intent.object} is to be renamed to {quote(intent.name)}, but there is neither the one nor the other",
                         hint="take the rename out of the charter, or correct it")  # fmt: skip

    def _operation(self, at: ObjectId, name: str, old: Any) -> Operation:
        return Operation("rename", at, old, replace(old, name=name), ("name",), DECLARED)

    def _target(self, intent: Intent) -> ObjectId:
        return _target(intent, self.intents)


def _closed(chain: list[Intent]) -> bool:
    return len(chain) > 1 and chain[-1].goal == chain[0].object


def _likeness(one: Any, other: Any) -> int:
    """How much speaks for two columns or tables being the same under whatever name."""
    if isinstance(one, Table) and isinstance(other, Table):
        return len({(c.name, c.type.sql) for c in one.columns} & {(c.name, c.type.sql) for c in other.columns})
    if not isinstance(one, Column) or not isinstance(other, Column):
        return 0
    same = (one.type.sql == other.type.sql, one.default == other.default, one.identity == other.identity)
    return 4 * same[0] + sum(same[1:]) + (one.not_null == other.not_null) + (one.comment == other.comment)


def _target(intent: Intent, all_: Sequence[Intent]) -> ObjectId:
    """The new address, with the relation's own new name for parts."""
    at = intent.object
    for other in all_:
        if at.part and not other.object.part and (other.object.schema, other.object.name) == (at.schema, at.name):
            return replace(at, name=other.name, part=intent.name)
    return intent.goal


def implied(a: Catalog, b: Catalog, intents: Iterable[Intent]) -> tuple[Intent, ...]:
    """The renames that follow from others, or from nothing but a name: the sequence behind a serial column that stays keeps its position.

    Made anew it would begin at its start value, and hand out keys that are taken. Those of identities follow their columns by themselves,
    but where they exchange names.
    """
    done = tuple(intents)
    pending = {o.object for o in operations(a, b, done)}
    wanted = tuple(i for i in done if i.object in pending)
    names = {i.object: i.name for i in wanted}
    found = {}
    behind = {column: s for table in b.tables for column, s in _counters(b, table).items()}
    for table in a.tables:
        there = _target(Intent(table.id, names.get(table.id, table.name)), wanted)
        for column, old in _counters(a, table).items():
            new = behind.get(replace(column, name=there.name, part=names.get(column, column.part)))
            if new and old.schema == new.schema and old.name != new.name and old.id not in names:
                found[old.id] = Intent(old.id, new.name)
    taken = {s.id: s for s in a.sequences}
    while stuck := [i for i in found.values() if (i.goal not in found if i.goal in taken else taken[i.object].identity)]:
        for intent in stuck:
            del found[intent.object]
    return tuple(found.values())


def _counters(catalog: Catalog, table: Table) -> dict[ObjectId, SequenceModel]:
    """The sequences of serial columns and identities, by column; a column that owns several is none."""
    found: dict[ObjectId, list[SequenceModel]] = {}
    for sequence in catalog.sequences_of.get(table.id, ()):
        if sequence.owned_by is not None:
            found.setdefault(sequence.owned_by, []).append(sequence)
    return {column: several[0] for column, several in found.items() if len(several) == 1}


def rename_statements(a: Catalog, b: Catalog, intents: Iterable[Intent]) -> tuple[str, ...]:
    """The SQL of the renames, to be run on a copy of `a` whose catalog is then read back."""
    sides = Sides(a, b)
    return tuple(text for operation in operations(a, b, intents) for text in statements(operation, sides))


def likely(draft: Draft, apart: Collection[ObjectId]) -> list[str]:
    """A question for every object that goes while one just like it comes, unless its address is in `apart`."""
    gone = [o for o in draft.drops.values() if o.object not in draft.creates and o.object not in apart]
    come: dict[tuple[Any, ...], list[Operation]] = {}
    for operation in draft.creates.values():
        shape = _shape(operation.object, operation.new)
        if shape is not None and operation.object not in draft.drops:
            come.setdefault(shape, []).append(operation)
    found = []
    for operation in gone:
        shape = _shape(operation.object, operation.old)
        if shape is not None:
            found += [_question(operation.object, made.object) for made in come.get(shape, ())]
    return found


def _shape(address: ObjectId, value: Any) -> tuple[Any, ...] | None:
    """What two objects have in common when one may be the other's new name; None for what holds nothing that a rename would keep."""
    if isinstance(value, Column):
        return "column", address.schema, address.name, value.type.sql, value.identity, bool(value.generated)
    if isinstance(value, Table) and value.columns:
        return "table", address.schema, value.kind, tuple((c.name, c.type.sql) for c in value.columns)
    if isinstance(value, UserType) and (value.labels or value.attributes):
        return "type", address.schema, value.labels, tuple((c.name, c.type.sql) for c in value.attributes)
    return None


def _question(old: ObjectId, new: ObjectId) -> str:
    name = new.part or new.name
    return (
        f"{old} goes and {new}, which is just like it, comes: if that is a rename, say --rename '{old}={name}' (or write it under [plan] "
        f"renames), and what it holds is kept; if not, say --dropped '{old}'"
    )
