"""`pgcharter health`: how a running server is, what is wrong with it and what to do; what could not be seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, PgcharterError, UsageError

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.watch.collecting import Target, Watcher
    from pgcharter.watch.collecting_asked import Backups
    from pgcharter.watch.judging import Past
    from pgcharter.watch.model import Check, Health
    from pgcharter.watch.settings import WatchSection

LEVELS = ("info", "warning", "critical")
EXAMPLES = (
    ("pgcharter health --env production", "everything; ends in 1 when something is a warning or worse"),
    ("pgcharter health --env production --only replication --only slots", "two families"),
    ("pgcharter health --on env:DATABASE_URL --nagios", "one line, and 0, 1, 2 or 3, for Nagios, Icinga and probes"),
    ("pgcharter health --env production --watch", "again and again, until Ctrl-C"),
    ("pgcharter health explain locks.waiting", "why a check matters, its thresholds, what it asks, what to do"),
)


class _Group(Command, click.Group):
    """A command with its own result, and others below it."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        click.Group.format_options(self, ctx, formatter)


@dataclass(frozen=True)
class _Job:
    """What is looked at, and what is told of it."""

    called: str
    target: Target
    checks: tuple[Check, ...]
    state: Path | None
    form: str = "text"
    fail_on: str = "warning"
    nagios: bool = False
    everything: bool = False


@click.group("health", cls=_Group, examples=EXAMPLES, invoke_without_command=True)
@click.option("--only", multiple=True, metavar="WORD", help="Only this family or check; as often as you like.")
@click.option("--skip", multiple=True, metavar="WORD", help="Not this family or check; as often as you like.")
@click.option("--all", "everything", is_flag=True, help="Also list what is fine.")
@click.option(
    "--fail-on", type=click.Choice((*LEVELS, "never")), default="warning", show_default=True, help="Level from which on it ends in 1."
)
@click.option("--nagios", is_flag=True, help="One line and the exit codes of Nagios: 0 ok, 1 warning, 2 critical, 3 unknown.")
@click.option("--watch", is_flag=True, help="Look again and again, until ended.")
@click.option("--every", default="5s", show_default=True, metavar="TIME", help="Time between two looks, with --watch.")
@click.option("--pooler", metavar="DSN", help="PgBouncer's console, or env:VARIABLE.  [default: the charter's pooler_env]")
@click.option("--state", metavar="FILE", help="Where counters are remembered.  [default: .pgcharter/health/ beside the charter]")
@click.option("--no-state", is_flag=True, help="Remember nothing: what is about growth cannot be told then.")
@database_options
@format_option
@click.pass_context
def health(
    ctx: click.Context,
    environment: str | None,
    target: str | None,
    form: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    fail_on: str,
    every: str,
    pooler: str | None,
    state: str | None,
    *,
    everything: bool,
    nagios: bool,
    watch: bool,
    no_state: bool,
) -> int | None:
    """Say how a running server is: what is wrong, how bad, since when, and what to do; then what could not be seen, and why.

    It looks with the rights it has: GRANT pg_monitor is enough for nearly everything. What is about growth takes a second look.
    """
    if ctx.invoked_subcommand:
        return None
    from pgcharter.measures import seconds
    from pgcharter.watch.collecting import Watcher

    pause = seconds(every, "--every")
    job = _job(environment, target, pooler, only, skip)
    where = None if no_state else Path(state) if state else job.state
    job = replace(job, state=where, form=form, fail_on=fail_on, nagios=nagios, everything=everything)
    with Watcher(job.target) as watcher:
        return _again(watcher, job, pause) if watch else _once(watcher, job)


def looked(environment: str | None, target: str | None) -> Health:
    """All checks of a database, as `pgcharter health` looks at them. Raises UsageError."""
    from pgcharter.watch.collecting import Watcher

    job = _job(environment, target, None, (), ())
    with Watcher(job.target) as watcher:
        return _look(watcher, job)


def _job(environment: str | None, target: str | None, pooler: str | None, only: tuple[str, ...], skip: tuple[str, ...]) -> _Job:
    """What the command line and the charter mean. Raises UsageError."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.watch import registry, settings
    from pgcharter.watch.collecting import Target
    from pgcharter.watch.health import utc_now

    charter = charter_here()
    named, dsn = migrating.database(environment, target)
    section = charter.section(settings.SECTION)
    checks = settings.effective(registry.load().chosen(only, skip), section, utc_now().date())
    if not checks:
        raise UsageError("no check is left", hint="`pgcharter health list` shows all")
    path = charter.folder / ".pgcharter" / "health" / f"{_file_name(named, dsn)}.json"
    place = Target(dsn, _console(section, pooler), _backups(charter), section.databases)
    return _Job(migrating.called(named, dsn), place, checks, path)


def _console(section: WatchSection, pooler: str | None) -> str:
    """Connection string of PgBouncer's console; empty: none is named. Raises UsageError for a variable that is not set."""
    import os

    from pgcharter.sources import address

    if pooler:
        return address(pooler)
    if section.pooler_env and not os.environ.get(section.pooler_env):
        raise UsageError(f"[watch] pooler_env names the variable {section.pooler_env}, which is not set")
    return os.environ[section.pooler_env] if section.pooler_env else ""


