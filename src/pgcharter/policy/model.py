"""The words of policies: State (what a policy is given and gives back), Policy (an intent, ready to be applied), Mark (what one made)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pgcharter.catalog.model import Catalog, Cluster, Database, Stats
from pgcharter.names import ObjectId


@dataclass(frozen=True)
class State:
    """A schema on its way to what is wanted."""

    catalog: Catalog
    """At first what would be there without any policy."""
    cluster: Cluster = field(default_factory=Cluster)
    """What the server holds beside the database; roles that a policy wants are in the one it gives back."""
    environment: str = ""
    """Environment of the charter; empty when none was named."""
    production: bool = False
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The clock, with time zone: partitions and expiry dates are reckoned from it."""
    present: Catalog | None = None
    """The database as it is, with what policies made before; None where nobody looked. For questions and notes alone, or a policy would not
    be idempotent."""
    stats: Stats | None = None
    """What the server has counted there; None where nobody asked it."""
    database: Database = field(default_factory=Database)
    """The database itself with its privileges, which no schema describes; without a name where there is no live one."""
    of_tenant: Callable[[str], bool] = lambda _: False
    """Whether a schema is a single tenant's, where nobody else is granted anything; and so its role, of the same name."""
    takers: frozenset[str] = frozenset()
    """Roles that take those roles on for a transaction, and must inherit none of them."""
    telling: frozenset[str] = frozenset()
    """Columns as schema.table.column that tell of encrypted values without their key: blind indexes, and clear columns that still
    stand. Kept in a trail they would outlive the key."""
    questions: tuple[str, ...] = ()
    """What only a person can answer; nothing is planned while there is one. Each is a sentence with its remedy."""
    notes: tuple[str, ...] = ()
    """What a reader of the plan should know."""

    def asking(self, question: str) -> State:
        """The state with one question more."""
        return replace(self, questions=tuple(dict.fromkeys((*self.questions, question))))

    def noting(self, note: str) -> State:
        """The state with one note more."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, note))))


@dataclass(frozen=True)
class Policy:
    """An intent of the charter, ready to be applied."""

    name: str
    """As the charter's section is called, one of `registry.NAMES`."""
    apply: Callable[[State], State]
    """Pure and idempotent: applied to what it gave back, it changes nothing. Objects that it makes may be written in any form that
    PostgreSQL understands: everything is built and read back before it is compared."""
    keeps: Callable[[str], bool] = lambda _: False
    """Whether a schema of that name is data to this policy: it comes and goes beside what is wanted, and stays as it is in the database."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One thing that a policy made: a whole object, or the value of one field of an object that was there before."""

    object: ObjectId
    field: str = ""
    """Name of the model's field; empty when the object itself was made."""
    policy: str = ""
    before: str = ""
    """JSON of the value that the field had before, as `catalog.codec` writes it."""
