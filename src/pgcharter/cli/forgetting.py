"""`forget` of groups whose consumers have cursors: what nobody runs any more holds nothing up any more."""

from __future__ import annotations

from typing import Literal

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import Exit, RefusedError


def forget(group: Literal["outbox", "events"], noun: str) -> click.Command:
    """The command of a group, for consumers of the log of that name, called `noun` there."""
    examples = ((f"pgcharter {group} forget old-{noun} --yes", "which the application does not have any more"),)

    @click.command("forget", cls=Command, examples=examples)
    @click.argument(noun)
    @click.option("--yes", is_flag=True, help="Do not ask: what it has parked is lost.")
    @confirm_option
    @database_options
    @format_option
    def forget_(environment: str | None, target: str | None, confirm: str | None, form: str, yes: bool, **named: str) -> int:
        from pgcharter.cli import migrating
        from pgcharter.cli.project import charter_here
        from pgcharter.db import connect
        from pgcharter.runtime import feeds_manage

        consumer = named[noun]
        found, dsn = migrating.database(environment, target)
        migrating.refuse_production(migrating.production(charter_here(), found, dsn), confirm)
        if not yes:
            _ask(consumer)
        with connect(dsn) as conn, conn.transaction():
            gone = feeds_manage.forget(conn, consumer, group)
        if form == "json":
            said = {"position": gone.position, "parked": gone.parked, "seen": gone.seen}
            show_json({"format": f"pgcharter-{group}-forget", "version": 1, noun: consumer, **said})
        else:
            held = f"it was at position {gone.position}, had {gone.parked} messages parked and {gone.seen} in its inbox"
            click.echo(f"{consumer} is forgotten: {held}")
        return Exit.FINE

    forget_.help = (
        f"Forget a {noun} that no application has any more: its cursor, what it has parked, its inbox."
        " Refused while a worker has a lease of it. Without --yes it asks, or refuses where nobody is."
    )
    return forget_


def _ask(consumer: str) -> None:
    import sys

    if not sys.stdin.isatty():
        raise RefusedError(f"the cursor of {consumer} and what it has parked would be lost", hint="--yes says that this is meant")
    click.confirm(f"Lose the cursor of {consumer} and what it has parked?", abort=True)
