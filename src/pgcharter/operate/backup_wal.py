"""The log in a repository: segments and histories come in safely, are given out, and every gap is known.

What names mean is PostgreSQL's src/include/access/xlog_internal.h; the head of a segment's first page is XLogLongPageHeaderData there.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgcharter import faults
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.operate import backup_files as files
from pgcharter.operate.backup_repository import Repository

POINTS = ("backup archive written", "backup archive linked")
"""Places at which a test kills whoever archives."""
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_OTHER = re.compile(r"[0-9A-F]{8}\.history|[0-9A-F]{24}\.[0-9A-F]{8}\.backup|[0-9A-F]{24}\.partial")
_HEAD = struct.Struct("<HHIQI4xQII")
_LONG = 0x0002


def lsn_number(text: str) -> int:
    """A position as PostgreSQL writes it, as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(lsn: int) -> str:
    """A position as PostgreSQL writes it: 16/B374D848."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@dataclass(frozen=True, order=True)
class Segment:
    """A segment of the log by timeline and number."""

    timeline: int
    number: int
    size: int

    @classmethod
    def at(cls, timeline: int, lsn: int, size: int) -> Segment:
        """The segment in which a position lies."""
        return cls(timeline, lsn // size, size)

    @classmethod
    def named(cls, name: str, size: int) -> Segment:
        """The segment of that name. Raises UsageError-like PgcharterError when it is none."""
        match = _SEGMENT.fullmatch(name)
        if match is None:
            raise PgcharterError(f"{name!r} is no segment of the log")
        timeline, high, low = (int(part, 16) for part in match.groups())
        return cls(timeline, high * ((1 << 32) // size) + low, size)

    @property
    def name(self) -> str:
        """As PostgreSQL calls the file."""
        each = (1 << 32) // self.size
        return f"{self.timeline:08X}{self.number // each:08X}{self.number % each:08X}"

    @property
    def start(self) -> int:
        """Position of its first byte."""
        return self.number * self.size

    @property
    def end(self) -> int:
        """Position behind its last byte."""
        return self.start + self.size


def archive(repository: Repository, source: Path, name: str) -> str:
    """Take a file of the log into the repository and its second location: `stored`, or `there` when exactly it was there already.

    What is there is never overwritten. It is on the disk of both when this returns. Raises RefusedError for what is no file of this
    server's log or differs from what is there, PgcharterError when the disk refuses.
    """
    try:
        data = source.read_bytes()
    except OSError as error:
        raise PgcharterError(f"{source} cannot be read: {(error.strerror or 'unknown error').lower()}", place=str(source)) from None
    _proper(repository, name, data)
    second = repository.seconds()
    said = [_put(at, name, data) for at in (repository, second) if at]
    return "stored" if "stored" in said else "there"


def _proper(repository: Repository, name: str, data: bytes) -> None:
    """Raise RefusedError unless `data` is that file of this server's log."""
    if _OTHER.fullmatch(name):
        if not data:
            raise RefusedError(f"{name} is empty, so it would be of no use")
        return
    if not _SEGMENT.fullmatch(name):
        raise RefusedError(f"{name!r} is not the name of a file of the log")
    segment = Segment.named(name, repository.about.segment)
    if len(data) != segment.size:
        raise RefusedError(f"segment {name} has {len(data)} bytes instead of {segment.size}: it was cut off")
    problem = problem_of(segment, data[: _HEAD.size], repository.about.system)
    if problem:
        raise RefusedError(f"segment {name} {problem}")


def problem_of(segment: Segment, head: bytes, system: str) -> str:
    """What is wrong with the head of a segment's first page; empty: it is that segment of that server's log."""
    magic, flags, _, address, _, owner, size, _ = _HEAD.unpack(head)
    if magic >> 8 != 0xD1 or not flags & _LONG:
        return "does not begin as log does"
    if str(owner) != system:
        return f"is of another server (system {owner}, this repository is of {system})"
    if size != segment.size or address != segment.start:
        return f"holds log of position {lsn_text(address)}, not of {lsn_text(segment.start)}"
    return ""


def holds_itself(path: Path, system: str) -> bool:
    """Whether a segment in a server's pg_wal holds its own log: a server keeps old ones under the names of log to come."""
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
    size = path.stat().st_size
    return len(head) == _HEAD.size and size > 0 and not problem_of(Segment.named(path.name, size), head, system)


def _put(repository: Repository, name: str, data: bytes) -> str:
    folder = repository.wal / name[:8]
    if found := stored(repository, name):
        return _same(repository, found, name, data)
    form = repository.form
    target = folder / (name + form.ending())
    with files.refusing():
        files.make(folder)
        output = files.Output(folder / f".{name}.{os.getpid()}.partial", bound(name), form)
        try:
            output.write(data)
            output.finish()
            faults.point(POINTS[0])
            os.link(output.path, target)  # fails where a file of that name is
        except FileExistsError:
            return _same(repository, target, name, data)
        finally:
            output.abandon()
        faults.point(POINTS[1])
        files.settle(folder)
    return "stored"


def _same(repository: Repository, path: Path, name: str, data: bytes) -> str:
    try:
        same = files.content(path, bound(name), repository.form) == data
    except PgcharterError as error:
        raise RefusedError(
            f"{name} is in the repository already, and damaged there: {error.message}", hint=_ASIDE, place=str(path)
        ) from None
    if not same:
        raise RefusedError(
            f"another {name} is in the repository already: two servers archive to it, or one that was restored goes on in its old timeline",
            hint="find out which of them is right; nothing was overwritten", place=str(path),
        )  # fmt: skip
    files.settle(path.parent)
    return "there"


