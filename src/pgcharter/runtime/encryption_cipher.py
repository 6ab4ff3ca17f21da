"""One encrypted column: values one by one or many at once, and what stands in for them in blind indexes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.policy.encryption_settings import EncryptedColumn
from pgcharter.runtime import encryption_format as form_of
from pgcharter.runtime.encryption_format import BODY, MOST, NONCE, PREFIX, EncryptionError, Row
from pgcharter.runtime.encryption_index import Digester, forms
from pgcharter.runtime.encryption_values import decode, encoder
from pgcharter.runtime.keys import DATA, INDEX

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from pgcharter.runtime.encryption import Encryption

_NO_TENANT = bytes(4)
CACHED = 100_000
"""Derived keys that are kept."""


@dataclass(slots=True)
class DataKey:
    """A key that values are encrypted with, ready for use. It is no secret's repr."""

    id: int
    aead: AESGCM = field(repr=False)
    prefix: bytes
    used: int = 0
    """Values that this process encrypted with it."""


_Finder = tuple[str, list[Digester], Callable[[Any], bytes], int]


class Cipher:
    """One encrypted column."""

    def __init__(self, encryption: Encryption, spec: EncryptedColumn) -> None:
        self.encryption = encryption
        self.spec = spec
        self._encode = encoder(spec.type, spec.name)
        self._bound = form_of.part(spec.binding)
        self._forms = {form: forms(form, self._encode, spec.name) for form in spec.search}
        self._writers: dict[str, DataKey] = {}
        self._readers: dict[tuple[int, str], DataKey] = {}
        self._indexes: dict[tuple[str, str], list[Digester]] = {}
        self._finders: dict[tuple[str, object], _Finder] = {}

    def __repr__(self) -> str:
        return f"<Cipher of {self.spec.name}>"

    def forget(self) -> None:
        """Forget derived keys: the key ring has changed. What a thread is about to keep goes where nobody looks any more."""
        self._writers, self._readers, self._indexes, self._finders = {}, {}, {}, {}

    def check(self, value: Any) -> None:
        """Raise UsageError for a value that is not of the column's type."""
        self._encode(value)

    def encrypt(self, value: Any, *, row: Row, tenant: object = None, subject: object = None) -> bytes | None:
        """Encrypt a value for a row; None stays None. Raises EncryptionError or UsageError, which never repeat the value."""
        return self.encrypt_many(
            (value,), (row,), tenants=None if tenant is None else (tenant,), subjects=None if subject is None else (subject,)
        )[0]

    def encrypt_many(
        self,
        values: Sequence[Any],
        rows: Sequence[Row],
        *,
        tenants: Sequence[object] | None = None,
        subjects: Sequence[object] | None = None,
    ) -> list[bytes | None]:
        """Encrypt many values, each for its row."""
        self._lengths(len(values), rows, tenants, subjects)
        self.encryption.refresh()
        noise = os.urandom(NONCE * len(values))
        made: list[bytes | None] = []
        whole = self._writer(None, None) if self.spec.scope == "table" else None
        encode, padding, bound, row_bytes = self._encode, self.spec.padding, self._bound, form_of.row_bytes
        bind = bool(self.spec.tenant or tenants)
        for n, value in enumerate(values):
            if value is None:
                made.append(None)
                continue
            tenant = tenants[n] if tenants else None
            key = whole or self._writer(tenant, subjects[n] if subjects else None)
            plain = form_of.pad(encode(value), padding) if padding else encode(value)
            nonce, start = noise[NONCE * n : NONCE * n + NONCE], key.prefix
            bound_to = start + bound + (self._tenant(tenant) if bind else _NO_TENANT) + row_bytes(rows[n])
            key.used += 1
            if key.used > MOST:
                raise form_of.exhausted(key.id, self.spec.name)
            made.append(start + nonce + key.aead.encrypt(nonce, plain, bound_to))
        return made

    def decrypt(self, data: bytes | None, *, row: Row, tenant: object = None, subject: object = None) -> Any:
        """The value again; None stays None. Raises EncryptionError for a value that is damaged, or of another row, column or tenant."""
        return self.decrypt_many(
            (data,), (row,), tenants=None if tenant is None else (tenant,), subjects=None if subject is None else (subject,)
        )[0]

    def decrypt_many(
        self,
        data: Sequence[bytes | None],
        rows: Sequence[Row],
        *,
        tenants: Sequence[object] | None = None,
        subjects: Sequence[object] | None = None,
    ) -> list[Any]:
        """Many values again, each of its row."""
        self._lengths(len(data), rows, tenants, subjects)
        from cryptography.exceptions import InvalidTag

        made: list[Any] = []
        where, bound, row_bytes = self.spec.name, self._bound, form_of.row_bytes
        bind, whole = bool(self.spec.tenant or tenants), self.spec.scope == "table"
        last, key = b"", None
        for n, one in enumerate(data):
            if one is None:
                made.append(None)
                continue
            one = bytes(one)
            tenant = tenants[n] if tenants else None
            start = one[:PREFIX]
            if key is None or start != last or not whole or len(one) <= BODY:
                key, last = self._reader(one, tenant, subjects[n] if subjects else None), start
            try:
                plain = key.aead.decrypt(
                    one[PREFIX:BODY], one[BODY:], start + bound + (self._tenant(tenant) if bind else _NO_TENANT) + row_bytes(rows[n])
                )
            except InvalidTag:
                raise EncryptionError(
                    f"a value of {where} under key {form_of.shown(key.id)} is damaged, or was written for another row, column or tenant,"
                    " or its key ring holds another key under that id; so it was not read"
                ) from None
            made.append(decode(form_of.unpad(plain, where) if start[5] & form_of.PADDED else plain, where))
        return made

    def blind(self, value: Any, form: str = "", *, tenant: object = None) -> bytes | None:
        """What stands for a value in the blind index of a form (by default the column's first), under the key to write with."""
        return self.blind_many((value,), form, tenants=None if tenant is None else (tenant,))[0]

    def blind_many(self, values: Sequence[Any], form: str = "", *, tenants: Sequence[object] | None = None) -> list[bytes | None]:
        """What stands for many values. While the key of a unique blind index is rotated: two digests, the second under the old key."""
        self.encryption.refresh()
        formed, size = self._form(form), self.spec.bits // 8
        form = form or self.spec.search[0]
        if tenants is None:
            made = _digesting(self._written(form, None), size)
            return [None if v is None else made(formed(v)) for v in values]
        each = [_digesting(self._written(form, tenant), size) for tenant in tenants]
        return [None if v is None else made(formed(v)) for v, made in zip(values, each, strict=True)]

    def lookups(self, value: Any, form: str = "", *, tenant: object = None) -> list[bytes]:
        """What a value is to be looked up by, under every key that rows may still carry: `WHERE email_folded = ANY(%s)`.

        What is compared with them is `spec.sought(form)`: where values are unique, what stands first in the column.
        """
        self.encryption.refresh()
        formed, size = self._form(form), self.spec.bits // 8
        plain = formed(value)
        return [key.digest(plain, size) for key in self._index(form or self.spec.search[0], tenant)]

    def where(self, value: Any, form: str = "", *, tenant: object = None) -> tuple[str, list[bytes]]:
        """The condition of `lookups` as SQL with its parameters: `email_folded IN (%s)`, with one more while the index key is rotated."""
        self.encryption.refresh()
        condition, keys, formed, size = self._finders.get((form, tenant)) or self._finder(form, tenant)
        plain = formed(value)
        return condition, [key.digest(plain, size) for key in keys]

    def _finder(self, form: str, tenant: object) -> _Finder:
        """What `where` needs besides the value."""
        finders = self._finders
        formed, chosen = self._form(form), form or self.spec.search[0]
        keys = self._index(chosen, tenant)
        condition = f"{self.spec.sought(chosen).replace('%', '%%')} IN ({', '.join(['%s'] * len(keys))})"
        made: _Finder = _kept(finders, (form, tenant), (condition, keys, formed, self.spec.bits // 8))
        return made

    # ── keys ──

    def _form(self, form: str) -> Callable[[Any], bytes]:
        chosen = form or (self.spec.search[0] if self.spec.search else "")
        if chosen not in self._forms:
            raise UsageError(
                f"{self.spec.name} cannot be looked up" + (f" by {chosen}" if chosen else ""),
                hint=f'[[encryption.column]] of {self.spec.name}: search = ["{chosen or "exact"}"]',
            )
        return self._forms[chosen]

    def _tenant(self, tenant: object) -> bytes:
        if (tenant is None) == bool(self.spec.tenant):
            what = "is bound to a tenant, and none was given" if self.spec.tenant else "is bound to no tenant, and one was given"
            raise UsageError(
                f"{self.spec.name} {what}",
                hint="tenant=…" if self.spec.tenant else "leave tenant out, or declare tenant in [[encryption.column]]",
            )
        return _NO_TENANT if tenant is None else form_of.part(str(tenant))

    def _lengths(self, count: int, *others: Sequence[object] | None) -> None:
        for other in others:
            if other is not None and len(other) != count:
                raise UsageError(f"{count} values of {self.spec.name} were given with {len(other)} rows, tenants or subjects")

    def _scope(self, tenant: object, subject: object) -> str:
        """What has a key of its own, as text."""
        chosen = {"table": "", "tenant": tenant, "subject": subject}[self.spec.scope]
        if chosen is None:
            raise UsageError(f"{self.spec.name} has a key for each {self.spec.scope}, and none was given", hint=f"{self.spec.scope}=…")
        return f"{self.spec.subject_kind}:{chosen}" if self.spec.scope == "subject" else str(chosen)

    def _writer(self, tenant: object, subject: object) -> DataKey:
        scope = self._scope(tenant, subject)
        writers = self._writers
        found = writers.get(scope)
        if found is None or self.spec.scope == "subject":
            made = self._made_writer(scope)
            if found is None or made.id != found.id:
                found = _kept(writers, scope, made)
        return found

    def _made_writer(self, scope: str) -> DataKey:
        flags = form_of.PADDED if self.spec.padding else 0
        if self.spec.scope == "subject":
            own = self.encryption.subject(scope, self.spec.name)
            return self._derived(own.id, own.material, flags | form_of.OF_SUBJECT, scope)
        try:
            key = self.encryption.ring.active(self.spec.key, DATA)
        except EncryptionError:
            if not self.encryption.reload():
                raise
            key = self.encryption.ring.active(self.spec.key, DATA)
        return self._derived(key.id, self.encryption.ring.material(key), flags, scope)

    def _reader(self, data: bytes, tenant: object, subject: object) -> DataKey:
        where = self.spec.name
        head = form_of.head(data, where)
        if bool(head.flags & form_of.OF_SUBJECT) != (self.spec.scope == "subject"):
            raise EncryptionError(f"{where} holds a value of key {form_of.shown(head.key)}, which is not of its scope, {self.spec.scope}")
        scope = self._scope(tenant, subject)
        if self.spec.scope == "subject":
            own = self.encryption.subject(scope, where)
            if own.id != head.key:
                raise EncryptionError(
                    f"{where} holds a value of key {form_of.shown(head.key)}, which is another subject's or an earlier key"
                )
        at = (int.from_bytes(data[5:PREFIX], "big"), scope)
        readers = self._readers
        found = readers.get(at)
        if found is None:
            found = _kept(readers, at, self._derived(head.key, self._material(head.key, scope), head.flags, scope))
        return found

    def _material(self, key: int, scope: str) -> bytes:
        if self.spec.scope == "subject":
            return self.encryption.subject(scope, self.spec.name).material
        found = self.encryption.known_ring(key).by_id(key, self.spec.name)
        if found.name != self.spec.key or found.purpose != DATA:
            raise EncryptionError(f"{self.spec.name} holds a value of {found}, and is encrypted with {self.spec.key}")
        return self.encryption.ring.material(found)

    def _derived(self, key: int, material: bytes, flags: int, scope: str) -> DataKey:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        raw = derive(material, "data", self.spec.binding, self.spec.scope, scope)
        return DataKey(key, AESGCM(raw), form_of.prefix(flags, key))

    def _index(self, form: str, tenant: object) -> list[Digester]:
        """The keys of a blind index, the one to write with first."""
        at = (form, "" if tenant is None else str(tenant))
        indexes = self._indexes
        found = indexes.get(at)
        if found is None:
            self._tenant(tenant)
            ring = self.encryption.ring
            first = ring.active(self.spec.key, INDEX)
            keys = [first, *(k for k in ring.named(self.spec.key, INDEX) if k != first)]
            found = [Digester(k.mark, derive(ring.material(k), "index", self.spec.binding, form, at[1])) for k in keys]
            found = _kept(indexes, at, found)
        return found

    def _written(self, form: str, tenant: object) -> list[Digester]:
        """The keys of a blind index to write with: where values are unique, the oldest one too, which every row has."""
        keys = self._index(form, tenant)
        if not self.spec.is_unique(form):
            return keys[:1]
        oldest = self.encryption.ring.oldest(self.spec.key, INDEX).mark
        return [keys[0], *(k for k in keys[1:] if k.mark == oldest)]


def _digesting(keys: list[Digester], size: int) -> Callable[[bytes], bytes]:
    """What makes a value of a blind index under one key or two."""
    first = keys[0].digest
    if len(keys) == 1:
        return lambda formed: first(formed, size)
    second = keys[1].digest
    return lambda formed: first(formed, size) + second(formed, size)


def _kept(cache: dict[Any, Any], at: Any, made: Any) -> Any:
    if len(cache) >= CACHED:
        cache.clear()
    cache[at] = made
    return made


def derive(material: bytes, *info: str) -> bytes:
    """A key of 32 bytes for one use: HKDF-SHA256 (RFC 5869) without salt; `info` is what it is for."""
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError:
        raise UnavailableError("encryption needs the package cryptography", hint="pip install 'pgcharter[encryption]'") from None
    return HKDF(SHA256(), 32, None, b"pgcharter 1" + b"".join(map(form_of.part, info))).derive(material)
