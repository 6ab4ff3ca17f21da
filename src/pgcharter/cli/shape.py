"""`pgcharter migrate shape`: what a database's tables look like, without a value out of them."""

from __future__ import annotations

from pathlib import Path

import click

from pgcharter.cli.output import Command
from pgcharter.errors import Exit

EXAMPLES = (
    ("pgcharter migrate shape --env production --to shape.json", "for the repository: sizes and counts, no data"),
    ("pgcharter migrate shape --on env:DATABASE_URL", "to stdout"),
)


@click.command("shape", cls=Command, examples=EXAMPLES)
@click.option("--env", "environment", metavar="NAME", help="Database of this environment of the charter.")
@click.option("--on", "target", metavar="DSN", help="Database: a connection string, or env:VARIABLE.")
@click.option("--to", "file", metavar="FILE", help="Write there instead of to stdout.")
def shape(environment: str | None, target: str | None, file: str | None) -> int:
    """Write down how large a database's tables are, and what ANALYZE has found of their columns.

    `pgcharter migrate verify --shape FILE` fills tables of a scratch server by it, to tell how long migrations take. It holds rows,
    bytes, shares of NULLs, numbers of distinct values, widths and the order on disk; never a value: neither the most common ones nor the
    histogram is read.
    """
    from pgcharter.cli.migrating import database
    from pgcharter.db import connect
    from pgcharter.migrate import shape as shapes

    _, dsn = database(environment, target)
    with connect(dsn, application_name="pgcharter migrate shape") as conn:
        found = shapes.collect(conn)
    if file is None or file == "-":
        click.echo(shapes.dumps(found), nl=False)
    else:
        shapes.write(found, Path(file).expanduser())
        rows = sum(t.rows or 0 for t in found.tables.values())
        many = len(found.tables)
        click.echo(f"{file}: {many:,} {'table' if many == 1 else 'tables'}, about {rows:,} rows", err=True)
    by_reason: dict[str, list[str]] = {}
    for table, why in sorted(found.unseen.items()):
        by_reason.setdefault(why, []).append(table.sql())
    for why, names in by_reason.items():
        more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
        click.echo(f"not seen: column statistics of {', '.join(names[:5])}{more}: {why}", err=True)
    if any("never" in why for why in by_reason):
        click.echo("ANALYZE finds them out: run it there, then this command again", err=True)
    return Exit.FINE
