"""The data of a tenant deleted for good: rows in batches, children first; schemas in pieces; databases whole. All can be gone on with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgcharter import faults
from pgcharter.db import queries
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.names import ObjectId, literal, quote
from pgcharter.policy.audit import view_name
from pgcharter.policy.tenancy_settings import OWN_TENANTS
from pgcharter.sources.live import read_catalog
from pgcharter.tenants.holdings import Holding, holdings, leaves, ordered, within

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.tenants.manifest import Tell
    from pgcharter.tenants.table import Tenant

BATCH = 10_000
"""Rows deleted in one transaction."""
LOOKED_UP = 20
"""Batches whose rows are looked up at once: what an index still knows of deleted rows is passed over once for so many."""
GROUP = 20
"""Tables dropped in one transaction: each takes a lock for itself, its indexes, sequences and TOAST (max_locks_per_transaction)."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much a table holds of a tenant."""

    table: str
    rows: int


def amounts(conn: Connection, section: TenancySection, tenant: Tenant) -> tuple[Amount, ...]:
    """Rows by table, counted in one snapshot; tables without any left out."""
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        found = holdings(section, read_catalog(conn), tenant)
        made = []
        for start in range(0, len(found), 100):
            part = found[start : start + 100]
            counts = " UNION ALL ".join(f"SELECT {n}, count(*) FROM {h.source}{h.where}" for n, h in enumerate(part))
            number: dict[int, int] = dict(conn.execute(counts.encode()).fetchall())
            made += [Amount(h.table.id.sql(), number[n]) for n, h in enumerate(part) if number[n]]
        return tuple(made)
    finally:
        conn.execute("ROLLBACK")


# rows


def rows(conn: Connection, section: TenancySection, tenant: Tenant, total: int, tell: Tell | None = None) -> int:
    """Delete all rows of a tenant, those that refer to others before them; return how many. What is done stays done when it ends early.

    Tables that refer to themselves, or to each other in a circle, are emptied of the tenant in one statement, unless their foreign keys
    cascade: any order of single batches could break them. Raises PgcharterError when a row of somebody else's refers to one.
    """
    catalog = read_catalog(conn)
    found = leaves(catalog, holdings(section, catalog, tenant))
    done = 0
    for group in ordered(catalog, found):
        for count in _together(conn, group, tenant) if within(catalog, group) else _in_batches(conn, group, tenant):
            done += count
            if tell:
                tell(f"deleting from {group[0].table.id.sql()}", min(done, total), total)
            faults.point("tenant rows deleted")
    return done


def _in_batches(conn: Connection, group: Sequence[Holding], tenant: Tenant) -> Iterator[int]:
    for holding in group:
        at = holding.table.id.sql()
        look = f"SELECT ctid::text FROM ONLY {at}{holding.where} LIMIT {BATCH * LOOKED_UP}".encode()
        gone = f"DELETE FROM ONLY {at}{holding.where} AND ctid = ANY (%s::tid[])"
        while places := [place for (place,) in conn.execute(look).fetchall()]:
            for start in range(0, len(places), BATCH):
                yield _deleted(conn, tenant, gone, (places[start : start + BATCH],))


def _together(conn: Connection, group: Sequence[Holding], tenant: Tenant) -> Iterator[int]:
    """One statement for all: foreign keys are checked at its end, when all of it is gone (measured, RESTRICT included)."""
    parts = [f"d{n} AS (DELETE FROM ONLY {h.table.id.sql()}{h.where} RETURNING 1)" for n, h in enumerate(group)]
    counts = " + ".join(f"(SELECT count(*) FROM d{n})" for n in range(len(group)))
    yield _deleted(conn, tenant, f"WITH {', '.join(parts)} SELECT {counts}", ())


def _deleted(conn: Connection, tenant: Tenant, sql: str, values: tuple[object, ...]) -> int:
    """One transaction, whose context says for whom and why."""
    said = f"SET LOCAL pgcharter.tenant = {literal(tenant.id)}; SET LOCAL pgcharter.reason = 'tenant removed'"
    try:
        with conn.transaction():
            conn.execute(said.encode())
            cursor = conn.execute(sql.encode(), values or None)
            row = cursor.fetchone() if cursor.description else None
            return int(row[0]) if row else cursor.rowcount
    except psycopg.errors.ForeignKeyViolation as error:
        d = error.diag
        raise PgcharterError(
            f"rows of table {d.schema_name}.{d.table_name} that are not the tenant's refer to rows of tenant {tenant.name}, so these were"
            f" not deleted: constraint {d.constraint_name}",
            hint="delete or change those rows, then say the same again: what was done before is kept",
        ) from None


# schemas


