"""Secrets in places that every role may read: options of servers and foreign tables, settings of databases."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Catalog
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules.engine import Context, rule

_SECRET = re.compile(
    r"passw(?:or)?d|(?:\A|[_.])pwd\Z|secret|passphrase|(?:api|access|auth|bearer)_?token|(?:\A|[_.])token\Z|(?:api|private|access|encryption|master)_?key\Z",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"required|file|path|command|_id\Z|_name\Z|_arn\Z|region|policy|length|_url\Z|_uri\Z|expir|ttl|lifetime|rotation|encryption\Z|"
    r"(?:\A|[._])(?:allow|enable|disable|check|min|max|use|has|is|credcheck|passwordcheck)(?:[._]|\Z)|_(?:min|max|days|hours|seconds|rounds|retries)(?:_|\Z)",
    re.IGNORECASE,
)


@rule("SEC43", "secret-readable-by-everyone", Severity.WARNING)
def secret_readable_by_everyone(ctx: Context) -> Iterator[Finding]:
    """A password, token or key stands in an option or setting that every role may read.

    Why: options of foreign servers and foreign tables, and settings of a database or role, lie in catalogs open to everybody
    (pg_foreign_server, pg_foreign_table, pg_db_role_setting); each session can ask for the setting as well. They are in every dump too.

    Instead: for a remote login CREATE USER MAPPING, which others can't read; for the application, a secret that never enters the database.

    Except: `password_required` and the like, names of files and of keys, which are no secrets, and settings that
    only switch or limit something (`allow_password_login`, `password_min_length`).
    """
    for target, what, option in _places(ctx.catalog):
        name, _, value = option.partition("=")
        if value and _SECRET.search(name) and not _NO_SECRET.search(name):
            yield ctx.finding(
                target,
                f"{what} holds {name}, which every role may read in the catalog",
                hint=_REMEDY["setting" if target.kind == "setting" else "server"],
                detail=name,
            )


_REMEDY = {
    "server": "CREATE USER MAPPING for what is needed to log in there; change this one, it was readable",
    "setting": "RESET it and keep it outside of the database; change this one, it was readable",
}


def _places(catalog: Catalog) -> Iterator[tuple[ObjectId, str, str]]:
    for server in catalog.foreign_servers:
        for option in server.options:
            yield server.id, f"foreign server {quote(server.name)}", option
    for table in catalog.own_tables:
        for option in table.options if table.kind == "foreign table" else ():
            yield table.id, f"foreign table {table.id.sql()}", option
    for setting in catalog.database.settings:
        role, colon, option = setting.rpartition(":") if ":" in setting.partition("=")[0] else ("", "", setting)
        name = option.partition("=")[0]
        whose = f"this database for {quote(role)}" if colon else "this database"
        yield ObjectId("setting", "", name), f"a setting of {whose}", option
