"""Where a statement is looked at: a catalog, a search path, a time zone. Names in it become relations, and relations become roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgcharter.catalog.model import Column, Index, Sequence, Table, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan.surroundings import Relation, Roles, Surroundings
from pgcharter.plan.touched import NOTHING, Touched

UNKNOWN = "*"


@dataclass(frozen=True, slots=True)
class Form:
    """One form of statement: what the oracle knows it as, and who plays which role in it."""

    key: str
    """`*` stands for what cannot be known here, such as a column's old type without a catalog."""
    roles: Roles = field(default_factory=dict)
    """A role without relations may be played by some that are not known here."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known beside the statement's text."""

    around: Surroundings | None = None
    path: tuple[str, ...] = ("public",)
    timezone: str = ""

    def relation(self, named: Any) -> Relation | None:
        """The relation that a parser's RangeVar means, where the catalog has it."""
        return self.around.find(named.schemaname, named.relname, self.path) if self.around else None

    def id(self, named: Any, kind: str = "table") -> ObjectId:
        """The address that a RangeVar means; without a catalog the first schema of the path, and kind as stated."""
        found = self.relation(named)
        return found.id if found else ObjectId(kind, named.schemaname or self.path[0], named.relname)

    def column(self, named: Any, column: str) -> Column | None:
        """A column of a table or view."""
        found = self.relation(named)
        return next((c for c in found.columns if c.name == column), None) if isinstance(found, Table | View) else None

    def user_type(self, names: list[str]) -> UserType | None:
        """The user's type that a dotted name means."""
        return self.around.user_type("".join(names[:-1]), names[-1], self.path) if self.around else None

    def form(
        self,
        key: str,
        named: Any,
        touched: Touched = NOTHING,
        *,
        kind: str = "table",
        others: Mapping[str, Any] | None = None,
        context: bool = True,
    ) -> Form:
        """A form whose target is the relation `named`; `others` are RangeVars that the statement names, by their role."""
        target = self.relation(named)
        roles: dict[str, tuple[ObjectId, ...]] = {"target": (self.id(named, kind),)}
        roles.update({role: (self.id(other),) for role, other in (others or {}).items()})
        far: list[Roles] = []
        for role, other in (others or {}).items():
            found = self.relation(other)
            if found is not None and self.around is not None:
                held = {f"{r} of {role}" if r != "target" else role: ids for r, ids in self.around.roles(found).items()}
                beyond = {r: ids for r, ids in held.items() if role == "referenced" and "referencing" in r}
                roles = join(roles, {r: ids for r, ids in held.items() if r not in beyond})
                far.append(beyond)
        if target is not None and self.around is not None:
            roles = join(roles, self.around.roles(target, touched))
        roles = join(roles, *far)
        return Form(f"{key} on {self.context(target, only=not named.inh)}" if context else key, roles)

    def context(self, target: Relation | None, *, only: bool = False) -> str:
        """What sort of relation the target is, as far as its locks may depend on that."""
        if target is None or self.around is None:
            return UNKNOWN
        if isinstance(target, View):
            return target.kind
        if isinstance(target, Sequence):
            return "sequence"
        if isinstance(target, Index):
            return "partitioned index" if target.partitioned else "index"
        return ("only " if only and (target.kind == "partitioned table" or target.id in self.around.children) else "") + self._sort(target)

    def _sort(self, table: Table) -> str:
        if table.partition_of is not None:
            return {"table": "partition", "foreign table": "foreign partition"}.get(table.kind, "partitioned partition")
        if table.kind != "table":
            return table.kind
        below = self.around is not None and table.id in self.around.children
        return ("inheriting parent" if below else "inheriting table") if table.inherits else "parent table" if below else "table"


def join(*several: Roles) -> dict[str, tuple[ObjectId, ...]]:
    """Roles of several sources; a relation keeps the first role it is given."""
    seen: set[ObjectId] = set()
    found: dict[str, tuple[ObjectId, ...]] = {}
    for roles in several:
        for role, ids in roles.items():
            new = tuple(i for i in ids if i not in seen)
            seen.update(new)
            if new:
                found[role] = found.get(role, ()) + new
    return found


def words(enum: str) -> str:
    """An enum's name as words: `AT_SetNotNull` is `set not null`, `OBJECT_FOREIGN_TABLE` is `foreign table`."""
    head, _, rest = enum.partition("_")
    if rest.isupper() or head != "AT":
        return rest.replace("_", " ").lower()
    return "".join(f" {c.lower()}" if c.isupper() else c for c in rest).strip()


def names(items: Any) -> list[str]:
    """A dotted name from the parser's list of strings."""
    return [item.string.sval for item in items]
