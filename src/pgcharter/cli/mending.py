"""`pgcharter migrate baseline` and `repair`: changes of the record alone, shown and asked for before they are made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pgcharter.cli import migrating
from pgcharter.cli.migrating import complete_versions, confirm_option, place_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import Exit, RefusedError

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.db import Connection
    from pgcharter.migrate.state import Entry

BASELINE = (
    ("pgcharter migrate baseline 0042", "the database has everything up to 0042 already"),
    ("pgcharter migrate baseline 0042 --env production --confirm production --yes", "without being asked"),
)
_yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command("baseline", cls=Command, examples=BASELINE)
@click.argument("version", shell_complete=complete_versions)
@_yes_option
@confirm_option
@place_options
@format_option
def baseline(
    version: str, yes: bool, confirm: str | None, environment: str | None, target: str | None, folder: str | None, form: str
) -> int:
    """Record everything up to VERSION as applied, without running it: for a database that has it from elsewhere."""
    from pgcharter.migrate import ledger, state

    place = migrating.open_place(environment, target, folder)
    migrating.refuse_alembic(place, "baseline", f"alembic stamp {version}")
    migrating.guard(place, confirm)
    with migrating.alone(place) as conn:
        found, _ = migrating.standing_of(conn, place)
        number = found.entries.index(state.find(found.entries, version))
        todo = [e.migration for e in found.entries[: number + 1] if e.migration and not e.applied]
        _ask([f"record {m.title} as applied, without running it" for m in todo], place, yes=yes, form=form)
        if todo:
            ledger.install(conn)
            with conn.transaction():
                for migration in todo:
                    ledger.record(conn, migration, outcome="baseline")
    return _mended([f"{m.title} recorded as applied" for m in todo], "nothing to do: all of that is applied", form)


REPAIR = (
    ("pgcharter migrate repair", "show what can be mended, and ask"),
    ("pgcharter migrate repair 0042 --yes", "take the edited text of 0042 as the applied one, or set its failed run aside"),
)


@click.command("repair", cls=Command, examples=REPAIR)
@click.argument("versions", nargs=-1, metavar="[VERSION]...", shell_complete=complete_versions)
@_yes_option
@confirm_option
@place_options
@format_option
def repair(
    versions: tuple[str, ...], yes: bool, confirm: str | None, environment: str | None, target: str | None, folder: str | None, form: str
) -> int:
    """Mend the ledger: take edited files as applied, and set failed runs aside. The database itself is not touched."""
    from pgcharter.migrate import ledger, state

    place = migrating.open_place(environment, target, folder)
    migrating.guard(place, confirm)
    with migrating.alone(place) as conn:
        found, _ = migrating.standing_of(conn, place)
        chosen = [state.find(found.entries, v) for v in versions] or list(found.entries)
        edited = [e for e in chosen if e.word == "edited"]
        broken = [e for e in chosen if e.unfinished]
        sentences = [f"take the text of {e.migration.file if e.migration else e.title} as the applied one" for e in edited]
        sentences += [f"set the run of {e.title} aside{_done_units(conn, e)}" for e in broken]
        _ask(sentences, place, yes=yes, form=form)
        ledger.install(conn)
        with conn.transaction():
            for entry in edited:
                if entry.migration:
                    ledger.record(conn, migrating.as_recorded(entry), outcome="accepted")
            for entry in broken:
                if entry.unfinished:
                    ledger.clear(conn, entry.unfinished.id)
    return _mended(sentences, "nothing to mend", form)


def _done_units(conn: Connection, entry: Entry) -> str:
    """What stays of a run that is set aside."""
    from pgcharter.migrate import ledger

    done = sum(p.done for p in ledger.progress(conn, entry.unfinished.id).values()) if entry.unfinished else 0
    return f"; {done} of its parts are done in the database and stay, so that a new run meets them" if done else ""


def _ask(sentences: Sequence[str], place: Place, *, yes: bool, form: str) -> None:
    """Show what will be done and ask. Raises RefusedError when nobody can answer, Abort on a no."""
    if not sentences or yes:
        return
    click.echo(f"on {place.database}:", err=True)
    for sentence in sentences:
        click.echo(f"  {sentence}", err=True)
    if form == "json" or not sys.stdin.isatty():
        raise RefusedError("nobody is there to say yes, so nothing was changed", hint="look at what is listed, and run it again with --yes")
    if not click.confirm("Do that?", err=True):
        raise RefusedError("nothing was changed")


def _mended(sentences: Sequence[str], nothing: str, form: str) -> int:
    if form == "json":
        show_json({"format": "pgcharter-migrate-mended", "version": 1, "done": list(sentences)})
    else:
        click.echo("\n".join(sentences if len(sentences) <= 20 else (*sentences[:20], f"and {len(sentences) - 20:,} more")) or nothing)
    return Exit.FINE
