"""`pgcharter jobs`: what runs by itself, when, and how it went."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.cli.signals import INTERRUPTED, endable
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pgcharter.operate.jobs import Scheduler
    from pgcharter.operate.jobs_store import Run, State
    from pgcharter.policy.jobs_settings import JobTable

log = logging.getLogger("pgcharter.jobs")


@click.group()
def jobs() -> None:
    """Jobs of the charter ([[jobs.job]]): run them when they are due, or have cron, systemd or Kubernetes do it; how they went."""


def scheduler(environment: str | None, target: str | None, *, quiet: bool = False) -> Scheduler:
    """The scheduler that charter and command line mean. Raises UsageError for a job whose command there is not."""
    from pgcharter.cli import jobs_commands, migrating, proofs
    from pgcharter.cli.project import charter_here
    from pgcharter.operate.jobs import Scheduler
    from pgcharter.policy.jobs_settings import SECTION

    charter = charter_here()
    section = charter.section(SECTION)
    named, dsn = migrating.database(environment, target)
    for job in section.job:
        jobs_commands.command(job, named)
    return Scheduler(
        section, dsn, lambda job: jobs_commands.command(job, named),
        say=lambda text: None if quiet else click.echo(text, err=True),
        prove=lambda evidence: proofs.keep(dsn, [evidence]),
        environment={"PGCHARTER_JOB_DSN": dsn}, more=jobs_commands.environment,
    )  # fmt: skip


LIST = (("pgcharter jobs list --env production", "when each is due next, who runs it, how the last run ended"),)


@jobs.command("list", cls=Command, examples=LIST)
@database_options
@format_option
def list_(environment: str | None, target: str | None, form: str) -> int:
    """List the jobs of the charter: when each is due next, and how its last run ended. Ends in 1 when one has failed."""
    made = scheduler(environment, target)
    states = made.store.states(made.jobs)
    made.store.close()
    bad = [s for s in states.values() if s.failures]
    if form == "json":
        data = [_data(job, states.get(job.name)) for job in made.section.job]
        show_json({"format": "pgcharter-jobs", "version": 1, "jobs": data})
    else:
        _tell_jobs(made.section.job, states)
    return Exit.FINDINGS if bad else Exit.FINE


RUN = (
    ("pgcharter jobs run --forever", "the scheduler, as a service; a second one stands by"),
    ("pgcharter jobs run nightly-backup", "one job now, with its retries; ends as it does"),
    ("pgcharter jobs run", "what is due now, and no more"),
)


@jobs.command("run", cls=Command, examples=RUN)
@click.argument("name", required=False)
@click.option("--forever", is_flag=True, help="Go on until ended by Ctrl-C or SIGTERM.")
@database_options
def run(name: str | None, environment: str | None, target: str | None, *, forever: bool) -> int:
    """Run jobs: one by name, all that are due, or forever. Ends in 1 when one has failed.

    A job runs once at a time, whoever runs it. What a scheduler was running when it died is ended, recorded as lost, and made up for by the
    next one, as `missed` of the job says.
    """
    if name and forever:
        raise UsageError("one job is not run forever", hint="leave NAME or --forever out")
    made = scheduler(environment, target)
    with endable() as asked:
        try:
            if name:
                return Exit.FINE if made.one(name) == "succeeded" else Exit.FINDINGS
            if not forever:
                return Exit.FINE if made.due() else Exit.FINDINGS
            click.echo(f"scheduler {made.store.owner}: {len(made.jobs)} jobs", err=True)
            made.forever()
        except KeyboardInterrupt:
            click.echo("ended", err=True)
            return Exit.FINE if forever else asked.code
    return INTERRUPTED


HISTORY = (
    ("pgcharter jobs history", "the last runs of all jobs"),
    ("pgcharter jobs history nightly-backup --output", "with the end of what each said"),
)


@jobs.command("history", cls=Command, examples=HISTORY)
@click.argument("name", required=False)
@click.option("--most", type=click.IntRange(1, 10000), default=20, show_default=True, help="Runs to show.")
@click.option("--output", "said", is_flag=True, help="With what they said.")
@database_options
@format_option
def history(name: str | None, most: int, environment: str | None, target: str | None, form: str, *, said: bool) -> int:
    """Runs of jobs, the newest first."""
    made = scheduler(environment, target)
    found = made.store.history(name, most)
    made.store.close()
    if form == "json":
        show_json({"format": "pgcharter-job-runs", "version": 1, "runs": [_run_data(r) for r in found]})
    else:
        _tell_runs(found, said=said)
    return Exit.FINE


@jobs.command("pause", cls=Command, examples=(("pgcharter jobs pause nightly-backup", "it is not begun any more"),))
@click.argument("name")
@database_options
def pause(name: str, environment: str | None, target: str | None) -> int:
    """Have a job begun no more. What runs goes on to its end."""
    return _pause(name, environment, target, paused=True)


@jobs.command("resume", cls=Command, examples=(("pgcharter jobs resume nightly-backup", "from its next time on"),))
@click.argument("name")
@database_options
def resume(name: str, environment: str | None, target: str | None) -> int:
    """Have a paused job begun again, from its next time on: what was due meanwhile is not made up for."""
    return _pause(name, environment, target, paused=False)


def _pause(name: str, environment: str | None, target: str | None, *, paused: bool) -> int:
    made = scheduler(environment, target)
    made.pause(name, paused=paused)
    click.echo(f"{name} is {'paused' if paused else 'not paused'}")
    return Exit.FINE


RENDER = (
    ("pgcharter jobs render cron --env production", "lines of a crontab"),
    ("pgcharter jobs render systemd --folder units", "a service and a timer for each job"),
    ("pgcharter jobs render kubernetes --image registry/app:1", "CronJobs"),
)


@jobs.command("render", cls=Command, examples=RENDER)
@click.argument("kind", type=click.Choice(["cron", "systemd", "kubernetes"]))
@click.option("--env", "environment", metavar="NAME", help="Environment that the entries name.")
@click.option("--program", default="pgcharter", show_default=True, help="How pgcharter is called there.")
@click.option("--account", default="", help="Account that runs it, for a file in /etc/cron.d.")
@click.option("--image", default="pgcharter", show_default=True, help="Image of the CronJobs' container.")
@click.option("--secret", default="pgcharter", show_default=True, help="Secret whose keys are its environment variables.")
@click.option("--folder", type=click.Path(file_okay=False), help="Write systemd's units into this folder.")
def render(kind: str, environment: str | None, program: str, account: str, image: str, secret: str, folder: str | None) -> int:
    """Print the jobs as entries of another scheduler. Each runs `pgcharter jobs run NAME`, so history and alarms stay."""
    from pathlib import Path

    from pgcharter.cli.project import charter_here
    from pgcharter.operate import jobs_render
    from pgcharter.policy.jobs_settings import SECTION

    section = charter_here().section(SECTION)
    command = [program, "jobs", "run", *(("--env", environment) if environment else ())]
    if kind == "cron":
        click.echo(jobs_render.cron(section, command, account), nl=False)
    elif kind == "kubernetes":
        click.echo(jobs_render.kubernetes(section, command, image, secret), nl=False)
    else:
        for name, text in jobs_render.systemd(section, command).items():
            if folder:
                Path(folder).mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_text(text, encoding="utf-8")
            else:
                click.echo(f"# {name}\n{text}")
    return Exit.FINE


def _stamp(at: datetime | None) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""


def _word(state: State | None) -> str:
    if state is None:
        return "not begun"
    if state.paused:
        return "paused"
    return "running" if state.owner and not state.over else "lost" if state.over else state.last_status or "waiting"


def _tell_jobs(declared: Sequence[JobTable], states: dict[str, State]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    rows = [("job", "schedule", "next", "state", "last ended")]
    for job in declared:
        s = states.get(job.name)
        following = min(filter(None, (s.next_run, s.again_at))) if s else None
        rows.append(
            (job.name, f"{job.schedule} {job.time_zone}".strip(), _stamp(following), _word(s), _stamp(s.last_ended_at if s else None))
        )
    widths = [max(len(r[i]) for r in rows) for i in range(5)]
    for n, row in enumerate(rows):
        state = states.get(row[0]) if n else None
        style = "dim" if not n else "error" if state and state.failures else ""
        page.line(Styled("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip(), style))
    if not declared:
        page.flow("there is none: write [[jobs.job]] in the charter")
    show(page)


def _tell_runs(found: Sequence[Run], *, said: bool) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    rows = [("began", "job", "state", "took", "why")]
    for r in found:
        took = f"{(r.ended_at - r.started_at).total_seconds():.1f} s" if r.ended_at else ""
        rows.append((_stamp(r.started_at), r.job, r.status, took, r.reason if r.attempt == 1 else f"{r.reason} {r.attempt}"))
    widths = [max(len(r[i]) for r in rows) for i in range(5)]
    for n, row in enumerate(rows):
        cells = [c.rjust(w) if i == 3 else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        bad = n and found[n - 1].status in ("failed", "timed out", "lost", "missed")
        error = found[n - 1].error if n else ""
        page.flow(Styled("  ".join(cells).rstrip(), "error" if bad else "" if n else "dim"), f"  {error}" if error else "", hanging=4)
        if said and n:
            for line in (found[n - 1].output or "").splitlines():
                page.line(Styled(f"    {line}", "dim"))
    show(page)


def _data(job: JobTable, state: State | None) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if state:
        known = {
            "paused": state.paused, "next_run": state.next_run.isoformat(),
            "again_at": state.again_at.isoformat() if state.again_at else None,
            "running": bool(state.owner) and not state.over, "worker": state.owner, "last_status": state.last_status,
            "last_ended_at": state.last_ended_at.isoformat() if state.last_ended_at else None, "failures": state.failures,
        }  # fmt: skip
    return {"name": job.name, "schedule": job.schedule, "time_zone": job.time_zone or None, "state": _word(state), **known}


def _run_data(r: Run) -> dict[str, Any]:
    return {
        "run_id": r.id, "job": r.job, "scheduled_for": r.scheduled_for.isoformat(), "reason": r.reason, "attempt": r.attempt,
        "status": r.status, "worker": r.worker, "started_at": r.started_at.isoformat(),
        "ended_at": r.ended_at.isoformat() if r.ended_at else None,
        "exit_code": r.exit_code, "error": r.error, "output": r.output,
    }  # fmt: skip
