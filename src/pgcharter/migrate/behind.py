"""Which files of a folder a database has behind it, whoever keeps account of that: our ledger, Alembic, or the table of another tool."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from pgcharter.migrate import layouts, ledger, state
from pgcharter.migrate.files import read
from pgcharter.sources.layout import FLYWAY

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog, Table
    from pgcharter.db import Connection
    from pgcharter.migrate.settings import MigrateSection

Known = Callable[[str], bool]
"""Whether the database has a file, by its path."""


def behind(conn: Connection, catalog: Catalog, files: Iterable[str], folder: str, section: MigrateSection) -> frozenset[str] | None:
    """Those of `files` that the database behind `conn` has run; None when nothing in it tells.

    Our own ledger is asked first, then the tables of other tools, as they are found in `catalog`.
    Raises PgcharterError when our ledger is damaged or may not be read, UsageError when two files have one version.
    """
    runs = ledger.read(conn)
    if runs:
        entries = state.standing(read(folder, section), runs).applied
        done = {os.path.realpath(e.migration.file) for e in entries if e.migration and e.word != "changed"}
        return frozenset(f for f in files if os.path.realpath(f) in done)
    known = next((k for table in catalog.tables for k in [_of_tool(conn, table)] if k), None)
    return None if known is None else frozenset(f for f in files if known(f))


def _of_tool(conn: Connection, table: Table) -> Known | None:
    """What the ledger of another tool tells; None when the table is none, or may not be read."""
    columns = {c.name for c in table.columns}
    for name, needed, query, make in _LEDGERS:
        if table.name == name and needed <= columns:
            with conn.transaction():
                may = conn.execute("SELECT pg_catalog.has_table_privilege(%s, 'SELECT')", [table.id.sql()]).fetchone()
                rows = conn.execute(sql.SQL(query).format(sql.Identifier(table.schema, name))).fetchall() if may and may[0] else None
            return make([str(row[0]) for row in rows]) if rows is not None else None
    return None


def _versions(found: list[str]) -> Known:
    """Versions in the names of files or of their folders, digit for digit, whatever stands between them."""
    done = {_digits(v) for v in found}
    return lambda file: any(v in done for v in _in_name(file))


def _up_to(found: list[str]) -> Known:
    """golang-migrate keeps only the last version."""
    last = max(map(int, found), default=-1)
    return lambda file: any(int(v or 0) <= last for v in _in_name(file))


def _flyway(found: list[str]) -> Known:
    done = {layouts.numbers(v) for v in found if v != "None"}

    def known(file: str) -> bool:
        named = FLYWAY.match(PurePath(file).name)
        return bool(named and named["version"] and layouts.numbers(named["version"]) in done)

    return known


def _names(found: list[str]) -> Known:
    """The names of files, or of the folders in which they stand."""
    done = {PurePath(name).name.removesuffix(".sql") for name in found}
    return lambda file: bool(done & {PurePath(file).stem, PurePath(file).parent.name})


def _in_name(file: str) -> Iterator[str]:
    path = PurePath(file)
    for named in (layouts.named(path), layouts.named(path.parent / "up.sql")):
        if named and named.version:
            yield _digits(named.version)


def _digits(version: str) -> str:
    return re.sub(r"\D", "", version).lstrip("0")


_LEDGERS: tuple[tuple[str, set[str], LiteralString, Callable[[list[str]], Known]], ...] = (
    ("flyway_schema_history", {"version", "success"}, "SELECT version FROM {} WHERE success", _flyway),
    ("schema_migrations", {"version", "dirty"}, "SELECT version FROM {} WHERE NOT dirty", _up_to),
    ("schema_migrations", {"version"}, "SELECT version FROM {}", _versions),
    ("goose_db_version", {"id", "version_id", "is_applied"},
     "SELECT version_id FROM (SELECT DISTINCT ON (version_id) * FROM {} ORDER BY version_id, id DESC) last WHERE is_applied", _versions),
    ("gorp_migrations", {"id"}, "SELECT id FROM {}", _names),
    ("_sqlx_migrations", {"version", "success"}, "SELECT version FROM {} WHERE success", _versions),
    ("__diesel_schema_migrations", {"version"}, "SELECT version FROM {}", _versions),
    ("_prisma_migrations", {"migration_name", "finished_at", "rolled_back_at"},
     "SELECT migration_name FROM {} WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL", _names),
)  # fmt: skip
"""Tables of other tools: their name, columns by which they are known, the versions or names that were run, and how files are told by those.
A changelog of Liquibase and a plan of Sqitch are not among them: they say of parts of files what was run, or know several projects."""
