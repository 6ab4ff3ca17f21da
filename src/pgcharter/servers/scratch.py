"""The throwaway server on which SQL files, models and migrations are built, and which hostile SQL cannot use to hurt the machine.

The SQL under check runs as an ordinary role that owns its database; the real superuser has a private name. What this protects against,
and what not, is in docs/decisions/0002-scratch-server.md.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pgcharter.errors import ConnectError, RefusedError
from pgcharter.names import literal, quote
from pgcharter.servers import binaries, datafolder, extensions, lifecycle, ownership
from pgcharter.servers.guard import Guard, Limits
from pgcharter.servers.lifecycle import Server, Setting

if TYPE_CHECKING:
    from pgcharter.db import Connection

OWNER = "postgres"
"""The role that the SQL under check runs as on a server of ours: not a superuser, but named like the one most files expect."""

_ADMIN_OPTIONS = "-c search_path=pg_catalog,pg_temp -c role=none -c statement_timeout=120s -c lock_timeout=20s -c row_security=off"
_ADMIN_OPTIONS += " -c default_transaction_read_only=off -c standard_conforming_strings=on -c client_encoding=UTF8"
"""Stated at connection, so that nothing the owner has set for the database (ALTER DATABASE … SET) reaches a session of ours."""


def _settings(major: int) -> dict[str, Setting]:
    """No worker that could connect anywhere or run anything of the owner's by itself; little memory; nothing that outlives the folder."""
    newest: dict[str, Setting] = {"io_method": "sync"} if major >= 18 else {}
    return {
        "max_connections": 30,
        "superuser_reserved_connections": 10,
        "shared_buffers": "32MB",
        "huge_pages": False,
        "temp_file_limit": "1GB",
        "max_worker_processes": 0,
        "max_parallel_workers": 0,
        "max_logical_replication_workers": 0,
        "max_wal_size": "256MB",
        "wal_level": "logical",
        "max_wal_senders": 0,
        "max_replication_slots": 0,
        "log_min_messages": "fatal",
        "log_min_error_statement": "panic",
        "jit": False,
        **newest,
    }


@dataclass
class Scratch:
    """A server on which databases can be made and thrown away."""

    version: int
    """As `server_version_num`."""
    owner: str
    """The role that the SQL under check runs as."""
    limits: Limits
    server: Server | None
    """None when the user named a server."""
    _admin_dsn: str = field(repr=False)
    _owner_dsn: str = field(repr=False)
    _owner_secret: str = field(repr=False)
    """The owner's password, or on a server of ours its verifier; empty when the owner is the role of the user's own DSN."""
    guard: Guard = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.guard = Guard(self.limits, self.owner, self._maintenance, self.server.data if self.server else None)

    @property
    def major(self) -> int:
        """The major version: 15 to 18."""
        return self.version // 10000

    @contextlib.contextmanager
    def database(self, template: str | None = None) -> Iterator[ScratchDatabase]:
        """Make a database, empty or a copy of `template` (the name of another one that nobody is connected to); drop it at the end."""
        name = f"scratch_{secrets.token_hex(4)}"
        with self._maintenance() as admin:
            self._reset_owner(admin)
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {quote(template or 'template0')} OWNER {quote(self.owner)} STRATEGY file_copy")
        self.guard.databases.add(name)
        database = ScratchDatabase(self, name)
        try:
            yield database
        finally:
            database.close()
            self.guard.databases.discard(name)
            self._drop(name, database.roles)

    def admin_dsn(self, database: str) -> str:
        """The DSN of a database as the role that may make databases."""
        return _with_database(self._admin_dsn, database)

    def owner_dsn(self, database: str) -> str:
        """The DSN of a database as the unprivileged owner."""
        return _with_database(self._owner_dsn, database)

    def _maintenance(self) -> Connection:
        return _connect(self._admin_dsn, self.admin_options)

    @property
    def admin_options(self) -> str:
        """Startup options of every session that is not the owner's."""
        return _ADMIN_OPTIONS + (" -c session_replication_role=origin" if self._owner_secret else "")

    def _reset_owner(self, admin: Connection) -> None:
        """Undo what earlier SQL may have done to the owner's own password and settings."""
        if self._owner_secret:
            admin.execute(f"ALTER ROLE {quote(self.owner)} RESET ALL")
            admin.execute(f"ALTER ROLE {quote(self.owner)} PASSWORD {literal(self._owner_secret)}")
            admin.execute(f"ALTER ROLE {quote(self.owner)} SET statement_timeout = {int(self.limits.seconds * 1000)}")
            admin.execute(f"ALTER ROLE {quote(self.owner)} SET lock_timeout = '10s'")

    def _drop(self, name: str, roles: set[str]) -> None:
        """Drop a database and the stand-in roles made for it (a role that another database still needs stays until that one goes)."""
        import psycopg

        for attempt in (1, 2):
            try:
                with self._maintenance() as admin:
                    admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                    for role in roles:
                        with contextlib.suppress(psycopg.errors.DependentObjectsStillExist):
                            admin.execute(f"DROP ROLE IF EXISTS {quote(role)}")
                return
            except psycopg.Error:
                if attempt == 2 and self.server is None:
                    raise


