"""`pgcharter new`: the next migration file, in the layout that its neighbours have."""

from __future__ import annotations

from pathlib import Path

import click

from pgcharter.cli.migrating import folder_option
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import UsageError
from pgcharter.migrate.settings import LAYOUTS

EXAMPLES = (
    ("pgcharter new add_total_to_orders", "the next version, with a header and a way back"),
    ("pgcharter new 'fill totals' --data", "a migration that changes rows only"),
    ("pgcharter new report_views --repeatable", "views and functions: run again whenever the file changes"),
    ("pgcharter new start --layout flyway --folder db/migrations", "the first file of a folder decides how the others are called"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("name")
@click.option("--data", "kind", flag_value="data", help="It changes rows only, not the schema.")
@click.option("--repeatable", "kind", flag_value="repeatable", help="It runs again whenever its text changes.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="Layout of the file.  [default: the charter's, else that of the last file]")
@click.option("--author", metavar="NAME", help="Who writes it.  [default: what git says]")
@folder_option
@format_option
def new(name: str, kind: str | None, layout: str | None, author: str | None, folder: str | None, form: str) -> None:
    """Write the next migration file. NAME says in a few words what it does.

    Version, place, header and section marks are those of the files that are there. Nothing is ever overwritten.
    """
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here, shortest
    from pgcharter.migrate import files, naming
    from pgcharter.migrate.settings import MIGRATE

    charter = charter_here()
    section = charter.section(MIGRATE)
    target = folder or migrating.default_folder(charter)
    if migrating.alembic_at(target):
        hint = f"alembic revision -m '{name}'; or from what the database shall be: pgcharter plan --alembic -m '{name}'"
        raise UsageError(f"{target} is an Alembic project, in which revisions are written by Alembic", hint=hint)
    found = files.read(target, section) if Path(target).is_dir() else files.Folder(target)
    who, email = migrating.author()
    wish = naming.Wish(name, layout or section.layout or "", kind or "versioned", who if author is None else author, email)
    made = naming.next_files(found, wish)
    naming.write(made)
    paths = [shortest(path) for path in made]
    if form == "json":
        show_json({"format": "pgcharter-new", "version": 1, "files": paths})
    else:
        for path in paths:
            click.echo(path)
