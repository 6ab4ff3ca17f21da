"""What a run of migrations tells as it goes: lines on stderr, one that rewrites itself on a terminal, the SQL of a dry run on stdout."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.output import screen
from pgcharter.redact import redact_sql
from pgcharter.render.migrations import took
from pgcharter.render.page import Page, Styled, clean

if TYPE_CHECKING:
    from pgcharter.migrate import watch
    from pgcharter.migrate.endings import Outcome

EVERY = 5.0
"""Seconds between two lines of progress where nobody watches."""


class Voice:
    """Tells the events of a run; with `quiet` only what a person must know."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.live = sys.stderr.isatty()
        self._told = time.monotonic()
        self._open = False

    def __call__(self, event: watch.Event) -> None:
        """Tell one event. Whoever listened may be gone (`| head`, a lost terminal): that must not end a migration in the middle."""
        with contextlib.suppress(OSError):
            getattr(self, f"_{type(event).__name__.lower()}", lambda _: None)(event)

    def _line(self, text: str, *, style: str = "") -> None:
        self._close()
        page = Page(screen(sys.stderr))
        page.line(Styled(text, style) if style else text)
        click.echo(page.text(), err=True, nl=False)

    def _progress(self, text: str) -> None:
        """A passing word: rewritten in place on a terminal, told now and then elsewhere."""
        if self.live:
            click.echo(f"\r\x1b[2K  {clean(text)[: screen(sys.stderr).width - 3]}", err=True, nl=False)
            self._open = True
        elif time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            self._line(f"  {text}")

    def _close(self) -> None:
        if self._open:
            click.echo("\r\x1b[2K", err=True, nl=False)
            self._open = False

    def _runnerwaits(self, event: watch.RunnerWaits) -> None:
        who = "; ".join(map(str, event.holders)) or "somebody"
        self._progress(f"another runner is at work, waited {event.waited:.0f} of {event.limit:.0f} s: {who}")

    def _begun(self, event: watch.Begun) -> None:
        if event.first:
            self._line(f"  {event.migration.title} goes on with part {event.first + 1} of {event.units}")
        elif self.live:
            self._progress(f"{event.migration.title} …")

    def _waits(self, event: watch.Waits) -> None:
        who = "; ".join(map(str, event.blockers)) or "a lock"
        self._progress(f"{event.migration.title} has waited {event.waited:.1f} s for {who}")

    def _retries(self, event: watch.Retries) -> None:
        left = took(round(event.left * 1000))
        self._line(
            f"  {event.migration.title} gave way ({event.why}) and tries again in {event.pause:.1f} s, for {left} at most", style="warning"
        )
        for one in event.blockers:
            self._line(f"    {one}", style="dim")

    def _terminated(self, event: watch.Terminated) -> None:
        self._line(f"  ended, because it stood in the way: {event.session}", style="warning")

    def _advances(self, event: watch.Advances) -> None:
        share = f" {100 * event.done / event.total:.0f} %" if event.total else ""
        self._progress(f"{event.migration.title}: {event.command} {event.relation}, {event.phase}{share}")

    def _batchdone(self, event: watch.BatchDone) -> None:
        share = f"{100 * event.share:.0f} % " if event.share is not None else ""
        left = f", {took(round(event.remaining * 1000))} left" if event.remaining is not None else ""
        self._progress(f"{event.migration.title}: {event.table} {share}({event.rows:,} rows changed), {event.rate:,.0f} rows/s{left}")

    def _paused(self, event: watch.Paused) -> None:
        self._line(f"  {event.migration.title} pauses: {'; '.join(event.reasons)}", style="warning")

    def _resumed(self, event: watch.Resumed) -> None:
        self._line(f"  {event.migration.title} goes on after {event.paused:.0f} s")

    def _unitdone(self, event: watch.UnitDone) -> None:
        if event.found:
            self._line(f"  {event.migration.title}, part {event.number + 1}: {event.found}")

    def _finished(self, event: watch.Finished) -> None:
        self._close()
        if not self.quiet:
            mark = "✔" if event.direction == "up" else "↓"
            page = Page(screen())
            took_it = took(round(event.seconds * 1000))
            page.line(Styled(mark.replace("↓", "→"), "good"), f" {event.migration.title}  ", Styled(took_it, "dim"))
            click.echo(page.text(), nl=False)

    def _planned(self, event: watch.Planned) -> None:
        if self.quiet:
            return
        if event.number == 0:
            click.echo(f"-- {clean(event.migration.title)}: {clean(event.migration.file)}")
        for statement in map(redact_sql, event.statements):
            click.echo(statement + ("" if statement.lstrip().startswith("--") else ";"))
        click.echo()

    def _note(self, event: watch.Note) -> None:
        self._line(f"  {event.message}" + (f" ({event.hint})" if event.hint else ""))


def outcome_data(outcome: Outcome, direction: str) -> dict[str, Any]:
    """Document `pgcharter-migrate-run`."""
    return {
        "format": "pgcharter-migrate-run",
        "version": 1,
        "direction": direction,
        "status": outcome.status,
        "applied": [m.title for m in outcome.applied],
        "skipped": [m.title for m in outcome.skipped],
        "at": outcome.migration.title if outcome.migration else None,
        "unit": outcome.number + 1 if outcome.migration else None,
        "units": outcome.units or None,
        "reason": outcome.reason or None,
        "message": outcome.message,
        "hint": outcome.hint or None,
        "place": outcome.place or None,
        "sqlstate": outcome.sqlstate or None,
        "blockers": [asdict(b) for b in outcome.blockers],
        "planned": [
            {"migration": p.migration.title, "unit": p.number + 1, "statements": [redact_sql(s) for s in p.statements]}
            for p in outcome.planned
        ],
    }
