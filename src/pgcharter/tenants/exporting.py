"""A tenant's data as files: one snapshot, one file for each table, and a manifest that is written when all of them have been read back."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pgcharter import __version__, faults
from pgcharter.db import queries
from pgcharter.errors import PgcharterError
from pgcharter.migrate import ledger
from pgcharter.migrate.state import applied_runs
from pgcharter.names import quote
from pgcharter.sources.live import read_catalog
from pgcharter.tenants import manifest
from pgcharter.tenants.holdings import Holding, holdings, ordered
from pgcharter.tenants.manifest import Manifest, TableFile, Tell

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.db import Connection
    from pgcharter.policy.encryption_settings import EncryptedColumn
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.tenants.table import Tenant


def export(
    conn: Connection,
    section: TenancySection,
    tenant: Tenant,
    folder: Path,
    encrypted: tuple[EncryptedColumn, ...] = (),
    tell: Tell | None = None,
) -> Manifest:
    """Write all that a tenant has into `folder`. `conn` is in its database, and row security hides nothing from it.

    Raises RefusedError for a folder with something else in it, PgcharterError when a file cannot be written or is not read back as it was
    written. Whatever ends it before its end leaves no manifest.
    """
    try:
        manifest.prepared(folder)
        conn.execute(_sql("begin"))
        try:
            made = _export(conn, section, tenant, folder, encrypted, tell)
        finally:
            conn.execute("ROLLBACK")
        wrong = next(manifest.differing(folder, made, tell), "")
        if wrong:
            raise PgcharterError(f"the export is not on disk as it was written: {wrong}", place=str(folder))
        faults.point("tenant read back")
        manifest.seal(folder, made)
    except OSError as error:
        raise PgcharterError(f"the export cannot be written: {error.strerror or error}", place=str(folder)) from None
    return made


def _export(
    conn: Connection, section: TenancySection, tenant: Tenant, folder: Path, encrypted: tuple[EncryptedColumn, ...], tell: Tell | None
) -> Manifest:
    catalog = read_catalog(conn)
    found = holdings(section, catalog, tenant)
    referred_first = [h for group in reversed(ordered(catalog, found)) for h in group]
    tables = []
    for number, holding in enumerate(referred_first):
        if tell:
            tell(f"exporting {holding.table.id.sql()}", number, len(found))
        tables.append(_table(conn, holding, folder, number))
        faults.point("tenant table exported")
    runs = applied_runs(ledger.read(conn))
    return Manifest(
        _described(section, tenant), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", _shown(conn.info.server_version), __version__,
        [run.version or run.name for run in runs], tables, _sequences(conn, section, catalog, tenant),
        list(_encrypted(conn, found, encrypted, section)), list(_left_out(conn, section, catalog, tenant)), _value(conn, "snapshot"),
    )  # fmt: skip


def _described(section: TenancySection, tenant: Tenant) -> Mapping[str, Any]:
    return {
        "id": tenant.id, "name": tenant.name, "settings": dict(tenant.settings), "created_at": tenant.created.isoformat(),
        "placement": section.placement, "place": tenant.place,
    }  # fmt: skip


def _table(conn: Connection, holding: Holding, folder: Path, number: int) -> TableFile:
    at = holding.table.id
    plain = re.sub(r"[^a-z0-9_.]", "_", f"{at.schema}.{at.name}".lower())
    path = folder / f"{number + 1:04}-{plain[:100]}.copy.gz"
    names = ", ".join(map(quote, holding.columns))
    copied: list[int] = []
    digest = hashlib.sha256()

    def fill(file: IO[bytes]) -> None:
        summed = _Summed(file, digest)
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=summed, mtime=0) as packed, conn.cursor() as cursor:
            with cursor.copy(f"COPY (SELECT {names} FROM {holding.source}{holding.where}) TO STDOUT".encode()) as copy:
                for piece in copy:
                    packed.write(piece)
            copied.append(cursor.rowcount)

    manifest.written(path, fill)
    types = [{"name": c.name, "type": c.type.sql} for c in holding.table.columns if not c.generated]
    return TableFile(at.sql(), path.name, types, copied[0], path.stat().st_size, digest.hexdigest())


class _Summed:
    """A file that sums what is written into it."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self.file, self.digest = file, digest

    def write(self, data: bytes) -> int:
        """Write, and add to the sum."""
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        """Hand on what is kept back."""
        self.file.flush()


def _sequences(conn: Connection, section: TenancySection, catalog: Catalog, tenant: Tenant) -> list[Mapping[str, Any]]:
    """Positions; in rows there are none, for sequences are everybody's."""
    if section.placement == "rows":
        return []
    schemas = [s.name for s in catalog.schemas] if section.placement == "databases" else [tenant.place]
    return [{"sequence": name, "last_value": last} for name, last in conn.execute(_sql("positions"), (schemas,)).fetchall()]


def _encrypted(
    conn: Connection, found: tuple[Holding, ...], columns: tuple[EncryptedColumn, ...], section: TenancySection
) -> Iterator[Mapping[str, Any]]:
    by_name = {h.table.id: h for h in found}
    for spec in columns:
        alike = [h for i, h in by_name.items() if i == spec.id or (section.placement == "schemas" and i.name == spec.id.name)]
        for holding in (h for h in alike if spec.ciphertext in h.table.column):
            stored = quote(spec.ciphertext)
            query = f"SELECT DISTINCT encode(substring({stored} FROM 7 FOR 8), 'hex') FROM {holding.source}{holding.where}"
            keys = sorted(key for (key,) in conn.execute(query.encode()).fetchall() if key)
            at = f"{holding.table.id.sql()}.{stored}"
            yield {"column": at, "key": spec.key, "scope": spec.scope, "key_ids": keys}


def _left_out(conn: Connection, section: TenancySection, catalog: Catalog, tenant: Tenant) -> Iterator[str]:
    for table in catalog.tables:
        mine = {"databases": True, "schemas": table.schema == tenant.place, "rows": section.column in table.column}[section.placement]
        if table.kind == "foreign table" and mine:
            yield f"foreign table {table.id.sql()}: its rows are on another server"
    if section.placement == "databases" and (count := _value(conn, "large_objects")):
        yield f"{count:,} large objects: pg_dump --large-objects has them"


def _shown(version: int) -> str:
    return f"{version // 10000}.{version % 10000}"


def _value(conn: Connection, name: str) -> Any:
    row = conn.execute(_sql(name)).fetchone()
    return row[0] if row else None


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.tenants", "exporting.sql")[name].encode()
