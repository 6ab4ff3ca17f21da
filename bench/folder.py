"""Catalog findings of a folder of 300 migration files, scratch server included."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.migrations import write

FILES, ROUNDS = 300, 3
LIMIT_SECONDS = 5.0

_PROGRAM = "import sys; from pgcharter.cli import main; sys.argv[0] = 'pgcharter'; main()"


def run(files: int = FILES) -> None:
    """Write the files, check them as a user would, print the wall time and where it goes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        statements = write(folder, files)
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", _PROGRAM, "check", "--fail-on", "never", "-q", str(folder)], check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)  # fmt: skip
            times.append(time.perf_counter() - start)
            if done.returncode > 1:
                raise RuntimeError(done.stderr.decode())
        empty = _scratch_alone()
    print(f"{files} files, {statements:,} statements; best of {ROUNDS}")
    print(f"{'pgcharter check':24}{min(times):>8.2f} s   aim: ≤ {LIMIT_SECONDS} s")
    print(f"{'  of it scratch server':24}{empty:>8.2f} s")


def _scratch_alone() -> float:
    """Start and stop a scratch server with one database and do nothing on it."""
    from pgcharter.servers.scratch import open_scratch

    start = time.perf_counter()
    with open_scratch() as scratch, scratch.database() as database:
        database.conn.execute("SELECT 1")
    return time.perf_counter() - start
