"""What options and ini say, and the one line in pytest's header."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.testing.servers import VARIABLE

if TYPE_CHECKING:
    import pytest

    from pgcharter.testing.project import Project


def dsn(config: pytest.Config) -> str:
    """The server that somebody named; empty: one of the plugin's own."""
    return str(config.getoption("--pgcharter-dsn") or os.environ.get(VARIABLE, ""))


def strict(config: pytest.Config, project: Project) -> bool:
    """Whether transactions must have a context. Raises UsageError for what is no answer."""
    said = str(config.getini("pgcharter_context"))
    if said not in ("", "required", "free"):
        raise UsageError(f"pgcharter_context is {said!r}", hint="pgcharter_context = required, or free")
    return said == "required" or (not said and project.tenancy)


def header(config: pytest.Config) -> str:
    """`pgcharter: PostgreSQL 18.6 (embedded), schema from migrations/ (13 files), as role shop_api`. Starts and connects to nothing."""
    role = str(config.getini("pgcharter_role"))
    try:
        parts = [_server(config), _schema(config), f"as role {role}" if role else ""]
    except PgcharterError as error:
        return f"pgcharter: {error}"
    return "pgcharter: " + ", ".join(filter(None, parts))


def _server(config: pytest.Config) -> str:
    if dsn(config):
        from psycopg.conninfo import conninfo_to_dict

        from pgcharter.sources import address

        parts = conninfo_to_dict(address(dsn(config)))
        return f"PostgreSQL at {parts.get('host') or 'the local socket'}, beside database {parts.get('dbname') or parts.get('user') or ''}"
    from pgcharter.servers import binaries

    major = str(config.getini("pgcharter_postgresql"))
    return f"PostgreSQL {binaries.choose(int(major) if major else None).release} (embedded)"


def _schema(config: pytest.Config) -> str:
    from pgcharter.testing import project

    said = str(config.getini("pgcharter_schema"))
    found = project.read(config.rootpath)
    folder = found.migrations if not said else config.rootpath / said
    if folder is None or (said and not folder.is_dir()):
        return f"schema from {said}" if said else ""
    shown = folder.relative_to(config.rootpath).as_posix() if folder.is_relative_to(config.rootpath) else str(folder)
    if (folder / "alembic.ini").is_file() or (folder / "env.py").is_file():
        return f"schema from {shown}/ (Alembic)"
    from pgcharter.migrate.files import read

    count = len(read(str(folder), found.migrate).migrations)
    return f"schema from {shown}/ ({count} file{'s' * (count != 1)})"
