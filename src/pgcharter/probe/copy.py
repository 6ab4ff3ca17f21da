"""The scratch copy that is attacked: the schema with its real owners, privileges, roles and memberships, twice.

In the one there are the rows of two tenants, in the other those of the first alone. Roles log in for real, so that nothing they run can
become more than they are; superusers are played by roles with BYPASSRLS that read and write everything, and can hurt nothing but the copy.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.model import Catalog, Cluster, Membership, Role
from pgcharter.migrate import proving
from pgcharter.migrate.filling import without_triggers
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl_settings import setting
from pgcharter.policy.guards import Guards
from pgcharter.probe import leakproof, stirred, watch
from pgcharter.probe import rows as made
from pgcharter.probe.ground import Ground

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.servers.scratch import Scratch, ScratchDatabase

STRANGER = "pgcharter_stranger"
"""A login that has nothing but what everybody has."""
FUTURE = "pgcharter_future"
"""Name of a table that an owner makes after everything else."""
AHEAD = 1000
"""Where sequences go on, so that what they give never meets a made-up row."""
_TIMEOUT = "5s"
_HARMLESS = frozenset(
    (
        "pg_read_all_data",
        "pg_write_all_data",
        "pg_monitor",
        "pg_read_all_stats",
        "pg_read_all_settings",
        "pg_stat_scan_tables",
        "pg_maintain",
    )
)
"""Roles of PostgreSQL's own that cannot reach the machine."""


@dataclass
class Copy:
    """Two databases: `whole` with the rows of both tenants, `part` without those of the second."""

    whole: ScratchDatabase
    part: ScratchDatabase
    rows: made.Rows
    future: tuple[ObjectId, ...]
    """Tables that owners made after everything else."""
    password: str
    path: str
    """Where names are looked up by roles that have no search path of their own: in every schema."""
    derived: frozenset[ObjectId] = frozenset()
    """Tables that are not guarded, into which something of the other tenant's rows was written."""
    notices: list[stirred.Notice] = field(default_factory=list)

    @contextlib.contextmanager
    def sessions(self, role: str) -> Iterator[tuple[Connection, Connection]]:
        """A session of a role in each database."""
        with self._session(self.whole, role) as one, self._session(self.part, role) as other:
            yield one, other

    @contextlib.contextmanager
    def _session(self, database: ScratchDatabase, role: str) -> Iterator[Connection]:
        from psycopg.conninfo import make_conninfo

        conn = psycopg.connect(make_conninfo(database.dsn, user=role, password=self.password), autocommit=True)
        try:
            conn.execute(f"SET statement_timeout = '{_TIMEOUT}'; SET lock_timeout = '{_TIMEOUT}'")
            if conn.execute("SELECT setting = boot_val FROM pg_catalog.pg_settings WHERE name = 'search_path'").fetchone() == (True,):
                conn.execute(f"SET search_path = {self.path}".encode())
            yield conn
        finally:
            conn.close()


@contextlib.contextmanager
def build(
    scratch: Scratch, catalog: Catalog, cluster: Cluster | None, guards: Guards, apart: frozenset[ObjectId] = frozenset()
) -> Iterator[Copy]:
    """Build, fill and copy; rows of the tables `apart` are in `whole` alone. Raises PgcharterError when the schema cannot be built here."""
    with scratch.database() as whole:
        proving.build(whole, leakproof.without(catalog))
        whole.create_role(STRANGER)
        private = whole.admin.info.user
        password = secrets.token_urlsafe(24)
        with _roles(whole, _known(whole, cluster or Cluster()), password, private):
            future = _future(whole, catalog)
            ground = Ground(catalog, guards, _first(whole, catalog, guards, apart))
            watch.install(whole.admin, ground)
            whole.admin.execute(leakproof.restore(catalog).encode())
            whole.close()
            with scratch.database(template=whole.name) as part:
                _second(whole, catalog, ground.rows, guards, apart)
                notices = stirred.work(whole, ground)
                for database in (whole, part):
                    _settle(database, catalog)
                    _temporary(database, catalog, whole.roles)
                    _set(database, catalog, whole.roles)
                path = ", ".join(quote(s.name) for s in catalog.schemas if not s.extension) or "public"
                derived = stirred.derived(whole.conn, part.conn, ground) - apart
                yield Copy(whole, part, ground.rows, future, password, path, derived, notices)


