"""What the database of a test run holds: migrations, an Alembic project, SQLAlchemy's metadata, SQL, or what a function makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import quote

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from pgcharter.migrate.files import Folder
    from pgcharter.testing.project import Project

Schema: TypeAlias = "str | Path | MetaData | Callable[[str], object] | None"
"""A folder of migrations or an Alembic project, a file of SQL, `module:metadata`, metadata, a function that is given a DSN, or nothing."""
_MODELS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(\))?\Z")


def install(schema: Schema, dsn: str, project: Project, root: Path) -> str:
    """Make the schema in the database `dsn`; what it was made from, for people. An empty text or None: the migrations of the project.

    Relative paths begin at `root`. Raises UsageError for what is nothing of the kind, PgcharterError where the server refuses it.
    """
    if callable(schema):
        schema(dsn)
        return f"schema from {getattr(schema, '__qualname__', type(schema).__name__)}()"
    if schema is None or schema == "":
        folder = project.migrations
        return _migrations(folder, dsn, project, root) if folder else "an empty database"
    if isinstance(schema, str) and _MODELS.match(schema) and not (root / schema).exists():
        from pgcharter.sources.models import load

        return _metadata(load(schema), dsn, schema)
    if isinstance(schema, str | Path):
        return _path(root / schema, dsn, project, root)
    return _metadata(schema, dsn, "metadata")


def _path(path: Path, dsn: str, project: Project, root: Path) -> str:
    if path.suffix == ".sql" and path.is_file():
        _run(path.read_text("utf-8"), dsn, _short(path, root))
        return f"schema from {_short(path, root)}"
    if path.is_dir() or path.suffix == ".ini":
        return _migrations(path, dsn, project, root)
    raise UsageError(
        f"pgcharter_schema names {path}, which is no folder, no file of SQL and no module:metadata",
        hint="pgcharter_schema = migrations, or alembic.ini, or db/schema.sql, or shop.models:Base",
    )


def _short(path: Path, root: Path) -> str:
    path = path.resolve()
    return path.relative_to(root.resolve()).as_posix() if path.is_relative_to(root.resolve()) else str(path)


def _migrations(path: Path, dsn: str, project: Project, root: Path) -> str:
    """Apply all migrations, as `pgcharter migrate up` would on a new database; every gate is open."""
    from pgcharter.migrate import files, runner
    from pgcharter.migrate.terms import Terms, gate_key
    from pgcharter.migrate.units import parsed

    alembic = path.suffix == ".ini" or (path / "alembic.ini").is_file() or (path / "env.py").is_file()
    if alembic:
        from pgcharter.migrate.alembic import read

        revisions = read(str(path if (path.suffix == ".ini" or (path / "alembic.ini").is_file()) else path.parent))
        found: Folder = revisions
        ready = revisions.with_units(revisions.migrations, dsn, shown=False)
    else:
        found = files.read(str(path), project.migrate)
        ready = [parsed(m, project.migrate.placeholders) for m in found.migrations]
    gates = frozenset(gate_key(m, number) for m in ready for number in range(len(m.up)))
    ended = runner.apply(dsn, ready, terms=Terms(gates_passed=gates, old_plans=True))
    if ended.status != "done":
        raise PgcharterError(f"the database for tests cannot be made: {ended.message}", hint=ended.hint, place=ended.place)
    what = f"{'revision' if alembic else 'file'}{'s' * (len(ready) != 1)}"
    return f"schema from {_short(path, root)}{'/' * path.is_dir()} ({len(ready)} {what})"


def _run(text: str, dsn: str, name: str) -> None:
    import psycopg

    from pgcharter.db import connect

    with connect(dsn) as conn:
        try:
            conn.execute(text.encode())
        except psycopg.Error as error:
            at = int(error.diag.statement_position or 0)
            place = f"{name}:{text.count(chr(10), 0, at - 1) + 1}" if at else name
            raise PgcharterError(f"the database for tests cannot be made: {error.diag.message_primary or error}", place=place) from None


def _metadata(metadata: MetaData, dsn: str, name: str) -> str:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    from pgcharter.db import connect

    engine = create_engine("postgresql+psycopg://", creator=lambda: connect(dsn, autocommit=False), poolclass=NullPool)
    with engine.begin() as conn:
        for schema in sorted({t.schema for t in metadata.tables.values() if t.schema}):
            conn.execute(text(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}"))
        metadata.create_all(conn)
    engine.dispose()
    return f"schema from {name} ({len(metadata.tables)} tables)"
