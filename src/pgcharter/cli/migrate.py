"""`pgcharter migrate`: apply migrations, take them back, say where a database stands, and mend the record of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli import controlling, migrating
from pgcharter.cli.drift import drift
from pgcharter.cli.mending import baseline, repair
from pgcharter.cli.migrating import complete_versions, place_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.cli.running import Chosen, refuse_half, run, run_options, warn
from pgcharter.cli.shape import shape
from pgcharter.cli.targeting import Many, open_many, target_options
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.db import Connection
    from pgcharter.migrate.problems import Problem
    from pgcharter.migrate.state import Entry, Standing


@click.group()
def migrate() -> None:
    """Apply migrations, take them back, and say where a database stands."""


UP = (
    ("pgcharter migrate up", "apply what is pending, on the charter's only environment"),
    ("pgcharter migrate up --env production --confirm production", "production is named twice"),
    ("pgcharter migrate up --on env:DATABASE_URL --folder db/migrations --dry-run", "exactly what would run"),
    ("pgcharter migrate up --schemas 'tenant_*' --canary 1 --parallel 4 --stop-after 3", "each schema with its own history"),
)


@migrate.command("up", cls=Command, examples=UP)
@run_options
def up(environment: str | None, target: str | None, folder: str | None, form: str, **wishes: Any) -> int:
    """Apply all pending migrations, in order.

    Everything is parsed before anything runs. Interrupted or failed runs go on where they were.
    Exit codes: 0 applied or nothing to do, 2 wrong usage or a folder that contradicts itself, 3 failed or a file that cannot be run,
    4 refused or stopped before the end, 130 interrupted.
    """

    def choose(conn: Connection, place: Place) -> Chosen:
        found, problems = migrating.standing_of(conn, place)
        migrating.refuse(conn, problems)
        refuse_half(conn, found, "up")
        warnings = tuple(p.message for p in problems if p.kind != "unfinished")
        return Chosen("up", [migrating.resumed(e) for e in found.pending], f"nothing to do: {len(found.applied):,} applied", warnings)

    return _run(open_many(environment, target, folder, wishes), wishes, form, choose)


def _run(place: Place | Many, wishes: dict[str, Any], form: str, choose: Callable[[Connection, Place], Chosen]) -> int:
    """Do what is chosen, in the database or in each of the targets."""
    if isinstance(place, Many):
        from pgcharter.cli import fan_out

        return fan_out.run(place, wishes, form, choose)
    with migrating.ledger_of(place) as conn:
        chosen = choose(conn, place)
    warn(place, chosen.warnings)
    return run(place, chosen.migrations, chosen.direction, wishes, form, chosen.nothing)


DOWN = (
    ("pgcharter migrate down", "take the last applied migration back"),
    ("pgcharter migrate down --steps 3 --dry-run", "what taking three back would run"),
)


@migrate.command("down", cls=Command, examples=DOWN)
@click.option("--steps", type=click.IntRange(min=1), default=1, show_default=True, help="How many migrations to take back.")
@run_options
def down(steps: int, environment: str | None, target: str | None, folder: str | None, form: str, **wishes: Any) -> int:
    """Take applied migrations back, the last applied first. Exit codes: those of `up`."""

    def choose(conn: Connection, place: Place) -> Chosen:
        found, _ = migrating.standing_of(conn, place)
        return _down(conn, place, found, steps)

    return _run(open_many(environment, target, folder, wishes), wishes, form, choose)


def _down(conn: Connection, place: Place, found: Standing, steps: int | None = None) -> Chosen:
    refuse_half(conn, found, "down")
    last = place.revisions.last(found) if place.revisions else [e for e in reversed(found.applied) if e.version]
    return _back(last[:steps])


def _back(entries: Sequence[Entry]) -> Chosen:
    from pgcharter.migrate import state

    return Chosen("down", state.back(entries), "nothing to do: nothing is applied")


TO = (
    ("pgcharter migrate to 20261121090000", "up or down, whichever leads there"),
    ("pgcharter migrate to nothing", "take everything back"),
)


@migrate.command("to", cls=Command, examples=TO)
@click.argument("version", shell_complete=complete_versions)
@run_options
def to(version: str, environment: str | None, target: str | None, folder: str | None, form: str, **wishes: Any) -> int:
    """Apply or take back migrations until VERSION is the last one applied; `nothing` takes all back. Exit codes: those of `up`."""

    def choose(conn: Connection, place: Place) -> Chosen:
        found, problems = migrating.standing_of(conn, place)
        return _down(conn, place, found) if version == "nothing" else _toward(conn, place, version, found, problems)

    return _run(open_many(environment, target, folder, wishes), wishes, form, choose)


def _toward(conn: Connection, place: Place, version: str, found: Standing, problems: Sequence[Problem]) -> Chosen:
    from pgcharter.migrate import state

    order = place.revisions or state
    wanted = order.find(found.entries, version)
    beyond, before = order.after(found, wanted), order.upto(found, wanted)
    refuse_half(conn, found, "down" if beyond else "up")
    if before:
        migrating.refuse(conn, [p for p in problems if p.entry not in beyond])
    if beyond and before:
        raise UsageError(
            f"to reach {wanted.title}, {len(beyond)} must be taken back and {len(before)} applied, which is not done in one go",
            hint="do one after the other: pgcharter migrate down, then pgcharter migrate up",
        )
    if beyond:
        return _back(beyond)
    return Chosen("up", [migrating.resumed(e) for e in before], f"nothing to do: {wanted.title} is the last one applied")


STATUS = (
    ("pgcharter migrate status", "what is applied, what is pending, what stands in the way"),
    ("pgcharter migrate status --env production --check", "for CI: ends in 1 when anything is pending or wrong"),
)


@migrate.command("status", cls=Command, examples=STATUS)
@click.option("--all", "everything", is_flag=True, help="Show every migration, not only the last ones applied.")
@click.option("--check", is_flag=True, help="End in 1 when anything is pending or stands in the way.")
@click.option("--watch", is_flag=True, help="First look on while a run is at work, until it has ended.")
@target_options
@place_options
@format_option
def status(
    environment: str | None, target: str | None, folder: str | None, everything: bool, check: bool, watch: bool, form: str, **selection: Any
) -> int:
    """Say where a database stands, or many targets: what is applied, pending, edited or missing, and who is at work. Nothing is changed."""
    from pgcharter.render import migrations, runs
    from pgcharter.render.page import Page

    place = open_many(environment, target, folder, selection)
    if isinstance(place, Many):
        from pgcharter.cli import fan_out

        return fan_out.status(place, form, check=check)
    with migrating.ledger_of(place) as conn:
        if watch and form == "text":
            controlling.watch(conn)
        found, problems = migrating.standing_of(conn, place)
        at_work, paused = controlling.runs(conn), controlling.paused(conn)
        troubles = migrating.troubles(conn, controlling.judged(problems, at_work))
    rows = migrating.rows(found.entries)
    if form == "json":
        data = migrations.status_data(rows, troubles, place.files.notes, place.files.target, place.database)
        show_json(data | {"runners": [asdict(run) for run in at_work], "paused": paused or None})
    else:
        page = Page(screen())
        migrations.status(page, rows, troubles, place.files.target, place.database, everything=everything)
        runs.runs(page, at_work, paused)
        show(page)
        warn(place, ())
    return Exit.FINDINGS if check and (found.pending or troubles) else Exit.FINE


VERIFY = (
    ("pgcharter migrate verify --env production", "are the files what was applied, and can all of them be run?"),
    ("pgcharter migrate verify --try", "and do the pending ones work, up, down and up again?"),
    ("pgcharter migrate verify --shape shape.json --longest 5s", "and how long do they take with production's sizes?"),
)


@migrate.command("verify", cls=Command, examples=VERIFY)
@click.option("--try", "trying", is_flag=True, help="Also run what is pending on a scratch server: up, down and up again.")
@click.option("--all", "everything", is_flag=True, help="With --try: every migration, not only what is pending.")
@click.option("--shape", "shape_file", metavar="FILE", help="With --try: time each step with such tables.  [default: the charter's]")
@click.option(
    "--rows", "most", type=click.IntRange(min=1), default=200_000, show_default=True, help="Most rows that a table gets for that."
)
@click.option("--longest", metavar="TIME", help="End in 1 when a step would stop writes for longer.  [default: the charter's]")
@click.option("--scratch-url", metavar="DSN", help="Try on this server instead of a throwaway one.")
@target_options
@place_options
@format_option
def verify(
    environment: str | None, target: str | None, folder: str | None, trying: bool, everything: bool, shape_file: str | None, most: int,
    longest: str | None, scratch_url: str | None, form: str, **selection: Any,
) -> int:  # fmt: skip
    """Hold the files against the ledger by their checksums, and read every file for what could not be run.

    With --try, what is pending also runs on a scratch server: up, down and up again; the result is compared with what [plan] wanted of
    the charter declares, and what it brings is held against the guide. With the shape of production's tables (pgcharter migrate shape),
    each step is timed on rows of that shape.

    The database is not changed. Ends in 1 when anything is wrong.
    """
    from pgcharter.cli import verifying
    from pgcharter.render import migrations
    from pgcharter.render.page import Page

    place = open_many(environment, target, folder, selection)
    trying = trying or shape_file is not None or longest is not None
    if isinstance(place, Many):
        from pgcharter.cli import fan_out

        if trying:
            raise UsageError("--try runs the files once, on a scratch server, and not for each target", hint="add --one")
        return fan_out.verify(place, form)
    measured = verifying.measure(place, shape_file, most, longest) if trying else None
    with migrating.ledger_of(place) as conn:
        found, problems = migrating.standing_of(conn, place)
        troubles = migrating.troubles(conn, problems)
        major = conn.info.server_version // 10000
    ready, unreadable = verifying.readable(place, found)
    troubles += unreadable
    shown = verifying.Verified()
    if trying and not unreadable:
        shown = verifying.trial(place, found, ready, major, scratch_url, everything=everything, measured=measured)
    troubles += shown.troubles
    rows = migrating.rows(found.entries)
    if form == "json":
        data = migrations.status_data(rows, troubles, place.files.notes, place.files.target, place.database)
        show_json({**data, **verifying.data(shown)})
    else:
        page = Page(screen())
        migrations.tell(page, troubles)
        verifying.tell(page, shown)
        page.blank()
        wrong = verifying.counted(troubles, shown)
        page.flow(f"{len(rows):,} {'migration' if len(rows) == 1 else 'migrations'} of {place.files.target} on {place.database}: {wrong}")
        show(page)
    return Exit.FINDINGS if troubles or shown.failed else Exit.FINE


migrate.add_command(baseline)
migrate.add_command(repair)
migrate.add_command(drift)
migrate.add_command(shape)
migrate.add_command(controlling.pause)
migrate.add_command(controlling.resume)
migrate.add_command(controlling.stop)
