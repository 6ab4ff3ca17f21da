"""Waiting for log to arrive in the repository, and why it does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pgcharter.errors import PgcharterError
from pgcharter.operate import backup_server, backup_wal
from pgcharter.operate.backup_model import Advance
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_wal import Segment


def await_segments(
    repository: Repository, wanted: Sequence[Segment], limit: float, why: Callable[[str], str], advance: Advance, *, pause: float = 0.05
) -> None:
    """Return when the log is there. Raises PgcharterError with the reason the server gives when it does not come in time."""
    deadline = time.monotonic() + limit
    left = list(wanted)
    while True:
        left = [s for s in left if backup_wal.stored(repository, s.name) is None]
        advance("waiting for the log", len(wanted) - len(left), len(wanted))
        if not left:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(pause)
        pause = min(pause * 1.2, 1.0)
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    raise PgcharterError(
        f"segment {left[0].name}{more} of the log did not arrive in the repository within {limit:.0f} s: {why(left[0].name)}",
        hint="pgcharter backup check says what is wrong with archiving",
    )


def why_late(conn: Any, name: str) -> str:
    """What the server says of its archiver, when segment `name` has not come."""
    try:
        _, last, _, failures, failed, at, _, failing = backup_server.ask(conn, "archiver")[0]
        mode = backup_server.ask(conn, "facts")[0][9]
    except Exception as error:  # the sentence is about the log, not about this
        return f"and the server does not say why ({type(error).__name__})"
    if mode == "off":
        return "archive_mode is off"
    if failing:
        return f"archive_command fails ({failures} times, last for {failed} at {at:%H:%M:%S}); the server's log says why"
    if not last:
        return "nothing was ever archived"
    if last[:24] < name:
        return f"the archiver has come as far as {last}: it is slower than the log is written"
    return f"the server takes {last} for archived: its archive_command says yes without storing anything here"
