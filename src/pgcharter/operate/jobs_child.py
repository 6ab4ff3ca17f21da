"""Runs a command in a process group of its own and ends all of it when it has to: told so, its scheduler gone, or its lease over.

Started as a script, without pgcharter's own modules. Reads lines from standard input: `stop`, and `until` with a time of the monotonic
clock and how many seconds before that it is asked to end. The end of standard input means that the scheduler is gone. Ends with the
command's own code, 128 and more for a signal.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""


def main(command: list[str]) -> int:
    """Run the command."""
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(0, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    code = _watched(child, awake)
    with suppress(OSError):  # what it left behind
        os.killpg(child.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _watched(child: subprocess.Popen[bytes], awake: int) -> int:
    until, grace, kill_at, rest, sources = float("inf"), GRACE, float("inf"), b"", [0, awake]
    while True:
        code = child.poll()
        if code is not None:
            return code
        now = time.monotonic()
        if now >= kill_at or now >= until:
            _signal(child, signal.SIGKILL)
            return child.wait()
        if now >= until - grace and kill_at == float("inf"):
            kill_at = until
            _signal(child, signal.SIGTERM)
        wait = min(until - grace if kill_at == float("inf") else kill_at, until, now + 3600) - now
        ready = select.select(sources, [], [], max(wait, 0.01))[0]
        if awake in ready:
            os.read(awake, 4096)
        if 0 not in ready:
            continue
        text = os.read(0, 4096)
        lines = (rest + text).split(b"\n")
        rest = lines.pop()
        ending = not text or b"stop" in lines
        if not text:
            sources = [awake]
        for line in lines:
            if line.startswith(b"until "):
                until, grace = map(float, line[6:].split())
        if ending and kill_at == float("inf"):
            kill_at = min(time.monotonic() + GRACE, until)
            _signal(child, signal.SIGTERM)


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with suppress(OSError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
