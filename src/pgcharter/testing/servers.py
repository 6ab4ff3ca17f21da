"""The server that tests run on: a throwaway one of the plugin's own, or one that is given and marked for tests."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote as percent

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgcharter.errors import RefusedError
from pgcharter.names import literal, quote
from pgcharter.testing.project import Project, refuse_production

if TYPE_CHECKING:
    from pgcharter.db import Connection

VARIABLE = "PGCHARTER_TEST_DSN"
"""Environment variable with the connection string of a server for tests."""
MARK = "pgcharter.for_tests"
"""Setting of a database that says: tests may make and drop databases beside this one."""
PREFIX = "pgct_"
"""Databases of tests begin with it."""
_MEMORY, _ROOM = "/dev/shm", 4 << 30  # noqa: S108
_SETTINGS: dict[str, str | int | float | bool] = {"max_connections": 100, "wal_level": "logical", "max_wal_size": "256MB", "jit": False}
_COMMENT = "pgcharter tests, lock {key} in {home}"
_MARKED = """
SELECT coalesce((SELECT bool_or(lower(split_part(setting, '=', 2)) IN ('on', 'true', 'yes', '1'))
       FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) setting
       WHERE s.setdatabase = d.oid AND s.setrole = 0 AND setting LIKE %s), false), d.datname, d.oid::bigint, pg_catalog.pg_is_in_recovery()
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""
_LEFT = """
SELECT datname, split_part(split_part(shobj_description(oid, 'pg_database'), 'lock ', 2), ' ', 1)::bigint FROM pg_catalog.pg_database
WHERE starts_with(datname, %s) AND shobj_description(oid, 'pg_database') ~ %s
"""


@dataclass(frozen=True)
class PgServer:
    """A running server for tests."""

    dsn: str = field(repr=False)
    """Connection string of the database that others are made from, as who may make them; it holds a password."""
    version: int
    """As `server_version_num`."""
    own: bool
    """Whether the plugin started it, and nobody else uses it."""
    key: int
    """The advisory lock that this run holds in that database; names of databases are made from it."""
    home: int = 0
    """That database's oid."""

    @property
    def major(self) -> int:
        """The major version: 15 to 18."""
        return self.version // 10000

    @property
    def release(self) -> str:
        """The version as people write it: `18.6`."""
        return f"{self.major}.{self.version % 10000}"

    def database(self, name: str, *, user: str | None = None, password: str | None = None, role: str = "") -> str:
        """The URI of a database here. `role`: what sessions are from their beginning (`-c role=…`)."""
        parts = {n: str(v) for n, v in conninfo_to_dict(self.dsn).items() if v is not None}
        parts["dbname"] = name
        if user:
            parts |= {"user": user, "password": password or ""}
        if role:
            escaped = "".join(f"\\{c}" if c in " \\\t\n" else c for c in role)
            parts["options"] = f"{parts.get('options', '')} -c role={escaped}".strip()
        return uri(parts)


def uri(parts: Mapping[str, str]) -> str:
    """A connection URI of libpq's keywords."""
    rest = {name: value for name, value in parts.items() if name not in ("user", "password", "dbname") and value}
    who = percent(parts.get("user", ""), "") + (f":{percent(parts['password'], '')}" if parts.get("password") else "")
    query = "&".join(f"{name}={percent(value, '')}" for name, value in rest.items())
    return f"postgresql://{who}{'@' if who else ''}/{percent(parts.get('dbname', ''), '')}" + (f"?{query}" if query else "")


@contextmanager
def embedded(major: int | None = None) -> Iterator[PgServer]:
    """A throwaway server, which dies with this process. Raises UnavailableError where there is no PostgreSQL."""
    from pgcharter.servers import binaries, lifecycle

    with _in_memory():
        server = lifecycle.start_ephemeral(binaries.choose(major), settings=_SETTINGS)
    with server:
        yield PgServer(server.dsn(), server.version, own=True, key=_key())


@contextmanager
def _in_memory() -> Iterator[None]:
    """Inside, temporary folders are made in memory where that has room, unless somebody chose a place.

    A database is 300 files, and ext4 passes over every inode that was freed in the last minutes: a clone then takes ten times as long.
    """
    before = tempfile.tempdir
    try:
        facts = os.statvfs(_MEMORY) if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK | os.X_OK) else None
    except OSError:
        facts = None
    if facts and facts.f_bavail * facts.f_frsize > _ROOM:
        tempfile.tempdir = _MEMORY
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def given(dsn: str, project: Project) -> Iterator[PgServer]:
    """A server that somebody named, cleared of what runs left behind that were killed.

    Raises RefusedError where it is production's or its database is not marked for tests, ConnectError where it cannot be reached.
    """
    from pgcharter.db import connect
    from pgcharter.sources import address

    dsn = address(dsn)
    refuse_production(project, dsn)
    key = _key()
    with connect(dsn, application_name="pgcharter tests") as conn:
        refuse_production(project, make_conninfo(host=conn.info.hostaddr or conn.info.host, port=conn.info.port))  # by a service, perhaps
        home = _marked(conn)
        conn.execute("SELECT pg_advisory_lock(%s)", [key])
        sweep(conn, home)
        yield PgServer(dsn, conn.info.server_version, own=False, key=key, home=home)


def _key() -> int:
    return secrets.randbits(62) | 1 << 60


def _marked(conn: Connection) -> int:
    """The oid of the connection's database. Raises RefusedError where it is not marked for tests, or takes no writes."""
    row = conn.execute(_MARKED, [f"{MARK}=%"]).fetchone()
    assert row is not None  # noqa: S101  (a session has a database)
    marked, name, oid, standby = row
    if standby:
        raise RefusedError(f"the server of database {name} is a standby, so no database for tests can be made there")
    if not marked:
        raise RefusedError(
            f"database {name} is not marked for tests, so nothing is made or dropped on its server",
            hint=f"if nothing there is of worth to anybody: ALTER DATABASE {quote(name)} SET {MARK} = on",
        )
    return int(oid)


def sweep(conn: Connection, home: int) -> list[str]:
    """Drop what runs have left behind that hold their lock no more: databases with the plugin's comment alone. Gives their names."""
    gone = []
    for name, key in conn.execute(_LEFT, [PREFIX, "^" + _COMMENT.format(key="[0-9]+", home=home) + "$"]).fetchall():
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        if row and row[0]:
            try:
                conn.execute(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)".encode())
                gone.append(str(name))
            finally:
                conn.execute("SELECT pg_advisory_unlock(%s)", [key])
    return gone


def comment(server: PgServer, name: str) -> str:
    """The statement that marks a database as one that this run has made."""
    return f"COMMENT ON DATABASE {quote(name)} IS {literal(_COMMENT.format(key=server.key, home=server.home))}"
