"""What a database holds under which key, what its blind indexes give away, and whether every value can be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgcharter.migrate.reencrypt_rows import Found, Rows, decrypted, shown_key
from pgcharter.names import quote
from pgcharter.runtime.encryption_format import EncryptionError
from pgcharter.runtime.keys_subjects import load_subjects

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.encryption_settings import EncryptedColumn
    from pgcharter.runtime.encryption import Encryption
    from pgcharter.runtime.keys import RingKey

_BATCH = 5_000
_SHOWN = 20


@dataclass(frozen=True)
class Leak:
    """What a blind index tells whoever can read it: how many values there are, and how large the groups of equal ones."""

    form: str
    rows: int
    distinct: int
    largest: int
    """Rows of the most frequent value: it can be guessed where the frequencies of values are known."""
    marks: dict[str, int]
    """Mark of the key → rows."""
    beside: dict[str, int]
    """Mark of an older key whose digest stands beside, so that no value comes twice while the key of a unique index is rotated → rows."""


@dataclass(frozen=True)
class Usage:
    """What one column holds."""

    column: str
    keys: dict[str, int]
    """Id of the key in hexadecimal digits → values."""
    waiting: int
    """Values in clear with nothing encrypted beside."""
    clear: int
    """Values in clear."""
    key: str
    """Name of its keys in the ring."""
    leaks: tuple[Leak, ...]


def usage(conn: Connection, spec: EncryptedColumn) -> Usage:
    """Count a column's values. Reads the whole table."""
    rows = Rows(conn, spec)
    table, stored = spec.id.sql(), quote(spec.ciphertext)
    keys = _counted(conn, f"encode(substring({stored} FROM 7 FOR 8), 'hex')", table, stored)
    held = spec.column in rows.columns and spec.column != spec.ciphertext
    clear = f"{quote(spec.column)} IS NOT NULL"
    return Usage(
        spec.name,
        keys,
        rows.count((f"{clear} AND {stored} IS NULL", {})) if held else 0,
        rows.count((clear, {})) if held else 0,
        spec.key,
        tuple(_leak(conn, spec, form) for form in spec.search),
    )


def _leak(conn: Connection, spec: EncryptedColumn, form: str) -> Leak:
    table, column, first = spec.id.sql(), quote(spec.column_of(form)), spec.sought(form)
    counts = conn.execute(
        f"SELECT coalesce(sum(n), 0)::int8, count(*), coalesce(max(n), 0) FROM"
        f" (SELECT count(*) AS n FROM {table} WHERE {column} IS NOT NULL GROUP BY {first}) g".encode()
    ).fetchone()
    marks = _counted(conn, f"encode(substring({column} FROM 1 FOR 4), 'hex')", table, column)
    last = f"encode(nullif(substring({column} FROM {spec.digest + 1} FOR 4), ''), 'hex')"
    beside = _counted(conn, last, table, column) if spec.is_unique(form) else {}
    rows, distinct, largest = counts or (0, 0, 0)
    return Leak(form, rows, distinct, largest, marks, {mark: n for mark, n in beside.items() if mark})


def _counted(conn: Connection, what: str, table: str, column: str) -> dict[str, int]:
    return dict(conn.execute(f"SELECT {what}, count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1".encode()).fetchall())


def uses(conn: Connection, encryption: Encryption, key: RingKey) -> int:
    """Values, blind indexes and wrapped keys in a database that still need a key of the ring."""
    total, there = 0, conn.execute("SELECT to_regclass('pgcharter.subject_keys') IS NOT NULL").fetchone()
    for spec in encryption.columns.values():
        if spec.key == key.name:
            found = usage(conn, spec)
            total += found.keys.get(f"{key.id:016x}", 0) + sum(leak.marks.get(key.mark.hex(), 0) for leak in found.leaks)
    if there == (True,):
        wrapped = conn.execute(
            "SELECT count(*) FROM pgcharter.subject_keys WHERE substring(wrapped FROM 1 FOR 8) = %s", (key.id.to_bytes(8, "big"),)
        ).fetchone()
        total += wrapped[0] if wrapped else 0
    return total


@dataclass
class Verified:
    """What reading every value has shown."""

    column: str
    read: int = 0
    erased: int = 0
    """Values of subjects whose key is destroyed."""
    wrong: list[str] = field(default_factory=list)
    """A sentence for each row that cannot be read, differs from its clear value, or would not be found; the first twenty."""
    count: int = 0
    """How many such rows there are."""


def verify(conn: Connection, encryption: Encryption, column: str, tell: Callable[[int], None] = lambda _rows: None) -> Verified:
    """Decrypt every value of a column; hold it against the clear value beside it and its blind indexes against it."""
    cipher, result = encryption.column(column), Verified(column)
    rows = Rows(conn, cipher.spec)
    for _, leaf, _ in rows.leaves:
        after = None
        while found := rows.read(leaf, after, _BATCH, f"{quote(cipher.spec.ciphertext)} IS NOT NULL", {}):
            after = found[-1].key
            _judge(encryption, column, _alive(conn, encryption, column, found, result), result, rows)
            tell(result.read)
    return result


def _alive(conn: Connection, encryption: Encryption, column: str, found: list[Found], result: Verified) -> list[Found]:
    spec = encryption.column(column).spec
    if spec.scope != "subject":
        return found
    with conn.transaction():
        load_subjects(conn, encryption, column, [f.subject for f in found])
    dead = [f for f in found if encryption.knows(name := f"{spec.subject_kind}:{f.subject}") and not encryption.lives(name)]
    result.erased += len(dead)
    gone = {f.key for f in dead}
    return [f for f in found if f.key not in gone]


def _judge(encryption: Encryption, column: str, found: list[Found], result: Verified, rows: Rows) -> None:
    spec = encryption.column(column).spec
    held = spec.column in rows.columns and spec.column != spec.ciphertext
    try:
        pairs: list[tuple[Found, Any]] = list(zip(found, decrypted(encryption, column, found), strict=True))
    except EncryptionError:
        pairs = [pair for row in found if (pair := _one(encryption, column, row, result)) is not None]
    result.read += len(pairs)
    for row, value in pairs:
        if held and row.clear is not None and value != row.clear:
            _wrong(result, f"row {shown_key(row.key)} of {column}: the clear value differs from the encrypted one")
        lost = [
            form for form, blind in zip(spec.search, row.blinds, strict=True) if not _found(encryption, column, row, value, form, blind)
        ]
        if lost:
            _wrong(result, f"row {shown_key(row.key)} of {column} would not be found by {', '.join(lost)}")


def _found(encryption: Encryption, column: str, row: Found, value: Any, form: str, blind: bytes | None) -> bool:
    cipher = encryption.column(column)
    sought = cipher.lookups(value, form, tenant=row.tenant if cipher.spec.tenant else None)
    return (blind or b"")[: cipher.spec.digest] in sought


def _one(encryption: Encryption, column: str, row: Found, result: Verified) -> tuple[Found, Any] | None:
    try:
        return row, decrypted(encryption, column, [row])[0]
    except EncryptionError as error:
        _wrong(result, error.message)
        return None


def _wrong(result: Verified, sentence: str) -> None:
    result.count += 1
    if len(result.wrong) < _SHOWN:
        result.wrong.append(sentence)
