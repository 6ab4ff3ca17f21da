"""The attacks where each tenant has a schema of its own (decision 0014): nobody reaches anything in it but the role of that tenant.

The rows of all tenants but the first are in the one copy alone. So what the first tenant's role, or an application without one, reads of
what all share must be the same in both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from pgcharter.catalog.model import Catalog, Sequence
from pgcharter.findings import Gap
from pgcharter.names import ObjectId, literal, quote
from pgcharter.policy.probed import Hole
from pgcharter.policy.tenancy_settings import TenancySection, in_place
from pgcharter.probe.attacks import Attack
from pgcharter.probe.calls import call
from pgcharter.probe.ground import MINE, Ground, is_callable

_CONTEXT = "no tenant"


@dataclass(frozen=True)
class Places:
    """The schemas of tenants; the first is the attackers' own."""

    catalog: Catalog
    names: tuple[str, ...] = ()

    @cached_property
    def apart(self) -> frozenset[ObjectId]:
        """Tables of all tenants but the first."""
        return frozenset(t.id for t in self.catalog.own_tables if t.schema in self.names[1:])

    def others(self, role: str) -> Collection[str]:
        """The schemas in which a role has no business."""
        return [name for name in self.names if name != role]

    def compares(self, role: str, at: ObjectId) -> bool:
        """Whether what a role reads there must not depend on the rows of others: its answers are no secret from itself."""
        return not self.names or (role not in self.names[1:] and at.schema not in self.others(role))

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What cannot be tried with fewer than two."""
        if len(self.names) != 1:
            return ()
        return (Gap("tenants' schemas", "there is one, so nothing of another tenant could be tried: pgcharter tenant add"),)


def found(catalog: Catalog, tenancy: TenancySection | None) -> Places:
    """The schemas of tenants in a catalog; none where tenants are in rows."""
    if tenancy is None or tenancy.placement != "schemas":
        return Places(catalog)
    return Places(catalog, tuple(sorted(s.name for s in catalog.schemas if not s.extension and in_place(tenancy, s.name))))


def attacks(role: str, places: Places, ground: Ground) -> Iterator[Attack]:
    """Everything in the schemas of others; and, for who is compared, everything that all share."""
    shut = places.others(role)
    expected = "refused: it is another tenant's" if role in places.names else "refused: no tenant's role was taken on"
    for schema in shut:
        if role in places.names:
            yield _refused(ObjectId("role", "", schema), "SET ROLE", f"SET LOCAL ROLE {quote(schema)}", expected)
        made = f"CREATE TABLE {quote(schema)}.pgcharter_probe (i integer)"
        yield _refused(ObjectId("schema", "", schema), "CREATE", made, expected)
    catalog = ground.catalog
    for table in catalog.own_tables:
        if table.schema in shut:
            yield from _on_table(table.id, next((c.name for c in table.columns if not c.generated), ""), expected)
        elif places.names and places.compares(role, table.id) and table.id not in ground.guards.tables:
            yield Attack(
                table.id, "SELECT", f"SELECT * FROM {table.id.sql()}", "same", "the same whatever others have", _CONTEXT, verb="SELECT"
            )
    for view in catalog.own_views:
        text = f"SELECT * FROM {view.id.sql()}"
        if view.schema in shut:
            yield _refused(view.id, "SELECT", text, expected)
        elif places.names and places.compares(role, view.id):
            yield Attack(view.id, "SELECT", text, "same", "the same whatever others have", _CONTEXT, verb="SELECT")
    for function in catalog.own_functions:
        if function.schema in shut and is_callable(function) and (called := call(function, ground, MINE)):
            yield _refused(function.id, "EXECUTE", called, expected)
    for sequence in catalog.sequences:
        if sequence.schema in shut:
            yield from _on_sequence(sequence, expected)
    for kind in catalog.types:
        if kind.schema in shut and not kind.extension:
            yield _refused(kind.id, "USAGE", f"SELECT NULL::{ObjectId('table', kind.schema, kind.name).sql()}", expected)


def _refused(at: ObjectId, name: str, statement: str, expected: str) -> Attack:
    return Attack(at, name, statement, "refused", expected, _CONTEXT)


def _on_table(at: ObjectId, column: str, expected: str) -> Iterator[Attack]:
    told = {"SELECT": f"SELECT count(*) FROM {at.sql()}", "COPY TO": f"COPY {at.sql()} TO STDOUT"}
    if column:
        told["INSERT"] = f"INSERT INTO {at.sql()} ({quote(column)}) OVERRIDING SYSTEM VALUE VALUES (NULL)"
        told["UPDATE"] = f"UPDATE {at.sql()} SET {quote(column)} = {quote(column)}"
    told |= {"DELETE": f"DELETE FROM {at.sql()}", "TRUNCATE": f"TRUNCATE {at.sql()} CASCADE"}
    for name, statement in told.items():
        yield _refused(at, name, statement, expected)


def _on_sequence(sequence: Sequence, expected: str) -> Iterator[Attack]:
    yield _refused(sequence.id, "SELECT", f"SELECT last_value FROM {sequence.id.sql()}", expected)
    yield _refused(sequence.id, "nextval", f"SELECT nextval({literal(sequence.id.sql())})", expected)


def tied(places: Places) -> Iterator[Hole]:
    """Foreign keys from one tenant's schema to another's: keys are asked about with the rights of the table's owner."""
    for table in places.catalog.own_tables:
        for key in table.foreign_keys:
            there = key.references
            if there and there.schema in places.names and there.schema != table.schema:
                who = table.schema if table.schema in places.names else ""
                yield Hole(
                    table.id, who, "foreign key", _CONTEXT, "it leads nowhere outside of the tenant's schema", f"it leads to {there}",
                    f"INSERT INTO {table.id.sql()} ({', '.join(map(quote, key.columns))}) …",
                    f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(key.name)}",
                )  # fmt: skip