_ASIDE = "move that file away; the server then sends the segment again"


def bound(name: str) -> str:
    """What an encrypted file of the log is bound to."""
    return f"wal/{name}"


def stored(repository: Repository, name: str) -> Path | None:
    """Where a file of the log lies; None when it is not there."""
    if repository.log:
        return repository.log.where(name)
    for ending in (repository.about.compression, "zstd", "gzip", "none"):
        for encrypted in (files.ENCRYPTED, ""):
            path = repository.wal / name[:8] / (name + files.ENDINGS[ending] + encrypted)
            if path.exists():
                return path
    return None


def read(repository: Repository, name: str, path: Path) -> bytes:
    """The content of a file of the log that lies there. Raises PgcharterError for a damaged one."""
    return repository.log.content(path) if repository.log else files.content(path, bound(name), repository.form)


def fetch(repository: Repository, name: str, target: Path) -> bool:
    """Give a file of the log to `target`, whole and looked at; False when there is none. Raises PgcharterError for a damaged one."""
    path = stored(repository, name)
    if path is None:
        return False
    data = read(repository, name, path)
    _proper(repository, name, data)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return True


def look(repository: Repository, name: str) -> str:
    """What is wrong with a stored file of the log, as a sentence; empty: nothing."""
    path = stored(repository, name)
    if path is None:
        return f"segment {name} is missing"
    try:
        _proper(repository, name, read(repository, name, path))
    except PgcharterError as error:
        return error.message
    return ""


def timelines(repository: Repository) -> tuple[int, ...]:
    """All timelines of which there is log."""
    if repository.log:
        return tuple(sorted({int(name[:8], 16) for name in repository.log.names()}))
    found = repository.wal.iterdir() if repository.wal.is_dir() else ()
    return tuple(sorted(int(p.name, 16) for p in found if re.fullmatch("[0-9A-F]{8}", p.name)))


def segments(repository: Repository, timeline: int) -> tuple[Segment, ...]:
    """The segments of a timeline that are there, in order."""
    if repository.log:
        own = [n for n in repository.log.names() if n.startswith(f"{timeline:08X}") and _SEGMENT.fullmatch(n)]
        return tuple(sorted(Segment.named(n, repository.about.segment) for n in own))
    folder = repository.wal / f"{timeline:08X}"
    names = {p.name[:24] for p in folder.iterdir() if _SEGMENT.fullmatch(p.name.partition(".")[0])} if folder.is_dir() else set()
    return tuple(sorted(Segment.named(n, repository.about.segment) for n in names if _is_whole(folder, n)))


def _is_whole(folder: Path, name: str) -> bool:
    return any((folder / (name + ending + encrypted)).exists() for ending in files.ENDINGS.values() for encrypted in ("", files.ENCRYPTED))


def arrived(repository: Repository, segment: Segment) -> float:
    """When a segment came, by the repository's clock. Raises OSError-free: 0 when it is not there."""
    path = stored(repository, segment.name)
    with contextlib.suppress(OSError):
        return path.stat().st_mtime if path else 0.0
    return 0.0


@dataclass(frozen=True)
class Branch:
    """A stretch of a timeline on the way to another one."""

    timeline: int
    begin: int
    """Position from which on it is that timeline."""
    end: int | None
    """Position at which the next one branches off; None: the last one."""


def way(repository: Repository, target: int) -> tuple[Branch, ...]:
    """The timelines that lead to `target`, oldest first, as its history says. Raises PgcharterError when that is not there."""
    if target == 1:
        return (Branch(1, 0, None),)
    name = f"{target:08X}.history"
    path = stored(repository, name)
    if path is None:
        raise PgcharterError(f"the history of timeline {target} is missing, so nobody knows where it comes from", place=name)
    begin, found = 0, []
    for line in read(repository, name, path).decode().splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2:
            end = lsn_number(words[1])
            found.append(Branch(int(words[0]), begin, end))
            begin = end
    return (*found, Branch(target, begin, None))


def needed(branches: Sequence[Branch], timeline: int, start: int, stop: int, size: int) -> Iterator[Segment]:
    """The segments from `start` on `timeline` up to and with the one that holds the byte before `stop`.

    A segment in which a timeline ends is taken of the next one, which begins with a copy of it, as PostgreSQL does.
    Raises PgcharterError when `timeline` does not lead there.
    """
    here = next((b for b in branches if b.timeline == timeline and b.begin <= start and (b.end is None or start <= b.end)), None)
    if here is None:
        raise PgcharterError(
            f"timeline {branches[-1].timeline} does not come from timeline {timeline} at {lsn_text(start)}: it branched off before"
        )
    for number in range(start // size, max(start, stop - 1) // size + 1):
        holding = [b for b in branches if b.begin // size <= number and (b.end is None or number * size <= b.end)]
        yield Segment(max((b.timeline for b in holding if b.timeline >= timeline), default=timeline), number, size)


def gaps(repository: Repository, timeline: int, start: int) -> tuple[Segment, ...]:
    """Segments of a timeline that are missing between `start` and the newest that is there."""
    have = {s.number for s in segments(repository, timeline)}
    if not have:
        return ()
    size = repository.about.segment
    return tuple(Segment(timeline, n, size) for n in range(start // size, max(have)) if n not in have)