class ScratchDatabase:
    """One database of a scratch server."""

    def __init__(self, scratch: Scratch, name: str) -> None:
        self.scratch = scratch
        self.name = name
        self.roles: set[str] = set()
        """Stand-in roles made for this database."""
        self._conn: Connection | None = None
        self._admin: Connection | None = None

    @property
    def dsn(self) -> str:
        """The DSN by which the unprivileged owner reaches it."""
        return self.scratch.owner_dsn(self.name)

    @property
    def conn(self) -> Connection:
        """An autocommit connection as the unprivileged owner; a new one when the last was lost (a statement that had to be stopped)."""
        if self._conn is not None and _alive(self._conn):
            return self._conn
        if self._conn is not None:
            time.sleep(0.2)  # were its process killed, all sessions of the server would be ended within this time
        self._conn = self._reopened()
        return self._conn

    def _reopened(self) -> Connection:
        import psycopg

        try:
            self.scratch._reset_owner(self.admin)
        except psycopg.OperationalError:  # the server is starting anew, and has just ended this session too
            self.scratch._reset_owner(self.admin)
        return _connect(self.dsn)

    @property
    def admin(self) -> Connection:
        """An autocommit connection as the private superuser, for trusted statements only: never run a user's text on it.

        On a server that the user named by an ordinary role it is that role, and so is the owner.
        """
        if self._admin is None or not _alive(self._admin):
            self._admin = _connect(self.scratch.admin_dsn(self.name), self.scratch.admin_options)
        return self._admin

    def why_stopped(self) -> str:
        """Why the guard ended the last statement or session here: `it ran longer than 30 s`; empty when it did not. Asking forgets it."""
        return self.scratch.guard.stopped.pop(self.name, "")

    def create_role(self, name: str) -> None:
        """Make a stand-in for a role that the SQL under check names; nothing happens when it exists.

        It cannot log in and has no rights. The owner may act as it, give objects to it and grant it on. Raises RefusedError for names
        that PostgreSQL keeps for itself.
        """
        import psycopg

        if name.startswith("pg_") or name in ("", "public", "none"):
            raise RefusedError(f"role {name!r} is PostgreSQL's own, so no stand-in for it is made")
        if self.admin.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", [name]).fetchone():
            return
        with contextlib.suppress(psycopg.errors.DuplicateObject):
            self.admin.execute(f"CREATE ROLE {quote(name)} NOLOGIN")
            self.roles.add(name)
            self.admin.execute(f"GRANT {quote(name)} TO {quote(self.scratch.owner)} WITH ADMIN OPTION")

    def create_extension(self, name: str, schema: str | None = None) -> None:
        """Create an extension that cannot do harm, with what it requires; see `extensions` for which and for the errors raised."""
        extensions.create(name, schema, self.admin, lambda: _connect(self.dsn))

    def comment_on_extension(self, name: str, comment: str | None) -> None:
        """COMMENT ON EXTENSION, which the owner may not do when the extension is ours."""
        self.admin.execute(f"COMMENT ON EXTENSION {quote(name)} IS {literal(comment) if comment is not None else 'NULL'}")

    def change_owner(self, statement: str) -> None:
        """Run one `ALTER … OWNER TO role` that the owner was refused, because the new owner may not create in that schema.

        Raises RefusedError when the text is anything else or the new owner is not a stand-in; what PostgreSQL says otherwise is raised
        as psycopg's error.
        """
        text, role = ownership.change(statement)
        if role != self.scratch.owner and role not in self.roles:
            raise RefusedError(f"role {role} is not a stand-in of this scratch database, so nothing is given to it")
        path = self.conn.execute("SELECT pg_catalog.current_setting('search_path')").fetchone()
        with self.admin.transaction():
            self.admin.execute("SELECT pg_catalog.set_config('search_path', %s, true)", [path[0] if path else ""])
            self.admin.execute(text.encode())

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
def open_scratch(major: int | None = None, *, url: str | None = None, limits: Limits | None = None) -> Iterator[Scratch]:
    """Start a throwaway server of `major` (by default the newest) and stop it at the end; or use the server that `url` names.

    Raises UnavailableError when this machine has no such PostgreSQL, RefusedError when `url` leads to a role that must not run SQL of
    unknown origin.
    """
    bounds, kept = limits or Limits(), _kept.get()
    with contextlib.ExitStack() as stack:
        if kept is None:
            yield _started(major, url, bounds, stack)
            return
        key = (url or str(binaries.choose(major).major), bounds)
        if key not in kept.servers:
            kept.servers[key] = _started(major, url, bounds, kept.stack)
        yield kept.servers[key]


