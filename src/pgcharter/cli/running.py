"""What `migrate up`, `down` and `to` share: their options, the run itself, and how it ended."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli import migrating
from pgcharter.cli.migrating import confirm_option, place_options
from pgcharter.cli.output import format_option, show_json
from pgcharter.cli.signals import endable
from pgcharter.cli.targeting import fan_out_options, target_options
from pgcharter.errors import Exit, PgcharterError, RefusedError

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.db import Connection
    from pgcharter.migrate.endings import Outcome
    from pgcharter.migrate.fan_out import Ended, Job
    from pgcharter.migrate.ledger import Direction
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.notices import Notices
    from pgcharter.migrate.state import Standing
    from pgcharter.migrate.terms import Terms
    from pgcharter.migrate.watch import Event, Watch

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command does in a database, by its ledger."""

    direction: Direction
    migrations: Sequence[Migration]
    nothing: str
    """What is said when there is none."""
    warnings: tuple[str, ...] = ()


def _duration(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    from pgcharter.measures import seconds

    return None if value is None else seconds(value, f"--{(parameter.name or '').replace('_', '-')}")


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
        click.option(
            "--pace",
            type=click.Choice(("slow", "normal", "fast")),
            default="normal",
            show_default=True,
            help="How much of the server a backfill takes.",
        ),
        click.option("--terminate-blockers", is_flag=True, help="End sessions that stand in the way, from the second try on."),
        click.option("--backup-point", default="", metavar="NOTE", help="What brings lost data back in production; it is recorded."),
        click.option("--without-backup", default="", metavar="REASON", help="Why a step that loses data needs none; it is recorded."),
        click.option("--old-plan", is_flag=True, help="Run a plan although what it changes is not as it was when it was made."),
        click.option("--repeat-begun", is_flag=True, help="Repeat a DO or CALL of which nobody knows whether it was done."),
        fan_out_options,
        target_options,
        place_options,
        format_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def refuse_half(conn: Connection, found: Standing, direction: str) -> None:
    """Raise RefusedError when a run in the other direction has done some of its units and not all."""
    from pgcharter.migrate import ledger

    for entry in found.entries:
        run = entry.unfinished
        if run and entry.migration is None and run.begun:
            raise RefusedError(
                f"{entry.title} was left half way {run.direction} and its file is missing, so nothing else was run",
                hint=f"bring {run.file or 'the file'} back and finish it: pgcharter migrate {run.direction}; "
                f"or set the run aside: pgcharter migrate repair {entry.version or entry.name}",
            )
        if run and run.direction != direction and ledger.progress(conn, run.id):
            raise RefusedError(
                f"{entry.title} was left half way {run.direction}, so nothing else was run",
                hint=f"finish it first: pgcharter migrate {run.direction}; or set the run aside: pgcharter migrate repair {entry.version}",
                place=entry.migration.file if entry.migration else "",
            )


def warn(place: Place, sentences: Sequence[str]) -> None:
    """Say on stderr what is odd about the folder, and `sentences`."""
    for sentence in (*place.files.notes, *sentences):
        click.echo(f"warning: {sentence}", err=True)


def run(place: Place, migrations: Sequence[Migration], direction: Any, wishes: dict[str, Any], form: str, nothing: str) -> int:
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

    ready = migrating.with_units(place, migrations, shown=wishes["dry_run"] or bool(place.production))
    if direction == "down":
        refuse_one_way(ready)
    for migration in ready:
        warn_notes(migration)
    with endable() as asked, told(place, direction, Voice(quiet=form == "json"), wishes) as (watch, ended):
        outcome = runner.apply(place.dsn, ready, direction=direction, terms=terms_of(place, wishes), watch=watch)
        ended(outcome)
    if form == "json":
        show_json(outcome_data(outcome, direction))
    return _told(outcome, form, direction, asked.code)


@contextlib.contextmanager
def told(place: Place, direction: str, watch: Watch, wishes: dict[str, Any]) -> Iterator[tuple[Watch, Callable[[Outcome], None]]]:
    """What `[migrate.notify]` names is told of a run: a Watch for the run, and what is to be called with its outcome."""
    if wishes["dry_run"] or not place.section.notify.any:
        yield watch, lambda _: None
        return
    notices = _notices(place, direction, watch)

    def both(event: Event) -> None:
        watch(event)
        notices(event)

    try:
        yield both, notices.ended
    except PgcharterError as error:
        notices.failed(error.message, error.hint)
        raise
    finally:
        notices.close()


def _notices(place: Place, direction: str, watch: Watch) -> Notices:
    from pgcharter.migrate.control import whoami
    from pgcharter.migrate.notices import Notices, facts

    known = facts(place.environment, place.database, bool(place.production), direction, whoami())
    return Notices(place.section.notify, known, place.charter.folder, watch)


@contextlib.contextmanager
def told_of_many(place: Place, jobs: Sequence[Job], watch: Watch) -> Iterator[Callable[[Sequence[Ended]], None]]:
    """The same of a run over many targets: that it begins, and how it ended as a whole."""
    if not jobs or not place.section.notify.any:
        yield lambda _: None
        return
    notices = _notices(place, jobs[0].direction, watch)
    notices.tell("begun", f"{len(jobs):,} targets begin", targets=len(jobs))

    def end(ended: Sequence[Ended]) -> None:
        bad = [e for e in ended if e.bad]
        counts = Counter(e.word for e in ended)
        message = ", ".join(f"{count:,} {word}" for word, count in counts.items())
        first = f"; {bad[0].target.name}: {bad[0].message}" if bad else ""
        notices.tell("failed" if bad else "finished", message + first, counts=dict(counts), failed=[e.target.name for e in bad[:20]])

    try:
        yield end
    finally:
        notices.close()


def warn_notes(migration: Migration) -> None:
    """Say on stderr what a person should know of how a migration will be run."""
    for note in migration.notes:
        click.echo(f"note: {migration.file}: {note}", err=True)


def refuse_one_way(migrations: Sequence[Migration]) -> None:
    """Raise RefusedError when one of them cannot be taken back."""
    for m in migrations:
        if m.one_way:
            raise RefusedError(f"{m.title} has no way back: {m.why_one_way}; nothing was run", hint="restore a backup", place=m.file)
        if m.down is None:
            raise RefusedError(f"nobody wrote a way back for {m.title}, so nothing was run", place=m.file,
                               hint="write its down part; or a new migration that undoes it: pgcharter new <name>")  # fmt: skip


def terms_of(place: Place, wishes: dict[str, Any]) -> Terms:
    """The terms that the command line and the charter set."""
    from pgcharter.measures import seconds
    from pgcharter.migrate import pacing
    from pgcharter.migrate.terms import Terms, Window

    section = place.section

    def time(name: str) -> float:
        given = wishes.get(name)
        where = f"[migrate] {name}"
        return float(given) if given is not None else seconds(getattr(section, name), where)

    return Terms(
        lock_timeout=time("lock_timeout"),
        statement_timeout=time("statement_timeout"),
        alone_timeout=time("alone_timeout"),
        pace=pacing.pace(section.pace, wishes["pace"]),
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
        old_plans=wishes["old_plan"],
        dry_run=wishes["dry_run"],
    )


def _told(outcome: Outcome, form: str, direction: str, interrupted: int) -> int:
    """Say how a run ended, and return its exit code. Raises PgcharterError for a failure that is told as text."""
    if outcome.status in ("done", "planned"):
        if form == "text":
            click.echo(_sentence(outcome, direction))
        return Exit.FINE
    code = {"failed": Exit.FAILED, "stopped": Exit.REFUSED}.get(outcome.status, interrupted)
    if form == "json":
        return code
    if outcome.status == "interrupted":
        with contextlib.suppress(OSError):
            click.echo(f"{outcome.message}; {outcome.hint}", err=True)
        return interrupted
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
