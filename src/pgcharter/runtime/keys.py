"""The key ring: keys by name and purpose, their states, and the document that it is kept in. Key material is in no repr, message or log."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pgcharter.errors import RefusedError, UsageError
from pgcharter.runtime.encryption_format import EncryptionError, MissingKeyError, shown

ACTIVE, DECRYPT_ONLY, RETIRED, DESTROYED = "active", "decrypt-only", "retired", "destroyed"
STATES = (ACTIVE, DECRYPT_ONLY, RETIRED, DESTROYED)
DATA, INDEX = "data", "index"
FORMAT = "pgcharter-keys"


class Wrapper(Protocol):
    """A service that keeps a master key and lends its use, as AWS KMS does: Encrypt and Decrypt with an encryption context."""

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """`plain` encrypted; only the same context opens it again."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key again. Raises EncryptionError when it is another master key's, another context's, or damaged."""
        ...


@dataclass(frozen=True)
class RingKey:
    """One key of a ring."""

    id: int
    name: str
    purpose: str
    """data, or index: blind indexes have keys of their own."""
    state: str = ACTIVE
    created: str = ""
    """ISO date."""
    expires: str = ""
    """ISO date from which on nothing is written with it; empty: never."""
    material: bytes = field(default=b"", repr=False)
    """32 bytes; wrapped where the ring has a wrapper; empty when destroyed."""

    @property
    def mark(self) -> bytes:
        """What tells it in blind indexes."""
        return self.id.to_bytes(8, "big")[:4]

    def __str__(self) -> str:
        return f"key {shown(self.id)} ({self.name}, {self.purpose})"


def fresh(name: str, purpose: str, taken: Iterable[RingKey], wrapper: Wrapper | None = None, *, state: str = ACTIVE) -> RingKey:
    """A new random key, whose id and mark no other key has."""
    marks = {k.mark for k in taken}
    while (made := RingKey(int.from_bytes(os.urandom(8), "big") >> 1, name, purpose, state)).mark in marks or not made.id:
        continue
    material = os.urandom(32)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return replace(made, created=today, material=wrapper.wrap(material, _context(made)) if wrapper else material)


def _context(key: RingKey) -> bytes:
    return f"pgcharter ring key {shown(key.id)} {key.name} {key.purpose}".encode()


