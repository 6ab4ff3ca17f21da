"""`pgcharter security render`: pg_hba.conf, settings of TLS and authentication, connection strings, from the charter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = (
    ("pgcharter security render hba --env production > pg_hba.conf", "who gets in from where, and how; the rest is refused"),
    ("pgcharter security render conf > transport.conf", "TLS and passwords, for postgresql.conf: include 'transport.conf'"),
    ("pgcharter security render clients --env production", "a connection string for every login, without its password"),
)


@click.command("render", cls=Command, examples=EXAMPLES)
@click.argument("what", type=click.Choice(["hba", "conf", "clients"]))
@database_options
def render(environment: str | None, target: str | None, what: str) -> int:
    """Write pg_hba.conf (hba), settings of TLS and authentication (conf) or connection strings (clients), from [transport] and [roles]."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.roles_settings import SECTION as ROLES
    from pgcharter.policy.transport_settings import SECTION
    from pgcharter.render import transport
    from pgcharter.render.page import clean

    charter = charter_here()
    section = charter.section(SECTION)
    if what == "conf":
        click.echo(transport.conf(section), nl=False)
        return Exit.FINE
    named, dsn = migrating.database(environment, target)
    logins = [x.name for x in charter.section(ROLES).login if not x.environments or named in x.environments]
    parts = _parts(dsn)
    database = parts.get("dbname") or parts.get("user", "")
    if what == "hba":
        click.echo(transport.hba(section, logins, database), nl=False)
    else:
        port = parts.get("port", "5432")
        for name, url in transport.clients(section, logins, host=parts.get("host", ""), port=port, database=database):
            click.echo(f"{clean(name)}\t{clean(url)}")
    return Exit.FINE


def _parts(dsn: str) -> Mapping[str, str]:
    from psycopg.conninfo import conninfo_to_dict

    return {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
