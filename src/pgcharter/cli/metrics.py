"""`pgcharter metrics`: what is known of a server as numbers for Prometheus, the alarms over them, and pictures of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.watch.metrics_asking import Exporter

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
@database_options
def serve(environment: str | None, target: str | None, listen: str, port: int, pooler: str | None) -> int:
    """Answer /metrics for Prometheus and /healthz for probes, until ended.

    Each fact is asked for at most once in its time (5 s, 1 min or 15 min), however many ask here; what is slow is never waited for longer
    than a scrape may take. /healthz answers 503 where the server cannot be reached or a check is critical.
    """
    from pgcharter.cli.signals import endable
    from pgcharter.watch import metrics_http

    with exporter(environment, target, pooler) as made, metrics_http.listening(made, listen, port) as server, endable():
        host, bound = server.server_address[:2]
        click.echo(f"http://{f'[{host}]' if ':' in host else host}:{bound}/metrics and /healthz, until Ctrl-C", err=True)
        server.serve_forever()
    return Exit.FINE


@metrics.command("print", cls=Command, examples=PRINT)
@click.option("--pooler", metavar="DSN", help="PgBouncer's console, or env:VARIABLE.  [default: the charter's pooler_env]")
@database_options
def print_(environment: str | None, target: str | None, pooler: str | None) -> int:
    """Print one look at everything as Prometheus's text."""
    from pgcharter.watch import metrics_http

    with exporter(environment, target, pooler) as made:
        click.echo(metrics_http.text(made), nl=False)
        return Exit.FINE if made.reached else Exit.FAILED


def exporter(environment: str | None, target: str | None, pooler: str | None) -> Exporter:
    """What is exported of a database, as the charter wants it."""
    from pgcharter.cli.health import _job
    from pgcharter.watch import registry
    from pgcharter.watch.metrics_asking import Exporter, needed

    (_, _, checks), looked_at = _job(environment, target, pooler, (), ())
    return Exporter(looked_at, needed(checks, registry.load()), checks)
