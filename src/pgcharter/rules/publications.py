"""Publications: what sending rows away demands of the tables they come from."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Publication, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import carriers
from pgcharter.rules.engine import Context, rule


@rule("KEY27", "published-without-identity", Severity.ERROR)
def published_without_identity(ctx: Context) -> Iterator[Finding]:
    """A table's updates and deletes are published, and nothing says which row they are about.

    Why: the old row is told by its replica identity, which is the primary key unless said otherwise. Without one, every UPDATE and DELETE
    on the table fails from the moment it is published: "cannot update table because it does not have a replica identity".

    Instead: a primary key; or `ALTER TABLE clicks REPLICA IDENTITY USING INDEX clicks_uniq`, a unique index on required columns; or
    `REPLICA IDENTITY FULL`, which sends whole old rows.

    Except: publications of inserts only, and tables without a key that say by REPLICA IDENTITY NOTHING that rows are only added. A
    deferrable primary key does not count, as PostgreSQL does not take it.
    """
    publishing = [p for p in ctx.catalog.publications if {"update", "delete"} & set(p.operations)]
    for table in ctx.catalog.own_tables if publishing else ():
        if table.kind != "table" or table.unlogged or _has_identity(table):
            continue
        through = next((p for p in publishing if _sends(ctx, p, table)), None)
        if through is not None:
            unique = _usable(table)
            how = f"USING INDEX {quote(unique)}" if unique else "FULL"
            refused = " and ".join(o.upper() for o in through.operations if o in ("update", "delete"))
            yield ctx.finding(
                table,
                f"table {table.id.sql()} is published by {quote(through.name)} but has no replica identity, so every {refused} on it fails",
                fix=f"ALTER TABLE {table.id.sql()} REPLICA IDENTITY {how}",
                hint="" if unique else "a primary key is better: FULL sends the whole old row with each change",
                publication=through.name,
            )


def _sends(ctx: Context, publication: Publication, table: Table) -> bool:
    if publication.all_tables or table.schema in publication.schemas or carriers.names_table(publication, table):
        return True
    parent = ctx.catalog.table.get(table.partition_of) if table.partition_of else None
    return parent is not None and _sends(ctx, publication, parent)


def _has_identity(table: Table) -> bool:
    if table.replica_identity == "default":
        return table.primary_key is not None and not table.primary_key.deferrable
    if table.replica_identity == "nothing":
        return table.primary_key is None
    return table.replica_identity == "full" or any(i.replica_identity for i in table.indexes)


def _usable(table: Table) -> str:
    """A unique index that may serve as identity: whole, at once checked, on required columns."""
    late = {c.index for c in table.constraints if c.deferrable}
    for index in table.indexes:
        plain = index.unique and index.valid and not index.predicate and len(index.columns) == len(index.keys) and index.name not in late
        if plain and index.columns and all(table.column[c].not_null for c in index.columns):
            return index.name
    return ""
