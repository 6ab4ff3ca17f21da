"""Coordinators that die: for each line of JSON that comes in, a process that begins a transaction and kills itself at the point named."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack
from typing import Any

import psycopg

from pgcharter.runtime.twophase import Coordinator


def die(at: str, point: str) -> None:
    if at == point:
        os.kill(os.getpid(), signal.SIGKILL)


def run(log: str, participants: dict[str, str], number: int, at: str) -> None:
    coordinator = Coordinator(log, name="child", system="test", reached=lambda point: die(at, point))
    with ExitStack() as stack:
        conns = {name: stack.enter_context(psycopg.connect(dsn)) for name, dsn in participants.items()}
        with coordinator.transaction(conns):
            for name, conn in conns.items():
                conn.execute("INSERT INTO done VALUES (%s, %s)", (number, name))
            die(at, "worked")
        die(at, "end")


def main() -> None:
    for line in sys.stdin:
        said: Any = json.loads(line)
        child = os.fork()
        if not child:
            try:
                run(**said)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