def _started(major: int | None, url: str | None, limits: Limits, stack: contextlib.ExitStack) -> Scratch:
    scratch = _given(url, limits, stack) if url else _own(major, limits, stack)
    scratch.guard.start()
    stack.callback(scratch.guard.stop)
    return scratch


@dataclass
class _Kept:
    """Servers that are kept running, and what ends them."""

    stack: contextlib.ExitStack
    servers: dict[tuple[str, Limits], Scratch] = field(default_factory=dict)


_kept: ContextVar[_Kept | None] = ContextVar("_kept", default=None)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Inside, a server that `open_scratch` has started is given out again: to start one takes longer than most work on it."""
    if _kept.get() is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        token = _kept.set(_Kept(stack))
        try:
            yield
        finally:
            _kept.reset(token)


def _own(major: int | None, limits: Limits, stack: contextlib.ExitStack) -> Scratch:
    installation = binaries.choose(major)
    server = stack.enter_context(
        lifecycle.start_ephemeral(installation, settings=_settings(installation.major), memory=limits.memory),
    )
    password = secrets.token_urlsafe(24)
    secret = datafolder.verifier(password)
    with _connect(server.dsn()) as admin:
        admin.execute(f"CREATE ROLE {OWNER} LOGIN NOSUPERUSER CONNECTION LIMIT 12 PASSWORD {literal(secret)}")
    return Scratch(server.version, OWNER, limits, server, server.dsn(), server.dsn("postgres", OWNER, password), secret)


_WHO = """
SELECT current_user::text, r.rolsuper, r.rolcreatedb, current_setting('server_version_num')::int,
       ARRAY(SELECT p.rolname::text FROM pg_catalog.pg_roles p
              WHERE p.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
                AND pg_catalog.pg_has_role(current_user, p.oid, 'MEMBER'))
  FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


def _given(url: str, limits: Limits, stack: contextlib.ExitStack) -> Scratch:
    """A server that the user named. A superuser's DSN is used only to make a role without rights, which then runs the SQL."""
    with _connect(url) as admin:
        row = admin.execute(_WHO).fetchone()
        assert row is not None  # noqa: S101  (a session has a role)
        user, superuser, may_create, version, dangerous = row
        if not superuser and dangerous:
            raise RefusedError(
                f"role {user} is a member of {', '.join(dangerous)}, so SQL under check could run programs or reach files on that server",
                hint="CREATE ROLE pgcharter_scratch LOGIN CREATEDB PASSWORD '…' and use it in the scratch URL",
                place="scratch URL",
            )
        if not superuser and not may_create:
            raise RefusedError(
                f"role {user} may not create databases, so no scratch database can be made",
                hint=f"ALTER ROLE {quote(user)} CREATEDB",
                place="scratch URL",
            )
        if not superuser:
            return Scratch(version, user, limits, None, url, url, "")
        owner, password = f"pgcharter_scratch_{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        admin.execute(f"CREATE ROLE {owner} LOGIN NOSUPERUSER CONNECTION LIMIT 12 PASSWORD {literal(password)}")
    stack.callback(_drop_role, url, owner)
    from psycopg.conninfo import make_conninfo

    return Scratch(version, owner, limits, None, url, make_conninfo(url, user=owner, password=password), password)


def _drop_role(url: str, role: str) -> None:
    with _connect(url) as admin:
        admin.execute(f"DROP ROLE IF EXISTS {quote(role)}")


def _alive(connection: Connection) -> bool:
    """Whether the session still stands: a server that ended it while it was idle has said so, but nobody has read that yet."""
    import select

    import psycopg

    wait = 0.0
    while not connection.closed and select.select([connection.fileno()], [], [], wait)[0]:
        wait = 0.02  # what can be read is the farewell, and the end of the stream behind it; or a mere notice
        try:
            connection.pgconn.consume_input()
        except psycopg.Error:
            connection.close()
    return not connection.closed


def _with_database(dsn: str, database: str) -> str:
    """The same DSN for another database: a URI stays a URI."""
    from urllib.parse import quote as percent
    from urllib.parse import urlsplit

    if "://" in dsn:
        return urlsplit(dsn)._replace(path="/" + percent(database, "")).geturl()
    from psycopg.conninfo import make_conninfo

    return make_conninfo(dsn, dbname=database)


_STARTING = ("the database system is starting up", "in recovery mode", "not yet accepting connections", "is shutting down")
"""What PostgreSQL says in the moments after one of its processes had to be killed."""


def _connect(dsn: str, options: str = "") -> Connection:
    from pgcharter.db import connect

    deadline = time.monotonic() + 20
    while True:
        try:
            return connect(dsn, options=options) if options else connect(dsn)
        except ConnectError as error:
            if time.monotonic() > deadline or not any(words in f"{error.message} {error.hint}" for words in _STARTING):
                raise
            time.sleep(0.05)
