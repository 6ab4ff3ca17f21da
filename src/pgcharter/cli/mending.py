"""`pgcharter migrate baseline` and `repair`: changes of the record alone, shown and asked for before they are made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli import migrating
from pgcharter.cli.migrating import complete_versions, confirm_option, place_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.cli.targeting import Many, open_many, target_options
from pgcharter.errors import Exit, RefusedError, UsageError
from pgcharter.migrate import home

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.db import Connection
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.state import Entry

BASELINE = (
    ("pgcharter migrate baseline 0042", "the database has everything up to 0042 already"),
    ("pgcharter migrate baseline --from flyway", "what Flyway's own table says is applied; goose, dbmate and others likewise"),
    ("pgcharter migrate baseline 0042 --env production --confirm production --yes", "without being asked"),
)
_yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command("baseline", cls=Command, examples=BASELINE)
@click.argument("version", required=False, shell_complete=complete_versions)
@click.option("--from", "source", metavar="TOOL", help="Take over what another tool's table says is applied: flyway, goose, dbmate, …")
@_yes_option
@confirm_option
@target_options
@place_options
@format_option
def baseline(
    version: str | None, source: str | None, yes: bool, confirm: str | None, environment: str | None, target: str | None,
    folder: str | None, form: str, **selection: Any,
) -> int:  # fmt: skip
    """Record everything up to VERSION as applied, without running it: for a database, or targets, that have it from elsewhere.

    With --from, what the table of another tool says is applied.
    """
    if (version is None) == (source is None):
        raise UsageError("baseline takes a version, or --from with the tool that has run the files so far", hint="pgcharter migrate status")

    def find(conn: Connection, place: Place) -> Mending:
        from pgcharter.migrate import ledger

        migrating.refuse_alembic(place, "baseline", f"alembic stamp {version or 'head'}")
        todo = _adopted(conn, place, source) if source else _upto(conn, place, version or "")

        def record() -> None:
            for migration in todo:
                ledger.record(conn, migration, outcome="baseline")

        return Mending([(f"record {m.title} as applied, without running it", f"{m.title} recorded as applied") for m in todo], record)

    return _mend(open_many(environment, target, folder, selection), find, confirm, "nothing to do: all of that is applied", form, yes=yes)


def _upto(conn: Connection, place: Place, version: str) -> list[Migration]:
    from pgcharter.migrate import state

    found, _ = migrating.standing_of(conn, place)
    number = found.entries.index(state.find(found.entries, version))
    return [e.migration for e in found.entries[: number + 1] if e.migration and not e.applied]


def _adopted(conn: Connection, place: Place, source: str) -> list[Migration]:
    """What another tool has applied and the ledger does not have; what is odd about it is said."""
    from pgcharter.migrate import adoption

    history = adoption.choose(adoption.histories(conn, near=bool(home.of(conn).schema)), source)
    found = adoption.adopt(history, place.files)
    for migration in found.edited:
        click.echo(f"warning: {migration.file} is not what {history.tool} applied: it was edited since", err=True)
    for name in found.unknown:
        click.echo(f"warning: {history.tool} has applied {name}, and no file here is that one", err=True)
    standing, _ = migrating.standing_of(conn, place)
    applied = {e.migration.file for e in standing.entries if e.migration and e.applied}
    return [m for m in found.migrations if m.file not in applied]


REPAIR = (
    ("pgcharter migrate repair", "show what can be mended, and ask"),
    ("pgcharter migrate repair 0042 --yes", "take the edited text of 0042 as the applied one, or set its failed run aside"),
)


@click.command("repair", cls=Command, examples=REPAIR)
@click.argument("versions", nargs=-1, metavar="[VERSION]...", shell_complete=complete_versions)
@_yes_option
@confirm_option
@target_options
@place_options
@format_option
def repair(
    versions: tuple[str, ...], yes: bool, confirm: str | None, environment: str | None, target: str | None, folder: str | None, form: str,
    **selection: Any,
) -> int:  # fmt: skip
    """Mend the ledger: take edited files as applied, and set failed runs aside. The database itself is not touched."""
    from pgcharter.migrate import ledger, state

    def find(conn: Connection, place: Place) -> Mending:
        found, _ = migrating.standing_of(conn, place)
        chosen = [state.find(found.entries, v) for v in versions] or list(found.entries)
        edited = [e for e in chosen if e.word == "edited"]
        broken = [e for e in chosen if e.unfinished]
        sentences = [f"take the text of {e.migration.file if e.migration else e.title} as the applied one" for e in edited]
        sentences += [f"set the run of {e.title} aside{_done_units(conn, e)}" for e in broken]

        def record() -> None:
            for entry in edited:
                if entry.migration:
                    ledger.record(conn, migrating.as_recorded(entry), outcome="accepted")
            for entry in broken:
                if entry.unfinished:
                    ledger.clear(conn, entry.unfinished.id)

        return Mending([(sentence, sentence) for sentence in sentences], record)

    return _mend(open_many(environment, target, folder, selection), find, confirm, "nothing to mend", form, yes=yes)


@dataclass(frozen=True)
class Mending:
    """What is to be changed in a ledger."""

    sentences: Sequence[tuple[str, str]]
    """Before and after it is done."""
    record: Callable[[], None]


Find = Callable[["Connection", "Place"], Mending]


def _mend(where: Place | Many, find: Find, confirm: str | None, nothing: str, form: str, *, yes: bool) -> int:
    """Show, ask, and do it, while no runner is at work there."""
    if isinstance(where, Many):
        return _mend_many(where, find, confirm, nothing, form, yes=yes)
    migrating.guard(where, confirm)
    with migrating.alone(where) as conn:
        found = find(conn, where)
        _ask([before for before, _ in found.sentences], where, yes=yes, form=form)
        _record(conn, found)
    return _mended([after for _, after in found.sentences], nothing, form)


def _mend_many(many: Many, find: Find, confirm: str | None, nothing: str, form: str, *, yes: bool) -> int:
    """The same in every target where something is to be changed."""
    from pgcharter.migrate import targets
    from pgcharter.render.targets import TargetRow, names

    for target in many.targets:
        migrating.guard(many.at(target), confirm)
    told: dict[tuple[str, str], list[TargetRow]] = {}
    todo = []
    for group in targets.groups(many.targets):
        with migrating.ledger_of(many.at(group.targets[0])) as conn:
            home.refuse_elsewhere(conn)
            found = find(conn, many.at(group.targets[0]))
        todo += list(group.targets) if found.sentences else []
        for sentence in found.sentences:
            told.setdefault(sentence, []).extend(TargetRow(t.name, "") for t in group.targets)
    _ask([f"{before} in {names(rows)}" for (before, _), rows in told.items()], many.place, yes=yes, form=form)
    for target in todo:
        with migrating.alone(many.at(target)) as conn:
            _record(conn, find(conn, many.at(target)))
    return _mended([f"{after} in {names(rows)}" for (_, after), rows in told.items()], nothing, form)


def _record(conn: Connection, found: Mending) -> None:
    from pgcharter.migrate import ledger

    if found.sentences:
        ledger.install(conn)
        with conn.transaction():
            found.record()


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
