"""What a safe form needs to know of its surroundings, and how its steps are made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pgcharter.catalog.effect import Effect
from pgcharter.catalog.model import Catalog, RelationStats, Stats, Table, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan import safety
from pgcharter.plan.ddl import Sides, statements
from pgcharter.plan.model import Backfill, Grade, Operation, Phase, Step
from pgcharter.plan.renames import DECLARED
from pgcharter.plan.safe_names import Names
from pgcharter.plan.uses import Uses


@dataclass(frozen=True, slots=True)
class Safe:
    """How much care a plan takes of those who use the database meanwhile."""

    small_rows: int = 10_000
    """A table with fewer rows than this (and fewer bytes than `small_bytes`) may be locked while it is read or rewritten, which takes a
    few tens of milliseconds. Without statistics every table that exists counts as large."""
    small_bytes: int = 10 * 2**20
    """See `small_rows`; in bytes."""
    compatible: bool = True
    """Old names of tables and columns keep working until the contract phase."""
    beside: bool = False
    """Columns whose type changes stay in both types until the contract phase, each following the other, where every value of the new type
    has a place in the old one."""
    zone: str = ""
    """Time zone that `timestamp without time zone` values are meant in: `UTC`. Empty: a change to or from `timestamptz` is asked about."""


class UnwritableError(Exception):
    """No statement does an operation; the message is a sentence that names the object and says why."""


@dataclass(frozen=True, slots=True)
class Plain:
    """No care: the shortest right statements, for a database that nobody else uses."""


Style = Safe | Plain

Piece = tuple[Step, ...]
"""Steps that belong into one transaction; a single one that allows none, a job, or a gate stands alone."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """The steps of one operation."""

    core: tuple[Piece, ...] = ()
    """What must happen where the operation stands in the order."""
    before: tuple[Piece, ...] = ()
    """What prepares it, and may run long: it stays out of a transaction that `core` shares with others."""
    after: tuple[Piece, ...] = ()
    """What follows at once, outside such a transaction too."""
    contract: tuple[Piece, ...] = ()
    """What waits until no old release runs."""
    gate: str = ""
    """What no running release may use any more before `contract`: `column app.t.c`."""
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ground:
    """What surrounds the operations of a plan."""

    sides: Sides
    style: Safe
    sizes: Stats | None
    names: Names
    changes: dict[ObjectId, frozenset[str]]
    """What the plan does to each object: create, drop, alter, rename."""
    origin: Catalog
    """The catalog in which what is renamed has its old name."""
    operations: tuple[Operation, ...] = ()
    """All of the plan, in order."""
    done: set[ObjectId] = field(default_factory=set)
    """Objects whose own operation has nothing left to do: another one has done it on the way."""

    taken: set[ObjectId] = field(default_factory=set)
    """Columns whose change of type another one's sequence makes as well."""
    passing: list[UserType] = field(default_factory=list)
    """Types that there are only meanwhile."""
    spans: dict[ObjectId, int] = field(default_factory=dict)
    """Which objects change in one go, because something must make way for all of them: equal numbers."""
    exchanged: dict[ObjectId, int] = field(default_factory=dict)
    """Columns that a new one takes the place of, each with its span."""

    @property
    def a(self) -> Catalog:
        """The catalog before."""
        return self.sides.a

    @property
    def b(self) -> Catalog:
        """The catalog after."""
        return self.sides.b

    @cached_property
    def uses(self) -> tuple[Uses, Uses]:
        """Who needs what, before and after."""
        return Uses(self.a), Uses(self.b)

    @property
    def major(self) -> int:
        """Major version of the server."""
        return self.sides.major

    @cached_property
    def views(self) -> Mapping[ObjectId, View]:
        """Views of the catalog before."""
        return {v.id: v for v in self.a.views}

    @cached_property
    def sight(self) -> Catalog:
        """What a statement of the plan can meet: relations as they were, and types and functions of both sides."""
        a, b = self.a, self.b
        return replace(
            b,
            tables=tuple({**b.table, **self.origin.table, **a.table}.values()),
            views=tuple({**{v.id: v for v in b.views}, **self.views}.values()),
            functions=tuple({**a.function, **b.function}.values()),
            types=(*{**{t.id: t for t in a.types}, **{t.id: t for t in b.types}}.values(), *self.passing),
        )

    def learn(self, made: UserType) -> None:
        """Let statements meet a type that there is only meanwhile."""
        self.passing.append(made)
        self.__dict__.pop("sight", None)

    def around(self, *changed: Table) -> Catalog:
        """A small catalog in which `changed` stand as they are by then, with the types and functions they may use."""
        return replace(self.sight, tables=changed, views=(), sequences=())

    def exists(self, relation: ObjectId) -> bool:
        """Whether somebody may be using it: it was there before the plan."""
        return relation in self.a.table or relation in self.origin.table or relation in self.views or relation in self._lesser

    @cached_property
    def _lesser(self) -> frozenset[ObjectId]:
        owners: tuple[Table | View, ...] = (*self.a.tables, *self.a.views)
        indexes = {i.id for owner in owners for i in owner.indexes}
        return frozenset(indexes | {s.id for s in self.a.sequences})

    def large(self, table: ObjectId) -> bool:
        """Whether work on its rows must not hold a strong lock: it was there before, and is not known to be small."""
        relation = self.a.table.get(table)
        if relation is not None and relation.kind == "partitioned table":
            return any(self.large(p.id) for p in self.a.partitions.get(table, ()))
        return (relation is not None or self.matview(table) is not None) and not self.small(table)

    def matview(self, relation: ObjectId) -> View | None:
        """The materialized view of that name, whatever kind the address says."""
        return self.views.get(ObjectId("materialized view", relation.schema, relation.name))

    def size(self, table: ObjectId) -> RelationStats | None:
        """What is known of a table's size."""
        return self.sizes.relations.get(table) if self.sizes else None

    def small(self, table: ObjectId) -> bool:
        """Whether it is known to be small."""
        size = self.size(table)
        if size is None:
            return False
        return max(size.rows, size.live) < self.style.small_rows and size.bytes < self.style.small_bytes

    def effect(self, sql: str, sight: Catalog | None = None, timezone: str = "") -> Effect:
        """What a statement does to those who use what was there before the plan; `timezone` where its transaction sets one."""
        found = safety.effects(sql, sight or self.sight, self.major, timezone=timezone)
        return replace(
            found,
            locks=tuple(lock for lock in found.locks if self.exists(lock.relation)),
            rewrites=tuple(r for r in found.rewrites if self.exists(r)),
            scans=tuple(r for r in found.scans if self.exists(r)),
        )

    def hurts(self, effect: Effect) -> bool:
        """Whether readers or writers of a large table would wait for more than work on the catalog."""
        held = {lock.relation for lock in effect.locks if lock.mode.stops_writes and self.large(lock.relation)}
        return bool(held and any(self.large(r) for r in (*effect.rewrites, *effect.scans) if r.kind != "index"))

    def step(
        self, sql: str, title: str, object: ObjectId, *, phase: Phase = Phase.EXPAND, why: str = "", grade: Grade = Grade.LOSSLESS,  # noqa: A002
        loses: str = "", sight: Catalog | None = None, timezone: str = "",
    ) -> Step:  # fmt: skip
        """One statement as a step, with its effect."""
        return Step(sql, title, object, phase, effect=self.effect(sql, sight, timezone), grade=grade, loses=loses, why=why)

    def fill(self, job: Backfill, title: str, why: str = "") -> Step:
        """A backfill as a step."""
        column = ObjectId("table", job.table.schema, job.table.name)
        return Step(job.sql(), title, column, Phase.BACKFILL, effect=self.effect(job.sql()), backfill=job, why=why)

    def plain(self, operation: Operation) -> tuple[str, ...]:
        """The statements that would do when nobody else used the database. Raises UnwritableError where there are none."""
        declared = operation.change == "rename" and operation.cause == DECLARED
        try:
            return statements(operation, Sides(self.origin, self.b) if declared else self.sides)
        except (ValueError, LookupError) as error:
            if isinstance(error, KeyError | IndexError):
                raise
            named = str(operation.object) in str(error)
            raise UnwritableError(str(error) if named else f"{operation.object}: {error}") from error

    def rowed(self, table: ObjectId) -> str:
        """How many rows it is known to have, in words: `about 1.2 million`; empty when not known."""
        size = self.size(table)
        if size is None or max(size.rows, size.live) < 0:
            return ""
        return counted(max(size.rows, size.live))


def counted(number: float) -> str:
    """A number as people say it: `17`, `about 3,400`, `about 1.2 million`."""
    if number < 100:
        return f"{number:.0f}"
    for limit, word in ((1e9, " billion"), (1e6, " million")):
        if number >= limit:
            return f"about {number / limit:.1f}".removesuffix(".0") + word
    return f"about {round(number, -2):,.0f}"


def touched(steps: Collection[Step]) -> frozenset[ObjectId]:
    """Relations that steps lock against writers."""
    return frozenset(lock.relation for step in steps for lock in step.effect.locks if lock.mode.stops_writes)


def dressing(sql: str, object: ObjectId) -> str:  # noqa: A002
    """In a few words what a statement gives an object that has just been made."""
    for start, words in (("COMMENT ", "comment on"), ("GRANT ", "grant on"), ("REVOKE ", "revoke on")):
        if sql.startswith(start):
            return f"{words} {object}"
    return f"{'set the owner of' if ' OWNER TO ' in sql else 'set up'} {object}"