def _known(database: ScratchDatabase, cluster: Cluster) -> Cluster:
    """Roles of a source without a server: each can log in, powers are those that are written down, who made everything is a superuser."""
    if cluster.server_version:
        return cluster
    written = {**{n: Role(n, login=True) for n in database.roles}, **cluster.role}
    written[database.scratch.owner] = Role(database.scratch.owner, superuser=True, login=True)
    return replace(cluster, roles=tuple(written.values()))


@contextlib.contextmanager
def _roles(database: ScratchDatabase, cluster: Cluster, password: str, private: str) -> Iterator[None]:
    """Give the stand-ins what the real roles have; the scratch server's own role gets its modesty back at the end."""
    admin, owner = database.admin, database.scratch.owner
    named = {r.name: r for r in cluster.roles if not r.name.startswith("pg_") and r.name != private}
    for name in _reaching(named, cluster, database.roles):
        database.create_role(name)
    for name in sorted(database.roles):
        role = named.get(name, Role(name))
        bypass = "BYPASSRLS" if role.superuser or role.bypass_row_security else "NOBYPASSRLS"
        inherit = "INHERIT" if role.inherit else "NOINHERIT"
        admin.execute(f"ALTER ROLE {quote(name)} LOGIN {inherit} {bypass} PASSWORD {literal(password)}".encode())
        for text in filter(_carried, role.settings):
            with contextlib.suppress(psycopg.Error):
                admin.execute(f"ALTER ROLE {quote(name)} {setting(text)}".encode())
        if role.superuser:
            admin.execute(f"GRANT pg_read_all_data, pg_write_all_data TO {quote(name)}".encode())
    for membership in cluster.memberships:
        _join(admin, membership, database.roles, owner, scratch_version=database.scratch.version)
    admin.execute(f"ALTER ROLE {quote(owner)} BYPASSRLS; GRANT SELECT ON pg_catalog.pg_statistic TO {quote(owner)}".encode())
    try:
        yield
    finally:
        database.admin.execute(f"ALTER ROLE {quote(owner)} NOBYPASSRLS".encode())


def _carried(text: str) -> bool:
    """Whether a setting of a role or database matters here: the project's own, and those that decide who one is and what one sees."""
    name = text.partition("=")[0]
    return "." in name or name in ("role", "row_security", "search_path")


def _set(database: ScratchDatabase, catalog: Catalog, roles: Collection[str]) -> None:
    """The settings that sessions begin with in this database."""
    database.admin.execute(f"ALTER DATABASE {quote(database.name)} SET track_functions = 'all'".encode())
    for text in catalog.database.settings:
        role, colon, rest = text.partition(":") if ":" in text.partition("=")[0] else ("", "", text)
        if _carried(rest) and (not colon or role in roles):
            whose = f"ROLE {quote(role)} IN DATABASE" if colon else "DATABASE"
            with contextlib.suppress(psycopg.Error):
                database.admin.execute(f"ALTER {whose} {quote(database.name)} {setting(rest)}".encode())


def _reaching(named: Iterable[str], cluster: Cluster, there: set[str]) -> list[str]:
    """Roles that belong, directly or not, to one that the schema names, or to one of PostgreSQL's own."""
    found = set(there)
    while more := {m.member for m in cluster.memberships if m.role in found or m.role in _HARMLESS} - found:
        found |= more
    return sorted((found - there) & set(named))


