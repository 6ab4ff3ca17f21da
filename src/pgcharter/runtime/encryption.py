"""Columns that the application encrypts, and where their keys come from.

encryption = Encryption.from_charter("pgcharter.toml")
email = encryption.column("app.users.email")
row = (email.encrypt("ada@example.org", row=7), email.blind("ada@example.org"))
email.decrypt(row[0], row=7)
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.runtime import encryption_format as form_of
from pgcharter.runtime.encryption_cipher import CACHED, Cipher
from pgcharter.runtime.encryption_format import EncryptionError, MissingKeyError
from pgcharter.runtime.keys import KeyRing
from pgcharter.runtime.keys_providers import Provider, provider

_LOG = logging.getLogger("pgcharter.encryption")
RELOAD = 1.0
"""Seconds between two readings of the key ring because a key was missing."""
SUBJECT_LIFE = 60.0
"""Seconds that a subject's key is kept: so long after its destruction another process may still read."""
REFRESH = 60.0
"""Seconds after which the key ring is read again: so long after a rotation a process may still write with the key before."""


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """A subject's own key, as read from `pgcharter.subject_keys`."""

    id: int
    subject: str
    material: bytes = field(repr=False)
    """Empty when it was destroyed."""
    read: float = field(default_factory=time.monotonic)


class Encryption:
    """The encrypted columns of a project, and their keys. The key ring is read when a key is first needed; threads may share it."""

    def __init__(self, columns: Iterable[EncryptedColumn], keys: Provider) -> None:
        self.columns: Mapping[str, EncryptedColumn] = {c.name: c for c in columns}
        self._provider = keys
        self._ring: KeyRing | None = None
        self._read = 0.0
        self._renewing = False
        self._lock = threading.Lock()
        self._subjects: dict[str, SubjectKey] = {}
        self._ciphers: dict[str, Cipher] = {}

    @classmethod
    def from_section(cls, section: EncryptionSection, folder: Path) -> Encryption:
        """What `[encryption]` of a charter in `folder` declares."""
        return cls(section.column, provider(section.keys, folder, section.master))

    @classmethod
    def from_charter(cls, path: str | Path = "pgcharter.toml") -> Encryption:
        """What a charter declares in `[encryption]`. Raises CharterError for whatever is wrong in it."""
        from pgcharter.policy.encryption_settings import SECTION
        from pgcharter.tomlfile import TomlFile, build

        file = TomlFile.read(Path(path))
        root: tuple[str, ...] = ("tool", "pgcharter") if Path(path).name == "pyproject.toml" else ()
        data: Any = file.data
        for name in (*root, SECTION.name):
            data = data.get(name, {})
        return cls.from_section(build(file, data, SECTION.model, (*root, SECTION.name), where="[encryption]"), Path(path).parent)

    def column(self, name: str) -> Cipher:
        """The column called `app.users.email`. Raises UsageError where it is not declared."""
        if name not in self._ciphers:
            if name not in self.columns:
                raise UsageError(f"{name} is no encrypted column", hint="declare it: [[encryption.column]] in pgcharter.toml")
            self._ciphers[name] = Cipher(self, self.columns[name])
        return self._ciphers[name]

    def declare(self, column: EncryptedColumn) -> Cipher:
        """Know a column beside those of the charter, such as personal fields of events; one of that name stays as it is."""
        self.columns = {column.name: column, **self.columns}
        return self.column(column.name)

    @property
    def ring(self) -> KeyRing:
        """The key ring as last read. Raises EncryptionError or RefusedError when it cannot be read."""
        found = self._ring
        if found is None:
            with self._lock:
                if self._ring is None:
                    self._ring, self._read = self._provider.read(), time.monotonic()
                found = self._ring
        return found

    def known_ring(self, key: int) -> KeyRing:
        """The key ring, read again when it does not have a key."""
        if all(k.id != key for k in self.ring.keys):
            self.reload()
        return self.ring

    def reload(self) -> bool:
        """Read the key ring again, at most once a second: it may have a key by now that was made elsewhere. Whether it has changed."""
        with self._lock:
            if time.monotonic() - self._read < RELOAD:
                return False
            self._read = time.monotonic()  # before it is read: one that cannot be read is not asked for by every value
            ring = self._provider.read()
            changed, self._ring = ring.keys != (self._ring.keys if self._ring else ()), ring
        if changed:
            for cipher in tuple(self._ciphers.values()):
                cipher.forget()
        return changed

    def refresh(self) -> None:
        """Read the key ring again when it was read long ago, so that a new key is soon in use. Where it cannot be read, the one of before
        stays, with a warning in the log `pgcharter.encryption`.

        From a slow provider, a program or a service, it is read beside: no writer and no event loop waits for that.
        """
        if self._ring is None or self._renewing or time.monotonic() - self._read <= REFRESH:
            return
        self._renewing = True
        if getattr(self._provider, "slow", False):
            threading.Thread(target=self._renew, name="pgcharter key ring", daemon=True).start()
        else:
            self._renew()

    def _renew(self) -> None:
        try:
            self.reload()
        except PgcharterError as error:
            _LOG.warning("the key ring could not be read again, so the one of before stays in use: %s", error.message)
        finally:
            self._renewing = False

    def subject(self, subject: str, where: str) -> SubjectKey:
        """A subject's key that was loaded. Raises MissingKeyError when it was not, EncryptionError when it was destroyed."""
        found = self._subjects.get(subject)
        if found is None or time.monotonic() - found.read > SUBJECT_LIFE:
            raise MissingKeyError(
                f"the key of the subject of a value of {where} is not loaded",
                hint="load it in the same transaction: load_subjects(conn, encryption, [subject, …])",
            )
        if not found.material:
            raise EncryptionError(
                f"the key {form_of.shown(found.id)} of the subject of a value of {where} was destroyed: it is erased for good"
            )
        return found

    def knows(self, subject: str) -> bool:
        """Whether a subject's key was loaded lately."""
        found = self._subjects.get(subject)
        return found is not None and time.monotonic() - found.read <= SUBJECT_LIFE

    def lives(self, subject: str) -> bool:
        """Whether a subject's key was loaded and is not destroyed."""
        return self.knows(subject) and bool(self._subjects[subject].material)

    def learn(self, found: Iterable[SubjectKey]) -> None:
        """Keep subjects' keys for a while."""
        if len(self._subjects) > CACHED:
            self._subjects.clear()
        self._subjects.update((k.subject, k) for k in found)
