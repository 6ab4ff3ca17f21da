"""Where key rings are kept: a file for its owner alone, an environment variable, the output of a command; and a local master key."""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pgcharter.errors import RefusedError, UsageError
from pgcharter.runtime.encryption_format import EncryptionError
from pgcharter.runtime.keys import KeyRing, Wrapper, read_document

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Provider(Protocol):
    """Where a key ring comes from."""

    def read(self) -> KeyRing:
        """The ring as it is now. Raises EncryptionError or RefusedError, without any key in it."""
        ...


@dataclass(frozen=True)
class RingFile:
    """A file that only its owner may read, in a folder that only its owner may write to."""

    path: Path
    wrapper: Wrapper | None = field(default=None, repr=False)

    def read(self) -> KeyRing:
        """The ring. Raises RefusedError when others may read it."""
        return read_document(_private(self.path).decode(errors="replace"), f"the key ring {self.path}", self.wrapper)

    def change(self, how: Callable[[KeyRing], KeyRing]) -> KeyRing:
        """Read, change and write under a lock; whoever reads meanwhile sees the old ring or the new one. Makes what is not there."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.path.parent):
            made = how(self.read() if self.path.exists() else KeyRing(wrapper=self.wrapper))
            write_private(self.path, made.document().encode())
        return made


@dataclass(frozen=True)
class RingVariable:
    """An environment variable, as a secret store fills it."""

    name: str
    wrapper: Wrapper | None = field(default=None, repr=False)

    def read(self) -> KeyRing:
        """The ring. Raises EncryptionError when the variable is not set."""
        text = os.environ.get(self.name, "")
        if not text:
            raise EncryptionError(f"the key ring is in the environment variable {self.name}, which is not set")
        return read_document(text, f"the environment variable {self.name}", self.wrapper)


@dataclass(frozen=True)
class RingCommand:
    """What a program writes: `vault kv get -field=ring secret/app`. No shell is between."""

    words: tuple[str, ...]
    wrapper: Wrapper | None = field(default=None, repr=False)
    timeout: float = 30.0
    """Seconds."""

    def read(self) -> KeyRing:
        """The ring. Raises EncryptionError when the program fails; what it wrote is not repeated."""
        where = f"the command {self.words[0]}"
        try:
            done = subprocess.run(self.words, capture_output=True, timeout=self.timeout, check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            code = f" with {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else ""
            raise EncryptionError(f"{where}, which gives the key ring, failed{code}: {type(error).__name__}") from None
        return read_document(done.stdout.decode(errors="replace"), where, self.wrapper)


@dataclass(frozen=True)
class LocalMaster:
    """A master key in a file, behind the interface of a key service: for development, and where a disk of its own holds the file."""

    path: Path

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt a key under the master key."""
        nonce = os.urandom(12)
        return nonce + self._aead().encrypt(nonce, plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key again."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aead().decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError):
            raise EncryptionError(f"a key cannot be unwrapped with the master key {self.path}: it is another one's, or damaged") from None

    def create(self) -> None:
        """Make the file. Raises RefusedError when it is there."""
        if self.path.exists():
            raise RefusedError(f"the master key {self.path} is there, and a new one would make every wrapped key unreadable")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path, os.urandom(32))

    def _aead(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = _private(self.path)
        if len(key) != 32:
            raise EncryptionError(f"the master key {self.path} has {len(key)} bytes, and must have 32")
        return AESGCM(key)


def provider(source: str, folder: Path, master: str = "") -> RingFile | RingVariable | RingCommand:
    """The provider of `file:PATH`, `env:VARIABLE` or `command:PROGRAM ARGUMENTS`; paths start from `folder`. Raises UsageError."""
    wrapper = LocalMaster(folder / Path(master.removeprefix("file:")).expanduser()) if master else None
    kind, _, rest = source.partition(":")
    if kind == "file" and rest:
        return RingFile(folder / Path(rest).expanduser(), wrapper)
    if kind == "env" and rest:
        return RingVariable(rest, wrapper)
    if kind == "command" and rest:
        return RingCommand(tuple(shlex.split(rest)), wrapper)
    raise UsageError(f"{source!r} is no place of keys", hint='write "file:keys/ring.json", "env:VARIABLE" or "command:PROGRAM ARGUMENTS"')


def _private(path: Path) -> bytes:
    """The bytes of a file of ours alone, judged and read through one descriptor."""
    try:
        found = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise EncryptionError(f"{path} cannot be read: {error.strerror}", hint="pgcharter keys create default makes a key ring") from None
    with os.fdopen(found, "rb") as file:
        status, parent = os.fstat(found), path.resolve().parent
        if status.st_mode & 0o077:
            raise RefusedError(
                f"{path} may be read by others (mode {stat.S_IMODE(status.st_mode):04o}), so it is no secret", hint=f"chmod 600 {path}"
            )
        if status.st_uid not in (os.geteuid(), 0):
            raise RefusedError(f"{path} belongs to another account, which can change the keys in it", hint=f"chown {os.geteuid()} {path}")
        if parent.stat().st_mode & 0o022 and not parent.stat().st_mode & stat.S_ISVTX:
            raise RefusedError(
                f"the folder {parent} may be written to by others, who could put another file in the place of {path.name}",
                hint=f"chmod 700 {parent}",
            )
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _synced(path.parent)


def _synced(folder: Path) -> None:
    found = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(found)
    finally:
        os.close(found)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    found = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(found, fcntl.LOCK_EX)
        yield
    finally:
        os.close(found)
