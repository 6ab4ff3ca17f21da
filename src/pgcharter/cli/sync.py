"""`pgcharter sync`: copies in other stores: begin, run, say how far they are, compare and repair them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.policy.sync_settings import SyncSection
    from pgcharter.stream.beginning import Beginning
    from pgcharter.stream.mapper import Make
    from pgcharter.stream.worker import Job


@click.group()
def sync() -> None:
    """Copies in other stores: begin, run, say how far they are, compare and repair them."""


def work(environment: str | None, target: str | None) -> tuple[Job, Make, SyncSection]:
    """What the charter and the command line mean: the job, how to make a sink's target, the section. Raises UsageError."""
    import os

    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.sync_settings import SECTION
    from pgcharter.sinks.declared import streamed

    charter = charter_here()
    section = charter.section(SECTION)
    return *streamed(section, migrating.database(environment, target)[1], charter.folder, os.environ), section


def known(job: Job, name: str) -> None:
    """Raise UsageError for a sink that the charter does not declare."""
    if name not in job.sinks:
        raise UsageError(f"there is no sink {name!r} that changes are streamed to", hint=f"there are: {', '.join(job.sinks)}")


def leave(environment: str | None, target: str | None, confirm: str | None) -> None:
    """Refuse to change a production environment whose name was not said."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here

    migrating.refuse_production(migrating.production(charter_here(), *migrating.database(environment, target)), confirm)


INIT = (
    ("pgcharter sync init", "make the slot and seed every sink at its snapshot"),
    ("pgcharter sync init --later --yes", "make the slot; sync run seeds beside the stream"),
    ("pgcharter sync init --anew", "after the slot was lost: another one, and everything seeded again"),
)


@sync.command("init", cls=Command, examples=INIT)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--anew", is_flag=True, help="Drop the slot, and seed everything again.")
@click.option("--later", is_flag=True, help="Leave seeding to the worker, beside the stream.")
@click.option("--failover", is_flag=True, help="Have the slot kept on standbys too (PostgreSQL 17 and newer).")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Tables that are read at a time.")
@confirm_option
@database_options
@format_option
def init(
    environment: str | None, target: str | None, confirm: str | None, form: str, jobs: int, *, yes: bool, anew: bool, later: bool,
    failover: bool,
) -> int:  # fmt: skip
    """Say what is to be copied, and on a yes make the replication slot and copy what is there.

    Run it again after sinks or tables were added to the charter: the worker then seeds them. A copy that is interrupted goes on with
    `sync run`. Ends in 1 when a sink could not be seeded.
    """
    from pgcharter.cli.progress import progress
    from pgcharter.stream import beginning

    both, only = sync_two_way.two_ways(environment, target)
    leave(environment, target, confirm)
    begun = sync_two_way.begin(both, yes=yes, anew=anew, jobs=jobs, quiet=form == "json")
    if only:
        if form == "json":
            show_json({"format": "pgcharter-sync-init", "version": 1, "two_way": begun})
        else:
            click.echo("now run: pgcharter sync run" if begun else "everything that the charter declares was begun already")
        return Exit.FINE
    job, make, _ = work(environment, target)
    found = beginning.look(job, make, anew=anew)
    if form == "text":
        _tell(job, found, later=later)
    if not found.slot and not found.seeds:
        if form == "json":
            show_json(_data(job, found))
        return Exit.FINE
    if not yes and not click.confirm("do that?", err=True):
        raise RefusedError("nothing was changed", hint="--yes answers beforehand")
    with progress("copying") as advance:
        done = beginning.begin(job, make, anew=anew, failover=failover, later=later, jobs=jobs, advance=advance)
    if form == "json":
        show_json(_data(job, done))
    else:
        for name, why in done.failed.items():
            click.echo(f"sink {name} could not be seeded: {why}; `pgcharter sync run` goes on with it")
        click.echo("now run: pgcharter sync run")
    return Exit.FINDINGS if done.failed else Exit.FINE


def _tell(job: Job, found: Beginning, *, later: bool) -> None:
    for warning in found.warnings:
        click.echo(f"warning: {warning}")
    if found.slot:
        made = "changes are written down by triggers from now on" if job.capture == "triggers" else f"replication slot {job.slot} is made"
        click.echo(f"{made}, for publication {job.publication}")
    when = "by the worker, beside the stream" if later or not found.slot else "at the snapshot of that moment"
    for name, tables in found.seeds.items():
        click.echo(f"sink {name} is seeded {when}:")
        for table in tables:
            click.echo(f"  {table.sql}" + (f", about {table.rows} rows" if table.rows >= 0 else ""))
    if not found.slot and not found.seeds:
        click.echo("everything that the charter declares was begun already")


def _data(job: Job, found: Beginning) -> dict[str, object]:
    return {
        "format": "pgcharter-sync-init", "version": 1, "slot": job.slot, "made": found.slot, "warnings": list(found.warnings),
        "seeds": {n: [t.sql for t in of] for n, of in found.seeds.items()}, "failed": dict(found.failed),
    }  # fmt: skip


from pgcharter.cli import sync_batch, sync_reconcile, sync_run, sync_status, sync_two_way  # noqa: E402, F401 - their commands join the group
