"""`pgcharter security probe`: attack a copy of the schema as every role, and say what was reached that should not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog, Cluster
    from pgcharter.charter import Charter
    from pgcharter.policy.probed import Probed
    from pgcharter.probe.expected import Declared

EXAMPLES = (
    ("pgcharter security probe --env staging", "attack a copy of its schema, with made-up rows of two tenants"),
    ("pgcharter security probe db/schema.sql", "the same of SQL files: every role that they name can log in"),
    ("pgcharter security probe --env production --live", "look for rows of tenants in the database itself, reading only"),
    ("pgcharter security probe --env staging --maintenance jobs", "role jobs may see the rows of all tenants"),
)


@click.command("probe", cls=Command, examples=EXAMPLES)
@click.argument("source", metavar="[TARGET]", required=False)
@click.option("--maintenance", multiple=True, metavar="ROLE", help="Role that may see the rows of all tenants; may be repeated.")
@click.option("--live", is_flag=True, help="Look at the database itself instead: reading only, as roles that the login may become.")
@click.option("--strict", is_flag=True, help="End in 1 for weak places too: what ties or tells, but shows and changes no row of others.")
@click.option("--scratch-url", metavar="DSN", help="Server to build the copy on.  [default: one of our own, of the same version]")
@database_options
@format_option
def probe(
    environment: str | None, target: str | None, form: str, source: str | None, maintenance: tuple[str, ...], scratch_url: str | None,
    *, live: bool, strict: bool,
) -> int:  # fmt: skip
    """Attack a scratch copy as every role, with made-up rows of two tenants, and say what was reached that should not be.

    The database itself is only read, and only its schema, roles and privileges. Ends in 1 when there is a hole.
    """
    from pgcharter.cli.project import charter_here
    from pgcharter.render import probe as render
    from pgcharter.render.page import Page

    declared = _declared(charter_here(), maintenance, environment or "")
    database, probed = (_live if live else _copied)(environment, target, source, scratch_url, declared)
    if form == "json":
        show_json(render.data(probed, database))
    else:
        page = Page(screen())
        render.write(page, probed)
        show(page)
    return Exit.FINDINGS if any(strict or not h.weak for h in probed.holes) else Exit.FINE


def _copied(
    environment: str | None, target: str | None, source: str | None, scratch_url: str | None, declared: Declared
) -> tuple[str, Probed]:
    from pgcharter.cli.progress import progress
    from pgcharter.probe import run
    from pgcharter.servers.scratch import kept, open_scratch

    with kept(), progress("probing") as advance:
        database, catalog, cluster = _read(environment, target, source, scratch_url)
        with open_scratch(catalog.major, url=scratch_url) as scratch:
            return database, run.probe(scratch, catalog, cluster, declared, advance)


def _live(
    environment: str | None, target: str | None, source: str | None, scratch_url: str | None, declared: Declared
) -> tuple[str, Probed]:
    from pgcharter.cli import migrating
    from pgcharter.cli.progress import progress
    from pgcharter.db import connect
    from pgcharter.probe import live as looking
    from pgcharter.sources import live

    if scratch_url or (source and "://" not in source):
        raise UsageError("--live looks at a database, and this names files or a scratch server", hint="leave --live out")
    named, dsn = migrating.database(environment, source or target)
    with progress("looking") as advance, connect(dsn) as conn:
        probed = looking.probe(conn, live.read_catalog(conn), live.read_cluster(conn), declared, advance)
    return migrating.called(named, dsn), probed


def _read(environment: str | None, target: str | None, source: str | None, scratch_url: str | None) -> tuple[str, Catalog, Cluster | None]:
    """The schema to copy, as messages call it, with its roles where there is a server to ask."""
    from pgcharter.cli import migrating

    if source and (environment or target):
        raise UsageError(f"{source} and the database of --env or --on are two targets", hint="leave one of them out")
    if source and "://" not in source:
        from pgcharter import sources
        from pgcharter.probe import written

        reading = sources.read(source, scratch_url=scratch_url)
        if reading.catalog is None:
            raise UsageError(f"{source} holds no schema that could be copied")
        return reading.target, reading.catalog, reading.cluster or written.cluster(reading.statements)
    from pgcharter.db import connect
    from pgcharter.sources import live

    named, dsn = migrating.database(environment, source or target)
    with connect(dsn) as conn:
        return migrating.called(named, dsn), live.read_catalog(conn), live.read_cluster(conn)


def _declared(charter: Charter, maintenance: tuple[str, ...], environment: str) -> Declared:
    from pgcharter.policy import roles_settings, tenancy_settings
    from pgcharter.probe.expected import Declared

    roles, tenancy = (
        charter.section(m.SECTION) if m.SECTION.name in charter.sections else None for m in (roles_settings, tenancy_settings)
    )
    return Declared(roles, tenancy, maintenance, environment)
