"""What a person decides about messages that are parked: `pgcharter outbox requeue`, `skip`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.db import Connection


@contextmanager
def connected(environment: str | None, target: str | None, confirm: str | None = None, *, changes: bool = False) -> Iterator[Connection]:
    """A connection outside of transactions."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.db import connect
    from pgcharter.runtime.outbox_look import parts

    named, dsn = migrating.database(environment, target)
    if changes:
        migrating.refuse_production(migrating.production(charter_here(), named, dsn), confirm)
    with connect(dsn) as conn:
        with conn.transaction():
            parts(conn)
        yield conn


REQUEUE = (
    ("pgcharter outbox requeue mail", "all that is dead, with all its attempts again"),
    ("pgcharter outbox requeue mail --key 4711 --env production --confirm production", "one key, dead or waiting"),
)


@click.command("requeue", cls=Command, examples=REQUEUE)
@click.argument("route")
@click.option("--key", help="Only this key, as list shows it.")
@confirm_option
@database_options
@format_option
def requeue(route: str, key: str | None, environment: str | None, target: str | None, confirm: str | None, form: str) -> int:
    """Have dead messages of a route tried again at once; what waits behind them follows in its order."""
    from pgcharter.runtime import feeds_manage

    with connected(environment, target, confirm, changes=True) as conn, conn.transaction():
        count = feeds_manage.requeue(conn, route, key)
    if form == "json":
        show_json({"format": "pgcharter-outbox-requeue", "version": 1, "route": route, "keys": count})
    else:
        click.echo(f"{count} keys of {route} are tried again now")
    return Exit.FINE


SKIP = (("pgcharter outbox skip mail 4711 --position 815", "that message is never delivered; later ones of its key go on"),)


@click.command("skip", cls=Command, examples=SKIP)
@click.argument("route")
@click.argument("key")
@click.option("--position", type=click.IntRange(1), help="Only this message; otherwise all that is parked of the key.")
@confirm_option
@database_options
@format_option
def skip(
    route: str, key: str, position: int | None, environment: str | None, target: str | None, confirm: str | None, form: str,
) -> int:  # fmt: skip
    """Leave out what is parked of a key, for good. Ends in 2 when nothing of it is parked."""
    from pgcharter.runtime import feeds_manage

    with connected(environment, target, confirm, changes=True) as conn, conn.transaction():
        count = feeds_manage.skip(conn, route, key, position)
        if not count:
            what = f"message {position} of key {key!r}" if position else f"nothing of key {key!r}"
            raise UsageError(f"{what} is {'not ' if position else ''}parked for {route}", hint=f"pgcharter outbox list {route}")
    if form == "json":
        show_json({"format": "pgcharter-outbox-skip", "version": 1, "route": route, "key": key, "messages": count})
    else:
        click.echo(f"{count} messages of key {key} are left out of {route}")
    return Exit.FINE