_WORDS = {"hourly": 3600.0, "daily": 86400.0, "weekly": 7 * 86400.0, "monthly": 31 * 86400.0}


def _backups(charter: Charter) -> Backups | None:
    """The repository that `[backup]` declares."""
    from pgcharter.watch.collecting_asked import Backups

    section: Any = charter.sections.get("backup")
    if section is None or not section.repository:
        return None
    return Backups(charter.folder / section.repository, _WORDS.get(section.full, 0.0))


def _file_name(named: str, dsn: str) -> str:
    import hashlib

    from pgcharter.redact import redact

    return named or hashlib.sha256(redact(dsn).encode()).hexdigest()[:12]


def _look(watcher: Watcher, job: _Job) -> Health:
    from pgcharter.watch import health as looking
    from pgcharter.watch.judging import Past

    past: Past = looking.read_state(job.state) if job.state else Past()
    found, past = looking.look(watcher, job.checks, past, looking.utc_now())
    if job.state:
        looking.write_state(job.state, past)
    return found


def _once(watcher: Watcher, job: _Job) -> int:
    from pgcharter.cli import health_show

    found = _look(watcher, job)
    _keep(job, found)
    if job.nagios:
        line, code = health_show.nagios(found)
        click.echo(line)
        return code
    if job.form == "json":
        show_json(health_show.data(job.called, job.checks, found))
    else:
        show(health_show.page(screen(), job.called, job.checks, found, everything=job.everything))
    return _code(found, job.fail_on)


def _keep(job: _Job, found: Health) -> None:
    """Keep what was seen as evidence, where the charter says `[evidence]`."""
    from pgcharter.cli import proofs

    proofs.keep(job.target.dsn, proofs.of_health(found))


def _code(found: Health, fail_on: str) -> int:
    from pgcharter.watch.model import Level

    return Exit.FINDINGS if fail_on != "never" and found.worst >= Level[fail_on.upper()] else Exit.FINE


def _again(watcher: Watcher, job: _Job, pause: float) -> int:
    """Look until interrupted; on a terminal each look takes the place of the one before."""
    import sys

    clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() and job.form == "text" else ""
    while True:
        click.echo(clear, nl=False)
        try:
            _once(watcher, job)
        except PgcharterError as error:
            if isinstance(error, UsageError):
                raise
            click.echo(f"error: {error}", err=True)
        sys.stdout.flush()
        time.sleep(pause)


def complete_checks(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Ids of checks, for shell completion."""
    from pgcharter.watch import registry

    return [id_ for id_ in registry.load().checks if id_.startswith(incomplete)]


EXPLAIN = (
    ("pgcharter health explain slots.retained", "why, thresholds, SQL, remedy"),
    ("pgcharter health explain slots.retained --format json", "the same for a program"),
)


@health.command("explain", cls=Command, examples=EXPLAIN)
@click.argument("check", shell_complete=complete_checks)
@format_option
def explain(check: str, form: str) -> int:
    """Say why a check matters, when it is a warning, what it asks the server and what to do."""
    from pgcharter.cli import health_show
    from pgcharter.watch import registry

    one = registry.check(check)
    if form == "json":
        show_json(health_show.explained(one))
    else:
        show(health_show.explanation(screen(), one))
    return Exit.FINE


LIST = (
    ("pgcharter health list", "all checks with their thresholds"),
    ("pgcharter health list --only replication", "of one family"),
)


@health.command("list", cls=Command, examples=LIST)
@click.option("--only", multiple=True, metavar="WORD", help="Only this family or check; as often as you like.")
@format_option
def list_(form: str, only: tuple[str, ...]) -> int:
    """List the checks, with the project's thresholds."""
    from pgcharter.cli import health_show
    from pgcharter.cli.project import charter_here
    from pgcharter.watch import registry, settings
    from pgcharter.watch.health import utc_now

    checks = settings.effective(registry.load().chosen(only), charter_here().section(settings.SECTION), utc_now().date())
    if form == "json":
        show_json({"format": "pgcharter-health-checks", "version": 1, "checks": [health_show.explained(c) for c in checks]})
    else:
        show(health_show.table(screen(), checks))
    return Exit.FINE
