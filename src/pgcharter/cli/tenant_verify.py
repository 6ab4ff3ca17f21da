"""`pgcharter tenant verify`: is each tenant as its state says, and like the others; is an export what its manifest says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.cli.progress import progress
from pgcharter.cli.tenant_work import complete_tenants, ground, told
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.cli.tenant_work import Ground

VERIFY = (
    ("pgcharter tenant verify --env production", "all tenants, and what looks like a tenant's and is nobody's"),
    ("pgcharter tenant verify acme globex", "these two"),
    ("pgcharter tenant verify --export /backup/acme", "every file of an export against its manifest; no database is needed"),
)


@click.command("verify", cls=Command, examples=VERIFY)
@click.argument("names", nargs=-1, metavar="[NAME]…", shell_complete=complete_tenants)
@click.option("--export", type=click.Path(path_type=Path), metavar="FOLDER", help="Hold an export against its manifest instead.")
@database_options
@format_option
def verify(names: tuple[str, ...], export: Path | None, environment: str | None, target: str | None, form: str) -> int:
    """Say whether each tenant is as it should be: in its state, in its place, at the same migration, built like the others, apart.

    Ends in 1 when anything is found.
    """
    if export:
        if names or environment or target:
            raise UsageError("an export is verified by itself, without a database", hint=f"pgcharter tenant verify --export {export}")
        return _of_export(export, form)
    return _of_tenants(ground(environment, target), names, form)


def _of_tenants(at: Ground, names: tuple[str, ...], form: str) -> int:
    from dataclasses import asdict

    from pgcharter.render import tenants as render
    from pgcharter.tenants import table, verifying

    with table.opened(at.dsn) as conn, progress("reading tenants"):
        known = table.tenants(conn)
        for name in names:
            table.found(conn, name)
        found = verifying.verify(conn, at.section, known, names, lambda place: at.at(place) if place else at.dsn)
    rows = [asdict(w) for w in found]
    looked_at = len(names) or len(known)
    if form == "json":
        show_json({"format": "pgcharter-tenants-verified", "version": 1, "tenants": looked_at, "findings": rows})
    else:
        told(lambda page: render.findings(page, rows, looked_at, at.database))
    return Exit.FINDINGS if found else Exit.FINE


def _of_export(folder: Path, form: str) -> int:
    from pgcharter.render import tenants as render
    from pgcharter.tenants import manifest

    made = manifest.read(folder)
    with progress("reading the export") as tell:
        wrong = list(manifest.differing(folder, made, tell))
    name = str(made.tenant.get("name", ""))
    if form == "json":
        counts = {"tables": len(made.tables), "rows": made.rows, "bytes": made.size}
        data = {"format": "pgcharter-tenant-export-verified", "version": 1, "tenant": name, "folder": str(folder), **counts}
        show_json({**data, "findings": wrong})
    elif wrong:
        rows = [{"tenant": name, "message": sentence, "hint": ""} for sentence in wrong]
        told(lambda page: render.findings(page, rows, 1, str(folder)))
    else:
        sentence = (
            f"export of tenant {name} of {made.exported_at}: {made.rows:,} rows of {len(made.tables):,} tables are as they were written"
        )
        told(lambda page: render.said(page, sentence))
    return Exit.FINDINGS if wrong else Exit.FINE
