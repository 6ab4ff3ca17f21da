"""Reading backups whole: every byte against what was written, every file against PostgreSQL's manifest, and the log that is needed."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pgcharter.errors import PgcharterError
from pgcharter.operate import backup_copy, backup_wal
from pgcharter.operate import backup_files as files
from pgcharter.operate.backup_model import Backup
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_wal import Segment, lsn_number, lsn_text

_NOT_LISTED = frozenset(("backup_manifest", "tablespace_map"))


def chain(repository: Repository, backup: Backup) -> tuple[Backup, ...]:
    """A backup with those it is built on, the full one first. Raises PgcharterError when one is gone."""
    found = [backup]
    while found[-1].base:
        here = found[-1]
        try:
            base = repository.find(here.base)
        except PgcharterError as error:
            raise PgcharterError(
                f"backup {here.id} is incremental to {here.base}, which is gone or damaged, so it cannot be restored: {error.message}",
                hint="choose another backup, or the second location: --second",
            ) from None
        if base in found:
            raise PgcharterError(f"backups {base.id} and {here.id} are built on each other")
        found.append(base)
    return tuple(reversed(found))


def broken_chain(repository: Repository, backup: Backup) -> str:
    """Why a backup's chain cannot be used, by what its folders hold; empty: nothing is missing."""
    try:
        for one in chain(repository, backup):
            for file in one.facts["files"]:
                path = repository.folder(one.id) / file["name"]
                if not path.is_file() or path.stat().st_size != file["stored"]:
                    return f"{file['name']} of backup {one.id} is missing or cut off"
    except PgcharterError as error:
        return error.message
    return ""


def verify(repository: Repository, backup: Backup, advance: Callable[[str, int, int], None]) -> tuple[str, ...]:
    """What is wrong with a backup, those it is built on, and the log from its start on."""
    try:
        whole = chain(repository, backup)
    except PgcharterError as error:
        return (error.message,)
    said = [p for one in whole for p in _of_one(repository, one, advance)]
    if backup.kind != "logical":
        said += _of_log(repository, backup, advance)
    return tuple(said)


def _of_one(repository: Repository, backup: Backup, advance: Callable[[str, int, int], None]) -> Iterator[str]:
    sound = True
    for file in backup.facts["files"]:
        path = repository.folder(backup.id) / file["name"]
        advance(f"reading {backup.id}", 0, file["stored"])
        problem = _bytes(path, file)
        if problem:
            sound = False
            yield f"{file['name']} of backup {backup.id} {problem}"
        advance(f"reading {backup.id}", file["stored"], file["stored"])
    if sound and backup.kind != "logical":
        yield from _contents(repository, backup)
    elif sound:
        yield from _dumps(repository, backup)


def _bytes(path: Path, file: Mapping[str, Any]) -> str:
    try:
        size, sha256 = files.digest(path)
    except OSError as error:
        return f"cannot be read: {(error.strerror or 'unknown error').lower()}"
    if size != file["stored"]:
        return f"has {size} bytes instead of {file['stored']}: it was cut off or changed"
    return "" if sha256 == file["sha256"] else "is damaged: its checksum is not the one it was written with"


def _contents(repository: Repository, backup: Backup) -> Iterator[str]:
    """Every file that PostgreSQL's manifest names, in its size."""
    try:
        listed = manifest_files(repository, backup)
        there = dict(_members(repository, backup))
    except PgcharterError as error:
        yield error.message
        return
    for path, size in listed.items():
        if path not in there:
            yield f"file {path} is missing in backup {backup.id}"
        elif there[path] != size:
            yield f"file {path} of backup {backup.id} has {there[path]} bytes instead of {size}"
    for path in there.keys() - listed.keys() - _NOT_LISTED:
        yield f"file {path} of backup {backup.id} is in no manifest"


