"""Runs of migrations at work, as others see them: who, since when, how far, what they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgcharter.render.migrations import took
from pgcharter.render.page import Page, Styled


@dataclass(frozen=True, slots=True)
class Run:
    """A run at work."""

    pid: int
    """Process of the server that holds its lock."""
    role: str
    by: str = ""
    """Account and machine."""
    since: str = ""
    """Day and time in UTC."""
    seconds: float = 0.0
    """How long it has been at work."""
    silent: float | None = None
    """Seconds since it last said how far it is; None when it has not yet."""
    schema: str = ""
    direction: str = ""
    applied: int = 0
    migration: str = ""
    unit: int = 0
    units: int = 0
    doing: str = ""
    phase: str = ""
    rows: int = 0
    done: int = 0
    total: int = 0
    rate: float = 0.0
    remaining: float | None = None
    waits: Sequence[str] = ()
    paused: Sequence[str] = ()


def runs(page: Page, found: Sequence[Run], paused: str) -> None:
    """Who is at work, and by whom runs in this database are paused; nothing when neither is."""
    for run in found:
        page.blank()
        who = " ".join(filter(None, [run.by, f"(role {run.role}, pid {run.pid})" if run.role else f"(pid {run.pid})"]))
        where = f" on schema {run.schema}" if run.schema else ""
        page.flow(Styled("▲ ", "warning"), Styled("at work", "strong"), f"{where} since {run.since} ({_time(run.seconds)}): {who}",
                  indent=2, hanging=2)  # fmt: skip
        for line, style in _lines(run):
            page.flow(Styled(line, style) if style else line, indent=4, hanging=2)
    if paused and not any(run.paused for run in found):
        page.blank()
        page.flow(
            Styled("▲ ", "warning"), Styled("paused", "strong"), f": {paused}; a run waits before it begins anything", indent=2, hanging=2
        )
        page.flow(Styled("to go on: pgcharter migrate resume", "dim"), indent=4)


def _lines(run: Run) -> list[tuple[str, str]]:
    if run.silent is None:
        return [("it has not said yet how far it is", "dim")]
    made = [(f"{run.applied:,} finished", "")] if run.applied else []
    if run.migration:
        part = f", part {run.unit} of {run.units}" if run.units > 1 else ""
        made.append((f"{run.migration}{part}" + (f": {run.doing}" if run.doing else ""), ""))
    made += [(measure, "")] if (measure := far(run)) else []
    made += [(f"pauses: {reason}", "warning") for reason in run.paused]
    made += [(f"waits for {blocker}", "warning") for blocker in run.waits]
    if run.silent > 15:
        made.append((f"it has said nothing for {_time(run.silent)}", "dim"))
    return made


def far(run: Run) -> str:
    """How far the unit at work is: share, numbers, rate, time that remains."""
    share = f"{100 * min(run.done / run.total, 1):.0f} %" if run.total else ""
    parts = [" ".join(filter(None, [run.phase, share]))]
    if run.rate:
        of = f" of about {run.total:,}" if run.total else ""
        parts += [f"{run.done:,}{of} rows passed, {run.rows:,} changed", f"{run.rate:,.0f} rows/s"]
        parts += [f"{_time(run.remaining)} left"] if run.remaining is not None else []
    return ", ".join(filter(None, parts))


def _time(seconds: float) -> str:
    return took(round(seconds) * 1000) if seconds >= 10 else took(round(seconds * 10) * 100)
