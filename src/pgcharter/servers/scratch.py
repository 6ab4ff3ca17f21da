"""The throwaway server on which SQL files, models and migrations are built, and which hostile SQL cannot use to hurt the machine.

The SQL under check runs as `postgres`, here an ordinary role that owns its database; the real superuser has a private name. What this
protects against, and what not, is in docs/decisions/0002-scratch-server.md.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pgcharter.errors import RefusedError, UnavailableError
from pgcharter.names import quote
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server, Setting

if TYPE_CHECKING:
    from pgcharter.db import Connection

OWNER = "postgres"
"""The role that the SQL under check runs as: not a superuser, but named like the one most files expect."""

MEMORY = 2 << 30
"""Address space of each server process, in bytes."""

SETTINGS: dict[str, Setting] = {
    "max_connections": 24,
    "superuser_reserved_connections": 8,
    "shared_buffers": "32MB",
    "temp_file_limit": "1GB",
    "max_parallel_workers": 0,
    "max_worker_processes": 0,
    "max_wal_size": "256MB",
    "min_wal_size": "80MB",
    "wal_level": "logical",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "log_checkpoints": False,
    "jit": False,
}


@dataclass
class Scratch:
    """A server on which databases can be made and thrown away."""

    server: Server
    owner_password: str = field(repr=False)
    _roles: set[str] = field(default_factory=set)

    @property
    def version(self) -> int:
        """As `server_version_num`."""
        return self.server.version

    @property
    def major(self) -> int:
        """The major version: 15 to 18."""
        return self.server.major

    @contextlib.contextmanager
    def database(self, template: str | None = None) -> Iterator[ScratchDatabase]:
        """Make a database, empty or a copy of `template` (the name of another one that nobody is connected to); drop it at the end."""
        name = f"scratch_{secrets.token_hex(4)}"
        with _connect(self.server.dsn()) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {quote(template or 'template0')} OWNER {OWNER}")
            admin.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC")
            try:
                with ScratchDatabase(self, name) as database:
                    yield database
            finally:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class ScratchDatabase:
    """One database of a scratch server."""

    def __init__(self, scratch: Scratch, name: str) -> None:
        self.scratch = scratch
        self.name = name
        self._conn: Connection | None = None
        self._admin: Connection | None = None

    @property
    def dsn(self) -> str:
        """The URI by which the unprivileged owner reaches it."""
        return self.scratch.server.dsn(self.name, OWNER, self.scratch.owner_password)

    @property
    def conn(self) -> Connection:
        """An autocommit connection as the unprivileged owner; a new one when the last was lost."""
        if self._conn is None or self._conn.closed:
            self._conn = _connect(self.dsn)
        return self._conn

    @property
    def admin(self) -> Connection:
        """An autocommit connection as the private superuser, for trusted statements only: never run a user's text on it."""
        if self._admin is None or self._admin.closed:
            self._admin = _connect(self.scratch.server.dsn(self.name), options="-c search_path=pg_catalog,pg_temp")
        return self._admin

    def create_role(self, name: str) -> None:
        """Make a role that the SQL under check names: it cannot log in and has no rights; the owner may act as it and grant it on."""
        if name.startswith("pg_") or name == self.scratch.server.login.user:
            raise RefusedError(f"role {name} is reserved, so no stand-in for it is made")
        with contextlib.suppress(Exception):
            self.admin.execute(f"CREATE ROLE {quote(name)} NOLOGIN")
        self.admin.execute(f"GRANT {quote(name)} TO {OWNER} WITH ADMIN OPTION")
        self.scratch._roles.add(name)

    def create_extension(self, name: str, schema: str | None = None) -> None:
        """Create an extension of the allow-list."""
        if not re.fullmatch(r"[a-z0-9_\-]+", name):
            raise RefusedError(f"extension {name} is not known")
        self.admin.execute(f"CREATE EXTENSION IF NOT EXISTS {quote(name)} SCHEMA {quote(schema or 'public')} CASCADE")

    def close(self) -> None:
        """Close both connections."""
        for connection in (self._conn, self._admin):
            if connection is not None:
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextlib.contextmanager
def open_scratch(major: int | None = None, *, url: str | None = None) -> Iterator[Scratch]:
    """Start a throwaway server of `major` (by default the newest) and stop it at the end."""
    if url:
        raise UnavailableError("scratch_url is not supported yet")
    with lifecycle.start_ephemeral(binaries.choose(major), settings=SETTINGS, memory=MEMORY) as server:
        password = secrets.token_urlsafe(24)
        with _connect(server.dsn()) as admin:
            admin.execute(f"CREATE ROLE {OWNER} LOGIN NOSUPERUSER PASSWORD '{password}'")
        yield Scratch(server, password)


def _connect(dsn: str, options: str = "") -> Connection:
    from pgcharter.db import connect

    return connect(dsn, options=options)
