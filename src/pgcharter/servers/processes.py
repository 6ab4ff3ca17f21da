"""Server processes that are not our children: is it really this data folder's server, and ending it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.servers import datafolder

_PROC = Path("/proc")


def is_postmaster(pid: int, data: Path) -> bool:
    """Say whether process `pid` lives and is a PostgreSQL process of this data folder (one that has merely got the number is not)."""
    if pid <= 0 or not _lives(pid):
        return False
    if _has_proc():
        return _works_in(pid, data)
    said = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return "postgres" in said


def clear_stale(data: Path) -> None:
    """Remove a `postmaster.pid` that a killed server left behind, once none of its processes is left.

    PostgreSQL removes it by itself only when no process has that number; here the number may belong to another program by now, or to a
    dead process that nobody has reaped. Raises PgcharterError when processes of that server cannot be ended.
    """
    said = datafolder.read_pid_file(data)
    if said is None or is_postmaster(said.pid, data):
        return
    if not _has_proc():
        return
    for how, seconds in ((signal.SIGTERM, 3.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
        deadline = time.monotonic() + seconds
        while left := list(processes_in(data)):
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, how)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
    raise PgcharterError(f"processes of a killed server still use {data}: {', '.join(map(str, processes_in(data)))}", place=str(data))


def end(pid: int, data: Path, *ways: tuple[signal.Signals, float]) -> None:
    """Stop the postmaster `pid` of `data`: each signal in turn, with the seconds it is given. Raises PgcharterError when it stays."""
    for how, seconds in ways:
        if not is_postmaster(pid, data):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + seconds
        while is_postmaster(pid, data) and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(0.01)
    _reap(pid)
    if is_postmaster(pid, data):
        raise PgcharterError(f"the PostgreSQL server in {data} (process {pid}) did not stop", place=str(data))


def _reap(pid: int) -> None:
    """Collect it when it happens to be our child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _lives(pid: int) -> bool:
    """True unless there is no such process or only its unreaped remains."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return not _has_proc()
    return state != "Z"


def _works_in(pid: int, data: Path) -> bool:
    try:
        return (_PROC / str(pid) / "cwd").samefile(data)
    except OSError:
        return False


def processes_in(data: Path) -> Iterator[int]:
    """Processes whose working folder is the data folder, as that of every PostgreSQL process is."""
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and _lives(int(entry.name)) and _works_in(int(entry.name), data):
            yield int(entry.name)


def _has_proc() -> bool:
    return (_PROC / "self" / "stat").exists()
