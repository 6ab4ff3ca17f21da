"""Personal fields of events: encrypted under the key of their person. When that key is destroyed they are ERASED; the rest stays."""

from __future__ import annotations

import base64
import typing
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pgcharter.db.flows import Steps
from pgcharter.errors import UsageError
from pgcharter.policy.encryption_settings import EncryptedColumn

if TYPE_CHECKING:
    from pgcharter.runtime.encryption import Encryption
    from pgcharter.runtime.encryption_cipher import Cipher
    from pgcharter.runtime.events_model import Event

_MARK = "$personal"


@dataclass(frozen=True)
class Erased:
    """What stands for a personal field whose person's key was destroyed."""

    erased: Literal[True] = True

    def __repr__(self) -> str:
        return "ERASED"

    def __bool__(self) -> bool:
        return False


ERASED = Erased()


@dataclass(frozen=True)
class Personal:
    """Which fields of a class are personal, and whose. Their annotations say that they may be erased: `email: str | Erased`."""

    subject: str
    """Field that says whose; it stays in clear, so it is an id."""
    kind: str
    """What the person is: `customer`. Keys are shared with encrypted columns of that kind."""
    fields: tuple[str, ...]
    key: str = "default"
    """Name in the key ring of what wraps the persons' keys."""

    def fits(self, kind: type) -> None:
        """Raise UsageError where a class has no such fields, or they cannot be erased."""
        hints = typing.get_type_hints(kind)
        missing = [f for f in (self.subject, *self.fields) if f not in hints]
        if missing or self.subject in self.fields or not self.fields:
            raise UsageError(
                f"{kind.__name__} cannot have personal fields so: {missing[0] if missing else self.subject} is no field for that"
            )
        for name in self.fields:
            if Erased not in typing.get_args(hints[name]):
                raise UsageError(
                    f"{kind.__name__}.{name} is personal, and its type has no word for what is erased",
                    hint=f"{name}: {getattr(hints[name], '__name__', hints[name])} | Erased",
                )


class Vault:
    """Encrypts and decrypts personal fields."""

    def __init__(self, encryption: Encryption | None) -> None:
        self.encryption = encryption
        self._ciphers: dict[tuple[str, str], Cipher] = {}

    @property
    def used(self) -> bool:
        """Whether some class has personal fields."""
        return bool(self._ciphers)

    def declare(self, personal: Personal) -> None:
        """Know a kind of person. Raises UsageError without keys."""
        if self.encryption is None:
            raise UsageError("personal fields need keys", hint='Types(Encryption.from_charter("pgcharter.toml"))')
        at = personal.kind, personal.key
        if at not in self._ciphers:
            column = f"personal fields of {personal.kind} under {personal.key}"
            self._ciphers[at] = self.encryption.declare(
                EncryptedColumn(
                    "pgcharter.events",
                    column,
                    "json",
                    key=personal.key,
                    scope="subject",
                    subject=personal.subject,
                    subject_kind=personal.kind,
                )
            )

    def loaded(self, wanted: Iterable[tuple[Personal, Any]], *, create: bool) -> Steps[None]:
        """Have the keys of persons at hand; with `create`, make those that are not there."""
        of: dict[tuple[str, str], set[str]] = {}
        for personal, subject in wanted:
            if subject is not None:
                of.setdefault((personal.kind, personal.key), set()).add(str(subject))
        for at, subjects in sorted(of.items()):
            from pgcharter.runtime.keys_subjects import load_subjects

            cipher = self._ciphers[at]
            yield from load_subjects.steps(cipher.encryption, cipher.spec.name, sorted(subjects), create=create)

    def sealed(self, personal: Personal, name: str, data: dict[str, Any]) -> tuple[uuid.UUID, dict[str, Any]]:
        """Data with its personal fields encrypted, and the id of the event, which they are bound to."""
        id_ = uuid.uuid4()
        subject = data[personal.subject]
        if subject is None:
            raise UsageError(f"{name} says in {personal.subject} of nobody whose its personal fields are")
        made = dict(data)
        for field in personal.fields:
            if data[field] is not None:
                cipher = self._ciphers[personal.kind, personal.key]
                sealed = cipher.encrypt(data[field], row=(id_, field), subject=str(subject))
                made[field] = {_MARK: base64.b64encode(sealed or b"").decode()}
        return id_, made

    def opened(self, personal: Personal, event: Event, data: dict[str, Any]) -> dict[str, Any]:
        """Data with its personal fields again; erased where the key was destroyed."""
        cipher, subject = self._ciphers[personal.kind, personal.key], str(data.get(personal.subject))
        made = dict(data)
        for field in personal.fields:
            found = data.get(field)
            if isinstance(found, dict) and found.keys() == {_MARK}:
                made[field] = self._open(cipher, subject, found[_MARK], (event.id, field))
        return made

    def _open(self, cipher: Cipher, subject: str, text: str, row: tuple[uuid.UUID, str]) -> Any:
        name = f"{cipher.spec.subject_kind}:{subject}"
        if cipher.encryption.knows(name) and not cipher.encryption.lives(name):
            return {"erased": True}
        return cipher.decrypt(base64.b64decode(text), row=row, subject=subject)
