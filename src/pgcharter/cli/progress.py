"""Progress of long work, on stderr and only where someone watches: a bar with rate and remaining time, or a spinner."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str, int, int], None]
"""Told `(what, done, total)`; `total` 0 means unknown."""


@contextmanager
def progress(title: str) -> Iterator[Advance | None]:
    """Show the progress of the work inside; gives None where nobody watches."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from pgcharter.render.page import clean

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(clean(title), total=None)

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=clean(what), completed=done, total=total or None)

        yield advance
