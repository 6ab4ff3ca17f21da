"""A new partition as it must be: made beside its table, dressed like it, attached. And what is not alike. Pure.

LIKE brings columns, defaults, checks, indexes, statistics, storage and comments of columns; ATTACH brings foreign keys, row triggers and
identity (documentation, "CREATE TABLE", "ALTER TABLE ... ATTACH PARTITION"). Owner, rights, row policies, replica identity and comment come
from neither; storage parameters and statement triggers, which a partitioned table has not for its rows, come from the newest partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgcharter.catalog.model import Catalog, Index, Table
from pgcharter.names import ObjectId, quote
from pgcharter.operate.partitions_model import Action, unmarked
from pgcharter.plan import ddl
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_parts import settings
from pgcharter.plan.model import Operation


def statements(action: Action, catalog: Catalog, model: ObjectId | None) -> list[str]:
    """What makes a partition, for one transaction; `model` is the newest of its partitions."""
    parent = catalog.table[action.table]
    twin = catalog.table.get(model) if model else None
    return [*_made(action.part, parent, twin), *_dressed(action.part, parent, twin, catalog), *action.sql]


def _made(at: ObjectId, parent: Table, twin: Table | None) -> Iterator[str]:
    words = [f"CREATE TABLE {at.sql()} (LIKE {parent.id.sql()} INCLUDING ALL EXCLUDING IDENTITY)"]
    method = (twin and twin.access_method) or parent.access_method
    space = (twin and twin.tablespace) or parent.tablespace
    words += [f"USING {quote(method)}"] if method else []
    words += [f"WITH {settings(twin.options)}"] if twin and twin.options else []
    words += [f"TABLESPACE {quote(space)}"] if space else []
    yield " ".join(words)


def _dressed(at: ObjectId, parent: Table, twin: Table | None, catalog: Catalog) -> Iterator[str]:
    major = catalog.major
    new = Table(at.schema, at.name, owner=parent.owner, acl=parent.acl, comment=unmarked(parent.comment))
    sides = ddl.Sides(catalog, catalog)
    for policy in parent.policies:
        yield from ddl.statements(Operation("create", ObjectId("policy", at.schema, at.name, policy.name), new=policy), sides)
    if parent.row_security:
        yield f"ALTER TABLE {at.sql()} ENABLE ROW LEVEL SECURITY"
    if parent.force_row_security:
        yield f"ALTER TABLE {at.sql()} FORCE ROW LEVEL SECURITY"
    identity = twin.replica_identity if twin and twin.replica_identity != "index" else parent.replica_identity
    if identity in ("full", "nothing"):
        yield f"ALTER TABLE {at.sql()} REPLICA IDENTITY {identity.upper()}"
    for trigger in twin.triggers if twin else ():
        if trigger.level == "statement" and not trigger.parent:
            yield trigger.definition.replace(f" ON {_deparsed(twin)} ", f" ON {at.sql()} ", 1)
    for column in parent.columns:
        if column.acl is not None:
            owned = ObjectId("column", at.schema, at.name, column.name)
            yield from (s for s in metadata(owned, None, column, major, owner_of=parent.owner) if not s.startswith("COMMENT"))
    yield from metadata(at, None, new, major, defaults=catalog.default_privileges)


def _deparsed(table: Table | None) -> str:
    return table.id.sql() if table else ""


def unlike(parent: Table, part: Table) -> tuple[str, ...]:
    """What a partition has not, or has otherwise, as phrases; empty: it is like its table."""
    found = []
    for column in parent.columns:
        other = part.column.get(column.name)
        if other is None or _of_column(column) != _of_column(other):
            found.append(f"column {quote(column.name)}")
    have = {(k.kind, k.definition) for k in part.constraints}
    found += [f"constraint {quote(k.name)}" for k in parent.constraints if k.kind != "not null" and (k.kind, k.definition) not in have]
    shapes = {_shape(i) for i in part.indexes if i.valid}
    found += [f"index {quote(i.name)}" for i in parent.indexes if _shape(i) not in shapes]
    triggers = {t.name for t in part.triggers}
    found += [f"trigger {quote(t.name)}" for t in parent.triggers if t.level == "row" and t.name not in triggers]
    for field in ("policies", "row_security", "force_row_security", "owner"):
        if getattr(parent, field) != getattr(part, field):
            found.append(field.replace("_", " "))
    if _granted(parent) != _granted(part):
        found.append("privileges")
    return tuple(found)


def _granted(table: Table) -> set[Any]:
    return {(g.grantee, g.privilege, g.grantable) for g in table.acl or () if g.grantee != table.owner}


def _of_column(column: Any) -> tuple[Any, ...]:
    return (column.type, column.not_null, column.default, column.generated, column.collation, column.storage, column.compression)


def _shape(index: Index) -> tuple[Any, ...]:
    return (index.method, index.keys, index.include, index.predicate, index.unique, index.primary, index.nulls_not_distinct)