@dataclass(frozen=True)
class KeyRing:
    """All keys, as their provider gave them."""

    keys: tuple[RingKey, ...] = ()
    wrapper: Wrapper | None = field(default=None, repr=False)

    def named(self, name: str, purpose: str) -> tuple[RingKey, ...]:
        """The keys of a name that can be used, the active one first, then the newest first."""
        newest = [k for k in reversed(self.keys) if k.name == name and k.purpose == purpose]
        return tuple(k for state in (ACTIVE, DECRYPT_ONLY) for k in newest if k.state == state)

    def active(self, name: str, purpose: str) -> RingKey:
        """The key to write with. Raises MissingKeyError where there is none, EncryptionError where it has expired."""
        found = next((k for k in self.named(name, purpose) if k.state == ACTIVE), None)
        if found is None:
            raise MissingKeyError(f"the key ring has no active {purpose} key called {name}", hint=f"pgcharter keys create {name}")
        if found.expires and found.expires <= datetime.datetime.now(datetime.UTC).date().isoformat():
            raise EncryptionError(
                f"{found} expired on {found.expires}, so nothing is written with it", hint=f"pgcharter keys rotate {name}"
            )
        return found

    def oldest(self, name: str, purpose: str) -> RingKey:
        """The key that every row of a unique blind index has a digest of: the first that can be used. A later one, announced or active,
        takes its place when it is retired: by then a job has given every row its digest too."""
        usable = (k for k in self.keys if k.name == name and k.purpose == purpose and k.state in (ACTIVE, DECRYPT_ONLY))
        return next(usable, self.active(name, purpose))

    def by_id(self, key: int, where: str) -> RingKey:
        """The key to read with. Raises MissingKeyError where it is not there, or may not be used any more."""
        found = next((k for k in self.keys if k.id == key), None)
        if found is None:
            raise MissingKeyError(f"{where} holds a value of key {shown(key)}, which is not in the key ring", hint="pgcharter keys list")
        if found.state not in (ACTIVE, DECRYPT_ONLY):
            raise MissingKeyError(
                f"{where} holds a value of {found}, which is {found.state}",
                hint=f"pgcharter keys activate {shown(key)} brings back one that is retired",
            )
        return found

    def material(self, key: RingKey) -> bytes:
        """The key itself. Raises EncryptionError when it cannot be unwrapped."""
        found = self.wrapper.unwrap(key.material, _context(key)) if self.wrapper else key.material
        if len(found) != 32:
            raise EncryptionError(f"{key} is wrapped, and no master key is named", hint='[encryption] master = "file:PATH"')
        return found

    def check(self) -> None:
        """Raise EncryptionError when a key that can be used cannot be unwrapped: another master key, or a damaged ring."""
        for key in self.keys:
            if key.state in (ACTIVE, DECRYPT_ONLY):
                self.material(key)

    # ── changes ──

    def create(self, name: str, expires: str = "") -> KeyRing:
        """With a data and an index key under a new name. Raises RefusedError when the name is taken."""
        if any(k.name == name for k in self.keys):
            raise RefusedError(f"the key ring has keys called {name} already", hint=f"pgcharter keys rotate {name}")
        found = self
        for purpose in (DATA, INDEX):
            made = replace(fresh(name, purpose, found.keys, self.wrapper), expires=expires)
            found = replace(found, keys=(*found.keys, made))
        return found

    def rotate(self, name: str, purpose: str, *, announce: bool = False, expires: str = "") -> tuple[KeyRing, RingKey]:
        """With a new key that is written with; `announce`: that can only be read with until it is activated."""
        if not any(k.name == name for k in self.keys):
            raise UsageError(f"the key ring has no keys called {name}", hint=f"pgcharter keys create {name}")
        made = replace(fresh(name, purpose, self.keys, self.wrapper, state=DECRYPT_ONLY), expires=expires)
        ring = replace(self, keys=(*self.keys, made))
        return (ring, made) if announce else (ring.activate(made.id), made)

    def activate(self, key: int) -> KeyRing:
        """Write with this key; the one before can be read with. One that was retired comes last, as if it were new: no row has it."""
        chosen = self._found(key)
        if chosen.state == DESTROYED:
            raise RefusedError(f"{chosen} is destroyed, which nothing brings back")
        same = (chosen.name, chosen.purpose)

        def change(k: RingKey) -> RingKey:
            if k.id == key:
                return replace(k, state=ACTIVE)
            return replace(k, state=DECRYPT_ONLY) if (k.name, k.purpose, k.state) == (*same, ACTIVE) else k

        made = tuple(map(change, self.keys))
        return replace(
            self, keys=made if chosen.state != RETIRED else (*(k for k in made if k.id != key), *(k for k in made if k.id == key))
        )

    def end(self, key: int, *, destroy: bool = False) -> KeyRing:
        """With this key retired: kept, and used no more; or destroyed. Raises RefusedError for the active one."""
        chosen = self._found(key)
        if chosen.state == ACTIVE:
            raise RefusedError(f"{chosen} is active: what is written now needs it", hint=f"pgcharter keys rotate {chosen.name}")
        ended = replace(chosen, state=DESTROYED, material=b"") if destroy else replace(chosen, state=RETIRED)
        return replace(self, keys=tuple(ended if k.id == key else k for k in self.keys))

    def _found(self, key: int) -> RingKey:
        found = next((k for k in self.keys if k.id == key), None)
        if found is None:
            raise UsageError(f"the key ring has no key {shown(key)}", hint="pgcharter keys list")
        return found

    # ── the document ──

    def document(self) -> str:
        """The ring as its provider keeps it. It holds the keys: for the provider alone."""
        keys = [
            {
                "id": shown(k.id), "name": k.name, "purpose": k.purpose, "state": k.state, "created": k.created, "expires": k.expires,
                "material": base64.b64encode(k.material).decode(),
            }
            for k in self.keys
        ]  # fmt: skip
        return json.dumps({"format": FORMAT, "version": 1, "wrapped": self.wrapper is not None, "keys": keys}, indent=1) + "\n"


def read_document(text: str, where: str, wrapper: Wrapper | None = None) -> KeyRing:
    """The ring of a document. Raises EncryptionError for what is none; nothing of it is repeated."""
    try:
        data: Any = json.loads(text)
        if data["format"] != FORMAT or data["version"] != 1:
            raise ValueError
        keys = tuple(_key(item) for item in data["keys"])
        wrapped = bool(data["wrapped"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        hint = "restore it, and make no new one where values are encrypted already: without their keys they cannot be read"
        raise EncryptionError(f"{where} holds no key ring of version 1, or a damaged one", hint=hint) from None
    if wrapped and wrapper is None:
        raise EncryptionError(f"the keys in {where} are wrapped, and no master key is named", hint='[encryption] master = "file:PATH"')
    if wrapper is not None and not wrapped and keys:
        hint = "take [encryption] master out, or make a ring that is wrapped: pgcharter keys create"
        raise EncryptionError(
            f"the keys in {where} are not wrapped, and a master key is named: one of both is not what is meant", hint=hint
        )
    return KeyRing(keys, wrapper)


def _key(item: Any) -> RingKey:
    material = base64.b64decode(item["material"], validate=True)
    if item["state"] not in STATES or item["purpose"] not in (DATA, INDEX) or (not material and item["state"] != DESTROYED):
        raise ValueError
    return RingKey(
        int(item["id"], 16), str(item["name"]), item["purpose"], item["state"], str(item["created"]), str(item["expires"]), material
    )
