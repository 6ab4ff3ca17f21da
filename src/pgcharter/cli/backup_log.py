"""`pgcharter backup archive|fetch|receive|render`: the log on its way into the repository, and out of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pgcharter.cli.backup import backup
from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command
from pgcharter.errors import Exit

ARCHIVE = (
    ("archive_command = 'pgcharter backup archive --to /srv/backup %p'", "in postgresql.conf; `backup render` writes it"),
    ("pgcharter backup archive --to /srv/backup pg_wal/000000010000000000000001", "by hand, harmless when it is there already"),
)


@backup.command("archive", cls=Command, examples=ARCHIVE)
@click.option("--to", "root", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="The repository.")
@click.argument("path", type=click.Path(path_type=Path))
def archive(root: Path, path: Path) -> int:
    """Take one file of the log into the repository: what the server's archive_command runs.

    Ends in 0 only when exactly this content is on the disk of both locations; never overwrites another content.
    """
    from pgcharter.operate import backup_wal
    from pgcharter.operate.backup_repository import open_repository

    backup_wal.archive(open_repository(root), path, path.name)
    return Exit.FINE


FETCH = (("restore_command = 'pgcharter backup fetch --from /srv/backup %f %p'", "of a server that recovers or stands by"),)


@backup.command("fetch", cls=Command, examples=FETCH)
@click.option("--from", "root", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="The repository.")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
def fetch(root: Path, name: str, path: Path) -> int:
    """Give a file of the log out of the repository: what a server's restore_command runs. Ends in 1 when there is none of that name."""
    from pgcharter.operate import backup_wal
    from pgcharter.operate.backup_repository import open_repository

    return Exit.FINE if backup_wal.fetch(open_repository(root), name, path) else Exit.FINDINGS


RECEIVE = (
    ("pgcharter backup receive", 'goes on until it is stopped; [backup] log = "receive"'),
    ("pgcharter backup receive --once", "take what is there and end"),
)


@backup.command("receive", cls=Command, examples=RECEIVE)
@click.option("--once", is_flag=True, help="Take the log up to the server's position at this moment, then end.")
@database_options
def receive(environment: str | None, target: str | None, *, once: bool) -> int:
    """Receive the log over a replication connection, for servers that cannot run our archive_command. A slot keeps what is not here yet."""
    from pgcharter.cli.backup import engine
    from pgcharter.operate import backup_receive

    backup_receive.receive(engine(environment, target), once=once)
    return Exit.FINE


@backup.command("render", cls=Command, examples=(("pgcharter backup render", "settings as ALTER SYSTEM statements"),))
@click.option("--program", default="", help="How the server's account calls pgcharter.  [default: this program]")
@database_options
def render(environment: str | None, target: str | None, program: str) -> int:
    """Print what the server must be set to, as SQL, with the rights of the role that takes backups."""
    from pgcharter.cli.backup import engine
    from pgcharter.operate import backup_render

    chosen = engine(environment, target, server=False)
    click.echo(backup_render.sql(chosen, program or f"{sys.executable} -m pgcharter"), nl=False)
    return Exit.FINE
