"""Progress of work that is counted, on stderr: a bar with rate and remaining time where someone watches, else a line now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str, int, int], None]
"""Told `(unit, done, total)`."""

LINE_SECONDS = 3.0
"""How often a line is written where nobody watches."""


@contextmanager
def counting(title: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """Show how far the work inside is."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(title) as advance:
            yield advance
    else:
        yield _lines(title, clock)


def _lines(title: str, clock: Callable[[], float]) -> Advance:
    first: tuple[float, int] | None = None
    told = float("-inf")

    def advance(unit: str, done: int, total: int) -> None:
        nonlocal first, told
        now = clock()
        first = first or (now, done)
        if now - told < LINE_SECONDS and done < total:
            return
        told = now
        print(f"{title}: {done:,} of {total:,} {unit}{_pace(first, (now, done), total)}", file=sys.stderr, flush=True)

    return advance


def _pace(start: tuple[float, int], now: tuple[float, int], total: int) -> str:
    """Rate and remaining time since `start`; empty before there is any."""
    seconds, count = now[0] - start[0], now[1] - start[1]
    if seconds <= 0 or count <= 0:
        return ""
    rate = count / seconds
    left = (total - now[1]) / rate
    return f", {rate:,.0f}/s" + (f", {left:.0f} s left" if left >= 1 else "")


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Work done in a second."""

        def render(self, task: Task) -> Text:
            """Text of the column."""
            return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="cyan")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1, start=False, visible=False)

        def advance(unit: str, done: int, total: int) -> None:
            if not bar.tasks[0].started:
                bar.start_task(task)
            bar.update(task, description=f"{title} {unit}", completed=done, total=total, visible=True)

        yield advance
