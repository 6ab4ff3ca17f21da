"""Where migrations are at home: in a whole database, or in one schema of it that has a history of its own (a tenant's).

A schema is told by the connection string: `options` carry its name (`pgcharter.schema`, a setting that files may read too) and a
search_path that begins with it. So every connection that is opened with that string is at home in the schema, RESET ALL and DISCARD ALL
lead back to it (documentation, "RESET": the default is what the connection began with), and no search_path of a role or database counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pgcharter.errors import PgcharterError
from pgcharter.names import literal, quote

if TYPE_CHECKING:
    from pgcharter.db import Connection

TABLES = {
    "components": "pgcharter_components",
    "schema_migrations": "pgcharter_migrations",
    "schema_migration_units": "pgcharter_migration_units",
}
"""What the ledger's tables are called in a schema, where other tools (dbmate, Rails) have a schema_migrations too."""
_OURS = re.compile(
    r"\bpgcharter\.(?=components|schema_migration)|'pgcharter'|\b(?:components|schema_migrations|schema_migration_units)(?=\b|_)"
)
_MARK = re.compile(r"(?:^|(?<=\s))-c\s*pgcharter\.schema=((?:\\.|[^\s\\])*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Home:
    """A place with a ledger of its own."""

    schema: str = ""
    """Empty: the whole database, whose ledger is in schema pgcharter."""

    def sql(self, query: str) -> str:
        """A query on the ledger of a database, as it must be for this one: schema, tables and constraints by their names here."""
        if not self.schema:
            return query
        percent = "%%" if "%s" in query else "%"

        def named(match: re.Match[str]) -> str:
            word = match[0]
            made = f"{quote(self.schema)}." if word == "pgcharter." else literal(self.schema) if word == "'pgcharter'" else TABLES[word]
            return made.replace("%", percent)

        return _OURS.sub(named, query)

    @property
    def runs(self) -> str:
        """The table of runs, as SQL."""
        return self.sql("pgcharter.schema_migrations")

    @property
    def owner(self) -> str:
        """The schema of the ledger, as SQL."""
        return quote(self.schema or "pgcharter")


def of(conn: Connection) -> Home:
    """Where a connection is at home, by the connection string that it was opened with."""
    return _read(conn.info.options or "")


@cache
def _read(options: str) -> Home:
    found = _MARK.findall(options)
    return Home(re.sub(r"\\(.)", r"\1", found[-1], flags=re.DOTALL) if found else "")


def at(dsn: str, schema: str, after: Sequence[str] = ("public",)) -> str:
    """The connection string of a schema in the database of `dsn`; `after` are the schemas that follow it in search_path."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    path = ", ".join(map(quote, (schema, *after)))
    given = str(conninfo_to_dict(dsn).get("options") or "")
    return make_conninfo(dsn, options=f"{given} -c search_path={_escaped(path)} -c pgcharter.schema={_escaped(schema)}".strip())


def _escaped(text: str) -> str:
    """As the server reads it in options: spaces and backslashes behind a backslash (documentation, "Parameter Key Words", options)."""
    return re.sub(r"([\\\s])", r"\\\1", text)


def refuse_elsewhere(conn: Connection) -> None:
    """Raise PgcharterError when the schema of a connection is not where its statements would make things, but the next one is."""
    schema = of(conn).schema
    if not schema:
        return
    row = conn.execute("SELECT pg_catalog.current_schema(), pg_catalog.to_regnamespace(%s) IS NOT NULL", (quote(schema),)).fetchone()
    if row is None or row[0] == schema:
        return
    name = quote(schema)
    if not row[1]:
        raise PgcharterError(
            f"there is no schema {name} in database {conn.info.dbname}, so nothing was run there", hint=f"CREATE SCHEMA {name}"
        )
    role = quote(conn.info.user)
    raise PgcharterError(
        f"role {role} may not use schema {name}, or a pooler keeps its search_path from the server, so what a file makes would land in"
        f" {row[0] or 'no schema'}, and nothing was run",
        hint=f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role}; or connect to the server itself",
        place=f"schema {name}",
    )
