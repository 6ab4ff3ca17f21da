"""`pgcharter sync run|pause|resume|reset`: copies kept right, and single sinks told to wait, to go on, to begin anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli import sync_two_way
from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.cli.sync import known, leave, sync, work
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.stream.worker import Worker

RUN = (
    ("pgcharter sync run", "until it is stopped: as a service, one for each slot"),
    ("pgcharter sync run --once", "until everything is copied that was committed when it began"),
)


@sync.command("run", cls=Command, examples=RUN)
@click.option("--once", "--until-caught-up", "once", is_flag=True, help="End when everything is copied that was committed when it began.")
@database_options
def run(environment: str | None, target: str | None, *, once: bool) -> int:
    """Read the slot and keep every sink right, until stopped by SIGTERM or Ctrl-C.

    A sink that is down is tried again with growing pauses, and its changes are kept in a file of its own; the others and the slot go on.
    A second worker on the same slot waits.
    """
    from pgcharter.stream.worker import Worker

    both, only = sync_two_way.two_ways(environment, target)
    if both:
        return _beside(sync_two_way.workers(both), environment, target, once=once, only=only)
    job, make, _ = work(environment, target)
    worker = Worker(job, make, lambda text: click.echo(text, err=True))
    worker.run(once=once)
    bad = [lane.kept for lane in worker.lanes.values() if lane.kept.state in ("down", "refused", "lost")]
    for kept in bad:
        click.echo(f"sink {kept.sink} is {kept.state}: {kept.reason}", err=True)
    return Exit.FINDINGS if bad else Exit.FINE


def _beside(workers: list[Worker], environment: str | None, target: str | None, *, once: bool, only: bool) -> int:
    """Workers of copies both ways, and that of all other copies, beside one another."""
    import threading

    from pgcharter.stream.twoway_run import run
    from pgcharter.stream.worker import Worker

    if not only:
        job, make, _ = work(environment, target)
        workers = [*workers, Worker(job, make, lambda text: click.echo(text, err=True))]
    bad = run(workers, threading.Event(), once=once)
    for kept in bad:
        click.echo(f"sink {kept.sink} is {kept.state}: {kept.reason}", err=True)
    return Exit.FINDINGS if bad else Exit.FINE


@sync.command("pause", cls=Command, examples=(("pgcharter sync pause search", "the worker lets go of it within two seconds"),))
@click.argument("sink")
@database_options
@format_option
def pause(sink: str, environment: str | None, target: str | None, form: str) -> int:
    """Have a sink written to no more. Its changes are kept in its file, up to `spill`."""
    return _want(sink, environment, target, "paused", form)


@sync.command("resume", cls=Command, examples=(("pgcharter sync resume search", "what was kept is written first"),))
@click.argument("sink")
@database_options
@format_option
def resume(sink: str, environment: str | None, target: str | None, form: str) -> int:
    """Have a paused sink written to again."""
    return _want(sink, environment, target, "running", form)


def _want(sink: str, environment: str | None, target: str | None, wanted: str, form: str) -> int:
    from pgcharter.stream import source
    from pgcharter.stream.checkpoints import Checkpoints

    job, _, _ = work(environment, target)
    known(job, sink)
    with source.open_source(job.dsn) as conn:
        checkpoints = Checkpoints(conn, job.slot)
        if checkpoints.begin([sink])[sink].state == "lost":
            raise RefusedError(f"sink {sink} was given up, so it cannot go on from where it was", hint=f"pgcharter sync reset {sink}")
        checkpoints.want(sink, wanted)
    if form == "json":
        show_json({"format": "pgcharter-sync-wanted", "version": 1, "sink": sink, "wanted": wanted})
    else:
        click.echo(f"sink {sink} is to be {wanted}")
    return Exit.FINE


RESET = (
    ("pgcharter sync reset search", "everything of a sink, beside the stream"),
    ("pgcharter sync reset search --table shop.orders", "one mapping of it"),
)


@sync.command("reset", cls=Command, examples=RESET)
@click.argument("sink")
@click.option("--table", "tables", multiple=True, metavar="TABLE", help="Seed only copies of this table.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@confirm_option
@database_options
@format_option
def reset(
    sink: str, tables: tuple[str, ...], environment: str | None, target: str | None, confirm: str | None, form: str, *, yes: bool
) -> int:
    """Seed a sink anew, or one table of it, while changes go on being copied. Rows that the source has no more go at the end.

    A seed that is running begins again. Of a sink that was given up all tables are seeded; one that is paused goes on.
    """
    from pgcharter.stream import beginning, slots, source
    from pgcharter.stream.checkpoints import Checkpoints

    job, make, _ = work(environment, target)
    known(job, sink)
    leave(environment, target, confirm)
    if not yes and not click.confirm(f"seed {', '.join(tables) or 'everything'} of sink {sink} anew?", err=True):
        raise RefusedError("nothing was changed", hint="--yes answers beforehand")
    with source.open_source(job.dsn) as conn:
        checkpoints = Checkpoints(conn, job.slot)
        before, going = checkpoints.sinks().get(sink), [s for s in checkpoints.seeds() if s.sink == sink and s.state == "copying"]
        done = beginning.reset(conn, job, make(sink), tables)
        slot = slots.look(conn, job.slot)
    if not done:
        raise UsageError(f"sink {sink} has no copies of a published table")
    again = [s for s in going if s.source in done]
    if form == "json":
        left = {s.source: s.rows for s in again}
        show_json({"format": "pgcharter-sync-reset", "version": 1, "sink": sink, "tables": list(done), "begun_again": left})
        return Exit.FINE
    click.echo(f"sink {sink} is seeded anew by the worker: {', '.join(done)}")
    for seed in again:
        click.echo(f"the seed of {seed.source}, which was at {seed.rows:,} of about {max(seed.total, seed.rows):,} rows, begins again")
    if before is not None and before.state == "lost" and tables:
        click.echo(f"sink {sink} was given up, so all of it is seeded")
    if before is not None and before.wanted == "paused":
        click.echo(f"sink {sink} was paused" + (", and its tables are seeded once it is resumed" if tables else ", and goes on"))
    if slot is None or slot.pid is None:
        click.echo(f"no worker reads slot {job.slot}, so that begins with: pgcharter sync run")
    return Exit.FINE
