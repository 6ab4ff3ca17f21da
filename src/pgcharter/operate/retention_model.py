"""Rows whose time is over, as values: which tables, with which rows of other tables, where to. No input or output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from pgcharter.names import ObjectId, literal, quote
from pgcharter.operate.retention_holds import Hold
from pgcharter.policy.retention_settings import FILES

ROWS, IN_FILE = 5_000, 100_000
"""Rows of a batch, where the charter does not say."""


@dataclass(frozen=True)
class Relation:
    """A table of the database."""

    oid: int
    id: ObjectId
    kind: str
    owner: str
    rows: int
    """As the server last counted them; -1: never."""
    allowed: bool
    """Whether this role may read and delete."""
    hidden: bool
    """Whether row policies hide rows from this role."""
    part: bool
    key: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """A foreign key."""

    child: int
    parent: int
    on_delete: str
    """As pg_constraint.confdeltype: a, r, c, n, d."""
    columns: tuple[str, ...]
    referenced: tuple[str, ...]

    def joined(self, child: str, parent: str) -> str:
        """The condition that a child belongs to a parent."""
        return " AND ".join(f"{child}.{quote(c)} = {parent}.{quote(r)}" for c, r in zip(self.columns, self.referenced, strict=True))


@dataclass(frozen=True)
class Ground:
    """What is known about the database."""

    relations: dict[int, Relation]
    references: tuple[Reference, ...]
    columns: dict[int, dict[str, tuple[str, str, bool, bool]]] = field(default_factory=dict)
    """Type, basic type, NOT NULL and whether it has a default, by table and column."""
    leading: frozenset[tuple[int, str]] = frozenset()
    """Columns that an index begins with."""
    holds: tuple[Hold, ...] = ()

    @cached_property
    def named(self) -> dict[ObjectId, Relation]:
        """Tables by name."""
        return {r.id: r for r in self.relations.values()}

    @cached_property
    def children(self) -> Mapping[int, Sequence[Reference]]:
        """Foreign keys that lead to a table, by that."""
        return _by(self.references, lambda r: r.parent)

    @cached_property
    def parents(self) -> Mapping[int, Sequence[Reference]]:
        """Foreign keys that a table has, by that."""
        return _by(self.references, lambda r: r.child)


def _by(references: Sequence[Reference], key: Callable[[Reference], int]) -> Mapping[int, Sequence[Reference]]:
    found: dict[int, list[Reference]] = defaultdict(list)
    for reference in references:
        found[key(reference)].append(reference)
    return found


@dataclass(frozen=True)
class Kid:
    """A table whose rows go with those of the one above, by ON DELETE CASCADE: they are taken first."""

    relation: Relation
    reference: Reference
    kids: tuple[Kid, ...] = ()
    archive: ObjectId | None = None


@dataclass(frozen=True)
class Job:
    """Rows of one table that leave."""

    table: ObjectId
    by: str
    """rule or purge."""
    column: str
    keep: str
    how: str
    to: str
    where: str
    rows: int
    """Rows of a batch."""
    cut_off: datetime
    relation: Relation | None = None
    kids: tuple[Kid, ...] = ()
    archive: ObjectId | None = None
    prepare: tuple[str, ...] = ()
    """Statements that make archive tables, or give them columns that are new."""
    problem: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    condition: str = ""
    """Which rows `t` leave, as SQL."""
    held: str = ""
    """Which of them must stay nevertheless, because of holds."""
    referred: str = ""
    """Which of them cannot leave, because rows of other tables refer to them."""
    ordered: bool = False
    """Whether an index gives them by age."""
    due: int = 0
    """Rows whose time is over, counted up to a limit."""

    @property
    def blocked(self) -> str:
        """Which rows stay for now, as SQL; asked of `t` again after they are locked."""
        return " OR ".join(filter(None, (self.held, self.referred)))

    @property
    def in_files(self) -> bool:
        """Whether they go to files."""
        return self.how in FILES


@dataclass
class Outcome:
    """What a run has done about one job."""

    job: Job
    rows: int = 0
    with_them: int = 0
    """Rows of other tables that went with them."""
    batches: int = 0
    seconds: float = 0.0
    files: list[str] = field(default_factory=list)
    left: int = 0
    """Rows whose time is over and that are still there, counted up to a limit."""
    problem: str = ""


def before(basic: str, moment: datetime) -> str:
    """A moment as SQL, to compare a column of this type with; times without a zone are taken for UTC."""
    text = f"{literal(moment.isoformat())}::timestamptz"
    if basic == "timestamptz":
        return text
    return f"({text} AT TIME ZONE 'UTC'){'::date' * (basic == 'date')}"


def archive_of(table: ObjectId, to: str) -> ObjectId:
    """The archive table of a table. Raises ValueError for what is no address."""
    from pgcharter.names import address, cut

    if not to:
        name = f"{table.name}_archive"
        return ObjectId("table", table.schema, name if cut(name) == name else f"{table.name.encode()[:55].decode(errors='ignore')}_archive")
    if "." in to:
        return address(f"table {to}")
    return ObjectId("table", to.strip('"').replace('""', '"'), table.name)
