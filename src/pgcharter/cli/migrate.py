"""`pgcharter migrate`: apply migrations, take them back, say where a database stands, and mend the record of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli import migrating
from pgcharter.cli.migrating import complete_versions, place_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, PgcharterError, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.db import Connection
    from pgcharter.migrate.endings import Outcome
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.state import Entry, Standing
    from pgcharter.migrate.terms import Terms

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED = 130


@click.group()
def migrate() -> None:
    """Apply migrations, take them back, and say where a database stands."""


def _duration(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    from pgcharter.migrate.settings import seconds

    return None if value is None else seconds(value, f"--{(parameter.name or '').replace('_', '-')}")


def confirm_option(function: F) -> F:
    """Add `--confirm`."""
    return click.option("--confirm", metavar="NAME", help="Name of the production environment that may be changed.")(function)


def run_options(function: F) -> F:
    """Add what `up`, `down` and `to` share."""
    options = (
        click.option("--dry-run", is_flag=True, help="Print exactly what would run; change nothing."),
        confirm_option,
        click.option("--gate", "gates", multiple=True, metavar="GATE", help="A gate that is open: its words, or version:part."),
        click.option(
            "--lock-timeout", callback=_duration, metavar="TIME", help="Longest wait for locks before trying again.  [default: 2s]"
        ),
        click.option("--deadline", callback=_duration, metavar="TIME", help="How long to try again for locks.  [default: 10min]"),
        click.option("--wait", callback=_duration, metavar="TIME", help="How long to wait for another runner.  [default: 10min]"),
        click.option("--terminate-blockers", is_flag=True, help="End sessions that stand in the way, from the second try on."),
        click.option("--backup-point", default="", metavar="NOTE", help="What brings lost data back in production; it is recorded."),
        click.option("--without-backup", default="", metavar="REASON", help="Why a step that loses data needs none; it is recorded."),
        click.option("--repeat-begun", is_flag=True, help="Repeat a DO or CALL of which nobody knows whether it was done."),
        place_options,
        format_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


UP = (
    ("pgcharter migrate up", "apply what is pending, on the charter's only environment"),
    ("pgcharter migrate up --env production --confirm production", "production is named twice"),
    ("pgcharter migrate up --on env:DATABASE_URL --folder db/migrations --dry-run", "exactly what would run"),
)


@migrate.command("up", cls=Command, examples=UP)
@run_options
def up(environment: str | None, target: str | None, folder: str | None, form: str, **wishes: Any) -> int:
    """Apply all pending migrations, in order.

    Everything is parsed before anything runs. Interrupted or failed runs go on where they were.
    Exit codes: 0 applied or nothing to do, 2 wrong usage or files, 3 failed, 4 refused or stopped before the end, 130 interrupted.
    """
    place = migrating.open_place(environment, target, folder)
    with migrating.ledger_of(place) as conn:
        found, problems = migrating.standing_of(conn, place)
        migrating.refuse(conn, problems)
        _refuse_half(conn, found, "up")
    _warn(place, [p.message for p in problems if p.kind != "unfinished"])
    return _run(place, [migrating.resumed(e) for e in found.pending], "up", wishes, form, f"nothing to do: {len(found.applied):,} applied")


DOWN = (
    ("pgcharter migrate down", "take the last applied migration back"),
    ("pgcharter migrate down --steps 3 --dry-run", "what taking three back would run"),
)


@migrate.command("down", cls=Command, examples=DOWN)
@click.option("--steps", type=click.IntRange(min=1), default=1, show_default=True, help="How many migrations to take back.")
@run_options
def down(steps: int, environment: str | None, target: str | None, folder: str | None, form: str, **wishes: Any) -> int:
    """Take applied migrations back, the last applied first. Exit codes: those of `up`."""
    place = migrating.open_place(environment, target, folder)
    with migrating.ledger_of(place) as conn:
        found, _ = migrating.standing_of(conn, place)
        _refuse_half(conn, found, "down")
    last = [e for e in reversed(found.applied) if e.version]
    return _down(place, last[:steps], wishes, form)


TO = (
    ("pgcharter migrate to 20261121090000", "up or down, whichever leads there"),
    ("pgcharter migrate to nothing", "take everything back"),
)


@migrate.command("to", cls=Command, examples=TO)
@click.argument("version", shell_complete=complete_versions)
@run_options
def to(version: str, environment: str | None, target: str | None, folder: str | None, form: str, **wishes: Any) -> int:
    """Apply or take back migrations until VERSION is the last one applied; `nothing` takes all back. Exit codes: those of `up`."""
    from pgcharter.migrate import state

    place = migrating.open_place(environment, target, folder)
    with migrating.ledger_of(place) as conn:
        found, problems = migrating.standing_of(conn, place)
        if version == "nothing":
            _refuse_half(conn, found, "down")
            return _down(place, [e for e in reversed(found.applied) if e.version], wishes, form)
        wanted = state.find(found.entries, version)
        beyond, before = state.after(found, wanted), state.upto(found, wanted)
        _refuse_half(conn, found, "down" if beyond else "up")
        if before:
            migrating.refuse(conn, [p for p in problems if p.entry not in beyond])
    if beyond and before:
        raise UsageError(
            f"to reach {wanted.title}, {len(beyond)} must be taken back and {len(before)} applied, which is not done in one go",
            hint="do one after the other: pgcharter migrate down, then pgcharter migrate up",
        )
    if beyond:
        return _down(place, beyond, wishes, form)
    return _run(place, [migrating.resumed(e) for e in before], "up", wishes, form, f"nothing to do: {wanted.title} is the last one applied")


def _down(place: Place, entries: Sequence[Entry], wishes: dict[str, Any], form: str) -> int:
    from pgcharter.migrate import state

    return _run(place, state.back(entries), "down", wishes, form, "nothing to do: nothing is applied")


def _refuse_half(conn: Connection, found: Standing, direction: str) -> None:
    """Raise RefusedError when a run in the other direction has done some of its units and not all."""
    from pgcharter.migrate import ledger

    for entry in found.entries:
        run = entry.unfinished
        if run and run.direction != direction and ledger.progress(conn, run.id):
            raise RefusedError(
                f"{entry.title} was left half way {run.direction}, so nothing else was run",
                hint=f"finish it first: pgcharter migrate {run.direction}; or set the run aside: pgcharter migrate repair {entry.version}",
                place=entry.migration.file if entry.migration else "",
            )


def _warn(place: Place, sentences: Sequence[str]) -> None:
    for sentence in (*place.files.notes, *sentences):
        click.echo(f"warning: {sentence}", err=True)


def _run(place: Place, migrations: Sequence[Migration], direction: Any, wishes: dict[str, Any], form: str, nothing: str) -> int:
    """Run migrations and tell how it ended."""
    if not migrations:
        if form == "json":
            show_json(
                {
                    "format": "pgcharter-migrate-run",
                    "version": 1,
                    "direction": direction,
                    "status": "done",
                    "applied": [],
                    "message": nothing,
                }
            )
        else:
            click.echo(nothing)
        return Exit.FINE
    from pgcharter.cli.watching import Voice, outcome_data
    from pgcharter.migrate import runner

    ready = migrating.with_units(place, migrations)
    if direction == "down":
        _refuse_one_way(ready)
    for migration in ready:
        _warn_notes(migration)
    outcome = runner.apply(place.dsn, ready, direction=direction, terms=_terms(place, wishes), watch=Voice(quiet=form == "json"))
    if form == "json":
        show_json(outcome_data(outcome, direction))
    return _told(outcome, form, direction)


def _warn_notes(migration: Migration) -> None:
    for note in migration.notes:
        click.echo(f"note: {migration.file}: {note}", err=True)


def _refuse_one_way(migrations: Sequence[Migration]) -> None:
    for m in migrations:
        if m.one_way:
            raise RefusedError(f"{m.title} has no way back: {m.why_one_way}; nothing was run", hint="restore a backup", place=m.file)
        if m.down is None:
            raise RefusedError(f"nobody wrote a way back for {m.title}, so nothing was run", place=m.file,
                               hint="write its down part; or a new migration that undoes it: pgcharter new <name>")  # fmt: skip


def _terms(place: Place, wishes: dict[str, Any]) -> Terms:
    from pgcharter.migrate.settings import seconds
    from pgcharter.migrate.terms import Terms, Window

    section = place.section

    def time(name: str) -> float:
        given = wishes.get(name)
        where = f"[migrate] {name}"
        return float(given) if given is not None else seconds(getattr(section, name), where)

    return Terms(
        lock_timeout=time("lock_timeout"),
        statement_timeout=time("statement_timeout"),
        deadline=time("deadline"),
        wait=time("wait"),
        terminate_blockers=wishes["terminate_blockers"],
        window=Window.parse(section.window) if section.window else None,
        gates_passed=frozenset(wishes["gates"]),
        production=place.production,
        confirmed=wishes["confirm"] or "",
        backup_point=wishes["backup_point"],
        without_backup=wishes["without_backup"],
        repeat_begun=wishes["repeat_begun"],
        dry_run=wishes["dry_run"],
    )


def _told(outcome: Outcome, form: str, direction: str) -> int:
    """Say how a run ended, and return its exit code. Raises PgcharterError for a failure that is told as text."""
    if outcome.status in ("done", "planned"):
        if form == "text":
            click.echo(_sentence(outcome, direction))
        return Exit.FINE
    code = {"failed": Exit.FAILED, "stopped": Exit.REFUSED}.get(outcome.status, INTERRUPTED)
    if form == "json":
        return code
    if outcome.status == "interrupted":
        click.echo(f"{outcome.message}; {outcome.hint}", err=True)
        return INTERRUPTED
    kind = RefusedError if outcome.status == "stopped" else PgcharterError
    raise kind(outcome.message, hint=outcome.hint, place=outcome.place)


def _sentence(outcome: Outcome, direction: str) -> str:
    """How a run went that did all it was to do."""
    if outcome.status == "planned":
        return f"-- {outcome.message}"
    word, many = "taken back" if direction == "down" else "applied", len(outcome.applied)
    if outcome.skipped and not many:
        return f"nothing to do: another runner had them {word} meanwhile"
    return f"{many:,} {'migration' if many == 1 else 'migrations'} {word}"


STATUS = (
    ("pgcharter migrate status", "what is applied, what is pending, what stands in the way"),
    ("pgcharter migrate status --env production --check", "for CI: ends in 1 when anything is pending or wrong"),
)


@migrate.command("status", cls=Command, examples=STATUS)
@click.option("--all", "everything", is_flag=True, help="Show every migration, not only the last ones applied.")
@click.option("--check", is_flag=True, help="End in 1 when anything is pending or stands in the way.")
@place_options
@format_option
def status(environment: str | None, target: str | None, folder: str | None, everything: bool, check: bool, form: str) -> int:
    """Say where a database stands: what is applied, pending, edited or missing. Nothing is changed."""
    from pgcharter.render import migrations
    from pgcharter.render.page import Page

    place = migrating.open_place(environment, target, folder)
    with migrating.ledger_of(place) as conn:
        found, problems = migrating.standing_of(conn, place)
        troubles = migrating.troubles(conn, problems)
    rows = migrating.rows(found.entries)
    if form == "json":
        show_json(migrations.status_data(rows, troubles, place.files.notes, place.files.target, place.database))
    else:
        page = Page(screen())
        migrations.status(page, rows, troubles, place.files.target, place.database, everything=everything)
        show(page)
        _warn(place, ())
    return Exit.FINDINGS if check and (found.pending or troubles) else Exit.FINE


VERIFY = (
    ("pgcharter migrate verify --env production", "are the files what was applied, and can all of them be run?"),
    ("pgcharter migrate verify --try", "and do the pending ones work, up, down and up again?"),
)


@migrate.command("verify", cls=Command, examples=VERIFY)
@click.option("--try", "trying", is_flag=True, help="Also run what is pending on a scratch server: up, down and up again.")
@click.option("--all", "everything", is_flag=True, help="With --try: every migration, not only what is pending.")
@click.option("--scratch-url", metavar="DSN", help="Try on this server instead of a throwaway one.")
@place_options
@format_option
def verify(
    environment: str | None, target: str | None, folder: str | None, trying: bool, everything: bool, scratch_url: str | None, form: str
) -> int:
    """Hold the files against the ledger by their checksums, and read every file for what could not be run.

    The database is not changed. Ends in 1 when anything is wrong.
    """
    from pgcharter.cli import verifying
    from pgcharter.render import migrations
    from pgcharter.render.page import Page

    place = migrating.open_place(environment, target, folder)
    with migrating.ledger_of(place) as conn:
        found, problems = migrating.standing_of(conn, place)
        troubles = migrating.troubles(conn, problems)
        major = conn.info.server_version // 10000
    ready, unreadable = verifying.readable(place, found)
    if trying and not unreadable:
        unreadable = verifying.there_and_back(found, ready, major, scratch_url, everything=everything)
    troubles += unreadable
    rows = migrating.rows(found.entries)
    if form == "json":
        show_json(migrations.status_data(rows, troubles, place.files.notes, place.files.target, place.database))
    else:
        page = Page(screen())
        migrations.tell(page, troubles)
        page.blank()
        wrong = f"{len(troubles)} to be looked at" if troubles else "all as recorded"
        page.flow(f"{len(rows):,} {'migration' if len(rows) == 1 else 'migrations'} of {place.files.target} on {place.database}: {wrong}")
        show(page)
    return Exit.FINDINGS if troubles else Exit.FINE


BASELINE = (
    ("pgcharter migrate baseline 0042", "the database has everything up to 0042 already"),
    ("pgcharter migrate baseline 0042 --env production --confirm production --yes", "without being asked"),
)
_yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@migrate.command("baseline", cls=Command, examples=BASELINE)
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


@migrate.command("repair", cls=Command, examples=REPAIR)
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
