"""`pgcharter metrics`: what is known of a server as numbers for Prometheus, the alarms over them, and pictures of them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command
from pgcharter.errors import Exit, PgcharterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgcharter.watch.metrics_asking import Exporter
    from pgcharter.watch.model import Check
    from pgcharter.watch.notify_round import Crowd

SERVE = (
    ("pgcharter metrics serve --env production", "http://127.0.0.1:9686/metrics and /healthz"),
    ("pgcharter metrics serve --on env:DATABASE_URL --listen 0.0.0.0 --port 9187", "for everybody in the network, elsewhere"),
    ("curl -s 'http://127.0.0.1:9686/healthz?only=server,connections'", "200, or 503 where one of these families is critical"),
)
PRINT = (("pgcharter metrics print --env production | promtool check metrics", "one look, for a file or a test"),)


@click.group()
def metrics() -> None:
    """What is known of a server as numbers for Prometheus, the alarms over them, and pictures of them."""


@metrics.command("serve", cls=Command, examples=SERVE)
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to answer on.")
@click.option("--port", default=9686, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes one that is free.")
@click.option("--pooler", metavar="DSN", help="PgBouncer's console, or env:VARIABLE.  [default: the charter's pooler_env]")
@click.option("--notify", is_flag=True, help="Tell those whom [[watch.notify]] of the charter names what is wrong.")
@click.option("--every", default="15s", show_default=True, metavar="TIME", help="Time between two rounds, with --notify.")
@database_options
def serve(environment: str | None, target: str | None, listen: str, port: int, pooler: str | None, every: str, *, notify: bool) -> int:
    """Answer /metrics for Prometheus and /healthz for probes, until ended.

    Each fact is asked for at most once in its time (5 s, 1 min or 15 min), however many ask here; what is slow is never waited for longer
    than a scrape may take. /healthz answers 503 where the server cannot be reached or a check is critical.
    """
    from pgcharter.cli.signals import endable
    from pgcharter.measures import seconds
    from pgcharter.watch import metrics_http

    crowd, pause = (_crowd(environment, target) if notify else None), seconds(every, "--every")
    with exporter(environment, target, pooler) as made, metrics_http.listening(made, listen, port) as server, endable():
        if crowd:
            threading.Thread(target=_tell, args=(made, crowd, pause), daemon=True).start()
        host, bound = server.server_address[:2]
        click.echo(f"http://{f'[{host}]' if ':' in host else host}:{bound}/metrics and /healthz, until Ctrl-C", err=True)
        server.serve_forever()
    return Exit.FINE


def _crowd(environment: str | None, target: str | None) -> Crowd:
    """Who is told of this database, each with his address at hand."""
    from pathlib import Path

    from pgcharter.cli.health import _job
    from pgcharter.cli.project import charter_here
    from pgcharter.watch import notify_round, settings

    section = charter_here().section(settings.SECTION)
    if not section.notify:
        raise UsageError("the charter names nobody who is told", hint='[[watch.notify]] with name, kind = "webhook" and to_env')
    notify_round.complete(section.notify)
    job = _job(environment, target, None, (), ())
    path = charter_here().folder / ".pgcharter" / "notify" / (job.state or Path("state.json")).name
    notify_round.read(path)
    return notify_round.Crowd(job.called, section.notify, section.silence, path)


def _tell(made: Exporter, crowd: Crowd, pause: float) -> None:
    """Round after round; what goes wrong in one is said, and the next tries again."""
    from pgcharter.watch.health import utc_now

    def complain(error: PgcharterError) -> None:
        click.echo(f"error: {error}", err=True)

    while True:
        made.ask(60.0)
        try:
            crowd.round(made.health(), utc_now(), complain)
        except PgcharterError as error:
            complain(error)
        time.sleep(pause)


@metrics.command("print", cls=Command, examples=PRINT)
@click.option("--pooler", metavar="DSN", help="PgBouncer's console, or env:VARIABLE.  [default: the charter's pooler_env]")
@database_options
def print_(environment: str | None, target: str | None, pooler: str | None) -> int:
    """Print one look at everything as Prometheus's text."""
    from pgcharter.watch import metrics_http

    with exporter(environment, target, pooler) as made:
        click.echo(metrics_http.text(made), nl=False)
        return Exit.FINE if made.reached else Exit.FAILED


ALERTS = (
    ("pgcharter metrics alerts --write monitoring/rules", "files for Prometheus's rule_files, and unit tests for promtool beside them"),
    ("promtool test rules monitoring/rules/*.test.yml", "proves that each of them is quiet, fires and clears"),
)


@metrics.command("alerts", cls=Command, examples=ALERTS)
@click.option(
    "--write", "folder", metavar="FOLDER", help="Write files into this folder; those of earlier times that are no more are removed."
)
@click.option("--runbooks", default="", metavar="URL", help="Where docs/reference/checks can be read: each alarm names its place there.")
def alerts_(folder: str | None, runbooks: str) -> int:
    """Write alarms for Prometheus: the checks of `pgcharter health`, with the charter's thresholds, and unit tests for each.

    Both severities of a check have one name: let the graver one silence the other (an inhibit_rule of Alertmanager on alertname).
    """
    from pathlib import Path

    from pgcharter.watch import alerts, alerts_cases, registry

    known = registry.load().collectors
    made = alerts.alerts(_checks(), known, runbooks)
    if folder is None:
        click.echo("".join(alerts.files(made).values()), nl=False)
        return Exit.FINE
    files = {**alerts.files(made), **alerts_cases.files(made, known)}
    _write(Path(folder), files, alerts.NOTICE)
    click.echo(f"{len(made)} rules in {len(alerts.files(made))} files, with tests for promtool: {folder}")
    return Exit.FINE


def _checks() -> tuple[Check, ...]:
    from pgcharter.cli.project import charter_here
    from pgcharter.watch import registry, settings
    from pgcharter.watch.health import utc_now

    return settings.effective(registry.load().checks.values(), charter_here().section(settings.SECTION), utc_now().date())


def _write(folder: Path, files: Mapping[str, str], notice: str) -> None:
    """Write files, and remove those that we wrote once and are none any more. Raises PgcharterError."""
    from pgcharter.errors import PgcharterError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.yml"):
            if old.name not in files and old.read_text(encoding="utf-8", errors="replace").startswith(notice):
                old.unlink()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PgcharterError(f"{folder} cannot be written: {error.strerror}") from None


DASHBOARD = (("pgcharter metrics dashboard > pgcharter.json", "for Grafana: Dashboards, New, Import"),)


@metrics.command("dashboard", cls=Command, examples=DASHBOARD)
def dashboard_() -> int:
    """Print a dashboard for Grafana: a row for each family, a picture for each check, with its unit and the charter's thresholds."""
    from pgcharter.cli.output import show_json
    from pgcharter.watch import dashboard, registry

    known = registry.load()
    show_json(dashboard.dashboard(known.families, _checks(), known.collectors))
    return Exit.FINE


def exporter(environment: str | None, target: str | None, pooler: str | None) -> Exporter:
    """What is exported of a database, as the charter wants it."""
    from pgcharter.cli.health import _job
    from pgcharter.watch import registry
    from pgcharter.watch.metrics_asking import Exporter, needed

    job = _job(environment, target, pooler, (), ())
    return Exporter(job.target, needed(job.checks, registry.load()), job.checks)
