"""`pgcharter migrate pause`, `resume` and `stop`: for runs at work in a database, from any terminal; and who is at work, for `status`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli import migrating
from pgcharter.cli.output import Command, format_option, screen, show_json
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.control import Request, Word
    from pgcharter.migrate.problems import Problem
    from pgcharter.render.runs import Run

_env_option = click.option("--env", "environment", metavar="NAME", help="Database of this environment of the charter.")
_on_option = click.option("--on", "target", metavar="DSN", help="Database: a connection string, or env:VARIABLE.")
_reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; it is shown to everyone and recorded.")
LIVE = 1.0
"""Seconds between two looks of `status --watch`."""

PAUSE = (("pgcharter migrate pause --env production --reason 'checkout is slow'", "the run at work waits, and so do those that come"),)


@click.command("pause", cls=Command, examples=PAUSE)
@_reason_option
@_env_option
@_on_option
@format_option
def pause(reason: str, environment: str | None, target: str | None, form: str) -> int:
    """Let runs of migrations in a database wait: between two batches or parts, and before the first. Holds until `resume`."""
    return _ask("pause", reason, environment, target, form)


RESUME = (("pgcharter migrate resume --env production", "what was paused goes on"),)


@click.command("resume", cls=Command, examples=RESUME)
@_reason_option
@_env_option
@_on_option
@format_option
def resume(reason: str, environment: str | None, target: str | None, form: str) -> int:
    """Let runs of migrations go on that were paused."""
    return _ask("resume", reason, environment, target, form)


STOP = (
    ("pgcharter migrate stop --env production", "after the batch or part at work; `migrate up` goes on there later"),
    ("pgcharter migrate stop --now --wait 1min", "cancel the statement at work, and wait for the end"),
)


def _duration(_ctx: click.Context, _parameter: click.Parameter, value: str) -> float:
    from pgcharter.measures import seconds

    return seconds(value, "--wait")


@click.command("stop", cls=Command, examples=STOP)
@click.option("--now", is_flag=True, help="Cancel the statement at work, as Ctrl-C does, instead of waiting for its end.")
@click.option("--wait", callback=_duration, metavar="TIME", default="10s", show_default=True, help="How long to wait until it has ended.")
@_reason_option
@_env_option
@_on_option
@format_option
def stop(now: bool, wait: float, reason: str, environment: str | None, target: str | None, form: str) -> int:
    """End the runs of migrations that are at work in a database, where nothing is lost. `migrate up` goes on there later.

    Exit codes: 0 none is at work any more, 4 one was still at work after --wait: it ends after its statement.
    """
    return _ask("stop now" if now else "stop", reason, environment, target, form, wait)


def _ask(word: Word, reason: str, environment: str | None, target: str | None, form: str, wait: float = 0.0) -> int:
    from pgcharter.migrate import control
    from pgcharter.render.page import clean

    named, dsn = migrating.database(environment, target)
    place = migrating.called(named, dsn)
    with migrating.connected(dsn) as conn:
        found, before = runs(conn), control.paused(conn)
        stops = word.startswith("stop")
        nothing = (stops and not found) or (word == "resume" and before is None)
        request = None if nothing else control.ask(conn, word, reason)
        left = _ended(conn, found, wait) if stops and found else found
    sentence = _nothing(word, place) if nothing else _sentence(word, place, found, left, before)
    if form == "json":
        show_json(_data(request, found if word != "stop" else left, sentence))
    else:
        click.echo(clean(sentence))
    return Exit.REFUSED if stops and left else Exit.FINE


def _data(request: Request | None, found: Sequence[Run], sentence: str) -> dict[str, Any]:
    asked = (
        {"request": request.word, "at": request.at.isoformat(), "by": request.by, "role": request.role, "reason": request.reason}
        if request
        else None
    )
    return {
        "format": "pgcharter-migrate-request",
        "version": 1,
        "request": asked,
        "runners": [asdict(run) for run in found],
        "message": sentence,
    }


def _nothing(word: Word, place: str) -> str:
    if word == "resume":
        return f"nothing to do: no run on {place} is paused"
    return f"nothing to do: no run is at work on {place}"


def _sentence(word: Word, place: str, found: Sequence[Run], left: Sequence[Run], before: Request | None) -> str:
    who = "; ".join(_who(run) for run in left)
    if word == "pause":
        again = f" (it was paused already: {before})" if before else ""
        at_work = f"{who} waits after its batch or part" if found else "no run is at work, and those that come wait before they begin"
        return f"paused on {place}{again}: {at_work}; to go on: pgcharter migrate resume"
    if word == "resume":
        return f"resumed on {place}: {f'{who} goes on' if found else 'no run is at work'}; it was paused because {before}"
    if left:
        how = "ends after the statement at work; --now cancels that" if word == "stop" else "has not ended yet"
        return f"asked on {place}: {who} {how}"
    return f"stopped on {place}: {'; '.join(_who(run) for run in found)} has ended; pgcharter migrate up goes on where it was"


def _who(run: Run) -> str:
    at = f" at {run.migration}" + (f" part {run.unit} of {run.units}" if run.units > 1 else "") if run.migration else ""
    return f"the run of {run.by or run.role or 'somebody'} (pid {run.pid}){at}"


def _ended(conn: Connection, found: Sequence[Run], wait: float) -> list[Run]:
    """Those of `found` that are still at work after `wait` seconds."""
    until, pids = time.monotonic() + wait, {run.pid for run in found}
    while True:
        left = [run for run in runs(conn) if run.pid in pids]
        if not left or time.monotonic() >= until:
            return left
        time.sleep(0.2)


def runs(conn: Connection) -> list[Run]:
    """The runs at work, as they are shown."""
    from pgcharter.migrate import control
    from pgcharter.render.runs import Run

    now, made = datetime.now(UTC), []
    for r in control.runners(conn):
        started = r.started.astimezone(UTC) if r.started else now
        made.append(
            Run(
                r.pid, r.role, r.by, f"{started:%Y-%m-%d %H:%M} UTC", max(0.0, (now - started).total_seconds()),
                max(0.0, (now - r.said).total_seconds()) if r.said else None, r.schema, r.direction, **r.progress.data(),
            )
        )  # fmt: skip
    return made


def paused(conn: Connection) -> str:
    """Who has runs in this database wait, since when and why; empty when nobody has."""
    from pgcharter.migrate import control

    found = control.paused(conn)
    return str(found) if found else ""


def judged(found: Sequence[Problem], at_work: Sequence[Run]) -> list[Problem]:
    """Problems without those that are a run at work; where none is, what did not end has died."""
    made = []
    for p in found:
        run = p.entry.unfinished if p.kind == "unfinished" and p.entry else None
        if run is None or run.outcome != "running" or run.error:
            made.append(p)
        elif not at_work:
            made.append(replace(p, message=p.message.replace("it is at work, or it died", "it died, for no run is at work")))
        elif p.entry is None or p.entry.title not in [r.migration for r in at_work]:
            made.append(p)
    return made


def watch(conn: Connection) -> None:
    """Show who is at work until nobody is: rewritten on a terminal, a page now and then elsewhere."""
    from pgcharter.render import runs as render
    from pgcharter.render.page import Page

    height, live = 0, sys.stdout.isatty()
    while found := runs(conn):
        page = Page(screen())
        render.runs(page, found, paused(conn))
        text = page.text()
        click.echo((f"\x1b[{height}F\x1b[0J" if live and height else "") + text, nl=False)
        height = text.count("\n")
        time.sleep(LIVE if live else 5 * LIVE)