def _join(admin: Connection, m: Membership, there: set[str], owner: str, *, scratch_version: int) -> None:
    if m.member not in there or (m.role not in there and m.role not in _HARMLESS) or m.member == owner:
        return
    words = f" WITH ADMIN {str(m.admin).upper()}, INHERIT {str(m.inherit).upper()}, SET {str(m.set).upper()}"
    words = words if scratch_version >= 160000 else " WITH ADMIN OPTION" * m.admin
    with contextlib.suppress(psycopg.Error):
        admin.execute(f"GRANT {quote(m.role)} TO {quote(m.member)}{words}".encode())


def _future(database: ScratchDatabase, catalog: Catalog) -> tuple[ObjectId, ...]:
    """What the owner of tables makes next, so that default privileges show."""
    pairs = {(t.owner, t.schema) for t in catalog.own_tables if t.owner in database.roles}
    pairs |= {(d.role, d.schema) for d in catalog.default_privileges if d.role in database.roles and d.schema}
    found: list[ObjectId] = []
    for owner, schema in sorted(pairs):
        at = ObjectId("table", schema, FUTURE + (f"_{len(found)}" if found else ""))
        with contextlib.suppress(psycopg.Error):
            database.conn.execute(f"SET ROLE {quote(owner)}; CREATE TABLE {at.sql()} (id integer); RESET ROLE".encode())
            found.append(at)
            continue
        database.conn.execute("RESET ROLE")
    return tuple(found)


def _first(database: ScratchDatabase, catalog: Catalog, guards: Guards, apart: frozenset[ObjectId]) -> made.Rows:
    """The rows of the first tenant, and those that belong to none."""
    with without_triggers(database, catalog) as conn:
        rows = made.prepare(conn, catalog, guards)
        for last, tables in ((1, guards.users), (2, guards.tables - guards.users)):
            made.write(conn, rows, (t.id for t in catalog.tables if t.id in tables - apart), (1, last))
        made.write(conn, rows, (t.id for t in catalog.tables if t.id not in guards.tables | apart), (1, 4))
        for sequence in catalog.sequences:
            if sequence.minimum < AHEAD < sequence.maximum:
                conn.execute("SELECT setval(%s, %s)", [sequence.id.sql(), AHEAD])
    return rows


def _second(database: ScratchDatabase, catalog: Catalog, rows: made.Rows, guards: Guards, apart: frozenset[ObjectId]) -> None:
    with without_triggers(database, catalog) as conn:
        for first, tables in ((2, guards.users), (3, guards.tables - guards.users)):
            made.write(conn, rows, (t.id for t in catalog.tables if t.id in tables), (first, 4))
        made.write(conn, rows, (t.id for t in catalog.tables if t.id in apart), (1, 4))


def _temporary(database: ScratchDatabase, catalog: Catalog, roles: Collection[str]) -> None:
    """Who may make temporary tables and functions: that is a privilege on the database, which a copy does not get by itself."""
    if catalog.database.acl is None or any(g.grantee == "" and g.privilege == "TEMPORARY" for g in catalog.database.acl):
        return
    name = quote(database.name)
    database.admin.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC".encode())
    for grant in catalog.database.acl:
        if grant.privilege == "TEMPORARY" and grant.grantee in roles:
            database.admin.execute(f"GRANT TEMPORARY ON DATABASE {name} TO {quote(grant.grantee)}".encode())


def _settle(database: ScratchDatabase, catalog: Catalog) -> None:
    """Let materialized views and statistics know the rows."""
    conn = database.conn
    for view in catalog.own_views:
        if view.kind == "materialized view" and view.populated:
            with contextlib.suppress(psycopg.Error):
                conn.execute(f"REFRESH MATERIALIZED VIEW {view.id.sql()}".encode())
    tables = ", ".join(t.id.sql() for t in catalog.own_tables if t.kind == "table")
    if tables:
        with contextlib.suppress(psycopg.Error):
            conn.execute(f"ANALYZE {tables}".encode())
