"""The process of a run: begun under its watcher, told how long its lease is, ended with all that it began; the end of its output kept."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pgcharter.operate import jobs_child
from pgcharter.redact import redact_sql

TAIL = 16 << 10
"""Bytes of output that are kept, from its end."""


class Process:
    """A command that runs."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], until: float, grace: float) -> None:
        self.stopping = ""
        """Why it is being ended; empty: it is not."""
        self._tail = bytearray()
        self._cut = False
        watcher = [sys.executable, "-I", "-S", str(Path(jobs_child.__file__)), *command]
        self._popen = subprocess.Popen(
            watcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        self._secrets = [v for k, v in {**os.environ, **environment}.items() if len(v) >= 6 and ("PASSWORD" in k or "SECRET" in k)]
        self.lease(until, grace)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def lease(self, until: float, grace: float) -> None:
        """Say until when (seconds of the monotonic clock) it may run unless more is said before; asked to end `grace` seconds earlier."""
        self._say(f"until {until:.3f} {grace:.3f}\n")

    def stop(self, why: str) -> None:
        """Have it ended: SIGTERM, and SIGKILL five seconds later."""
        if not self.stopping:
            self.stopping = why
            self._say("stop\n")

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> int | None:
        """Its exit code, waited for."""
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(seconds)
        return None

    def output(self) -> str:
        """The end of what it said, without passwords; once it has ended."""
        self._reader.join(1.0)
        with suppress(OSError):
            for pipe in filter(None, (self._popen.stdin, self._popen.stdout)):
                pipe.close()
        text = bytes(self._tail).decode(errors="replace").replace("\0", "")
        if self._cut:
            text = "… " + text.partition("\n")[2]
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redact_sql(text).rstrip()

    def _say(self, line: str) -> None:
        with suppress(OSError, ValueError):
            assert self._popen.stdin  # noqa: S101
            self._popen.stdin.write(line.encode())
            self._popen.stdin.flush()

    def _read(self) -> None:
        assert self._popen.stdout  # noqa: S101
        with suppress(OSError, ValueError):
            while piece := os.read(self._popen.stdout.fileno(), 65536):
                self._tail += piece
                if len(self._tail) > TAIL:
                    self._cut = True
                    del self._tail[:-TAIL]
