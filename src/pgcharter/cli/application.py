"""The application's own part in messaging: `[messaging] app` or `--app`, imported; and workers run until a signal comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.errors import UsageError

if TYPE_CHECKING:
    from pgcharter.runtime.messaging import Messaging, Part

F = TypeVar("F", bound=Callable[..., Any])


def app_option(function: F) -> F:
    """`--app`: another Messaging object than the charter's."""
    return click.option("--app", "app", metavar="MODULE:NAME", help="The application's Messaging object; usually [messaging] app.")(
        function
    )


def application(named: str | None) -> Messaging:
    """The Messaging object that is named, or else the charter's. Raises UsageError, and PgcharterError where its module fails."""
    from pgcharter.cli.project import open_project
    from pgcharter.policy.messaging_settings import SECTION
    from pgcharter.runtime.messaging import Messaging
    from pgcharter.sources.models import imported

    target = named or open_project(Path.cwd()).charter.section(SECTION).app
    if not target:
        raise UsageError("no application is named", hint='write app = "package.module:name" into [messaging], or say --app')
    if ":" not in target:
        raise UsageError(f"{target!r} names no object of a module", hint="write package.module:name")
    found = imported(target)
    if not isinstance(found, Messaging):
        raise UsageError(
            f"{target} is a {type(found).__name__}, and no Messaging", hint="from pgcharter.runtime.messaging import Messaging"
        )
    return found


def serve(messaging: Messaging, dsn: str, parts: Sequence[Part]) -> None:
    """Run workers until Ctrl-C or SIGTERM, which let them finish what they are at; a second one ends them at once."""
    stopping = threading.Event()

    def stop(number: int, _frame: Any) -> None:
        if stopping.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        messaging.serve(dsn, parts, stopping)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
