"""Freshly initialised data folders, kept so that a throwaway server is copied instead of made anew.

initdb takes most of the time until a throwaway server answers; copying its result takes a fraction. A template lies in a folder of mode
0700 in our cache together with its superuser's login, is written once and never started.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.servers import account as accounts
from pgcharter.servers import datafolder, folders
from pgcharter.servers.account import Account
from pgcharter.servers.binaries import Installation
from pgcharter.servers.datafolder import Login

_FORM = 3
"""Grows when the way data folders are initialised changes."""

_UNUSED_DAYS = 60
"""After so long without use a template is removed: its PostgreSQL has probably been replaced."""


def initialise(data: Path, installation: Installation, who: Account) -> Login:
    """Make a throwaway data folder: a copy of the template, or by initdb where no template can be kept. Returns its superuser's login."""
    with contextlib.suppress(PgcharterError, OSError):
        template = _place(installation)
        if not template.is_dir():
            _make(template, installation, who)
        login = _copy(template, data, who)
        if login:
            return login
    folders.remove(data)
    login = datafolder.random_login()
    datafolder.initialise(data, installation, who, login, ephemeral=True, stored=datafolder.verifier(login.password))
    return login


def _place(installation: Installation) -> Path:
    program = installation.bin / "postgres"
    stamp = f"{_FORM}\0{program}\0{program.stat().st_mtime_ns}\0{os.environ.get('TZ', '')}"
    name = f"data-{installation.release}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    return accounts.cache_folder() / name


def _make(template: Path, installation: Installation, who: Account) -> None:
    """Initialise once; the template appears whole or not at all, and the first of two processes wins."""
    work = folders.private(who)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=template.parent))
    try:
        login = datafolder.random_login()
        datafolder.initialise(work / "data", installation, who, login, ephemeral=True, stored=datafolder.verifier(login.password))
        shutil.copytree(work / "data", partial / "data", symlinks=True)
        about = {"user": login.user, "password": login.password, "files": _count(partial / "data")}
        datafolder.write_private(partial / "login.json", json.dumps(about))
        with contextlib.suppress(OSError):
            partial.rename(template)
        _forget_unused(template.parent)
    finally:
        folders.remove(work)
        folders.remove(partial)


def _copy(template: Path, data: Path, who: Account) -> Login | None:
    """Copy the template; None, and the template is removed, when something has taken files out of it."""
    file = template / "login.json"
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        login, files = Login(about["user"], about["password"]), about["files"]
    except (OSError, ValueError, KeyError):
        folders.remove(template)
        return None
    os.utime(file)
    if _copied(template / "data", data, who) != files:
        folders.remove(template)
        return None
    return login


def _copied(source: Path, target: Path, who: Account) -> int:
    """Copy a data folder, for `who` alone; returns how many files and folders are in it. Half the time of `copytree` and `chown`."""
    who.make_folder(target)
    count = 0
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                count += _copied(Path(entry.path), target / entry.name, who)
            else:
                _copy_file(entry, f"{target}/{entry.name}", who)
            count += 1
    return count


def _copy_file(entry: os.DirEntry[str], target: str, who: Account) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if entry.stat().st_size:  # every third file of a new database is empty
            rest = Path(entry.path).read_bytes()
            while rest:  # a disk that is nearly full takes a part and refuses the next
                rest = rest[os.write(descriptor, rest) :]
        if who.dropped:
            os.fchown(descriptor, who.uid, who.gid)
    finally:
        os.close(descriptor)


def _forget_unused(cache: Path) -> None:
    for template in cache.glob("data-*"):
        if time.time() - (template / "login.json").stat().st_mtime > _UNUSED_DAYS * 86400:
            folders.remove(template)


def _count(folder: Path) -> int:
    return sum(len(files) + len(inner) for _, inner, files in os.walk(folder))
