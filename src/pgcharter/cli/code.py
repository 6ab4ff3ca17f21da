"""`pgcharter code`: stored code as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgcharter.cli.output import Command
from pgcharter.errors import PgcharterError, UsageError

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog

EXPORT_EXAMPLES = (
    ("pgcharter code export --on env:DATABASE_URL --to db/code", "functions, views, triggers and rules, a file for each name"),
    ("pgcharter code export --env production --to db/code --schema app", "only those of one schema"),
    ("pgcharter plan --code db/code --env production", "afterwards: what must happen when a file was changed"),
)


@click.group()
def code() -> None:
    """Keep functions, views, triggers and rules in files."""


@code.command("export", cls=Command, examples=EXPORT_EXAMPLES)
@click.option("--on", "target", metavar="TARGET", help="Where the code is: a connection string, SQL, migrations or a snapshot.")
@click.option("--env", "environment", metavar="NAME", help="The database of this environment of the charter.")
@click.option("--to", "folder", metavar="FOLDER", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--schema", "schemas", multiple=True, metavar="NAME", help="Only what is in this schema; may be given again.")
@click.option("--replace", "replacing", is_flag=True, help="Write over files that hold something else.")
def export(target: str | None, environment: str | None, folder: Path | None, schemas: tuple[str, ...], replacing: bool) -> None:
    """Write stored code to files that `pgcharter plan --code FOLDER` reads.

    Routines of one name share a file, and so do the triggers and the rules of one relation. Privileges and owners are left out: a plan
    leaves alone those that the files do not speak of. Without --to, the folder that the charter names ([plan] code) is written to.
    """
    from pgcharter.cli.plan import from_charter
    from pgcharter.cli.project import charter_here, dsn_of, shortest
    from pgcharter.migrate import code_export
    from pgcharter.plan.settings import PLAN
    from pgcharter.render.phrases import plural

    charter = charter_here()
    named = charter.section(PLAN).code
    if folder is None and not named:
        raise UsageError("nothing says where the files go", hint='--to db/code, or [plan] code = "db/code" in the charter')
    if target is None and environment is None and len(charter.environments) != 1:
        raise UsageError("nothing says where the code is", hint="name it with --on TARGET, or with --env NAME of the charter")
    folder = folder or Path(from_charter(charter, named))
    texts = code_export.files(_catalog(target or dsn_of(charter, environment or next(iter(charter.environments)))), schemas)
    written, left = code_export.write(folder, texts, replacing=replacing)
    click.echo(f"{shortest(folder)}: {plural(len(texts), 'file')} of stored code, {written:,} of them written")
    for name in left:
        click.echo(f"{shortest(folder / name)} holds code that is not there: take it out, or plan it", err=True)


def _catalog(target: str) -> Catalog:
    from pgcharter import sources
    from pgcharter.cli.progress import progress
    from pgcharter.redact import redact

    with progress(f"reading {redact(target)}") as advance:
        reading = sources.read(target, progress=advance)
    if reading.catalog is None:
        raise PgcharterError(f"{reading.target} gives no catalog, so no code can be read from it", hint="pgcharter doctor")
    return reading.catalog
