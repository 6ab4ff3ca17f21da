"""Where key rings are kept: a file for its owner alone, an environment variable, the output of a command; and a local master key."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from pgcharter.errors import RefusedError, UsageError
from pgcharter.policy.encryption_settings import words
from pgcharter.runtime.encryption_format import EncryptionError
from pgcharter.runtime.keys import KeyRing, Wrapper, read_document

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_RESTORE = "restore it: what another master key has wrapped can be read with that one alone"


class Provider(Protocol):
    """Where a key ring comes from. One with an attribute `slow` that is true is asked again beside the work, not in the middle of it."""

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
        """Read, change and write under a lock; whoever reads meanwhile sees the old ring or the new one. Makes what is not there.

        Raises EncryptionError, and changes nothing, when the keys that are there cannot be unwrapped: new ones would be another master's.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.path.parent):
            ring = self.read() if self.path.exists() else KeyRing(wrapper=self.wrapper)
            ring.check()
            made = how(ring)
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
            raise EncryptionError(
                f"the key ring is in the environment variable {self.name}, which is not set",
                hint=f"set {self.name} to what your secret store has",
            )
        return read_document(text, f"the environment variable {self.name}", self.wrapper)


@dataclass(frozen=True)
class RingCommand:
    """What a program writes: `vault kv get -field=ring secret/app`. No shell is between."""

    words: tuple[str, ...]
    wrapper: Wrapper | None = field(default=None, repr=False)
    timeout: float = 30.0
    """Seconds."""
    slow: ClassVar[bool] = True

    def read(self) -> KeyRing:
        """The ring. Raises EncryptionError when the program fails; what it wrote is not repeated."""
        where = f"the command {self.words[0]}"
        hint = "run it by hand under the same account, from the same folder"
        try:
            quiet = subprocess.DEVNULL  # what it says of itself might show keys
            process = subprocess.Popen(self.words, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, start_new_session=True)
        except OSError as error:
            raise EncryptionError(f"{where}, which gives the key ring, cannot be run: {error.strerror}", hint=hint) from None
        with process:
            try:
                said, _ = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with all that it has started: one of them may hold the pipe
                raise EncryptionError(
                    f"{where}, which gives the key ring, did not end within {self.timeout:g} seconds", hint=hint
                ) from None
        if process.returncode:
            raise EncryptionError(f"{where}, which gives the key ring, failed with {process.returncode}", hint=hint)
        return read_document(said.decode(errors="replace"), where, self.wrapper)


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
            raise EncryptionError(
                f"a key cannot be unwrapped with the master key {self.path}: it is another one's, or damaged", hint=_RESTORE
            ) from None

    def create(self) -> None:
        """Make the file. Raises RefusedError when it is there."""
        if self.path.exists():
            raise RefusedError(f"the master key {self.path} is there, and a new one would make every wrapped key unreadable")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path, os.urandom(32))

    def _aead(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = _private(self.path, _RESTORE)
        if len(key) != 32:
            raise EncryptionError(f"the master key {self.path} has {len(key)} bytes, and must have 32", hint=_RESTORE)
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
        return RingCommand(words(rest), wrapper)
    raise UsageError(f"{source!r} is no place of keys", hint='write "file:keys/ring.json", "env:VARIABLE" or "command:PROGRAM ARGUMENTS"')


def _private(path: Path, hint: str = "") -> bytes:
    """The bytes of a file of ours alone, judged and read through one descriptor."""
    try:
        found = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise EncryptionError(f"{path} is no file, so no keys are in it", hint="name the file itself: file:PATH")
    except OSError as error:
        new = "pgcharter keys create makes a new key ring; where values are encrypted already, restore the one they were written with"
        raise EncryptionError(f"{path} cannot be read: {error.strerror}", hint=hint or new) from None
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
