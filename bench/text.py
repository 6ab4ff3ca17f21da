"""Text-level check of 700 small SQL files, cold, beside squawk."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.migrations import write

FILES, ROUNDS = 700, 5
LIMIT_SECONDS, LIMIT_PER_STATEMENT = 0.6, 0.15

_PROGRAM = "import sys; from pgcharter.cli import main; sys.argv[0] = 'pgcharter'; main()"


def run(files: int = FILES) -> None:
    """Write the files, check them both ways, print wall times and the time a statement takes beyond start-up."""
    with tempfile.TemporaryDirectory() as name:
        folder, few = Path(name) / "many", Path(name) / "one"
        folder.mkdir()
        few.mkdir()
        statements = write(folder, files)
        write(few, 1)
        ours = [sys.executable, "-c", _PROGRAM, "check", "--no-server", "--fail-on", "never", "-q"]
        squawk = [str(Path(sys.executable).parent / "squawk"), *sorted(str(p) for p in folder.iterdir())]
        our_time, start_up = _best([*ours, str(folder)]), _best([*ours, str(few)])
        their_time = _best(squawk)
    each = (our_time - start_up) / statements * 1000
    print(f"{files} files, {statements:,} statements; best of {ROUNDS}")
    print(f"{'pgcharter --no-server':24}{our_time:>8.2f} s   aim: ≤ {LIMIT_SECONDS} s cold")
    print(f"{'  of it start-up':24}{start_up:>8.2f} s")
    print(f"{'  a statement':24}{each:>8.3f} ms  aim: ≤ {LIMIT_PER_STATEMENT} ms")
    print(f"{'squawk':24}{their_time:>8.2f} s")
    print(f"{'ratio':24}{their_time / our_time:>8.2f}     (squawk's time divided by ours)")


def _best(command: list[str]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        times.append(time.perf_counter() - start)
        if done.returncode > 1:
            raise RuntimeError(done.stderr.decode())
    return min(times)
