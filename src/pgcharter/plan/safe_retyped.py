"""Columns of another type: in the catalog only, by a new column beside the old one, or, where there is no other way, in place.

Several columns of one table that change together are written once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from pgcharter.catalog.model import Catalog, Column, DataType, Table
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.casts import holds, using
from pgcharter.plan.ddl_sequences import identity_sequence, serial_sequence
from pgcharter.plan.forms_types import is_utc
from pgcharter.plan.grades import lost
from pgcharter.plan.model import Grade, Operation, Step
from pgcharter.plan.safe_ground import Ground, Sequence
from pgcharter.plan.safe_swap import Swap, exchanged
from pgcharter.plan.safe_swap_limits import entangled, possible

Convert = Callable[[str], str]
_TIMES = ["timestamp", "timestamptz"]


@dataclass(frozen=True)
class Retyped:
    """One column of a table in use that shall have another type."""

    operation: Operation
    table: Table
    ground: Ground

    @property
    def address(self) -> ObjectId:
        """The column."""
        return self.operation.object

    @property
    def types(self) -> tuple[DataType, DataType]:
        """The old type and the new one."""
        return self.operation.old.type, self.operation.new.type

    @cached_property
    def convert(self) -> Convert:
        """From a value of the old type to one of the new."""
        return conversion(*self.types, self.ground.style.zone, self.ground.b)

    @cached_property
    def zone(self) -> str:
        """What the session's TimeZone must be, if that matters."""
        return _session_zone(*self.types, self.ground)

    @cached_property
    def plain(self) -> tuple[str, ...]:
        """The plain statements, in which a time without zone means what is declared."""
        return _zoned(self.operation, self.ground, self.convert)

    def changes_type(self, sql: str) -> bool:
        """Whether it is the one of the plain statements that changes the type."""
        return sql.startswith(f"ALTER TABLE {self.table.id.sql()} ALTER COLUMN {quote(self.address.part)} TYPE ")

    @property
    def place(self) -> int:
        """Where that stands among them."""
        return next((n for n, sql in enumerate(self.plain) if self.changes_type(sql)), len(self.plain))

    @cached_property
    def long(self) -> bool:
        """Whether they would make others wait while rows are read or written."""
        return any(self.ground.hurts(self.ground.effect(sql, timezone=self.zone)) for sql in self.plain)

    @cached_property
    def rewritten(self) -> bool:
        """Whether they write the table anew, however small it is."""
        return any(self.ground.effect(sql, timezone=self.zone).rewrites for sql in self.plain)

    @cached_property
    def exchangeable(self) -> bool:
        """Whether a new column can take its place instead."""
        return (self.long or self.swap.back is not None) and possible(self.swap)

    @cached_property
    def loses(self) -> str:
        """What of its values does not come back."""
        return lost(self.address, *self.types, self.ground)

    @cached_property
    def swap(self) -> Swap:
        """The exchange of the column for a new one."""
        old, new = self.operation.old, self.operation.new
        counts = _counts_on(self.operation, self.ground)
        between = replace(new, default=old.default, identity=old.identity) if counts else new
        then = self.ground.plain(replace(self.operation, old=between, fields=("default", "identity"))) if counts else ()
        back = None
        if self.ground.style.beside and not counts and holds(*self.types):
            back = conversion(new.type, old.type, self.ground.style.zone, self.ground.b)
        return Swap(self.ground, self.table, old, between, self.convert, back, loses=self.loses, then=then)

    @property
    def questions(self) -> tuple[str, ...]:
        """What only a person knows of it."""
        return _question(self.address, *self.types, self.ground)


def altered(operation: Operation, ground: Ground) -> Sequence | None:
    """A column of another type; None when PostgreSQL only notes it in the catalog, or the table is small."""
    table = ground.a.table.get(operation.object.owner)
    if table is None or operation.old.inherited or operation.cause:
        return None
    if operation.object in ground.taken:
        return Sequence()
    one, *others = _beside(operation, table, ground)
    if one.exchangeable:
        return _exchanged([one, *_apart(one, others)])
    together = [one, *(o for o in others if o.rewritten and not o.exchangeable)] if one.rewritten else [one]
    if len(together) > 1:
        return _in_one(together)
    if not one.long and not one.questions and not one.zone and one.plain == ground.plain(operation):
        return None
    return _in_place(one)


def at_once(operation: Operation, ground: Ground) -> Sequence | None:
    """The plain statements of columns of one table in one; None where there is but one, or nothing of the kind."""
    table = ground.a.table.get(operation.object.owner)
    if operation.object in ground.taken:
        return Sequence()
    if table is None or operation.change != "alter" or not _retypes(operation):
        return None
    together = _beside(operation, table, ground)
    return _in_one(together) if len(together) > 1 else None


def _retypes(operation: Operation) -> bool:
    old = operation.old
    return isinstance(old, Column) and "type" in operation.fields and not old.inherited and not operation.cause


def _beside(operation: Operation, table: Table, ground: Ground) -> list[Retyped]:
    """This column and those of its table whose types change right after it."""
    place = next((n for n, o in enumerate(ground.operations) if o is operation), len(ground.operations))
    found = [Retyped(operation, table, ground)]
    for other in ground.operations[place + 1 :]:
        if other.change != "alter" or other.object.kind != "column" or other.object.owner != table.id:
            break
        if _retypes(other):
            found.append(Retyped(other, table, ground))
    return found


def _apart(one: Retyped, others: list[Retyped]) -> list[Retyped]:
    """Those that can be exchanged together with the first: no index or key spans two of them."""
    found: list[Retyped] = []
    for other in others:
        alike = (other.swap.back is None) == (one.swap.back is None)
        if other.exchangeable and alike and not entangled(other.swap, {one.address, *(f.address for f in found)}):
            found.append(other)
    return found


