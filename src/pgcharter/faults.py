"""Named places at which a test kills or stops a process, to prove that what ends there is taken up again as if nothing had been."""

from __future__ import annotations

import os
import signal

VARIABLE = "PGCHARTER_FAULT"
"""Environment variable `name[:occurrence[:kill|stop]]`; without it every point is one look into a dictionary."""

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
