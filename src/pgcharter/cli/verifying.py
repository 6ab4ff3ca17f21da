"""What `pgcharter migrate verify` looks at beyond the ledger: whether files can be read, and whether they lead there and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pgcharter.cli import migrating
from pgcharter.errors import PgcharterError
from pgcharter.render.migrations import Trouble, took

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.state import Standing
    from pgcharter.migrate.there_and_back import Tried
    from pgcharter.servers.scratch import Scratch
    from pgcharter.sources import Progress


def readable(place: Place, found: Standing) -> tuple[list[Migration], list[Trouble]]:
    """The migrations with their units, and what cannot be run as it is written."""
    ready: list[Migration] = []
    made: list[Trouble] = []
    for entry in found.entries:
        if entry.migration is not None:
            try:
                ready += migrating.with_units(place, [entry.migration])
            except PgcharterError as error:
                made.append(Trouble("unreadable", error.message, error.hint, error.place))
    return ready, made


def there_and_back(
    place: Place, found: Standing, ready: list[Migration], major: int, scratch_url: str | None, *, everything: bool
) -> list[Trouble]:
    """Try what is pending (or everything) on a scratch server of the same major version; return what does not lead there and back."""
    from pgcharter.cli.progress import progress
    from pgcharter.servers.scratch import open_scratch

    pending = {e.migration.file for e in found.pending if e.migration}
    before = [m for m in ready if not everything and m.file not in pending]
    rest = [m for m in ready if everything or m.file in pending]
    made: list[Trouble] = []
    with progress("trying on a scratch server") as advance, open_scratch(major, url=scratch_url) as scratch:
        try:
            for one in _tried(place, scratch, before, rest, advance):
                made += _left(one)
                back = f"back in {took(round(one.down * 1000))}" if one.down is not None else "no way back"
                click.echo(f"{one.migration.title}: {took(round(one.up * 1000))}, {back}", err=True)
        except PgcharterError as error:
            made.append(Trouble("refused", error.message, error.hint, error.place))
    return made


def _tried(place: Place, scratch: Scratch, before: list[Migration], rest: list[Migration], advance: Progress | None) -> Iterator[Tried]:
    if place.revisions:
        from pgcharter.migrate.alembic_try import tried as tried_by_alembic

        return tried_by_alembic(place.revisions.alembic, scratch, before, rest, advance)
    from pgcharter.migrate.there_and_back import tried

    return tried(scratch, before, rest, advance)


def _left(one: Tried) -> list[Trouble]:
    from pgcharter.migrate.proving import told

    made, file = [], one.migration.down_file or one.migration.file
    if one.left:
        message = f"the way back of {one.migration.title} does not lead back: {told(one.left)}"
        made.append(Trouble("way back", message, "mend its down part, or say that it is one-way", file))
    if one.other:
        message = f"{one.migration.title} leads somewhere else when it is run again after its way back: {told(one.other)}"
        made.append(Trouble("way back", message, "mend its down part", file))
    return made