def schema(conn: Connection, tenant: Tenant, tell: Tell | None = None) -> None:
    """Drop a tenant's schema, its tables first, some at a time, and then its role and the record of what policies made there.

    Raises RefusedError when something of another schema depends on it, or the role owns something elsewhere: both would be lost.
    """
    place = tenant.place
    refuse_reached(conn, place)
    tables = [ObjectId("table", place, name) for (name,) in conn.execute(_sql("tables"), {"schema": place}).fetchall()]
    for start in range(0, len(tables), GROUP):
        if tell:
            tell(f"dropping tables of {place}", start, len(tables))
        _drop(conn, tables[start : start + GROUP])
        faults.point("tenant tables dropped")
    conn.execute(f"DROP SCHEMA IF EXISTS {quote(place)} CASCADE".encode())
    faults.point("tenant schema dropped")
    role(conn, place)
    marks(conn, place)


def _drop(conn: Connection, tables: Sequence[ObjectId]) -> None:
    """Drop tables, and the views of their histories, which read the audit trail and not the tables; that trail stays."""
    views = [ObjectId("view", OWN_TENANTS.schema, view_name(at)) for at in tables]
    with conn.transaction():
        conn.execute(f"DROP TABLE {', '.join(at.sql() for at in tables)} CASCADE".encode())
        conn.execute(f"DROP VIEW IF EXISTS {', '.join(at.sql() for at in views)}".encode())
        if conn.execute(_sql("has_marks")).fetchone() == (True,):
            conn.execute(_sql("view_marks"), (OWN_TENANTS.schema, [at.name for at in views]))


def refuse_reached(conn: Connection, place: str) -> None:
    """Raise RefusedError when something of another schema depends on something in a tenant's."""
    reaching = [text for (text,) in conn.execute(_sql("reaching_in"), {"schema": place}).fetchall()]
    if reaching:
        more = f", and {len(reaching) - 3} more" if len(reaching) > 3 else ""
        raise RefusedError(
            f"{', '.join(reaching[:3])}{more} of another schema depends on schema {quote(place)}, and would be dropped with it",
            hint="drop that by itself first, then say the same again",
        )


def role(conn: Connection, name: str) -> None:
    """Drop the role of a tenant with its privileges, where it still has any. Raises RefusedError when it owns something."""
    if conn.execute(_sql("role"), (name,)).fetchone() != (True,):
        return
    owned = [text for (text,) in conn.execute(_sql("owned"), (name,)).fetchall()]
    if owned:
        raise RefusedError(
            f"role {quote(name)} still owns {', '.join(owned)}, so it was not dropped",
            hint=f"REASSIGN OWNED BY {quote(name)} TO CURRENT_USER in that database, then say the same again",
        )
    try:
        try:
            conn.execute(f"DROP ROLE {quote(name)}".encode())
        except psycopg.errors.DependentObjectsStillExist:
            conn.execute(f"DROP OWNED BY {quote(name)}".encode())
            conn.execute(f"DROP ROLE {quote(name)}".encode())
    except psycopg.errors.DependentObjectsStillExist as error:
        said = (error.diag.message_detail or "").replace("\n", "; ")
        raise RefusedError(
            f"role {quote(name)} still has privileges in another database, so it was not dropped: {said}",
            hint=f"DROP OWNED BY {quote(name)} in that database, then say the same again",
        ) from None


def marks(conn: Connection, place: str) -> None:
    """Strike out what policies made for a tenant's schema."""
    if conn.execute(_sql("has_marks")).fetchone() == (True,):
        conn.execute(_sql("marks"), {"place": place})


# databases


def database(conn: Connection, place: str) -> None:
    """Drop a tenant's database; nobody gets in from the first moment on. `conn` is in another one."""
    if conn.execute(_sql("database"), (place,)).fetchone() is None:
        return
    try:
        conn.execute(f"ALTER DATABASE {quote(place)} WITH ALLOW_CONNECTIONS false".encode())
        faults.point("tenant database closed")
        conn.execute(f"DROP DATABASE {quote(place)} WITH (FORCE)".encode())
    except psycopg.errors.ObjectInUse as error:
        said = ". ".join(filter(None, (error.diag.message_primary, error.diag.message_detail)))
        raise PgcharterError(f"database {quote(place)} cannot be dropped: {said}", hint="end that, then say the same again") from None


# what stays


def audited(conn: Connection, section: TenancySection, tenant: Tenant) -> int:
    """Rows of the audit trail of this database that are about the tenant. They stay, for as long as the trail is kept."""
    if section.placement == "databases" or conn.execute(_sql("has_audit")).fetchone() != (True,):
        return 0
    rows = section.placement == "rows"
    values = (section.column, tenant.id) if rows else (tenant.place,)
    row = conn.execute(_sql("audit_of_rows" if rows else "audit_of_schema"), values).fetchone()
    return int(row[0]) if row else 0


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.tenants", "deleting.sql")[name].encode()
