"""Keys of persons, each wrapped by a key of the ring and kept in `pgcharter.subject_keys`. Destroying one erases what it encrypted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from pgcharter.db.flows import Query, Row, Steps, flow
from pgcharter.errors import RefusedError
from pgcharter.names import quote
from pgcharter.policy.encryption_settings import EncryptedColumn
from pgcharter.runtime.encryption import Encryption, SubjectKey
from pgcharter.runtime.encryption_cipher import derive
from pgcharter.runtime.encryption_format import EncryptionError, part, shown
from pgcharter.runtime.keys import DATA, RingKey

_KNOWN = "SELECT subject, key_id, wrapped FROM pgcharter.subject_keys WHERE subject = ANY(%s::text[])"
_NEW = (
    "INSERT INTO pgcharter.subject_keys (subject, key_id, wrapped)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[]) ON CONFLICT (subject) DO NOTHING"
)


@flow
def load_subjects(encryption: Encryption, column: str, subjects: Iterable[object], *, create: bool = False) -> Steps[None]:
    """Have the keys of persons at hand for a minute, before values of a column are decrypted or encrypted; two round trips at most.

    `create`: make those that are not there, in the caller's transaction. Raises EncryptionError when one cannot be unwrapped.
    """
    spec = encryption.column(column).spec
    wanted = sorted({f"{spec.subject_kind}:{s}" for s in subjects if s is not None})
    wanted = [name for name in wanted if not encryption.knows(name)]
    if not wanted:
        return
    rows = yield Query(_KNOWN, (wanted,))
    missing = sorted(set(wanted) - {row[0] for row in rows})
    if create and missing:
        made = [_made(encryption, spec.key, name) for name in missing]
        yield Query(_NEW, (missing, [key for key, _ in made], [wrapped for _, wrapped in made]))
        rows = yield Query(_KNOWN, (wanted,))
    encryption.learn(_opened(encryption, row) for row in rows)


@flow
def destroy_subject(encryption: Encryption, kind: str, subject: object) -> Steps[bool]:
    """Destroy a person's key for good: what it encrypted is erased everywhere, audit trails included. False when there was no key.

    Blind indexes are under other keys, so those of the person's rows are emptied in the same transaction. Raises RefusedError while a
    clear column still stands beside an encrypted one. A backup that was taken before still has the wrapped key: it is erased there too
    once the ring's key that wrapped it is destroyed. Other processes forget the key within a minute.
    """
    columns = [c for c in encryption.columns.values() if c.subject_kind == kind]
    for spec in columns:
        yield from _refuse_clear(spec)
    name = f"{kind}:{subject}"
    gone = yield Query(
        "UPDATE pgcharter.subject_keys SET wrapped = NULL, destroyed_at = now()"
        " WHERE subject = %s AND destroyed_at IS NULL RETURNING key_id",
        (name,),
    )
    for spec in columns:
        if spec.search:
            empty = ", ".join(f"{quote(spec.column_of(form))} = NULL" for form in spec.search)
            yield Query(f"UPDATE {spec.id.sql()} SET {empty} WHERE {quote(spec.subject)}::text = %s", (str(subject),))
    encryption.learn(SubjectKey(key, name, b"") for (key,) in gone)
    return bool(gone)


@flow
def rewrap_subjects(encryption: Encryption, name: str, most: int = 5_000) -> Steps[int]:
    """Wrap up to `most` keys of persons anew that are wrapped by another key than the ring's active one called `name`; how many."""
    active = encryption.ring.active(name, DATA)
    olds = [k.id.to_bytes(8, "big") for k in encryption.ring.keys if k.name == name and k.purpose == DATA and k.id != active.id]
    rows = yield Query(
        "SELECT subject, key_id, wrapped FROM pgcharter.subject_keys WHERE substring(wrapped FROM 1 FOR 8) = ANY(%s) LIMIT %s FOR UPDATE",
        (olds, most),
    )
    keys = [_opened(encryption, row) for row in rows]
    yield Query(
        "UPDATE pgcharter.subject_keys s SET wrapped = u.wrapped FROM unnest(%s::text[], %s::bytea[]) u (subject, wrapped)"
        " WHERE s.subject = u.subject AND s.destroyed_at IS NULL",
        ([k.subject for k in keys], [_wrapped(encryption, active, k.subject, k.id, k.material) for k in keys]),
    )
    return len(keys)


def _refuse_clear(spec: EncryptedColumn) -> Steps[None]:
    found = yield Query(
        "SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass(%s) AND attname = %s AND NOT attisdropped",
        (spec.id.sql(), spec.column),
    )
    if found and spec.column != spec.ciphertext:
        raise RefusedError(
            f"{spec.name} still stands in clear beside {spec.ciphertext}, so destroying a key would erase nothing",
            hint=f"pgcharter keys encrypt {spec.name} --clear, then ALTER TABLE {spec.id.sql()} DROP COLUMN {quote(spec.column)}",
        )


def _made(encryption: Encryption, name: str, subject: str) -> tuple[int, bytes]:
    key = int.from_bytes(os.urandom(8), "big") >> 1
    return key, _wrapped(encryption, encryption.ring.active(name, DATA), subject, key, os.urandom(32))


def _wrapped(encryption: Encryption, by: RingKey, subject: str, key: int, material: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(12)
    aead = AESGCM(derive(encryption.ring.material(by), "subjects"))
    return by.id.to_bytes(8, "big") + nonce + aead.encrypt(nonce, material, _bound(subject, key))


def _bound(subject: str, key: int) -> bytes:
    return part("subject key") + part(subject) + key.to_bytes(8, "big")


def _opened(encryption: Encryption, row: Sequence[object] | Row) -> SubjectKey:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    subject, key, wrapped = str(row[0]), int(str(row[1])), row[2]
    if wrapped is None:
        return SubjectKey(key, subject, b"")
    assert isinstance(wrapped, bytes)  # noqa: S101  (a bytea)
    by = int.from_bytes(wrapped[:8], "big")
    ring = encryption.known_ring(by)
    try:
        aead = AESGCM(derive(ring.material(ring.by_id(by, "pgcharter.subject_keys")), "subjects"))
        return SubjectKey(key, subject, aead.decrypt(wrapped[8:20], wrapped[20:], _bound(subject, key)))
    except (InvalidTag, ValueError):
        raise EncryptionError(
            f"the key {shown(key)} of a subject, wrapped by key {shown(by)}, is damaged or was wrapped for another subject"
        ) from None
