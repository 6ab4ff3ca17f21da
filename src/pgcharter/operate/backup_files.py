"""Files of a repository: compressed, encrypted, on the disk before they count, and read back with every doubt about them raised."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.operate import backup_cipher as cipher
from pgcharter.operate.backup_cipher import Key, KeyPlace

PIECE = 1 << 20
ENDINGS = {"zstd": ".zst", "gzip": ".gz", "none": ""}
ENCRYPTED = ".enc"


@dataclass(frozen=True)
class Form:
    """How files are stored."""

    compression: str = "gzip"
    """zstd, gzip or none."""
    level: int = 1
    key: Key | None = None
    place: KeyPlace = field(default_factory=KeyPlace)

    def ending(self) -> str:
        """What is put behind a file's name."""
        return ENDINGS[self.compression] + (ENCRYPTED if self.key else "")


@dataclass(frozen=True)
class Stored:
    """A file as it was written."""

    name: str
    """As it is called, with the endings of its form."""
    raw: int
    """Bytes of its content."""
    stored: int
    """Bytes on the disk."""
    sha256: str
    """Of the bytes on the disk."""


def usual() -> str:
    """The compression of `auto`."""
    import importlib.util

    return "zstd" if importlib.util.find_spec("zstandard") else "gzip"


class Output:
    """A file being written: hashed, encrypted, compressed on its way. `name` is what it is bound to: its place in the repository."""

    def __init__(self, path: Path, name: str, form: Form) -> None:
        self.path, self._name = path, name
        self.raw = 0
        self._file = _Hashed(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        own(path)
        self._cipher = cipher.Writer(cast(BinaryIO, self._file), form.key, name) if form.key else None
        self._packed = _packer(self._cipher or self._file, form)

    def write(self, data: bytes) -> None:
        """Take `data`."""
        self.raw += len(data)
        self._packed.write(data)

    def finish(self) -> Stored:
        """Have it on the disk. Raises OSError when that is full."""
        if self._packed is not (self._cipher or self._file):
            self._packed.close()
        if self._cipher:
            self._cipher.close()
        self._file.end()
        return Stored(self.path.name, self.raw, self._file.size, self._file.hash.hexdigest())

    def abandon(self) -> None:
        """Close and remove what there is of it."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class _Hashed:
    """The disk's end of an Output."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.size, self.hash = descriptor, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        rest = memoryview(data)
        while rest:  # a disk that is nearly full takes a part and refuses the next
            rest = rest[os.write(self.descriptor, rest) :]
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back here."""

    def end(self) -> None:
        os.fsync(self.descriptor)
        self.close()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _packer(out: Any, form: Form) -> Any:
    if form.compression == "zstd":
        return (
            _zstandard()
            .ZstdCompressor(level=form.level, write_checksum=True, threads=min(2, os.cpu_count() or 1))
            .stream_writer(out, write_size=PIECE, closefd=False)
        )
    if form.compression == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=out, mode="wb", compresslevel=min(9, form.level), mtime=0, filename="")
    return out


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise UnavailableError("zstd compression needs the package zstandard", hint="pip install 'pgcharter[backup]'") from None
    return zstandard


class Input:
    """A stored file being read, by its name's endings. Raises PgcharterError for what is damaged."""

    def __init__(self, path: Path, name: str, form: Form) -> None:
        self._name = name
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise PgcharterError(f"{name} cannot be read: {(error.strerror or 'unknown error').lower()}", place=str(path)) from None
        try:
            self._source = self._opened(path, form)
        except BaseException:
            self._file.close()
            raise

    def _opened(self, path: Path, form: Form) -> IO[bytes]:
        source: Any = self._file
        inner = path.name
        if inner.endswith(ENCRYPTED):
            source, inner = cipher.Reader(source, form.key, form.place, self._name), inner.removesuffix(ENCRYPTED)
        if inner.endswith(".zst"):
            return cast(IO[bytes], _zstandard().ZstdDecompressor().stream_reader(source, read_size=PIECE, read_across_frames=True))
        if inner.endswith(".gz"):
            import gzip

            return cast(IO[bytes], gzip.GzipFile(fileobj=cast(Any, _Whole(source)), mode="rb"))
        return cast(IO[bytes], source)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; fewer only at the end."""
        try:
            return self._all(size)
        except PgcharterError:
            raise
        except Exception as error:
            if not (isinstance(error, (EOFError, OSError)) or type(error).__name__ in ("ZstdError", "error")):
                raise
            raise PgcharterError(f"{self._name} is damaged: it cannot be unpacked ({str(error)[:80]})") from None

    def _all(self, size: int) -> bytes:
        parts, have = [], 0
        while size < 0 or have < size:
            piece = self._source.read(PIECE if size < 0 else size - have)
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        return b"".join(parts)

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def __enter__(self) -> Input:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Whole:
    """What gzip wants of a file that cannot seek."""

    def __init__(self, source: Any) -> None:
        self.read = source.read


def content(path: Path, name: str, form: Form) -> bytes:
    """All of a stored file. Raises PgcharterError."""
    with Input(path, name, form) as file:
        return file.read()


def digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
        return file.tell(), found.hexdigest()


def write(path: Path, data: bytes) -> None:
    """Put a small file in its place at once, on the disk before it has its name."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        own(partial)
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    settle(path.parent)


def settle(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make(folder: Path) -> Path:
    """Make a folder of mode 0700, with those above it, owned like what they lie in."""
    if not folder.is_dir():
        make(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            own(folder)
            settle(folder.parent)
    return folder


def own(path: Path) -> None:
    """As root: give what we have made to the owner of the folder it lies in, so that the server's account can use it."""
    if os.geteuid() == 0:
        around = path.parent.stat()
        if around.st_uid:
            os.chown(path, around.st_uid, around.st_gid, follow_symlinks=False)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Say what the disk refuses as one of our errors."""
    try:
        yield
    except OSError as error:
        where = str(error.filename or "")
        said = (error.strerror or str(error)).lower()
        hint = "make room, or name another folder; nothing that was there before is touched" if error.errno in (28, 122) else ""
        raise PgcharterError(f"the repository of backups could not be written: {said}", place=where, hint=hint) from error


def unpacked(data: bytes, name: str) -> bytes:
    """What was packed as the ending of `name` says. Raises PgcharterError for what is damaged."""
    import gzip
    import zlib

    try:
        if name.endswith(".zst"):
            return bytes(_zstandard().ZstdDecompressor().decompressobj().decompress(data))
        return gzip.decompress(data) if name.endswith(".gz") else data
    except (EOFError, OSError, zlib.error) as error:
        raise PgcharterError(f"{name} is damaged: it cannot be unpacked ({str(error)[:80]})") from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise PgcharterError(f"{name} is damaged: it cannot be unpacked ({str(error)[:80]})") from None