def manifest_files(repository: Repository, backup: Backup) -> Mapping[str, int]:
    """Path → bytes as PostgreSQL's manifest says. Raises PgcharterError when that is damaged or another server's."""
    from pgcharter.operate.backup_native import postgresql_manifest

    text = postgresql_manifest(repository, backup)
    what = f"PostgreSQL's manifest of backup {backup.id}"
    try:
        data = json.loads(text)
        if hashlib.sha256(text[: text.rindex(b'"Manifest-Checksum"')]).hexdigest() != data["Manifest-Checksum"]:
            raise PgcharterError(f"{what} is damaged: its checksum does not fit")
        if str(data.get("System-Identifier", backup.system)) != backup.system:
            raise PgcharterError(f"{what} is that of another server (system {data['System-Identifier']})")
        start = min(lsn_number(r["Start-LSN"]) for r in data["WAL-Ranges"])
        if start != lsn_number(backup.start_lsn):
            raise PgcharterError(f"{what} is that of another backup: it begins at {lsn_text(start)}, not at {backup.start_lsn}")
        return {_path(f): int(f["Size"]) for f in data["Files"]}
    except (ValueError, KeyError, TypeError):
        raise PgcharterError(f"{what} is damaged: it cannot be read") from None


def _path(file: Mapping[str, Any]) -> str:
    return str(file["Path"]) if "Path" in file else bytes.fromhex(file["Encoded-Path"]).decode("utf-8", "surrogateescape")


def _members(repository: Repository, backup: Backup) -> Iterator[tuple[str, int]]:
    for file in backup.facts["files"]:
        archive = file["name"].partition(".tar")[0]
        if ".tar" not in file["name"]:
            continue
        before = "" if f"{archive}.tar" == backup_copy.BASE else f"pg_tblspc/{archive}/"
        with opened(repository, backup, file["name"]) as tar:
            for member in tar:
                if member.isreg():
                    yield before + member.name.removeprefix("./"), member.size


class opened:  # noqa: N801  (used like a function)
    """A tar archive of a backup, read from its beginning to its end. Raises PgcharterError for what is damaged."""

    def __init__(self, repository: Repository, backup: Backup, name: str) -> None:
        inner = name.partition(".tar")[0] + ".tar"
        self._name = f"{name} of backup {backup.id}"
        self._input = files.Input(repository.folder(backup.id) / name, f"backups/{backup.id}/{inner}", repository.form)

    def __enter__(self) -> tarfile.TarFile:
        try:
            return tarfile.open(
                fileobj=cast(Any, self._input), mode="r|", bufsize=files.PIECE, errorlevel=2, encoding="utf-8", errors="surrogateescape"
            )
        except tarfile.TarError as error:
            self._input.close()
            raise PgcharterError(f"{self._name} is damaged: {error}") from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._input.close()
        if isinstance(error, (tarfile.TarError, EOFError)):
            raise PgcharterError(f"{self._name} is damaged: {error}") from None


def _dumps(repository: Repository, backup: Backup) -> Iterator[str]:
    from pgcharter.operate.backup_logical import problem

    for file in backup.facts["files"]:
        try:
            said = problem(repository, backup, file["name"])
        except PgcharterError as error:
            said = error.message
        if said:
            yield said


def _of_log(repository: Repository, backup: Backup, advance: Callable[[str, int, int], None]) -> Iterator[str]:
    """The log that the backup itself needs, and whatever follows it on its timeline."""
    size = repository.about.segment
    first, last = lsn_number(backup.start_lsn) // size, max(0, lsn_number(backup.stop_lsn) - 1) // size
    have = [s.number for s in backup_wal.segments(repository, backup.timeline)]
    wanted = range(first, max([last, *have]) + 1)
    for count, number in enumerate(wanted):
        segment = Segment(backup.timeline, number, size)
        problem = backup_wal.look(repository, segment.name)
        advance("reading the log", count + 1, len(wanted))
        if problem:
            what = (
                f"without it backup {backup.id} cannot be used"
                if number <= last
                else f"nothing after {lsn_text(segment.start)} can be restored"
            )
            yield f"{problem}; {what}"