def _exchanged(columns: list[Retyped]) -> Sequence:
    columns[0].ground.taken.update(c.address for c in columns[1:])
    made = exchanged([c.swap for c in columns])
    through = (note for c in columns for note in _through_text(c.operation, c.convert))
    return replace(made, questions=tuple(q for c in columns for q in c.questions), notes=(*through, *made.notes))


def _in_place(one: Retyped) -> Sequence:
    """One column by the plain statements."""
    note = f"{one.address} has no gentler way to its new type: everybody waits until {one.table.id} is written anew"
    steps = tuple(_step(one, sql, why=note if one.long else "") for sql in one.plain)
    core = ((_in_utc(one.address, one.zone, one.ground), *steps),) if one.zone else tuple((step,) for step in steps)
    return Sequence(core, notes=(note,) if one.long else (), questions=one.questions)


def _step(one: Retyped, sql: str, why: str = "") -> Step:
    title, ground = f"change {one.address}", one.ground
    if not one.changes_type(sql):
        return ground.step(sql, title, one.address)
    grade = Grade.LOSSY if one.loses else Grade.LOSSLESS
    return ground.step(sql, title, one.address, why=why, grade=grade, loses=one.loses, timezone=one.zone)


def _in_one(columns: list[Retyped]) -> Sequence:
    """Several columns by one ALTER TABLE, so that the table is written anew once."""
    one, ground = columns[0], columns[0].ground
    head = f"ALTER TABLE {one.table.id.sql()} "
    changes = [sql for c in columns for sql in c.plain if c.changes_type(sql)]
    ground.taken.update(c.address for c in columns[1:])
    zone = next((c.zone for c in columns if c.zone), "")
    both = " and ".join(c.address.sql() for c in columns)
    note = f"{both} have no gentler way to their new types: everybody waits until {one.table.id} is written anew, once for all of them"
    long = any(c.long for c in columns)
    loses = "; ".join(c.loses for c in columns if c.loses)
    change = ground.step(
        head + ", ".join(sql.removeprefix(head) for sql in changes), f"change {both}", one.address, why=note if long else "",
        grade=Grade.LOSSY if loses else Grade.LOSSLESS, loses=loses, timezone=zone,
    )  # fmt: skip
    before = (_step(c, sql) for c in columns for sql in c.plain[: c.place])
    after = (_step(c, sql) for c in columns for sql in c.plain[c.place + 1 :])
    set_ = (_in_utc(one.address, zone, ground),) if zone else ()
    return Sequence(
        (*((s,) for s in before), (*set_, change), *((s,) for s in after)),
        notes=(note,) if long else (),
        questions=tuple(q for c in columns for q in c.questions),
    )


def _in_utc(column: ObjectId, zone: str, ground: Ground) -> Step:
    why = "the same bytes mean the same moments then, and nothing has to be written anew"
    return ground.step(f"SET LOCAL TimeZone = {literal(zone)}", f"read the times of {column} as UTC", column, why=why)


def _session_zone(old: DataType, new: DataType, ground: Ground) -> str:
    """`UTC` where times without zone are meant in it: under that TimeZone PostgreSQL leaves the rows as they are (from 12 on)."""
    return "UTC" if sorted((old.basic, new.basic)) == _TIMES and old.array == new.array and is_utc(ground.style.zone) else ""


def _counts_on(operation: Operation, ground: Ground) -> bool:
    """Whether the column goes from serial to identity or back as well: then that is done after the exchange, and its numbers go on."""
    if bool(operation.old.identity) == bool(operation.new.identity):
        return False
    serial, inner = (ground.a, ground.b) if operation.new.identity else (ground.b, ground.a)
    return bool(serial_sequence(serial, operation.object) and identity_sequence(inner, operation.object))


def _through_text(operation: Operation, convert: Convert) -> tuple[str, ...]:
    """A note where PostgreSQL knows no cast."""
    if "::text::" not in convert("x"):
        return ()
    types = f"{operation.old.type.sql} to {operation.new.type.sql}"
    return (
        f"PostgreSQL has no cast from {types}: the values of {operation.object} go by their text, and the plan stops at one that fails",
    )


def conversion(old: DataType, new: DataType, zone: str, catalog: Catalog) -> Convert:
    """From an expression of the old type to one of the new: as an assignment converts, which refuses what does not fit (a cast cuts it)."""
    if sorted((old.basic, new.basic)) == _TIMES and zone:
        return lambda value: f"({value} AT TIME ZONE {literal(zone)})::{new.sql}"
    return lambda value: using(value, old, new, catalog) or value


def _question(column: ObjectId, old: DataType, new: DataType, ground: Ground) -> tuple[str, ...]:
    if sorted((old.basic, new.basic)) != _TIMES or ground.style.zone:
        return ()
    if (size := ground.size(column.owner)) is not None and max(size.rows, size.live) == 0 and not size.bytes:
        return ()
    return (
        f"{column} changes from {old.sql} to {new.sql}, and nobody says in which time zone its values without one are meant: "
        "declare it (plan --zone UTC)",
    )


def _zoned(operation: Operation, ground: Ground, convert: Convert) -> tuple[str, ...]:
    """The plain statements; what a time without zone means is said, not left to the session."""
    plain = ground.plain(operation)
    old, new = operation.old.type, operation.new.type
    if sorted((old.basic, new.basic)) != _TIMES or not ground.style.zone or _session_zone(old, new, ground):
        return plain
    table, column = operation.object.owner.sql(), quote(operation.object.part)
    head = f"ALTER TABLE {table} ALTER COLUMN {column} TYPE "
    stated = f"{head}{new.sql} USING {convert(column)}"
    return tuple(stated if sql.startswith(head) else sql for sql in plain)
