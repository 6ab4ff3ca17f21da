"""`pgcharter backup restore`: to a time, a position, a named point, or just before a migration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgcharter.cli.backup import backup, data, engine, second_option, size
from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, RefusedError

if TYPE_CHECKING:
    from pgcharter.operate.restore import Plan, Restored

RESTORE = (
    ("pgcharter backup restore /srv/new --to '2026-11-22 03:15:00Z' --dry-run", "say what would be done, and what is missing"),
    ("pgcharter backup restore /srv/new --to '10min ago' --recover --yes", "unpack, recover, stop: start it as usual then"),
    ("pgcharter backup restore /srv/new --before-migration 0042", "just before that migration began, as the ledger knows"),
    ("pgcharter backup restore /srv/new", "to the end of the log"),
)


@backup.command("restore", cls=Command, examples=RESTORE)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", default="", metavar="TIME", help="A time with its zone, or '10min ago'.")
@click.option("--lsn", default="", metavar="LSN", help="A position in the log, 16/B374D848.")
@click.option("--point", default="", metavar="NAME", help="A restore point (pg_create_restore_point).")
@click.option("--before-migration", default="", metavar="VERSION", help="Just before that migration began.")
@click.option("--timeline", default="latest", show_default=True, metavar="latest|current|N", help="Which future of the database.")
@click.option("--backup", "name", default="", metavar="ID", help="Begin from this backup.  [default: the nearest before the target]")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--recover", is_flag=True, help="Also start it, cut off from the world, until it has recovered; then stop it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@second_option
@database_options
@format_option
def restore(
    environment: str | None, target: str | None, form: str, folder: Path, to: str, lsn: str, point: str, before_migration: str,
    timeline: str, name: str, *, dry_run: bool, recover: bool, yes: bool, second: bool,
) -> int:  # fmt: skip
    """Make an empty FOLDER a data folder as it was then. Never over a running server, never over anything that is there."""
    from pgcharter.cli.progress import progress
    from pgcharter.operate import restore as restoring

    chosen = engine(environment, target, second=second, server=bool(before_migration))
    until = restoring.until_of(to=to, lsn=lsn, name=point, before=before_migration, timeline=timeline, dsn=chosen.dsn)
    made = restoring.plan(chosen, until, folder, name)
    if form == "text":
        _tell(made)
    if dry_run:
        if form == "json":
            show_json(_data(made, None))
        return Exit.FINE
    if not yes and not click.confirm("do that?", err=True):
        raise RefusedError("nothing was restored", hint="--yes answers beforehand")
    with progress("restoring") as advance:
        done = restoring.restore(chosen, made, advance, start=recover, say=lambda _: None)
    if form == "json":
        show_json(_data(made, done))
    else:
        _told(made, done)
    return Exit.FINE


def _tell(made: Plan) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for number, step in enumerate(made.steps, 1):
        page.flow(Styled(f"{number}. ", "strong"), step, hanging=3)
    show(page)


def _told(made: Plan, done: Restored) -> None:
    folder = done.prepared.folder
    click.echo(f"unpacked {size(made.size)} in {done.unpacking:.1f} s")
    if done.recovering:
        last = f"; the last transaction in it is of {done.last:%Y-%m-%d %H:%M:%S.%f} UTC" if done.last else ""
        click.echo(f"recovered in {done.recovering:.1f} s{last}")
        click.echo(f"measured: {done.unpacking + done.recovering:.1f} s; now look at it and start it: pg_ctl -D {folder} start")
    else:
        click.echo(f"now recover it: pg_ctl -D {folder} start; its log lies in {', '.join(map(str, done.prepared.work))} until then")
        click.echo("when it has recovered it goes on in a timeline of its own; remove that folder then")


def _data(made: Plan, done: Restored | None) -> dict[str, object]:
    return {
        "format": "pgcharter-backup-restore", "version": 1, "done": done is not None, "folder": str(made.folder), "steps": list(made.steps),
        "backups": [data(b) for b in made.chain], "segments": [s.name for s in made.goal.segments],
        "settings": dict(done.prepared.settings) if done else {}, "unpacking_seconds": done.unpacking if done else None,
        "recovering_seconds": done.recovering if done else None, "last": done.last.isoformat() if done and done.last else None,
    }  # fmt: skip


EXTRACT = (
    ("pgcharter backup extract 20261122T031500Z-logical /tmp/dump", "then pg_restore --create --dbname=postgres /tmp/dump/shop.dump"),
    ("pgcharter backup extract latest /tmp/files", "the tar archives that PostgreSQL sent, with its manifest"),
)


@backup.command("extract", cls=Command, examples=EXTRACT)
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@second_option
def extract(name: str, folder: Path, *, second: bool) -> int:
    """Write the files of a backup into FOLDER, decrypted and unpacked: dumps for pg_restore, tar archives for whoever restores by hand."""
    from pgcharter.cli.progress import progress
    from pgcharter.operate.backup_extract import extract as extracted

    repository = engine(None, None, second=second, server=False).repository()
    with progress("extracting") as advance:
        for path in extracted(repository, repository.find(name), folder, advance):
            click.echo(str(path))
    return Exit.FINE
