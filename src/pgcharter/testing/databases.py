"""Databases of a test run: a template that is made once, and clones of it."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.names import literal, quote
from pgcharter.testing.servers import PREFIX, PgServer, comment

if TYPE_CHECKING:
    from pgcharter.db import Connection

_MIGRATING = 0x70676368_74737401
"""Advisory lock of who makes a template: migrations make roles, which belong to the server, and two at once would collide."""
_SETTINGS = """
SELECT r.rolname, s.setting FROM pg_catalog.pg_db_role_setting c
JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase AND d.datname = %s
LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.setrole, unnest(c.setconfig) WITH ORDINALITY AS s (setting, n) ORDER BY 1, s.n
"""
_RIGHTS = """
SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable FROM pg_catalog.pg_database d, aclexplode(d.datacl) a
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee WHERE d.datname = %s AND a.grantee <> d.datdba ORDER BY 1, 2
"""
_LISTS = ("search_path", "DateStyle", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries")
"""Settings whose value in the catalog is a list as SET takes it, quotes and all."""


@dataclass(frozen=True)
class Clone:
    """A database of a test's own, made from the template."""

    name: str
    dsn: str = field(repr=False)
    """URI, as the role that tests run as."""
    admin_dsn: str = field(repr=False)
    """URI, as who made it: on the plugin's own server a superuser, whom row security does not bind."""

    @property
    def sqlalchemy_url(self) -> str:
        """The URI for SQLAlchemy on psycopg 3, sync and async."""
        return "postgresql+psycopg" + self.dsn.removeprefix("postgresql")

    @contextmanager
    def connect(self, *, admin: bool = False) -> Iterator[psycopg.Connection]:
        """A connection of psycopg, committed at the end of the block, rolled back on an error."""
        with psycopg.connect(self.admin_dsn if admin else self.dsn, application_name="pgcharter tests") as conn:
            yield conn


class Databases:
    """What makes and drops them. One for each process of a test run."""

    def __init__(self, server: PgServer, conn: Connection, role: str = "") -> None:
        self.server = server
        self.conn = conn
        """Autocommits, in the database that others are made from."""
        self.role = role
        self.template = ""
        self.after: tuple[str, ...] = ()
        """What a clone does not get by itself: settings and rights of the database. {} stands for its name."""
        self.secret = secrets.token_urlsafe(24)
        self._numbers = itertools.count(1)
        self._enabled: set[str] = set()

    def prepare(self, install: Callable[[str], str]) -> str:
        """Make the template; `install` is given its DSN, and says what it was made from."""
        name = self._name("template")
        self._made(f"CREATE DATABASE {quote(name)} TEMPLATE template0", name)
        self.conn.execute("SELECT pg_advisory_lock(%s)", [_MIGRATING])
        try:
            told = install(self.server.database(name))
            self.enable(self.role)
        except BaseException:
            self.drop(name)
            raise
        finally:
            self.conn.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATING])
        self.after = (*self._settings(name), *self._rights(name))
        self._run(f"ALTER DATABASE {quote(name)} ALLOW_CONNECTIONS false")
        self.template = name
        return told

    def clone(self, role: str | None = None) -> Clone:
        """A new database as the template is, for `role` instead of the one that tests run as."""
        role = self.role if role is None else role
        self.enable(role)
        name = self._name(str(next(self._numbers)))
        way = (
            "file_copy" if self.server.own else "wal_log"
        )  # copying files asks for a checkpoint, which costs nothing where nothing is kept
        self._made(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(self.template)} STRATEGY {way}", name)
        for statement in self.after:
            self._run(statement.replace("{}", quote(name)))
        real = self.server.own and bool(role)
        login = {"user": role, "password": self.secret} if real else {}
        return Clone(name, self.server.database(name, **login, role="" if real else role), self.server.database(name))

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._run(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")

    def _name(self, what: str) -> str:
        return f"{PREFIX}{self.server.key:x}_{what}"

    def _made(self, statement: str, name: str) -> None:
        try:
            self._run(statement)
        except psycopg.errors.InsufficientPrivilege:
            who = self.conn.info.user
            raise UnavailableError(
                f"{who} may not make databases, so tests have none", hint=f"as a superuser: ALTER ROLE {quote(who)} CREATEDB"
            ) from None
        if not self.server.own:
            self._run(comment(self.server, name))

    def enable(self, role: str) -> None:
        """See that a role is there, and can log in to a server that is ours alone. Raises UsageError where it is not there."""
        if not role or role in self._enabled:
            return
        if not self.conn.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", [role]).fetchone():
            raise UsageError(
                f"tests are to run as {role}, and no role of that name is there once the schema is made",
                hint=f"make it in a migration: CREATE ROLE {quote(role)} LOGIN",
            )
        if self.server.own:
            self._run(f"ALTER ROLE {quote(role)} LOGIN PASSWORD {literal(self.secret)} VALID UNTIL 'infinity'")
        self._enabled.add(role)

    def _settings(self, name: str) -> Iterator[str]:
        for role, setting in self.conn.execute(_SETTINGS, [name]).fetchall():
            key, _, value = str(setting).partition("=")
            shown = value if key in _LISTS and value else literal(value)
            whose = f"ALTER ROLE {quote(role)} IN DATABASE {{}}" if role else "ALTER DATABASE {}"
            yield f"{whose} SET {'.'.join(map(quote, key.split('.')))} TO {shown}"

    def _rights(self, name: str) -> Iterator[str]:
        row = self.conn.execute("SELECT datacl IS NOT NULL FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone()
        if row and row[0]:
            yield "REVOKE ALL ON DATABASE {} FROM PUBLIC"
        for role, right, grantable in self.conn.execute(_RIGHTS, [name]).fetchall():
            yield f"GRANT {right} ON DATABASE {{}} TO {quote(role) if role else 'PUBLIC'}" + " WITH GRANT OPTION" * bool(grantable)

    def _run(self, statement: str) -> None:
        self.conn.execute(statement.encode())
