"""The folder that holds backups, log, marks and evidence of one server. What has no manifest is not a backup.

repository.json                 whose it is, how files are stored
backups/<id>/manifest.json      written last; files beside it are tar archives as PostgreSQL sent them
wal/<timeline>/<segment>.zst    log
marks/<timeline>-<position>.json   rows as they were at a position
evidence/<time>-<name>.json     what was proven
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.findings import Evidence
from pgcharter.operate import backup_files as files
from pgcharter.operate.backup_cipher import Key, KeyPlace
from pgcharter.operate.backup_files import Form
from pgcharter.operate.backup_model import Backup

FORMAT, VERSION = "pgcharter-backup-repository", 1
OLD = 3600.0
"""Seconds after which nobody writes a file of the log any more."""
_ID = re.compile(r"\d{8}T\d{6}Z-(full|incremental|logical)")


@dataclass(frozen=True)
class About:
    """What `repository.json` says."""

    system: str
    """System identifier of the server; nothing of another one comes in."""
    segment: int
    """Bytes of a segment of its log."""
    compression: str
    level: int = 1
    key_id: str = ""
    key_env: str = ""
    key_file: str = ""
    second: str = ""


class Log(Protocol):
    """Log that another program keeps, in its own way."""

    def where(self, name: str) -> Path | None:
        """Where a file of the log lies; None when it is not there."""
        ...

    def names(self) -> Iterator[str]:
        """All segments and histories."""
        ...

    def content(self, path: Path) -> bytes:
        """The content of a file of the log. Raises PgcharterError for a damaged one."""
        ...


@dataclass(frozen=True)
class Repository:
    """A repository that is there."""

    root: Path
    about: About
    key: Key | None = field(default=None, repr=False)
    log: Log | None = field(default=None, repr=False)
    """Who keeps the log; None: it lies in `wal`."""

    @property
    def place(self) -> KeyPlace:
        """Where its key is found."""
        return KeyPlace(self.about.key_env, self.about.key_file)

    @property
    def form(self) -> Form:
        """How its files are written and read. Raises UsageError when its key is gone."""
        return Form(self.about.compression, self.about.level, self.key, self.place)

    @property
    def wal(self) -> Path:
        """Folder of its log."""
        return self.root / "wal"

    def folder(self, backup: str) -> Path:
        """Folder of one backup."""
        return self.root / "backups" / backup

    def seconds(self) -> Repository | None:
        """The repository at the second location; None when there is none. Raises PgcharterError when it is not reachable or another's."""
        if not self.about.second:
            return None
        root = Path(self.about.second)
        if not root.is_dir():
            raise PgcharterError(f"the second location {root} is not there, so nothing would have a copy", place=str(root))
        if not (root / "repository.json").exists():
            _write(root, replace(self.about, second=""))
        found = open_repository(root, key=self.key)
        if found.about.system != self.about.system:
            raise RefusedError(f"the second location {root} holds backups of another server (system {found.about.system})", place=str(root))
        return found

    # --- locks ---

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one who takes, removes or cleans. Raises RefusedError when another is at it."""
        with self._locked("lock", fcntl.LOCK_EX, "another backup is being taken or removed in this repository at this moment"):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep what is there from being removed."""
        with self._locked("reading", fcntl.LOCK_SH, "backups are being removed at this moment"):
            yield

    @contextlib.contextmanager
    def removing(self) -> Iterator[None]:
        """Be sure that nobody reads. Raises RefusedError when somebody does."""
        with self._locked("reading", fcntl.LOCK_EX, "a restore, a drill or a verification reads this repository at this moment"):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, how: int, refusal: str) -> Iterator[None]:
        path = self.root / f".{name}"
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            if new:
                files.own(path)
            try:
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            except OSError:
                raise RefusedError(refusal, place=str(self.root), hint="wait for it, then try again") from None
            yield
        finally:
            os.close(descriptor)

    # --- backups ---

    def backups(self) -> tuple[Backup, ...]:
        """Every backup with a manifest that can be read, oldest first; see `damaged` for the others."""
        return tuple(sorted((b for b in map(self._backup, self._ids()) if b), key=lambda b: (b.ended, b.id)))

    def damaged(self) -> tuple[str, ...]:
        """What stands in the place of a manifest but is none."""
        said = []
        for name in self._ids():
            try:
                self.manifest(name)
            except PgcharterError as error:
                said.append(str(error))
        return tuple(said)

    def leftovers(self) -> tuple[Path, ...]:
        """Folders of backups that were never finished."""
        folder = self.root / "backups"
        found = folder.iterdir() if folder.is_dir() else ()
        return tuple(sorted(p for p in found if p.is_dir() and not (p / "manifest.json").exists()))

    def _ids(self) -> list[str]:
        folder = self.root / "backups"
        found = sorted(folder.glob("*/manifest.json")) if folder.is_dir() else []
        return [p.parent.name for p in found if _ID.fullmatch(p.parent.name)]

    def _backup(self, name: str) -> Backup | None:
        try:
            return self.manifest(name)
        except PgcharterError:
            return None

    def find(self, name: str) -> Backup:
        """The backup of that id, or the newest (`latest`). Raises PgcharterError."""
        there = self.backups()
        for backup in reversed(there):
            if name in (backup.id, "latest"):
                return backup
        if (self.folder(name) / "manifest.json").exists() and _ID.fullmatch(name):
            self.manifest(name)
        known = f"there are: {', '.join(b.id for b in there[-5:])}" if there else "there is none yet: pgcharter backup take"
        raise PgcharterError(f"there is no backup {name}", place=str(self.root), hint=known)

    def manifest(self, name: str) -> Backup:
        """What the manifest of a backup says. Raises PgcharterError for one that is damaged, moved, or not by the key's holder."""
        path = self.folder(name) / "manifest.json"
        damaged = f"the manifest of backup {name} is damaged"
        try:
            data = json.loads(path.read_bytes())
            said = data.pop("seal")
            backup = _backup(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PgcharterError(f"{damaged}: it cannot be read ({type(error).__name__})", place=str(path), hint=_SECOND) from None
        key = str(backup.facts.get("key", ""))
        if said["sha256"] != hashlib.sha256(_canonical(data)).hexdigest():
            raise PgcharterError(f"{damaged}: its checksum does not fit what it says", place=str(path), hint=_SECOND)
        if backup.id != name:
            raise PgcharterError(f"{damaged}: it is that of backup {backup.id}", place=str(path), hint=_SECOND)
        if backup.system != self.about.system:
            raise PgcharterError(f"backup {name} is of another server (system {backup.system})", place=str(path))
        if key and self.key and self.key.id == key and said.get("hmac") != self.key.seal(_canonical(data)):
            raise PgcharterError(f"{damaged}: it was not written by the holder of its key", place=str(path), hint=_SECOND)
        return backup

    def list(self, backup: Backup) -> None:
        """Write the manifest: from here on it is a backup."""
        data = _data(backup)
        sealed = {"sha256": hashlib.sha256(_canonical(data)).hexdigest(), **({"hmac": self.key.seal(_canonical(data))} if self.key else {})}
        files.write(self.folder(backup.id) / "manifest.json", json.dumps({**data, "seal": sealed}, indent=1).encode() + b"\n")

    def clean(self) -> tuple[str, ...]:
        """Remove what interrupted runs have left; only under `writing`."""
        left = self.leftovers()
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        for path in (*self.wal.glob("*/.*.partial"), *(self.root / "marks").glob(".*.partial")):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > OLD:  # a younger one may be at work
                    path.unlink()
        return tuple(f.name for f in left)

    def remove(self, backup: Backup) -> None:
        """Remove a backup: first it stops being one."""
        folder = self.folder(backup.id)
        (folder / "manifest.json").unlink(missing_ok=True)
        files.settle(folder)
        shutil.rmtree(folder, ignore_errors=True)

    # --- evidence ---

    def keep(self, evidence: Evidence) -> None:
        """Keep a proof beside the backups."""
        folder = files.make(self.root / "evidence")
        data = {**asdict(evidence), "facts": dict(evidence.facts)}
        name = f"{evidence.at:%Y%m%dT%H%M%S.%f}Z-{evidence.name}.json"
        files.write(folder / name, json.dumps(data, indent=1, default=_moment).encode() + b"\n")

    def evidence(self, name: str = "") -> tuple[Evidence, ...]:
        """What was proven, oldest first."""
        folder = self.root / "evidence"
        found = []
        for path in sorted(folder.glob(f"*Z-{name or '*'}.json")) if folder.is_dir() else ():
            try:
                data = json.loads(path.read_bytes())
                until = datetime.fromisoformat(data["until"]) if data["until"] else None
                found.append(Evidence(data["name"], data["holds"], data["seen"], datetime.fromisoformat(data["at"]), until, data["facts"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return tuple(found)


_SECOND = "restore from the second location, or from another backup; then remove this one's folder"


def open_repository(root: Path, *, key: Key | None = None, need_key: bool = True) -> Repository:
    """The repository in a folder. Raises PgcharterError when there is none, UsageError when its key is gone."""
    path = root / "repository.json"
    try:
        data = json.loads(path.read_bytes())
        if data.pop("format") != FORMAT or data.pop("version") != VERSION:
            raise ValueError
        about = About(**data)
    except FileNotFoundError:
        raise PgcharterError(f"{root} is no repository of backups", place=str(root), hint="pgcharter backup check makes it") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise PgcharterError(f"{path} is damaged or was written by a newer pgcharter", place=str(path)) from None
    found = Repository(root, about, key)
    if about.key_id and need_key and (key is None or key.id != about.key_id):
        from pgcharter.operate.backup_cipher import right

        found = replace(found, key=right(None, about.key_id, f"the repository {root}", found.place))
    return found


def create(root: Path, about: About) -> Repository:
    """Make the repository, or bring its description up to date. Raises RefusedError when it is another server's."""
    if (root / "repository.json").exists():
        there = open_repository(root, need_key=False)
        if there.about.system != about.system:
            raise RefusedError(
                f"{root} holds backups of another server (system {there.about.system}, this one is {about.system})",
                hint="give each server a repository of its own: [backup] repository", place=str(root),
            )  # fmt: skip
        if there.about == about:
            return open_repository(root)
        if there.about.key_id and there.about.key_id != about.key_id:
            raise RefusedError(
                f"{root} is encrypted with key {there.about.key_id}, so its backups could not be read with "
                + (f"key {about.key_id}" if about.key_id else "none"),
                hint="give a new key a repository of its own, and keep the old key for as long as its backups", place=str(root),
            )  # fmt: skip
    elif root.is_dir() and any(root.iterdir()):
        raise RefusedError(f"{root} is not empty and no repository of backups", hint="name an empty folder", place=str(root))
    with files.refusing():
        _write(root, about)
    return open_repository(root)


def _write(root: Path, about: About) -> None:
    files.make(root)
    data = {"format": FORMAT, "version": VERSION, **asdict(about)}
    files.write(root / "repository.json", json.dumps(data, indent=1).encode() + b"\n")
    for name in ("backups", "wal", "marks", "evidence"):
        files.make(root / name)


def _canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _data(backup: Backup) -> dict[str, Any]:
    data = {**asdict(backup), "began": backup.began.isoformat(), "ended": backup.ended.isoformat(), "facts": dict(backup.facts)}
    return {"format": "pgcharter-backup", "version_of_format": 1, **data}


def _backup(data: Mapping[str, Any]) -> Backup:
    plain = {n: v for n, v in data.items() if n not in ("format", "version_of_format")}
    if data["format"] != "pgcharter-backup" or data["version_of_format"] != 1:
        raise ValueError
    began, ended = (datetime.fromisoformat(plain.pop(n)) for n in ("began", "ended"))
    return Backup(began=began, ended=ended, **plain)


def _moment(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
