"""Named places at which a test kills or stops the runner, to prove that a run which ends there is taken up again as if nothing had been."""

from __future__ import annotations

import os
import signal

VARIABLE = "PGCHARTER_FAULT"
"""Environment variable `name[:occurrence[:kill|stop]]`; without it every point is one look into a dictionary."""

POINTS = (
    "locked", "started", "unit", "in transaction", "before commit", "after commit", "before alone", "after alone", "after record",
    "in batch", "after batch", "before sweep", "before finish", "finished",
)  # fmt: skip
"""Every point, in the order in which a run passes them first."""

_passed: dict[str, int] = {}


def point(name: str) -> None:
    """Pass the point; die here by SIGKILL, or stop by SIGSTOP until SIGCONT, when the environment says so."""
    wanted = os.environ.get(VARIABLE)
    if wanted:
        _pass(name, wanted)


def _pass(name: str, wanted: str) -> None:
    where, _, rest = wanted.partition(":")
    occurrence, _, how = rest.partition(":")
    _passed[name] = _passed.get(name, 0) + 1
    if name == where and _passed[name] == int(occurrence or 1):
        os.kill(os.getpid(), signal.SIGSTOP if how == "stop" else signal.SIGKILL)
