"""Folders of throwaway servers: private, short, and swept away when the process that made them is gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.servers import datafolder, processes
from pgcharter.servers.account import Account

_PREFIX = "pgc-"
_LONGEST = 107 - len("/s/.s.PGSQL.65535.lock")
"""Longest folder that still holds a Unix socket: sun_path has 108 bytes on Linux, one of them the terminator (104 on macOS)."""


def private(who: Account) -> Path:
    """A new folder of mode 0700 that `who` owns and can enter, short enough to hold a Unix socket. Raises PgcharterError if none can be."""
    tried = []
    for parent in _parents():
        path = parent / f"{_PREFIX}{secrets.token_hex(4)}"
        if len(os.fsencode(path)) > _LONGEST - 4:
            tried.append(f"{parent}: too long for a socket")
            continue
        try:
            who.make_folder(path)
        except OSError as error:
            tried.append(f"{parent}: {error.strerror}")
            continue
        if who.can_enter(path):
            return path
        remove(path)
        tried.append(f"{parent}: account {who.name} cannot enter it")
    raise PgcharterError(
        f"no temporary folder for a server could be made ({'; '.join(tried)})", hint="set TMPDIR to a short writable folder"
    )


def hold(folder: Path) -> int:
    """Mark a folder as in use by this process for as long as it lives; returns the descriptor that holds the mark."""
    new = folder / "lock.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    new.rename(folder / "lock")
    return descriptor


def sweep(who: Account) -> None:
    """Remove what throwaway servers left behind whose process and watchdog were both killed."""
    for folder in _abandoned(who):
        data = folder / "data"
        said = datafolder.read_pid_file(data)
        with contextlib.suppress(PgcharterError):
            if said and processes.is_postmaster(said.pid, data):
                processes.end(said.pid, data, (signal.SIGQUIT, 8.0), (signal.SIGKILL, 3.0))
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder of ours and what is in it; harmless when it is gone."""
    shutil.rmtree(folder, ignore_errors=True)


def _parents() -> list[Path]:
    return [path for path in map(Path, dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"])) if path.is_dir()]  # noqa: S108


def _abandoned(who: Account) -> Iterator[Path]:
    """Folders made by `hold` whose mark nobody holds any more, and socket folders of servers that were killed."""
    for parent in _parents():
        with contextlib.suppress(OSError, ValueError):
            for folder in parent.glob(f"{_PREFIX}*"):
                entry = folder.lstat()
                ours = stat.S_ISDIR(entry.st_mode) and entry.st_uid == who.uid
                if ours and (released(folder / "lock") or _holds_dead_socket(folder)):
                    yield folder


def _holds_dead_socket(folder: Path) -> bool:
    """The lock file beside a socket names the server's process and data folder in its first two lines."""
    for lock in folder.glob(".s.PGSQL.*.lock"):
        pid, data = lock.read_text(encoding="utf-8", errors="replace").splitlines()[:2]
        return not processes.is_postmaster(int(pid), Path(data))
    return False


def released(lock: Path) -> bool:
    """Whether nobody holds a lock file: whoever did has ended, however that was."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
